//! One try at a backup, as found in a directory: what file, begun when, how it ended.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::file::FileFacts;
use super::ids::ItemId;
use super::local_time::When;
use super::run_log::RunLog;

/// How an attempt stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A whole backup under its final name. Whether it is big enough is the policy's question.
    Complete {
        /// What its log complains of all the same (a later step failed, the guest wasn't frozen).
        warning: Option<Box<str>>,
    },
    /// Still being written.
    Running {
        /// Last write to its file.
        last_write: Timestamp,
    },
    /// There under its final name, but written so recently that nobody vouches for its being whole: copied here just now,
    /// or its log is still to come.
    Settling {
        /// When it is judged, if nobody writes to it any more.
        until: Timestamp,
    },
    /// No usable backup came of it.
    Failed {
        /// One sentence for a person.
        reason: Box<str>,
    },
    /// Its log says it finished, but the archive is gone: pruned or moved by hand.
    Removed,
    /// A copy that somebody renamed: kept, outside retention, and without a time that could be trusted.
    Renamed,
}

/// A checksum file that lies beside a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sidecar {
    /// `NAME.md5`
    Md5,
    /// `NAME.sha256`
    Sha256,
}

impl Sidecar {
    /// What is appended to the name of a file, the one that counts first in front.
    pub const ENDINGS: [(&str, Self); 4] =
        [("sha256", Self::Sha256), ("sha256sum", Self::Sha256), ("md5", Self::Md5), ("md5sum", Self::Md5)];

    /// The kind of a checksum file by the end of its name.
    pub fn of_ending(ending: &str) -> Option<Self> {
        Self::ENDINGS.into_iter().find(|(known, _)| *known == ending).map(|(_, kind)| kind)
    }

    /// The name of the checksum.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha256 => "sha256",
        }
    }
}

/// One try at a backup of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What it is a backup of.
    pub item: ItemId,
    /// Start of the run.
    pub started: When,
    /// How it ended.
    pub outcome: Outcome,
    /// File name within its root, made printable.
    pub file: Box<str>,
    /// Bytes on disk of the archive or dump; 0 where there is none.
    pub size: u64,
    /// Last write to it.
    pub modified: Option<Timestamp>,
    /// Last change of its inode, where it is known.
    pub changed: Option<Timestamp>,
    /// How long the run took, by its log.
    pub duration: Option<Duration>,
    /// Name of the guest at that time, by its log.
    pub guest_name: Option<Arc<str>>,
    /// What its `.notes` say: free text of the operator, by default the name of the guest.
    pub note: Option<Arc<str>>,
    /// Kept outside retention (`.protected`).
    pub protected: bool,
    /// Checksum file beside it.
    pub sidecar: Option<Sidecar>,
    /// The log of the run.
    pub log: Option<Arc<RunLog>>,
}

impl Attempt {
    /// An attempt of which nothing else is known: no size, no log, nothing beside it.
    pub const fn new(item: ItemId, started: When, outcome: Outcome, file: Box<str>) -> Self {
        Self {
            item,
            started,
            outcome,
            file,
            size: 0,
            modified: None,
            changed: None,
            duration: None,
            guest_name: None,
            note: None,
            protected: false,
            sidecar: None,
            log: None,
        }
    }

    /// With the facts of its file.
    #[must_use]
    pub const fn with_facts(mut self, facts: FileFacts) -> Self {
        self.size = facts.size;
        self.modified = Some(facts.modified);
        self.changed = facts.changed;
        self
    }
}

/// A temporary file or directory of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// Name within its root, made printable.
    pub file: Box<str>,
    /// Last write.
    pub last_write: Timestamp,
    /// Bytes on disk.
    pub size: u64,
}
