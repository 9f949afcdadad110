//! `[[notify.receivers]]`: one who can be told.
//!
//! All keys of all types are read into one table, so that each wrong one is named with its place; [`Receiver::outlet`]
//! makes of it what the type needs.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::route::quiet;
use crate::config::errors::Complaints;
use crate::config::{secret, text};
use crate::domain::notice::routes::Quiet;
use crate::domain::secret::Secret;

/// Sort of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A chat of Telegram.
    Telegram,
    /// E-mail.
    Smtp,
    /// An incoming webhook of Slack, Mattermost or Rocket.Chat.
    Slack,
    /// A webhook of one's own, or of a workflow of Teams.
    Webhook,
    /// Syslog by RFC 5424.
    Syslog,
}

/// How a mail server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Plain at first, then TLS, or nothing is sent.
    Starttls,
    /// TLS from the beginning.
    Tls,
    /// None.
    None,
}

/// How syslog is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Datagrams; loss goes unnoticed.
    Udp,
    /// Octet counting (RFC 6587).
    Tcp,
    /// A local socket.
    Unix,
}

/// A facility of syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of RFC 5424")]
pub enum Facility {
    User = 1,
    Daemon = 3,
    Local0 = 16,
    Local1 = 17,
    Local2 = 18,
    Local3 = 19,
    Local4 = 20,
    Local5 = 21,
    Local6 = 22,
    Local7 = 23,
}

/// A chat: its number, or `@name`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Chat {
    /// Groups have negative numbers.
    Number(i64),
    /// A channel.
    Name(String),
}

/// One who can be told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// Its name, for routes and metrics.
    pub name: Arc<str>,
    /// What sort it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Time of day at which what isn't critical waits, such as `22:00-06:00`.
    pub quiet_hours: Option<String>,
    /// Zone of the quiet hours.
    #[serde(default = "TimeZone::system", deserialize_with = "text::time_zone")]
    pub time_zone: TimeZone,
    /// Whether even critical notices wait.
    #[serde(default)]
    pub quiet_critical: bool,
    /// Slack, webhook: where to post to.
    pub url: Option<Secret>,
    /// The same, in a file.
    pub url_file: Option<PathBuf>,
    /// Webhook: signs what is posted.
    pub secret: Option<Secret>,
    /// The same, in a file.
    pub secret_file: Option<PathBuf>,
    /// Telegram: the server of the API.
    pub api_url: Option<String>,
    /// Telegram: the bot's token.
    pub token: Option<Secret>,
    /// The same, in a file.
    pub token_file: Option<PathBuf>,
    /// Telegram: the chat.
    pub chat_id: Option<Chat>,
    /// Telegram: a topic within the chat.
    pub thread_id: Option<i64>,
    /// Telegram: whether actions can be approved there.
    #[serde(default)]
    pub approvals: bool,
    /// Telegram: numbers of the users who may approve.
    #[serde(default)]
    pub allowed_users: Vec<i64>,
    /// SMTP: the server.
    pub host: Option<String>,
    /// SMTP: its port.
    pub port: Option<u16>,
    /// SMTP: how it is reached.
    pub tls: Option<Encryption>,
    /// SMTP: further certificates to trust, in PEM.
    pub ca_file: Option<PathBuf>,
    /// SMTP: the name that this machine greets with, and that stands in message ids.
    pub hello: Option<String>,
    /// SMTP: who logs in.
    pub user: Option<String>,
    /// SMTP: with which password.
    pub password: Option<Secret>,
    /// The same, in a file.
    pub password_file: Option<PathBuf>,
    /// SMTP: the sender.
    pub from: Option<String>,
    /// SMTP: whom it goes to.
    #[serde(default)]
    pub to: Vec<String>,
    /// Syslog: how it is reached.
    pub protocol: Option<Protocol>,
    /// Syslog: `HOST:PORT`, or the path of a socket.
    pub address: Option<String>,
    /// Syslog: the facility.
    pub facility: Option<Facility>,
}

/// What a type of receiver needs.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of the receiver")]
pub enum Outlet {
    Telegram {
        api_url: String,
        token: Secret,
        chat: String,
        thread: Option<i64>,
        approvers: Option<Vec<i64>>,
    },
    Smtp {
        host: String,
        port: u16,
        tls: Encryption,
        ca_file: Option<PathBuf>,
        hello: Option<String>,
        login: Option<(String, Secret)>,
        from: String,
        to: Vec<String>,
    },
    Slack {
        url: Secret,
    },
    Webhook {
        url: Secret,
        secret: Option<Secret>,
    },
    Syslog {
        protocol: Protocol,
        address: String,
        facility: u8,
    },
}

impl Receiver {
    /// When it isn't to be disturbed.
    pub fn quiet(&self) -> Option<Quiet> {
        quiet(self.quiet_hours.as_deref(), &self.time_zone, self.quiet_critical)
    }

    /// What its type needs. Reads the files that hold secrets.
    pub fn outlet(&self) -> anyhow::Result<Outlet> {
        let read = |key: &str, value: &Option<Secret>, file: &Option<PathBuf>| {
            let of_receiver = || format!("{key}_file of the receiver {}", self.name);
            let given = secret::given(value, "", file).with_context(of_receiver)?;
            let empty = given.as_ref().is_some_and(|secret| secret.expose().is_empty());
            anyhow::ensure!(!empty || value.is_some(), "{}: it is empty", of_receiver());
            anyhow::Ok(given)
        };
        let needed =
            |key: &str, value: Option<Secret>| value.with_context(|| format!("{key} of {} is missing", self.name));
        let url = || {
            let url = needed("url", read("url", &self.url, &self.url_file)?)?;
            match text::wrong_http_url(url.expose()) {
                Some(sentence) => bail!("url of {} {sentence}", self.name),
                None => anyhow::Ok(url),
            }
        };
        Ok(match self.kind {
            Kind::Telegram => Outlet::Telegram {
                api_url: self.api_url.clone().unwrap_or_else(|| "https://api.telegram.org".to_owned()),
                token: needed("token", read("token", &self.token, &self.token_file)?)?,
                chat: match &self.chat_id {
                    Some(Chat::Number(number)) => number.to_string(),
                    Some(Chat::Name(name)) => name.clone(),
                    None => bail!("chat_id of {} is missing", self.name),
                },
                thread: self.thread_id,
                approvers: self.approvals.then(|| self.allowed_users.clone()),
            },
            Kind::Smtp => {
                let tls = self.tls.unwrap_or(Encryption::Starttls);
                let usual = match tls {
                    Encryption::Starttls => 587,
                    Encryption::Tls => 465,
                    Encryption::None => 25,
                };
                let password = read("password", &self.password, &self.password_file)?;
                Outlet::Smtp {
                    host: self.host.clone().with_context(|| format!("host of {} is missing", self.name))?,
                    port: self.port.unwrap_or(usual),
                    tls,
                    ca_file: self.ca_file.clone(),
                    hello: self.hello.clone(),
                    login: self.user.clone().zip(password),
                    from: self.from.clone().with_context(|| format!("from of {} is missing", self.name))?,
                    to: self.to.clone(),
                }
            }
            Kind::Slack => Outlet::Slack { url: url()? },
            Kind::Webhook => Outlet::Webhook { url: url()?, secret: read("secret", &self.secret, &self.secret_file)? },
            Kind::Syslog => {
                let protocol = self.protocol.unwrap_or(Protocol::Unix);
                let address = self.address.clone().or((protocol == Protocol::Unix).then(|| "/dev/log".to_owned()));
                Outlet::Syslog {
                    protocol,
                    address: address.with_context(|| format!("address of {} is missing", self.name))?,
                    facility: self.facility.unwrap_or(Facility::Daemon) as u8,
                }
            }
        })
    }

    pub(super) fn check(&self, key: &str, complaints: &mut Complaints) {
        let mut wrong = |name: &str, sentence: &str| complaints.add(format!("{key}.{name}"), sentence.to_owned());
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if !(1..=64).contains(&self.name.len()) || !self.name.bytes().all(plain) {
            wrong("name", "must have 1 to 64 characters out of a-z A-Z 0-9 _ . -");
        }
        if let Some(sentence) = text::wrong_window(self.quiet_hours.as_deref(), "22:00-06:00") {
            wrong("quiet_hours", &sentence);
        }
        for (name, kinds, set) in self.keys() {
            if set && !kinds.contains(&self.kind) {
                wrong(name, "is no key of this type of receiver");
            }
        }
        for (name, value, file) in self.secrets() {
            if value.is_some() && file.is_some() {
                wrong(&format!("{name}_file"), &format!("is set beside {name}; say it once"));
            }
            let needed = match self.kind {
                Kind::Telegram => name == "token",
                Kind::Slack | Kind::Webhook => name == "url",
                Kind::Smtp | Kind::Syslog => false,
            };
            if needed && value.is_none() && file.is_none() {
                wrong(name, &format!("is missing, and so is {name}_file"));
            }
        }
        for (name, url) in [("url", self.url.as_ref().map(Secret::expose)), ("api_url", self.api_url.as_deref())] {
            if let Some(sentence) = url.and_then(text::wrong_http_url) {
                wrong(name, &sentence);
            }
        }
        self.check_kind(&mut wrong);
    }

    fn check_kind(&self, wrong: &mut dyn FnMut(&str, &str)) {
        match self.kind {
            Kind::Telegram => {
                match &self.chat_id {
                    None => wrong("chat_id", "is missing"),
                    Some(Chat::Name(name)) if !name.starts_with('@') => {
                        wrong("chat_id", "must be a number, or the @name of a channel");
                    }
                    Some(_) => {}
                }
                if self.approvals && self.allowed_users.is_empty() {
                    wrong("allowed_users", "must name the users who may approve, by their number");
                }
            }
            Kind::Smtp => {
                for (name, missing) in
                    [("host", self.host.is_none()), ("from", self.from.is_none()), ("to", self.to.is_empty())]
                {
                    if missing {
                        wrong(name, "is missing");
                    }
                }
                let password = self.password.is_some() || self.password_file.is_some();
                if self.user.is_some() != password {
                    wrong("user", "user and password go together");
                }
                if self.hello.as_deref().is_some_and(|name| !is_name(name)) {
                    wrong(
                        "hello",
                        "must be a name of a machine such as mail.example.org, or an address such as [192.0.2.1]",
                    );
                }
                if self.ca_file.is_some() && self.tls == Some(Encryption::None) {
                    wrong("ca_file", "is of no use without TLS");
                }
                if password && self.tls == Some(Encryption::None) {
                    wrong("tls", "a password is not sent without TLS");
                }
            }
            Kind::Syslog => {
                let unix = self.protocol.is_none_or(|protocol| protocol == Protocol::Unix);
                match self.address.as_deref() {
                    None if !unix => wrong("address", "is missing: HOST:PORT"),
                    Some(path) if unix && !path.starts_with('/') => wrong("address", "must be the path of a socket"),
                    Some(address)
                        if !unix && address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) =>
                    {
                        wrong("address", "must be HOST:PORT");
                    }
                    _ => {}
                }
            }
            Kind::Slack | Kind::Webhook => {}
        }
    }

    fn secrets(&self) -> [(&'static str, &Option<Secret>, &Option<PathBuf>); 4] {
        [
            ("url", &self.url, &self.url_file),
            ("secret", &self.secret, &self.secret_file),
            ("token", &self.token, &self.token_file),
            ("password", &self.password, &self.password_file),
        ]
    }

    /// Each key that not all types have: its types, and whether it is set.
    fn keys(&self) -> [(&'static str, &'static [Kind], bool); 24] {
        const TELEGRAM: &[Kind] = &[Kind::Telegram];
        const SMTP: &[Kind] = &[Kind::Smtp];
        const HTTP: &[Kind] = &[Kind::Slack, Kind::Webhook];
        const WEBHOOK: &[Kind] = &[Kind::Webhook];
        const SYSLOG: &[Kind] = &[Kind::Syslog];
        [
            ("url", HTTP, self.url.is_some()),
            ("url_file", HTTP, self.url_file.is_some()),
            ("secret", WEBHOOK, self.secret.is_some()),
            ("secret_file", WEBHOOK, self.secret_file.is_some()),
            ("api_url", TELEGRAM, self.api_url.is_some()),
            ("token", TELEGRAM, self.token.is_some()),
            ("token_file", TELEGRAM, self.token_file.is_some()),
            ("chat_id", TELEGRAM, self.chat_id.is_some()),
            ("thread_id", TELEGRAM, self.thread_id.is_some()),
            ("approvals", TELEGRAM, self.approvals),
            ("allowed_users", TELEGRAM, !self.allowed_users.is_empty()),
            ("host", SMTP, self.host.is_some()),
            ("port", SMTP, self.port.is_some()),
            ("tls", SMTP, self.tls.is_some()),
            ("ca_file", SMTP, self.ca_file.is_some()),
            ("hello", SMTP, self.hello.is_some()),
            ("user", SMTP, self.user.is_some()),
            ("password", SMTP, self.password.is_some()),
            ("password_file", SMTP, self.password_file.is_some()),
            ("from", SMTP, self.from.is_some()),
            ("to", SMTP, !self.to.is_empty()),
            ("protocol", SYSLOG, self.protocol.is_some()),
            ("address", SYSLOG, self.address.is_some()),
            ("facility", SYSLOG, self.facility.is_some()),
        ]
    }
}

/// What may stand after EHLO.
fn is_name(name: &str) -> bool {
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    if let Some(address) = address {
        return address.trim_start_matches("IPv6:").parse::<std::net::IpAddr>().is_ok();
    }
    let fits = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (1..=63).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(fits)
}
