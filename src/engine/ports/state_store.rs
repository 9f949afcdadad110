//! Where states are kept, for commands that change one.

use futures_util::future::BoxFuture;

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
}

impl Place {
    /// An object beside it.
    pub fn beside(&self, end: &str) -> Self {
        Self { bucket: self.bucket.clone(), key: format!("{}{end}", self.key) }
    }
}

/// The version that is current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its id, where the bucket keeps versions.
    pub version: Option<String>,
    /// Its ETag, without quotes.
    pub e_tag: String,
    /// In bytes.
    pub size: u64,
}

/// What an object may be written over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// There must be none.
    Nothing,
    /// The one with this ETag.
    ETag(String),
}

/// Why a call did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateFault {
    /// What is there isn't what may be written over.
    #[error("{0}")]
    Changed(String),
    /// The server doesn't answer, or not now.
    #[error("{0}")]
    Away(String),
    /// Anything else, in a sentence.
    #[error("{0}")]
    Failed(String),
}

impl From<String> for StateFault {
    fn from(sentence: String) -> Self {
        Self::Failed(sentence)
    }
}

impl From<&str> for StateFault {
    fn from(sentence: &str) -> Self {
        Self::Failed(sentence.to_owned())
    }
}

/// A content, and the version that it is of; `None` where it isn't there.
pub type Content = Option<(Vec<u8>, Current)>;

/// A server that keeps objects. A call that is dropped has ended: it happened or it didn't.
pub trait StateStore: Send + Sync + 'static {
    /// What is current; `None` where nothing is.
    fn current<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Option<Current>, StateFault>>;

    /// The content of a version, or of the current one.
    fn read<'a>(&'a self, place: &'a Place, version: Option<&'a str>) -> BoxFuture<'a, Result<Content, StateFault>>;

    /// Writes an object.
    fn write<'a>(&'a self, place: &'a Place, content: Vec<u8>, over: Over) -> BoxFuture<'a, Result<(), StateFault>>;

    /// Copies what is current under its ETag to another place, on the server.
    fn copy<'a>(&'a self, from: &'a Place, e_tag: &'a str, to: &'a Place) -> BoxFuture<'a, Result<(), StateFault>>;

    /// Removes an object; where versions are kept, they stay. One that isn't there is no error.
    fn remove<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<(), StateFault>>;
}
