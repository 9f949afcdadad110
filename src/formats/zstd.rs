//! Zstandard: frames one after the other, each with its checksum, nothing behind the last.
//!
//! Source of the frame format: RFC 8878. libzstd decodes and checks; the headers of frames are read here as well, to
//! bound memory before anything is allocated and to know whether a frame carries a checksum.

use std::io::Read;

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::input::Input;
use super::stream::{Stop, Stream, skip};
use crate::domain::finding::{Finding, Kind};

/// `Magic_Number` of a frame.
pub const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// Largest window that is decoded, as a power of two: 32 MiB. zstd needs 8 MiB up to level 19.
const WINDOW_LOG: u32 = 25;

/// Largest window that `zstd -d` accepts without `--long`: 128 MiB (`ZSTD_WINDOWLOG_LIMIT_DEFAULT`).
const RESTORABLE_WINDOW: u64 = 128 << 20;

/// A block is at most so long; libzstd is fastest when it can write one at once.
const OUTPUT: usize = 128 << 10;

/// Longest frame header: magic, descriptor, window, dictionary, content size.
const LONGEST_HEADER: usize = 18;

/// Decodes an input.
pub struct Zstd<'a, R> {
    input: &'a mut Input<R>,
    context: DCtx<'static>,
    output: Box<[u8]>,
    start: usize,
    end: usize,
    in_frame: bool,
    frames: u64,
    without_checksum: u64,
}

impl<'a, R: Read> Zstd<'a, R> {
    /// A decoder at the beginning of a file.
    pub fn new(input: &'a mut Input<R>) -> Result<Self, Stop> {
        let mut context =
            DCtx::try_create().ok_or_else(|| Stop::Limit("there is no memory for the zstd decoder".to_owned()))?;
        let refused =
            |code| Stop::Limit(format!("the zstd decoder can't be set up: {}", zstd_safe::get_error_name(code)));
        context.init().map_err(refused)?;
        context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(refused)?;
        let output = vec![0; OUTPUT].into_boxed_slice();
        Ok(Self { input, context, output, start: 0, end: 0, in_frame: false, frames: 0, without_checksum: 0 })
    }

    /// Decodes until there is output, or the end of the file after a frame. `false` at the end.
    fn refill(&mut self) -> Result<bool, Stop> {
        loop {
            if !self.in_frame && !self.begin_frame()? {
                return Ok(false);
            }
            if self.decode()? > 0 {
                return Ok(true);
            }
        }
    }

    /// Passes over skippable frames to the next one with data. `false` at the end of the file.
    fn begin_frame(&mut self) -> Result<bool, Stop> {
        loop {
            let position = self.input.position();
            let head = self.input.peek(LONGEST_HEADER)?;
            if head.is_empty() && self.frames > 0 {
                return Ok(false);
            }
            match head {
                [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, ..] => {
                    let length = 8 + u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
                    if skip(self.input, length)? < length {
                        return Err(truncated(position, "in a skippable zstd frame"));
                    }
                    self.frames += 1;
                }
                _ if head.starts_with(&MAGIC) => {
                    let header = Header::read(head).ok_or_else(|| truncated(position, "in a zstd frame header"))?;
                    check_window(&header, position)?;
                    self.without_checksum += u64::from(!header.checksum);
                    self.frames += 1;
                    self.in_frame = true;
                    return Ok(true);
                }
                _ => return Err(self.no_frame(position)),
            }
        }
    }

    fn no_frame(&mut self, position: u64) -> Stop {
        let head = self.input.peek(LONGEST_HEADER).unwrap_or_default();
        if head.len() < MAGIC.len() {
            return truncated(position, "before a zstd frame");
        }
        if self.frames == 0 {
            return Stop::damaged(Kind::ContainerCorrupt, "the file does not begin with a zstd frame");
        }
        let text = format!(
            "after the zstd data ends at byte {position} of the file something follows that is no zstd frame; zstd refuses the file"
        );
        Stop::damaged(Kind::TrailingData, text)
    }

    /// One step of the decoder; the number of bytes it put out.
    fn decode(&mut self) -> Result<usize, Stop> {
        let position = self.input.position();
        let chunk = self.input.chunk()?;
        if chunk.is_empty() {
            return Err(truncated(position, "in the middle of a zstd frame"));
        }
        let mut input = InBuffer::around(chunk);
        let mut output = OutBuffer::around(&mut self.output[..]);
        let result = self.context.decompress_stream(&mut output, &mut input);
        let (used, put) = (input.pos(), output.pos());
        self.input.consume(used);
        let hint = result.map_err(|code| broken(code, position))?;
        // Zero means that the frame has ended and all of it was put out.
        self.in_frame = hint != 0;
        self.start = 0;
        self.end = put;
        Ok(put)
    }
}

impl<R: Read> Stream for Zstd<'_, R> {
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
        if self.without_checksum == 0 {
            return Vec::new();
        }
        let text = format!(
            "{} of the zstd frames carry no checksum: flipped bits in them can't be noticed by anybody",
            self.without_checksum
        );
        vec![Finding::new(Kind::NoChecksum, text)]
    }
}

fn truncated(position: u64, place: &str) -> Stop {
    Stop::damaged(Kind::Truncated, format_args!("the file ends {place}, about byte {position}"))
}

fn broken(code: usize, position: u64) -> Stop {
    let name = zstd_safe::get_error_name(code);
    // libzstd gives codes as names only; the name is part of its interface since 1.0.
    let kind = if name.contains("checksum") { Kind::ContainerChecksum } else { Kind::ContainerCorrupt };
    Stop::damaged(kind, format_args!("the zstd data is damaged near byte {position} of the file: {name}"))
}

/// What matters of a frame header.
struct Header {
    window: u64,
    checksum: bool,
}

impl Header {
    /// Reads a header behind its magic; `None` when it is cut.
    fn read(head: &[u8]) -> Option<Self> {
        let descriptor = *head.get(4)?;
        let single_segment = descriptor & 0x20 != 0;
        let checksum = descriptor & 0x04 != 0;
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let mut at = 5;
        let mut window = 0;
        if !single_segment {
            let byte = *head.get(at)?;
            let base = 1_u64 << (10 + (byte >> 3));
            window = base + base / 8 * u64::from(byte & 7);
            at += 1;
        }
        at += dictionary;
        let length = match descriptor >> 6 {
            0 if single_segment => 1,
            0 => 0,
            flag => 1 << flag,
        };
        let field = head.get(at..at + length)?;
        if single_segment {
            let mut size = [0; 8];
            size[..length].copy_from_slice(field);
            // Two bytes are stored less 256.
            window = u64::from_le_bytes(size).saturating_add(if length == 2 { 256 } else { 0 });
        }
        Some(Self { window, checksum })
    }
}

fn check_window(header: &Header, position: u64) -> Result<(), Stop> {
    if header.window <= 1 << WINDOW_LOG {
        return Ok(());
    }
    let more =
        if header.window > RESTORABLE_WINDOW { " (and more than zstd -d, as a restore calls it, accepts)" } else { "" };
    Err(Stop::Limit(format!(
        "the zstd frame at byte {position} needs a window of {} bytes, more than the {} that a check may take{more}; it was compressed with --long or --ultra",
        header.window,
        1_u64 << WINDOW_LOG
    )))
}
