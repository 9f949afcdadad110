//! Tells somebody.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Deed, Resolve, Sort};
use crate::domain::automation::alert::Status;
use crate::domain::automation::subject::{Refusal, Subject};
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::notice::digest::cut;
use crate::domain::notice::{Notice, Phase, Topic, Urgency};

/// What is so of all notifications: who was told of what is the notifier's to know, so that there is no cooldown.
pub(super) const SORT: Sort =
    Sort { label: "notify", idempotent: true, acts: false, ends_apart: true, at_once: 16, cooldown: Duration::ZERO };

/// Texts of alerts are cut to so many characters before they are told.
const LONGEST_TEXT: usize = 2_000;

/// Tells somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Names of receivers; by the routes when empty.
    pub receivers: Vec<Arc<str>>,
    /// How urgent.
    pub severity: Urgency,
    /// One line.
    pub title: Arc<str>,
    /// Further lines.
    pub body: Arc<str>,
    /// Where to read more.
    pub link: Option<Arc<str>>,
    /// It tells of an alert that is over already.
    #[serde(default)]
    pub over: bool,
    /// The story: it is over when the alert is.
    pub story: Arc<str>,
    /// Environment that the alert names.
    pub environment: Option<Arc<str>>,
    /// Source, where the alert names one that is configured.
    pub source: Option<SourceName>,
    /// Item, likewise.
    pub item: Option<ItemId>,
}

impl Deed for Notify {
    fn source(&self) -> Option<&SourceName> {
        self.source.as_ref()
    }

    fn item(&self) -> Option<&ItemId> {
        self.item.as_ref()
    }

    fn identity(&self) -> Vec<String> {
        self.receivers.iter().map(ToString::to_string).collect()
    }

    fn target(&self, of: &Subject<'_>) -> String {
        format!("{} {}", of.alert.fingerprint, self.receivers.join(" "))
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn notice(&self, now: Timestamp) -> Option<Notice> {
        // What tells of an end begins no story: nothing would ever end that.
        let (key, phase) = match self.over {
            true => (format!("{}/over", self.story).into(), Phase::Event),
            false => (self.story.clone(), Phase::Problem),
        };
        Some(Notice {
            key,
            phase,
            severity: self.severity,
            topic: Topic::Alert,
            source: self.source.clone(),
            item: self.item.clone(),
            environment: self.environment.clone(),
            title: self.title.clone(),
            body: self.body.clone(),
            link: self.link.clone(),
            at: now,
            proposal: None,
            receivers: self.receivers.clone(),
        })
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.receivers.is_empty() {
            true => f.write_str("notify by the routes"),
            false => write!(f, "notify {}", self.receivers.join(", ")),
        }
    }
}

/// Whom a rule tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// Names of receivers; by the routes when empty.
    pub receivers: Vec<Arc<str>>,
}

impl Resolve for Template {
    type Deed = Notify;

    fn resolve(&self, of: &Subject<'_>) -> Result<Notify, Refusal> {
        let alert = of.alert;
        let text = |name: &str| alert.annotations.get(name).map(|text| cut(text, LONGEST_TEXT)).unwrap_or_default();
        let title = Some(text("summary")).filter(|title| !title.is_empty()).unwrap_or_else(|| {
            let name = Some(alert.label("alertname")).filter(|name| !name.is_empty()).unwrap_or("an alert");
            format!("{} {}", cut(name, 200), if alert.status() == Status::Firing { "fires" } else { "is over" })
        });
        let found = of.source().ok();
        let environment = Some(alert.label("environment")).filter(|name| !name.is_empty());
        Ok(Notify {
            over: alert.status() == Status::Resolved,
            receivers: self.receivers.clone(),
            severity: Urgency::parse(alert.label("severity")).unwrap_or(Urgency::Warning),
            title: title.into(),
            body: text("description").into(),
            link: alert.annotations.get("runbook_url").cloned().filter(|url| is_link(url)),
            story: format!("alert/{}", alert.fingerprint).into(),
            environment: environment.map(|name| cut(name, 100).into()),
            item: found.as_ref().and_then(|source| of.item(source).ok()),
            source: found,
        })
    }
}

fn is_link(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://")) && url.len() <= 1_000 && !url.contains(char::is_control)
}
