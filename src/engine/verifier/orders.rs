//! Proofs that somebody asked for: they go first, whatever the window says, beside those that run.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::lanes::Lane;
use super::{Ended, Proving, State};
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::inventory::Inventory;
use crate::domain::item::Item;
use crate::domain::proof::{ArchiveId, Level, Verification};
use crate::engine::provers::{Control, Examined, Job};

/// Ordered ones run beside the planned ones of their lane, this many at a time: one that takes hours must not hold them up.
const PLACES: usize = 1;

/// Asks for the newest backup of an item to be read now.
#[derive(Debug)]
pub struct Order {
    /// Its source.
    pub source: SourceName,
    /// The item.
    pub item: ItemId,
    /// How much is to be proven.
    pub level: Level,
    /// Gets the result. Dropped by the receiver, the order is withdrawn.
    pub reply: oneshot::Sender<Result<Verification, Unfulfilled>>,
}

/// Why an order came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfulfilled {
    /// There is no complete backup.
    #[error("there is no complete backup of {1} in {0}")]
    NoBackup(SourceName, ItemId),
    /// No method that is at hand proves that level of the item.
    #[error("nothing here proves level {level} of {item}", level = .level.as_str())]
    NoProver {
        /// The level that was asked for.
        level: Level,
        /// The item.
        item: ItemId,
    },
    /// The file went away.
    #[error("the file {0} is gone")]
    Gone(ArchiveId),
    /// Its directory doesn't answer.
    #[error("the directory of {0} does not answer; it is tried again later")]
    NoAnswer(ArchiveId),
    /// The verifier stops.
    #[error("the verifier was stopped")]
    Stopped,
}

struct Waiting {
    lane: Arc<Lane>,
    job: Job,
    /// The reading that will answer it.
    control: Option<Arc<Control>>,
    reply: oneshot::Sender<Result<Verification, Unfulfilled>>,
}

/// Orders that were not answered yet, oldest first.
#[derive(Default)]
pub(super) struct Orders(VecDeque<Waiting>);

impl Orders {
    /// A reading ended: whoever waits for it is told.
    pub(super) fn answer(&mut self, control: &Arc<Control>, examined: &Examined) {
        let mut rest = VecDeque::new();
        for waiting in self.0.drain(..) {
            if !waiting.control.as_ref().is_some_and(|it| Arc::ptr_eq(it, control)) {
                rest.push_back(waiting);
                continue;
            }
            let answer = match examined {
                Examined::Stopped => Err(Unfulfilled::Stopped),
                Examined::Gone(_) => Err(Unfulfilled::Gone(waiting.job.archive)),
                Examined::Ended(verification) => Ok((**verification).clone()),
            };
            // Who asked may be gone.
            let _ = waiting.reply.send(answer);
        }
        self.0 = rest;
    }
}

impl State {
    /// Takes an order, or says at once why not.
    pub(super) fn accept(&mut self, order: Order) {
        let inventory = self.inventories.borrow().clone();
        let Some((item, archive)) = newest(&inventory, &order.source, &order.item) else {
            let _ = order.reply.send(Err(Unfulfilled::NoBackup(order.source, order.item)));
            return;
        };
        if self.is_held(&archive) {
            let _ = order.reply.send(Err(Unfulfilled::NoAnswer(archive)));
            return;
        }
        let Some(lane) = self.lane_for(order.level, item) else {
            let _ = order.reply.send(Err(Unfulfilled::NoProver { level: order.level, item: order.item }));
            return;
        };
        let job = Job { archive, item: order.item, level: order.level };
        // What proves as much and has begun already will do.
        let same =
            |it: &&Proving| Arc::ptr_eq(&it.lane, &lane) && it.job.archive == job.archive && it.job.level >= job.level;
        let control = self.running.iter().find(same).map(|it| it.control.clone());
        self.orders.0.push_back(Waiting { lane, job, control, reply: order.reply });
    }

    /// Begins ordered readings as far as there is room.
    pub(super) fn begin_ordered(&mut self, ended: &mpsc::Sender<Ended>) {
        let mut waiting = std::mem::take(&mut self.orders.0);
        for order in waiting.iter_mut().filter(|order| order.control.is_none()) {
            let full = self.running_in(&order.lane) >= order.lane.workers + PLACES;
            if full || self.is_busy(&order.job.archive) || !self.proof_log.is_ready() {
                continue;
            }
            order.control = self.start(order.lane.clone(), order.job.clone(), ended);
        }
        self.orders.0 = waiting;
    }

    /// Ends readings that nobody waits for any more.
    pub(super) fn give_up_unwanted(&mut self) {
        for order in self.orders.0.iter().filter(|order| order.reply.is_closed()) {
            if let Some(control) = &order.control {
                let others = self.orders.0.iter().any(|it| {
                    !it.reply.is_closed() && it.control.as_ref().is_some_and(|other| Arc::ptr_eq(other, control))
                });
                if !others {
                    control.stop();
                }
            }
        }
        self.orders.0.retain(|order| !order.reply.is_closed() || order.control.is_some());
    }
}

/// An item, and the file of its newest complete backup.
fn newest<'a>(inventory: &'a Inventory, source: &SourceName, item: &ItemId) -> Option<(&'a Item, ArchiveId)> {
    let view = inventory.source(source)?;
    let item = view.items.iter().find(|it| it.id == *item)?;
    let newest = item.newest.as_ref()?;
    let root = view.spec.places.get(newest.root)?;
    Some((item, ArchiveId { source: source.clone(), root: root.path.clone(), file: newest.file.clone() }))
}
