//! What lies beside the store and says which one was used: a daemon that starts knows by it whether it finds the same.
//!
//! It is written over in place after each commit, without waiting for the disk: it may be behind the store, never before it.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::Place;

/// Longer ones are none of ours.
const MOST_BYTES: u64 = 16 << 10;

/// What a marker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    about: String,
    /// Where the store is, without a password: at another place another store is no wonder, but a new one is.
    pub(super) place: String,
    /// Its id.
    pub(super) store: String,
    /// Under what name its writes are counted.
    pub(super) writer: String,
    /// How many there were. Always as long, so that it can be written over.
    beat: String,
}

impl Known {
    pub(super) fn new(place: String, store: String, writer: String, beat: i64) -> Self {
        let about = "Which store firedrill uses here, and how far it was. Don't remove it: docs/store.md".to_owned();
        Self { about, place, store, writer, beat: format!("{beat:020}") }
    }

    /// Whether it is about what is at this place: by its name, or because it lies beside that file, whatever directories
    /// are called now.
    pub(super) fn is_about(&self, place: &Place, marker: &Path) -> bool {
        let beside = |file: PathBuf| format!("{}.id", file.display()) == marker.display().to_string();
        self.place == place.shown() || place.path().is_some_and(beside)
    }

    pub(super) fn beat(&self) -> i64 {
        self.beat.parse().unwrap_or(i64::MAX)
    }

    fn text(&self) -> String {
        // Texts alone can't fail.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// An open marker.
#[derive(Debug)]
pub(super) struct Marker {
    file: File,
    known: Mutex<Known>,
}

/// What a marker at this path says; `None` where there is none. One that can't be understood says of a store that nobody has.
pub(super) fn read(path: &Path) -> io::Result<Option<Known>> {
    let text = match File::open(path) {
        Ok(file) => io::read_to_string(io::Read::take(file, MOST_BYTES))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let strange = || io::Error::new(io::ErrorKind::InvalidData, "it can't be understood");
    serde_json::from_str(&text).map(Some).map_err(|_| strange())
}

impl Marker {
    /// Puts a marker in the place of any other.
    pub(super) fn put(path: &Path, known: Known) -> io::Result<Self> {
        let new = PathBuf::from(format!("{}.new", path.display()));
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(known.text().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        Ok(Self { file, known: Mutex::new(known) })
    }

    /// Notes how far the store is.
    pub(super) fn note(&self, beat: i64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if beat <= known.beat() {
            return;
        }
        known.beat = format!("{beat:020}");
        // A marker that is behind is one that notices less.
        if let Err(error) = self.file.write_all_at(known.text().as_bytes(), 0) {
            tracing::debug!(%error, "how far the store is could not be noted beside it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_last_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("firedrill.db.id");
        assert_eq!(read(&path).unwrap(), None);
        let known = |beat| Known::new("/a \"b\"\n".into(), "s".into(), "w".into(), beat);
        let marker = Marker::put(&path, known(7)).unwrap();
        for beat in [9, 8, 10, i64::MAX] {
            marker.note(beat);
        }
        assert_eq!(read(&path).unwrap(), Some(known(i64::MAX)));
        Marker::put(&path, known(1)).unwrap();
        assert_eq!(read(&path).unwrap().map(|it| it.beat()), Some(1));
        std::fs::write(&path, "").unwrap();
        assert!(read(&path).is_err());
    }
}
