//! When an alert begins, goes on, ends and begins again, by what several senders say of it.
//!
//! Alertmanager names an alert by the hash of its labels. When it began is no part of its name: a restart of Prometheus, the
//! other server of a pair and a gap between them all move the start. So what is counted are *occurrences*: the time from
//! a first word that it fires to a word that it is over, whatever starts were told in between.
//!
//! ```text
//!               fires                         is over
//!   unknown ─────────────► open ──────────────────────────► over ◄─┐ is over · fires, late
//!                          │  ▲                              │ └───┘
//!   any start ─► the same ─┘  └─ began after it was over ────┤
//!                                late, and that stands:      │
//!                                reopened ◄──────────────────┘
//! ```
//! | told | unknown | open | over |
//! |---|---|---|---|
//! | fires, a start after the end and after all starts | began | moved | began |
//! | the same, and nothing was heard for `lost_after` | began | began: the end was lost | began |
//! | fires, any other start | began | repeated; moved, if it is earlier than all | late; reopened, if that stands |
//! | over | missed | ended | still over; missed, if it began after the end |
//! | over, by start and end before all that is open | | outdated | |
//!
//! A late word stands when it is told the third time or later than the bound after the end, or when no end is told again
//! for as long as the bound: whoever tells an alert to fire tells its end, if it has one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::labels;
use crate::domain::verdict::elapsed;

/// Told to fire so often after its end, by one receiver, it does.
pub const TELLINGS: u32 = 3;

/// When it was heard of is kept to within this, so that repetitions need not be written.
const ROUGHLY: Duration = Duration::from_secs(60 * 60);

/// Receivers whose late words are counted. Further ones have to wait for the bound.
const MOST_RECEIVERS: usize = 16;

/// What time decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Told to fire so long after its end, an alert does; and so long a late word stands until it is believed.
    pub reopen_after: Duration,
    /// What fires is repeated, mostly after hours. What nobody spoke of for so long and has a later start has ended in between,
    /// and that was told by nobody: Alertmanager forgets all alerts when it is started anew.
    pub lost_after: Duration,
}

/// How an alert stands: its last occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// Rises with each occurrence of the alert.
    pub number: i64,
    /// The start that was told first: what is done is done once for it.
    pub starts_at: Timestamp,
    /// It began with a start that had ended before.
    pub reopened: bool,
    /// The earliest start that was told of it.
    pub earliest: Timestamp,
    /// The latest start that was ever told of the alert.
    pub newest: Timestamp,
    /// When it was last heard of, by our clock, within an hour.
    pub heard: Timestamp,
    /// Its end, if it is over.
    pub over: Option<Over>,
    /// The latest start of the occurrence before, if there was one.
    pub before: Option<Timestamp>,
}

/// The end of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over {
    /// When it was heard of, by our clock.
    pub at: Timestamp,
    /// When it was, by the sender's.
    pub until: Timestamp,
    /// What was told since that says that it fires.
    pub doubt: Option<Doubt>,
}

/// Late words, of which nobody knows yet whether they are old ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// When the first of them came.
    pub since: Timestamp,
    /// The start that they name.
    pub start: Timestamp,
    /// How often each receiver was told.
    pub told: BTreeMap<Arc<str>, u32>,
}

/// What is told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It fires.
    Firing {
        /// Since then.
        start: Timestamp,
    },
    /// It is over.
    Resolved {
        /// It fired since then.
        start: Timestamp,
        /// Until then; `None` where the sender doesn't say.
        end: Option<Timestamp>,
    },
}

impl Event {
    const fn start(self) -> Timestamp {
        match self {
            Self::Firing { start } | Self::Resolved { start, .. } => start,
        }
    }
}

/// What it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heard {
    /// It fires: an occurrence begins, and is decided on.
    Began,
    /// It is over: whatever start its actions were asked for with.
    Ended,
    /// It is told to fire although it is over: by a copy of an older message, mostly.
    Late,
    /// It began and ended, and nobody had told of the beginning.
    Missed,
    /// It fires with another start: the same occurrence.
    Moved,
    /// The end of an earlier occurrence is told once more.
    Outdated,
    /// It was told to be over and fires on: a new occurrence, decided on anew.
    Reopened,
    /// It still fires.
    Repeated,
    /// It is still over.
    StillOver,
}

impl Heard {
    /// All of them, in label order.
    pub const ALL: [Self; 9] = [
        Self::Began,
        Self::Ended,
        Self::Late,
        Self::Missed,
        Self::Moved,
        Self::Outdated,
        Self::Reopened,
        Self::Repeated,
        Self::StillOver,
    ];

    /// As in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::Ended => "ended",
            Self::Late => "late",
            Self::Missed => "missed",
            Self::Moved => "moved",
            Self::Outdated => "outdated",
            Self::Reopened => "reopened",
            Self::Repeated => "repeated",
            Self::StillOver => "still_over",
        }
    }

    /// What it means, for the log; `None` for what is nothing special.
    pub const fn remark(self) -> Option<&'static str> {
        Some(match self {
            Self::Late => "told to fire after their end: nothing changes, unless that stands",
            Self::Moved => "fire with another start: the same occurrence goes on",
            Self::Outdated => "have an end told once more that an earlier occurrence had: passed over",
            Self::Reopened => "were told to be over and fire on: a new occurrence, told and decided anew",
            Self::Began | Self::Ended | Self::Missed | Self::Repeated | Self::StillOver => return None,
        })
    }
}

/// How often each thing was heard, and of which alert first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tidings([(u64, Option<Arc<str>>); Heard::ALL.len()]);

impl Tidings {
    /// Counts one.
    pub fn count(&mut self, heard: Heard, fingerprint: &Arc<str>) {
        if let Some(at) = labels::place(&Heard::ALL, &heard) {
            let (count, first) = &mut self.0[at];
            *count += 1;
            first.get_or_insert_with(|| fingerprint.clone());
        }
    }

    /// What was heard, how often, and of which alert first.
    pub fn all(&self) -> impl Iterator<Item = (Heard, u64, Option<&str>)> {
        Heard::ALL.into_iter().zip(&self.0).map(|(heard, (count, first))| (heard, *count, first.as_deref()))
    }
}

/// How an alert stands after an event that was told for a receiver, and what that means.
pub fn step(
    state: Option<&Occurrence>,
    event: Event,
    receiver: &Arc<str>,
    bounds: Bounds,
    now: Timestamp,
) -> (Occurrence, Heard) {
    let Some(state) = state else {
        let first = Occurrence::first(event.start(), now);
        return match event {
            Event::Firing { .. } => (first, Heard::Began),
            Event::Resolved { start, end } => (first.ended(start, end, now), Heard::Missed),
        };
    };
    match (event, &state.over) {
        (Event::Firing { start }, None) if start > state.newest && elapsed(state.heard, now) >= bounds.lost_after => {
            (state.next(start, false, now), Heard::Began)
        }
        (Event::Firing { start }, None) => {
            let known = (state.earliest..=state.newest).contains(&start);
            (state.clone().with(start, now), if known { Heard::Repeated } else { Heard::Moved })
        }
        (Event::Firing { start }, Some(over)) if state.begins_after(start, over) => {
            (state.next(start, false, now), Heard::Began)
        }
        (Event::Firing { start }, Some(over)) => {
            let mut doubt = over.doubt.clone().unwrap_or_else(|| Doubt { since: now, start, told: BTreeMap::new() });
            if doubt.told.len() < MOST_RECEIVERS || doubt.told.contains_key(receiver) {
                *doubt.told.entry(receiver.clone()).or_default() += 1;
            }
            if elapsed(over.at, now) >= bounds.reopen_after
                || doubt.told.get(receiver).is_some_and(|count| *count >= TELLINGS)
            {
                return (state.next(start, true, now), Heard::Reopened);
            }
            (
                Occurrence { over: Some(Over { doubt: Some(doubt), at: over.at, until: over.until }), ..state.clone() }
                    .with(start, now),
                Heard::Late,
            )
        }
        (Event::Resolved { start, end }, None) if state.is_outdated(start, end) => (state.clone(), Heard::Outdated),
        (Event::Resolved { start, end }, None) => (state.clone().ended(start, end, now), Heard::Ended),
        (Event::Resolved { start, end }, Some(over)) if state.begins_after(start, over) => {
            (state.next(start, false, now).ended(start, end, now), Heard::Missed)
        }
        // With it, all late words before were old ones.
        (Event::Resolved { start, end }, Some(_)) => (state.clone().ended(start, end, now), Heard::StillOver),
    }
}

/// The new occurrence of an alert that is over, when its late words have stood for so long.
pub fn believe(state: &Occurrence, bound: Duration, now: Timestamp) -> Option<Occurrence> {
    let doubt = state.over.as_ref()?.doubt.as_ref()?;
    (elapsed(doubt.since, now) >= bound).then(|| state.next(doubt.start, true, now))
}

impl Occurrence {
    fn first(start: Timestamp, now: Timestamp) -> Self {
        let (earliest, newest, heard) = (start, start, now);
        Self { number: 1, starts_at: start, reopened: false, earliest, newest, heard, over: None, before: None }
    }

    fn next(&self, start: Timestamp, reopened: bool, now: Timestamp) -> Self {
        Self {
            number: self.number + 1,
            reopened,
            newest: self.newest.max(start),
            before: Some(self.newest),
            ..Self::first(start, now)
        }
    }

    /// The same, told with this start.
    fn with(self, start: Timestamp, now: Timestamp) -> Self {
        // A clock that was set back makes no silence.
        let heard = if now < self.heard || elapsed(self.heard, now) >= ROUGHLY { now } else { self.heard };
        Self { earliest: self.earliest.min(start), newest: self.newest.max(start), heard, ..self }
    }

    fn ended(self, start: Timestamp, end: Option<Timestamp>, now: Timestamp) -> Self {
        // Nothing that was told by now ends later; a sender whose clock is ahead says so already of the start.
        let until = end.filter(|end| *end >= start).unwrap_or(now).min(now.max(start));
        let until = self.over.as_ref().map_or(until, |over| over.until.max(until));
        Self { over: Some(Over { at: now, until, doubt: None }), ..self }.with(start, now)
    }

    /// Whether a start is of another occurrence than the one that is over. A start before the end is one that another
    /// sender has for the same.
    fn begins_after(&self, start: Timestamp, over: &Over) -> bool {
        start > self.newest && start > over.until
    }

    /// Whether an end is the one of the occurrence before, told once more. In doubt it isn't: an end that is passed over
    /// would leave what it should end.
    fn is_outdated(&self, start: Timestamp, end: Option<Timestamp>) -> bool {
        let of_before = self.before.is_some_and(|newest| start <= newest) && start < self.earliest;
        of_before && end.is_some_and(|end| end >= start && end < self.earliest)
    }

    /// Whether it fires.
    pub const fn is_open(&self) -> bool {
        self.over.is_none()
    }

    /// How often it was told to fire since its end, by the receiver that was told most often.
    pub fn late(&self) -> u32 {
        let doubt = self.over.as_ref().and_then(|over| over.doubt.as_ref());
        doubt.and_then(|doubt| doubt.told.values().max().copied()).unwrap_or_default()
    }
}

/// The order in which the alerts of one notification are heard, which says nothing itself: by start, an end after what it ends.
pub fn order(event: Event) -> impl Ord {
    (event.start(), matches!(event, Event::Resolved { .. }))
}

#[cfg(test)]
mod tests;
