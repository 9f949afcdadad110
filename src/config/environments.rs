//! `[[environments]]`: classes of items such as prod and lab, and what they expect. Also the criteria that choose items.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::errors::Complaints;
use super::items::Expected;
use super::text;
use crate::domain::policy::{self, Matcher};

/// Criteria; any single one that fits is enough.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Criteria {
    /// VMIDs and ranges of them: `"100-199"`.
    pub ids: Vec<String>,
    /// Patterns for the name of the guest or dump: `"web-*"`.
    pub names: Vec<String>,
    /// Tags of the guest.
    pub tags: Vec<String>,
    /// Patterns for the notes of the guest, or of its newest backup: `"*critical*"`.
    pub notes: Vec<String>,
}

impl Criteria {
    /// The matcher. Texts that can't be used were refused when the file was checked.
    pub fn matcher(&self) -> Matcher {
        Matcher::new(&self.ids, &self.names, &self.tags, &self.notes).unwrap_or_default()
    }

    /// Those of both.
    pub fn or(&self, other: &Self) -> Self {
        let both = |one: &[String], other: &[String]| one.iter().chain(other).cloned().collect();
        Self {
            ids: both(&self.ids, &other.ids),
            names: both(&self.names, &other.names),
            tags: both(&self.tags, &other.tags),
            notes: both(&self.notes, &other.notes),
        }
    }

    pub(super) fn check(&self, key: &str, complaints: &mut Complaints) {
        for error in Matcher::new(&self.ids, &self.names, &self.tags, &self.notes).err().into_iter().flatten() {
            complaints.add(key.to_owned(), error.to_string());
        }
    }
}

/// A class of items.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The `environment` label.
    pub name: Arc<str>,
    /// Which items belong to it. Without criteria only those that name it.
    #[serde(default)]
    pub matches: Criteria,
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

impl Environment {
    fn expected(&self) -> Expected {
        Expected { interval: self.interval, grace: self.grace, minimum_size: self.minimum_size }
    }

    pub(super) fn rule(&self) -> policy::Environment {
        policy::Environment {
            name: self.name.clone(),
            matcher: self.matches.matcher(),
            overrides: self.expected().overrides(),
        }
    }

    pub(super) fn check(&self, key: &str, complaints: &mut Complaints) {
        if self.name.is_empty() || self.name.len() > 64 || self.name.chars().any(char::is_control) {
            complaints.add(format!("{key}.name"), "must have 1 to 64 printable characters".to_owned());
        }
        self.matches.check(&format!("{key}.matches"), complaints);
        self.expected().check(key, complaints);
    }
}
