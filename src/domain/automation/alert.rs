//! Alerts as Alertmanager tells them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::occurrence::Event;

/// Labels or annotations of an alert.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// Whether an alert fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It fires.
    Firing,
    /// It is over.
    Resolved,
}

impl Status {
    /// Both, in label order.
    pub const ALL: [Self; 2] = [Self::Firing, Self::Resolved];

    /// As in payloads and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// One alert of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Whether it fires.
    pub status: Status,
    /// Hash of its labels, 16 hexadecimal digits: the same alert has the same one for ever.
    pub fingerprint: Arc<str>,
    /// When it began to fire, as the sender has it: other senders and later messages may have it otherwise.
    pub starts_at: Timestamp,
    /// When it ended, where it is over and that is said.
    pub ends_at: Option<Timestamp>,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
    /// Where it comes from.
    pub generator_url: Arc<str>,
}

impl Alert {
    /// What it says.
    pub const fn event(&self) -> Event {
        match self.status {
            Status::Firing => Event::Firing { start: self.starts_at },
            Status::Resolved => Event::Resolved { start: self.starts_at, end: self.ends_at },
        }
    }

    /// A label; empty where there is none, as Prometheus has it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", |value| value)
    }
}

/// A notification of Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Name of the receiver in Alertmanager's configuration, without the quoting of the payload.
    pub receiver: Arc<str>,
    /// Identifies the group.
    pub group_key: Arc<str>,
    /// So many alerts were left out by `max_alerts`.
    pub truncated: u64,
    /// The alerts.
    pub alerts: Vec<Alert>,
}

/// An alert as the store keeps it: one row per occurrence and receiver, however often and with whatever starts it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptAlert {
    /// Rises with every new alert.
    pub id: i64,
    /// See [`Alert::fingerprint`].
    pub fingerprint: Arc<str>,
    /// Counts the [occurrences](super::occurrence) of the alert.
    pub occurrence: i64,
    /// When it began to fire: the start that was told first.
    pub starts_at: Timestamp,
    /// It had been told to be over and fires on: another occurrence may have the same start.
    pub reopened: bool,
    /// The start that was told last.
    pub last_start: Timestamp,
    /// The receiver it was told for.
    pub receiver: Arc<str>,
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// Where it comes from.
    pub generator_url: Arc<str>,
    /// When it was heard of first.
    pub first_received: Timestamp,
    /// When it was heard of last.
    pub last_received: Timestamp,
    /// How often.
    pub times: i64,
    /// How often it was told to fire after it was over.
    pub late: i64,
    /// When it was told to be over.
    pub resolved_at: Option<Timestamp>,
}

impl KeptAlert {
    /// Whether it fires, as far as was told.
    pub fn status(&self) -> Status {
        if self.resolved_at.is_some() { Status::Resolved } else { Status::Firing }
    }

    /// What tells this occurrence from the others of the alert.
    pub fn instance(&self) -> String {
        // Two that aren't reopened never have the same start.
        if self.reopened { format!("{} again {}", self.starts_at, self.occurrence) } else { self.starts_at.to_string() }
    }

    /// A label; empty where there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", |value| value)
    }
}
