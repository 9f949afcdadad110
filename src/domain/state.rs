//! Terraform states: what one says of itself, and what its versions say of each other.

pub mod cache;
pub mod contents;
pub mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::ids::ItemId;

/// What a state says of itself. Nothing of what it manages: that holds secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFacts {
    /// Rises by one with each change.
    pub serial: u64,
    /// Given when the state is made, and the same for all its life; empty in very old ones.
    pub lineage: Box<str>,
    /// What wrote it.
    pub terraform_version: Box<str>,
    /// Resources that it manages.
    pub resources: u64,
    /// Their instances.
    pub instances: u64,
}

/// A state that is larger is neither read into memory nor kept: no Terraform of today handles one. In bytes.
pub const LARGEST: u64 = 512 << 20;

/// A drop to less than this part of the resources of before is worth a look.
const SUDDEN: u64 = 2;

/// With fewer resources a drop says nothing.
const ENOUGH: u64 = 4;

/// What is odd about the newest version of a state, next to the one before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oddities {
    /// The serial is lower: an older state was put over a newer one.
    pub serial_went_back: bool,
    /// The serial is the same, and the content isn't.
    pub serial_twice: bool,
    /// It is another state altogether.
    pub lineage_changed: bool,
    /// Most resources are gone.
    pub resources_dropped: bool,
}

impl Oddities {
    /// Of a version after another one; `same` when their content is.
    pub fn of(before: &StateFacts, now: &StateFacts, same: bool) -> Self {
        let lineage_changed = !before.lineage.is_empty() && !now.lineage.is_empty() && before.lineage != now.lineage;
        Self {
            // Serials of two states say nothing of each other.
            serial_went_back: !lineage_changed && now.serial < before.serial,
            serial_twice: !lineage_changed && now.serial == before.serial && !same,
            lineage_changed,
            resources_dropped: before.resources >= ENOUGH && now.resources < before.resources / SUDDEN,
        }
    }

    /// Whether anything is odd.
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// The same in one sentence for a person.
    pub fn sentence(self, before: &StateFacts, now: &StateFacts) -> Option<String> {
        if self.lineage_changed {
            return Some(format!(
                "it is another state than the version before: lineage {} after {}",
                now.lineage, before.lineage
            ));
        }
        if self.serial_went_back {
            return Some(format!(
                "its serial went back from {} to {}: an older state was put over a newer one",
                before.serial, now.serial
            ));
        }
        if self.serial_twice {
            return Some(format!("its serial {} is that of the version before, and its content isn't", now.serial));
        }
        self.resources_dropped.then(|| {
            format!("it manages {} resources, and the version before managed {}", now.resources, before.resources)
        })
    }
}

/// What a state says, and how that goes with the version before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateSeries {
    /// What the newest version says.
    pub newest: StateFacts,
    /// What is odd about it.
    pub oddities: Oddities,
    /// The same for a person.
    pub odd: Option<Arc<str>>,
}

impl StateSeries {
    /// Of the newest version. The one before it may be known, and whether its content is the same.
    pub fn of(before: Option<(&StateFacts, bool)>, newest: &StateFacts) -> Self {
        let oddities = before.map(|(before, same)| Oddities::of(before, newest, same)).unwrap_or_default();
        let odd = before.and_then(|(before, _)| oddities.sentence(before, newest));
        Self { newest: newest.clone(), oddities, odd: odd.map(Into::into) }
    }
}

/// A lock that Terraform holds on a state, as the object beside it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateLock {
    /// Who holds it: `user@host`.
    pub who: Arc<str>,
    /// What it does: `OperationTypeApply`.
    pub operation: Arc<str>,
    /// Since when, by the object.
    pub since: Timestamp,
}

/// What is seen of a state beside its versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateView {
    /// Versions, delete markers not counted.
    pub versions: u64,
    /// Delete markers.
    pub delete_markers: u64,
    /// Who holds the lock, if somebody does.
    pub lock: Option<StateLock>,
}

/// The states of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateBook(pub BTreeMap<ItemId, StateView>);

/// Whether a bucket keeps versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioning {
    /// Every version is kept.
    Enabled,
    /// No more: a write goes over what is there.
    Suspended,
    /// It never did.
    Off,
}

/// What protects the versions of a bucket from being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectLock {
    /// Nothing: whoever has the key may delete them for good.
    Off,
    /// They may be locked.
    On {
        /// For how long, where nobody says it of a single one.
        retention: Option<SignedDuration>,
    },
}

/// How a bucket is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Whether it keeps versions.
    pub versioning: Versioning,
    /// What protects them; `None` where the server doesn't say.
    pub lock: Option<ObjectLock>,
}

/// The buckets of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketBook(pub BTreeMap<Arc<str>, Bucket>);

/// What a server of objects says of itself, as MinIO does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerHealth {
    /// It takes requests.
    pub live: bool,
    /// Enough of its drives are there to write.
    pub cluster: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(serial: u64, lineage: &str, resources: u64) -> StateFacts {
        StateFacts { serial, lineage: lineage.into(), resources, ..StateFacts::default() }
    }

    #[test]
    fn versions_are_compared_with_the_one_before() {
        let odd = |before: &StateFacts, now: &StateFacts| {
            let oddities = Oddities::of(before, now, false);
            assert_eq!(oddities.any(), oddities.sentence(before, now).is_some());
            oddities.sentence(before, now).unwrap_or_default()
        };
        let five = facts(5, "a", 10);
        assert_eq!(odd(&five, &facts(6, "a", 9)), "");
        assert_eq!(odd(&five, &facts(6, "", 9)), "", "an old state without a lineage says nothing");
        assert!(odd(&five, &facts(3, "a", 10)).contains("went back from 5 to 3"));
        assert!(odd(&five, &facts(3, "b", 10)).contains("another state"));
        assert!(odd(&five, &facts(6, "a", 4)).contains("manages 4 resources"));
        assert_eq!(odd(&facts(5, "a", 3), &facts(6, "a", 0)), "", "of few resources all may go");
        assert!(odd(&five, &five).contains("its content isn't"));
        assert!(!Oddities::of(&five, &five, true).any(), "the same once more is the same");
    }
}
