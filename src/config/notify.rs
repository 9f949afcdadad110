//! `[notify]`: who is told of what.

mod receiver;
mod route;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

pub use self::receiver::{Encryption, Facility, Kind, Outlet, Protocol, Receiver};
pub use self::route::Route;
use super::errors::Complaints;
use super::text;
use crate::domain::notice::routes::{Recipient, Routes};

/// A repeat that comes more often than this would be noise.
const SHORTEST_REPEAT: Duration = Duration::from_secs(60);

/// Notifications.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// Whether firedrill tells of backups and sources by itself, without Alertmanager.
    pub backups: bool,
    /// A problem that lasts is told again after this.
    #[serde(deserialize_with = "text::duration")]
    pub repeat_interval: Duration,
    /// What could not be delivered for so long is dropped.
    #[serde(deserialize_with = "text::duration")]
    pub give_up_after: Duration,
    /// Notices wait so long for others to go with them.
    #[serde(deserialize_with = "text::duration")]
    pub digest_wait: Duration,
    /// More waiting notices than this are one message.
    pub digest_above: usize,
    /// Everybody who can be told.
    pub receivers: Vec<Receiver>,
    /// Who is told of what; the first that fits.
    pub routes: Vec<Route>,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            backups: true,
            repeat_interval: Duration::from_secs(24 * 60 * 60),
            give_up_after: Duration::from_secs(24 * 60 * 60),
            digest_wait: Duration::from_secs(5),
            digest_above: 5,
            receivers: Vec::new(),
            routes: Vec::new(),
        }
    }
}

impl Notify {
    /// Who is told of what.
    pub fn plan(&self) -> Routes {
        let recipient = |it: &Receiver| Recipient { name: it.name.clone(), quiet: it.quiet() };
        Routes {
            recipients: self.receivers.iter().map(recipient).collect(),
            routes: self.routes.iter().map(Route::compiled).collect(),
        }
    }

    pub(super) fn check(&self, complaints: &mut Complaints) {
        if self.repeat_interval < SHORTEST_REPEAT {
            complaints.add("notify.repeat_interval".to_owned(), "must be at least 1m".to_owned());
        }
        if self.give_up_after < SHORTEST_REPEAT {
            complaints.add("notify.give_up_after".to_owned(), "must be at least 1m".to_owned());
        }
        if self.digest_wait > SHORTEST_REPEAT {
            complaints.add("notify.digest_wait".to_owned(), "must be at most 1m".to_owned());
        }
        if self.digest_above == 0 {
            complaints.add("notify.digest_above".to_owned(), "must be at least 1".to_owned());
        }
        let mut names = BTreeSet::new();
        for (index, receiver) in self.receivers.iter().enumerate() {
            let key = format!("notify.receivers.{index}");
            receiver.check(&key, complaints);
            if !names.insert(&receiver.name) {
                let sentence = format!("another receiver is called {} already", receiver.name);
                complaints.add(format!("{key}.name"), sentence);
            }
        }
        for (index, route) in self.routes.iter().enumerate() {
            let key = format!("notify.routes.{index}");
            route.check(&key, complaints);
            if complaints.left_out("notify.receivers") {
                continue;
            }
            for unknown in route.receivers.iter().filter(|name| !names.contains(name)) {
                complaints.add(format!("{key}.receivers"), format!("there is no receiver called {unknown}"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
