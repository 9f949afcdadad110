//! The file itself as a stream: buffered, counted, and digested on the way.

use std::io::{self, Read};

use super::stream::{Stop, Stream};
use super::sum::Sum;

/// Bytes read at once. Small enough to stay in the second-level cache between reading, digesting and decoding.
const BUFFER: usize = 128 << 10;

/// A file that is being read.
pub struct Input<R> {
    reader: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    total: u64,
    digest: blake3::Hasher,
    sum: Option<Sum>,
}

impl<R: Read> Input<R> {
    /// A file from its beginning.
    pub fn new(reader: R) -> Self {
        Self::with_sum(reader, None)
    }

    /// A file from its beginning, with a checksum beside the BLAKE3 digest.
    pub fn with_sum(reader: R, sum: Option<Sum>) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { reader, buffer, start: 0, end: 0, total: 0, digest: blake3::Hasher::new(), sum }
    }

    /// Bytes that were used so far.
    pub fn position(&self) -> u64 {
        self.total - (self.end - self.start) as u64
    }

    /// Makes at least `count` bytes available if the file has as many; the bytes that are. `count` must be small.
    pub fn peek(&mut self, count: usize) -> Result<&[u8], Stop> {
        debug_assert!(count <= BUFFER / 2);
        while self.end - self.start < count {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.read_more()? == 0 {
                break;
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn read_more(&mut self) -> Result<usize, Stop> {
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    let new = &self.buffer[self.end..self.end + count];
                    self.digest.update(new);
                    if let Some(sum) = &mut self.sum {
                        sum.update(new);
                    }
                    self.end += count;
                    self.total += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Read(error)),
            }
        }
    }

    /// The BLAKE3 digest of everything that was read: of the whole file once the end was seen.
    pub fn digest(&self) -> [u8; 32] {
        *self.digest.finalize().as_bytes()
    }

    /// The checksum of everything that was read, in lower-case hexadecimal digits.
    pub fn sum(&self) -> Option<String> {
        self.sum.as_ref().map(Sum::digits)
    }

    /// Bytes that were read.
    pub fn total(&self) -> u64 {
        self.total
    }
}

impl<R: Read> Stream for Input<R> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.read_more()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start);
        self.start += count;
    }
}
