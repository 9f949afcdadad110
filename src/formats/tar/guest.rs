//! What the restore of a container needs of its archive: the configuration, and everything that it names.
//!
//! Sources: pve-container `PVE/LXC/Create.pm` (`recover_config_from_tar`), `PVE/API2/LXC.pm` (`create_vm` dies without
//! `rootfs`), pve-storage `PVE/Storage.pm` (`extract_vzdump_config_tar`), pve-container `PVE/VZDump/LXC.pm` (`archive`).

use std::collections::HashSet;

use super::mounts::Mounts;
use crate::domain::finding::{Findings, Kind};
use crate::formats::container_config::{self, ContainerConfig};
use crate::formats::printable::printable;

/// Where the restore looks for the configuration: by this name and no other way to write it.
const CONFIG: &[u8] = b"./etc/vzdump/pct.conf";

/// The same of OpenVZ containers, before Proxmox VE 4.
const OPENVZ: &[u8] = b"./etc/vzdump/vps.conf";

/// So many directories at the root are remembered until the configuration is found.
const MAX_DIRECTORIES: usize = 4096;

/// Longest name in a directory, as all file systems have it.
const MAX_COMPONENT: usize = 255;

/// Looks for the configuration and what it names while the members pass by.
#[derive(Debug, Default)]
pub(super) struct Guest {
    before: Directories,
    found: Option<&'static [u8]>,
    near_miss: bool,
    has_tree: bool,
    mounts: Mounts,
    /// The configuration as it is in the archive.
    pub(super) bytes: Option<Vec<u8>>,
    /// What it says; of OpenVZ nothing.
    pub(super) config: Option<ContainerConfig>,
}

impl Guest {
    /// Whether this member is the configuration: the first one of this name, whatever it is.
    pub(super) fn is_config(&self, name: &[u8], directory: bool) -> bool {
        self.found.is_none() && !directory && matches!(name, CONFIG | OPENVZ)
    }

    /// A member passes by.
    pub(super) fn see(&mut self, name: &[u8], directory: bool) {
        let path = below_root(name);
        self.has_tree |= path != b"etc/vzdump" && !path.starts_with(b"etc/vzdump/");
        if self.found.is_none() {
            self.near_miss |= path == &CONFIG[2..];
            self.before.add(path, directory);
        } else {
            self.mounts.see(path, directory);
        }
    }

    /// The configuration was found: its bytes, or why there are none.
    pub(super) fn found(&mut self, name: &[u8], content: Result<Vec<u8>, &str>, findings: &mut Findings) {
        let name = if name == OPENVZ { OPENVZ } else { CONFIG };
        self.found = Some(name);
        let name = printable(name);
        let bytes = match content {
            Ok(bytes) => bytes,
            Err(why) => {
                let text = format_args!("the configuration of the container, {name}, {why}: the restore can't read it");
                return findings.say(Kind::ConfigUnreadable, text);
            }
        };
        if bytes.trim_ascii().is_empty() || !container_config::is_text(&bytes) {
            let text =
                format_args!("the configuration of the container, {name}, is no text: the restore can't read it");
            findings.say(Kind::ConfigUnreadable, text);
        } else if self.found == Some(CONFIG) {
            self.read(&bytes, findings);
        }
        self.bytes = Some(bytes);
    }

    fn read(&mut self, bytes: &[u8], findings: &mut Findings) {
        let config = container_config::parse(bytes);
        if config.rootfs.is_none() {
            let text = "the configuration of the container has no rootfs: the restore refuses it unless somebody says by hand where the root belongs";
            findings.say(Kind::ConfigIncomplete, text);
        }
        for point in &config.mount_points {
            self.mounts.add(point, point.is_backed_up() && self.before.may_lack(&point.below_root()));
        }
        for point in config.mount_points.iter().filter(|point| point.is_left_out()) {
            let text = format_args!(
                "{} ({}) is left out of backups by the configuration: a mount point without backup=1 comes back empty",
                point.key,
                printable(&point.path)
            );
            findings.say(Kind::VolumeLeftOut, text);
        }
        self.before = Directories::default();
        self.config = Some(config);
    }

    /// All members have passed by.
    pub(super) fn finish(&self, findings: &mut Findings) {
        if self.found.is_none() {
            let seen = if self.near_miss {
                "it is there, but under a name that is written in another way"
            } else {
                "it is not there"
            };
            let text = format_args!(
                "the restore looks for the configuration of the container as {}; {seen}",
                printable(CONFIG)
            );
            return findings.say(Kind::ConfigMissing, text);
        }
        if !self.has_tree {
            findings.say(Kind::MountPointMissing, "the archive holds nothing of the root of the container");
        }
        self.mounts.report(findings);
    }
}

/// The name without what only says that it is below the root.
fn below_root(name: &[u8]) -> &[u8] {
    let mut path = name;
    while let Some(rest) = path.strip_prefix(b"/").or_else(|| path.strip_prefix(b"./")) {
        path = rest;
    }
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    if path == b"." { b"" } else { path }
}

/// The directories at the root that passed by before the configuration was found. In archives of vzdump it is the
/// first member, except those of suspended containers.
#[derive(Debug, Default)]
struct Directories {
    names: HashSet<Box<[u8]>>,
    last: Vec<u8>,
    overflow: bool,
}

impl Directories {
    fn add(&mut self, path: &[u8], directory: bool) {
        let slash = memchr::memchr(b'/', path);
        let name = &path[..slash.unwrap_or(path.len())];
        if name.is_empty() || (slash.is_none() && !directory) || name == self.last {
            return;
        }
        if name.len() > MAX_COMPONENT || self.overflow {
            self.overflow = true;
        } else if !self.names.contains(name) {
            if self.names.len() < MAX_DIRECTORIES {
                self.names.insert(name.into());
            } else {
                self.overflow = true;
            }
        }
        if !self.overflow {
            self.last.clear();
            self.last.extend_from_slice(name);
        }
    }

    /// Whether this directory was surely not among them. Of deeper ones only the first part is known.
    fn may_lack(&self, path: &[u8]) -> bool {
        let first = &path[..memchr::memchr(b'/', path).unwrap_or(path.len())];
        !self.overflow && !self.names.contains(first)
    }
}
