//! `roots`: the directories of a source.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::errors::Complaints;
use crate::domain::look::{Medium, PlaceSpec};

/// A directory of a source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Where it is.
    pub path: PathBuf,
    /// What it lies on, for the 3-2-1 rule.
    #[serde(default = "local")]
    pub medium: Medium,
    /// Node whose guests are backed up there.
    #[serde(default)]
    pub node: Option<Arc<str>>,
    /// This path must be a mount point, or nothing that lies in the root is believed.
    #[serde(default)]
    pub require_mount: Option<PathBuf>,
}

const fn local() -> Medium {
    Medium::Local
}

impl Root {
    /// What the domain knows of it.
    pub fn spec(&self) -> PlaceSpec {
        PlaceSpec { path: self.path.display().to_string().into(), medium: self.medium, node: self.node.clone() }
    }
}

pub(super) fn check_all(roots: &[Root], key: &str, complaints: &mut Complaints) {
    if roots.is_empty() {
        complaints.add(format!("{key}.roots"), "a source needs at least one directory".to_owned());
    }
    for (index, root) in roots.iter().enumerate() {
        let key = format!("{key}.roots.{index}");
        if !root.path.is_absolute() {
            complaints.add(format!("{key}.path"), format!("{} is not an absolute path", root.path.display()));
        }
        if roots[..index].iter().any(|other| other.path == root.path) {
            complaints.add(format!("{key}.path"), format!("{} is listed twice", root.path.display()));
        }
        if root.path.components().any(|part| part == std::path::Component::ParentDir) {
            complaints.add(format!("{key}.path"), "must not contain \"..\"".to_owned());
        }
        if root.require_mount.as_ref().is_some_and(|mount| mount.parent().is_none()) {
            complaints.add(format!("{key}.require_mount"), "/ is always mounted; name the mount point".to_owned());
        }
        if let Some(mount) = root.require_mount.as_ref().filter(|mount| !root.path.starts_with(mount)) {
            let sentence = format!("{} does not lie under {}", root.path.display(), mount.display());
            complaints.add(format!("{key}.require_mount"), sentence);
        }
    }
}
