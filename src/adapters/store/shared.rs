//! One store for the whole process, opened when it is first needed and again when its file was replaced.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Place, Store};
use crate::domain::automation::alert::{KeptAlert, Status};
use crate::domain::automation::occurrence::Tidings;
use crate::domain::automation::record::{AuditLine, Pause, Record, Ruled, Ruling};
use crate::domain::ids::SourceName;
use crate::domain::notice::Notice;
use crate::domain::proof::{ArchiveId, FirstSight, Verification};
use crate::engine::ports::automation::{ActionFilter, ActionStore, Page};
use crate::engine::ports::ledger::{Ledger, Received, Turn};
use crate::engine::ports::notices::{
    Claim, Claimed, Delivery, Failure, Line, NoticeStore, NoticeStores, Plan, Queue, Routed, Story, Taken, Tried,
};
use crate::engine::ports::tokens::{NewToken, Token, TokenStore};
use crate::engine::ports::{Kept, LevelReached, ProofStore, StoreError, Stores};

/// A store that could not be opened is tried again after this at the earliest; until then the answer is the same.
const PAUSE: Duration = Duration::from_secs(2);

/// Device and inode of an SQLite file.
type FileId = (u64, u64);

enum State {
    Closed,
    Open(Store, Option<FileId>),
    Failed(StoreError, Instant),
}

/// The store of the process. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    place: Place,
    state: Arc<Mutex<State>>,
}

impl Shared {
    /// The store at this place. Opens nothing yet.
    pub fn new(place: Place) -> Self {
        Self { place, state: Arc::new(Mutex::new(State::Closed)) }
    }

    /// The open store.
    pub async fn get(&self) -> Result<Store, StoreError> {
        let mut state = self.state.lock().await;
        match &*state {
            State::Open(store, file) if *file == self.file() => return Ok(store.clone()),
            State::Open(..) => {
                tracing::error!(store = ?self.place, "the file of the store was replaced or removed: opening it anew");
            }
            State::Failed(error, at) if at.elapsed() < PAUSE => return Err(error.clone()),
            State::Closed | State::Failed(..) => {}
        }
        match Store::open(self.place.clone()).await {
            Ok(store) => {
                *state = State::Open(store.clone(), self.file());
                Ok(store)
            }
            Err(error) => {
                *state = State::Failed(error.clone(), Instant::now());
                Err(error)
            }
        }
    }

    fn file(&self) -> Option<FileId> {
        let path = self.place.is_sqlite().then(|| PathBuf::from(self.place.shown()))?;
        std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
    }
}

impl Stores for Shared {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn ProofStore>, StoreError>> {
        Box::pin(async {
            self.get().await?;
            Ok(Arc::new(self.clone()) as Arc<dyn ProofStore>)
        })
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
    fn receive<'a>(
        &'a self,
        alerts: &'a [Received],
        reopen_after: Duration,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Tidings, StoreError>> {
        Box::pin(async move { self.get().await?.receive(alerts, reopen_after, now).await })
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
    fn post<'a>(&'a self, notices: &'a [Notice]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.get().await?.post(notices).await })
    }

    fn route<'a>(&'a self, plan: &'a Plan, now: Timestamp) -> BoxFuture<'a, Result<Routed, StoreError>> {
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
        failure: &'a Failure,
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
