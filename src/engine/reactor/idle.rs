//! Whether anything happened since the last turn. An idle daemon goes through nothing again and again.

use std::sync::Arc;

use tokio::time::Instant;

use super::Reactor;
use crate::domain::inventory::Inventory;

/// What the last turn saw.
#[derive(Default)]
pub(super) struct Seen {
    /// The store, before it; `None` where that isn't cheap to know.
    version: Option<i64>,
    inventory: Option<Arc<Inventory>>,
}

impl Reactor {
    /// Notes what the turn that comes will see. Called before it: what it writes itself is looked at once more.
    pub(super) async fn look_around(&self) -> Seen {
        let inventory = Some(self.inventories.borrow().clone());
        Seen { version: self.outside.ledger.version().await, inventory }
    }

    /// Whether a turn would find what the last one found: nothing is open, and nobody wrote anything. What time alone brings
    /// (an end that is believed late) may come some seconds later, with the next write that tells whether the store takes any.
    pub(super) fn is_idle(&self, now: &Seen) -> bool {
        let same = |a: &Option<Arc<Inventory>>, b: &Option<Arc<Inventory>>| {
            a.as_ref().zip(b.as_ref()).is_some_and(|(a, b)| Arc::ptr_eq(a, b))
        };
        let quiet = self.open.is_empty() && self.running.is_empty() && self.unsaved.is_empty();
        let known = self.last_turn.is_some() && self.problem.is_none();
        quiet
            && known
            && now.version.is_some()
            && now.version == self.seen.version
            && same(&now.inventory, &self.seen.inventory)
    }

    /// A turn that need not be taken was as good as taken.
    pub(super) fn skip_turn(&mut self) {
        self.turned = Instant::now();
        self.last_turn = Some(self.outside.clock.now());
    }
}
