//! Files that lie beside a database and belong to it: what SQLite reads before it believes a page.
//!
//! They are read where somebody else opens them, at any place: a log is not applied in order.

use std::io;

use super::shape::{Shape, Structure};
use super::stream::Stop;
use crate::domain::file::{FileFacts, Together};

/// Bytes that are read of a log at once.
const PIECE: usize = 64 << 10;

/// What lies beside a database, by the ending of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Beside {
    /// `NAME-wal`: the write-ahead log.
    Wal,
    /// `NAME-journal`: the rollback journal.
    Journal,
}

impl Beside {
    /// All of them, in the order in which they are digested.
    pub const ALL: [Self; 2] = [Self::Wal, Self::Journal];

    /// What is put behind the name of the database.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Wal => "-wal",
            Self::Journal => "-journal",
        }
    }

    /// The name of the database that a file with such a name belongs to.
    pub fn of_name(name: &str) -> Option<(&str, Self)> {
        let named = Self::ALL.into_iter().find_map(|kind| Some((name.strip_suffix(kind.ending())?, kind)));
        named.filter(|(database, _)| Self::is_looked_for(database))
    }

    /// Whether a file of this name may be a database: nothing lies beside what is compressed, or an archive.
    pub fn is_looked_for(name: &str) -> bool {
        let shape = Shape::of_name(name);
        shape.container.is_none() && shape.structure == Structure::Dump
    }
}

/// Size and last write of a file with what lies beside it and belongs to it. A scan and a reading must agree on them.
pub fn with_companions(file: FileFacts, beside: impl IntoIterator<Item = (Beside, FileFacts)>) -> FileFacts {
    let mut beside = beside.into_iter().peekable();
    if beside.peek().is_none() {
        return file;
    }
    let mut together = Together::default();
    together.add(b"", file);
    beside.for_each(|(kind, facts)| together.add(kind.ending().as_bytes(), facts));
    together.facts().unwrap_or(file)
}

/// A file that is read at any place.
pub trait ReadAt {
    /// Reads some bytes from `offset` on; 0 at the end.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for &[u8] {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// What lies beside one database.
#[derive(Default)]
pub struct Companions<'a> {
    files: Vec<(Beside, &'a mut dyn ReadAt)>,
}

impl<'a> Companions<'a> {
    /// One more file.
    pub fn add(&mut self, kind: Beside, file: &'a mut dyn ReadAt) {
        self.files.push((kind, file));
        self.files.sort_by_key(|(kind, _)| *kind);
    }

    /// Whether there is one of a kind.
    pub(super) fn has(&self, kind: Beside) -> bool {
        self.files.iter().any(|(it, _)| *it == kind)
    }

    /// The write-ahead log and the rollback journal.
    pub(super) fn both(&mut self) -> (Option<&mut dyn ReadAt>, Option<&mut dyn ReadAt>) {
        let mut both = (None, None);
        for (kind, file) in &mut self.files {
            let file: &mut dyn ReadAt = &mut **file;
            match kind {
                Beside::Wal => both.0 = Some(file),
                Beside::Journal => both.1 = Some(file),
            }
        }
        both
    }

    /// The digest of a database with what lies beside it: that of the database where nothing does.
    pub(super) fn digest(&mut self, database: [u8; 32]) -> Result<[u8; 32], Stop> {
        if self.files.is_empty() {
            return Ok(database);
        }
        let mut whole = blake3::Hasher::new();
        whole.update(&database);
        for (kind, file) in &mut self.files {
            let (mut hasher, mut length) = (blake3::Hasher::new(), 0);
            let mut buffer = vec![0; PIECE];
            loop {
                let count = read_at(&mut **file, &mut buffer, length)?;
                hasher.update(&buffer[..count]);
                length += count as u64;
                if count < PIECE {
                    break;
                }
            }
            whole.update(kind.ending().as_bytes()).update(&length.to_le_bytes()).update(hasher.finalize().as_bytes());
        }
        Ok(*whole.finalize().as_bytes())
    }
}

/// Fills `buffer` from `offset` on as far as there are bytes; the number that there were.
pub(super) fn read_at(file: &mut dyn ReadAt, buffer: &mut [u8], offset: u64) -> Result<usize, Stop> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stop::Read(error)),
        }
    }
    Ok(filled)
}
