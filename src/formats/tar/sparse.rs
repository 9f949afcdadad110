//! Maps of sparse members: which pieces of a file are stored. Source: the GNU tar manual ("Storing Sparse Files") and
//! GNU tar's `sparse.c`.
//!
//! Nothing of a map is kept but what its check needs, so that its length is of no matter.

use super::header::{BLOCK, number};

/// So many pieces are remembered, for the one member whose content is wanted.
pub(super) const FIRST: usize = 16;

/// What is wrong with a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) &'static str);

/// A map while it is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Map {
    first: [(u64, u64); FIRST],
    count: u64,
    end: u64,
    stored: u64,
    ragged: bool,
}

impl Map {
    /// The next piece: where in the file, and how long.
    pub(super) fn push(&mut self, offset: u64, length: u64) -> Result<(), Wrong> {
        if offset < self.end {
            return Err(Wrong("its pieces overlap or are out of order"));
        }
        // GNU tar reads each piece from the beginning of a block.
        if self.ragged && length > 0 {
            return Err(Wrong("a piece before the last one doesn't fill its blocks"));
        }
        let end = offset.checked_add(length).filter(|end| i64::try_from(*end).is_ok());
        self.end = end.ok_or(Wrong("a piece ends beyond the largest size of files"))?;
        self.stored += length;
        self.ragged |= !length.is_multiple_of(BLOCK as u64);
        if let Some(slot) = usize::try_from(self.count).ok().and_then(|index| self.first.get_mut(index)) {
            *slot = (offset, length);
        }
        self.count += 1;
        Ok(())
    }

    /// Number of pieces.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// All pieces, if they were few enough to be remembered.
    pub(super) fn pieces(&self) -> Option<&[(u64, u64)]> {
        self.first.get(..usize::try_from(self.count).ok()?)
    }

    /// Whether it fits so many stored bytes, and the size of the file.
    pub(super) fn fits(&self, stored: u64, real: Option<u64>) -> Result<(), Wrong> {
        if self.stored != stored {
            return Err(Wrong("its pieces are not as long as what is stored"));
        }
        match real {
            None => Err(Wrong("the size of the file is missing")),
            Some(real) if self.end > real => Err(Wrong("it goes beyond the end of the file")),
            Some(_) => Ok(()),
        }
    }
}

/// Slots of the old GNU format in a header, and in each block that follows it.
const IN_HEADER: std::ops::Range<usize> = 386..482;
const IN_EXTENSION: std::ops::Range<usize> = 0..504;

/// Reads the slots of a header of type `S`; whether a block with more slots follows, and the size of the file.
pub(super) fn old_gnu(header: &[u8; BLOCK], map: &mut Map) -> Result<(bool, Option<u64>), Wrong> {
    let full = slots(&header[IN_HEADER], map)?;
    Ok((full && header[482] != 0, number(&header[483..495])))
}

/// Reads the slots of a block after such a header; whether another one follows.
pub(super) fn old_gnu_extension(block: &[u8; BLOCK], map: &mut Map) -> Result<bool, Wrong> {
    Ok(slots(&block[IN_EXTENSION], map)? && block[504] != 0)
}

/// Whether all slots were in use: else the map ends here, whatever the flag says.
fn slots(bytes: &[u8], map: &mut Map) -> Result<bool, Wrong> {
    for slot in bytes.chunks_exact(24) {
        if slot[12] == 0 {
            return Ok(false);
        }
        let piece = number(&slot[..12]).zip(number(&slot[12..]));
        let (offset, length) = piece.ok_or(Wrong("it has something else where a number should be"))?;
        map.push(offset, length)?;
    }
    Ok(true)
}

/// Reads a map of the format 1.0, which stands before the data: lines with the number of pieces, then offset and
/// length of each.
#[derive(Debug, Default)]
pub(super) struct Lines {
    number: u64,
    digits: u8,
    left: Option<u64>,
    offset: Option<u64>,
}

impl Lines {
    /// Reads on; whether the map is complete. The rest of its last block means nothing.
    pub(super) fn feed(&mut self, block: &[u8], map: &mut Map) -> Result<bool, Wrong> {
        for byte in block {
            match byte {
                b'0'..=b'9' => self.digit(*byte)?,
                b'\n' if self.digits > 0 => {
                    if self.line(map)? {
                        return Ok(true);
                    }
                }
                _ => return Err(Wrong("it has something else where a number should be")),
            }
        }
        Ok(false)
    }

    fn digit(&mut self, byte: u8) -> Result<(), Wrong> {
        let number = self.number.checked_mul(10).and_then(|number| number.checked_add(u64::from(byte - b'0')));
        let number = number.filter(|number| i64::try_from(*number).is_ok() && self.digits < 20);
        self.number = number.ok_or(Wrong("it has a number that is too large"))?;
        self.digits += 1;
        Ok(())
    }

    fn line(&mut self, map: &mut Map) -> Result<bool, Wrong> {
        let number = std::mem::take(&mut self.number);
        self.digits = 0;
        let left = match (self.left, self.offset.take()) {
            (None, _) => number,
            (Some(left), None) => {
                self.offset = Some(number);
                left
            }
            (Some(left), Some(offset)) => {
                map.push(offset, number)?;
                left - 1
            }
        };
        self.left = Some(left);
        Ok(left == 0)
    }
}

/// Reads a decimal number that is no larger than file sizes can be.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse::<i64>().ok()?;
    u64::try_from(number).ok()
}
