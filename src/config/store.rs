//! `[store]`: where is kept what was verified.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::errors::Complaints;
use super::{secret, text};
use crate::domain::secret::Secret;

/// Where the store is if nothing else is said: the state directory that systemd gives, or this.
const DEFAULT_DIRECTORY: &str = "/var/lib/firedrill";

/// The store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `sqlite:///path/file.db` or `postgres://user:password@host/database`.
    pub url: Option<Secret>,
    /// A file that holds the URL.
    pub url_file: Option<PathBuf>,
    /// Says which store is used; beside the SQLite file, or in the state directory, where nothing is set.
    pub marker: Option<PathBuf>,
    /// Verifications are kept so long.
    #[serde(deserialize_with = "text::duration")]
    pub retention: Duration,
}

impl Default for Store {
    fn default() -> Self {
        Self { url: None, url_file: None, marker: None, retention: Duration::from_secs(400 * 24 * 60 * 60) }
    }
}

impl Store {
    /// The URL. Reads [`url_file`](Self::url_file) where that is set.
    pub fn url(&self) -> anyhow::Result<String> {
        let given = secret::given(&self.url, "store.url_file", &self.url_file)?;
        let url = given.map_or_else(default_url, |url| url.expose().to_owned());
        if let Some(sentence) = wrong(&url) {
            anyhow::bail!("store.url {sentence}");
        }
        Ok(url)
    }

    /// The file that says which store is used. None for a server where no state directory is known.
    pub fn marker(&self) -> anyhow::Result<Option<PathBuf>> {
        if self.marker.is_some() {
            return Ok(self.marker.clone());
        }
        let url = self.url()?;
        Ok(match url.strip_prefix("sqlite://") {
            Some(path) => Some(PathBuf::from(format!("{}.id", path.split(['?', '#']).next().unwrap_or(path)))),
            None => state_directory().map(|directory| PathBuf::from(directory).join("store.id")),
        })
    }

    pub(super) fn check(&self, complaints: &mut Complaints) {
        if self.url.is_some() && self.url_file.is_some() {
            complaints.add("store.url_file".to_owned(), "is set beside store.url; say it once".to_owned());
        }
        if let Some(sentence) = self.url.as_ref().and_then(|url| wrong(url.expose())) {
            complaints.add("store.url".to_owned(), sentence);
        }
        if self.marker.as_ref().is_some_and(|path| !path.is_absolute()) {
            complaints.add("store.marker".to_owned(), "must be an absolute path".to_owned());
        }
        if self.retention < Duration::from_secs(24 * 60 * 60) {
            complaints.add("store.retention".to_owned(), "must be at least 1d".to_owned());
        }
    }
}

/// What is wrong with a URL of a store. It isn't quoted: it may hold a password.
fn wrong(url: &str) -> Option<String> {
    if !is_known(url) {
        return Some("must begin with sqlite:// (and an absolute path) or postgres://".to_owned());
    }
    // A path may have any characters.
    if url.starts_with("sqlite:") { None } else { text::wrong_url(url) }
}

fn is_known(url: &str) -> bool {
    let known = ["sqlite:///", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    known && !(url.starts_with("sqlite:") && url.ends_with('/'))
}

fn default_url() -> String {
    format!("sqlite://{}/firedrill.db", state_directory().as_deref().unwrap_or(DEFAULT_DIRECTORY))
}

/// As systemd gives it: several directories are separated by colons; the first is ours.
fn state_directory() -> Option<String> {
    let given = std::env::var("STATE_DIRECTORY").ok()?;
    given.split(':').next().filter(|path| path.starts_with('/')).map(ToOwned::to_owned)
}
