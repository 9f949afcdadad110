//! Where files of a source lie: a directory of this machine, or a prefix of a bucket that is looked at as one.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;

use walkdir::DirEntry;

use super::files;
use crate::domain::file::FileFacts;
use crate::domain::look::{Capacity, LookError, PlaceListing};
use crate::engine::ports::Archives;
use crate::engine::ports::objects::{ObjectPlace, Objects};

/// A place of a source.
pub trait Place: Send + Sync + 'static {
    /// As labels and messages show it.
    fn path(&self) -> &Path;

    /// Whether it is there, as far as that can be told beforehand: what must be mounted is mounted.
    fn check(&self) -> Result<(), LookError>;

    /// Everything down to `depth` names below one another. Fails as a whole: half a listing would make the other half look
    /// deleted. What a NAS or a desktop keeps there is left out, unless its name is `spelled` by the configuration.
    fn list(&self, depth: usize, spelled: &dyn Fn(&[u8]) -> bool) -> Result<Listed, LookError>;

    /// How much fits in, where it tells.
    fn capacity(&self) -> Option<Capacity>;
}

/// The places of a source, in the order of its spec, and what opens the files there.
pub struct Places {
    /// The places.
    pub all: Vec<Box<dyn Place>>,
    /// Opens files of any of them.
    pub archives: Arc<dyn Archives>,
}

/// What lies below a place.
#[derive(Debug, Default)]
pub struct Listed {
    /// Files and directories of people and programs.
    pub entries: Vec<Entry>,
    /// Names of what belongs to a NAS, a desktop or an editor, made printable; nothing below it was looked at.
    pub foreign: Vec<String>,
    /// Names that nobody can ask for, with the reason.
    pub unreadable: Vec<(String, &'static str)>,
}

impl Listed {
    /// Counts what is left out. Called last, so that names that matter more are shown.
    pub fn count_left_out(foreign: Vec<String>, unreadable: &[(String, &'static str)], listing: &mut PlaceListing) {
        for (name, why) in unreadable {
            listing.could_not_examine(name, why);
        }
        for name in foreign {
            listing.pass_over(name, "belongs to a NAS, a desktop or an editor; nothing in it counts");
        }
    }
}

/// A name below a place.
#[derive(Debug)]
pub enum Entry {
    /// On a disk of this machine, or a share of it.
    OnDisk(DirEntry),
    /// An object of a bucket: always a file, and whole.
    Object(Object),
}

/// An object of a bucket.
#[derive(Debug)]
pub struct Object {
    /// Its key below the place.
    pub path: Box<str>,
    /// Size, time and a fingerprint of its ETag.
    pub facts: FileFacts,
    place: Arc<dyn ObjectPlace>,
}

impl Object {
    fn read_capped(&self, size: u64, head: u64, limit: u64) -> io::Result<Vec<u8>> {
        if size <= limit {
            return self.place.part(&self.path, 0, size);
        }
        let mut text = self.place.part(&self.path, 0, head)?;
        text.extend(self.place.part(&self.path, size - (limit - head), limit - head)?);
        Ok(text)
    }
}

/// A place of objects as a place of files.
pub struct OfObjects(pub Arc<dyn ObjectPlace>);

impl Place for OfObjects {
    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Listing tells.
    fn check(&self) -> Result<(), LookError> {
        Ok(())
    }

    fn list(&self, depth: usize, spelled: &dyn Fn(&[u8]) -> bool) -> Result<Listed, LookError> {
        let Objects { files, foreign, unreadable } = self.0.list(depth, spelled)?;
        let entry = |(path, facts)| Entry::Object(Object { path, facts, place: self.0.clone() });
        Ok(Listed { entries: files.into_iter().map(entry).collect(), foreign, unreadable })
    }

    fn capacity(&self) -> Option<Capacity> {
        None
    }
}

impl Entry {
    /// Its path; of an object its key below the place.
    pub fn path(&self) -> &Path {
        match self {
            Self::OnDisk(entry) => entry.path(),
            Self::Object(object) => Path::new(&*object.path),
        }
    }

    /// Its path below the place.
    pub fn below(&self, place: &Path) -> &Path {
        match self {
            Self::OnDisk(entry) => entry.path().strip_prefix(place).unwrap_or(entry.path()),
            Self::Object(object) => Path::new(&*object.path),
        }
    }

    /// Its last name.
    pub fn file_name(&self) -> &OsStr {
        match self {
            Self::OnDisk(entry) => entry.file_name(),
            Self::Object(_) => self.path().file_name().unwrap_or_default(),
        }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self, Self::OnDisk(entry) if entry.file_type().is_dir())
    }

    /// Whether it is a regular file, without following a link.
    pub fn is_file(&self) -> bool {
        match self {
            Self::OnDisk(entry) => entry.file_type().is_file(),
            Self::Object(_) => true,
        }
    }

    /// Whether it appeared under its name as a whole: nobody can be writing it any more.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// What it is that is no regular file; `None` for one that is, and for a link that leads to one.
    ///
    /// An error where a link leads nowhere, or to a place that doesn't answer.
    pub fn special(&self) -> io::Result<Option<&'static str>> {
        match self {
            Self::OnDisk(entry) => files::special(entry),
            Self::Object(_) => Ok(None),
        }
    }

    /// Size and last write of a regular file, following a link; `None` when it is gone by now, or something else.
    pub fn facts(&self) -> io::Result<Option<FileFacts>> {
        match self {
            Self::OnDisk(entry) => files::facts(entry.path()),
            Self::Object(object) => Ok(Some(object.facts)),
        }
    }

    /// Its text, if it is small: at most `head` bytes of its beginning and the rest up to `limit` of its end.
    pub fn read_capped(&self, size: u64, head: u64, limit: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::OnDisk(entry) => files::read_capped(entry.path(), size, head, limit),
            Self::Object(object) => object.read_capped(size, head, limit),
        }
    }
}
