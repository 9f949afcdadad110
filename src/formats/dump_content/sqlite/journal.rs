//! The rollback journal of SQLite: pages as they were before a transaction that didn't end.
//!
//! ```text
//! { magic 8 │ records 4 │ nonce 4 │ pages of the database before 4 │ sector 4 │ page size 4 │ … to the next sector
//!   { page 4 │ content │ checksum 4 }… }…  [ name of a super-journal ]
//! ```
//! A journal is hot, and is rolled back by whoever opens the database next, unless it is empty or its first byte is
//! zero: that is how a transaction ends. Numbers are big-endian; −1 records are as many as there are.
//!
//! Sources: <https://sqlite.org/fileformat2.html>, "The Rollback Journal"; `pager_playback` of `src/pager.c`.

use super::overlay::Overlay;
use crate::domain::finding::{Findings, Kind};
use crate::formats::beside::{ReadAt, read_at};
use crate::formats::stream::Stop;

const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
const HEADER: usize = 28;
const WHAT: &str = "rollback journal";

/// As many records as there are: nothing was forced to the disk.
const UNCOUNTED: u32 = u32::MAX;

/// What a journal asks for.
pub(super) enum Journal<'a> {
    /// Nothing.
    Cold,
    /// The database is to be read with these pages, of this size.
    Hot(Overlay<'a>, u64),
    /// Whether it counts depends on a file elsewhere.
    Super,
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The header of a part of a journal.
struct Head {
    records: u32,
    nonce: u32,
    pages: u32,
    sector: u64,
    page_size: u64,
}

impl Head {
    fn read(log: &mut Overlay<'_>, at: u64) -> Result<Option<Self>, Stop> {
        let mut bytes = [0; HEADER];
        if log.look(&mut bytes, at)? < HEADER || bytes[..8] != MAGIC {
            return Ok(None);
        }
        let [records, nonce, pages, sector, page_size] = [8, 12, 16, 20, 24].map(|at| number(&bytes, at));
        let power = |number: u32, least: u32| (least..=65_536).contains(&number) && number.is_power_of_two();
        let fits = power(sector, 32) && power(page_size, 512);
        Ok(fits.then_some(Self { records, nonce, pages, sector: sector.into(), page_size: page_size.into() }))
    }
}

/// Looks whether a journal is hot; checks it if so.
pub(super) fn read<'a>(log: &'a mut dyn ReadAt, findings: &mut Findings) -> Result<Journal<'a>, Stop> {
    let mut start = [0; HEADER];
    let filled = read_at(log, &mut start, 0)?;
    if filled < HEADER || start[0] == 0 {
        return Ok(Journal::Cold);
    }
    let size = length(log)?;
    let named = has_super(log, size)?;
    let mut overlay = Overlay::new(log, 0);
    let Some(first) = Head::read(&mut overlay, 0)? else {
        let text = "the -journal file beside the database doesn't begin as a rollback journal: SQLite takes nothing back with it";
        findings.say(Kind::DumpStructure, text);
        return Ok(Journal::Cold);
    };
    if named {
        return Ok(Journal::Super);
    }
    overlay.pages = first.pages;
    let page_size = first.page_size;
    let mut any = false;
    let (mut at, mut head) = (0, Some(first));
    while let Some(part) = head {
        any |= part.records > 0;
        at = match records(&mut overlay, &part, at + part.sector, size, page_size)? {
            Ok(end) => end.next_multiple_of(part.sector),
            Err(record) => {
                let text = format_args!(
                    "record {record} of the -journal file beside the database is damaged or missing: SQLite takes back only what is before it"
                );
                findings.say(Kind::DumpStructure, text);
                break;
            }
        };
        head = Head::read(&mut overlay, at)?;
    }
    // Nothing of the database is changed before the records of the journal are counted.
    Ok(if any { Journal::Hot(overlay, page_size) } else { Journal::Cold })
}

fn length(log: &mut dyn ReadAt) -> Result<u64, Stop> {
    let (mut low, mut high) = (0, 1 << 40);
    while low < high {
        let middle = low + (high - low) / 2;
        if read_at(log, &mut [0], middle)? == 0 { high = middle } else { low = middle + 1 }
    }
    Ok(low)
}

/// Whether the name of a super-journal stands at the end: a transaction over several databases.
fn has_super(log: &mut dyn ReadAt, size: u64) -> Result<bool, Stop> {
    let mut end = [0; 16];
    let Some(at) = size.checked_sub(16).filter(|at| *at >= HEADER as u64) else { return Ok(false) };
    Ok(read_at(log, &mut end, at)? == 16 && end[8..] == MAGIC && number(&end, 0) > 0)
}

/// The records of a part; where it ends, or the number of the first one that is wrong.
fn records(
    log: &mut Overlay<'_>,
    part: &Head,
    start: u64,
    size: u64,
    page_size: u64,
) -> Result<Result<u64, u32>, Stop> {
    let counted = part.records != UNCOUNTED;
    let mut buffer = vec![0; page_size as usize + 8];
    let lock = (1_u64 << 30) / page_size + 1;
    let mut at = start;
    let mut done = 0;
    while done < part.records {
        let end = at + buffer.len() as u64;
        let there = end <= size && log.look(&mut buffer, at)? == buffer.len();
        let page = number(&buffer, 0);
        let usable = there && page != 0 && u64::from(page) != lock && is_right(&buffer, part.nonce);
        if !usable {
            // What was not counted goes as far as it fits.
            return Ok(if counted { Err(done + 1) } else { Ok(at) });
        }
        if page <= log.pages {
            log.put(page, at + 4, false, WHAT)?;
        }
        at = end;
        done += 1;
    }
    Ok(Ok(at))
}

/// The checksum of a record: the nonce, and every 200th byte from the end of the page.
fn is_right(record: &[u8], nonce: u32) -> bool {
    let page = record.get(4..record.len() - 4).unwrap_or_default();
    let mut sum = nonce;
    let mut at = page.len();
    while at > 200 {
        at -= 200;
        sum = sum.wrapping_add(u32::from(page[at]));
    }
    sum == number(record, record.len() - 4)
}
