//! What a turn did, until it is durable.

use std::sync::Arc;

use crate::domain::automation::action::Kind;
use crate::domain::automation::record::{ActionState, Record};
use crate::domain::automation::status::Ending;

/// What a turn changed, for counting once it is durable.
#[derive(Default)]
pub(super) struct Done {
    pub(super) begun: Vec<Record>,
    pub(super) counted: Vec<(Kind, Ending)>,
    pub(super) killed: Vec<(i64, String)>,
    /// What is said of it in the log.
    pub(super) said: Vec<Said>,
    /// Something was added or changed since open actions were counted.
    pub(super) recount: bool,
}

/// What was decided in a turn. It is said once it is durable, and not of what a store refused.
pub(super) enum Said {
    /// An action of a rule.
    Decided(i64, Arc<str>, ActionState, Arc<str>),
    /// An action was interrupted: which, and what becomes of it.
    Interrupted(i64, String),
    /// A rule may not do what it asks for: its name, of which alert, and why.
    Refused(Arc<str>, Arc<str>, String),
}

impl Said {
    pub(super) fn log(&self) {
        match self {
            Self::Decided(action, rule, state, reason) => {
                tracing::info!(action, rule = &**rule, state = state.as_str(), "{reason}");
            }
            Self::Interrupted(action, text) => tracing::warn!(action, "{text}"),
            Self::Refused(rule, fingerprint, refusal) => {
                tracing::warn!(rule = &**rule, fingerprint = &**fingerprint, "refused: {refusal}");
            }
        }
    }
}
