//! Actions that firedrill does within itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use super::ports::Clock;
use super::ports::ledger::{Effect, EffectFailure, Outcome};
use super::verifier::Order;
use crate::domain::age;
use crate::domain::automation::action::Action;
use crate::domain::automation::record::Record;
use crate::domain::automation::telling;
use crate::domain::ids::SourceName;
use crate::domain::inventory::Inventory;
use crate::domain::proof::{Conclusion, Verification};

/// Scans a source and waits for the end of the scan.
pub struct Rescan {
    /// Brings the next scan of a source forward.
    pub nudges: Vec<(SourceName, mpsc::Sender<()>)>,
    /// Where the result is seen.
    pub inventories: watch::Receiver<Arc<Inventory>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Reads the newest backup of an item.
pub struct Reverify {
    /// The verifier.
    pub orders: mpsc::Sender<Order>,
}

/// Tells somebody.
pub struct Tell {
    /// The time.
    pub clock: Arc<dyn Clock>,
}

fn wrong_kind() -> EffectFailure {
    EffectFailure::new("a defect in firedrill: an action of another sort; please report it")
}

impl Effect for Rescan {
    fn perform<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<Outcome, EffectFailure>> {
        Box::pin(async move {
            let Action::Rescan { source } = &record.action else { return Err(wrong_kind()) };
            let gone = || EffectFailure::new(format!("there is no source {source} any more"));
            let (_, nudge) = self.nudges.iter().find(|(name, _)| name == source).ok_or_else(gone)?;
            let begun = self.clock.now();
            // A nudge that waits already does as well.
            let _ = nudge.try_send(());
            let mut inventories = self.inventories.clone();
            let scanned = |inventory: &Arc<Inventory>| {
                let view = inventory.source(source)?.clone();
                // A scan that had begun before may have missed what the alert is about.
                let started = view.health.last_scan?.checked_sub(view.health.duration).ok()?;
                (started >= begun).then_some(view)
            };
            let view = loop {
                if let Some(view) = scanned(&inventories.borrow_and_update()) {
                    break view;
                }
                inventories.changed().await.map_err(|_| EffectFailure::new("firedrill stops"))?;
            };
            if let Some(problem) = view.health.problems.first() {
                return Err(EffectFailure::new(format!(
                    "scanned {source}, but could not look at all of it: {problem}"
                )));
            }
            let (items, took) = (view.items.len(), age::words(view.health.duration.max(Duration::from_secs(1))));
            Ok(Outcome { result: format!("scanned {source} within {took}: {items} items"), ..Outcome::default() })
        })
    }
}

impl Effect for Reverify {
    fn perform<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<Outcome, EffectFailure>> {
        Box::pin(async move {
            let Action::Reverify { source, item, level } = &record.action else { return Err(wrong_kind()) };
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

impl Effect for Tell {
    fn perform<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<Outcome, EffectFailure>> {
        Box::pin(async move {
            // Kept together with the result: it is told once, however often firedrill is stopped in between.
            let notice = telling::of_action(&record.action, self.clock.now()).ok_or_else(wrong_kind)?;
            Ok(Outcome { result: "handed to the notifier".to_owned(), output: None, notices: vec![notice] })
        })
    }
}
