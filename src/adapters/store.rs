//! The store, in SQLite or PostgreSQL: how it is opened, and how it is written to.
//!
//! One text of SQL serves both (`$1` parameters, `ON CONFLICT`); only the migrations differ. Times are numbers, so that
//! neither database's idea of a zone matters.

mod actions;
mod alerts;
mod error;
mod notices;
mod occurrences;
mod proofs;
mod rows;
mod shared;
mod tokens;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyPoolOptions};
use sqlx::migrate::Migrator;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Transaction};

use self::error::Doing;
use self::rows::clean;
use crate::engine::ports::StoreError;

pub use self::shared::Shared;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Whoever waits longer for a connection or a lock gets an error instead.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that write to SQLite, one at a time: one is given back while the next one begins.
const WRITERS: u32 = 2;

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
        Self { url: url.into(), most_pages: None }
    }

    /// An SQLite file that may not grow beyond so many pages of 4 KiB, whatever the room on its disk.
    pub fn with_most_pages(self, pages: u32) -> Self {
        Self { most_pages: Some(pages), ..self }
    }

    fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
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
            Some((_, path)) => path.to_owned(),
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
}

/// A transaction that may write.
struct Writing {
    transaction: Transaction<'static, Any>,
    /// Given up after the transaction has ended.
    _place_in_line: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Writing {
    async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }
}

impl std::ops::Deref for Writing {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl std::ops::DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

impl Store {
    /// Opens the store; creates the file and its directory, and brings the tables up to date.
    pub async fn open(place: Place) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        if place.is_sqlite() {
            place.prepare_file()?;
        }
        let set_up = settings(&place);
        // A pool would try again and again and say in the end only that it took too long.
        let probe = async {
            let mut connection = AnyConnection::connect(&place.url).await?;
            connection.execute(sqlx::AssertSqlSafe(set_up.clone())).await?;
            connection.close().await
        };
        let probed = tokio::time::timeout(2 * PATIENCE, probe).await;
        probed.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|error| place.failed(Doing::Open, &error))?;
        let connect = |options: AnyPoolOptions| {
            let set_up = set_up.clone();
            let options = options.acquire_timeout(PATIENCE).after_connect(move |connection, _| {
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
        let store = Self { place, pool, writer, line: Arc::default() };
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
        if !self.place.is_sqlite() {
            return Ok(Writing { transaction: self.writer.begin().await?, _place_in_line: None });
        }
        let in_line = self.line.clone().lock_owned().await;
        Ok(Writing { transaction: self.writer.begin_with("BEGIN IMMEDIATE").await?, _place_in_line: Some(in_line) })
    }

    /// Writes with one statement; how many rows it changed.
    async fn write(&self, query: Query<'_, Any, AnyArguments>) -> Result<u64, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let changed = query.execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        Ok(changed)
    }

    async fn bounded<T>(
        &self,
        doing: Doing,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        // Statements have time limits of their own; this is for a server that went away without a word.
        match tokio::time::timeout(12 * PATIENCE, work).await {
            Ok(result) => result.map_err(|error| self.place.failed(doing, &error)),
            Err(_) => Err(self.place.failed(doing, &sqlx::Error::PoolTimedOut)),
        }
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
