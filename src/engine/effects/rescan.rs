//! Scans a source, by the scanner that looks after it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::wrong_kind;
use crate::domain::age;
use crate::domain::automation::action::{Action, rescan};
use crate::domain::automation::record::Record;
use crate::domain::ids::SourceName;
use crate::domain::inventory::Inventory;
use crate::engine::ports::Clock;
use crate::engine::ports::ledger::{Effect, EffectFailure, Outcome};

/// Scans a source and waits for the end of the scan.
pub struct Rescan {
    /// Brings the next scan of a source forward.
    pub nudges: Vec<(SourceName, mpsc::Sender<()>)>,
    /// Where the result is seen.
    pub inventories: watch::Receiver<Arc<Inventory>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Effect for Rescan {
    fn perform<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<Outcome, EffectFailure>> {
        Box::pin(async move {
            let Action::Rescan(rescan::Rescan { source }) = &record.action else { return Err(wrong_kind()) };
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
