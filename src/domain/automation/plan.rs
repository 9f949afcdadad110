//! What is decided of one action, before it is kept.

use jiff::Timestamp;

use super::action::Action;
use super::origin::Origin;
use super::record::{ActionState, Record};

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Who or what asked for it.
    pub origin: Origin,
    /// What is to be done.
    pub action: Action,
    /// What a cooldown counts by.
    pub target: String,
    /// Where it begins.
    pub state: ActionState,
    /// Why, in one sentence.
    pub reason: String,
    /// It doesn't begin before.
    pub not_before: Timestamp,
    /// Nobody can approve it after.
    pub expires: Option<Timestamp>,
}

impl Plan {
    /// The plan as it would be kept.
    pub fn record(&self, now: Timestamp) -> Record {
        Record {
            id: 0,
            origin: self.origin.clone(),
            action: self.action.clone(),
            state: self.state,
            reason: self.reason.as_str().into(),
            created: now,
            not_before: self.not_before,
            expires: self.expires,
            decided_by: self.origin.approved_by().cloned(),
            decided_at: self.origin.approved_by().map(|_| now),
            started: None,
            ended: None,
            result: None,
            output: None,
        }
    }
}
