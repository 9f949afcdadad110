//! Tells somebody, by the notifier.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::wrong_kind;
use crate::domain::automation::record::Record;
use crate::engine::ports::Clock;
use crate::engine::ports::ledger::{Effect, EffectFailure, Outcome};

/// Tells somebody.
pub struct Tell {
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Effect for Tell {
    fn perform<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<Outcome, EffectFailure>> {
        Box::pin(async move {
            // Kept together with the result: it is told once, however often firedrill is stopped in between.
            let notice = record.action.deed().notice(self.clock.now()).ok_or_else(wrong_kind)?;
            Ok(Outcome { result: "handed to the notifier".to_owned(), output: None, notices: vec![notice] })
        })
    }
}
