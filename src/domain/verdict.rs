//! The judgement: in which state an item is at a given moment, and why.
//!
//! ```text
//!   being written ............................ running   (seen in a directory that could be read)
//!   newest attempt failed .................... failed    (likewise)
//!   could not look, or too long ago .......... unknown   unless a readable directory shows a fresh backup
//!   no complete backup ....................... missing   (unknown when its only dates lie in the future)
//!   older than 2 × interval .................. missing
//!   older than interval + grace .............. late
//!   else ..................................... ok
//! ```
//! While a backup is running, [`by_age`] still tells how the newest complete one stands.
//!
//! The first line that applies decides. `ok` needs positive evidence; every doubt ends above it.

use std::time::Duration;

use jiff::Timestamp;

use super::age;
use super::item::{Item, Standing};
use super::look::{Health, SourceSpec};
use super::proof::book::{ItemProof, ProofState};

/// State of an item; exactly one applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupState {
    /// Fresh and complete.
    Ok,
    /// Older than its interval and grace.
    Late,
    /// None, or so old that a whole further run was missed.
    Missing,
    /// The newest attempt failed.
    Failed,
    /// The next one is being written.
    Running,
    /// The newest backup is damaged.
    Corrupt,
    /// Could not look.
    Unknown,
}

impl BackupState {
    /// All of them, in label order.
    pub const ALL: [Self; 7] =
        [Self::Corrupt, Self::Failed, Self::Late, Self::Missing, Self::Ok, Self::Running, Self::Unknown];

    /// The `state` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Late => "late",
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::Running => "running",
            Self::Corrupt => "corrupt",
            Self::Unknown => "unknown",
        }
    }
}

/// Why an item is in its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A backup within the expected interval.
    Fresh,
    /// A file is being written.
    BeingWritten,
    /// The newest attempt came to nothing.
    AttemptFailed,
    /// No scan has ended yet.
    NotScanned,
    /// The last scan is too long ago.
    ScanStale,
    /// A directory that may hold a newer backup can't be read.
    CannotLook,
    /// The guests were never seen, so nobody can tell whose archives these are.
    GuestsUnknown,
    /// All its backups are dated in the future.
    FutureOnly,
    /// There is no complete backup.
    NoBackup,
    /// The newest is older than expected.
    Overdue,
    /// The newest backup was read and would not restore.
    Damaged,
    /// What was proven before is not known now.
    ProofsUnknown,
}

/// A state with its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The state.
    pub state: BackupState,
    /// Why.
    pub cause: Cause,
}

/// Judges an item at `now`. `None` for items that aren't judged.
pub fn judge(item: &Item, health: &Health, spec: &SourceSpec, now: Timestamp) -> Option<Verdict> {
    let verdict = |state, cause| Some(Verdict { state, cause });
    if item.standing != Standing::Judged {
        return None;
    }
    let Some(last_scan) = health.last_scan else {
        return verdict(BackupState::Unknown, Cause::NotScanned);
    };
    if elapsed(last_scan, now) > spec.stale_after() {
        return verdict(BackupState::Unknown, Cause::ScanStale);
    }
    if health.guests_never_seen && item.id.is_guest() {
        return verdict(BackupState::Unknown, Cause::GuestsUnknown);
    }
    if is_damaged(item, health) {
        return verdict(BackupState::Corrupt, Cause::Damaged);
    }
    if item.running.is_some_and(|running| !health.is_blind(running.root)) {
        return verdict(BackupState::Running, Cause::BeingWritten);
    }
    if item.failure.as_ref().is_some_and(|failure| !health.is_blind(failure.root)) {
        return verdict(BackupState::Failed, Cause::AttemptFailed);
    }
    let by_age = by_age(item, now);
    // What is known to be damaged doesn't become fresh because its place can't be seen.
    let damaged = matches!(&item.proof, ItemProof::Known(proven) if proven.state() == ProofState::Failed);
    if health.any_blind() && !(!damaged && item.failure.is_none() && is_fresh_where_seen(item, health, now)) {
        return verdict(BackupState::Unknown, Cause::CannotLook);
    }
    // An earlier reading may have found it damaged.
    if by_age.state == BackupState::Ok && matches!(item.proof, ItemProof::Unknown(_)) {
        return verdict(BackupState::Unknown, Cause::ProofsUnknown);
    }
    Some(by_age)
}

fn is_damaged(item: &Item, health: &Health) -> bool {
    let seen = item.newest.as_ref().is_some_and(|newest| !health.is_blind(newest.root));
    seen && matches!(&item.proof, ItemProof::Known(proven) if proven.state() == ProofState::Failed)
}

/// Whether a directory that can be read holds a backup that is fresh enough, whatever lies in the others.
fn is_fresh_where_seen(item: &Item, health: &Health, now: Timestamp) -> bool {
    let fresh = |started: Timestamp| started <= now && !is_over(item.expectation.late_after(), elapsed(started, now));
    item.newest_by_root.iter().any(|(root, started)| !health.is_blind(*root) && fresh(*started))
}

/// Whether an age is above a limit, where there is one.
fn is_over(limit: Option<Duration>, age: Duration) -> bool {
    limit.is_some_and(|limit| age > limit)
}

/// How the newest complete backup stands by its age alone.
pub fn by_age(item: &Item, now: Timestamp) -> Verdict {
    let (state, cause) = match &item.newest {
        None if item.future > 0 => (BackupState::Unknown, Cause::FutureOnly),
        None => (BackupState::Missing, Cause::NoBackup),
        // The clock was set back since the scan: how old it is can't be told.
        Some(newest) if newest.started > now => (BackupState::Unknown, Cause::FutureOnly),
        Some(newest) => {
            let age = elapsed(newest.started, now);
            if is_over(item.expectation.missing_after(), age) {
                (BackupState::Missing, Cause::Overdue)
            } else if is_over(item.expectation.late_after(), age) {
                (BackupState::Late, Cause::Overdue)
            } else {
                (BackupState::Ok, Cause::Fresh)
            }
        }
    };
    Verdict { state, cause }
}

/// Whether a guest has nothing to restore from. `None` for what is no judged guest, and while a directory that may
/// hold its backups can't be looked at.
pub fn unprotected(item: &Item, health: &Health) -> Option<bool> {
    if item.standing != Standing::Judged || !item.id.is_guest() {
        return None;
    }
    let seen = item.newest_by_root.iter().any(|(root, _)| !health.is_blind(*root));
    match (seen, health.any_blind() || health.guests_never_seen) {
        (true, _) => Some(false),
        (false, true) => None,
        (false, false) => Some(item.copies == 0),
    }
}

/// When the verdict may next change by the passing of time alone, after `now`.
pub fn next_change(item: &Item, health: &Health, spec: &SourceSpec, now: Timestamp) -> Option<Timestamp> {
    let stale = health.last_scan.map(|scan| (scan, spec.stale_after()));
    // An older backup in another directory ceases to be evidence before the newest does.
    let late = item.newest_by_root.iter().map(|(_, started)| (*started, item.expectation.late_after()));
    let missing = item.newest.iter().map(|newest| (newest.started, item.expectation.missing_after()));
    let by_age = late.chain(missing).filter_map(|(since, after)| Some((since, after?)));
    stale
        .into_iter()
        .chain(by_age)
        .filter_map(|(since, after)| since.checked_add(after).ok())
        .filter(|time| *time >= now)
        .min()
}

/// Time from `since` to `now`; zero when the clock was set back.
pub fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(since).try_into().unwrap_or(Duration::ZERO)
}

/// The verdict in one sentence for a person.
pub fn explain(verdict: Verdict, item: &Item, health: &Health, now: Timestamp) -> String {
    let newest_age = || item.newest.as_ref().map(|newest| age::words(elapsed(newest.started, now)));
    let expected =
        item.expectation.interval.map(|it| format!(", expected every {}", age::words(it))).unwrap_or_default();
    match verdict.cause {
        Cause::Fresh => format!("backup of {} ago{expected}", newest_age().unwrap_or_default()),
        Cause::BeingWritten => {
            let Some(running) = item.running else { return "a backup is running".to_owned() };
            let since = age::words(elapsed(running.since, now));
            match running.settles {
                Some(until) => {
                    // At least a second, for who looks at the last moment.
                    let rest = age::words(elapsed(now, until).max(Duration::from_secs(1)));
                    format!(
                        "a file begun {since} ago was written just now: copied here, or its log is still to come; judged in {rest}"
                    )
                }
                None => format!("a backup has been running for {since}"),
            }
        }
        Cause::AttemptFailed => match &item.failure {
            Some(failure) => match failure.at.known() {
                Some(at) => format!("the attempt of {} ago failed: {}", age::words(elapsed(at, now)), failure.reason),
                None => format!("an attempt dated in the future failed: {}", failure.reason),
            },
            None => "the newest attempt failed".to_owned(),
        },
        Cause::NotScanned => "the source was not scanned yet".to_owned(),
        Cause::ScanStale => "the last scan is too long ago to know".to_owned(),
        Cause::CannotLook | Cause::GuestsUnknown => match health.problems.first() {
            Some(problem) => format!("could not look: {problem}"),
            None => "could not look".to_owned(),
        },
        Cause::FutureOnly => "its backups are dated in the future: check the clocks and time_zone".to_owned(),
        Cause::NoBackup => "there is no complete backup".to_owned(),
        Cause::Overdue => {
            format!("the newest backup is {} old{expected}", newest_age().unwrap_or_default())
        }
        Cause::Damaged => damaged(item, newest_age().unwrap_or_default(), now),
        Cause::ProofsUnknown => match &item.proof {
            ItemProof::Unknown(why) => format!("whether it was found damaged before isn't known: {why}"),
            ItemProof::Off | ItemProof::Known(_) => "whether it was found damaged before isn't known".to_owned(),
        },
    }
}

fn damaged(item: &Item, age: String, now: Timestamp) -> String {
    let ItemProof::Known(proven) = &item.proof else { return "the newest backup is damaged".to_owned() };
    let headline = proven.newest.as_ref().and_then(|proof| proof.headline.as_deref()).unwrap_or("it would not restore");
    let file = item.newest.as_ref().map_or("", |newest| &*newest.file);
    let fallback = match proven.newest_intact {
        Some(intact) => format!("the newest that was proven intact is {} old", age::words(elapsed(intact, now))),
        None => "none of the others was proven intact yet".to_owned(),
    };
    format!("the newest backup ({file}, {age} old) is damaged: {headline}; {fallback}")
}

#[cfg(test)]
mod tests;
