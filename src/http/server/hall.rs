//! All open connections, and who gives way when there is no room for another.
//!
//! ```text
//!   accepted ──► silent ──► heard ──► worked on ──► sent ──┐
//!                  │         ▲ │         │            │    │
//!                  │         └─│─────────│────────────│────┘   (keep-alive)
//!                  ▼           ▼         ▼            ▼
//!             gives way     next      never         next
//!               first
//! ```
//! When the hall is full, somebody of the neighbourhood that has the most connections gives way: the one that has been
//! silent the longest, else the one in which nothing has happened the longest. So whoever opens thousands shuts out
//! itself alone, and what it loses are those that said nothing.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::neighbourhood::Neighbourhood;
use super::notes::Notes;
use super::turns::{Turn, Turns};
use crate::domain::connections::Dropped;

/// Connections that were told to go may be so many before no further one is accepted: they hold descriptors still.
const MOST_LEAVING: usize = 64;

/// Requests of one neighbourhood that are worked on at the same moment. What waits for the store or for the rest of a body
/// is not worked on.
const TURNS: usize = 2;

/// The open connections.
pub(super) struct Hall {
    inner: Mutex<Inner>,
    /// So many connections are kept.
    room: usize,
    /// Requests that are answered at the same time, all together and of one neighbourhood.
    places: Semaphore,
    share: usize,
    born: Instant,
    /// Somebody left.
    left: Notify,
    pub(super) notes: Notes,
}

#[derive(Default)]
struct Inner {
    /// By age, those aside that were told to go.
    seats: BTreeMap<u64, Arc<Seat>>,
    groups: HashMap<Neighbourhood, Arc<Group>>,
    next: u64,
    leaving: usize,
}

/// The connections of one neighbourhood.
struct Group {
    who: Neighbourhood,
    /// Those that were not told to go. Changed under the lock of the hall only.
    seated: AtomicU32,
    places: Arc<Turns>,
    turns: Arc<Turns>,
}

/// One connection.
pub(super) struct Seat {
    id: u64,
    group: Arc<Group>,
    hall: Arc<Hall>,
    /// Until something was heard.
    silent: Mutex<Option<Arc<TcpStream>>>,
    answering: AtomicBool,
    asked: AtomicBool,
    /// How many turns it had or waits for.
    turns: AtomicU32,
    /// Whether something came that was not answered yet.
    unfinished: AtomicBool,
    /// Milliseconds from the hall's birth to the last byte.
    active: AtomicU64,
    go: Notify,
}

/// Gives the seat back.
pub(super) struct Guest(pub(super) Arc<Seat>);

impl Hall {
    /// A hall for `room` connections, of which `places` are answered at the same time.
    pub(super) fn new(room: usize, places: usize, notes: Notes) -> Self {
        Self {
            inner: Mutex::default(),
            room: room.max(1),
            places: Semaphore::new(places.max(1)),
            share: places.div_ceil(2).max(1),
            born: Instant::now(),
            left: Notify::new(),
            notes,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Lets a connection in; another one is told to go if there is no room.
    pub(super) fn enter(self: &Arc<Self>, from: SocketAddr, stream: Arc<TcpStream>) -> Guest {
        let mut inner = self.inner();
        let group = inner.group(from.ip(), self.share);
        let id = inner.next;
        inner.next += 1;
        let seat = Arc::new(Seat {
            id,
            group,
            hall: self.clone(),
            silent: Mutex::new(Some(stream)),
            answering: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            turns: AtomicU32::new(0),
            unfinished: AtomicBool::new(false),
            active: AtomicU64::new(self.age()),
            go: Notify::new(),
        });
        seat.group.seated.fetch_add(1, Ordering::Relaxed);
        inner.seats.insert(id, seat.clone());
        if inner.seats.len() > self.room {
            self.make_room(&mut inner);
        }
        Guest(seat)
    }

    /// Tells some to go because the system has no descriptors left.
    pub(super) fn shrink(&self, by: usize) {
        let mut inner = self.inner();
        for _ in 0..by {
            self.make_room(&mut inner);
        }
    }

    fn make_room(&self, inner: &mut Inner) {
        let Some(seat) = inner.who_gives_way() else { return };
        inner.seats.remove(&seat.id);
        inner.leaving += 1;
        inner.count_out(&seat);
        self.notes.note(Dropped::MadeRoom, Some(seat.group.who));
        seat.go.notify_one();
    }

    /// Resolves once few enough are on their way out.
    pub(super) async fn settled(&self) {
        while self.inner().leaving > MOST_LEAVING {
            self.left.notified().await;
        }
    }

    /// Resolves when all have left.
    pub(super) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            {
                let inner = self.inner();
                if inner.seats.is_empty() && inner.leaving == 0 {
                    return;
                }
            }
            left.await;
        }
    }
}

impl Inner {
    fn group(&mut self, address: IpAddr, share: usize) -> Arc<Group> {
        let who = Neighbourhood::from(address);
        let group = || {
            Arc::new(Group {
                who,
                seated: AtomicU32::new(0),
                places: Arc::new(Turns::new(share)),
                turns: Arc::new(Turns::new(TURNS)),
            })
        };
        self.groups.entry(who).or_insert_with(group).clone()
    }

    fn count_out(&mut self, seat: &Seat) {
        if seat.group.seated.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.groups.remove(&seat.group.who);
        }
    }

    /// Of the neighbourhood that has the most: who has been silent the longest, else where nothing has happened the
    /// longest. Nobody who is being answered.
    fn who_gives_way(&self) -> Option<Arc<Seat>> {
        let seated = |group: &Group| group.seated.load(Ordering::Relaxed);
        let most = self.groups.values().map(|group| seated(group)).max()?;
        let of_most = || self.seats.values().filter(|seat| seated(&seat.group) == most);
        let idle = |seats: &mut dyn Iterator<Item = &Arc<Seat>>| {
            let waiting = seats.filter(|seat| !seat.answering.load(Ordering::Relaxed));
            waiting.min_by_key(|seat| seat.active.load(Ordering::Relaxed)).cloned()
        };
        of_most()
            .find(|seat| seat.is_silent())
            .cloned()
            .or_else(|| idle(&mut of_most()))
            .or_else(|| idle(&mut self.seats.values()))
    }
}

impl Seat {
    /// Whether nothing came from the client, not even what was not read yet.
    fn is_silent(&self) -> bool {
        let silent = self.silent();
        silent.as_ref().is_some_and(|stream| rustix::io::ioctl_fionread(&**stream).unwrap_or(0) == 0)
    }

    fn silent(&self) -> MutexGuard<'_, Option<Arc<TcpStream>>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something came: the stream is the caller's alone from here on.
    pub(super) fn stand_up(&self) {
        self.silent().take();
        self.touch();
    }

    /// A byte was taken or sent.
    pub(super) fn touch(&self) {
        self.active.store(self.hall.age(), Ordering::Relaxed);
    }

    /// A byte was taken.
    pub(super) fn hear(&self) {
        self.unfinished.store(true, Ordering::Relaxed);
        self.touch();
    }

    /// A request came.
    pub(super) fn ask(&self) {
        self.unfinished.store(false, Ordering::Relaxed);
        self.asked.store(true, Ordering::Relaxed);
    }

    /// It is worked on. Until the returned value is dropped the connection doesn't give way.
    pub(super) fn begin(self: &Arc<Self>) -> Answering {
        self.answering.store(true, Ordering::Relaxed);
        Answering(self.clone())
    }

    /// Whether anything was asked.
    pub(super) fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether part of a request came and not all of it.
    pub(super) fn is_unfinished(&self) -> bool {
        self.unfinished.load(Ordering::Relaxed)
    }

    /// A place among the requests that are answered at the same time.
    pub(super) async fn place(&self) -> (Option<Turn>, Option<SemaphorePermit<'_>>) {
        // Its own neighbours first: whoever waits for all holds one of few. Neither is ever closed.
        let own = self.group.places.take(self.id, self.turns.load(Ordering::Relaxed)).await;
        (own, self.hall.places.acquire().await.ok())
    }

    /// A turn to be worked on.
    pub(super) async fn turn(&self) -> Option<Turn> {
        self.group.turns.take(self.id, self.turns.fetch_add(1, Ordering::Relaxed)).await
    }

    /// Resolves when this connection is to give way.
    pub(super) async fn told_to_go(&self) {
        self.go.notified().await;
    }

    /// Notes that this connection was closed unanswered.
    pub(super) fn dropped(&self, why: Dropped) {
        self.hall.notes.note(why, Some(self.group.who));
    }
}

/// While it lives the connection doesn't give way.
pub(super) struct Answering(Arc<Seat>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.touch();
        self.0.answering.store(false, Ordering::Relaxed);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let (seat, hall) = (&self.0, &self.0.hall);
        let mut inner = hall.inner();
        if inner.seats.remove(&seat.id).is_some() {
            inner.count_out(seat);
        } else {
            inner.leaving -= 1;
        }
        drop(inner);
        hall.left.notify_one();
    }
}

#[cfg(test)]
mod tests;
