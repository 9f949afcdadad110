//! A person takes the store that is there for the one of before: by a file beside the marker, because whoever may write there
//! may replace the store anyway, and tokens of the API are in what was lost.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::{State, Store};
use crate::engine::ports::StoreError;

/// A request that nobody took for so long was for another occasion.
const VALID: SignedDuration = SignedDuration::from_hours(1);

/// A request or an answer is a line or two.
const MOST_BYTES: u64 = 4 << 10;

/// Where a person asks, and is answered.
pub struct Requests {
    request: PathBuf,
    answer: PathBuf,
}

impl Requests {
    /// How an answer begins when it is no.
    pub const REFUSED: &str = "It could not be accepted";

    /// Those beside this marker.
    pub fn of(marker: &Path) -> Self {
        let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", marker.display()));
        Self { request: beside(".accept"), answer: beside(".answer") }
    }

    /// Asks that the store be accepted that is there now.
    pub fn ask(&self, now: Timestamp) -> io::Result<()> {
        remove(&self.answer)?;
        write(&self.request, &now.to_string())
    }

    /// Whether nobody has taken the request yet.
    pub fn is_open(&self) -> bool {
        self.request.exists()
    }

    /// What was answered, if anything was; it is gone then.
    pub fn answered(&self) -> Option<String> {
        let text = read(&self.answer).ok()?;
        remove(&self.answer).ok()?;
        Some(text)
    }

    /// Whether somebody asked; the request is gone then.
    fn take(&self, now: Timestamp) -> bool {
        let Ok(text) = read(&self.request) else { return false };
        if let Err(error) = remove(&self.request) {
            tracing::error!(path = %self.request.display(), "a request to accept the store can't be removed, and isn't heard: {error}");
            return false;
        }
        let asked: Option<Timestamp> = text.trim().parse().ok();
        let valid = asked.is_some_and(|at| at.duration_until(now).abs() <= VALID);
        if !valid {
            tracing::warn!(
                "an old request to accept the store was thrown away: `firedrill store accept-new` asks anew"
            );
        }
        valid
    }

    fn answer(&self, text: &str) {
        if let Err(error) = write(&self.answer, text) {
            tracing::warn!(path = %self.answer.display(), %error, "who asked to accept the store can't be answered");
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    io::read_to_string(fs::File::open(path)?.take(MOST_BYTES))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = PathBuf::from(format!("{}.new", path.display()));
    remove(&new)?;
    // Whoever asks and the daemon may be different users; there is no secret in it.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Store {
    /// Saves what can be saved of a store that is lost, and takes another one if a person asked for it.
    pub(super) async fn hear_requests(&self, now: Timestamp) {
        self.save_what_is_lost().await;
        if !self.requested(now).await {
            return;
        }
        let answer = match self.accept(now).await {
            Ok(done) => done,
            Err(error) => format!("{}: {error}", Requests::REFUSED),
        };
        tracing::warn!("a person asked to accept the store: {answer}");
        if let Some(requests) = self.marker.as_deref().map(Requests::of) {
            let _ = self.disk.call(move || requests.answer(&answer)).await;
        }
    }

    /// Whether a person asked for it; only once.
    pub(super) async fn requested(&self, now: Timestamp) -> bool {
        let Some(requests) = self.marker.as_deref().map(Requests::of) else { return false };
        self.disk.call(move || requests.take(now)).await.unwrap_or(false)
    }

    async fn save_what_is_lost(&self) {
        // Whoever looks at it finds that it is lost.
        if self.open().await.is_err()
            && let State::Lost(Some(database), _) = &*self.state.lock().await
        {
            database.rescue().await;
        }
    }

    async fn accept(&self, now: Timestamp) -> Result<String, StoreError> {
        let mut state = self.state.lock().await;
        match std::mem::replace(&mut *state, State::Closed) {
            State::Lost(database, error) => {
                *state = State::Lost(None, error.clone());
                if let Some(database) = database {
                    if !database.may_be_closed().await {
                        *state = State::Lost(Some(database), error);
                        let message = "another process uses the same file with a log of its own: end it, then start firedrill again";
                        return Err(StoreError { message: message.to_owned() });
                    }
                    database.rescue().await;
                    if !database.close().await {
                        let message = "the store that was lost is still in use: start firedrill again".to_owned();
                        return Err(StoreError { message });
                    }
                }
                // It is doubted, and paused, until all that is known is in it.
                let opened = self.open_database().await?;
                opened.remember(&self.memory, now).await?;
                *state = State::Open(opened);
                self.pulse.accepted();
                Ok("It was accepted; what this daemon knew is written into it.".to_owned())
            }
            State::Open(database) => {
                let doubted = database.accept_doubt().await;
                *state = State::Open(database);
                Ok(match doubted? {
                    true => "It was accepted. The automation stays paused until `firedrill automation resume`.",
                    false => "It is the store that was used before: there is nothing to accept.",
                }
                .to_owned())
            }
            other => {
                *state = other;
                Err(StoreError { message: "the store can't be opened now; the daemon's log says why".to_owned() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sqlx::{AnyConnection, Connection as _, Executor as _};

    use super::*;
    use crate::adapters::machine::clock::SystemClock;
    use crate::adapters::store::{Database, Place};

    const WRITE: &str = "PRAGMA journal_mode = WAL; CREATE TABLE of_another (a)";

    /// A tied store with what it wrote in its log or folded into the file; the log is removed.
    async fn without_its_log(directory: &Path, folded: bool) -> (Store, Database) {
        let url = format!("sqlite://{}/firedrill.db", directory.display());
        let store = Store::new(Place::new(url)).tied(Arc::new(SystemClock));
        let database = store.open().await.unwrap();
        if folded {
            database.fold().await.unwrap();
        }
        for companion in ["firedrill.db-wal", "firedrill.db-shm"] {
            fs::remove_file(directory.join(companion)).unwrap();
        }
        (store, database)
    }

    #[tokio::test]
    async fn a_connection_of_its_own_that_makes_another_log_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        let (store, database) = without_its_log(directory.path(), false).await;
        // As a pool does that needs one more before anybody noticed.
        let mut connection = AnyConnection::connect(&database.place.url).await.unwrap();
        let _ = connection.execute("SELECT count(*) FROM store_writers").await;
        assert!(directory.path().join("firedrill.db-wal").exists());
        connection.close().await.unwrap();
        assert!(store.open().await.is_err());
        drop(database);
        let accepted = store.accept(Timestamp::UNIX_EPOCH).await;
        assert!(accepted.as_ref().is_ok_and(|text| text.contains("was accepted")), "{accepted:?}");
        store.open().await.unwrap().probe(Timestamp::UNIX_EPOCH).await.unwrap();
    }

    #[tokio::test]
    async fn nothing_is_committed_into_a_log_that_is_not_the_one_of_before() {
        let directory = tempfile::tempdir().unwrap();
        let (store, database) = without_its_log(directory.path(), true).await;
        let held = database.writer.acquire().await.unwrap();
        let mut writing = database.begin().await.unwrap();
        writing.execute("CREATE TABLE too_late (a)").await.unwrap();
        assert!(writing.commit().await.is_err());
        let log = fs::metadata(directory.path().join("firedrill.db-wal")).unwrap();
        assert_eq!(log.len(), 0, "to save the log of before would bring into the file what never was");
        drop((held, database));
        assert!(store.open().await.is_err());
        assert!(store.accept(Timestamp::UNIX_EPOCH).await.is_ok());
        store.open().await.unwrap().check(Timestamp::UNIX_EPOCH).await.unwrap();
    }

    #[tokio::test]
    async fn what_somebody_reads_an_older_state_of_is_saved_when_that_has_ended() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/firedrill.db", directory.path().display());
        let store = Store::new(Place::new(url)).tied(Arc::new(SystemClock));
        let database = store.open().await.unwrap();
        let mut reads = database.pool.begin().await.unwrap();
        reads.execute("SELECT count(*) FROM store_writers").await.unwrap();
        let mut writing = database.begin().await.unwrap();
        writing.execute("CREATE TABLE newest (a)").await.unwrap();
        writing.commit().await.unwrap();
        for companion in ["firedrill.db-wal", "firedrill.db-shm"] {
            fs::remove_file(directory.path().join(companion)).unwrap();
        }
        assert!(store.open().await.is_err());
        let bond = database.bond.clone().unwrap();
        database.rescue().await;
        assert!(!bond.is_rescued(), "SQLite says so in its answer, and calls it no error");
        reads.rollback().await.unwrap();
        database.rescue().await;
        assert!(bond.is_rescued());
        let copy = directory.path().join("copy.db");
        fs::copy(directory.path().join("firedrill.db"), &copy).unwrap();
        let mut alone = AnyConnection::connect(&format!("sqlite://{}", copy.display())).await.unwrap();
        alone.execute("SELECT a FROM newest").await.unwrap();
    }

    #[tokio::test]
    async fn what_another_process_began_is_not_taken_away() {
        let directory = tempfile::tempdir().unwrap();
        let (store, database) = without_its_log(directory.path(), false).await;
        let mut other = std::process::Command::new("sqlite3")
            .arg(directory.path().join("firedrill.db"))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut asks = other.stdin.take().unwrap();
        writeln!(asks, "{WRITE};\n.print written").unwrap();
        let mut answers = io::BufRead::lines(io::BufReader::new(other.stdout.take().unwrap()));
        assert!(answers.any(|line| line.unwrap() == "written"));
        assert!(store.open().await.is_err());
        drop(database);
        let refused = store.accept(Timestamp::UNIX_EPOCH).await;
        assert!(refused.as_ref().is_err_and(|error| error.message.contains("another process")), "{refused:?}");
        writeln!(asks, "SELECT count(*) FROM of_another;").unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), "0");
        drop(asks);
        assert!(other.wait().unwrap().success());
    }
}
