//! What is decided of one action, before it is kept.

use jiff::Timestamp;

use super::action::Action;
use super::origin::Origin;
use super::record::ActionState;

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
