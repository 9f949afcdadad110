//! Somebody who is shown what is in the members while an archive is checked.

use crate::formats::stream::{Stop, Stream};

/// Is told of every member that is an ordinary file, in the order of the archive.
pub trait Watch {
    /// A member begins.
    fn begin(&mut self, _name: &[u8], _bytes: u64) {}

    /// The next bytes of its content.
    fn content(&mut self, _bytes: &[u8]) {}

    /// Its content was all there.
    fn end(&mut self) {}

    /// A member, whose content can be read as a stream. What is left of it is skipped.
    fn member(&mut self, name: &[u8], bytes: u64, content: &mut Content<'_>) -> Result<(), Stop> {
        self.begin(name, bytes);
        loop {
            let chunk = content.chunk()?;
            let count = chunk.len();
            if count == 0 {
                break;
            }
            self.content(chunk);
            content.consume(count);
        }
        if content.left == 0 {
            self.end();
        }
        Ok(())
    }
}

/// The content of one member.
pub struct Content<'a> {
    pub(super) stream: &'a mut dyn Stream,
    /// Bytes that are still to come. Where the stream ends before, there are none.
    pub(super) left: u64,
}

impl Stream for Content<'_> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let chunk = self.stream.chunk()?;
        Ok(&chunk[..chunk.len().min(usize::try_from(self.left).unwrap_or(usize::MAX))])
    }

    fn consume(&mut self, count: usize) {
        self.stream.consume(count);
        self.left -= count as u64;
    }

    fn landmark(&mut self) {
        self.stream.landmark();
    }
}
