//! One block of LZO1X, the compression of lzop: a decoder in safe code.
//!
//! | first byte of an instruction | means |
//! |---|---|
//! | `0000LLLL` after no literals | copy 3 + L literals |
//! | `0000DDSS` after 1 to 3 literals | copy 2 bytes from H·4 + D + 1 bytes back |
//! | `0000DDSS` after a run of literals | copy 3 bytes from H·4 + D + 2049 bytes back |
//! | `0001HLLL` | copy 2 + L bytes from 16384 + H·16384 + D bytes back; with H = D = 0 the end of the block |
//! | `001LLLLL` | copy 2 + L bytes from D + 1 bytes back |
//! | `01LDDDSS` | copy 3 + L bytes from H·8 + D + 1 bytes back |
//! | `1LLDDDSS` | copy 5 + L bytes from H·8 + D + 1 bytes back |
//!
//! H is a further byte; where L stands alone, L = 0 stands for a longer length in further bytes, and a pair of bytes,
//! little endian, holds D and S as `DDDDDDDD DDDDDDSS`. After a copy from the output S literals follow. A first byte
//! above 17 of a block stands for so many literals more than 17. Source: what lzop 1.04 writes and accepts; with
//! thousands of damaged blocks it agrees.
//!
//! Copies are done in pieces of eight or sixteen bytes that may write behind where they should end: what is there is
//! overwritten by what comes next. Therefore both buffers go on for [`SLACK`] bytes, and what was read or written too
//! far is noticed by comparing the positions, not by the bounds of the buffers.

use std::fmt;

/// Both buffers are longer than their content by this. More than the 8 bytes of an instruction, the 16 of a piece and
/// the 3 literals behind a copy together.
pub(super) const SLACK: usize = 64;

/// Copies of more bytes than this are left to `memmove`.
const LONG: usize = 64;

/// What is wrong with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It has no end marker where it ends.
    Unfinished,
    /// It has its end marker too early.
    Leftover,
    /// It holds less than it should.
    Short,
    /// It holds more than it should.
    Long,
    /// It refers to bytes before its beginning.
    Distance,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unfinished => "it goes on where it should end",
            Self::Leftover => "it ends before all of it is used",
            Self::Short => "it holds fewer bytes than its header says",
            Self::Long => "it holds more bytes than its header says",
            Self::Distance => "it refers to bytes before its own beginning",
        })
    }
}

/// Decodes the first `packed_len` bytes of `packed` to the first `out_len` of `out`: exactly these.
pub(super) fn decode(packed: &[u8], packed_len: usize, out: &mut [u8], out_len: usize) -> Result<(), Fault> {
    let packed = packed.get(..packed_len + SLACK).ok_or(Fault::Unfinished)?;
    let out = out.get_mut(..out_len + SLACK).ok_or(Fault::Long)?;
    let mut block = Block { packed, out, read: 0, written: 0, out_len };
    block.run()?;
    match block.read.cmp(&packed_len) {
        std::cmp::Ordering::Less => Err(Fault::Leftover),
        std::cmp::Ordering::Greater => Err(Fault::Unfinished),
        std::cmp::Ordering::Equal if block.written < out_len => Err(Fault::Short),
        std::cmp::Ordering::Equal if block.written > out_len => Err(Fault::Long),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

/// What came directly before an instruction: the meaning of small first bytes depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// A copy without literals behind it, or nothing.
    Copy,
    /// One to three literals.
    FewLiterals,
    /// A run of literals.
    Literals,
}

struct Block<'a> {
    packed: &'a [u8],
    out: &'a mut [u8],
    read: usize,
    written: usize,
    out_len: usize,
}

impl Block<'_> {
    /// Until the end marker. Every round reads at least one byte, so that there is an end.
    fn run(&mut self) -> Result<(), Fault> {
        let mut before = self.begin()?;
        loop {
            // The whole instruction in most cases: one access instead of up to six.
            let mut word = self.word()?;
            let token = word as usize & 0xff;
            let literals;
            if token >= 64 {
                literals = token & 3;
                let distance = (word as usize >> 8 & 0xff) * 8 + (token >> 2 & 7) + 1;
                self.short_copy(distance, (token >> 5) + 1)?;
                self.read += 2;
                word >>= 16;
            } else if token >= 32 {
                let length = self.length(token & 31, 31, &mut word)?;
                let pair = word as usize >> 8 & 0xffff;
                literals = pair & 3;
                self.copy((pair >> 2) + 1, length)?;
                self.read += 3;
                word >>= 24;
            } else if token >= 16 {
                let length = self.length(token & 7, 7, &mut word)?;
                let pair = word as usize >> 8 & 0xffff;
                literals = pair & 3;
                let distance = (token & 8) << 11 | pair >> 2;
                self.read += 3;
                if distance == 0 {
                    return Ok(());
                }
                self.copy(distance + 16384, length)?;
                word >>= 24;
            } else if before == Before::Copy {
                let length = self.length(token, 15, &mut word)? + 1;
                self.read += 1;
                self.literals(length)?;
                before = Before::Literals;
                continue;
            } else {
                literals = token & 3;
                let distance = (word as usize >> 8 & 0xff) * 4 + (token >> 2) + 1;
                match before {
                    Before::Literals => self.short_copy(distance + 2048, 3)?,
                    _ => self.short_copy(distance, 2)?,
                }
                self.read += 2;
                word >>= 16;
            }
            before = self.few_literals(literals, word)?;
        }
    }

    /// The first instruction may be a number of literals above 17.
    fn begin(&mut self) -> Result<Before, Fault> {
        let token = self.word()? as usize & 0xff;
        if token <= 17 {
            return Ok(Before::Copy);
        }
        self.read = 1;
        self.literals(token - 17)?;
        Ok(if token - 17 < 4 { Before::FewLiterals } else { Before::Literals })
    }

    /// The next eight bytes.
    #[inline(always)]
    fn word(&self) -> Result<u64, Fault> {
        let bytes = self.packed.get(self.read..).and_then(|rest| rest.first_chunk::<8>()).ok_or(Fault::Unfinished)?;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// The length of a copy: 2 + the bits of the first byte, or if these are 0 so many more than `most` bits can say as
    /// the further bytes say, over which it steps.
    #[inline(always)]
    fn length(&mut self, bits: usize, most: usize, word: &mut u64) -> Result<usize, Fault> {
        if bits != 0 {
            return Ok(bits + 2);
        }
        let (more, steps) = long_length(self.packed, self.read + 1)?;
        self.read += steps;
        *word = self.word()?;
        Ok(most + 2 + more)
    }

    /// The literals behind a copy, which are at the beginning of `word`.
    #[inline(always)]
    fn few_literals(&mut self, count: usize, word: u64) -> Result<Before, Fault> {
        *self.target::<4>(self.written)? = (word as u32).to_le_bytes();
        self.read += count;
        self.written += count;
        Ok(if count == 0 { Before::Copy } else { Before::FewLiterals })
    }

    #[inline(always)]
    fn literals(&mut self, count: usize) -> Result<(), Fault> {
        let end = self.end(count)?;
        if count > LONG {
            let from = self.packed.get(self.read..self.read + count).ok_or(Fault::Unfinished)?;
            self.out.get_mut(self.written..end).ok_or(Fault::Long)?.copy_from_slice(from);
        } else {
            let (mut from, mut to) = (self.read, self.written);
            while to < end {
                let piece = *self.packed.get(from..).and_then(|rest| rest.first_chunk()).ok_or(Fault::Unfinished)?;
                *self.target::<16>(to)? = piece;
                from += 16;
                to += 16;
            }
        }
        self.read += count;
        self.written = end;
        Ok(())
    }

    /// Copies at most eight bytes of the output.
    #[inline(always)]
    fn short_copy(&mut self, distance: usize, length: usize) -> Result<(), Fault> {
        let from = self.written.checked_sub(distance).ok_or(Fault::Distance)?;
        let end = self.end(length)?;
        if distance >= 8 {
            self.piece::<8>(from, self.written)?;
        } else {
            overlapping(self.out, from, self.written, end);
        }
        self.written = end;
        Ok(())
    }

    /// Copies bytes of the output.
    #[inline(always)]
    fn copy(&mut self, distance: usize, length: usize) -> Result<(), Fault> {
        let mut from = self.written.checked_sub(distance).ok_or(Fault::Distance)?;
        let end = self.end(length)?;
        if length > LONG || distance < 16 {
            overlapping(self.out, from, self.written, end);
        } else {
            let mut to = self.written;
            while to < end {
                self.piece::<16>(from, to)?;
                from += 16;
                to += 16;
            }
        }
        self.written = end;
        Ok(())
    }

    /// Where the output will end with `count` more bytes.
    #[inline(always)]
    fn end(&self, count: usize) -> Result<usize, Fault> {
        let end = self.written + count;
        if end > self.out_len { Err(Fault::Long) } else { Ok(end) }
    }

    #[inline(always)]
    fn piece<const N: usize>(&mut self, from: usize, to: usize) -> Result<(), Fault> {
        let piece = *self.out.get(from..).and_then(|rest| rest.first_chunk::<N>()).ok_or(Fault::Distance)?;
        *self.target(to)? = piece;
        Ok(())
    }

    #[inline(always)]
    fn target<const N: usize>(&mut self, at: usize) -> Result<&mut [u8; N], Fault> {
        self.out.get_mut(at..).and_then(|rest| rest.first_chunk_mut()).ok_or(Fault::Long)
    }
}

/// A long length at `at`: 255 for every zero byte and the value of the first other one; and the number of bytes.
/// It can't overflow: no block of more than 8 MiB is decoded.
#[cold]
fn long_length(packed: &[u8], at: usize) -> Result<(usize, usize), Fault> {
    let rest = packed.get(at..).unwrap_or_default();
    let zeros = rest.iter().position(|byte| *byte != 0).ok_or(Fault::Unfinished)?;
    Ok((zeros * 255 + rest[zeros] as usize, zeros + 1))
}

/// Copies what begins at `from` to what lies between `to` and `end`; the first may reach into the second, which then
/// repeats it. What is there already doubles with every step.
#[inline(never)]
fn overlapping(out: &mut [u8], from: usize, to: usize, end: usize) {
    let mut to = to;
    while to < end {
        let count = (to - from).min(end - to);
        out.copy_within(from..from + count, to);
        to += count;
    }
}

#[cfg(test)]
mod tests;
