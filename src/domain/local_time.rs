//! Local times in file names and logs, turned into points in time.
//!
//! vzdump writes the node's local time without a zone into its names. Twice a year that is ambiguous or impossible,
//! and a wrong zone or clock makes it a time in the future. A backup that looks fresher than it is would be a false
//! green, so every doubt is resolved towards the *older* reading, with the file's own modification time as witness.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// How far a source's clock may be ahead of ours before its times count as impossible.
pub const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// When something happened, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// A plausible time: not after `now` of the reading.
    At(Timestamp),
    /// Every witness lies in the future: a clock is wrong, the real age is unknown.
    Future,
}

impl When {
    /// The time, where there is one.
    pub const fn known(self) -> Option<Timestamp> {
        match self {
            Self::At(time) => Some(time),
            Self::Future => None,
        }
    }
}

/// What else is known about the run that began at the local time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Witness {
    /// Last write to the file: not before the start of the run that wrote it.
    pub modified: Option<Timestamp>,
    /// How long the run took, by its log.
    pub duration: Option<Duration>,
}

/// The start of a run from the local time in its name.
pub fn resolve(local: DateTime, zone: &TimeZone, witness: Witness, now: Timestamp) -> When {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let chosen = match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => ambiguous.earlier(),
        AmbiguousOffset::Fold { .. } => match (ambiguous.earlier(), ambiguous.later()) {
            (Ok(first), Ok(second)) => Ok(in_fold(first, second, witness)),
            (first, _) => first,
        },
    };
    // The error: a local time at the very edge of what can be represented.
    chosen.map_or(When::Future, |start| resolve_time(start, witness.modified, now))
}

/// No wrong zone makes a start later than its last write by more than this.
const ZONES_APART: SignedDuration = SignedDuration::from_hours(26);

/// The start of a run from the time in its name, bounded by the last write to its file.
///
/// A little later than the last write is a wrong zone, and the last write counts. Much later is a clock gone wrong, and
/// the last write may be that of a copy made yesterday: nothing tells the age.
pub fn resolve_time(start: Timestamp, modified: Option<Timestamp>, now: Timestamp) -> When {
    match modified {
        Some(modified) if start.duration_since(modified) > ZONES_APART => When::Future,
        Some(modified) => not_after(start.min(modified), now),
        None => not_after(start, now),
    }
}

/// The start of a run whose name tells the day only: the last write where that falls on the day, else its midnight.
pub fn resolve_day(day: Date, zone: &TimeZone, modified: Timestamp, now: Timestamp) -> When {
    if zone.to_datetime(modified).date() == day {
        return not_after(modified, now);
    }
    let witness = Witness { modified: Some(modified), duration: None };
    resolve(day.to_datetime(Time::midnight()), zone, witness, now)
}

/// A time that another machine wrote, bounded by our clock.
pub fn not_after(time: Timestamp, now: Timestamp) -> When {
    if time <= now {
        When::At(time)
    } else if time.duration_since(now) <= CLOCK_SKEW {
        When::At(now)
    } else {
        When::Future
    }
}

/// Chooses between the two passes through the repeated hour.
///
/// The run ended when the file was written last: where its duration is known, the start that fits it better wins.
/// Without a log only an end before the second pass decides; else the first pass, which makes the backup older.
fn in_fold(first: Timestamp, second: Timestamp, witness: Witness) -> Timestamp {
    match (witness.modified, witness.duration) {
        (Some(modified), Some(duration)) if modified >= second => {
            let miss = |start: Timestamp| {
                let ended = start.saturating_add(duration).unwrap_or(start);
                modified.duration_since(ended).abs()
            };
            if miss(second) < miss(first) { second } else { first }
        }
        _ => first,
    }
}

#[cfg(test)]
mod tests;
