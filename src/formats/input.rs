//! The file itself as a stream: buffered, counted, and digested on the way.

use std::io::{self, Read};

use super::stream::{Stop, Stream};

/// Bytes read at once. Small enough to stay in the second-level cache between reading, digesting and decoding.
const BUFFER: usize = 128 << 10;

/// A digest beside the BLAKE3 one, to compare with a checksum file.
pub trait Sideline {
    /// Takes the next bytes of the file.
    fn update(&mut self, bytes: &[u8]);
}

/// A file that is being read.
pub struct Input<R> {
    reader: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    total: u64,
    digest: blake3::Hasher,
    sidelines: Vec<Box<dyn Sideline + Send>>,
}

impl<R: Read> Input<R> {
    /// A file from its beginning.
    pub fn new(reader: R) -> Self {
        Self::with_sidelines(reader, Vec::new())
    }

    /// A file from its beginning, every byte of which goes through `sidelines` too.
    pub fn with_sidelines(reader: R, sidelines: Vec<Box<dyn Sideline + Send>>) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { reader, buffer, start: 0, end: 0, total: 0, digest: blake3::Hasher::new(), sidelines }
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
                    self.sidelines.iter_mut().for_each(|sideline| sideline.update(new));
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
