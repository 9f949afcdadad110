//! What goes wrong between us and a server, and what a person can do about it.

use std::time::Duration;

use super::account::Account;
use super::xml::XmlError;
use crate::domain::look::{ErrorKind, LookError};
use crate::domain::printable::printable;

/// The rights that a look needs.
pub(super) const RIGHTS: &str =
    "it needs the role Read-only on the topmost object, propagated to all below (docs/esxi.md)";

/// Why there is no answer, or none that can be used.
#[derive(Debug)]
pub(super) enum Failure {
    /// Not in time.
    Timeout,
    /// No connection, or it was cut, for this reason.
    NoAnswer(String),
    /// Nobody who is trusted vouches for the certificate, for this reason.
    Untrusted(String),
    /// The certificate isn't the one that is trusted; its thumbprint.
    OtherCertificate(String),
    /// The answer sends us elsewhere. Nobody goes there: the password would go along.
    Redirect(u16),
    /// A status that says no, or an answer that isn't of the API at all.
    Status(u16),
    /// A reply that can't be read.
    Reply(XmlError),
    /// A reply that lacks this.
    Lacks(&'static str),
    /// Something that there is too much of.
    TooMuch(&'static str),
    /// The server itself says no: the name of the fault and its words.
    Fault { name: String, words: String },
    /// It said no to the password before; it is asked again after this time.
    NotAskedAgain(Duration),
    /// It shows nothing.
    ShowsNothing,
}

impl Failure {
    /// Whether it is this fault.
    pub(super) fn is_fault(&self, fault: &str) -> bool {
        matches!(self, Self::Fault { name, .. } if name == fault)
    }

    /// Whether the connection was at fault, so that the same may go well on another one.
    pub(super) fn is_of_the_connection(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Reply(XmlError::Io(error)) => error.kind() != std::io::ErrorKind::TimedOut,
            _ => false,
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Timeout => ErrorKind::Timeout,
            Self::Reply(XmlError::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut => ErrorKind::Timeout,
            Self::Untrusted(_) | Self::OtherCertificate(_) => ErrorKind::PermissionDenied,
            Self::NotAskedAgain(_) | Self::ShowsNothing => ErrorKind::PermissionDenied,
            Self::Status(401 | 403) => ErrorKind::PermissionDenied,
            Self::Fault { name, .. } => match name.as_str() {
                "InvalidLogin" | "NotAuthenticated" | "NoPermission" | "InvalidLocale" => ErrorKind::PermissionDenied,
                _ => ErrorKind::Io,
            },
            _ => ErrorKind::Io,
        }
    }

    /// The same for a look. `doing` says at what, `account` as whom.
    pub(super) fn look_error(&self, doing: &str, account: &Account) -> LookError {
        LookError::new(self.kind(), format!("{doing}: {}", self.sentence(account)))
    }

    fn sentence(&self, account: &Account) -> String {
        let user = &account.user;
        match self {
            Self::Timeout => "the server doesn't answer in time".to_owned(),
            Self::NoAnswer(why) => format!("no answer: {why}; is the url right, and does the server run?"),
            Self::Untrusted(why) => {
                format!("its certificate isn't trusted ({why}); thumbprint or ca_file says which one is (docs/esxi.md)")
            }
            Self::OtherCertificate(thumbprint) => format!(
                "its certificate has another thumbprint than the configured one: {thumbprint}. Somebody renewed it, or it is another server: compare it on the server's console before it is put into thumbprint"
            ),
            Self::Redirect(status) => {
                format!("it answers with a redirect ({status}), which isn't followed; url must be where the API is")
            }
            Self::Status(status) => {
                format!("it answers {status} with something that isn't of the API; is there a proxy in between?")
            }
            Self::Reply(error) => error.to_string(),
            Self::Lacks(what) => format!("the reply lacks {what}"),
            Self::TooMuch(what) => format!("it tells of too many {what}"),
            Self::Fault { name, words } => {
                let advice = match name.as_str() {
                    "InvalidLogin" => format!("; {user} or the password is wrong, or the account is locked"),
                    "NoPermission" => format!("; {user} may not do this: {RIGHTS}"),
                    "NotAuthenticated" => "; the session was ended again and again".to_owned(),
                    "RestrictedVersion" => "; the licence of the host doesn't allow it".to_owned(),
                    _ => String::new(),
                };
                // A server, or what stands before it, may say back whatever it was sent.
                let said = if words.is_empty() { name.clone() } else { format!("{name}: {words}") };
                format!("{}{advice}", account.password.taken_out_of(&printable(said.as_bytes())))
            }
            Self::NotAskedAgain(left) => format!(
                "InvalidLogin: {user} or the password is wrong, or the account is locked. It is tried again in {} min, so that our tries don't lock the account; a restart tries at once",
                left.as_secs().div_ceil(60)
            ),
            Self::ShowsNothing => format!("the server shows {user} no host at all; {RIGHTS}"),
        }
    }
}

impl From<XmlError> for Failure {
    fn from(error: XmlError) -> Self {
        Self::Reply(error)
    }
}
