//! Actions that firedrill does within itself.

pub mod notify;
pub mod rescan;
pub mod reverify;

use super::ports::ledger::EffectFailure;

/// A record that was handed to another effect than its own.
fn wrong_kind() -> EffectFailure {
    EffectFailure::new("a defect in firedrill: an action of another sort; please report it")
}
