//! How a store is opened: made where there is none, brought up to date, and tied to who goes on with it for long.

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, Connection as _, Executor as _};

use super::bond::{Bond, Tie};
use super::disk::Disk;
use super::error::Doing;
use super::lost::not_the_store;
use super::pulse::Pulse;
use super::{Database, PATIENCE, Place, Store, marker};
use crate::engine::ports::StoreError;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Connections that write to SQLite, one at a time: one is given back while the next one begins.
const WRITERS: u32 = 2;

/// Connections to a server are made anew after this: a role or a certificate may have changed.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Connections. SQLite has one writer anyway.
const CONNECTIONS: u32 = 4;

/// Processes may migrate a new SQLite file at once; whoever comes second tries again, once for each set of tables at most, and
/// some more for the unlucky.
const MIGRATION_TRIES: u32 = 12;

impl Store {
    /// Opens what is there, as who asks needs it.
    pub(super) async fn open_database(&self) -> Result<Database, StoreError> {
        let marker = self.marker.as_deref();
        let Some(clock) = &self.clock else {
            return self.open_known().await;
        };
        let now = clock.now();
        // Asked for before it began: a person has looked at what is there.
        let accepted = self.requested(now).await;
        let tie = Tie { marker, accepted, memory: self.memory.clone(), disk: &self.disk, now };
        Database::open_tied(self.place.clone(), self.pulse.clone(), tie).await
    }

    /// For commands: nothing is made, and another store than the daemon's isn't taken for it.
    async fn open_known(&self) -> Result<Database, StoreError> {
        let known = self.marker.as_deref().and_then(|path| marker::read(path).ok().flatten());
        let known = known.filter(|known| self.marker.as_deref().is_some_and(|path| known.is_about(&self.place, path)));
        let other = |why: &str| self.place.failed(Doing::Open, &not_the_store(why));
        if known.is_some() && self.place.path().is_some_and(|path| !path.exists()) {
            return Err(other("it is gone, and was used here before"));
        }
        let database = Database::open(self.place.clone()).await?;
        match known {
            Some(known) if database.id().await?.as_deref() != Some(&*known.store) => {
                Err(other("it is another one than the one that was used here before"))
            }
            _ => Ok(database),
        }
    }
}

impl Database {
    /// Opens it; creates the file and its directory, and brings the tables up to date.
    pub(super) async fn open(place: Place) -> Result<Self, StoreError> {
        Self::open_with(place, Arc::default(), &Disk::default()).await
    }

    /// Opens it for who goes on with it for long, and notices if it isn't the same any more.
    async fn open_tied(place: Place, pulse: Arc<Pulse>, tie: Tie<'_>) -> Result<Self, StoreError> {
        let database = Self::open_with(place, pulse, tie.disk).await?;
        let bond = database.bounded(Doing::Open, Bond::tie(&database, tie)).await?;
        Ok(Self { bond: Some(Arc::new(bond)), ..database })
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
        let database =
            Self { place, pool, writer, line: Arc::default(), anchor, version: Arc::default(), bond: None, pulse };
        database.migrate().await?;
        Ok(database)
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
    // Only who reads opens the log. A connection that did so later would take whatever lies there then for the log of before.
    settings.push_str("; SELECT 1 FROM sqlite_schema LIMIT 1");
    settings
}
