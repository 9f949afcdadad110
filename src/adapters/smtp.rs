//! E-mail.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use lettre::address::Envelope;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls as LettreTls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use crate::domain::html;
use crate::domain::notice::Message;
use crate::domain::notice::digest::cut;
use crate::domain::secret::Secret;
use crate::engine::ports::notices::{Messenger, Sent};

/// A subject is cut at so many characters.
const LONGEST_SUBJECT: usize = 200;

/// For one command and its answer.
const PATIENCE: Duration = Duration::from_secs(25);

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Plain at first, then TLS, or nothing is sent.
    Starttls,
    /// TLS from the beginning.
    Implicit,
    /// None.
    None,
}

/// How to reach the server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// User and password.
    pub login: Option<(String, Secret)>,
    /// The sender's address.
    pub from: String,
    /// Whom it goes to.
    pub to: Vec<String>,
    /// Name of this machine, for the greeting and message ids.
    pub hello: String,
}

/// A mail server with the addresses that it delivers to.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    hello: String,
    password: Secret,
}

impl Smtp {
    /// Checks the addresses; connects to nothing yet.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let mailbox =
            |text: &String| text.parse::<Mailbox>().map_err(|error| format!("{text:?} is no address: {error}"));
        let tls = || TlsParameters::new(settings.host.clone()).map_err(|error| format!("TLS can't be set up: {error}"));
        let protection = match settings.tls {
            Tls::Starttls => LettreTls::Required(tls()?),
            Tls::Implicit => LettreTls::Wrapper(tls()?),
            Tls::None => LettreTls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(protection)
            .timeout(Some(PATIENCE))
            .hello_name(ClientId::Domain(settings.hello.clone()));
        let password =
            settings.login.as_ref().map_or_else(|| Secret::from(String::new()), |(_, secret)| secret.clone());
        if let Some((user, secret)) = settings.login {
            builder = builder.credentials(Credentials::new(user, secret.expose().to_owned()));
        }
        let to = settings.to.iter().map(mailbox).collect::<Result<_, _>>()?;
        let from = mailbox(&settings.from)?;
        Ok(Self { transport: builder.build(), from, to, hello: settings.hello, password })
    }

    async fn deliver(&self, message: &Message) -> Sent {
        let mail = match self.mail(message) {
            Ok(mail) => mail,
            Err(error) => return Sent::Drop { why: format!("the mail can't be written: {error}").into() },
        };
        match self.transport.send(mail).await {
            Ok(answer) => {
                let said: Vec<&str> = answer.message().collect();
                Sent::Ok { remote_id: None, said: format!("{} {}", answer.code(), said.join(" ")).into() }
            }
            Err(error) => {
                let mut text = error.to_string();
                if let Some(cause) = std::error::Error::source(&error) {
                    text = format!("{text}: {cause}");
                }
                let why: Arc<str> = self.password.taken_out_of(&text).into();
                if error.is_permanent() && self.to.len() > 1 {
                    return self.one_by_one(message, &why).await;
                }
                if error.is_permanent() {
                    return Sent::Drop { why };
                }
                Sent::RetryLater { after: None, why, unsure: error.is_timeout() }
            }
        }
    }

    /// One address that is refused for good must not keep the mail from the others.
    async fn one_by_one(&self, message: &Message, why: &str) -> Sent {
        let Ok(mail) = self.mail(message) else { return Sent::Drop { why: why.into() } };
        let text = mail.formatted();
        let mut taken = 0;
        for to in &self.to {
            let envelope = Envelope::new(Some(self.from.email.clone()), vec![to.email.clone()]);
            let Ok(envelope) = envelope else { continue };
            match self.transport.send_raw(&envelope, &text).await {
                Ok(_) => taken += 1,
                Err(error) => {
                    let error = self.password.taken_out_of(&error.to_string());
                    tracing::warn!(to = %to.email, "a mail was refused: {error}");
                }
            }
        }
        match taken {
            0 => Sent::Drop { why: why.into() },
            _ => Sent::Ok { remote_id: None, said: format!("taken for {taken} of {}", self.to.len()).into() },
        }
    }

    fn mail(&self, message: &Message) -> Result<lettre::Message, lettre::error::Error> {
        let notice = &message.notice;
        let subject = cut(&on_one_line(&message.headline()), LONGEST_SUBJECT);
        let thread = self.thread(&notice.key);
        let id =
            format!("<{}.{}@{}>", digest(&format!("{}{}", notice.key, notice.at)), message.why.as_str(), self.hello);
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .subject(subject)
            .message_id(Some(id))
            .references(thread.clone())
            .in_reply_to(thread)
            .header(AutoSubmitted);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        builder.multipart(MultiPart::alternative_plain_html(text(message), markup(message)))
    }

    /// One id per story, so that mail readers show it as one conversation.
    fn thread(&self, key: &str) -> String {
        format!("<{}@{}>", digest(key), self.hello)
    }
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

fn on_one_line(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

fn text(message: &Message) -> String {
    let notice = &message.notice;
    let mut text = format!("{}\n\n{}\n\n{}\n", message.headline(), notice.body, notice.at);
    if let Some(link) = &notice.link {
        text.push_str(&format!("{link}\n"));
    }
    text
}

fn markup(message: &Message) -> String {
    let notice = &message.notice;
    let link = notice.link.as_deref().filter(|link| link.starts_with("https://") || link.starts_with("http://"));
    let link = link.map_or_else(String::new, |link| {
        let link = html::escaped(link);
        format!("<p><a href=\"{link}\">{link}</a></p>")
    });
    format!(
        "<html><body><p><b>{}</b></p><pre style=\"white-space: pre-wrap\">{}</pre>{link}<p>{}</p></body></html>",
        html::escaped(&message.headline()),
        html::escaped(&notice.body),
        notice.at
    )
}

/// `Auto-Submitted: auto-generated` (RFC 3834), so that nobody's holiday notice answers.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Messenger for Smtp {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Sent> {
        Box::pin(self.deliver(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notice::Notice;
    use crate::domain::notice::dedup::Why;
    use crate::domain::notice::tests::notice;

    fn smtp() -> Smtp {
        let settings = Settings {
            host: "localhost".into(),
            port: 25,
            tls: Tls::None,
            login: None,
            from: "firedrill@example.org".into(),
            to: vec!["ops@example.org".into()],
            hello: "bk1".into(),
        };
        Smtp::new(settings).unwrap()
    }

    #[test]
    fn a_hostile_title_adds_no_header() {
        let hostile =
            Notice { title: "x\r\nBcc: evil@example.org\r\n\r\nbody".into(), body: "<b>&".into(), ..notice("a") };
        let mail = smtp().mail(&Message { notice: hostile, why: Why::First, reply_to: None }).unwrap();
        let text = String::from_utf8(mail.formatted()).unwrap();
        let headers = text.split("\r\n\r\n").next().unwrap();
        assert!(!headers.lines().any(|line| line.starts_with("Bcc")), "{headers}");
        assert!(headers.contains("Auto-Submitted: auto-generated"), "{headers}");
        assert_eq!(headers.matches("Message-ID: <").count(), 1);
        assert!(text.contains("&lt;b&gt;&amp;"), "{text}");
    }

    #[test]
    fn a_story_is_one_conversation() {
        assert_eq!(smtp().thread("k"), smtp().thread("k"));
        assert_ne!(smtp().thread("k"), smtp().thread("l"));
    }
}
