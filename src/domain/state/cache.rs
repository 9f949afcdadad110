//! Copies of states that are kept for the day on which their server is down.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{ItemId, SourceName};

/// A kept copy, as what lies beside it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The source.
    pub source: SourceName,
    /// The state.
    pub item: ItemId,
    /// The version that it is a copy of: where its source has it.
    pub root: Arc<str>,
    /// The same, below the root.
    pub file: Arc<str>,
    /// When that was written.
    pub modified: Timestamp,
    /// When it was copied.
    pub kept: Timestamp,
    /// In bytes, without encryption.
    pub size: u64,
    /// BLAKE3 of its content, in hexadecimal.
    pub digest: String,
    /// Its serial; `None` for one that can't be looked into.
    pub serial: Option<u64>,
    /// Its lineage.
    pub lineage: Box<str>,
    /// What it manages, for an import where nothing else is left: addresses with ids.
    pub resources: Vec<(Box<str>, Option<Box<str>>)>,
}

/// Which state.
pub type StateName = (SourceName, ItemId);

/// How the copies stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Of each state that has a version worth keeping.
    pub states: BTreeMap<StateName, Copied>,
}

/// How the copy of a state stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// When the version was written that is kept; `None` where none is.
    pub version: Option<Timestamp>,
    /// Whether that is the newest one that is intact.
    pub current: bool,
    /// Why it isn't.
    pub problem: Option<Arc<str>>,
}
