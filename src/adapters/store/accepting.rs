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
