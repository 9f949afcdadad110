//! Whether a file is at rest and more than nothing: what its size and its last write say of a backup.

use jiff::{SignedDuration, Timestamp};

use super::attempt::{Outcome, Sidecar};
use super::file::FileFacts;
use super::local_time::{CLOCK_SKEW, When, not_after};

/// A file that something else vouches for (a log, a checksum) is at rest after this.
pub const SETTLE: SignedDuration = SignedDuration::from_mins(2);

/// A file that nothing vouches for must be at rest for so long: a dump may pause for minutes (a lock, a slow query), and
/// taken for complete it would hide the good one before it.
pub const LONG_SETTLE: SignedDuration = SignedDuration::from_mins(15);

/// A file under its final name that was written just now: vzdump renames what it has written, so it was copied here, or its
/// log is still to come.
pub(super) fn settling(modified: Timestamp, settle: SignedDuration, now: Timestamp) -> Outcome {
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
pub(super) fn written_within(limit: SignedDuration, modified: Timestamp, now: Timestamp) -> bool {
    let idle = now.duration_since(modified);
    idle < limit && idle >= -CLOCK_SKEW
}

/// Compressors write so many bytes at most (with a file name in the header) when nothing was put in: what is left of
/// `pg_dump | gzip` after pg_dump failed.
const HOLLOW: u64 = 64;

/// Whether a file is empty, or the compressed form of nothing.
pub(super) fn is_hollow(file: &str, size: u64) -> bool {
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    let compressed = matches!(ending, "gz" | "tgz" | "zst" | "xz" | "bz2" | "lz4" | "lzo" | "zip");
    size == 0 || compressed && size < HOLLOW
}

/// A failure with its one sentence.
pub(super) fn failed(reason: &str) -> Outcome {
    Outcome::Failed { reason: reason.into() }
}

/// The outcome of a dump file that carries no log: complete once it is at rest and not empty.
pub fn of_dump(file: &str, facts: FileFacts, grew: bool, sidecar: Option<Sidecar>, now: Timestamp) -> Outcome {
    let settle = if sidecar.is_some() { SETTLE } else { LONG_SETTLE };
    if grew || written_within(settle, facts.modified, now) {
        let last_write = not_after(facts.modified, now).known().unwrap_or(now);
        Outcome::Running { last_write }
    } else {
        of_whole_dump(file, facts)
    }
}

/// The outcome of a dump that appeared under its name as a whole, as objects of a bucket do: nobody is writing it any more.
pub fn of_whole_dump(file: &str, facts: FileFacts) -> Outcome {
    match is_hollow(file, facts.size) {
        true => failed("the file is empty, or the compressed form of nothing"),
        false => Outcome::Complete { warning: None },
    }
}

/// The outcome of a directory of files that is one backup. `ended`: whether what its program writes last is there, if it
/// writes such a thing; an error says what isn't.
pub fn of_directory(facts: FileFacts, grew: bool, ended: Result<bool, &str>, now: Timestamp) -> Outcome {
    let settle = if ended == Ok(true) { SETTLE } else { LONG_SETTLE };
    if grew || written_within(settle, facts.modified, now) {
        let last_write = not_after(facts.modified, now).known().unwrap_or(now);
        return Outcome::Running { last_write };
    }
    match ended {
        Err(why) => failed(why),
        Ok(_) if facts.size == 0 => failed("all files of the directory are empty"),
        Ok(_) => Outcome::Complete { warning: None },
    }
}
