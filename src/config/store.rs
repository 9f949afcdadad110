//! `[store]`: where is kept what was verified.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use super::errors::Complaints;
use super::text;

/// Where the store is if nothing else is said: the state directory that systemd gives, or this.
const DEFAULT_DIRECTORY: &str = "/var/lib/firedrill";

/// A URL that may hold a password.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl From<String> for SecretUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

/// The store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `sqlite:///path/file.db` or `postgres://user:password@host/database`.
    pub url: Option<SecretUrl>,
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
        let url = match (&self.url, &self.url_file) {
            (Some(url), _) => url.0.clone(),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("reading store.url_file {}", path.display()))?;
                text.trim().to_owned()
            }
            (None, None) => default_url(),
        };
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
        if let Some(sentence) = self.url.as_ref().and_then(|url| wrong(&url.0)) {
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
