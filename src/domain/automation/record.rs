//! What the store knows of actions: their states, and the audit trail.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::action::Action;
use super::origin::Origin;

/// Where an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    /// Not needed any more: the alert was over before it began.
    Cancelled,
    /// Not done: the same was done to the same target too short a time ago.
    Cooldown,
    /// A person said no.
    Denied,
    /// Done.
    Done,
    /// The rule only says what it would do.
    DryRun,
    /// Nobody approved it in time.
    Expired,
    /// It was tried and did not work.
    Failed,
    /// Waits for a person.
    Proposed,
    /// It is being done.
    Running,
    /// It will be done when nothing stands against it.
    Scheduled,
}

impl ActionState {
    /// All of them, in label order.
    pub const ALL: [Self; 10] = [
        Self::Cancelled,
        Self::Cooldown,
        Self::Denied,
        Self::Done,
        Self::DryRun,
        Self::Expired,
        Self::Failed,
        Self::Proposed,
        Self::Running,
        Self::Scheduled,
    ];

    /// As in the store, the API and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Cooldown => "cooldown",
            Self::Denied => "denied",
            Self::Done => "done",
            Self::DryRun => "dry_run",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Proposed => "proposed",
            Self::Running => "running",
            Self::Scheduled => "scheduled",
        }
    }

    /// Reads what [`as_str`](Self::as_str) writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether it counts for cooldowns: something was done, or a person was asked. Whatever began counts in any state.
    pub const fn cools(self) -> bool {
        matches!(
            self,
            Self::Denied | Self::Done | Self::Expired | Self::Failed | Self::Proposed | Self::Running | Self::Scheduled
        )
    }

    /// Whether something may still become of it.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Proposed | Self::Running | Self::Scheduled)
    }
}

/// An action as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number, for people too.
    pub id: i64,
    /// Who or what asked for it.
    pub origin: Origin,
    /// What is to be done.
    pub action: Action,
    /// Where it stands.
    pub state: ActionState,
    /// Why it stands there, in one sentence.
    pub reason: Arc<str>,
    /// When it was decided.
    pub created: Timestamp,
    /// It doesn't begin before.
    pub not_before: Timestamp,
    /// Nobody can approve it after.
    pub expires: Option<Timestamp>,
    /// Who approved or denied it.
    pub decided_by: Option<Arc<str>>,
    /// When that was.
    pub decided_at: Option<Timestamp>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What came of it, in one sentence.
    pub result: Option<Arc<str>>,
    /// What a program wrote, capped.
    pub output: Option<Arc<str>>,
}

/// A person's word on a proposed action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The action.
    pub action: i64,
    /// Yes or no.
    pub approve: bool,
    /// Who: `api:NAME`, `telegram:ID`, `cli:USER`.
    pub by: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// What a ruling came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruled {
    /// It counts; the action is now scheduled or denied.
    Taken(ActionState),
    /// The action waits for nobody any more; it stands here.
    TooLate(ActionState),
    /// There is no such action.
    Unknown,
}

/// A line of the audit trail. Lines are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditLine {
    /// Rises with every line.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who or what: `rule:NAME`, `api:NAME`, `firedrill`.
    pub actor: Arc<str>,
    /// The action it is about.
    pub action: Option<i64>,
    /// What happened, in one word: `scheduled`, `proposed`, `approved`, `started`, `done`, `failed`, `paused` …
    pub event: Arc<str>,
    /// The same in a sentence.
    pub detail: Arc<str>,
}

/// Whether the automation is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// By whom.
    pub by: Arc<str>,
}

#[cfg(test)]
pub(crate) fn example(id: i64, action: Action) -> Record {
    let now = Timestamp::from_second(1_790_000_000).unwrap();
    Record {
        id,
        origin: Origin::Alert { id: Some(1), fingerprint: "".into(), start: None, rule: "r".into() },
        action,
        state: ActionState::Scheduled,
        reason: "".into(),
        created: now,
        not_before: now,
        expires: None,
        decided_by: None,
        decided_at: None,
        started: None,
        ended: None,
        result: None,
        output: None,
    }
}
