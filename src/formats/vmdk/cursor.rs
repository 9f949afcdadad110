//! A stream with its position, which everything in a VMDK is named by.

use super::SECTOR;
use crate::domain::finding::Kind;
use crate::formats::stream::{Stop, Stream, drain, read_full, skip};

/// What follows the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rest {
    /// Bytes that follow.
    pub bytes: u64,
    /// Whether one of them is not zero.
    pub has_data: bool,
}

/// A stream that is counted, and whose first sector can be looked at.
pub(super) struct Cursor<'a, S: ?Sized> {
    head: Vec<u8>,
    stream: &'a mut S,
    at: u64,
}

impl<'a, S: Stream + ?Sized> Cursor<'a, S> {
    /// At the beginning of a stream.
    pub(super) fn new(stream: &'a mut S) -> Result<Self, Stop> {
        let mut head = vec![0; SECTOR as usize];
        let filled = read_full(stream, &mut head)?;
        head.truncate(filled);
        Ok(Self { head, stream, at: 0 })
    }

    /// The first sector.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Bytes that were used.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The sector that comes next.
    pub(super) fn sector(&self) -> u64 {
        self.at / SECTOR
    }

    /// Fills the buffer as far as there are bytes; the number that there were.
    pub(super) fn fill_some(&mut self, buffer: &mut [u8]) -> Result<usize, Stop> {
        read_full(self, buffer)
    }

    /// Fills the buffer, or says in the middle of what the disk ends.
    pub(super) fn fill(&mut self, buffer: &mut [u8], what: impl FnOnce() -> String) -> Result<(), Stop> {
        if self.fill_some(buffer)? < buffer.len() { Err(self.ends_in(&what())) } else { Ok(()) }
    }

    /// Skips to a byte that lies ahead.
    pub(super) fn skip_to(&mut self, to: u64, what: impl FnOnce() -> String) -> Result<(), Stop> {
        let count = to.saturating_sub(self.at);
        if skip(self, count)? < count { Err(self.ends_in(&what())) } else { Ok(()) }
    }

    /// Skips everything.
    pub(super) fn drain(&mut self) -> Result<(), Stop> {
        drain(self).map(|_| ())
    }

    /// Reads everything that follows.
    pub(super) fn rest(&mut self) -> Result<Rest, Stop> {
        let mut rest = Rest { bytes: 0, has_data: false };
        loop {
            let chunk = self.chunk()?;
            let count = chunk.len();
            if count == 0 {
                return Ok(rest);
            }
            rest.has_data = rest.has_data || chunk.iter().any(|byte| *byte != 0);
            rest.bytes += count as u64;
            self.consume(count);
        }
    }

    pub(super) fn ends_in(&self, what: &str) -> Stop {
        let text = format!("the disk ends at byte {}, in the middle of {what}: the file is cut short", self.at);
        Stop::damaged(Kind::Truncated, text)
    }
}

impl<S: Stream + ?Sized> Stream for Cursor<'_, S> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        let used = usize::try_from(self.at).unwrap_or(usize::MAX);
        if used < self.head.len() { Ok(&self.head[used..]) } else { self.stream.chunk() }
    }

    fn consume(&mut self, count: usize) {
        if self.at >= self.head.len() as u64 {
            self.stream.consume(count);
        }
        self.at += count as u64;
    }

    fn landmark(&mut self) {
        self.stream.landmark();
    }
}
