//! The header of a sparse disk: one sector, little-endian, without a checksum of its own.
//!
//! Source: VMware "Virtual Disk Format 5.0" (`SparseExtentHeader`).

use super::cursor::Cursor;
use super::{MAGIC, SECTOR};
use crate::domain::finding::Kind;
use crate::domain::printable::printable;
use crate::formats::stream::{Stop, Stream};

/// Bytes of the header.
pub(super) const LENGTH: usize = 512;

/// Where the place of the directory stands in it.
pub(super) const GD_OFFSET: std::ops::Range<usize> = 56..64;

/// Says that the place of the directory stands in the footer.
pub(super) const AT_END: u64 = u64::MAX;

/// What stands in bytes 73 to 76: a transfer that changes ends of lines changes them.
const NEWLINES: [u8; 4] = *b"\n \r\n";

const NEWLINES_VALID: u32 = 1;
const REDUNDANT: u32 = 2;
const ZERO_GRAINS: u32 = 4;
const COMPRESSED: u32 = 0x1_0000;
const MARKERS: u32 = 0x2_0000;

/// Compressed with DEFLATE.
const DEFLATE: u16 = 1;

/// Most entries of a grain table: QEMU refuses more, and all writers use as many.
const MOST_ENTRIES: u32 = 512;

/// Sectors that a grain may have: 4 KiB at least by the specification, 1 GiB at most by QEMU.
const GRAINS: std::ops::RangeInclusive<u64> = 8..=1 << 21;

/// Largest grain that is inflated, in sectors: it is held in memory.
const LARGEST_GRAIN: u64 = 8192;

/// Most grain tables: a disk of 64 TiB, above the 62 TiB that VMFS has. So much is kept of each of them.
const MOST_TABLES: u64 = 2 << 20;

/// Largest descriptor in sectors.
const LARGEST_DESCRIPTOR: u64 = (super::descriptor::LONGEST as u64) / SECTOR;

/// A header that can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// As it stands.
    pub raw: Box<[u8; LENGTH]>,
    version: u32,
    flags: u32,
    /// Sectors of the disk.
    pub capacity: u64,
    /// Sectors of a grain.
    pub grain: u64,
    /// Sector and number of sectors.
    pub descriptor: (u64, u64),
    /// Entries of a grain table.
    pub entries: u64,
    /// Where the redundant directory is.
    pub redundant: Option<u64>,
    /// Where the directory is, or [`AT_END`].
    pub directory: u64,
    /// Sectors before the first grain.
    pub overhead: u64,
    /// Whether it was not closed.
    pub unclean: bool,
    compression: u16,
}

fn wrong(why: impl std::fmt::Display) -> Stop {
    Stop::damaged(Kind::VmdkHeader, format_args!("the header of the virtual disk is wrong: {why}"))
}

impl Header {
    /// Reads the first sector, and judges what it says.
    pub(super) fn read<S: Stream + ?Sized>(cursor: &mut Cursor<'_, S>) -> Result<Self, Stop> {
        let mut raw = Box::new([0; LENGTH]);
        let filled = cursor.fill_some(&mut raw[..])?;
        if raw[..4] != MAGIC {
            let begins = printable(&raw[..filled.min(8)]);
            return Err(wrong(format_args!("it begins with “{begins}” in place of “KDMV” or “# Disk DescriptorFile”")));
        }
        if filled < LENGTH {
            return Err(cursor.ends_in("its header"));
        }
        let header = Self::parse(raw);
        if header.unknown_version().is_none() {
            header.judge()?;
        }
        Ok(header)
    }

    fn parse(raw: Box<[u8; LENGTH]>) -> Self {
        let half = |at: usize| u16::from_le_bytes([raw[at], raw[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let flags = word(8);
        Self {
            version: word(4),
            flags,
            capacity: long(12),
            grain: long(20),
            descriptor: (long(28), long(36)),
            entries: u64::from(word(44)),
            redundant: (flags & REDUNDANT != 0).then(|| long(48)),
            directory: long(GD_OFFSET.start),
            overhead: long(64),
            unclean: raw[72] != 0,
            compression: half(77),
            raw,
        }
    }

    /// A version that isn't checked: what its fields mean isn't known.
    pub(super) fn unknown_version(&self) -> Option<u32> {
        (!(1..=3).contains(&self.version)).then_some(self.version)
    }

    fn judge(&self) -> Result<(), Stop> {
        if self.flags & NEWLINES_VALID != 0 && self.raw[73..77] != NEWLINES {
            return Err(wrong(
                "its ends of lines were changed, as a transfer in text mode does; copy it again in binary mode",
            ));
        }
        if !self.grain.is_power_of_two() || !GRAINS.contains(&self.grain) {
            return Err(wrong(format_args!("grains of {} sectors can't be", self.grain)));
        }
        if self.entries == 0 || self.entries > u64::from(MOST_ENTRIES) {
            return Err(wrong(format_args!("grain tables of {} entries can't be", self.entries)));
        }
        // Sizes of files are 63 bits.
        if self.capacity == 0 || self.capacity > i64::MAX as u64 / SECTOR {
            return Err(wrong(format_args!("a disk of {} sectors can't be", self.capacity)));
        }
        let compressed = self.flags & COMPRESSED != 0;
        if compressed != (self.compression == DEFLATE) || self.compression > DEFLATE {
            let (flags, method) = (self.flags, self.compression);
            return Err(wrong(format_args!(
                "its flags ({flags:#x}) and its compression ({method}) contradict each other"
            )));
        }
        if compressed != (self.flags & MARKERS != 0) {
            return Err(Stop::Limit(
                "grains that are compressed without marks, or marked without compression, are not known here".into(),
            ));
        }
        self.judge_places(compressed)?;
        if self.tables() > MOST_TABLES {
            let tables = self.tables();
            return Err(Stop::Limit(format!(
                "the disk has {tables} grain tables, more than the {MOST_TABLES} that are followed"
            )));
        }
        if compressed && self.grain > LARGEST_GRAIN {
            let grain = self.grain;
            return Err(Stop::Limit(format!("the grains have {grain} sectors, {LARGEST_GRAIN} are inflated at most")));
        }
        Ok(())
    }

    fn judge_places(&self, compressed: bool) -> Result<(), Stop> {
        let (start, length) = self.descriptor;
        if start != 0 && length > LARGEST_DESCRIPTOR {
            return Err(wrong(format_args!("a descriptor of {length} sectors can't be")));
        }
        if start != 0 && start.checked_add(length).is_none_or(|end| end > self.overhead) {
            return Err(wrong(format_args!(
                "the descriptor at sector {start} lies among the grains, from sector {} on",
                self.overhead
            )));
        }
        // Places in tables are numbers of 32 bits.
        if self.overhead == 0 || self.overhead > u64::from(u32::MAX) {
            return Err(wrong(format_args!("grains can't begin at sector {}", self.overhead)));
        }
        let can_be = |place: u64| (1..=u64::from(u32::MAX)).contains(&place);
        let told_at_end = compressed && self.directory == AT_END;
        if !told_at_end && !can_be(self.directory) {
            return Err(wrong(format_args!("its directory can't be at sector {}", self.directory)));
        }
        // Of a stream it is said that there is one, and not where.
        if let Some(place) = self.redundant.filter(|place| !compressed && !can_be(*place)) {
            return Err(wrong(format_args!("its redundant directory can't be at sector {place}")));
        }
        Ok(())
    }

    /// Whether grains are compressed, each with a mark.
    pub(super) fn is_streamed(&self) -> bool {
        self.flags & COMPRESSED != 0
    }

    /// Whether an entry of 1 means a grain of zeros.
    pub(super) fn has_zero_grains(&self) -> bool {
        self.flags & ZERO_GRAINS != 0
    }

    /// Number of grain tables.
    pub(super) fn tables(&self) -> u64 {
        self.capacity.div_ceil(self.grain).div_ceil(self.entries)
    }

    /// Sectors of a grain table.
    pub(super) fn table_sectors(&self) -> u64 {
        (self.entries * 4).div_ceil(SECTOR)
    }

    /// Sectors of the directory.
    pub(super) fn directory_sectors(&self) -> u64 {
        (self.tables() * 4).div_ceil(SECTOR)
    }

    /// Bytes of a grain.
    pub(super) fn grain_bytes(&self) -> usize {
        // A power of two no larger than `LARGEST_GRAIN` where it matters.
        (self.grain * SECTOR) as usize
    }

    /// The header with another place of the directory, as a footer has it.
    pub(super) fn differs_from_footer(&self, footer: &[u8; LENGTH]) -> Option<usize> {
        (0..LENGTH).find(|at| !GD_OFFSET.contains(at) && self.raw[*at] != footer[*at])
    }
}
