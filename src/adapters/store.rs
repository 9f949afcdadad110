//! The store of the process, in SQLite or PostgreSQL: opened when it is first needed, and written to. One that isn't the same
//! any more is not opened anew: that is for a person to say.
//!
//! Each port is implemented once, in the file of its subject, and goes through the store's own opening. One text of SQL serves both
//! databases (`$1` parameters, `ON CONFLICT`); only the migrations differ. Times are numbers, so that neither database's idea
//! of a zone matters.

mod accepting;
mod actions;
mod alerts;
mod audit;
mod bond;
mod care;
mod disk;
mod error;
mod intents;
mod lost;
mod marker;
mod memory;
mod notices;
mod occurrences;
mod opening;
mod operations;
mod origins;
mod place;
mod proofs;
mod pulse;
mod rows;
mod switch;
mod tokens;
mod turn;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool};
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use self::accepting::Requests;
use self::bond::Bond;
use self::disk::Disk;
use self::error::Doing;
use self::memory::Memory;
pub use self::place::Place;
use self::pulse::Pulse;
use self::rows::clean;
use self::writing::Writing;
use crate::domain::store::Trouble;
use crate::engine::ports::{Clock, StoreError};

/// Whoever waits longer for a connection or a lock gets an error instead.
const PATIENCE: Duration = Duration::from_secs(5);

/// A store that could not be opened is tried again after this at the earliest; until then the answer is the same.
const PAUSE: Duration = Duration::from_secs(2);

enum State {
    Closed,
    Open(Database),
    Failed(StoreError, Instant),
    /// Kept: as long as its files are open, what they held isn't gone.
    Lost(Option<Database>, StoreError),
    Ended,
}

/// The store of the process. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    place: Place,
    marker: Option<Arc<Path>>,
    /// For who goes on with it for long.
    clock: Option<Arc<dyn Clock>>,
    state: Arc<Mutex<State>>,
    pulse: Arc<Pulse>,
    memory: Arc<Memory>,
    disk: Disk,
}

impl Store {
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

    /// Opens it where that wasn't done yet. An error says why it can't be used.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.open().await.map(drop)
    }

    /// Reads from the open database.
    async fn read<T>(&self, work: impl AsyncFnOnce(&Database) -> Result<T, sqlx::Error>) -> Result<T, StoreError> {
        let database = self.open().await?;
        database.bounded(Doing::Read, work(&database)).await
    }

    /// Writes into the open database.
    async fn write<T>(&self, work: impl AsyncFnOnce(&Database) -> Result<T, sqlx::Error>) -> Result<T, StoreError> {
        let database = self.open().await?;
        database.bounded(Doing::Write, work(&database)).await
    }

    /// The open database: what every port goes through. It is opened where it isn't open; where it isn't the one of before
    /// any more, nobody gets it.
    async fn open(&self) -> Result<Database, StoreError> {
        let mut state = self.state.lock().await;
        match &*state {
            State::Open(database) => match self.still_good(database).await {
                Ok(()) => return Ok(database.clone()),
                Err(error) => {
                    if self.pulse.now().is_lost() {
                        *state = State::Lost(Some(database.clone()), error.clone());
                    }
                    return Err(error);
                }
            },
            State::Lost(_, error) => return Err(error.clone()),
            State::Failed(error, at) if at.elapsed() < PAUSE => return Err(error.clone()),
            State::Ended => return Err(self.place.failed(Doing::Open, &sqlx::Error::PoolClosed)),
            State::Closed | State::Failed(..) => {}
        }
        match self.open_database().await {
            Ok(database) => {
                *state = State::Open(database.clone());
                Ok(database)
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
        let database = match &*self.state.lock().await {
            State::Open(database) => database.clone(),
            _ => return None,
        };
        database.version().await
    }

    /// Whether it is still what was opened; a commit may have found that it isn't.
    async fn still_good(&self, database: &Database) -> Result<(), StoreError> {
        let standing = self.pulse.now();
        match standing.problem.filter(|it| it.kind == Trouble::Lost) {
            Some(problem) => Err(StoreError { message: problem.message.to_string() }),
            None => database.still_there().await,
        }
    }
}

/// An open database, as one opening of it goes.
#[derive(Debug, Clone)]
struct Database {
    place: Place,
    pool: AnyPool,
    /// For what writes.
    writer: AnyPool,
    /// Writers of this process stand in line. SQLite lets them sleep and try again, and who comes late may be first.
    line: Arc<tokio::sync::Mutex<()>>,
    /// SQLite: as long as it is open the log and its index are the same files, whatever other connections come and go.
    anchor: Option<Arc<tokio::sync::Mutex<AnyConnection>>>,
    /// The version of the content, and when it was asked for.
    version: Arc<tokio::sync::Mutex<Option<(Instant, i64)>>>,
    /// What tells it from others, for who goes on with it.
    bond: Option<Arc<Bond>>,
    pulse: Arc<Pulse>,
}

impl Database {
    /// A transaction that is allowed to write. SQLite takes the lock at once: one that it would take later can't wait.
    async fn begin(&self) -> Result<Writing, sqlx::Error> {
        let (bond, pulse) = (self.bond.clone(), self.pulse.clone());
        if !self.place.is_sqlite() {
            return Writing::begin(self.writer.acquire().await?, "BEGIN", bond, pulse, None).await;
        }
        let in_line = self.line.clone().lock_owned().await;
        Writing::begin(self.writer.acquire().await?, "BEGIN IMMEDIATE", bond, pulse, Some(in_line)).await
    }

    /// Writes with one statement; how many rows it changed.
    async fn write(&self, query: Query<'_, Any, AnyArguments>) -> Result<u64, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let changed = query.execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        Ok(changed)
    }

    /// What it calls itself; `None` where no daemon used it yet.
    async fn id(&self) -> Result<Option<String>, StoreError> {
        let asked = sqlx::query_scalar("SELECT id FROM store_identity").fetch_optional(&self.pool);
        self.bounded(Doing::Read, asked).await
    }

    async fn bounded<T>(
        &self,
        doing: Doing,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        // Statements have time limits of their own; this is for a server that went away without a word.
        match tokio::time::timeout(12 * PATIENCE, work).await {
            Ok(result) => result.map_err(|error| self.fault(doing, &error)),
            Err(_) => Err(self.fault(doing, &sqlx::Error::PoolTimedOut)),
        }
    }

    /// An error as others see it; how the store stands is known by it.
    fn fault(&self, doing: Doing, error: &sqlx::Error) -> StoreError {
        let failed = self.place.failed(doing, error);
        if let Some(kind) = self.place.trouble(error) {
            self.pulse.failed(kind, &failed.message);
        }
        failed
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    let text = serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    Ok(clean(&text))
}
