//! Places that aren't directories and hold files all the same: a prefix of a bucket.

use std::fmt::Debug;
use std::io;
use std::path::Path;

use crate::domain::file::FileFacts;
use crate::domain::look::LookError;

/// More names than this in one place are refused: nobody keeps so many backups in one, and memory is bounded.
pub const MAX_ENTRIES: usize = 1_000_000;

/// What lies in a place.
#[derive(Debug, Default)]
pub struct Objects {
    /// Paths below the place, with size, time and a fingerprint of the content.
    pub files: Vec<(Box<str>, FileFacts)>,
    /// Names of what belongs to a NAS, a desktop or an editor, made printable; nothing below it was looked at.
    pub foreign: Vec<String>,
    /// Names that nobody can ask for, made printable, with the reason.
    pub unreadable: Vec<(String, &'static str)>,
}

/// A place of objects, each of which appears as a whole.
pub trait ObjectPlace: Debug + Send + Sync + 'static {
    /// As labels and messages show it.
    fn path(&self) -> &Path;

    /// Everything down to `depth` names below one another. Fails as a whole: half a listing would make the other half look
    /// deleted. What a NAS or a desktop keeps there is left out, unless its name is `spelled` by the configuration.
    fn list(&self, depth: usize, spelled: &dyn Fn(&[u8]) -> bool) -> Result<Objects, LookError>;

    /// `count` bytes of an object from `from` on, or fewer at its end.
    fn part(&self, path: &str, from: u64, count: u64) -> io::Result<Vec<u8>>;
}
