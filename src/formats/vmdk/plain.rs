//! A sparse disk whose grains are not compressed, anywhere in the file, where its tables say.
//!
//! What can be told: that the tables are there twice and agree, that no two grains lie in one place, and that the file is long
//! enough for all of them. No checksum covers a grain.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use super::front;
use super::header::Header;
use super::{Disk, SECTOR};
use crate::domain::finding::{Findings, Kind};
use crate::domain::proof::Level;
use crate::formats::stream::{Stop, Stream};

/// Data is passed over in such steps: the tables say how much there is.
const STEP: u64 = 64 << 20;

/// Reads everything behind the header.
pub(super) fn check<S: Stream + ?Sized>(
    cursor: &mut Cursor<'_, S>,
    header: &Header,
    findings: &mut Findings,
) -> Result<Disk, Stop> {
    let mut grains = Grains::new(header);
    let front = front::read(cursor, header, &mut |number, sector| grains.put(number, sector), findings)?;
    let end = grains.end.saturating_mul(SECTOR);
    while cursor.at() < end {
        let next = end.min(cursor.at() + STEP);
        let (last, places) = (grains.last, grains.end);
        cursor.skip_to(next, || {
            format!("its grains, of which the last is that of LBA {last} and ends with sector {places}")
        })?;
        cursor.landmark();
    }
    cursor.drain()?;
    if let Some((lba, sector)) = grains.double {
        let text = format!(
            "{} grain(s) lie where another one does; the first is that of LBA {lba} at sector {sector}",
            grains.doubles
        );
        findings.say(Kind::VmdkTable, text);
    }
    findings.say(
        Kind::NoContentChecksum,
        "its tables are whole and its grains are there; no checksum covers what is in them: export it stream-optimised to have one",
    );
    let capacity = header.capacity.checked_mul(SECTOR);
    Ok(Disk { capacity, level: Level::Complete, grains: grains.count, descriptor: front.descriptor, is_text: false })
}

/// Where grains lie.
struct Grains<'a> {
    header: &'a Header,
    /// A bit for each grain's length of the file, in words by their place: it grows with what is named, and not with where it
    /// is said to be. 2 TiB in grains of 64 KiB, the most that places of 32 bits lead to, are half a million words.
    taken: BTreeMap<u32, u64>,
    count: u64,
    doubles: u64,
    /// LBA and sector of the first.
    double: Option<(u64, u64)>,
    /// The sector behind the last one in the file, and its LBA.
    end: u64,
    last: u64,
}

impl<'a> Grains<'a> {
    fn new(header: &'a Header) -> Self {
        Self { header, taken: BTreeMap::new(), count: 0, doubles: 0, double: None, end: 0, last: 0 }
    }

    fn put(&mut self, number: u64, sector: u64) {
        let grain = self.header.grain;
        let lba = number.saturating_mul(grain);
        self.count += 1;
        // The last grain of the disk need not be whole.
        let end = sector + grain.min(self.header.capacity.saturating_sub(lba));
        if end > self.end {
            (self.end, self.last) = (end, lba);
        }
        let slot = sector / grain;
        // Places have 32 bits.
        let word = self.taken.entry((slot / 64) as u32).or_default();
        let bit = 1 << (slot % 64);
        if *word & bit != 0 {
            self.doubles += 1;
            self.double.get_or_insert((lba, sector));
        }
        *word |= bit;
    }
}
