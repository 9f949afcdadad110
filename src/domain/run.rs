//! What the files of one vzdump run say together: archive, log, temporary files.
//!
//! vzdump renames `x.dat` to its final name on success only, and copies the log last in both cases. So an archive
//! under its final name is whole as written, a log alone is a failed run, an old `.dat` is a crash.
//! Source: pve-manager `PVE/VZDump.pm`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::attempt::{Attempt, Outcome, Sidecar};
use super::ids::{GuestKind, ItemId};
use super::local_time::{CLOCK_SKEW, When, Witness, not_after, resolve};

/// A temporary file that was not written for so long belongs to a crashed run. vzdump may pause for minutes
/// (guest shutdown, prune of the page cache of a slow share), hardly for an hour.
pub const STALLED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// A file that something else vouches for (a log, a checksum) is at rest after this.
pub const SETTLE: SignedDuration = SignedDuration::from_mins(2);

/// A file that nothing vouches for must be at rest for so long: a dump may pause for minutes (a lock, a slow query), and
/// taken for complete it would hide the good one before it.
pub const LONG_SETTLE: SignedDuration = SignedDuration::from_mins(15);

/// Kind, VMID and local start time: what all files of a run share in their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName {
    /// Kind of guest.
    pub kind: GuestKind,
    /// VMID of the guest.
    pub vmid: u32,
    /// Node-local start time.
    pub local: DateTime,
}

impl RunName {
    /// The item that the run backs up.
    pub const fn item(&self) -> ItemId {
        ItemId::Guest(self.kind, self.vmid)
    }
}

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

/// A regular file, as `stat` sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Bytes.
    pub size: u64,
    /// Last write.
    pub modified: Timestamp,
    /// Last change of the inode (ctime), where it is known. Nobody can set it: a file that takes the place of another one
    /// with its size and time (`cp -p`, `rsync -t`, `mv`) has its own. An inode's number would tell nothing more, and isn't
    /// steady on FUSE, SMB and FAT.
    pub changed: Option<Timestamp>,
}

impl FileFacts {
    /// A file of which the inode's last change isn't known.
    pub const fn new(size: u64, modified: Timestamp) -> Self {
        Self { size, modified, changed: None }
    }

    /// Whether size and last write are the same.
    pub fn same_write(self, other: Self) -> bool {
        (self.size, self.modified) == (other.size, other.modified)
    }

    /// Whether size and last write are the same and the inode isn't: the file was replaced or rewritten with its time put
    /// back, or only its mode, owner or number of links changed. Not known is not touched.
    pub fn is_touched(self, since: Self) -> bool {
        let known = self.changed.zip(since.changed);
        self.same_write(since) && known.is_some_and(|(now, then)| now != then)
    }
}

/// The log of a run.
#[derive(Debug, Clone)]
pub enum LogFacts {
    /// There is none.
    Absent,
    /// It was read; the time is that of its last write.
    Read(Arc<RunLog>, Timestamp),
    /// It is there and could not be read; the text says why.
    Unreadable(Box<str>),
}

/// An archive of a run with its side files.
#[derive(Debug, Clone)]
pub struct ArchiveFacts {
    /// File name, made printable.
    pub file: Box<str>,
    /// Size and last write, or why they can't be told.
    pub facts: Result<FileFacts, Box<str>>,
    /// `.protected` lies beside it.
    pub protected: bool,
    /// Text of its `.notes`.
    pub note: Option<Arc<str>>,
    /// Checksum file beside it.
    pub sidecar: Option<Sidecar>,
}

/// All files of one run.
#[derive(Debug, Clone)]
pub struct Run {
    /// What their names say.
    pub name: RunName,
    /// Archives under a final name; more than one only by hand.
    pub archives: Vec<ArchiveFacts>,
    /// The log, with its file name.
    pub log: (Box<str>, LogFacts),
    /// Last write to a `.dat` or `.tmp`, with the name of the youngest.
    pub unfinished: Option<(Box<str>, Timestamp)>,
}

/// The attempts that the files of one run amount to.
pub fn attempts(run: Run, zone: &TimeZone, now: Timestamp) -> Vec<Attempt> {
    let log = match &run.log.1 {
        LogFacts::Read(log, _) => Some(log.clone()),
        LogFacts::Absent | LogFacts::Unreadable(_) => None,
    };
    let duration = log.as_deref().and_then(|log| match log.end {
        LogEnd::Finished(duration) => Some(duration),
        _ => None,
    });
    let logged_name = log.as_deref().and_then(|log| log.guest_name.clone());
    let start = |modified: Option<Timestamp>| resolve(run.name.local, zone, Witness { modified, duration }, now);
    let attempt = |file: Box<str>, outcome: Outcome, modified: Option<Timestamp>| Attempt {
        item: run.name.item(),
        started: start(modified),
        outcome,
        file,
        size: 0,
        modified: None,
        changed: None,
        duration,
        guest_name: logged_name.clone(),
        note: None,
        protected: false,
        sidecar: None,
        log: log.clone(),
    };
    if run.archives.is_empty() {
        let (file, outcome, modified) = without_archive(&run, now);
        return vec![attempt(file, outcome, modified)];
    }
    run.archives
        .iter()
        .map(|archive| {
            let mut found = match &archive.facts {
                Ok(facts) => {
                    let outcome = of_archive(archive, *facts, &run.log.1, now);
                    Attempt {
                        size: facts.size,
                        modified: Some(facts.modified),
                        changed: facts.changed,
                        ..attempt(archive.file.clone(), outcome, Some(facts.modified))
                    }
                }
                Err(why) => {
                    let reason = format!("the archive can't be examined: {why}");
                    attempt(archive.file.clone(), Outcome::Failed { reason: reason.into() }, None)
                }
            };
            found.protected = archive.protected;
            found.note.clone_from(&archive.note);
            found.sidecar = archive.sidecar;
            found
        })
        .collect()
}

fn of_archive(archive: &ArchiveFacts, facts: FileFacts, log: &LogFacts, now: Timestamp) -> Outcome {
    let vouched = matches!(log, LogFacts::Read(log, _) if matches!(log.end, LogEnd::Finished(_) | LogEnd::Failed(_)));
    let settle = if vouched || archive.sidecar.is_some() { SETTLE } else { LONG_SETTLE };
    let fresh = written_within(settle, facts.modified, now);
    let hollow = is_hollow(&archive.file, facts.size);
    let log = match log {
        // A log without an end vouches for nothing: both may be on their way here.
        _ if fresh && !vouched => return settling(facts.modified, settle, now),
        LogFacts::Absent | LogFacts::Unreadable(_) if hollow => return failed("the archive is empty"),
        LogFacts::Absent => return Outcome::Complete { warning: None },
        LogFacts::Unreadable(why) => {
            return Outcome::Complete { warning: Some(format!("its log can't be read: {why}").into()) };
        }
        LogFacts::Read(log, _) => log,
    };
    if let Some(size) = log.archive_size.filter(|size| facts.size < size.at_least) {
        if fresh {
            return settling(facts.modified, settle, now);
        }
        let reason = format!(
            "the archive has {} bytes but its log says at least {}: cut short, or its copy never ended",
            facts.size, size.at_least
        );
        return Outcome::Failed { reason: reason.into() };
    }
    if hollow {
        return failed("the archive is empty");
    }
    let warning = match &log.end {
        LogEnd::Finished(_) => complaint(log),
        LogEnd::Failed(reason) => Some(format!("a step after the archive failed: {reason}").into()),
        LogEnd::Open => Some("its log has no end: the run was interrupted after the archive".into()),
        LogEnd::Foreign => Some("no line of its log is understood, so how the run ended isn't known".into()),
    };
    Outcome::Complete { warning }
}

/// A file under its final name that was written just now: vzdump renames what it has written, so it was copied here, or its
/// log is still to come.
fn settling(modified: Timestamp, settle: SignedDuration, now: Timestamp) -> Outcome {
    let last_write = modified.min(now);
    Outcome::Settling { until: last_write.checked_add(settle).unwrap_or(last_write) }
}

/// A dump whose name is a day older than its last write isn't being made any more: it was copied here.
const LONGEST_DUMP: SignedDuration = SignedDuration::from_hours(24);

/// What being written means for a dump that began at `started`.
pub fn of_dump_begun(started: When, outcome: Outcome) -> Outcome {
    match (started, outcome) {
        (When::At(started), Outcome::Running { last_write }) if last_write.duration_since(started) > LONGEST_DUMP => {
            settling(last_write, LONG_SETTLE, last_write)
        }
        (_, outcome) => outcome,
    }
}

/// Whether a file was written so recently. A time in the future, beyond what clocks differ, is no sign of writing.
fn written_within(limit: SignedDuration, modified: Timestamp, now: Timestamp) -> bool {
    let idle = now.duration_since(modified);
    idle < limit && idle >= -CLOCK_SKEW
}

/// Compressors write so many bytes at most (with a file name in the header) when nothing was put in: what is left of
/// `pg_dump | gzip` after pg_dump failed.
const HOLLOW: u64 = 64;

/// Whether a file is empty, or the compressed form of nothing.
fn is_hollow(file: &str, size: u64) -> bool {
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    let compressed = matches!(ending, "gz" | "tgz" | "zst" | "xz" | "bz2" | "lz4" | "lzo" | "zip");
    size == 0 || compressed && size < HOLLOW
}

/// The first complaint of a log, and the first error where that is another one.
fn complaint(log: &RunLog) -> Option<Box<str>> {
    let first = log.complaints.first()?;
    let worst = log.complaints.iter().find(|complaint| complaint.error && !first.error);
    let shown = 1 + u32::from(worst.is_some());
    let mut text = first.text.to_string();
    if let Some(worse) = worst {
        text = format!("{text}; {}", worse.text);
    }
    match log.complaint_count.saturating_sub(shown) {
        0 => Some(text.into()),
        more => Some(format!("{text} (and {more} more in its log)").into()),
    }
}

fn without_archive(run: &Run, now: Timestamp) -> (Box<str>, Outcome, Option<Timestamp>) {
    let (file, log) = &run.log;
    if let (Some((part, last_write)), LogFacts::Absent) = (&run.unfinished, log) {
        let outcome = if written_within(STALLED_AFTER, *last_write, now) {
            Outcome::Running { last_write: (*last_write).min(now) }
        } else {
            failed("the run crashed: it left a temporary file that nobody writes any more")
        };
        return (part.clone(), outcome, Some(*last_write));
    }
    let outcome = match log {
        LogFacts::Read(log, _) => match &log.end {
            LogEnd::Finished(_) => Outcome::Removed,
            LogEnd::Failed(reason) => Outcome::Failed { reason: reason.clone() },
            LogEnd::Open => failed("the run was interrupted: its log has no end and there is no archive"),
            LogEnd::Foreign => failed("there is no archive, and no line of the log of the run is understood"),
        },
        LogFacts::Unreadable(why) => {
            let reason = format!("there is no archive, and the log of the run can't be read: {why}");
            Outcome::Failed { reason: reason.into() }
        }
        LogFacts::Absent => Outcome::Removed,
    };
    let modified = match log {
        LogFacts::Read(_, modified) => Some(*modified),
        LogFacts::Absent | LogFacts::Unreadable(_) => None,
    };
    (file.clone(), outcome, modified)
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed { reason: reason.into() }
}

/// The outcome of a dump file that carries no log: complete once it is at rest and not empty.
pub fn of_dump(file: &str, facts: FileFacts, grew: bool, sidecar: Option<Sidecar>, now: Timestamp) -> Outcome {
    let settle = if sidecar.is_some() { SETTLE } else { LONG_SETTLE };
    if grew || written_within(settle, facts.modified, now) {
        let last_write = not_after(facts.modified, now).known().unwrap_or(now);
        Outcome::Running { last_write }
    } else if is_hollow(file, facts.size) {
        failed("the file is empty, or the compressed form of nothing")
    } else {
        Outcome::Complete { warning: None }
    }
}

#[cfg(test)]
mod tests;
