//! What ties this process to one store: its id, its own writes in it, its files. Whoever finds another one under the same
//! name must not go on as if it were the same.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use jiff::Timestamp;
use sqlx::{AnyConnection, Row as _};

use super::audit::{Line, write_down};
use super::disk::Disk;
use super::lost::not_the_store;
use super::marker::{self, Known, Marker};
use super::memory::Memory;
use super::pulse::Pulse;
use super::rows::{clean, micros};
use super::switch;
use super::{Database, Place};

/// Daemons that wrote nothing for so long don't come back.
const FORGET_WRITERS: i64 = 400 * 24 * 60 * 60 * 1_000_000;

/// Who did what firedrill does by itself, in the audit trail.
const ACTOR: &str = "firedrill";

/// Device and inode.
type FileId = (u64, u64);

/// The files of an SQLite store: the database, its log, the index of that.
#[derive(Debug)]
struct Files {
    paths: [PathBuf; 3],
    ids: [Option<FileId>; 3],
}

impl Files {
    fn of(place: &Place) -> io::Result<Option<Self>> {
        let Some(path) = place.path() else { return Ok(None) };
        let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
        let paths = [beside(""), beside("-wal"), beside("-shm")];
        let mut ids = [None; 3];
        for (id, path) in ids.iter_mut().zip(&paths) {
            *id = id_of(path)?;
        }
        Ok(Some(Self { paths, ids }))
    }

    /// Whether they are what they were. An error of looking is one that may pass.
    fn check(&self) -> Result<(), sqlx::Error> {
        for (path, before) in self.paths.iter().zip(self.ids) {
            let now = id_of(path).map_err(sqlx::Error::Io)?;
            if now != before {
                let what = if now.is_none() { "removed" } else { "replaced" };
                return Err(not_the_store(format!("{} was {what} while it was used", path.display())));
            }
        }
        Ok(())
    }

    /// Whether the database is in its place and no other process can have begun another log for it.
    fn only_log_is_gone(&self) -> bool {
        let is_as_before = |at: usize| id_of(&self.paths[at]).is_ok_and(|now| now == self.ids[at]);
        let is_gone = |at: usize| id_of(&self.paths[at]).is_ok_and(|now| now.is_none());
        // A connection that this process opens finds the index in memory, by the database's inode, and makes no other one; it
        // makes a log by its name, though, in which nothing is committed (`Writing::commit`). Another process makes both.
        is_as_before(0) && (is_gone(2) || is_as_before(2) && (is_gone(1) || is_as_before(1)))
    }
}

fn id_of(path: &Path) -> io::Result<Option<FileId>> {
    // To open one of them, even to look, would give up SQLite's locks on it when it is closed.
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The tie to an open store.
#[derive(Debug)]
pub(super) struct Bond {
    id: String,
    writer: String,
    /// The highest that is durable.
    beat: AtomicI64,
    files: Option<Arc<Files>>,
    marker: Option<Arc<Marker>>,
    disk: Disk,
    pulse: Arc<Pulse>,
    pub(super) memory: Arc<Memory>,
    /// Whether what a log held that is gone is saved.
    rescued: AtomicBool,
}

/// What is known before a store is opened, and whether a person takes whatever there is.
pub(super) struct Tie<'a> {
    pub(super) marker: Option<&'a Path>,
    pub(super) accepted: bool,
    pub(super) memory: Arc<Memory>,
    pub(super) disk: &'a Disk,
    pub(super) now: Timestamp,
}

/// What a store says of itself.
struct Found {
    beat: i64,
    id: Option<String>,
    doubt: Option<String>,
}

impl Bond {
    /// Ties this process to a store that was just opened. If it isn't the one that the marker tells of, the automation is
    /// paused in it, and why is noted, before anybody uses it.
    pub(super) async fn tie(database: &Database, tie: Tie<'_>) -> Result<Self, sqlx::Error> {
        let known = match tie.marker.map(Path::to_owned) {
            Some(path) => tie.disk.call(move || marker::read(&path)).await.map_err(sqlx::Error::Io)?,
            None => Ok(None),
        };
        let here = |known: &Known| tie.marker.is_some_and(|path| known.is_about(&database.place, path));
        let mut writing = database.begin().await?;
        let made =
            sqlx::query("INSERT INTO store_identity (one, id, made) VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING")
                .bind(random()?)
                .bind(micros(tie.now))
                .execute(&mut *writing)
                .await?
                .rows_affected()
                == 1;
        let row = sqlx::query("SELECT id, doubt FROM store_identity").fetch_one(&mut *writing).await?;
        let (id, mut doubt): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        let (suspicion, writer) = match known {
            // Wherever it was: what was used before isn't this one, or it is and must have all that it had.
            Ok(Some(known)) if here(&known) || known.store == id => {
                (suspect(&mut writing, &known, &id, made).await?, Some(known))
            }
            Ok(Some(known)) if made => (suspect(&mut writing, &known, &id, made).await?, None),
            Ok(_) => (None, None),
            Err(error) => (Some(format!("what lies beside it to tell which store it is can't be read: {error}")), None),
        };
        if tie.accepted {
            doubt = None;
        } else if let Some(why) = &suspicion {
            pause(&mut writing, why, tie.now).await?;
            doubt = Some(why.clone());
        }
        sqlx::query("UPDATE store_identity SET doubt = $1")
            .bind(doubt.as_deref().map(clean))
            .execute(&mut *writing)
            .await?;
        let floor = writer.as_ref().map_or(0, Known::beat);
        let writer = writer.map_or_else(random, |known| Ok(known.writer))?;
        let beat = enter(&mut writing, &writer, floor, tie.now).await?;
        tie.memory.load(&mut writing).await?;
        writing.commit().await?;
        let (place, path) = (database.place.clone(), tie.marker.map(Path::to_owned));
        let known = Known::new(place.shown(), id.clone(), writer.clone(), beat);
        let noted = move || Ok((Files::of(&place)?, path.and_then(|path| put_marker(&path, known))));
        let (files, marker) = tie.disk.call(noted).await.and_then(|done| done).map_err(sqlx::Error::Io)?;
        database.pulse.doubt(doubt.as_deref());
        let (pulse, memory) = (database.pulse.clone(), tie.memory);
        Ok(Self {
            id,
            writer,
            beat: AtomicI64::new(beat),
            files: files.map(Arc::new),
            marker: marker.map(Arc::new),
            disk: tie.disk.clone(),
            pulse,
            memory,
            rescued: AtomicBool::new(false),
        })
    }

    /// Whether the files are those that were opened.
    pub(super) async fn check_files(&self) -> Result<(), sqlx::Error> {
        self.look_at(Files::check).await.unwrap_or(Ok(Ok(()))).map_err(sqlx::Error::Io)?
    }

    /// `None` where there are no files.
    async fn look_at<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Files) -> T + Send + 'static,
    ) -> Option<io::Result<T>> {
        let files = self.files.clone()?;
        Some(self.disk.call(move || look(&files)).await)
    }

    /// Whether what the log holds can be saved into the database.
    pub(super) async fn only_log_is_gone(&self) -> bool {
        matches!(self.look_at(Files::only_log_is_gone).await, Some(Ok(true)))
    }

    /// Whether it is saved.
    pub(super) fn is_rescued(&self) -> bool {
        self.rescued.load(Ordering::SeqCst)
    }

    pub(super) fn set_rescued(&self) {
        self.rescued.store(true, Ordering::SeqCst);
    }

    /// A person takes it as it is. Whether there was a doubt.
    pub(super) async fn accept(&self, connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
        let done =
            sqlx::query("UPDATE store_identity SET doubt = NULL WHERE doubt IS NOT NULL").execute(connection).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Whether the database was removed, or another one is in its place.
    pub(super) async fn file_is_gone(&self) -> bool {
        let gone = |files: &Files| id_of(&files.paths[0]).is_ok_and(|now| now != files.ids[0]);
        matches!(self.look_at(gone).await, Some(Ok(true)))
    }

    /// Says that this daemon is there. What makes it a write is that it is counted.
    pub(super) async fn sign(&self, connection: &mut AnyConnection, now: Timestamp) -> Result<(), sqlx::Error> {
        let text = "UPDATE store_writers SET at = $1 WHERE name = $2";
        sqlx::query(text).bind(micros(now)).bind(&*self.writer).execute(connection).await.map(drop)
    }

    /// Counts a write, in its own transaction, and compares what else the store says of itself. The count.
    pub(super) async fn beat(&self, connection: &mut AnyConnection) -> Result<i64, sqlx::Error> {
        let text = "UPDATE store_writers SET beat = beat + 1 WHERE name = $1 \
                    RETURNING beat, (SELECT id FROM store_identity), (SELECT doubt FROM store_identity)";
        let least = self.beat.load(Ordering::SeqCst).saturating_add(1);
        let found = self.found(sqlx::query(text), connection).await?;
        self.compare(found, least)
    }

    /// The same for what was only read.
    pub(super) async fn look(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let text = "SELECT beat, (SELECT id FROM store_identity), (SELECT doubt FROM store_identity) \
                    FROM store_writers WHERE name = $1";
        // What is written while this is asked isn't among what it must know.
        let least = self.beat.load(Ordering::SeqCst);
        let found = self.found(sqlx::query(text), connection).await?;
        self.compare(found, least).map(drop)
    }

    async fn found(
        &self,
        query: sqlx::query::Query<'_, sqlx::Any, sqlx::any::AnyArguments>,
        connection: &mut AnyConnection,
    ) -> Result<Option<Found>, sqlx::Error> {
        let row = query.bind(&*self.writer).fetch_optional(connection).await?;
        row.map(|row| Ok(Found { beat: row.try_get(0)?, id: row.try_get(1)?, doubt: row.try_get(2)? })).transpose()
    }

    fn compare(&self, found: Option<Found>, least: i64) -> Result<i64, sqlx::Error> {
        let Some(found) = found else { return Err(not_the_store("it doesn't know what this daemon wrote into it")) };
        if found.id.as_deref() != Some(&*self.id) {
            return Err(not_the_store("it is another one than before"));
        }
        let lacks = least.saturating_sub(found.beat);
        if lacks > 0 {
            return Err(not_the_store(format!("it lacks the last {lacks} of what this daemon wrote into it")));
        }
        self.pulse.doubt(found.doubt.as_deref());
        Ok(found.beat)
    }

    /// What was committed is durable, if the files are those that were opened; the count of a write among it.
    pub(super) async fn durable(&self, beat: Option<i64>) -> Result<(), sqlx::Error> {
        let (files, marker) = (self.files.clone(), self.marker.clone());
        let look = move || {
            files.map_or(Ok(()), |files| files.check())?;
            if let (Some(marker), Some(beat)) = (marker, beat) {
                marker.note(beat);
            }
            Ok::<(), sqlx::Error>(())
        };
        self.disk.call(look).await.map_err(sqlx::Error::Io)??;
        if let Some(beat) = beat {
            self.beat.fetch_max(beat, Ordering::SeqCst);
        }
        Ok(())
    }
}

fn put_marker(path: &Path, known: Known) -> Option<Marker> {
    let put = Marker::put(path, known);
    put.inspect_err(|error| tracing::warn!(path = %path.display(), %error, "which store is used can't be noted: one that is replaced while firedrill is stopped won't be noticed")).ok()
}

/// Why a store isn't the one that was known, if it isn't.
async fn suspect(
    connection: &mut AnyConnection,
    known: &Known,
    id: &str,
    made: bool,
) -> Result<Option<String>, sqlx::Error> {
    if made {
        return Ok(Some("it is new or empty, and another one was used here before".to_owned()));
    }
    if known.store != id {
        return Ok(Some("it is another one than the one that was used here before".to_owned()));
    }
    let beat: Option<i64> = sqlx::query_scalar("SELECT beat FROM store_writers WHERE name = $1")
        .bind(&*known.writer)
        .fetch_optional(connection)
        .await?;
    let lacks = known.beat().saturating_sub(beat.unwrap_or(0));
    Ok((lacks > 0)
        .then(|| format!("it is older than it was: the last {lacks} of what was written into it are missing")))
}

/// Nothing begins in a store that isn't known until a person says so.
async fn pause(connection: &mut AnyConnection, why: &str, now: Timestamp) -> Result<(), sqlx::Error> {
    switch::turn(connection, true, ACTOR, now).await?;
    let detail = format!("no action begins until it is resumed: the store isn't the one that was used before, {why}");
    write_down(connection, &[Line::new(ACTOR, None, "paused", &detail, now)]).await
}

/// The row that counts what this daemon writes.
async fn enter(connection: &mut AnyConnection, writer: &str, floor: i64, now: Timestamp) -> Result<i64, sqlx::Error> {
    sqlx::query("DELETE FROM store_writers WHERE at < $1 AND name <> $2")
        .bind(micros(now).saturating_sub(FORGET_WRITERS))
        .bind(writer)
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar(
        "INSERT INTO store_writers (name, beat, at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET at = excluded.at, \
         beat = 1 + CASE WHEN store_writers.beat < excluded.beat THEN excluded.beat ELSE store_writers.beat END RETURNING beat",
    )
    .bind(writer)
    .bind(floor.min(i64::MAX / 2))
    .bind(micros(now))
    .fetch_one(connection)
    .await
}

fn random() -> Result<String, sqlx::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| sqlx::Error::Io(io::Error::other(error.to_string())))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}
