//! One store for the whole process, opened when it is first needed. One that isn't the same any more is not opened anew:
//! that is for a person to say.

mod accepting;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

pub use self::accepting::Requests;
use super::bond::Tie;
use super::disk::Disk;
use super::error::Doing;
use super::lost::not_the_store;
use super::memory::Memory;
use super::pulse::Pulse;
use super::{Place, Store, marker};
use crate::domain::automation::alert::{KeptAlert, Status};
use crate::domain::automation::occurrence::{Bounds, Tidings};
use crate::domain::automation::plan::Plan;
use crate::domain::automation::record::{AuditLine, Pause, Record, Ruled, Ruling};
use crate::domain::ids::SourceName;
use crate::domain::notice::Notice;
use crate::domain::proof::{ArchiveId, FirstSight, Verification};
use crate::domain::store::{Standing, Trouble};
use crate::engine::ports::automation::{ActionFilter, ActionStore, Asked, Page};
use crate::engine::ports::custody::Custody;
use crate::engine::ports::ledger::{Ledger, Received, Turn};
use crate::engine::ports::notices::{
    Claim, Claimed, Delivery, FailedTry, Line, NoticeStore, NoticeStores, Queue, Routed, Routing, Story, Taken, Tried,
};
use crate::engine::ports::tokens::{NewToken, Token, TokenStore};
use crate::engine::ports::{Clock, Kept, LevelReached, ProofStore, StoreError, Stores};

/// A store that could not be opened is tried again after this at the earliest; until then the answer is the same.
const PAUSE: Duration = Duration::from_secs(2);

/// A store that was written to within this time isn't probed.
const QUIET: Duration = Duration::from_secs(8);

enum State {
    Closed,
    Open(Store),
    Failed(StoreError, Instant),
    /// Kept: as long as its files are open, what they held isn't gone.
    Lost(Option<Store>, StoreError),
    Ended,
}

/// The store of the process. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    place: Place,
    marker: Option<Arc<Path>>,
    /// For who goes on with it for long.
    clock: Option<Arc<dyn Clock>>,
    state: Arc<Mutex<State>>,
    pulse: Arc<Pulse>,
    memory: Arc<Memory>,
    disk: Disk,
}

impl Shared {
    /// The store at this place. Opens nothing yet.
    pub fn new(place: Place) -> Self {
        let state = Arc::new(Mutex::new(State::Closed));
        let (pulse, memory, disk) = (Arc::default(), Arc::default(), Disk::default());
        Self { place, marker: None, clock: None, state, pulse, memory, disk }
    }

    /// With the file beside it that says which store it is. One that isn't the same isn't opened.
    pub fn marked(self, marker: Option<PathBuf>) -> Self {
        Self { marker: marker.map(Arc::from), ..self }
    }

    /// For a daemon: it notices when the store isn't the same any more, and keeps the marker.
    pub fn tied(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// The open store.
    pub async fn get(&self) -> Result<Store, StoreError> {
        let mut state = self.state.lock().await;
        match &*state {
            State::Open(store) => match self.still_good(store).await {
                Ok(()) => return Ok(store.clone()),
                Err(error) => {
                    if self.pulse.now().is_lost() {
                        *state = State::Lost(Some(store.clone()), error.clone());
                    }
                    return Err(error);
                }
            },
            State::Lost(_, error) => return Err(error.clone()),
            State::Failed(error, at) if at.elapsed() < PAUSE => return Err(error.clone()),
            State::Ended => return Err(self.place.failed(Doing::Open, &sqlx::Error::PoolClosed)),
            State::Closed | State::Failed(..) => {}
        }
        match self.open_store().await {
            Ok(store) => {
                *state = State::Open(store.clone());
                Ok(store)
            }
            Err(error) => {
                self.pulse.failed(Trouble::Passing, &error.message);
                *state = State::Failed(error.clone(), Instant::now());
                Err(error)
            }
        }
    }

    /// Another number once anybody has written anything, where that is cheap to know.
    async fn cheap_version(&self) -> Option<i64> {
        if self.pulse.now().problem.is_some() {
            return None;
        }
        let store = match &*self.state.lock().await {
            State::Open(store) => store.clone(),
            _ => return None,
        };
        store.version().await
    }

    /// Whether it is still what was opened; a commit may have found that it isn't.
    async fn still_good(&self, store: &Store) -> Result<(), StoreError> {
        let standing = self.pulse.now();
        match standing.problem.filter(|it| it.kind == Trouble::Lost) {
            Some(problem) => Err(StoreError { message: problem.message.to_string() }),
            None => store.still_there().await,
        }
    }

    async fn open_store(&self) -> Result<Store, StoreError> {
        let marker = self.marker.as_deref();
        let Some(clock) = &self.clock else {
            return self.open_known().await;
        };
        let now = clock.now();
        // Asked for before it began: a person has looked at what is there.
        let accepted = self.requested(now).await;
        let tie = Tie { marker, accepted, memory: self.memory.clone(), disk: &self.disk, now };
        Store::open_tied(self.place.clone(), self.pulse.clone(), tie).await
    }

    /// For commands: nothing is made, and another store than the daemon's isn't taken for it.
    async fn open_known(&self) -> Result<Store, StoreError> {
        let known = self.marker.as_deref().and_then(|path| marker::read(path).ok().flatten());
        let known = known.filter(|known| self.marker.as_deref().is_some_and(|path| known.is_about(&self.place, path)));
        let other = |why: &str| self.place.failed(Doing::Open, &not_the_store(why));
        if known.is_some() && self.place.path().is_some_and(|path| !path.exists()) {
            return Err(other("it is gone, and was used here before"));
        }
        let store = Store::open(self.place.clone()).await?;
        match known {
            Some(known) if store.id().await?.as_deref() != Some(&*known.store) => {
                Err(other("it is another one than the one that was used here before"))
            }
            _ => Ok(store),
        }
    }
}

impl Custody for Shared {
    fn standing(&self) -> watch::Receiver<Standing> {
        self.pulse.watch()
    }

    fn probe(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let store = self.get().await?;
            let quiet = self.pulse.quiet().is_none_or(|quiet| quiet >= QUIET);
            if quiet || self.pulse.now().problem.is_some() { store.probe(now).await } else { Ok(()) }
        })
    }

    fn check(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.get().await?.check(now).await })
    }

    fn fold(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.get().await?.fold().await })
    }

    fn hear(&self, now: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(self.hear_requests(now))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let before = std::mem::replace(&mut *self.state.lock().await, State::Ended);
            match before {
                State::Open(store) => {
                    // It may have been lost a moment ago.
                    let _ = store.still_there().await;
                    store.rescue().await;
                    store.close().await;
                }
                State::Lost(Some(store), _) => {
                    store.rescue().await;
                    store.close().await;
                }
                State::Closed | State::Failed(..) | State::Lost(None, _) | State::Ended => {}
            }
        })
    }
}

impl Stores for Shared {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn ProofStore>, StoreError>> {
        Box::pin(async {
            self.get().await?;
            Ok(Arc::new(self.clone()) as Arc<dyn ProofStore>)
        })
    }

    fn standing(&self) -> Standing {
        self.pulse.now()
    }
}

impl ProofStore for Shared {
    fn first_sight<'a>(&'a self, archive: &'a ArchiveId) -> BoxFuture<'a, Result<Option<FirstSight>, StoreError>> {
        Box::pin(async move { self.get().await?.first_sight(archive).await })
    }

    fn record<'a>(&'a self, verification: &'a Verification) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(async move { self.get().await?.record(verification).await })
    }

    fn newest<'a>(&'a self, sources: &'a [SourceName], after: i64) -> BoxFuture<'a, Result<Vec<Kept>, StoreError>> {
        Box::pin(async move { self.get().await?.newest(sources, after).await })
    }

    fn levels<'a>(&'a self, sources: &'a [SourceName]) -> BoxFuture<'a, Result<Vec<LevelReached>, StoreError>> {
        Box::pin(async move { self.get().await?.levels(sources).await })
    }

    fn forget(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { self.get().await?.forget(before).await })
    }

    fn seen<'a>(&'a self, archives: &'a [ArchiveId], now: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.get().await?.seen(archives, now).await })
    }
}

impl ActionStore for Shared {
    fn actions<'a>(&'a self, filter: &'a ActionFilter, page: Page) -> BoxFuture<'a, Result<Vec<Record>, StoreError>> {
        Box::pin(async move { self.get().await?.actions(filter, page).await })
    }

    fn action(&self, id: i64) -> BoxFuture<'_, Result<Option<Record>, StoreError>> {
        Box::pin(async move { self.get().await?.action(id).await })
    }

    fn alerts(&self, status: Option<Status>, page: Page) -> BoxFuture<'_, Result<Vec<KeptAlert>, StoreError>> {
        Box::pin(async move { self.get().await?.alerts(status, page).await })
    }

    fn audit(&self, action: Option<i64>, page: Page) -> BoxFuture<'_, Result<Vec<AuditLine>, StoreError>> {
        Box::pin(async move { self.get().await?.audit(action, page).await })
    }

    fn rule<'a>(&'a self, ruling: &'a Ruling) -> BoxFuture<'a, Result<Ruled, StoreError>> {
        Box::pin(async move { self.get().await?.rule(ruling).await })
    }

    fn ask<'a>(&'a self, plan: &'a Plan, now: Timestamp) -> BoxFuture<'a, Result<Asked, StoreError>> {
        Box::pin(async move { self.get().await?.ask(plan, now).await })
    }

    fn paused(&self) -> BoxFuture<'_, Result<Option<Pause>, StoreError>> {
        Box::pin(async move { self.get().await?.paused().await })
    }

    fn set_paused<'a>(
        &'a self,
        paused: bool,
        by: &'a Arc<str>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { self.get().await?.set_paused(paused, by, now).await })
    }
}

impl Ledger for Shared {
    fn version(&self) -> BoxFuture<'_, Option<i64>> {
        Box::pin(self.cheap_version())
    }

    fn receive<'a>(
        &'a self,
        alerts: &'a [Received],
        bounds: Bounds,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Tidings, StoreError>> {
        Box::pin(async move { self.get().await?.receive(alerts, bounds, now).await })
    }

    fn turn(&self) -> BoxFuture<'_, Result<Box<dyn Turn>, StoreError>> {
        Box::pin(async move { self.get().await?.turn().await })
    }

    fn renew<'a>(&'a self, owner: &'a str, until: Timestamp) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move { self.get().await?.renew(owner, until).await })
    }

    fn forget_automation(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { self.get().await?.forget_automation(before).await })
    }
}

impl TokenStore for Shared {
    fn create<'a>(&'a self, token: &'a NewToken) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { self.get().await?.create(token).await })
    }

    fn tokens(&self) -> BoxFuture<'_, Result<Vec<Token>, StoreError>> {
        Box::pin(async move { self.get().await?.tokens().await })
    }

    fn revoke<'a>(&'a self, name: &'a str, now: Timestamp) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { self.get().await?.revoke(name, now).await })
    }

    fn used(&self, id: i64, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.get().await?.used(id, now).await })
    }
}

impl NoticeStores for Shared {
    fn open_notices(&self) -> BoxFuture<'_, Result<Arc<dyn NoticeStore>, StoreError>> {
        Box::pin(async {
            self.get().await?;
            Ok(Arc::new(self.clone()) as Arc<dyn NoticeStore>)
        })
    }
}

impl NoticeStore for Shared {
    fn version(&self) -> BoxFuture<'_, Option<i64>> {
        Box::pin(self.cheap_version())
    }

    fn post<'a>(&'a self, notices: &'a [Notice]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.get().await?.post(notices).await })
    }

    fn route<'a>(&'a self, plan: &'a Routing, now: Timestamp) -> BoxFuture<'a, Result<Routed, StoreError>> {
        Box::pin(async move { self.get().await?.route(plan, now).await })
    }

    fn claim<'a>(&'a self, receiver: &'a str, claim: &'a Claim) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        Box::pin(async move { self.get().await?.claim(receiver, claim).await })
    }

    fn sent<'a>(
        &'a self,
        deliveries: &'a [Delivery],
        owner: &'a str,
        taken: &'a Taken,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.get().await?.sent(deliveries, owner, taken).await })
    }

    fn failed<'a>(
        &'a self,
        deliveries: &'a [Delivery],
        owner: &'a str,
        failure: &'a FailedTry,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.get().await?.failed(deliveries, owner, failure).await })
    }

    fn offer_again(&self, repeat: Duration, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { self.get().await?.offer_again(repeat, now).await })
    }

    fn last_tries(&self) -> BoxFuture<'_, Result<Vec<Tried>, StoreError>> {
        Box::pin(async move { self.get().await?.last_tries().await })
    }

    fn queues(&self, now: Timestamp) -> BoxFuture<'_, Result<Vec<Queue>, StoreError>> {
        Box::pin(async move { self.get().await?.queues(now).await })
    }

    fn stories<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Story>, StoreError>> {
        Box::pin(async move { self.get().await?.stories(prefix).await })
    }

    fn last_deliveries(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Line>, StoreError>> {
        Box::pin(async move { self.get().await?.last_deliveries(limit).await })
    }

    fn forget_notices(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move { self.get().await?.forget_notices(before).await })
    }
}
