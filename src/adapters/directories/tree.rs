//! Backups that are a directory: what lies in it, listed without following a link, and its files opened again.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use walkdir::WalkDir;

use super::files::facts_of;
use crate::domain::file::{FileFacts, Together};
use crate::engine::ports::OpenArchive;
use crate::formats::set::{DEEPEST, Files, MOST_FILES, Marks, Member, SetKind};

/// What lies in a directory.
#[derive(Debug, Clone)]
pub struct Tree {
    /// By name.
    members: Vec<Member>,
    /// Of each of them: device and number of the file, size and last write.
    seen: Vec<(u64, u64, FileFacts)>,
    facts: Option<FileFacts>,
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members && self.seen == other.seen
    }
}

/// What names directly in a directory say; `None` if it isn't there, or is no directory.
///
/// A look at one level: a directory that is no backup may hold anything.
pub fn marks(path: &Path) -> io::Result<Option<Marks>> {
    let mut marks = Marks::default();
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    for entry in entries.take(MOST_FILES) {
        if let Some(name) = entry?.file_name().to_str() {
            marks.see(name);
        }
    }
    Ok(Some(marks))
}

/// The kind of backup that a directory is, if any.
pub fn kind(path: &Path) -> io::Result<Option<SetKind>> {
    Ok(marks(path)?.and_then(Marks::kind))
}

impl Tree {
    /// Lists everything below a directory. Fails as a whole.
    pub fn list(path: &Path) -> io::Result<Self> {
        let mut found = Vec::new();
        for entry in WalkDir::new(path).min_depth(1).max_depth(DEEPEST + 1) {
            let entry = match entry {
                Ok(entry) => entry,
                // Renamed while the backup is written.
                Err(error) if error.depth() > 0 && is_gone(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            if entry.depth() > DEEPEST {
                return Err(io::Error::other(format!("it is more than {DEEPEST} directories deep")));
            }
            if entry.file_type().is_dir() {
                continue;
            }
            let name = entry.path().strip_prefix(path).unwrap_or(entry.path()).to_str();
            let name = name.ok_or_else(|| io::Error::other("a name in it is not UTF-8"))?.to_owned();
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            let facts = facts_of(&metadata);
            let size = metadata.is_file().then_some(facts.size);
            found.push((Member { name: name.into(), size }, (metadata.dev(), metadata.ino(), facts)));
            if found.len() > MOST_FILES {
                return Err(io::Error::other(format!("it has more than {MOST_FILES} files")));
            }
        }
        found.sort_unstable_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let mut together = Together::default();
        for (member, (_, _, facts)) in &found {
            let facts = if member.size.is_some() { *facts } else { FileFacts { size: 0, ..*facts } };
            together.add(member.name.as_bytes(), facts);
        }
        // Mode and owner may change while a backup is read.
        let same =
            |(device, number, facts): (u64, u64, FileFacts)| (device, number, FileFacts { changed: None, ..facts });
        let (members, seen) = found.into_iter().map(|(member, seen)| (member, same(seen))).unzip();
        let facts = together.facts();
        Ok(Self { members, seen, facts })
    }

    /// What the files are together: the sum of their sizes, the newest write.
    pub fn facts(&self) -> Option<FileFacts> {
        self.facts
    }
}

fn is_gone(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// A directory that is about to be read.
pub struct OpenTree {
    path: PathBuf,
    tree: Tree,
    facts: FileFacts,
}

impl OpenTree {
    /// Lists a directory, to be read.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let tree = Tree::list(&path)?;
        let facts = tree.facts().ok_or_else(|| io::Error::other("there is no file in it"))?;
        Ok(Self { path, tree, facts })
    }
}

impl Read for OpenTree {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::IsADirectory.into())
    }
}

impl OpenArchive for OpenTree {
    fn facts(&self) -> FileFacts {
        self.facts
    }

    fn unchanged(&mut self) -> io::Result<bool> {
        match Tree::list(&self.path) {
            Ok(now) => Ok(now == self.tree),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn sidecar(&mut self) -> io::Result<Option<(crate::domain::attempt::Sidecar, Vec<u8>)>> {
        Ok(None)
    }

    fn files(&mut self) -> Option<&mut dyn Files> {
        Some(self)
    }
}

impl Files for OpenTree {
    fn members(&self) -> &[Member] {
        &self.tree.members
    }

    fn open(&mut self, index: usize) -> io::Result<Box<dyn Read + '_>> {
        let (member, seen) =
            self.tree.members.get(index).zip(self.tree.seen.get(index)).ok_or(io::ErrorKind::NotFound)?;
        let file = open_below(&self.path, &member.name)?;
        let metadata = file.metadata()?;
        if !seen.2.same_write(facts_of(&metadata)) || (metadata.dev(), metadata.ino()) != (seen.0, seen.1) {
            return Err(io::Error::other("it changed meanwhile"));
        }
        Ok(Box::new(file))
    }
}

/// Opens a file below a directory, step by step: a directory on the way that became a link meanwhile is an error. What was
/// seen before wouldn't tell, since the number of an inode that is gone is soon given to another one.
fn open_below(directory: &Path, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(directory, flags | OFlags::DIRECTORY, Mode::empty())?;
    let (parents, file) = name.rsplit_once('/').unwrap_or(("", name));
    for parent in parents.split('/').filter(|parent| !parent.is_empty()) {
        at = rustix::fs::openat(&at, parent, flags | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(rustix::fs::openat(&at, file, flags | OFlags::NOFOLLOW | OFlags::NONBLOCK, Mode::empty())?.into())
}
