//! `[[vzdump]]`: directories that vzdump writes to.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Deserialize;

use super::environments::Criteria;
use super::errors::Complaints;
use super::root::{Root, check_all};
use super::{check_schedule, text};
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::look::{SourceKind, SourceSpec};
use crate::domain::policy::Traits;

/// A vzdump source: one cluster, or one node without a cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vzdump {
    /// Its name, the `source` label.
    pub name: SourceName,
    /// Its directories.
    pub roots: Vec<Root>,
    /// Zone of the nodes' local time, which file names carry. The zone of this machine where not said.
    #[serde(default = "TimeZone::system", deserialize_with = "text::time_zone")]
    pub time_zone: TimeZone,
    /// Directory of guest configurations: `/etc/pve/nodes`.
    #[serde(default)]
    pub guests_dir: Option<PathBuf>,
    /// Guests that must have backups, even if nothing is found of them.
    #[serde(default)]
    pub expected: Vec<ItemId>,
    /// Guests that aren't judged.
    #[serde(default)]
    pub exclude: Criteria,
    /// Pause between two scans.
    #[serde(default = "scan_interval", deserialize_with = "text::duration")]
    pub scan_interval: Duration,
    /// A scan that takes longer has failed.
    #[serde(default = "scan_timeout", deserialize_with = "text::duration")]
    pub scan_timeout: Duration,
    /// Less than `verify.level` is enough here.
    #[serde(default)]
    pub accept_level: Option<u8>,
}

/// A failed backup must reach a person within ten minutes: two for the scan leave eight for rule and notification.
pub(super) const fn scan_interval() -> Duration {
    Duration::from_secs(120)
}

/// A scan that takes longer has failed, where nothing else is said.
pub const SCAN_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) const fn scan_timeout() -> Duration {
    SCAN_TIMEOUT
}

impl Vzdump {
    /// A source with defaults for all but its name and directories.
    pub fn over(name: SourceName, roots: Vec<Root>) -> Self {
        Self {
            name,
            roots,
            time_zone: TimeZone::system(),
            guests_dir: None,
            expected: Vec::new(),
            exclude: Criteria::default(),
            scan_interval: scan_interval(),
            scan_timeout: scan_timeout(),
            accept_level: None,
        }
    }

    /// What the domain knows of it.
    pub fn spec(&self) -> SourceSpec {
        SourceSpec {
            name: self.name.clone(),
            kind: SourceKind::Vzdump,
            roots: self.roots.iter().map(Root::spec).collect(),
            expected: self.expected.clone(),
            exclude: self.exclude.matcher(),
            scan_interval: self.scan_interval,
            scan_timeout: self.scan_timeout,
        }
    }

    pub(super) fn check(&self, key: &str, complaints: &mut Complaints) {
        check_all(&self.roots, key, complaints);
        check_schedule(key, self.scan_interval, self.scan_timeout, complaints);
        self.exclude.check(&format!("{key}.exclude"), complaints);
        if let Some(path) = self.guests_dir.as_ref().filter(|path| !path.is_absolute()) {
            complaints.add(format!("{key}.guests_dir"), format!("{} is not an absolute path", path.display()));
        }
        for (index, item) in self.expected.iter().enumerate().filter(|(_, item)| item.vmid().is_none()) {
            complaints.add(format!("{key}.expected.{index}"), format!("{item} is no guest; write qemu/100 or lxc/100"));
        }
        let exclude = self.exclude.matcher();
        for (index, item) in self.expected.iter().enumerate() {
            if exclude.matches(Traits { id: item, name: None, tags: &[], notes: None }) {
                complaints.add(format!("{key}.expected.{index}"), format!("{item} is expected and excluded"));
            }
        }
    }
}
