//! `roots`: the directories of a source, and prefixes of buckets that are looked at as such.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::errors::Complaints;
use crate::domain::ids::SourceName;
use crate::domain::look::{Medium, PlaceSpec, in_bucket};

/// A directory of a source, or a prefix of a bucket.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Where it is: a directory, or `s3://BUCKET/PREFIX`.
    pub path: PathBuf,
    /// The `[[s3]]` section that tells of the server, for a bucket.
    #[serde(default)]
    pub server: Option<SourceName>,
    /// What it lies on, for the 3-2-1 rule; where it isn't said a directory is `local` and a bucket `s3`.
    #[serde(default)]
    pub medium: Option<Medium>,
    /// Node whose guests are backed up there.
    #[serde(default)]
    pub node: Option<Arc<str>>,
    /// This path must be a mount point, or nothing that lies in the root is believed.
    #[serde(default)]
    pub require_mount: Option<PathBuf>,
}

impl Root {
    /// A directory of which nothing more is said.
    pub fn directory(path: PathBuf) -> Self {
        Self { path, server: None, medium: None, node: None, require_mount: None }
    }

    /// What the domain knows of it.
    pub fn spec(&self) -> PlaceSpec {
        let medium = self.medium.unwrap_or(if self.is_in_bucket() { Medium::S3 } else { Medium::Local });
        PlaceSpec { path: self.path.display().to_string().into(), medium, node: self.node.clone(), readable: true }
    }

    /// Whether it is a prefix of a bucket.
    pub fn is_in_bucket(&self) -> bool {
        self.path.as_os_str().as_encoded_bytes().starts_with(b"s3://")
    }

    fn check_bucket(&self, key: &str, complaints: &mut Complaints) {
        match self.path.to_str().and_then(in_bucket) {
            Some((bucket, prefix)) if is_bucket(bucket) && !prefix.starts_with('/') => {}
            _ => complaints.add(format!("{key}.path"), "must be s3://BUCKET or s3://BUCKET/PREFIX".to_owned()),
        }
        if self.server.is_none() {
            let sentence = "is missing: the name of the [[s3]] section that tells of the server";
            complaints.add(format!("{key}.server"), sentence.to_owned());
        }
        if self.require_mount.is_some() {
            complaints.add(format!("{key}.require_mount"), "is for directories".to_owned());
        }
    }
}

/// The names that S3 allows for buckets, and some that older servers took.
pub(super) fn is_bucket(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=255).contains(&name.len()) && name.bytes().all(fits)
}

/// The servers of those in buckets, each with its key.
pub(super) fn servers(roots: &[Root]) -> Vec<(String, &SourceName)> {
    roots
        .iter()
        .enumerate()
        .filter_map(|(at, root)| Some((format!("roots.{at}.server"), root.server.as_ref()?)))
        .collect()
}

pub(super) fn check_all(roots: &[Root], key: &str, complaints: &mut Complaints) {
    if roots.is_empty() {
        complaints.add(format!("{key}.roots"), "a source needs at least one directory".to_owned());
    }
    for (index, root) in roots.iter().enumerate() {
        let key = format!("{key}.roots.{index}");
        if roots[..index].iter().any(|other| other.path == root.path) {
            let more = if root.is_in_bucket() {
                "; buckets of one name on two servers can't be roots of one source"
            } else {
                ""
            };
            complaints.add(format!("{key}.path"), format!("{} is listed twice{more}", root.path.display()));
        }
        if root.is_in_bucket() {
            root.check_bucket(&key, complaints);
            continue;
        }
        if root.server.is_some() {
            complaints.add(format!("{key}.server"), "is for s3://BUCKET/PREFIX".to_owned());
        }
        if !root.path.is_absolute() {
            complaints.add(format!("{key}.path"), format!("{} is not an absolute path", root.path.display()));
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
