//! The store, in SQLite or PostgreSQL: how it is opened and written to, verifications and first sights.
//!
//! One text of SQL serves both (`$1` parameters, `ON CONFLICT`); only the migrations differ. Times are numbers, so that
//! neither database's idea of a zone matters.

mod actions;
mod alerts;
mod error;
mod notices;
mod rows;
mod shared;
mod tokens;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::any::{AnyArguments, AnyPoolOptions};
use sqlx::migrate::Migrator;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Row as _, Transaction};

use self::error::Doing;
use self::rows::{clean, key, micros, moment, nanos, of_row, stamp};
use crate::domain::ids::SourceName;
use crate::domain::proof::{ArchiveId, Conclusion, FirstSight, Level, Verification};
use crate::domain::run::FileFacts;
use crate::engine::ports::{Kept, LevelReached, ProofStore, StoreError};

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

    async fn record_all(&self, it: &Verification) -> Result<i64, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let archive = archive_of(&mut transaction, &it.archive, it.ended()).await?;
        // What was damaged when it was read first may have been the reading: it is nothing to compare with.
        if let Some(digest) = it.digest.filter(|_| it.conclusion == Conclusion::Intact) {
            // Other bytes under the same size and time are rot: the first sight stays.
            sqlx::query(
                "UPDATE archives SET size = $1, modified = $2, digest = $3, read_at = $4, sidecar = $5 \
                 WHERE id = $6 AND (digest IS NULL OR size <> $1 OR modified <> $2)",
            )
            .bind(it.facts.size as i64)
            .bind(nanos(it.facts.modified))
            .bind(digest.to_string())
            .bind(micros(it.ended()))
            .bind(it.sidecar.as_deref().map(clean))
            .bind(archive)
            .execute(&mut *transaction)
            .await?;
        }
        let id = insert(&mut transaction, archive, it).await?;
        let newest = if supersedes(&mut transaction, archive, it).await? {
            "UPDATE archives SET newest = $1, concluded = $1 WHERE id = $2"
        } else {
            "UPDATE archives SET newest = $1 WHERE id = $2"
        };
        sqlx::query(newest).bind(id).bind(archive).execute(&mut *transaction).await?;
        if let Some(level) = it.reached.filter(|_| it.conclusion == Conclusion::Intact) {
            note_level(&mut transaction, it, level).await?;
        }
        transaction.commit().await?;
        Ok(id)
    }

    async fn newest_of(&self, source: &SourceName, after: i64) -> Result<Vec<Kept>, sqlx::Error> {
        let mut found = Vec::new();
        for pointer in [
            "SELECT v.*, a.root, a.file FROM archives a JOIN verifications v ON v.id = a.concluded WHERE a.source = $1 AND v.id > $2",
            "SELECT v.*, a.root, a.file FROM archives a JOIN verifications v ON v.id = a.newest WHERE a.source = $1 AND v.id > $2 \
             AND (a.concluded IS NULL OR a.newest <> a.concluded)",
        ] {
            let rows = sqlx::query(pointer).bind(source.as_str()).bind(after).fetch_all(&self.pool).await?;
            for row in rows {
                // A row of another version of the program that can't be read is as good as none: it is read again.
                found.extend(of_row(&row, source)?);
            }
        }
        Ok(found)
    }

    async fn levels_of(&self, source: &SourceName) -> Result<Vec<LevelReached>, sqlx::Error> {
        let rows = sqlx::query("SELECT item, level, at FROM levels WHERE source = $1")
            .bind(source.as_str())
            .fetch_all(&self.pool)
            .await?;
        let mut found = Vec::new();
        for row in rows {
            let (item, level, at): (String, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if let (Ok(item), Some(level), Some(at)) = (item.parse(), Level::of(level), stamp(at)) {
                found.push(LevelReached { source: source.clone(), item, level, at });
            }
        }
        Ok(found)
    }

    async fn forget_all(&self, before: i64) -> Result<u64, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let old = sqlx::query(
            "DELETE FROM verifications WHERE started < $1 AND id NOT IN (SELECT newest FROM archives WHERE newest IS NOT NULL) \
             AND id NOT IN (SELECT concluded FROM archives WHERE concluded IS NOT NULL)",
        )
        .bind(before)
        .execute(&mut *transaction)
        .await?;
        let gone =
            sqlx::query("DELETE FROM verifications WHERE archive IN (SELECT id FROM archives WHERE seen_at < $1)")
                .bind(before)
                .execute(&mut *transaction)
                .await?;
        sqlx::query("DELETE FROM archives WHERE seen_at < $1").bind(before).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(old.rows_affected() + gone.rows_affected())
    }

    async fn note_seen(&self, archives: &[ArchiveId], now: Timestamp) -> Result<(), sqlx::Error> {
        let mut transaction = self.begin().await?;
        for archive in archives {
            archive_of(&mut transaction, archive, now).await?;
        }
        transaction.commit().await
    }

    async fn sight_of(&self, archive: &ArchiveId) -> Result<Option<FirstSight>, sqlx::Error> {
        let row =
            sqlx::query("SELECT size, modified, digest, read_at FROM archives WHERE key = $1 AND digest IS NOT NULL")
                .bind(key(archive))
                .fetch_optional(&self.pool)
                .await?;
        let Some(row) = row else { return Ok(None) };
        let (size, modified): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let (digest, at): (String, i64) = (row.try_get(2)?, row.try_get(3)?);
        let sight = || {
            let facts = FileFacts { size: u64::try_from(size).ok()?, modified: moment(modified)? };
            Some(FirstSight { facts, digest: digest.parse().ok()?, at: stamp(at)? })
        };
        Ok(sight())
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

/// The row of an archive, made where there is none.
async fn archive_of(connection: &mut AnyConnection, archive: &ArchiveId, now: Timestamp) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO archives (key, source, root, file, seen_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (key) DO UPDATE SET seen_at = excluded.seen_at RETURNING id",
    )
    .bind(key(archive))
    .bind(archive.source.as_str())
    .bind(clean(&archive.root))
    .bind(clean(&archive.file))
    .bind(micros(now))
    .fetch_one(connection)
    .await
}

async fn insert(connection: &mut AnyConnection, archive: i64, it: &Verification) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO verifications (archive, item, size, modified, digest, wanted, reached, conclusion, findings, reason, evidence, started, took, read, sidecar) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id",
    )
    .bind(archive)
    .bind(clean(&it.item.to_string()))
    .bind(it.facts.size as i64)
    .bind(nanos(it.facts.modified))
    .bind(it.digest.map(|digest| digest.to_string()))
    .bind(i64::from(it.wanted.number()))
    .bind(it.reached.map(|level| i64::from(level.number())))
    .bind(it.conclusion.as_str())
    .bind(json(&it.findings)?)
    .bind(it.reason.as_deref().map(clean))
    .bind(json(&it.evidence)?)
    .bind(micros(it.started))
    .bind(i64::try_from(it.took.as_micros()).unwrap_or(i64::MAX))
    .bind(it.read as i64)
    .bind(it.sidecar.as_deref().map(clean))
    .fetch_one(connection)
    .await
}

/// Whether this is the conclusion that counts from now on.
async fn supersedes(connection: &mut AnyConnection, archive: i64, it: &Verification) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(
        "SELECT v.size, v.modified, v.wanted, v.conclusion FROM archives a JOIN verifications v ON v.id = a.concluded WHERE a.id = $1",
    )
    .bind(archive)
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(it.conclusion != Conclusion::Unchecked) };
    let (size, modified, wanted): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let conclusion: String = row.try_get(3)?;
    let before = || {
        let facts = FileFacts { size: u64::try_from(size).ok()?, modified: moment(modified)? };
        Some((facts, Level::of(wanted)?, Conclusion::parse(&conclusion)?))
    };
    Ok(before().is_none_or(|(facts, wanted, conclusion)| it.supersedes(facts, wanted, conclusion)))
}

fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    let text = serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    Ok(clean(&text))
}

async fn note_level(connection: &mut AnyConnection, it: &Verification, level: Level) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO levels (source, item, level, at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (source, item, level) DO UPDATE SET at = excluded.at WHERE excluded.at > levels.at",
    )
    .bind(it.archive.source.as_str())
    .bind(clean(&it.item.to_string()))
    .bind(i64::from(level.number()))
    .bind(micros(it.ended()))
    .execute(connection)
    .await?;
    Ok(())
}

impl ProofStore for Store {
    fn first_sight<'a>(&'a self, archive: &'a ArchiveId) -> BoxFuture<'a, Result<Option<FirstSight>, StoreError>> {
        Box::pin(self.bounded(Doing::Read, self.sight_of(archive)))
    }

    fn record<'a>(&'a self, verification: &'a Verification) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(self.bounded(Doing::Write, self.record_all(verification)))
    }

    fn newest<'a>(&'a self, sources: &'a [SourceName], after: i64) -> BoxFuture<'a, Result<Vec<Kept>, StoreError>> {
        Box::pin(async move {
            let mut found = Vec::new();
            for source in sources {
                found.extend(self.bounded(Doing::Read, self.newest_of(source, after)).await?);
            }
            found.sort_by_key(|kept| kept.id);
            Ok(found)
        })
    }

    fn levels<'a>(&'a self, sources: &'a [SourceName]) -> BoxFuture<'a, Result<Vec<LevelReached>, StoreError>> {
        Box::pin(async move {
            let mut found = Vec::new();
            for source in sources {
                found.extend(self.bounded(Doing::Read, self.levels_of(source)).await?);
            }
            Ok(found)
        })
    }

    fn forget(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.bounded(Doing::Write, self.forget_all(micros(before))))
    }

    fn seen<'a>(&'a self, archives: &'a [ArchiveId], now: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.bounded(Doing::Write, self.note_seen(archives, now)))
    }
}
