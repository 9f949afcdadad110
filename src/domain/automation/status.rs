//! What the automation has done since the start of the process, and how it stands.

use std::sync::Arc;

use jiff::Timestamp;

use super::action::Kind;
use super::occurrence::Heard;
use super::record::ActionState;
use crate::domain::labels;

/// What can come of an alert and a rule, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Waits for a person.
    AwaitingApproval,
    /// The alert was over before it began.
    Cancelled,
    /// Held back by a cooldown.
    Cooldown,
    /// A person said no.
    Denied,
    /// Done.
    Done,
    /// Only said.
    DryRun,
    /// The same intent was there already.
    Duplicate,
    /// Nobody approved it in time.
    Expired,
    /// Tried in vain.
    Failed,
    /// The alert names what doesn't exist here.
    Refused,
}

impl Ending {
    /// All of them, in label order.
    pub const ALL: [Self; 10] = [
        Self::AwaitingApproval,
        Self::Cancelled,
        Self::Cooldown,
        Self::Denied,
        Self::Done,
        Self::DryRun,
        Self::Duplicate,
        Self::Expired,
        Self::Failed,
        Self::Refused,
    ];

    /// The `result` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingApproval => "awaiting_approval",
            Self::Cancelled => "cancelled",
            Self::Cooldown => "cooldown",
            Self::Denied => "denied",
            Self::Done => "done",
            Self::DryRun => "dry_run",
            Self::Duplicate => "duplicate",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }

    /// What counts when an action gets into a state; nothing for states on the way.
    pub const fn of(state: ActionState) -> Option<Self> {
        Some(match state {
            ActionState::Cancelled => Self::Cancelled,
            ActionState::Cooldown => Self::Cooldown,
            ActionState::Denied => Self::Denied,
            ActionState::Done => Self::Done,
            ActionState::DryRun => Self::DryRun,
            ActionState::Expired => Self::Expired,
            ActionState::Failed => Self::Failed,
            ActionState::Proposed => Self::AwaitingApproval,
            ActionState::Running | ActionState::Scheduled => return None,
        })
    }
}

/// Results of actions, by [`Kind::ALL`] and [`Ending::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally([[u64; Ending::ALL.len()]; Kind::ALL.len()]);

impl Tally {
    /// Counts one.
    pub fn count(&mut self, kind: Kind, result: Ending) {
        if let Some(results) = labels::place(&Kind::ALL, &kind).and_then(|kind| self.0.get_mut(kind)) {
            labels::count(results, &Ending::ALL, &result);
        }
    }

    /// All counts.
    pub fn all(&self) -> impl Iterator<Item = (Kind, Ending, u64)> + '_ {
        Kind::ALL.into_iter().zip(&self.0).flat_map(|(kind, results)| {
            Ending::ALL.into_iter().zip(results).map(move |(result, count)| (kind, result, *count))
        })
    }
}

/// Upper bounds of the buckets of the webhook's durations, in seconds.
pub const BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// What came in at the webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Intake {
    /// Alerts that were kept, firing and resolved.
    pub received: [u64; 2],
    /// What they meant, by [`Heard::ALL`].
    pub heard: [u64; Heard::ALL.len()],
    /// Alerts that can't be kept: malformed.
    pub malformed: u64,
    /// Alerts that Alertmanager left out of a notification.
    pub truncated: u64,
    /// Notifications that were put off with 503.
    pub put_off: u64,
    /// Notifications by duration, each in the first bucket of [`BUCKETS`] that holds it; the last is for longer ones.
    pub durations: [u64; BUCKETS.len() + 1],
    /// All durations together, in seconds.
    pub seconds: f64,
}

impl Intake {
    /// Counts a notification that took so many seconds to answer.
    pub fn took(&mut self, seconds: f64) {
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        self.durations[bucket] += 1;
        self.seconds += seconds;
    }
}

/// Open actions of a sort in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenActions {
    /// Their sort.
    pub kind: Kind,
    /// Their state.
    pub state: ActionState,
    /// How many there are.
    pub count: i64,
    /// When the oldest was made.
    pub oldest: Timestamp,
}

/// How the automation stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Automation {
    /// The webhook.
    pub intake: Intake,
    /// What came of actions.
    pub tally: Tally,
    /// Actions that are open.
    pub open: Vec<OpenActions>,
    /// Since when it has been paused, if it is.
    pub paused: Option<Timestamp>,
    /// End of the last turn.
    pub last_turn: Option<Timestamp>,
    /// Why the store can't be used, if so.
    pub problem: Option<Arc<str>>,
}
