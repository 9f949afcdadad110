//! Where a store is.

use std::path::PathBuf;

/// Where the store is. Never printed with its password.
#[derive(Clone)]
pub struct Place {
    pub(super) url: String,
    pub(super) most_pages: Option<u32>,
}

impl Place {
    /// By URL: `sqlite:///path/file.db` or `postgres://user:password@host/database`.
    pub fn new(url: impl Into<String>) -> Self {
        let mut url = url.into();
        if url.starts_with("sqlite:") {
            // What the driver would decode is meant as it stands, here and wherever else the path is looked at.
            url = url.replace('%', "%25");
        }
        Self { url, most_pages: None }
    }

    /// An SQLite file that may not grow beyond so many pages of 4 KiB, whatever the room on its disk.
    pub fn with_most_pages(self, pages: u32) -> Self {
        Self { most_pages: Some(pages), ..self }
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// The file, where it is one.
    pub fn path(&self) -> Option<PathBuf> {
        self.is_sqlite().then(|| PathBuf::from(self.shown()))
    }

    /// For messages: without user, password and parameters.
    pub(super) fn shown(&self) -> String {
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
            Some((_, path)) => path.replace("%25", "%"),
            None => bare.to_owned(),
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}
