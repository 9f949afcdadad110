//! Bytes on their way through a check: from the file, through a decompressor, to what knows their structure.
//!
//! Chunks are lent, not copied: a check of a disk image looks at one byte in a thousand and skips the rest.

use std::io;

use crate::domain::finding::{Finding, Kind};

/// Why a stream can't go on.
#[derive(Debug)]
pub enum Stop {
    /// The data is wrong.
    Damaged(Finding),
    /// The file can't be read; says nothing about the archive.
    Read(io::Error),
    /// Checking it would take more than is allowed; says nothing about the archive.
    Limit(String),
}

impl Stop {
    /// The data is wrong.
    pub fn damaged(kind: Kind, text: impl std::fmt::Display) -> Self {
        Self::Damaged(Finding::new(kind, text))
    }
}

/// Bytes that come in chunks.
pub trait Stream {
    /// The bytes that come next, at least one, or none at the end. The same again until they are consumed.
    fn chunk(&mut self) -> Result<&[u8], Stop>;

    /// The first `count` bytes of the chunk were used.
    fn consume(&mut self, count: usize);

    /// Something of the structure of a format was seen: what was used up to here isn't only unpacked.
    fn landmark(&mut self) {}

    /// What was noticed on the way and is no reason to stop. Asked once, after the end.
    fn findings(&mut self) -> Vec<Finding> {
        Vec::new()
    }
}

impl<S: Stream + ?Sized> Stream for Box<S> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        (**self).chunk()
    }

    fn consume(&mut self, count: usize) {
        (**self).consume(count);
    }

    fn landmark(&mut self) {
        (**self).landmark();
    }

    fn findings(&mut self) -> Vec<Finding> {
        (**self).findings()
    }
}

impl<S: Stream + ?Sized> Stream for &mut S {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        (**self).chunk()
    }

    fn consume(&mut self, count: usize) {
        (**self).consume(count);
    }

    fn landmark(&mut self) {
        (**self).landmark();
    }

    fn findings(&mut self) -> Vec<Finding> {
        (**self).findings()
    }
}

/// Fills `buffer` as far as there are bytes; the number that there were.
pub fn read_full(stream: &mut (impl Stream + ?Sized), buffer: &mut [u8]) -> Result<usize, Stop> {
    let mut filled = 0;
    while filled < buffer.len() {
        let chunk = stream.chunk()?;
        if chunk.is_empty() {
            break;
        }
        let count = chunk.len().min(buffer.len() - filled);
        buffer[filled..filled + count].copy_from_slice(&chunk[..count]);
        stream.consume(count);
        filled += count;
    }
    Ok(filled)
}

/// Skips `count` bytes as far as there are any; the number that there were.
pub fn skip(stream: &mut (impl Stream + ?Sized), count: u64) -> Result<u64, Stop> {
    let mut left = count;
    while left > 0 {
        let chunk = stream.chunk()?.len();
        if chunk == 0 {
            break;
        }
        let step = chunk.min(usize::try_from(left).unwrap_or(usize::MAX));
        stream.consume(step);
        left -= step as u64;
    }
    Ok(count - left)
}

/// Skips everything to the end; the number of bytes.
pub fn drain(stream: &mut (impl Stream + ?Sized)) -> Result<u64, Stop> {
    skip(stream, u64::MAX)
}

/// Bytes in memory, in chunks of at most `step`: for tests and fuzzing.
pub struct Bytes<'a> {
    /// What is still to come.
    pub left: &'a [u8],
    /// Longest chunk; with 0 there are none.
    pub step: usize,
}

impl Stream for Bytes<'_> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        Ok(&self.left[..self.left.len().min(self.step)])
    }

    fn consume(&mut self, count: usize) {
        self.left = &self.left[count..];
    }
}
