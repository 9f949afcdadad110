//! Reads the newest backup of an item, by the verifier.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::wrong_kind;
use crate::domain::age;
use crate::domain::automation::action::{Action, reverify};
use crate::domain::automation::record::Record;
use crate::domain::proof::{Conclusion, Verification};
use crate::engine::ports::ledger::{Effect, EffectFailure, Outcome};
use crate::engine::verifier::Order;

/// Reads the newest backup of an item.
pub struct Reverify {
    /// The verifier.
    pub orders: mpsc::Sender<Order>,
}

impl Effect for Reverify {
    fn perform<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<Outcome, EffectFailure>> {
        Box::pin(async move {
            let Action::Reverify(reverify::Reverify { source, item, level }) = &record.action else {
                return Err(wrong_kind());
            };
            let (reply, answer) = oneshot::channel();
            let order = Order { source: source.clone(), item: item.clone(), level: *level, reply };
            let stopped = || EffectFailure::new("the verifier was stopped");
            self.orders.send(order).await.map_err(|_| stopped())?;
            let read = answer.await.map_err(|_| stopped())?;
            told(&read.map_err(|error| EffectFailure::new(error.to_string()))?)
        })
    }
}

/// The result of a reading in a sentence. That a backup is damaged is a result, not a failure of the action.
fn told(it: &Verification) -> Result<Outcome, EffectFailure> {
    let (file, took) = (&it.archive.file, age::words(it.took.max(Duration::from_secs(1))));
    let headline = it.headline().unwrap_or_default();
    let result = match it.conclusion {
        Conclusion::Intact => {
            let shortfall = it.shortfall();
            format!("read {file} within {took}: {}", shortfall.as_deref().unwrap_or("intact"))
        }
        Conclusion::Damaged => format!("read {file} within {took}: damaged: {headline}"),
        Conclusion::Unchecked => return Err(EffectFailure::new(format!("{file} could not be checked: {headline}"))),
    };
    Ok(Outcome { result, ..Outcome::default() })
}
