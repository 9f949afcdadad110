//! gzip: members one after the other, each with CRC-32 and length, nothing but zeros behind the last.
//!
//! Source: RFC 1952; what follows the last member is judged as gzip 1.12 does (zeros are ignored, anything else makes it
//! exit with 2, and a restore that reads from the pipe fails).

use std::io::Read;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::input::Input;
use super::stream::{Stop, Stream, read_full};
use crate::domain::finding::{Finding, Kind};

/// The first bytes of a member.
pub const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes decoded at once. DEFLATE looks back 32 KiB, which is copied once per step.
const OUTPUT: usize = 256 << 10;

const HEADER_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// Decodes an input.
pub struct Gzip<'a, R> {
    input: &'a mut Input<R>,
    decoder: Decompress,
    crc: Crc,
    output: Box<[u8]>,
    start: usize,
    end: usize,
    in_member: bool,
    members: u64,
    padding: bool,
}

impl<'a, R: Read> Gzip<'a, R> {
    /// A decoder at the beginning of a file.
    pub fn new(input: &'a mut Input<R>) -> Self {
        Self {
            input,
            decoder: Decompress::new(false),
            crc: Crc::new(),
            output: vec![0; OUTPUT].into_boxed_slice(),
            start: 0,
            end: 0,
            in_member: false,
            members: 0,
            padding: false,
        }
    }

    fn refill(&mut self) -> Result<bool, Stop> {
        loop {
            if !self.in_member && !self.begin_member()? {
                return Ok(false);
            }
            if self.decode()? > 0 {
                return Ok(true);
            }
        }
    }

    /// Reads a member's header. `false` at the end of the file.
    fn begin_member(&mut self) -> Result<bool, Stop> {
        let position = self.input.position();
        let head = self.input.peek(MAGIC.len())?;
        if self.members > 0 && !head.starts_with(&MAGIC) {
            if !head.is_empty() {
                self.pass_padding(position)?;
            }
            return Ok(false);
        }
        if head.len() < MAGIC.len() {
            return Err(truncated(position));
        }
        if !head.starts_with(&MAGIC) {
            return Err(Stop::damaged(Kind::ContainerCorrupt, "the file does not begin with a gzip member"));
        }
        self.read_header(position)?;
        self.decoder.reset(false);
        self.crc.reset();
        self.members += 1;
        self.in_member = true;
        Ok(true)
    }

    fn read_header(&mut self, position: u64) -> Result<(), Stop> {
        let mut crc = Crc::new();
        let head: [u8; 10] = self.take(&mut crc)?;
        let (method, flags) = (head[2], head[3]);
        if method != 8 || flags & RESERVED != 0 {
            let text =
                format!("the gzip header at byte {position} has method {method} and flags {flags:#x}; gzip refuses it");
            return Err(Stop::damaged(Kind::ContainerCorrupt, text));
        }
        if flags & EXTRA != 0 {
            let length: [u8; 2] = self.take(&mut crc)?;
            for _ in 0..u16::from_le_bytes(length) {
                let _: [u8; 1] = self.take(&mut crc)?;
            }
        }
        for flag in [NAME, COMMENT] {
            while flags & flag != 0 && self.take::<1>(&mut crc)? != [0] {}
        }
        if flags & HEADER_CRC != 0 {
            let expected = crc.sum() as u16;
            let found: [u8; 2] = self.take(&mut crc)?;
            if u16::from_le_bytes(found) != expected {
                let text = format!("the checksum of the gzip header at byte {position} is wrong");
                return Err(Stop::damaged(Kind::ContainerChecksum, text));
            }
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self, crc: &mut Crc) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        if read_full(self.input, &mut bytes)? < N {
            return Err(truncated(self.input.position()));
        }
        crc.update(&bytes);
        Ok(bytes)
    }

    /// One step of the decoder; the number of bytes it put out.
    fn decode(&mut self) -> Result<usize, Stop> {
        let position = self.input.position();
        let chunk = self.input.chunk()?;
        if chunk.is_empty() {
            return Err(truncated(position));
        }
        let (used, put) = (self.decoder.total_in(), self.decoder.total_out());
        let status = self.decoder.decompress(chunk, &mut self.output, FlushDecompress::None).map_err(|_| {
            Stop::damaged(
                Kind::ContainerCorrupt,
                format_args!("the gzip data is damaged near byte {position} of the file"),
            )
        })?;
        // Both are less than a buffer.
        let used = (self.decoder.total_in() - used) as usize;
        let put = (self.decoder.total_out() - put) as usize;
        self.input.consume(used);
        self.crc.update(&self.output[..put]);
        self.start = 0;
        self.end = put;
        if status == Status::StreamEnd {
            self.end_member()?;
        } else if used == 0 && put == 0 {
            let text = format!("the gzip data is damaged near byte {position} of the file: it leads nowhere");
            return Err(Stop::damaged(Kind::ContainerCorrupt, text));
        }
        Ok(put)
    }

    fn end_member(&mut self) -> Result<(), Stop> {
        self.in_member = false;
        let position = self.input.position();
        let mut trailer = [0; 8];
        if read_full(self.input, &mut trailer)? < trailer.len() {
            return Err(truncated(self.input.position()));
        }
        let [a, b, c, d, e, f, g, h] = trailer;
        if u32::from_le_bytes([a, b, c, d]) != self.crc.sum() {
            let text =
                format!("the checksum (CRC-32) of the gzip member that ends at byte {position} doesn't fit its data");
            return Err(Stop::damaged(Kind::ContainerChecksum, text));
        }
        if u32::from_le_bytes([e, f, g, h]) != self.crc.amount() {
            let text = format!("the length of the gzip member that ends at byte {position} isn't that of its data");
            return Err(Stop::damaged(Kind::ContainerChecksum, text));
        }
        Ok(())
    }

    /// Reads to the end; only zeros may be there.
    fn pass_padding(&mut self, position: u64) -> Result<(), Stop> {
        loop {
            let chunk = self.input.chunk()?;
            if chunk.is_empty() {
                self.padding = true;
                return Ok(());
            }
            if chunk.iter().any(|byte| *byte != 0) {
                let text = format!(
                    "after the gzip data ends at byte {position} of the file something else follows; gzip exits with an error"
                );
                return Err(Stop::damaged(Kind::TrailingData, text));
            }
            let count = chunk.len();
            self.input.consume(count);
        }
    }
}

impl<R: Read> Stream for Gzip<'_, R> {
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
        let padding =
            || Finding::new(Kind::TrailingPadding, "zeros follow the end of the gzip data; gzip ignores them");
        self.padding.then(padding).into_iter().collect()
    }
}

fn truncated(position: u64) -> Stop {
    Stop::damaged(Kind::Truncated, format_args!("the file ends in the middle of the gzip data, about byte {position}"))
}
