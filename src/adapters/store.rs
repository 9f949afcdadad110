//! The store, in SQLite or PostgreSQL: how it is opened, and how it is written to.
//!
//! One text of SQL serves both (`$1` parameters, `ON CONFLICT`); only the migrations differ. Times are numbers, so that
//! neither database's idea of a zone matters.

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
mod origins;
mod proofs;
mod pulse;
mod rows;
mod shared;
mod switch;
mod tokens;
mod turn;
mod writing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyPoolOptions};
use sqlx::migrate::Migrator;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _};

use self::bond::{Bond, Tie};
use self::disk::Disk;
use self::error::Doing;
use self::pulse::Pulse;
use self::rows::clean;
use self::writing::Writing;
use crate::engine::ports::StoreError;

pub use self::shared::{Requests, Shared};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Whoever waits longer for a connection or a lock gets an error instead.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that write to SQLite, one at a time: one is given back while the next one begins.
const WRITERS: u32 = 2;

/// Connections to a server are made anew after this: a role or a certificate may have changed.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Connections. SQLite has one writer anyway.
const CONNECTIONS: u32 = 4;

/// Processes may migrate a new SQLite file at once; whoever comes second tries again, once for each set of tables at most, and
/// some more for the unlucky.
const MIGRATION_TRIES: u32 = 12;

/// Where the store is. Never printed with its password.
#[derive(Clone)]
pub struct Place {
    url: String,
    most_pages: Option<u32>,
}

impl Place {
    /// By URL: `sqlite:///path/file.db` or `postgres://user:password@host/database`.
    pub fn new(url: impl Into<String>) -> Self {
        let mut url = url.into();
        if url.starts_with("sqlite:") {
            // What the driver would decode is meant as it stands, here and wherever else the path is looked at.
            url = url.replace('%', "%25");
        }
        Self { url, most_pages: None }
    }

    /// An SQLite file that may not grow beyond so many pages of 4 KiB, whatever the room on its disk.
    pub fn with_most_pages(self, pages: u32) -> Self {
        Self { most_pages: Some(pages), ..self }
    }

    fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// The file, where it is one.
    pub fn path(&self) -> Option<PathBuf> {
        self.is_sqlite().then(|| PathBuf::from(self.shown()))
    }

    /// For messages: without user, password and parameters.
    fn shown(&self) -> String {
        let bare = self.url.split(['?', '#']).next().unwrap_or_default();
        match bare.split_once("://") {
            // Where a question mark stands in a password that wasn't encoded, nothing is shown.
            Some((scheme, rest)) if scheme.starts_with("postgres") && !rest.contains('@') && self.url.contains('@') => {
                format!("{scheme}://…")
            }
            Some((scheme, rest)) if scheme.starts_with("postgres") => {
                let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
                format!("{scheme}://{rest}")
            }
            Some((_, path)) => path.replace("%25", "%"),
            None => bare.to_owned(),
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

/// An open store.
#[derive(Debug, Clone)]
pub struct Store {
    place: Place,
    pool: AnyPool,
    /// For what writes.
    writer: AnyPool,
    /// Writers of this process stand in line. SQLite lets them sleep and try again, and who comes late may be first.
    line: Arc<tokio::sync::Mutex<()>>,
    /// SQLite: as long as it is open the log and its index are the same files, whatever other connections come and go.
    anchor: Option<Arc<tokio::sync::Mutex<AnyConnection>>>,
    /// What tells it from others, for who goes on with it.
    bond: Option<Arc<Bond>>,
    pulse: Arc<Pulse>,
}

impl Store {
    /// Opens the store; creates the file and its directory, and brings the tables up to date.
    pub async fn open(place: Place) -> Result<Self, StoreError> {
        Self::open_with(place, Arc::default(), &Disk::default()).await
    }

    /// Opens it for who goes on with it for long, and notices if it isn't the same any more.
    async fn open_tied(place: Place, pulse: Arc<Pulse>, tie: Tie<'_>) -> Result<Self, StoreError> {
        let store = Self::open_with(place, pulse, tie.disk).await?;
        let bond = store.bounded(Doing::Open, Bond::tie(&store, tie)).await?;
        Ok(Self { bond: Some(Arc::new(bond)), ..store })
    }

    async fn open_with(place: Place, pulse: Arc<Pulse>, disk: &Disk) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        if place.is_sqlite() {
            let its = place.clone();
            let prepared = disk.call(move || its.prepare_file()).await;
            prepared.map_err(|error| place.failed(Doing::Open, &sqlx::Error::Io(error)))??;
        }
        let set_up = settings(&place);
        // A pool would try again and again and say in the end only that it took too long.
        let probe = async {
            let mut connection = AnyConnection::connect(&place.url).await?;
            connection.execute(sqlx::AssertSqlSafe(set_up.clone())).await?;
            Ok(connection)
        };
        let probed = tokio::time::timeout(2 * PATIENCE, probe).await;
        let first =
            probed.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|error| place.failed(Doing::Open, &error))?;
        let anchor = match place.is_sqlite() {
            true => Some(Arc::new(tokio::sync::Mutex::new(first))),
            // It was only to know why it can't be opened.
            false => first.close().await.map(|()| None).map_err(|error| place.failed(Doing::Open, &error))?,
        };
        let connect = |options: AnyPoolOptions| {
            let set_up = set_up.clone();
            // Connections to a file don't grow old.
            let lifetime = (!place.is_sqlite()).then_some(LIFETIME);
            let options =
                options.acquire_timeout(PATIENCE).max_lifetime(lifetime).after_connect(move |connection, _| {
                    let set_up = set_up.clone();
                    Box::pin(async move { connection.execute(sqlx::AssertSqlSafe(set_up)).await.map(drop) })
                });
            options.connect_lazy(&place.url).map_err(|error| place.failed(Doing::Open, &error))
        };
        let pool = connect(AnyPoolOptions::new().max_connections(CONNECTIONS))?;
        let writer = match place.is_sqlite() {
            // A file doesn't hang up.
            true => connect(AnyPoolOptions::new().max_connections(WRITERS).test_before_acquire(false))?,
            false => pool.clone(),
        };
        let store = Self { place, pool, writer, line: Arc::default(), anchor, bond: None, pulse };
        store.migrate().await?;
        Ok(store)
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let migrator = if self.place.is_sqlite() { &SQLITE } else { &POSTGRES };
        let mut tries = 1;
        loop {
            match migrator.run(&self.pool).await {
                Ok(()) => return Ok(()),
                Err(sqlx::migrate::MigrateError::Execute(_) | sqlx::migrate::MigrateError::ExecuteMigration(..))
                    if tries < MIGRATION_TRIES =>
                {
                    tries += 1;
                }
                Err(error) => return Err(self.place.migration_failed(error)),
            }
        }
    }

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

/// What a connection begins with: limits, so that nobody waits for ever; and for SQLite what makes a crash harmless.
fn settings(place: &Place) -> String {
    if !place.is_sqlite() {
        return "SET statement_timeout = '30s'; SET lock_timeout = '5s'".to_owned();
    }
    // The keys of actions are hashes, so that writing goes to pages all over the file: hence the cache.
    // FULL: what Alertmanager was told to be safe survives a power cut.
    let mut settings =
        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA cache_size = -8000"
            .to_owned();
    if let Some(pages) = place.most_pages {
        settings.push_str(&format!("; PRAGMA max_page_count = {pages}"));
    }
    settings
}

fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    let text = serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    Ok(clean(&text))
}
