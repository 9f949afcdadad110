//! One conversation with a mail server.

use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio_rustls::rustls;

use crate::domain::notice::digest::cut;
use crate::domain::printable;
use crate::engine::ports::notices::Sent;

/// So many characters of an answer are kept.
const LONGEST_ANSWER: usize = 300;

/// How the server is spoken to.
pub(super) struct Dialogue {
    pub(super) host: String,
    pub(super) port: u16,
    /// TLS from the beginning; else by STARTTLS.
    pub(super) implicit: bool,
    pub(super) tls: Option<TlsParameters>,
    pub(super) hello: ClientId,
    pub(super) credentials: Option<Credentials>,
    /// For one command and its answer.
    pub(super) patience: Duration,
}

/// What the server says of one address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has the mail.
    Taken,
    /// Not now.
    Later(String),
    /// Not for good.
    Refused(String),
}

/// Where in the conversation an error happened: it says what the error is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    Starttls,
    Login,
    From,
    To,
    /// The mail itself.
    Content,
}

impl Dialogue {
    /// Greets, logs in, and says goodbye.
    pub(super) async fn try_out(&self) -> Result<String, Sent> {
        let mut connection = self.connect().await?;
        let said = self.bounded(connection.quit()).await.map_err(|error| failed(Step::Connect, &error))?;
        Ok(shown(&said))
    }

    /// Sends a mail: what becomes of it for each address, and what the server said.
    pub(super) async fn send(
        &self,
        from: &Address,
        to: &[Address],
        mail: &[u8],
    ) -> Result<(Vec<Outcome>, String), Sent> {
        let mut connection = self.connect().await?;
        let sent = self.transact(&mut connection, from, to, mail).await;
        // The mail is taken or it isn't, however the goodbye goes.
        let _ = self.bounded(connection.quit()).await;
        sent
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Sent> {
        let implicit = self.tls.clone().filter(|_| self.implicit);
        let server = (self.host.as_str(), self.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(server, Some(self.patience), &self.hello, implicit, None);
        let mut connection = self.bounded(connecting).await.map_err(|error| failed(Step::Connect, &error))?;
        if let Some(tls) = self.tls.clone().filter(|_| !self.implicit) {
            if !connection.can_starttls() {
                return Err(Sent::Refused { why: "the server offers no STARTTLS, and nothing is sent without".into() });
            }
            let upgraded = self.bounded(connection.starttls(tls, &self.hello)).await;
            upgraded.map_err(|error| failed(Step::Starttls, &error))?;
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let login = self.bounded(connection.auth(&mechanisms, credentials)).await;
            login.map_err(|error| failed(Step::Login, &error))?;
        }
        Ok(connection)
    }

    async fn transact(
        &self,
        connection: &mut AsyncSmtpConnection,
        from: &Address,
        to: &[Address],
        mail: &[u8],
    ) -> Result<(Vec<Outcome>, String), Sent> {
        let mut parameters = Vec::new();
        if !mail.is_ascii() && connection.server_info().supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let utf8 = std::iter::once(from).chain(to).any(|it| !AsRef::<str>::as_ref(it).is_ascii());
        if utf8 && connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let begun = self.bounded(connection.command(Mail::new(Some(from.clone()), parameters))).await;
        begun.map_err(|error| failed(Step::From, &error))?;
        let mut outcomes = Vec::with_capacity(to.len());
        for one in to {
            match self.bounded(connection.command(Rcpt::new(one.clone(), Vec::new()))).await {
                Ok(_) => outcomes.push(Outcome::Taken),
                Err(Trouble::Smtp(error)) if is_answer(&error) => {
                    let why = told(&error);
                    outcomes.push(if error.is_permanent() { Outcome::Refused(why) } else { Outcome::Later(why) });
                }
                Err(error) => return Err(failed(Step::To, &error)),
            }
        }
        if !outcomes.contains(&Outcome::Taken) {
            return Ok((outcomes, String::new()));
        }
        self.bounded(connection.command(Data)).await.map_err(|error| failed(Step::Content, &error))?;
        let taken =
            self.bounded(connection.message(mail)).await.map_err(|error| match failed(Step::Content, &error) {
                // The answer got lost, not necessarily the mail.
                Sent::RetryLater { after, why, .. } => {
                    let answered = matches!(&error, Trouble::Smtp(error) if is_answer(error));
                    Sent::RetryLater { after, why, unsure: !answered }
                }
                other => other,
            })?;
        Ok((outcomes, shown(&taken)))
    }

    async fn bounded<T>(&self, step: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
        match tokio::time::timeout(self.patience, step).await {
            Ok(done) => done.map_err(Trouble::Smtp),
            Err(_) => Err(Trouble::Time),
        }
    }
}

/// Why a step came to nothing.
enum Trouble {
    Smtp(Error),
    /// It did not answer in time.
    Time,
}

/// The server answered with a code; 421 says that it ends the conversation.
fn is_answer(error: &Error) -> bool {
    error.status().is_some_and(|code| code.to_string() != "421")
}

/// What the server shows is not trusted, or it can't do what is needed.
fn is_untrusted(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let wrapped = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if inner.is::<rustls::Error>() || wrapped.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        cause = inner.source();
    }
    error.is_tls()
}

/// What an error at a step means for the whole message.
fn failed(step: Step, trouble: &Trouble) -> Sent {
    let error = match trouble {
        Trouble::Time => {
            return Sent::RetryLater { after: None, why: "the server did not answer in time".into(), unsure: false };
        }
        Trouble::Smtp(error) => error,
    };
    let during = match step {
        Step::Connect => "greeting",
        Step::Starttls => "STARTTLS",
        Step::Login => "login",
        Step::From => "sender",
        Step::To => "recipient",
        Step::Content => "mail",
    };
    let why: std::sync::Arc<str> = format!("{during}: {}", told(error)).into();
    // 552: too much for it.
    let too_large = error.status().is_some_and(|code| code.to_string() == "552");
    match step {
        _ if error.is_transient() => Sent::RetryLater { after: None, why, unsure: false },
        Step::Content if error.is_permanent() => Sent::Unfit { why },
        Step::From if too_large => Sent::Unfit { why },
        // A password, a name, a sender, a certificate, a mechanism that it doesn't have.
        _ if error.is_permanent() || is_untrusted(error) || error.is_client() => Sent::Refused { why },
        _ => Sent::RetryLater { after: None, why, unsure: false },
    }
}

/// An error with its causes, on one line.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    bounded(&text)
}

fn shown(answer: &Response) -> String {
    let said: Vec<&str> = answer.message().collect();
    bounded(&format!("{} {}", answer.code(), said.join(" ")))
}

/// On one line, printable, and not more than a person reads.
fn bounded(text: &str) -> String {
    printable::shown(&cut(&text.replace(['\r', '\n'], " "), LONGEST_ANSWER))
}
