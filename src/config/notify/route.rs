//! `[[notify.routes]]`: which notices go to which receivers.

use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::config::errors::Complaints;
use crate::config::text;
use crate::domain::ids::SourceName;
use crate::domain::notice::routes::{self, Quiet};
use crate::domain::notice::{Topic, Urgency};
use crate::domain::window::Window;

/// A route. What isn't set is no criterion.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Names of receivers.
    pub receivers: Vec<Arc<str>>,
    /// The mildest severity that goes this way.
    #[serde(default = "mildest")]
    pub severity: Urgency,
    /// Environments of the item.
    #[serde(default)]
    pub environments: Vec<Arc<str>>,
    /// What it is about.
    #[serde(default)]
    pub topics: Vec<Topic>,
    /// Sources.
    #[serde(default)]
    pub sources: Vec<SourceName>,
    /// Time of day at which what goes this way waits.
    pub quiet_hours: Option<String>,
    /// Zone of the quiet hours.
    #[serde(default = "TimeZone::system", deserialize_with = "text::time_zone")]
    pub time_zone: TimeZone,
    /// Whether even critical notices wait.
    #[serde(default)]
    pub quiet_critical: bool,
    /// Whether further routes are tried after this one.
    #[serde(default, rename = "continue")]
    pub go_on: bool,
}

fn mildest() -> Urgency {
    Urgency::Info
}

pub(super) fn quiet(hours: Option<&str>, zone: &TimeZone, critical_too: bool) -> Option<Quiet> {
    Some(Quiet { hours: Window::parse(hours?, zone.clone())?, critical_too })
}

impl Route {
    pub(super) fn compiled(&self) -> routes::Route {
        routes::Route {
            receivers: self.receivers.clone(),
            severity: self.severity,
            environments: self.environments.clone(),
            topics: self.topics.clone(),
            sources: self.sources.clone(),
            quiet: quiet(self.quiet_hours.as_deref(), &self.time_zone, self.quiet_critical),
            go_on: self.go_on,
        }
    }

    pub(super) fn check(&self, key: &str, complaints: &mut Complaints) {
        if let Some(sentence) = text::wrong_window(self.quiet_hours.as_deref(), "22:00-06:00") {
            complaints.add(format!("{key}.quiet_hours"), sentence);
        }
    }
}
