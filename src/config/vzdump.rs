//! `[[vzdump]]`: directories that vzdump writes to.

use std::path::PathBuf;

use super::environments::Criteria;
use super::errors::Complaints;
use super::root::{Root, check_all, servers};
use super::section::{Section, source};
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::look::{SourceKind, SourceSpec};
use crate::domain::policy::Traits;

source! {
    /// A vzdump source: one cluster, or one node without a cluster.
    pub struct Vzdump {
        /// Its directories.
        pub roots: Vec<Root>,
        /// Directory of guest configurations: `/etc/pve/nodes`.
        #[serde(default)]
        pub guests_dir: Option<PathBuf>,
        /// Guests that must have backups, even if nothing is found of them.
        #[serde(default)]
        pub expected: Vec<ItemId>,
    }
}

impl Vzdump {
    /// A source with defaults for all but its name and directories.
    pub fn over(name: SourceName, roots: Vec<Root>) -> Self {
        Self::with(name, roots, None, Vec::new())
    }
}

impl Section for Vzdump {
    fn spec(&self) -> SourceSpec {
        SourceSpec {
            name: self.name.clone(),
            kind: SourceKind::new("vzdump"),
            places: self.roots.iter().map(Root::spec).collect(),
            expected: self.expected.clone(),
            exclude: self.exclude.matcher(),
            scan_interval: self.scan_interval,
            scan_timeout: self.scan_timeout,
        }
    }

    fn items(&self) -> &'static str {
        "guests (qemu/100, lxc/100)"
    }

    fn may_hold(&self, item: &ItemId) -> bool {
        item.is_guest()
    }

    fn servers(&self) -> Vec<(String, &SourceName)> {
        servers(&self.roots)
    }

    fn check_own(&self, key: &str, complaints: &mut Complaints) {
        check_all(&self.roots, key, complaints);
        if let Some(path) = self.guests_dir.as_ref().filter(|path| !path.is_absolute()) {
            complaints.add(format!("{key}.guests_dir"), format!("{} is not an absolute path", path.display()));
        }
        check_guests(&self.expected, &self.exclude, key, complaints);
    }
}

/// Complains about what is expected and can't be.
pub(super) fn check_guests(expected: &[ItemId], exclude: &Criteria, key: &str, complaints: &mut Complaints) {
    let exclude = exclude.matcher();
    for (index, item) in expected.iter().enumerate() {
        if !item.is_guest() {
            complaints.add(format!("{key}.expected.{index}"), format!("{item} is no guest; write qemu/100 or lxc/100"));
        }
        if exclude.matches(Traits { id: item, name: None, tags: &[], notes: None }) {
            complaints.add(format!("{key}.expected.{index}"), format!("{item} is expected and excluded"));
        }
    }
}
