//! E-mail.
//!
//! One connection, one login and one transaction per try, whatever comes of it: a wrong password that is tried once per
//! address locks accounts. Each address is accepted or refused by itself, and what is decided of it is remembered, so that
//! nobody gets a mail twice because of somebody else.

mod dialogue;

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use rustls_pki_types::pem::PemObject as _;

use self::dialogue::{Dialogue, Outcome};
use crate::domain::html;
use crate::domain::notice::digest::cut;
use crate::domain::notice::{Message, Part};
use crate::domain::secret::Secret;
use crate::engine::ports::notices::{Messenger, Sent};

/// A subject is cut at so many characters.
const LONGEST_SUBJECT: usize = 200;

/// For one command and its answer.
const PATIENCE: Duration = Duration::from_secs(25);

/// For all of them before the mail itself.
const PRELUDE: Duration = Duration::from_secs(60);

/// For the answer to the mail: a server may read it for viruses first. Whoever goes away before has the mail delivered once
/// more with each try.
const VERDICT: Duration = Duration::from_secs(2 * 60);

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
    /// Further certificates to trust, in PEM.
    pub ca_file: Option<PathBuf>,
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
    dialogue: Dialogue,
    from: Mailbox,
    to: Vec<Mailbox>,
    hello: String,
    user: String,
    password: Secret,
}

impl Smtp {
    /// Checks the addresses; connects to nothing yet.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let mailbox =
            |text: &String| text.parse::<Mailbox>().map_err(|error| format!("{text:?} is no address: {error}"));
        let parameters = match settings.tls {
            Tls::None => None,
            Tls::Starttls | Tls::Implicit => Some(parameters(&settings)?),
        };
        let (user, password) = settings.login.clone().unwrap_or_else(|| (String::new(), Secret::from(String::new())));
        let credentials = settings.login.map(|(user, secret)| Credentials::new(user, secret.expose().to_owned()));
        let to = settings.to.iter().map(mailbox).collect::<Result<_, _>>()?;
        let from = mailbox(&settings.from)?;
        let hello = client_id(&settings.hello);
        let dialogue = Dialogue {
            host: settings.host,
            port: settings.port,
            implicit: settings.tls == Tls::Implicit,
            tls: parameters,
            hello,
            credentials,
            patience: PATIENCE,
            prelude: PRELUDE,
            verdict: VERDICT,
        };
        Ok(Self { dialogue, from, to, hello: settings.hello, user, password })
    }

    /// Without the password, in whatever form it is sent.
    fn clean(&self, text: &str) -> String {
        self.password.taken_out_with(&self.user, text)
    }

    async fn deliver(&self, message: &Message) -> Sent {
        let mail = match self.mail(message) {
            Ok(mail) => mail.formatted(),
            Err(error) => return Sent::Drop { why: format!("the mail can't be written: {error}").into() },
        };
        let open = self.open(&message.parts);
        if open.is_empty() {
            // Who was still to be tried isn't configured any more.
            return self.judged(message.parts.clone(), &[], "nobody is left to be told");
        }
        let sent = self.dialogue.send(&self.from.email, &open, &mail).await;
        let (answers, said) = match sent {
            Ok(sent) => sent,
            Err(failed) => return self.cleaned(failed),
        };
        let mut parts = message.parts.clone();
        let mut later = Vec::new();
        for (to, outcome) in open.iter().zip(answers) {
            let to = to.to_string();
            parts.retain(|part| *part.to != *to);
            let (taken, said) = match outcome {
                Outcome::Taken => (true, String::new()),
                Outcome::Refused(why) => (false, self.clean(&why)),
                Outcome::Later(why) => {
                    later.push(format!("{to}: {}", self.clean(&why)));
                    continue;
                }
            };
            parts.push(Part { to: to.into(), taken, said: said.into() });
        }
        self.judged(parts, &later, &said)
    }

    /// The addresses that are still to be tried. What was refused is tried again while nobody has it.
    fn open(&self, parts: &[Part]) -> Vec<lettre::Address> {
        let somebody = parts.iter().any(|part| part.taken);
        let decided = |to: &str| parts.iter().any(|part| *part.to == *to && (part.taken || somebody));
        let all = || self.to.iter().map(|it| it.email.clone());
        all().filter(|it| !decided(it.as_ref())).collect()
    }

    /// What came of it, when the server has answered for each address.
    fn judged(&self, parts: Vec<Part>, later: &[String], said: &str) -> Sent {
        let taken = parts.iter().filter(|part| part.taken).count();
        let refused: Vec<String> =
            parts.iter().filter(|part| !part.taken).map(|part| format!("{}: {}", part.to, part.said)).collect();
        let all = parts.len() + later.len();
        let missing = [later, &refused].concat().join("; ");
        match (taken, later.is_empty()) {
            // Nobody has it: no address is given up then, and a person should look.
            (0, true) => Sent::Refused { why: format!("taken for none of {all}: {missing}").into() },
            (0, false) => Sent::RetryLater {
                after: None,
                why: format!("taken for none of {all}: {missing}").into(),
                unsure: false,
            },
            (_, false) => Sent::Partly { parts, why: format!("taken for {taken} of {all} so far: {missing}").into() },
            (_, true) if refused.is_empty() => Sent::Ok { remote_id: None, said: self.clean(said).into(), note: None },
            (_, true) => {
                let text: std::sync::Arc<str> = format!("taken for {taken} of {all}; refused: {missing}").into();
                Sent::Ok { remote_id: None, said: text.clone(), note: Some(text) }
            }
        }
    }

    fn cleaned(&self, sent: Sent) -> Sent {
        match sent {
            Sent::RetryLater { after, why, unsure } => Sent::RetryLater { after, why: self.clean(&why).into(), unsure },
            Sent::Refused { why } => Sent::Refused { why: self.clean(&why).into() },
            Sent::Unfit { why } => Sent::Unfit { why: self.clean(&why).into() },
            other => other,
        }
    }

    fn mail(&self, message: &Message) -> Result<lettre::Message, lettre::error::Error> {
        let notice = &message.notice;
        let subject = cut(&message.headline(), LONGEST_SUBJECT);
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

fn parameters(settings: &Settings) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let wrong = |error: &dyn std::fmt::Display| format!("reading {}: {error}", path.display());
        let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
        let all = rustls_pki_types::CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let all = all.map_err(|error| wrong(&error))?;
        if all.is_empty() {
            return Err(wrong(&"there is no certificate in PEM in it"));
        }
        for one in all {
            let one = Certificate::from_der(one.to_vec()).map_err(|error| wrong(&error))?;
            builder = builder.add_root_certificate(one);
        }
    }
    builder.build().map_err(|error| format!("TLS can't be set up: {error}"))
}

/// A name, or an address in brackets.
fn client_id(hello: &str) -> ClientId {
    match hello.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(std::net::IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(std::net::IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(hello.to_owned()),
    }
}

fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

fn text(message: &Message) -> String {
    let mut text = format!("{}\n\n{}\n\n{}\n", message.headline(), message.body(), message.notice.at);
    if let Some(link) = message.link() {
        text.push_str(&format!("{link}\n"));
    }
    text
}

fn markup(message: &Message) -> String {
    let link = message.link().map_or_else(String::new, |link| {
        let link = html::escaped(link);
        format!("<p><a href=\"{link}\">{link}</a></p>")
    });
    format!(
        "<html><body><p><b>{}</b></p><pre style=\"white-space: pre-wrap\">{}</pre>{link}<p>{}</p></body></html>",
        html::escaped(&message.headline()),
        html::escaped(&message.body()),
        message.notice.at
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

    fn limit(&self) -> Duration {
        PRELUDE + VERDICT + dialogue::GOODBYE + PATIENCE
    }

    fn check(&self) -> BoxFuture<'_, Option<Sent>> {
        Box::pin(async {
            Some(match self.dialogue.try_out().await {
                Ok(said) => Sent::Ok { remote_id: None, said: self.clean(&said).into(), note: None },
                Err(failed) => self.cleaned(failed),
            })
        })
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
            ca_file: None,
            login: None,
            from: "firedrill@example.org".into(),
            to: vec!["ops@example.org".into()],
            hello: "bk1".into(),
        };
        Smtp::new(settings).unwrap()
    }

    #[test]
    fn a_hostile_title_adds_no_header() {
        let hostile = Notice {
            title: "x\r\nBcc: evil@example.org\r\n\r\nbody".into(),
            body: "<b>&\u{202e}".into(),
            ..notice("a")
        };
        let mail =
            smtp().mail(&Message { notice: hostile, why: Why::First, reply_to: None, parts: Vec::new() }).unwrap();
        let text = String::from_utf8(mail.formatted()).unwrap();
        let headers = text.split("\r\n\r\n").next().unwrap();
        assert!(!headers.lines().any(|line| line.starts_with("Bcc")), "{headers}");
        assert!(headers.contains("Auto-Submitted: auto-generated"), "{headers}");
        assert_eq!(headers.matches("Message-ID: <").count(), 1);
        assert!(text.contains("&lt;b&gt;&amp;\\u{202e}"), "{text}");
    }

    #[test]
    fn what_is_decided_of_an_address_stays_so() {
        let three = Smtp { to: ["a@x.org", "b@x.org", "c@x.org"].map(|it| it.parse().unwrap()).to_vec(), ..smtp() };
        let part = |to: &str, taken| Part { to: to.into(), taken, said: "550 no".into() };
        let open = |parts: &[Part]| three.open(parts).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(open(&[]), ["a@x.org", "b@x.org", "c@x.org"]);
        assert_eq!(open(&[part("a@x.org", true), part("b@x.org", false)]), ["c@x.org"]);
        assert!(open(&["a@x.org", "b@x.org", "c@x.org"].map(|it| part(it, true))).is_empty());
        // While nobody has it, nobody is given up.
        assert_eq!(open(&[part("b@x.org", false)]), ["a@x.org", "b@x.org", "c@x.org"]);
        let refused = three.judged(vec![part("a@x.org", false)], &[], "");
        assert!(matches!(refused, Sent::Refused { why } if why.contains("none of 1: a@x.org: 550 no")));
        let later = ["c@x.org: 450 later".to_owned()];
        let nobody = three.judged(vec![part("a@x.org", false)], &later, "");
        assert!(matches!(nobody, Sent::RetryLater { why, .. } if why.contains("none of 2")));
        let some = three.judged(vec![part("a@x.org", true), part("b@x.org", false)], &later, "");
        assert!(matches!(some, Sent::Partly { why, .. } if why.contains("1 of 3 so far")));
    }

    #[test]
    fn a_story_is_one_conversation() {
        assert_eq!(smtp().thread("k"), smtp().thread("k"));
        assert_ne!(smtp().thread("k"), smtp().thread("l"));
    }
}
