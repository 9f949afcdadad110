//! lzop files: what vzdump writes with `compress: lzo`.
//!
//! All numbers are big endian. After nine bytes of magic comes a header with a checksum, then blocks of at most 256 KiB
//! with checksums of what they decompress to, then a zero. Only what `lzop` itself decompresses without complaint is
//! intact: with a warning it ends with status 2, on which a restore fails. Source: `lzop.c` and `conf.h` of lzop,
//! and what lzop 1.04 does with damaged files.

#[cfg(test)]
pub(crate) mod build;
mod header;
mod lzo1x;

use std::io::{self, Read};

use self::header::{Header, number};
use self::lzo1x::{Fault, SLACK};
use super::input::Input;
use super::stream::{Stop, Stream};
use crate::domain::finding::{Finding, Kind};

/// How a file begins. The line ends in it get damaged by transfers as text.
pub const MAGIC: [u8; 9] = *b"\x89LZO\0\r\n\x1a\n";

/// Largest block that is decompressed. lzop writes 256 KiB (`BLOCK_SIZE`).
const LARGEST_BLOCK: u32 = 8 << 20;

/// Largest block of the format (`MAX_BLOCK_SIZE`).
const LARGEST_VALID_BLOCK: u32 = 64 << 20;

/// The decompressed content of an lzop file.
pub struct Lzop<'a, R> {
    input: &'a mut Input<R>,
    place: Place,
    packed: Vec<u8>,
    block: Vec<u8>,
    start: usize,
    end: usize,
    /// Decompressed bytes before the block.
    before: u64,
    findings: Vec<Finding>,
}

/// What is read next.
#[derive(Clone, Copy)]
enum Place {
    Header,
    Block(Header),
    End,
    /// Nothing: something was wrong.
    Broken,
}

impl<'a, R: Read> Lzop<'a, R> {
    /// The content of a file that begins where `input` stands.
    pub fn new(input: &'a mut Input<R>) -> Self {
        let (packed, block, findings) = (Vec::new(), Vec::new(), Vec::new());
        Self { input, place: Place::Header, packed, block, start: 0, end: 0, before: 0, findings }
    }

    /// One step: the header, a block, or the end.
    fn advance(&mut self) -> Result<(), Stop> {
        // It stays so if the step fails: behind damage there is nothing to go on with.
        match std::mem::replace(&mut self.place, Place::Broken) {
            Place::Header => {
                let header = header::read(self.input)?;
                if !header.checks_content() {
                    let text =
                        "the lzop file was made without checksums (lzop -F): flipped bits in it can't be noticed";
                    self.findings.push(Finding::new(Kind::NoChecksum, text));
                }
                self.place = Place::Block(header);
            }
            Place::Block(header) => {
                self.place = if self.read_block(header)? { Place::Block(header) } else { Place::End };
            }
            Place::End => self.place = Place::End,
            Place::Broken => return Err(Stop::Read(io::Error::other("reading was given up before"))),
        }
        Ok(())
    }

    /// The next block; without one, what follows the end of the last.
    fn read_block(&mut self, header: Header) -> Result<bool, Stop> {
        self.before += self.end as u64;
        (self.start, self.end) = (0, 0);
        let Some(lead) = Lead::read(self.input, header)? else {
            self.findings.extend(after_the_end(self.input)?);
            return Ok(false);
        };
        let size = lead.size as usize;
        if lead.stored() {
            read_exactly(self.input, &mut self.block, size, &lead)?;
        } else {
            self.unpack(&lead)?;
        }
        lead.sums.check(&self.block[..size], || {
            let last = self.before + u64::from(lead.size) - 1;
            format!("{}, which holds bytes {} to {last} of the content,", lead.name(), self.before)
        })?;
        self.end = size;
        Ok(true)
    }

    fn unpack(&mut self, lead: &Lead) -> Result<(), Stop> {
        let packed = lead.packed as usize;
        read_exactly(self.input, &mut self.packed, packed, lead)?;
        lead.packed_sums.check(&self.packed[..packed], || format!("the compressed form of {}", lead.name()))?;
        // A block that is said to be too large may in truth be small, with one bit of its size flipped.
        let size = lead.size.min(LARGEST_BLOCK) as usize;
        grow(&mut self.block, size + SLACK);
        let fault = match lzo1x::decode(&self.packed, packed, &mut self.block, size) {
            Ok(()) if lead.size <= LARGEST_BLOCK => return Ok(()),
            Ok(()) => Fault::Short,
            Err(Fault::Long) if lead.size > LARGEST_BLOCK => return Err(lead.too_large()),
            Err(fault) => fault,
        };
        let text = format_args!("{} can't be decompressed: {fault}", lead.name());
        Err(Stop::damaged(Kind::ContainerCorrupt, text))
    }
}

impl<R: Read> Stream for Lzop<'_, R> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        while self.start == self.end && !matches!(self.place, Place::End) {
            self.advance()?;
        }
        Ok(&self.block[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start);
        self.start += count;
    }

    fn findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }
}

/// Checksums that something must have.
#[derive(Clone, Copy, Default)]
struct Sums {
    adler32: Option<u32>,
    crc32: Option<u32>,
}

impl Sums {
    fn read<R: Read>(input: &mut Input<R>, adler32: bool, crc32: bool) -> Result<Self, Stop> {
        let mut sum = |there: bool| there.then(|| number(input, WITHIN)).transpose();
        Ok(Self { adler32: sum(adler32)?, crc32: sum(crc32)? })
    }

    fn check(self, bytes: &[u8], name: impl Fn() -> String) -> Result<(), Stop> {
        if let Some(expected) = self.adler32 {
            agree("Adler-32", simd_adler32::adler32(&bytes), expected, &name)?;
        }
        if let Some(expected) = self.crc32 {
            let mut sum = flate2::Crc::new();
            sum.update(bytes);
            agree("CRC-32", sum.sum(), expected, &name)?;
        }
        Ok(())
    }
}

fn agree(sort: &str, found: u32, expected: u32, name: impl Fn() -> String) -> Result<(), Stop> {
    if found == expected {
        return Ok(());
    }
    let text = format_args!("{} is damaged: its {sort} checksum is {found:08x}, but should be {expected:08x}", name());
    Err(Stop::damaged(Kind::ContainerChecksum, text))
}

/// Where a file ended.
const WITHIN: &str = "within the header of a block";

/// What stands before a block.
struct Lead {
    /// Where in the file it begins.
    at: u64,
    /// Bytes of the block.
    size: u32,
    /// Bytes that it takes in the file.
    packed: u32,
    sums: Sums,
    packed_sums: Sums,
}

impl Lead {
    /// None is the end marker.
    fn read<R: Read>(input: &mut Input<R>, header: Header) -> Result<Option<Self>, Stop> {
        let at = input.position();
        let size = number(input, "where another block or the end marker should follow")?;
        if size == 0 {
            return Ok(None);
        }
        check_size(at, size)?;
        let packed = number(input, WITHIN)?;
        if packed == 0 || packed > size {
            let text = format_args!("the block at byte {at} of the file says that its {size} bytes take {packed}");
            return Err(Stop::damaged(Kind::ContainerCorrupt, text));
        }
        let sums = Sums::read(input, header.has(header::ADLER32_D), header.has(header::CRC32_D))?;
        let packed_sums = if packed < size {
            Sums::read(input, header.has(header::ADLER32_C), header.has(header::CRC32_C))?
        } else {
            Sums::default()
        };
        let lead = Self { at, size, packed, sums, packed_sums };
        if packed > LARGEST_BLOCK { Err(lead.too_large()) } else { Ok(Some(lead)) }
    }

    /// A block that wouldn't shrink is as it is.
    const fn stored(&self) -> bool {
        self.packed == self.size
    }

    fn name(&self) -> String {
        format!("the block at byte {} of the file", self.at)
    }

    fn too_large(&self) -> Stop {
        let (name, most) = (self.name(), LARGEST_BLOCK >> 20);
        Stop::Limit(format!("{name} has {} bytes; none of more than {most} MiB is decompressed", self.size))
    }
}

fn check_size(at: u64, size: u32) -> Result<(), Stop> {
    if size <= LARGEST_VALID_BLOCK {
        return Ok(());
    }
    let text = if size == u32::MAX {
        format!("at byte {at} the file says that it is one part of a split lzop file, which lzop can't read")
    } else {
        format!("the block at byte {at} of the file says that it has {size} bytes, more than a block can have")
    };
    Err(Stop::damaged(Kind::ContainerCorrupt, text))
}

/// Reads `count` bytes of a block to the beginning of `buffer`, which grows only with what there is.
fn read_exactly<R: Read>(input: &mut Input<R>, buffer: &mut Vec<u8>, count: usize, lead: &Lead) -> Result<(), Stop> {
    let mut filled = 0;
    while filled < count {
        let chunk = input.chunk()?;
        let step = chunk.len().min(count - filled);
        if step == 0 {
            return Err(header::truncated(input, &format!("within {}", lead.name())));
        }
        grow(buffer, filled + step + SLACK);
        buffer[filled..filled + step].copy_from_slice(&chunk[..step]);
        input.consume(step);
        filled += step;
    }
    // What is behind the end may be looked at, but never counts; the same file shall say the same all the same.
    buffer[count..count + SLACK].fill(0);
    Ok(())
}

fn grow(buffer: &mut Vec<u8>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
}

/// Looks at what follows the end marker. lzop ignores zeros as padding, of anything else it warns.
fn after_the_end<R: Read>(input: &mut Input<R>) -> Result<Option<Finding>, Stop> {
    let end = input.position();
    if input.peek(MAGIC.len())?.starts_with(&MAGIC) {
        let text = format_args!(
            "a second lzop file begins at byte {end}, behind the end of the first: lzop ends with an error, \
             and with it a restore",
        );
        return Err(Stop::damaged(Kind::TrailingData, text));
    }
    loop {
        let position = input.position();
        let chunk = input.chunk()?;
        if chunk.is_empty() {
            break;
        }
        if let Some(index) = chunk.iter().position(|byte| *byte != 0) {
            let text = format_args!(
                "the compressed data ends at byte {end}, but other data follows at byte {}: lzop ends with an error, \
                 and with it a restore",
                position + index as u64,
            );
            return Err(Stop::damaged(Kind::TrailingData, text));
        }
        let count = chunk.len();
        input.consume(count);
    }
    let padding = input.position() - end;
    let text =
        format_args!("{padding} zero bytes follow the end of the compressed data at byte {end}; lzop ignores them");
    Ok((padding > 0).then(|| Finding::new(Kind::TrailingPadding, text)))
}

#[cfg(test)]
mod tests;
