//! What the engine needs of the outside. Adapters implement these; tests bring their own.

pub mod automation;
pub mod custody;
pub mod ledger;
pub mod notices;
pub mod objects;
pub mod operations;
pub mod state_cache;
pub mod state_store;
pub mod tokens;
pub mod workspace;

use std::io::{self, Read};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::domain::attempt::Sidecar;
use crate::domain::file::FileFacts;
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::look::{Look, SourceSpec};
use crate::domain::proof::{ArchiveId, FirstSight, Level, Verification};
use crate::formats::beside::{Beside, ReadAt};
use crate::formats::set::Files;

/// A place where backups live.
pub trait Source: Send + 'static {
    /// What is configured about it.
    fn spec(&self) -> &Arc<SourceSpec>;

    /// What opens its archives.
    fn archives(&self) -> Arc<dyn Archives>;

    /// Looks at everything. Blocks for as long as the place takes to answer, which may be for ever; called on a thread
    /// of its own. What can't be seen is part of the result, not an error of the call.
    fn look(&mut self, now: Timestamp) -> Look;
}

/// The wall clock.
pub trait Clock: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Timestamp;
}

/// Why the store could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What was tried on which store, what went wrong, and what to do.
    pub message: String,
}

/// A verification as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Rises with every verification of the store, whoever wrote it.
    pub id: i64,
    /// The verification.
    pub verification: Verification,
    /// The first reading of the file.
    pub first: Option<FirstSight>,
}

/// Keeps what was verified. Several processes may use one store.
pub trait ProofStore: Send + Sync + 'static {
    /// The first reading of a file that is still the one of its size and time of last write, if there was any reading.
    fn first_sight<'a>(&'a self, archive: &'a ArchiveId) -> BoxFuture<'a, Result<Option<FirstSight>, StoreError>>;

    /// Keeps a verification, and the first sight of the file if this is it: if it is intact and has a digest, and the file was
    /// never read or was written again since. All or nothing. The id that it got.
    fn record<'a>(&'a self, verification: &'a Verification) -> BoxFuture<'a, Result<i64, StoreError>>;

    /// The newest verification of each archive of `sources` among those with an id above `after`, by rising id.
    /// Findings other than the worst and evidence are left out.
    fn newest<'a>(&'a self, sources: &'a [SourceName], after: i64) -> BoxFuture<'a, Result<Vec<Kept>, StoreError>>;

    /// When each level was last reached on any archive of an item, for all items of `sources`.
    fn levels<'a>(&'a self, sources: &'a [SourceName]) -> BoxFuture<'a, Result<Vec<LevelReached>, StoreError>>;

    /// The highest id of a verification that is kept; 0 where none is. Cheap: it tells whether anybody wrote one.
    fn last(&self) -> BoxFuture<'_, Result<i64, StoreError>>;

    /// Forgets verifications that ended before `before`, but for the newest of each archive that was seen since, and
    /// archives not seen since then with all of theirs. How many verifications went.
    fn forget(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Notes that these archives are there, as of `now`.
    fn seen<'a>(&'a self, archives: &'a [ArchiveId], now: Timestamp) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// When a level was last reached on any archive of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelReached {
    /// The source.
    pub source: SourceName,
    /// The directory of the archive; empty where it was not noted.
    pub root: Arc<str>,
    /// The item.
    pub item: ItemId,
    /// The level.
    pub level: Level,
    /// End of the verification.
    pub at: Timestamp,
}

/// A file that is about to be read.
pub trait OpenArchive: Read + Send {
    /// Size and last write of what was opened.
    fn facts(&self) -> FileFacts;

    /// Whether the path still leads to what was opened, unchanged. An error when that can't be told.
    fn unchanged(&mut self) -> io::Result<bool>;

    /// The checksum file that lies beside it: its kind and what it says.
    fn sidecar(&mut self) -> io::Result<Option<(Sidecar, Vec<u8>)>>;

    /// What lies beside it and belongs to it, if it is a database. Facts and [`unchanged`](Self::unchanged) are of all
    /// of them.
    fn companions(&mut self) -> io::Result<Vec<(Beside, Box<dyn ReadAt + Send>)>> {
        Ok(Vec::new())
    }

    /// Its files, if it is a directory: there is nothing to be read of itself then.
    fn files(&mut self) -> Option<&mut dyn Files> {
        None
    }

    /// Further checksum files: of another kind, or beside the file that a link leads to.
    fn further_sidecars(&mut self) -> io::Result<Vec<FurtherSidecar>> {
        Ok(Vec::new())
    }
}

/// A checksum file beside the one that counts first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FurtherSidecar {
    /// Its kind.
    pub kind: Sidecar,
    /// The name of the file that it lies beside.
    pub of: String,
    /// What it says.
    pub text: Vec<u8>,
}

impl FurtherSidecar {
    /// No more is read of one. In bytes.
    pub const MOST_BYTES: u64 = 64 << 10;
}

/// Opens files of the sources.
pub trait Archives: Send + Sync + 'static {
    /// Opens a file. Blocks for as long as its place takes to answer.
    fn open(&self, archive: &ArchiveId) -> io::Result<Box<dyn OpenArchive>>;
}
