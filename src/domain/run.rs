//! What the files of one vzdump run say together: archive, log, temporary files.
//!
//! vzdump renames `x.dat` to its final name on success only, and copies the log last in both cases. So an archive
//! under its final name is whole as written, a log alone is a failed run, an old `.dat` is a crash.
//! Source: pve-manager `PVE/VZDump.pm`.

use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::attempt::{Attempt, Outcome, Sidecar};
use super::file::FileFacts;
use super::ids::{GuestKind, ItemId};
use super::local_time::{Witness, resolve};
use super::rest::{LONG_SETTLE, SETTLE, failed, is_hollow, settling, written_within};
use super::run_log::{LogEnd, RunLog};

/// A temporary file that was not written for so long belongs to a crashed run. vzdump may pause for minutes
/// (guest shutdown, prune of the page cache of a slow share), hardly for an hour.
pub const STALLED_AFTER: SignedDuration = SignedDuration::from_hours(1);

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
        ItemId::guest(self.kind, self.vmid)
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
    /// It appeared under its name as a whole, as objects of a bucket do: nobody can be writing it any more.
    pub whole: bool,
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
        duration,
        guest_name: logged_name.clone(),
        log: log.clone(),
        ..Attempt::new(run.name.item(), start(modified), outcome, file)
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
                    attempt(archive.file.clone(), outcome, Some(facts.modified)).with_facts(*facts)
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
    let fresh = !archive.whole && written_within(settle, facts.modified, now);
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

#[cfg(test)]
mod tests;
