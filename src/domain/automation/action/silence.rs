//! Silences the alert in Alertmanager.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Deed, Resolve, Sort};
use crate::domain::age;
use crate::domain::automation::alert::Labels;
use crate::domain::automation::subject::{Refusal, Subject};

/// What is so of all silences.
pub(super) const SORT: Sort = Sort {
    label: "silence",
    idempotent: true,
    acts: true,
    ends_apart: false,
    at_once: 4,
    cooldown: Duration::from_secs(60 * 60),
};

/// Silences the alert in Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Labels that the silence matches, all of them.
    pub matchers: Labels,
    /// Seconds from its start to its end.
    pub duration: u64,
}

impl Deed for Silence {
    fn identity(&self) -> Vec<String> {
        self.matchers.iter().flat_map(|(name, value)| [name.to_string(), value.to_string()]).collect()
    }

    fn target(&self, of: &Subject<'_>) -> String {
        of.alert.fingerprint.to_string()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(60)
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matchers: Vec<String> = self.matchers.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(f, "silence {} for {}", matchers.join(" "), age::words(Duration::from_secs(self.duration)))
    }
}

/// How long, and by which labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// From start to end.
    pub duration: Duration,
    /// Labels that the silence matches; all of the alert when empty.
    pub labels: Vec<Arc<str>>,
}

impl Resolve for Template {
    type Deed = Silence;

    fn resolve(&self, of: &Subject<'_>) -> Result<Silence, Refusal> {
        let duration = self.duration.as_secs();
        if self.labels.is_empty() {
            return Ok(Silence { matchers: of.alert.labels.clone(), duration });
        }
        let mut matchers = Labels::new();
        for label in &self.labels {
            let value = of.alert.labels.get(label).ok_or_else(|| Refusal::NoLabel(label.clone()))?;
            matchers.insert(label.clone(), value.clone());
        }
        Ok(Silence { matchers, duration })
    }
}
