//! What goes wrong with a store, in sentences that say what to do.

use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use sqlx::migrate::MigrateError;

use super::Place;
use super::lost::NotTheStore;
use crate::domain::store::Trouble;
use crate::engine::ports::StoreError;

/// What was tried.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doing {
    Open,
    Read,
    Write,
}

impl Place {
    /// Makes the file, for its owner alone, and its directory where only that is missing.
    pub(super) fn prepare_file(&self) -> Result<(), StoreError> {
        let shown = self.shown();
        let path = Path::new(&shown);
        let wrong = |what: &str, error: &std::io::Error| StoreError {
            message: format!(
                "the store {shown} can't be opened: {what}: {error}. Let the user who runs firedrill write there, or name another place with store.url"
            ),
        };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists()) {
            let made = std::fs::DirBuilder::new().mode(0o750).create(parent);
            made.map_err(|error| wrong(&format!("its directory {} can't be made", parent.display()), &error))?;
        }
        if path.is_dir() {
            return Err(wrong("the file can't be written", &rustix::io::Errno::ISDIR.into()));
        }
        if path.exists() {
            // Not by opening it: who closes the file gives up all locks of this process on it.
            let allowed = rustix::fs::access(path, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK);
            return allowed.map_err(|error| wrong("the file can't be written", &error.into()));
        }
        let opened = std::fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
        opened.map(drop).map_err(|error| wrong("the file can't be written", &error))
    }

    /// Whether an error is trouble of the store, and which; `None` when only what was to be written was refused.
    pub(super) fn trouble(&self, error: &sqlx::Error) -> Option<Trouble> {
        if is_not_the_store(error) {
            return Some(Trouble::Lost);
        }
        let code = code_of(error);
        match (self.primary(&code), &*code) {
            (Some(11 | 26), _) => Some(Trouble::Damaged),
            // It is there, and is an empty one.
            (Some(1), _) if error.to_string().contains("no such table") => Some(Trouble::Lost),
            (None, "42P01") => Some(Trouble::Lost),
            // Constraints, and values that are too large or of the wrong sort.
            (Some(18..=20 | 25), _) => None,
            (None, code) if code.starts_with("22") || code.starts_with("23") => None,
            _ => Some(Trouble::Passing),
        }
    }

    /// SQLite's extended codes hold the primary one in their low byte.
    fn primary(&self, code: &str) -> Option<u32> {
        if self.is_sqlite() { code.parse::<u32>().ok().map(|code| code & 0xff) } else { None }
    }

    pub(super) fn failed(&self, doing: Doing, error: &sqlx::Error) -> StoreError {
        let tried = match doing {
            Doing::Open => "can't be opened",
            Doing::Read => "can't be read",
            Doing::Write => "can't be written",
        };
        let (what, advice) = self.explain(error);
        StoreError { message: format!("the store {} {tried}: {what}. {advice}", self.shown()) }
    }

    pub(super) fn migration_failed(&self, error: MigrateError) -> StoreError {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => self.failed(Doing::Open, &error),
            MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => StoreError {
                message: format!(
                    "the store {} can't be opened: another version of firedrill made its tables (migration {version}). Run that version or a newer one, or name another place with store.url",
                    self.shown()
                ),
            },
            other => StoreError { message: format!("the store {} can't be opened: {other}", self.shown()) },
        }
    }

    /// What went wrong, and what to do. Codes: sqlite.org/rescode.html, appendix A of PostgreSQL's manual.
    fn explain(&self, error: &sqlx::Error) -> (String, &'static str) {
        let code = code_of(error);
        let text = match error {
            sqlx::Error::Database(error) if self.primary(&code).is_some() => {
                format!("{} (SQLite's code {code})", error.message())
            }
            sqlx::Error::Database(error) => error.message().to_owned(),
            sqlx::Error::Configuration(error) if error.is::<NotTheStore>() => error.to_string(),
            sqlx::Error::Io(error) if self.is_sqlite() => error.to_string(),
            other => other.to_string(),
        };
        let advice = match (self.primary(&code), code.as_str()) {
            _ if is_not_the_store(error) => {
                "Nothing is taken, done or known until firedrill is started again, or `firedrill store accept-new` is run"
            }
            (Some(13), _) | (None, "53100") => "Its disk is full: make room; nothing is lost, it is tried again",
            (Some(5 | 6), _) | (None, "55P03") => "Another process keeps it locked; it is tried again",
            (Some(8 | 14), _) => "Let the user who runs firedrill write there, or name another place with store.url",
            (Some(11 | 26), _) => {
                "The file is damaged or no SQLite database: move it away, a new one is made, and all archives are read again"
            }
            // A short read is of a file that somebody changed at that moment, not of a bad disk.
            (Some(10), "522") => {
                "A file of it is shorter than it should be: has another process changed it? It is tried again"
            }
            (Some(10), _) => "Its disk reports errors: look at the kernel's log",
            (None, "28P01" | "28000") => "Check user and password in store.url or store.url_file",
            (None, "3D000") => "Create the database, or correct store.url",
            (None, "42501") => "The user needs to own the database, to make its tables",
            (None, "57P03" | "53300") => "The server takes no connection now; it is tried again",
            _ if self.is_sqlite() && matches!(error, sqlx::Error::Io(_)) => "Look at its disk; it is tried again",
            _ if matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut) => {
                "Is the server running, and reachable from here? It is tried again"
            }
            _ => "It is tried again",
        };
        (text, advice)
    }
}

fn code_of(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

fn is_not_the_store(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Configuration(inner) if inner.is::<NotTheStore>())
}
