//! Reads one file under control, and says what was found as a [`Verification`].
//!
//! Used by the daemon's verifier and by the command line alike. Everything here blocks; callers are on threads of their
//! own.

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::ports::{Archives, Clock, OpenArchive};
use super::throttle::Throttle;
use crate::domain::age;
use crate::domain::ids::ItemId;
use crate::domain::proof::{ArchiveId, Conclusion, Evidence, Level, Verification};
use crate::domain::run::FileFacts;
use crate::formats::archive::{self, Bounds, CannotCheck, Checked, Request};

/// What is to be read.
#[derive(Debug, Clone)]
pub struct Job {
    /// The file.
    pub archive: ArchiveId,
    /// What it is a backup of.
    pub item: ItemId,
    /// How much is to be proven.
    pub level: Level,
}

/// How a reading is watched and ended from outside.
#[derive(Debug, Default)]
pub struct Control {
    /// Bytes that were read so far.
    pub read: AtomicU64,
    stop: AtomicBool,
}

impl Control {
    /// Ends the reading at the next chunk.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it was told to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What a reading may take.
#[derive(Debug, Clone)]
pub struct Allowance {
    /// Bytes per second, shared with others.
    pub throttle: Arc<Throttle>,
    /// A file that takes longer could not be checked.
    pub timeout: Duration,
    /// A file of which more is unpacked without any structure could not be checked.
    pub unpack_limit: u64,
}

/// How a reading ended.
#[derive(Debug)]
pub enum Examined {
    /// It was told to stop: nothing is known.
    Stopped,
    /// The file isn't there.
    Gone(Box<Verification>),
    /// It came to an end.
    Ended(Box<Verification>),
}

/// Reads a file and judges it.
pub fn examine(
    job: &Job,
    archives: &dyn Archives,
    allowance: &Allowance,
    control: &Arc<Control>,
    clock: &dyn Clock,
) -> Examined {
    let (started, begun) = (clock.now(), Instant::now());
    let looked = catch_unwind(AssertUnwindSafe(|| look(job, archives, allowance, control)));
    if control.is_stopped() {
        return Examined::Stopped;
    }
    let looked = looked.unwrap_or_else(|_| Looked::failed(None, "a defect in firedrill: please report it"));
    let took = begun.elapsed();
    let mut verification = Verification {
        archive: job.archive.clone(),
        item: job.item.clone(),
        facts: looked.facts.unwrap_or(FileFacts { size: 0, modified: jiff::Timestamp::UNIX_EPOCH }),
        digest: None,
        wanted: job.level,
        reached: None,
        conclusion: Conclusion::Unchecked,
        findings: Vec::new(),
        reason: None,
        started,
        took,
        read: control.read.load(Ordering::Relaxed),
        evidence: Evidence::default(),
        sidecar: None,
    };
    let gone = looked.gone;
    match looked.result {
        Ok(checked) => {
            let Checked { conclusion, reached, findings, digest, evidence, sidecar, .. } = checked;
            verification = Verification { conclusion, reached, findings, digest, evidence, sidecar, ..verification };
        }
        Err(reason) => verification.reason = Some(reason.into()),
    }
    if gone { Examined::Gone(Box::new(verification)) } else { Examined::Ended(Box::new(verification)) }
}

/// A result, and the file that it is about.
struct Looked {
    facts: Option<FileFacts>,
    result: Result<Checked, String>,
    gone: bool,
}

impl Looked {
    fn failed(facts: Option<FileFacts>, reason: impl ToString) -> Self {
        Self { facts, result: Err(reason.to_string()), gone: false }
    }
}

fn look(job: &Job, archives: &dyn Archives, allowance: &Allowance, control: &Arc<Control>) -> Looked {
    let mut file = match archives.open(&job.archive) {
        Ok(file) => file,
        Err(error) => {
            let gone = error.kind() == io::ErrorKind::NotFound;
            return Looked { gone, ..Looked::failed(None, format_args!("it could not be opened: {error}")) };
        }
    };
    let facts = file.facts();
    let sidecar = match file.sidecar() {
        Ok(sidecar) => sidecar,
        Err(error) => return Looked::failed(Some(facts), format_args!("its checksum file could not be read: {error}")),
    };
    let request = Request {
        name: &job.archive.file,
        wanted: job.level,
        sidecar: sidecar.as_ref().map(|(kind, text)| (*kind, &**text)),
    };
    let limits = Limits { control, allowance, begun: Instant::now() };
    let guard = Guard { file: &mut *file, limits };
    let go_on = || limits.check();
    let bounds = Bounds { go_on: &go_on, unpack_limit: allowance.unpack_limit };
    let result = archive::check_within(guard, request, bounds).map_err(|error: CannotCheck| error.to_string());
    // What changed or went away while it was read was not seen as it is, whatever was found.
    match file.unchanged() {
        Ok(true) => Looked { facts: Some(facts), result, gone: false },
        Ok(false) => Looked::failed(Some(facts), "it changed, moved or disappeared while it was read"),
        Err(error) => {
            Looked::failed(Some(facts), format_args!("whether it changed while it was read can't be told: {error}"))
        }
    }
}

/// What ends a reading from outside.
#[derive(Clone, Copy)]
struct Limits<'a> {
    control: &'a Control,
    allowance: &'a Allowance,
    begun: Instant,
}

fn stopped() -> io::Error {
    io::Error::other("the reading was stopped")
}

impl Limits<'_> {
    fn check(&self) -> io::Result<()> {
        if self.control.is_stopped() {
            return Err(stopped());
        }
        if self.begun.elapsed() > self.allowance.timeout {
            let limit = age::words(self.allowance.timeout);
            let text = format!("it took longer than {limit} (archive_timeout)");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(())
    }
}

/// Reads within what is allowed.
struct Guard<'a> {
    file: &'a mut dyn OpenArchive,
    limits: Limits<'a>,
}

impl Read for Guard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limits = self.limits;
        limits.check()?;
        let count = self.file.read(buffer)?;
        limits.control.read.fetch_add(count as u64, Ordering::Relaxed);
        if !limits.allowance.throttle.take(count as u64, || limits.control.is_stopped()) {
            return Err(stopped());
        }
        Ok(count)
    }
}
