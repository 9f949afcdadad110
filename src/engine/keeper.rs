//! The one owner of the inventory: takes reports and proofs, folds them, publishes snapshots.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::journal;
use super::ports::Clock;
use super::scanner::Report;
use crate::domain::ids::SourceName;
use crate::domain::inventory::Inventory;
use crate::domain::policy::Policy;
use crate::domain::proof::book::Proofs;

/// What is proven of a source's files.
#[derive(Debug)]
pub struct News(pub SourceName, pub Proofs);

enum Change {
    Scan(Box<Report>),
    News(News),
}

/// Folds reports and news into the inventory until all scanners are gone.
pub async fn run(
    policy: Arc<Policy>,
    clock: Arc<dyn Clock>,
    mut reports: mpsc::Receiver<Report>,
    mut news: mpsc::Receiver<News>,
    publish: watch::Sender<Arc<Inventory>>,
) {
    loop {
        let change = tokio::select! {
            report = reports.recv() => match report {
                Some(report) => Change::Scan(Box::new(report)),
                None => return,
            },
            // Without a verifier its end of the channel is closed, and this branch is never taken.
            Some(news) = news.recv() => Change::News(news),
        };
        let inventory = publish.borrow().clone();
        let (policy, clock) = (policy.clone(), clock.clone());
        // Folding a hundred thousand archives takes long enough to be kept off the threads that answer scrapes.
        let folded = tokio::task::spawn_blocking(move || fold(&inventory, change, &policy, &*clock)).await;
        match folded {
            Ok(next) => publish.send_replace(Arc::new(next)),
            Err(defect) => std::panic::resume_unwind(defect.into_panic()),
        };
    }
}

fn fold(inventory: &Inventory, change: Change, policy: &Policy, clock: &dyn Clock) -> Inventory {
    match change {
        Change::Scan(report) => {
            let Some(before) = inventory.source(&report.source) else { return inventory.clone() };
            let after = before.after(report.look, report.took, policy, report.ended);
            journal::write(before, &after, report.ended);
            inventory.with(after)
        }
        Change::News(News(source, proofs)) => {
            let Some(before) = inventory.source(&source) else { return inventory.clone() };
            let after = before.with_proofs(proofs, policy);
            journal::write_verdicts(before, &after, clock.now());
            inventory.with(after)
        }
    }
}
