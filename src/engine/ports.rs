//! What the engine needs of the outside. Adapters implement these; tests bring their own.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::look::{Look, SourceSpec};

/// A place where backups live.
pub trait Source: Send + 'static {
    /// What is configured about it.
    fn spec(&self) -> &Arc<SourceSpec>;

    /// Looks at everything. Blocks for as long as the place takes to answer, which may be for ever; called on a thread
    /// of its own. What can't be seen is part of the result, not an error of the call.
    fn look(&mut self, now: Timestamp) -> Look;
}

/// The wall clock.
pub trait Clock: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Timestamp;
}
