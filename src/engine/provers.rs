//! What proves backups: one implementation for each method, all of them run by the verifier and the command line alike.
//!
//! Everything here blocks; callers are on threads of their own.

pub mod reading;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::ports::Clock;
use super::watch::Calls;
use crate::domain::file::FileFacts;
use crate::domain::ids::ItemId;
use crate::domain::item::Item;
use crate::domain::proof::{ArchiveId, Conclusion, Evidence, Level, Levels, Method, Verification};

/// Proves backups by one method.
pub trait Prover: Send + Sync + 'static {
    /// The method: results of it go over earlier ones of it alone.
    fn method(&self) -> Method;

    /// The levels that it can prove.
    fn levels(&self) -> Levels {
        self.method().levels()
    }

    /// Whether it can prove anything of the backups of an item.
    fn suits(&self, item: &Item) -> bool {
        let _ = item;
        true
    }

    /// Proves one. It counts in `control` what it reads, makes calls that may never return through it, and ends soon once it
    /// is stopped. What can't be checked is part of the result.
    fn prove(&self, job: &Job, control: &Control) -> Examined;
}

/// What is to be proven.
#[derive(Debug, Clone)]
pub struct Job {
    /// The file.
    pub archive: ArchiveId,
    /// What it is a backup of.
    pub item: ItemId,
    /// How much is to be proven.
    pub level: Level,
}

/// How work is watched and ended from outside.
#[derive(Debug, Default)]
pub struct Control {
    /// Bytes that were read so far.
    pub read: AtomicU64,
    /// What is asked of the operating system: it may never answer.
    pub calls: Calls,
    stop: AtomicBool,
}

impl Control {
    /// Ends the work as soon as it looks.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it was told to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// How it ended.
#[derive(Debug)]
pub enum Examined {
    /// It was told to stop: nothing is known.
    Stopped,
    /// The file isn't there.
    Gone(Box<Verification>),
    /// It came to an end.
    Ended(Box<Verification>),
}

/// Has a backup proven. A prover that panics could not check it.
pub fn prove(prover: &dyn Prover, job: &Job, control: &Control, clock: &dyn Clock) -> Examined {
    let (started, begun) = (clock.now(), Instant::now());
    let proved = catch_unwind(AssertUnwindSafe(|| prover.prove(job, control)));
    if control.is_stopped() {
        return Examined::Stopped;
    }
    proved.unwrap_or_else(|_| {
        Examined::Ended(Box::new(Verification {
            took: begun.elapsed(),
            reason: Some("a defect in firedrill: please report it".into()),
            ..unchecked(job, prover.method(), control, started)
        }))
    })
}

/// A verification that says nothing yet.
pub fn unchecked(job: &Job, method: Method, control: &Control, started: Timestamp) -> Verification {
    Verification {
        archive: job.archive.clone(),
        method,
        item: job.item.clone(),
        facts: FileFacts::new(0, Timestamp::UNIX_EPOCH),
        digest: None,
        wanted: job.level,
        reached: None,
        conclusion: Conclusion::Unchecked,
        findings: Vec::new(),
        reason: None,
        started,
        took: Duration::ZERO,
        read: control.read.load(Ordering::Relaxed),
        evidence: Evidence::default(),
        sidecar: None,
    }
}
