//! Whose turn it is among neighbours.
//!
//! Connections that had few turns go before those that had many, and of those that are new the newest goes first: who comes while hundreds wait is served as if they were not there, and they are no worse off than in a queue
//! that they fill themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// A connection is new for so many turns: two for a handshake, one for its first words, one for its first request.
const NEW: u32 = 4;

/// From so many turns on a connection is one that asks much.
const MUCH: u32 = 8;

/// Turns of one neighbourhood.
pub(super) struct Turns(Mutex<State>);

struct State {
    free: usize,
    waiting: BTreeMap<Rank, oneshot::Sender<Turn>>,
    next: u64,
}

/// What sorts those that wait: how many turns they had, then when they came.
type Rank = (u32, u64);

/// Whoever has it is worked on.
pub(super) struct Turn(Option<Arc<Turns>>);

/// Takes its place in the queue away when it is dropped.
struct Place<'a>(&'a Turns, Rank);

impl Turns {
    pub(super) fn new(count: usize) -> Self {
        Self(Mutex::new(State { free: count, waiting: BTreeMap::new(), next: 0 }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn, for the connection of this number, which had so many before.
    pub(super) async fn take(self: &Arc<Self>, connection: u64, before: u32) -> Option<Turn> {
        let (turn, place) = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Some(Turn(Some(self.clone())));
            }
            let (send, receive) = oneshot::channel();
            let number = state.next;
            state.next += 1;
            let rank = if before < NEW { (0, u64::MAX - connection) } else { (before.min(MUCH), number) };
            state.waiting.insert(rank, send);
            (receive, Place(self, rank))
        };
        let turn = turn.await.ok();
        drop(place);
        turn
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().waiting.remove(&self.1);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = turns.state();
                let next = state.waiting.pop_first();
                state.free += usize::from(next.is_none());
                next
            };
            let Some((_, next)) = next else { return };
            // Who went away meanwhile gives it back; it is passed on from here.
            let Err(mut back) = next.send(Turn(Some(turns.clone()))) else { return };
            back.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queues up, and tells its name when it has its turn.
    fn queue(
        turns: &Arc<Turns>,
        name: &'static str,
        (connection, before): (u64, u32),
        order: &Arc<Mutex<Vec<&'static str>>>,
    ) -> impl Future<Output = ()> + use<> {
        let (turns, order) = (turns.clone(), order.clone());
        async move {
            let _turn = turns.take(connection, before).await;
            order.lock().unwrap().push(name);
        }
    }

    #[tokio::test]
    async fn who_asked_little_goes_first_and_of_first_requests_the_newest() {
        let (turns, order) = (Arc::new(Turns::new(1)), Arc::default());
        let first = turns.take(0, 0).await;
        let mut all = Vec::new();
        for (name, before) in [
            ("much", (1, 100)),
            ("old", (2, 0)),
            ("fourth", (3, 4)),
            ("much too", (4, 50)),
            ("later", (5, 4)),
            ("new", (7, 0)),
            ("new, its second", (6, 1)),
        ] {
            all.push(tokio::spawn(queue(&turns, name, before, &order)));
            tokio::task::yield_now().await;
        }
        drop(first);
        for one in all {
            one.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["new", "new, its second", "old", "fourth", "later", "much", "much too"]);
        assert_eq!(turns.state().free, 1);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_no_place_and_takes_no_turn_with_it() {
        let turns = Arc::new(Turns::new(1));
        let first = turns.take(0, 0).await;
        let order = Arc::default();
        let waits = tokio::spawn(queue(&turns, "gone", (1, 0), &order));
        tokio::task::yield_now().await;
        waits.abort();
        assert!(waits.await.is_err() && turns.state().waiting.is_empty());
        // Gone in the moment in which it was given the turn.
        let waits = tokio::spawn(queue(&turns, "gone", (1, 0), &order));
        tokio::task::yield_now().await;
        drop(first);
        waits.abort();
        let _ = waits.await;
        assert!(turns.take(0, 0).await.is_some());
        assert_eq!(turns.state().free, 1);
    }
}
