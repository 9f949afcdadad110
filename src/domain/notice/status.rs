//! The notifier at one moment, for the metrics.

use std::sync::Arc;

use jiff::Timestamp;

/// How the notifier stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NotifierStatus {
    /// In the order of the configuration.
    pub receivers: Vec<ReceiverStatus>,
}

/// How one receiver stands. Counters are since the start of the process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReceiverStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Notices that were delivered.
    pub sent: u64,
    /// Tries that failed and are made again.
    pub retried: u64,
    /// Notices that were given up.
    pub dropped: u64,
    /// Notices that were not sent because they would have said nothing new.
    pub suppressed: u64,
    /// Notices that wait.
    pub queued: u64,
    /// Since when the oldest of them waits, quiet hours aside.
    pub oldest: Option<Timestamp>,
    /// Whether the last try worked; `None` while nothing is known.
    pub up: Option<bool>,
}

impl ReceiverStatus {
    /// Whether anything was delivered since the start.
    pub fn tried(&self) -> bool {
        self.sent > 0
    }
}

impl NotifierStatus {
    /// Receivers that did nothing yet.
    pub fn of(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        let fresh = |name| ReceiverStatus { name, ..ReceiverStatus::default() };
        Self { receivers: names.into_iter().map(fresh).collect() }
    }

    /// The receiver of this name.
    pub fn receiver(&mut self, name: &str) -> Option<&mut ReceiverStatus> {
        self.receivers.iter_mut().find(|it| &*it.name == name)
    }
}
