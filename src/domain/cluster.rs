//! A cluster of Proxmox VE beside its backups: nodes, guests, storages, jobs, replication, HA.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::capacity::Capacity;
use super::ids::ItemId;

/// A guest as its node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterGuest {
    /// The node that it is on.
    pub node: Arc<str>,
    /// Whether it runs; `None` where its node can't tell.
    pub running: Option<bool>,
    /// What holds it: `backup`, `migrate`, `snapshot` …
    pub lock: Option<Arc<str>>,
    /// A template isn't backed up for its own sake.
    pub template: bool,
}

/// A job that backs up guests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupJob {
    /// Whether it runs at all.
    pub enabled: bool,
    /// When, as systemd writes calendar events.
    pub schedule: Arc<str>,
    /// Where to.
    pub storage: Arc<str>,
    /// When it runs next.
    pub next_run: Option<Timestamp>,
}

/// Number of volumes by what Proxmox Backup Server's verification said of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// All chunks were there, with their checksums.
    pub ok: u32,
    /// Some were not.
    pub failed: u32,
    /// Never verified.
    pub none: u32,
}

/// A storage that may hold backups. A shared one is one for all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Whether it can be used now.
    pub active: bool,
    /// Its room, where it tells.
    pub capacity: Option<Capacity>,
    /// Volumes of backups by their verification, on a Proxmox Backup Server.
    pub verified: Option<Verified>,
}

/// A storage by its name and its node; no node for a shared one.
pub type StorageId = (Arc<str>, Option<Arc<str>>);

/// A job that copies a guest to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationJob {
    /// Where to.
    pub target: Arc<str>,
    /// Whether it runs at all.
    pub enabled: bool,
    /// Start of the last run that worked: what would be lost since; `None` where none did yet.
    pub last_sync: Option<Timestamp>,
    /// When it is due.
    pub next_sync: Option<Timestamp>,
    /// Runs that failed since the last that worked.
    pub failures: u32,
    /// Whether it is at it.
    pub running: bool,
    /// How long the last run took.
    pub took: Option<Duration>,
}

/// What is known of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterBook {
    /// Whether enough nodes see each other; `None` for a node that is alone.
    pub quorate: Option<bool>,
    /// Its nodes, and whether each is online.
    pub nodes: BTreeMap<Arc<str>, bool>,
    /// Its guests.
    pub guests: BTreeMap<ItemId, ClusterGuest>,
    /// Guests that no job covers.
    pub uncovered: BTreeSet<ItemId>,
    /// Its jobs.
    pub jobs: BTreeMap<Arc<str>, BackupJob>,
    /// Its storages for backups.
    pub storages: BTreeMap<StorageId, Storage>,
    /// Replication by the id of the job, `100-0`.
    pub replications: BTreeMap<Arc<str>, ReplicationJob>,
    /// What HA looks after, `vm:100`, and in which state it is.
    pub services: BTreeMap<Arc<str>, Arc<str>>,
}
