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

/// For a goodbye, after which nothing changes any more.
pub(super) const GOODBYE: Duration = Duration::from_secs(2);

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
    /// For all commands before the mail itself.
    pub(super) prelude: Duration,
    /// For the answer to the mail.
    pub(super) verdict: Duration,
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
        let begun = async {
            let mut connection = self.connect().await?;
            let outcomes = self.introduce(&mut connection, from, to, mail).await;
            Ok((connection, outcomes))
        };
        let late = |_| Err(failed(Step::Connect, &Trouble::Time));
        let (mut connection, outcomes) = tokio::time::timeout(self.prelude, begun).await.unwrap_or_else(late)?;
        let sent = match outcomes {
            Ok(outcomes) => self.hand_over(&mut connection, outcomes, mail).await,
            Err(failed) => Err(failed),
        };
        // The mail is taken or it isn't, however the goodbye goes.
        let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
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

    /// Says from whom and to whom: what becomes of it for each address. If somebody is to get it, the mail itself is next.
    async fn introduce(
        &self,
        connection: &mut AsyncSmtpConnection,
        from: &Address,
        to: &[Address],
        mail: &[u8],
    ) -> Result<Vec<Outcome>, Sent> {
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
        if outcomes.contains(&Outcome::Taken) {
            self.bounded(connection.command(Data)).await.map_err(|error| failed(Step::Content, &error))?;
        }
        Ok(outcomes)
    }

    /// The mail itself: once it is with the server, only the answer says whether it has it.
    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        outcomes: Vec<Outcome>,
        mail: &[u8],
    ) -> Result<(Vec<Outcome>, String), Sent> {
        if !outcomes.contains(&Outcome::Taken) {
            return Ok((outcomes, String::new()));
        }
        let taken = within(self.verdict, connection.message(mail)).await;
        let taken = taken.map_err(|error| match failed(Step::Content, &error) {
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
        within(self.patience, step).await
    }
}

async fn within<T>(limit: Duration, step: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
    match tokio::time::timeout(limit, step).await {
        Ok(done) => done.map_err(Trouble::Smtp),
        Err(_) => Err(Trouble::Time),
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

    use super::*;

    /// A server that thinks for so long about a mail, and says no goodbye.
    async fn slow_server(thinks: Duration) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (read, mut write) = listener.accept().await.unwrap().0.into_split();
            let mut lines = BufReader::new(read).lines();
            write.write_all(b"220 slow.test\r\n").await.unwrap();
            let mut mail = false;
            while let Ok(Some(line)) = lines.next_line().await {
                let answer: &[u8] = match line.as_str() {
                    "." if mail => {
                        mail = false;
                        tokio::time::sleep(thinks).await;
                        b"250 taken\r\n"
                    }
                    _ if mail => continue,
                    "QUIT" => continue,
                    "DATA" => {
                        mail = true;
                        b"354 go on\r\n"
                    }
                    _ => b"250 fine\r\n",
                };
                write.write_all(answer).await.unwrap();
            }
        });
        port
    }

    #[tokio::test]
    async fn a_server_may_think_about_a_mail_longer_than_about_a_command() {
        let dialogue = |port| Dialogue {
            host: "127.0.0.1".into(),
            port,
            implicit: false,
            tls: None,
            hello: ClientId::Domain("bk1".into()),
            credentials: None,
            patience: Duration::from_secs(2),
            prelude: Duration::from_secs(60),
            verdict: Duration::from_secs(60),
        };
        let (from, to): (Address, Address) = ("a@example.org".parse().unwrap(), "b@example.org".parse().unwrap());
        let slow = dialogue(slow_server(Duration::from_secs(4)).await);
        let Ok((outcomes, said)) = slow.send(&from, std::slice::from_ref(&to), b"Subject: x\r\n\r\nx\r\n").await else {
            panic!("it was taken")
        };
        assert_eq!((&*outcomes, &*said), (&[Outcome::Taken][..], "250 taken"));
        // Who never answers may have taken it.
        let never =
            Dialogue { verdict: Duration::from_millis(200), ..dialogue(slow_server(Duration::from_secs(600)).await) };
        let sent = never.send(&from, &[to], b"Subject: x\r\n\r\nx\r\n").await;
        assert!(matches!(sent, Err(Sent::RetryLater { unsure: true, .. })));
    }
}
