//! The one owner of the inventory: takes reports, folds them, publishes snapshots.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::journal;
use super::scanner::Report;
use crate::domain::inventory::Inventory;
use crate::domain::policy::Policy;

/// Folds reports into the inventory until all scanners are gone.
pub async fn run(policy: Arc<Policy>, mut reports: mpsc::Receiver<Report>, publish: watch::Sender<Arc<Inventory>>) {
    while let Some(report) = reports.recv().await {
        let inventory = publish.borrow().clone();
        let policy = policy.clone();
        // Folding a hundred thousand archives takes long enough to be kept off the threads that answer scrapes.
        let folded = tokio::task::spawn_blocking(move || fold(&inventory, report, &policy)).await;
        match folded {
            Ok(next) => publish.send_replace(Arc::new(next)),
            Err(defect) => std::panic::resume_unwind(defect.into_panic()),
        };
    }
}

fn fold(inventory: &Inventory, report: Report, policy: &Policy) -> Inventory {
    let Some(before) = inventory.source(&report.source) else {
        return inventory.clone();
    };
    let after = before.after(report.look, report.took, policy, report.ended);
    journal::write(before, &after, report.ended);
    inventory.with(after)
}
