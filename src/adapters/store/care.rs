//! What keeps a store in order: a small write that tells whether it takes any, a check of all pages, the log folded into the
//! file, the end.

use std::str::FromStr as _;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};
use tokio::sync::watch;

use super::error::Doing;
use super::{Database, State, Store};
use crate::domain::store::{Standing, Trouble};
use crate::engine::ports::StoreError;
use crate::engine::ports::custody::Custody;

/// A check that takes longer is given up.
const LONGEST_CHECK: Duration = Duration::from_secs(120);

/// A store that was written to within this time isn't probed.
const QUIET: Duration = Duration::from_secs(8);

/// A small write that takes longer is one that others wait for in vain: a frozen file system, a server that went away.
const LONGEST_PROBE: Duration = Duration::from_secs(7);

/// All who look at the same beat are told the same version. One that is a little old is looked at once more with the next.
const SHARED: Duration = Duration::from_millis(300);

/// SQLite asks whether it is to go on after so many of its steps.
const STEPS: i32 = 10_000;

/// At the end connections are waited for so long.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl Database {
    /// Whether it is still what was opened, as far as its files say.
    pub(super) async fn still_there(&self) -> Result<(), StoreError> {
        let Some(bond) = &self.bond else { return Ok(()) };
        bond.check_files().await.map_err(|error| self.fault(Doing::Read, &error))
    }

    /// Writes something small.
    pub(super) async fn probe(&self, now: Timestamp) -> Result<(), StoreError> {
        let work = async {
            let mut writing = self.begin().await?;
            if let Some(bond) = &self.bond {
                bond.sign(&mut writing, now).await?;
            }
            writing.commit().await
        };
        let late = async {
            tokio::time::sleep(LONGEST_PROBE).await;
            let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "what is written isn't confirmed");
            // Said, and waited for all the same: to give up a write that hangs frees nothing.
            self.fault(Doing::Write, &sqlx::Error::Io(error));
            std::future::pending().await
        };
        tokio::select! {
            done = self.bounded(Doing::Write, work) => done,
            never = late => never,
        }
    }

    /// Another number once another connection has committed something, which all but the anchor are.
    pub(super) async fn version(&self) -> Option<i64> {
        let anchor = self.anchor.as_ref()?;
        let mut known = self.version.lock().await;
        if let Some((at, version)) = *known
            && at.elapsed() < SHARED
        {
            return Some(version);
        }
        // Who folds the log into the file may take long.
        let mut anchor = anchor.try_lock().ok()?;
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *anchor).await.ok()?;
        *known = Some((tokio::time::Instant::now(), version));
        Some(version)
    }

    /// Has SQLite look at every page. Other databases look after themselves.
    pub(super) async fn check(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.place.is_sqlite() {
            let found = self.bounded_check().await.map_err(|error| self.fault(Doing::Read, &error))?;
            if let Some(found) = found {
                let text = format!(
                    "the store {} is damaged: {found}. Stop firedrill, and put a copy in its place or mend it (docs/store.md)",
                    self.place.shown()
                );
                self.pulse.failed(Trouble::Damaged, &text);
                return Err(StoreError { message: text });
            }
        }
        self.pulse.sound(now);
        Ok(())
    }

    async fn bounded_check(&self) -> Result<Option<String>, sqlx::Error> {
        // A connection of its own: what others have in memory is not what is on the disk.
        let options = SqliteConnectOptions::from_str(&self.place.url)?.disable_statement_logging();
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let begun = Instant::now();
        connection.lock_handle().await?.set_progress_handler(STEPS, move || begun.elapsed() < LONGEST_CHECK);
        let rows = connection.fetch_all("PRAGMA quick_check(3)").await;
        // What it holds goes with it.
        let _ = connection.close().await;
        let mut found = Vec::new();
        for row in rows? {
            found.push(row.try_get::<String, _>(0)?);
        }
        Ok((found != ["ok"]).then(|| found.join("; ").replace('\n', " ")))
    }

    /// A person takes it as it is. Whether there was a doubt.
    pub(super) async fn accept_doubt(&self) -> Result<bool, StoreError> {
        let work = async {
            let Some(bond) = &self.bond else { return Ok(false) };
            let mut writing = self.begin().await?;
            let doubted = bond.accept(&mut writing).await?;
            writing.commit().await?;
            Ok(doubted)
        };
        self.bounded(Doing::Write, work).await
    }

    /// Brings the log into the file, as far as nobody is in the way.
    pub(super) async fn fold(&self) -> Result<(), StoreError> {
        self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)").await.map(drop)
    }

    /// Whether all of the log is in the file. Who reads an older state of it, or writes, keeps a part of it out: SQLite tells so
    /// in its answer, and not by an error (<https://sqlite.org/pragma.html#pragma_wal_checkpoint>).
    async fn checkpoint(&self, statement: &'static str) -> Result<bool, StoreError> {
        let Some(anchor) = &self.anchor else { return Ok(true) };
        let work = async {
            let row = anchor.lock().await.fetch_one(statement).await?;
            let (busy, frames, folded): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Ok(busy == 0 && frames >= 0 || frames > 0 && frames == folded)
        };
        self.bounded(Doing::Write, work).await
    }

    /// The log was removed under us, and nobody began another one: what it held is known to this process still, and goes
    /// into the file. As long as somebody keeps a part of it out, it is tried again with the next call.
    pub(super) async fn rescue(&self) {
        let Some(bond) = self.bond.as_deref() else { return };
        if bond.is_rescued() || bond.check_files().await.is_ok() || !bond.only_log_is_gone().await {
            return;
        }
        match self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)").await {
            Ok(true) => {
                bond.set_rescued();
                tracing::warn!("what the store's log held was saved into its file before it was lost");
            }
            Ok(false) => {
                tracing::warn!("a part of what the store's log held isn't saved yet: it is being read or written")
            }
            Err(error) => tracing::error!("what the store's log held could not be saved: {error}"),
        }
    }

    /// Whether closing it can't take away what belongs to another process: a log that somebody began beside the same file.
    pub(super) async fn may_be_closed(&self) -> bool {
        if self.still_there().await.is_ok() {
            return true;
        }
        let Some(bond) = &self.bond else { return false };
        bond.file_is_gone().await || bond.only_log_is_gone().await
    }

    /// Closes all connections; the log is folded into the file before, and removed with the last of them. Whether all are
    /// closed.
    pub(super) async fn close(self) -> bool {
        if !self.may_be_closed().await {
            // SQLite removes the log by its name. What the system closes at the end of the process removes nothing.
            std::mem::forget(self.anchor);
            return false;
        }
        if self.still_there().await.is_ok() {
            let _ = self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)").await;
        }
        let pools = async { tokio::join!(self.pool.close(), self.writer.close()) };
        let closed = tokio::time::timeout(LAST_WORDS, pools).await.is_ok();
        // Who kept a part of a lost log out of the file is gone now.
        self.rescue().await;
        match self.anchor.map(std::sync::Arc::into_inner) {
            None => closed,
            Some(Some(anchor)) => anchor.into_inner().close().await.is_ok() && closed,
            Some(None) => false,
        }
    }
}

impl Custody for Store {
    fn standing(&self) -> watch::Receiver<Standing> {
        self.pulse.watch()
    }

    fn probe(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let database = self.open().await?;
            let quiet = self.pulse.quiet().is_none_or(|quiet| quiet >= QUIET);
            if quiet || self.pulse.now().problem.is_some() { database.probe(now).await } else { Ok(()) }
        })
    }

    fn check(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.open().await?.check(now).await })
    }

    fn fold(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.open().await?.fold().await })
    }

    fn hear(&self, now: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(self.hear_requests(now))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let before = std::mem::replace(&mut *self.state.lock().await, State::Ended);
            match before {
                State::Open(database) => {
                    // It may have been lost a moment ago.
                    let _ = database.still_there().await;
                    database.rescue().await;
                    database.close().await;
                }
                State::Lost(Some(database), _) => {
                    database.rescue().await;
                    database.close().await;
                }
                State::Closed | State::Failed(..) | State::Lost(None, _) | State::Ended => {}
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::store::Place;

    #[tokio::test]
    async fn a_write_that_hangs_is_said_while_it_does() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/firedrill.db", directory.path().display());
        let database = Database::open(Place::new(url)).await.unwrap();
        database.probe(Timestamp::UNIX_EPOCH).await.unwrap();
        assert!(database.pulse.now().up());
        let hangs = database.line.clone().lock_owned().await;
        let mut standing = database.pulse.watch();
        let probe = tokio::spawn({
            let database = database.clone();
            async move { database.probe(Timestamp::UNIX_EPOCH).await }
        });
        let down = standing.wait_for(|standing| !standing.up());
        assert!(tokio::time::timeout(4 * LONGEST_PROBE, down).await.is_ok_and(|down| down.is_ok()));
        assert!(!probe.is_finished());
        drop(hangs);
        probe.await.unwrap().unwrap();
    }
}
