//! What all sources have in common: their keys, written once, and what the rest of the configuration asks of them.

use std::time::Duration;

use super::environments::Criteria;
use super::errors::Complaints;
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::look::{Medium, PlaceSpec, SourceKind, SourceSpec};
use crate::domain::policy::Matcher;

/// A failed backup must reach a person within ten minutes: two for the scan leave eight for rule and notification.
pub(super) const fn scan_interval() -> Duration {
    Duration::from_secs(120)
}

/// A scan that takes longer has failed, where nothing else is said.
pub const SCAN_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) const fn scan_timeout() -> Duration {
    SCAN_TIMEOUT
}

/// Shortest pause between two scans that is accepted.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Longest pause between two scans that is accepted: what is known would be older than most backups.
const LONGEST_INTERVAL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The keys that every source has; [`source!`] writes this.
pub(crate) trait Common {
    /// Its name, the `source` label.
    fn name(&self) -> &SourceName;

    /// Less than `verify.level` is enough here.
    fn accept_level(&self) -> Option<u8>;

    /// A scan of it may take so long, whatever the file says.
    fn set_scan_timeout(&mut self, timeout: Duration);

    /// Complains about these keys.
    fn check_common(&self, key: &str, complaints: &mut Complaints);
}

/// A configured source.
pub(crate) trait Section: Common {
    /// What the domain knows of it.
    fn spec(&self) -> SourceSpec;

    /// What its items are, with examples of how they are written.
    fn items(&self) -> &'static str;

    /// Whether an item can be one of its.
    fn may_hold(&self, item: &ItemId) -> bool;

    /// Servers that its places are on: key and name of the `[[s3]]` section, each.
    fn servers(&self) -> Vec<(String, &SourceName)> {
        Vec::new()
    }

    /// Complains about its own keys. `key` is where it stands: `vzdump.0`.
    fn check_own(&self, key: &str, complaints: &mut Complaints);

    /// Complains about everything that is wrong with it.
    fn check(&self, key: &str, complaints: &mut Complaints) {
        self.check_own(key, complaints);
        self.check_common(key, complaints);
    }
}

/// Complains about when it is looked at.
pub(super) fn check_schedule(key: &str, (interval, timeout): (Duration, Duration), complaints: &mut Complaints) {
    for (name, value) in [("scan_interval", interval), ("scan_timeout", timeout)] {
        if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&value) {
            complaints.add(format!("{key}.{name}"), "must be from 1s to 7d".to_owned());
        }
    }
}

/// Complains about the keys that all have.
pub(super) fn check_common(schedule: (Duration, Duration), exclude: &Criteria, key: &str, complaints: &mut Complaints) {
    check_schedule(key, schedule, complaints);
    exclude.check(&format!("{key}.exclude"), complaints);
}

/// Makes the struct of a source: its own keys, and those that all have.
macro_rules! source {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field:meta])* pub $key:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Its name, the `source` label.
            pub name: $crate::domain::ids::SourceName,
            $($(#[$field])* pub $key: $type,)*
            /// Zone of local times in names of files. The zone of this machine where not said.
            #[serde(default = "jiff::tz::TimeZone::system", deserialize_with = "crate::config::text::time_zone")]
            pub time_zone: jiff::tz::TimeZone,
            /// Items that aren't judged.
            #[serde(default)]
            pub exclude: $crate::config::environments::Criteria,
            /// Pause between two scans.
            #[serde(default = "crate::config::section::scan_interval", deserialize_with = "crate::config::text::duration")]
            pub scan_interval: std::time::Duration,
            /// A scan that takes longer has failed.
            #[serde(default = "crate::config::section::scan_timeout", deserialize_with = "crate::config::text::duration")]
            pub scan_timeout: std::time::Duration,
            /// Less than `verify.level` is enough here.
            #[serde(default)]
            pub accept_level: Option<u8>,
        }

        impl $name {
            /// A source with defaults for the keys that every source has.
            #[allow(dead_code, clippy::too_many_arguments, reason = "not every source is made by code; one for each of its keys")]
            fn with(name: $crate::domain::ids::SourceName, $($key: $type),*) -> Self {
                Self {
                    name,
                    $($key,)*
                    time_zone: jiff::tz::TimeZone::system(),
                    exclude: Default::default(),
                    scan_interval: $crate::config::section::scan_interval(),
                    scan_timeout: $crate::config::section::scan_timeout(),
                    accept_level: None,
                }
            }
        }

        impl $crate::config::section::Common for $name {
            fn name(&self) -> &$crate::domain::ids::SourceName {
                &self.name
            }

            fn accept_level(&self) -> Option<u8> {
                self.accept_level
            }

            fn set_scan_timeout(&mut self, timeout: std::time::Duration) {
                self.scan_timeout = timeout;
            }

            fn check_common(&self, key: &str, complaints: &mut $crate::config::errors::Complaints) {
                let schedule = (self.scan_interval, self.scan_timeout);
                $crate::config::section::check_common(schedule, &self.exclude, key, complaints);
            }
        }
    };
}

/// What the domain knows of a source without backups: one place, and when it is looked at.
pub(super) fn estate_spec(
    name: &SourceName,
    kind: &'static str,
    place: &str,
    (scan_interval, scan_timeout): (Duration, Duration),
) -> SourceSpec {
    SourceSpec {
        name: name.clone(),
        kind: SourceKind::new(kind),
        places: vec![PlaceSpec { path: place.into(), medium: Medium::Local, node: None, readable: true }],
        expected: Vec::new(),
        exclude: Matcher::default(),
        scan_interval,
        scan_timeout,
    }
}

/// Makes the struct of a source without backups: its own keys, and those that all such have.
macro_rules! estate {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field:meta])* pub $key:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Its name, the `source` label.
            pub name: $crate::domain::ids::SourceName,
            $($(#[$field])* pub $key: $type,)*
            /// Pause between two scans.
            #[serde(default = "crate::config::section::scan_interval", deserialize_with = "crate::config::text::duration")]
            pub scan_interval: std::time::Duration,
            /// A scan that takes longer has failed.
            #[serde(default = "crate::config::section::scan_timeout", deserialize_with = "crate::config::text::duration")]
            pub scan_timeout: std::time::Duration,
        }

        impl $crate::config::section::Common for $name {
            fn name(&self) -> &$crate::domain::ids::SourceName {
                &self.name
            }

            fn accept_level(&self) -> Option<u8> {
                None
            }

            fn set_scan_timeout(&mut self, timeout: std::time::Duration) {
                self.scan_timeout = timeout;
            }

            fn check_common(&self, key: &str, complaints: &mut $crate::config::errors::Complaints) {
                let schedule = (self.scan_interval, self.scan_timeout);
                $crate::config::section::check_schedule(key, schedule, complaints);
            }
        }
    };
}

pub(super) use estate;
pub(super) use source;
