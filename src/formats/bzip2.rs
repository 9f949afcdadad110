//! bzip2: streams one after the other, each with its checksums. Proxmox VE reads such archives and never writes them.

use std::io::Read;

use bzip2::{Decompress, Status};

use super::input::Input;
use super::stream::{Stop, Stream};
use crate::domain::finding::{Finding, Kind};

/// The first bytes of a stream.
pub const MAGIC: [u8; 3] = *b"BZh";

/// Bytes decoded at once.
const OUTPUT: usize = 128 << 10;

/// Decodes an input.
pub struct Bzip2<'a, R> {
    input: &'a mut Input<R>,
    decoder: Option<Decompress>,
    output: Box<[u8]>,
    start: usize,
    end: usize,
    streams: u64,
    trailing: bool,
}

impl<'a, R: Read> Bzip2<'a, R> {
    /// A decoder at the beginning of a file.
    pub fn new(input: &'a mut Input<R>) -> Self {
        let output = vec![0; OUTPUT].into_boxed_slice();
        Self { input, decoder: None, output, start: 0, end: 0, streams: 0, trailing: false }
    }

    fn refill(&mut self) -> Result<bool, Stop> {
        loop {
            if self.decoder.is_none() && !self.begin_stream()? {
                return Ok(false);
            }
            if self.decode()? > 0 {
                return Ok(true);
            }
        }
    }

    /// `false` at the end of the data.
    fn begin_stream(&mut self) -> Result<bool, Stop> {
        let position = self.input.position();
        let head = self.input.peek(MAGIC.len())?;
        if !head.starts_with(&MAGIC) {
            if self.streams > 0 {
                // bzip2 says "trailing garbage after EOF ignored" and succeeds.
                self.trailing = !head.is_empty();
                super::stream::drain(self.input)?;
                return Ok(false);
            }
            if head.len() < MAGIC.len() {
                return Err(truncated(position));
            }
            return Err(Stop::damaged(Kind::ContainerCorrupt, "the file does not begin with a bzip2 stream"));
        }
        self.decoder = Some(Decompress::new(false));
        self.streams += 1;
        Ok(true)
    }

    /// One step of the decoder; the number of bytes it put out.
    fn decode(&mut self) -> Result<usize, Stop> {
        let Some(decoder) = &mut self.decoder else { return Ok(0) };
        let position = self.input.position();
        let chunk = self.input.chunk()?;
        if chunk.is_empty() {
            return Err(truncated(position));
        }
        let (used, put) = (decoder.total_in(), decoder.total_out());
        let status = decoder.decompress(chunk, &mut self.output).map_err(|error| {
            let text = format!("the bzip2 data is damaged near byte {position} of the file: {error}");
            Stop::damaged(Kind::ContainerCorrupt, text)
        })?;
        // Both are less than a buffer.
        let used = (decoder.total_in() - used) as usize;
        let put = (decoder.total_out() - put) as usize;
        self.input.consume(used);
        if status == Status::StreamEnd {
            self.decoder = None;
        } else if used == 0 && put == 0 {
            let text = format!("the bzip2 data is damaged near byte {position} of the file: it leads nowhere");
            return Err(Stop::damaged(Kind::ContainerCorrupt, text));
        }
        self.start = 0;
        self.end = put;
        Ok(put)
    }
}

impl<R: Read> Stream for Bzip2<'_, R> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        if self.start == self.end && !self.refill()? {
            return Ok(&[]);
        }
        Ok(&self.output[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
    }

    fn findings(&mut self) -> Vec<Finding> {
        let text = "something follows the end of the bzip2 data; bzip2 ignores it";
        self.trailing.then(|| Finding::new(Kind::TrailingBytes, text)).into_iter().collect()
    }
}

fn truncated(position: u64) -> Stop {
    Stop::damaged(Kind::Truncated, format_args!("the file ends in the middle of the bzip2 data, about byte {position}"))
}
