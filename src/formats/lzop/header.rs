//! The header of an lzop file.
//!
//! | field | bytes | |
//! |---|---|---|
//! | version | 2 | of the lzop that wrote it |
//! | version of the library | 2 | |
//! | version needed | 2 | since 0.94 |
//! | method | 1 | 1 LZO1X-1, 2 LZO1X-1(15), 3 LZO1X-999: one decoder for all |
//! | level | 1 | since 0.94 |
//! | flags | 4 | |
//! | filter | 4 | if flagged |
//! | mode, time of last write | 4, 4 | |
//! | upper half of the time | 4 | since 0.94 |
//! | name | 1 + n | |
//! | checksum | 4 | of all this |
//! | extra field | 4 + n + 4 | if flagged: length, data, checksum of both |

use std::io::Read;

use super::MAGIC;
use crate::domain::finding::Kind;
use crate::formats::input::Input;
use crate::formats::stream::{Stop, Stream};

/// Blocks carry an Adler-32 checksum of their content.
pub(super) const ADLER32_D: u32 = 0x1;
/// Blocks carry an Adler-32 checksum of their compressed bytes.
pub(super) const ADLER32_C: u32 = 0x2;
/// Blocks carry a CRC-32 checksum of their content.
pub(super) const CRC32_D: u32 = 0x100;
/// Blocks carry a CRC-32 checksum of their compressed bytes.
pub(super) const CRC32_C: u32 = 0x200;
/// There is an extra field.
const EXTRA_FIELD: u32 = 0x40;
/// One of several files in one. lzop warns of it and ends with status 2.
const MULTIPART: u32 = 0x400;
/// The content went through a filter before.
const FILTER: u32 = 0x800;
/// The checksum of the header is a CRC-32.
const HEADER_CRC32: u32 = 0x1000;
/// Bits without a meaning: not in `F_MASK`, `F_CS_MASK` or `F_OS_MASK`.
const RESERVED: u32 = 0x000f_c000;

/// First version that was published; older ones lzop refuses.
const OLDEST_VERSION: u16 = 0x0900;
/// First version with the header of today.
const LAYOUT_VERSION: u16 = 0x0940;
/// The version of the lzop whose behaviour this follows. It refuses what needs a later one.
const NEWEST_VERSION: u16 = 0x1040;

/// Where a file ended.
const WITHIN: &str = "within the lzop header";

/// What blocks look like.
#[derive(Clone, Copy)]
pub(super) struct Header {
    flags: u32,
}

impl Header {
    pub(super) const fn has(self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether flipped bits in the content would be noticed.
    pub(super) const fn checks_content(self) -> bool {
        self.has(ADLER32_D | CRC32_D)
    }
}

/// Reads the header from its beginning to the first block.
pub(super) fn read<R: Read>(input: &mut Input<R>) -> Result<Header, Stop> {
    read_magic(input)?;
    let mut fields = Fields { input, sums: BothSums::new() };
    let version = u16::from_be_bytes(fields.take()?);
    check_version(version)?;
    let _library: [u8; 2] = fields.take()?;
    let modern = version >= LAYOUT_VERSION;
    if modern {
        check_needed_version(u16::from_be_bytes(fields.take()?))?;
    }
    let [method] = fields.take()?;
    let level = if modern { fields.take::<1>()?[0] } else { 0 };
    let header = Header { flags: u32::from_be_bytes(fields.take()?) };
    if header.has(FILTER) {
        let _filter: [u8; 4] = fields.take()?;
    }
    let _mode_and_time: [u8; 8] = fields.take()?;
    if modern {
        let _upper_time: [u8; 4] = fields.take()?;
    }
    let [name] = fields.take()?;
    for _ in 0..name {
        let _character: [u8; 1] = fields.take()?;
    }
    fields.check(header, "the header")?;
    // Only now: a flipped bit in these is a flipped bit, not an unknown method.
    check_features(header, method, level)?;
    if header.has(EXTRA_FIELD) {
        skip_extra_field(input, header)?;
    }
    Ok(header)
}

fn read_magic<R: Read>(input: &mut Input<R>) -> Result<(), Stop> {
    let found = input.peek(MAGIC.len())?;
    let found = &found[..found.len().min(MAGIC.len())];
    if !MAGIC.starts_with(found) {
        return Err(Stop::damaged(Kind::ContainerCorrupt, "the file doesn't begin as an lzop file does"));
    }
    if found.len() < MAGIC.len() {
        return Err(truncated(input, WITHIN));
    }
    input.consume(MAGIC.len());
    Ok(())
}

fn check_version(version: u16) -> Result<(), Stop> {
    if version < OLDEST_VERSION {
        let text = format_args!("the lzop header at byte 9 of the file is of version {version:#06x}, which never was");
        return Err(Stop::damaged(Kind::ContainerCorrupt, text));
    }
    Ok(())
}

fn check_needed_version(version: u16) -> Result<(), Stop> {
    if !(OLDEST_VERSION..=NEWEST_VERSION).contains(&version) {
        let text =
            format_args!("the lzop header at byte 9 of the file asks for lzop {version:#06x}, which isn't known");
        return Err(Stop::damaged(Kind::ContainerCorrupt, text));
    }
    Ok(())
}

fn check_features(header: Header, method: u8, level: u8) -> Result<(), Stop> {
    let refused = if !matches!(method, 1..=3) {
        format!("names compression method {method}, which lzop doesn't know")
    } else if level > 9 {
        format!("names compression level {level}, which lzop doesn't know")
    } else if header.has(RESERVED) {
        format!("has flags {:#010x}, some of which lzop doesn't know", header.flags)
    } else if header.has(MULTIPART) {
        "says that the file is one of several in one: lzop ends with an error, and with it a restore".to_owned()
    } else if header.has(FILTER) {
        // lzop knows them, so that nothing is wrong with the file.
        return Err(Stop::Limit(
            "the content of the lzop file went through a filter, which can't be undone here".into(),
        ));
    } else {
        return Ok(());
    };
    Err(Stop::damaged(Kind::ContainerCorrupt, format_args!("the lzop header at byte 9 of the file {refused}")))
}

/// The field may be as long as it says: it only passes by.
fn skip_extra_field<R: Read>(input: &mut Input<R>, header: Header) -> Result<(), Stop> {
    let mut fields = Fields { input, sums: BothSums::new() };
    let mut left = u32::from_be_bytes(fields.take()?) as usize;
    while left > 0 {
        let chunk = fields.input.chunk()?;
        let step = chunk.len().min(left);
        if step == 0 {
            return Err(truncated(fields.input, WITHIN));
        }
        fields.sums.update(&chunk[..step]);
        fields.input.consume(step);
        left -= step;
    }
    fields.check(header, "the extra field of the header")
}

/// Which of the sums counts is known only when the flags were read.
struct BothSums {
    adler32: simd_adler32::Adler32,
    crc32: flate2::Crc,
}

impl BothSums {
    fn new() -> Self {
        Self { adler32: simd_adler32::Adler32::new(), crc32: flate2::Crc::new() }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.adler32.write(bytes);
        self.crc32.update(bytes);
    }
}

/// Fields and the checksum of them.
struct Fields<'a, R> {
    input: &'a mut Input<R>,
    sums: BothSums,
}

impl<R: Read> Fields<'_, R> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let bytes = array(self.input, WITHIN)?;
        self.sums.update(&bytes);
        Ok(bytes)
    }

    fn check(self, header: Header, what: &str) -> Result<(), Stop> {
        let at = self.input.position();
        let expected = number(self.input, WITHIN)?;
        let name = || format!("{what} that ends at byte {at} of the file");
        if header.has(HEADER_CRC32) {
            super::agree("CRC-32", self.sums.crc32.sum(), expected, name)
        } else {
            super::agree("Adler-32", self.sums.adler32.finish(), expected, name)
        }
    }
}

/// A number of four bytes; `place` says where the file ends if it isn't there.
pub(super) fn number<R: Read>(input: &mut Input<R>, place: &str) -> Result<u32, Stop> {
    Ok(u32::from_be_bytes(array(input, place)?))
}

fn array<R: Read, const N: usize>(input: &mut Input<R>, place: &str) -> Result<[u8; N], Stop> {
    let Some(bytes) = input.peek(N)?.first_chunk().copied() else {
        return Err(truncated(input, place));
    };
    input.consume(N);
    Ok(bytes)
}

/// The file ends in the middle of something.
pub(super) fn truncated<R: Read>(input: &Input<R>, place: &str) -> Stop {
    Stop::damaged(
        Kind::Truncated,
        format_args!("the file ends at byte {}, {place}: the rest is missing", input.total()),
    )
}
