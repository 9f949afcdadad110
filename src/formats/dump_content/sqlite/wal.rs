//! The write-ahead log of SQLite: pages that were written since the last checkpoint.
//!
//! ```text
//! magic 4 │ version 4 │ page size 4 │ checkpoint 4 │ salt 8 │ checksum 8
//! { page 4 │ pages of the database if a transaction ends here, else 0: 4 │ salt 8 │ checksum 8 │ page }…
//! ```
//! Numbers are big-endian. The checksum of a frame goes on from that of the frame before; whether its words are
//! big-endian, the magic says. SQLite goes as far as salts and checksums are right, and takes what is before the last
//! end of a transaction. Behind that old frames may lie, with other salts, and what was rolled back.
//!
//! Sources: <https://sqlite.org/fileformat2.html>, "The Write-Ahead Log"; `walIndexRecover` of `src/wal.c`.

use super::overlay::Overlay;
use crate::domain::finding::{Findings, Kind};
use crate::formats::beside::{ReadAt, read_at};
use crate::formats::dump_content::Fault;
use crate::formats::stream::Stop;

const HEADER: usize = 32;
const FRAME: usize = 24;
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;
const WHAT: &str = "write-ahead log";

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The checksum as it goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum(u32, u32);

impl Sum {
    fn of(bytes: &[u8], at: usize) -> Self {
        Self(number(bytes, at), number(bytes, at + 4))
    }

    /// Goes on over whole pairs of words.
    fn over(self, bytes: &[u8], big: bool) -> Self {
        let word = |bytes: &[u8]| {
            let bytes = bytes.first_chunk().copied().unwrap_or_default();
            if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        bytes.chunks_exact(8).fold(self, |Self(mut a, mut b), pair| {
            a = a.wrapping_add(word(pair)).wrapping_add(b);
            b = b.wrapping_add(word(&pair[4..])).wrapping_add(a);
            Self(a, b)
        })
    }
}

/// What the header of a log says.
struct Head {
    big: bool,
    page_size: usize,
    salt: [u8; 8],
    sum: Sum,
}

/// Checks the log; where its pages are, if a whole transaction is in it. Damage that doesn't hide the rest is said.
pub(super) fn read<'a>(
    log: &'a mut dyn ReadAt,
    page_size: u64,
    findings: &mut Findings,
) -> Result<Option<Overlay<'a>>, Fault> {
    let mut bytes = [0; HEADER];
    let filled = read_at(log, &mut bytes, 0)?;
    let mut more = [0];
    // What is there before the first frame, and a log that was emptied.
    if filled < HEADER || read_at(log, &mut more, HEADER as u64)? == 0 {
        return Ok(None);
    }
    let head = match header(&bytes, page_size) {
        Ok(head) => head,
        Err(why) => {
            let text = format_args!("{why}: SQLite leaves out all transactions that are in it");
            findings.say(Kind::DumpStructure, text);
            return Ok(None);
        }
    };
    let whole = follow(log, &head, findings)?;
    let Some((frames, pages)) = whole else { return Ok(None) };
    let mut overlay = Overlay::new(log, pages);
    index(&mut overlay, &head, frames)?;
    Ok(Some(overlay))
}

fn header(bytes: &[u8; HEADER], page_size: u64) -> Result<Head, String> {
    let magic = number(bytes, 0);
    if magic & !1 != MAGIC {
        return Err("the -wal file beside the database doesn't begin as a write-ahead log".to_owned());
    }
    let big = magic & 1 == 1;
    if number(bytes, 4) != VERSION {
        return Err(format!("the -wal file beside the database is of an unknown version {}", number(bytes, 4)));
    }
    let sum = Sum(0, 0).over(&bytes[..24], big);
    if sum != Sum::of(bytes, 24) {
        return Err("the checksum in the header of the -wal file beside the database is wrong".to_owned());
    }
    let size = number(bytes, 8);
    if u64::from(size) != page_size {
        return Err(format!(
            "the -wal file beside the database has pages of {size} bytes, and the database pages of {page_size}"
        ));
    }
    let salt = bytes[16..24].first_chunk().copied().unwrap_or_default();
    Ok(Head { big, page_size: size as usize, salt, sum })
}

fn place(head: &Head, frame: u64) -> u64 {
    HEADER as u64 + frame * (FRAME + head.page_size) as u64
}

/// How many frames count, and how many pages the database has then.
fn follow(log: &mut dyn ReadAt, head: &Head, findings: &mut Findings) -> Result<Option<(u64, u32)>, Stop> {
    let mut buffer = vec![0; FRAME + head.page_size];
    let (mut sum, mut whole) = (head.sum, None);
    for frame in 0.. {
        let filled = read_at(log, &mut buffer, place(head, frame))?;
        if filled < buffer.len() {
            // Old frames have other salts, and a limit of the size may cut them.
            if filled >= 16 && buffer[8..16] == head.salt {
                let text = format_args!(
                    "the -wal file beside the database ends in the middle of frame {}: what SQLite wrote from there on isn't there",
                    frame + 1
                );
                findings.say(Kind::LogCut, text);
            }
            break;
        }
        sum = sum.over(&buffer[..8], head.big).over(&buffer[FRAME..], head.big);
        if buffer[8..16] != head.salt || number(&buffer, 0) == 0 || sum != Sum::of(&buffer, 16) {
            lost(log, head, frame, findings)?;
            break;
        }
        let pages = number(&buffer, 4);
        if pages != 0 {
            whole = Some((frame + 1, pages));
        }
    }
    Ok(whole)
}

/// What is behind the first frame that doesn't fit: nothing that counts, or ends of transactions of this log.
fn lost(log: &mut dyn ReadAt, head: &Head, first: u64, findings: &mut Findings) -> Result<(), Stop> {
    let mut bytes = [0; FRAME];
    let (mut ends, mut here) = (0_u64, false);
    for frame in first.. {
        if read_at(log, &mut bytes, place(head, frame))? < FRAME {
            break;
        }
        if bytes[8..16] == head.salt && number(&bytes, 4) != 0 {
            if frame == first { here = true } else { ends += 1 }
        }
    }
    let number = first + 1;
    if ends > 0 {
        let text = format_args!(
            "frame {number} of the -wal file beside the database is damaged: SQLite leaves out what is from there on, though {ends} transactions end behind it"
        );
        findings.say(Kind::DumpStructure, text);
    } else if here {
        let text = format_args!(
            "the last transaction in the -wal file beside the database is not whole (frame {number}): SQLite leaves it out"
        );
        findings.say(Kind::LogCut, text);
    }
    Ok(())
}

/// Where the pages of the frames that count are.
fn index(overlay: &mut Overlay<'_>, head: &Head, frames: u64) -> Result<(), Stop> {
    let mut bytes = [0; FRAME];
    for frame in 0..frames {
        overlay.look(&mut bytes, place(head, frame))?;
        overlay.put(number(&bytes, 0), place(head, frame) + FRAME as u64, true, WHAT)?;
    }
    Ok(())
}
