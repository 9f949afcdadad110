//! `[[items]]` and `[defaults]`: what is expected of single items, and of all others.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::errors::Complaints;
use super::text;
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::policy::{ItemRule, Overrides};

/// What is expected of backups.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    /// Pause between two backups.
    #[serde(deserialize_with = "text::some_duration")]
    pub interval: Option<Duration>,
    /// How much longer it may take.
    #[serde(deserialize_with = "text::some_duration")]
    pub grace: Option<Duration>,
    /// Smallest size that is a backup.
    #[serde(deserialize_with = "text::some_size")]
    pub minimum_size: Option<u64>,
}

impl Expected {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides { interval: self.interval, grace: self.grace, minimum_size: self.minimum_size }
    }

    pub(super) fn check(&self, key: &str, complaints: &mut Complaints) {
        if self.interval.is_some_and(|interval| interval < Duration::from_secs(60)) {
            complaints.add(format!("{key}.interval"), "must be at least 1m".to_owned());
        }
        if let (Some(interval), Some(grace)) = (self.interval, self.grace)
            && grace > interval
        {
            let sentence = "must not be longer than the interval: late would come after missing".to_owned();
            complaints.add(format!("{key}.grace"), sentence);
        }
    }
}

/// Settings of one item.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its source.
    pub source: SourceName,
    /// Its id: `qemu/100`, `dump/shop`.
    pub item: ItemId,
    /// Puts it into this environment.
    #[serde(default)]
    pub environment: Option<Arc<str>>,
    /// Pause between two backups.
    #[serde(default, deserialize_with = "text::some_duration")]
    pub interval: Option<Duration>,
    /// How much longer it may take.
    #[serde(default, deserialize_with = "text::some_duration")]
    pub grace: Option<Duration>,
    /// Smallest size that is a backup.
    #[serde(default, deserialize_with = "text::some_size")]
    pub minimum_size: Option<u64>,
}

impl Item {
    fn expected(&self) -> Expected {
        Expected { interval: self.interval, grace: self.grace, minimum_size: self.minimum_size }
    }

    pub(super) fn rule(&self) -> ItemRule {
        ItemRule {
            source: self.source.clone(),
            item: self.item.clone(),
            environment: self.environment.clone(),
            overrides: self.expected().overrides(),
        }
    }

    pub(super) fn check(&self, key: &str, complaints: &mut Complaints) {
        self.expected().check(key, complaints);
    }
}
