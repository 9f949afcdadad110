//! What the log of a vzdump run tells.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How a run ended, by its log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LogEnd {
    /// `Finished Backup of VM …`, with the duration it names.
    Finished(Duration),
    /// `Backup of VM … failed - …`, with the reason.
    Failed(Box<str>),
    /// Neither line: cut off, or another guest's.
    #[default]
    Open,
    /// No line of it is one that vzdump writes: it says nothing, not even that it was cut off.
    Foreign,
}

/// Archive size as the log prints it: a whole number of KB or MB, or two decimals of GB or TB (1024-based).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedSize {
    /// Smallest number of bytes that prints like this.
    pub at_least: u64,
}

/// A WARN or ERROR line that did not fail the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// ERROR.
    pub error: bool,
    /// What it says.
    pub text: Box<str>,
}

/// A volume of the guest that a backup doesn't hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// `scsi1`, `mp0` …
    pub key: Box<str>,
    /// Where it is mounted in a container, or what lies behind the disk of a virtual machine.
    pub volume: Option<Box<str>>,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.volume {
            Some(volume) => write!(f, "{} ({volume})", self.key),
            None => f.write_str(&self.key),
        }
    }
}

/// What a vzdump log tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunLog {
    /// How the run ended.
    pub end: LogEnd,
    /// `VM Name:` or `CT Name:`.
    pub guest_name: Option<Arc<str>>,
    /// `archive file size:`.
    pub archive_size: Option<LoggedSize>,
    /// Number of WARN and ERROR lines that did not fail the run (a guest that couldn't be frozen, hook trouble).
    pub complaint_count: u32,
    /// The first of them, and an error if there is one.
    pub complaints: Vec<Complaint>,
    /// Volumes that the run left out.
    pub left_out: Vec<LeftOut>,
}
