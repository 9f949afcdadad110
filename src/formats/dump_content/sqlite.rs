//! SQLite database files: the header, whether all pages are there, and whether each is what others take it for.
//!
//! They are judged as whoever opens the database next would find them: with the pages that a write-ahead log beside it
//! has, and those that a hot rollback journal takes back.
//!
//! Nothing covers what is in a row: that the pages fit together says nothing about a byte within a text.
//!
//! Source: <https://sqlite.org/fileformat2.html>, and `lockBtree` of `src/btree.c` for what is refused.

use super::{Fault, Source, Summary};
use crate::domain::finding::{Findings, Kind};
use crate::formats::beside::{Beside, Companions};
use crate::formats::stream::{Stream, drain, read_full};

mod journal;
mod layers;
mod overlay;
mod page;
mod pages;
mod wal;

use self::layers::Layers;
use self::page::Format;
use self::pages::{Free, Outcome, Pages};

pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";
pub(super) const FORMAT: &str = "sqlite";

const HEADER: usize = 100;

/// Write-ahead log, as file format version.
const WAL: u8 = 2;

/// Whether all but the mark at the beginning is as in a database.
pub(super) fn lacks_mark(head: &[u8]) -> bool {
    head.first_chunk().is_some_and(|header| Header::parse(header).is_ok())
}

pub(super) fn check<S: Stream + ?Sized>(
    source: &mut Source<'_, S>,
    companions: &mut Companions<'_>,
    summary: &mut Summary,
    findings: &mut Findings,
) -> Result<(), Fault> {
    (summary.format, summary.end_known, summary.understood) = (FORMAT, true, true);
    let mut bytes = [0; HEADER];
    source.fill(&mut bytes, "the header of the database")?;
    let mut header = Header::parse(&bytes)?;
    let logged = companions.has(Beside::Wal);
    let Some(mut layers) = Layers::open(companions, header.page_size, findings)? else {
        summary.end_known = false;
        let text = "its -journal file is of a transaction over several databases: whether that ended is known elsewhere, so the pages were not checked";
        findings.say(Kind::CompanionMissing, text);
        return Ok(());
    };
    if let Some(first) = layers.first_page()? {
        header = Header::parse(&first)?;
        if header.page_size != layers.page_size {
            let (one, other) = (header.page_size, layers.page_size);
            let text = format_args!(
                "a log beside the database has pages of {other} bytes, and the first of them tells of {one}"
            );
            return Err(Fault::wrong(Kind::DumpStructure, text));
        }
    }
    header.logged = logged;
    let count = layers.pages().map_or(header.pages, |pages| Some(pages.into()));
    header.pages = count;
    let followed = follow(&header, &bytes, &mut layers, source)?;
    drain(source)?;
    if layers.is_empty() {
        length(&header, source.position, summary, findings)?;
    } else if let Some(page) = followed.missing {
        let text = format_args!(
            "page {page} of {} is neither in the database nor in the log beside it",
            count.unwrap_or_default()
        );
        return Err(Fault::wrong(Kind::Truncated, text));
    }
    if header.pages.is_some() {
        judge(&header, followed.outcome, summary, findings);
    }
    Ok(())
}

/// What came of reading all pages.
#[derive(Default)]
struct Followed {
    /// Of walking over them, unless they are too many or not all there.
    outcome: Option<Outcome>,
    /// The first page that is nowhere.
    missing: Option<u32>,
}

fn follow<S: Stream + ?Sized>(
    header: &Header,
    first: &[u8; HEADER],
    layers: &mut Layers<'_>,
    source: &mut Source<'_, S>,
) -> Result<Followed, Fault> {
    let count = header.pages.and_then(|count| u32::try_from(count).ok());
    let format = count.map(|pages| Format { pages, usable: header.usable });
    let Some((format, mut pages)) =
        format.and_then(|format| Some((format, Pages::new(format, header.page_size, header.auto_vacuum)?)))
    else {
        return Ok(Followed::default());
    };
    let mut page = vec![0; header.page_size as usize];
    page[..HEADER].copy_from_slice(first);
    let mut have = HEADER;
    for number in 1..=format.pages {
        let there = read_full(source, &mut page[have..])? == page.len() - have;
        have = 0;
        if !layers.read(number, &mut page)? && !there {
            return Ok(Followed { outcome: None, missing: Some(number) });
        }
        source.landmark();
        pages.add(&page);
    }
    Ok(Followed { outcome: pages.walk(header.free), missing: None })
}

/// Says what came of the walk.
fn judge(header: &Header, outcome: Option<Outcome>, summary: &mut Summary, findings: &mut Findings) {
    let Some(outcome) = outcome else {
        summary.end_known = false;
        let text = "the database is too large for its pages to be followed: they were not all checked";
        return findings.say(Kind::NoEndKnown, text);
    };
    let alone = header.wal && !header.logged;
    let without = if alone { ", without what its -wal file held" } else { "" };
    if alone && outcome.wrong.is_empty() {
        let text = "the database was in use with a write-ahead log, and no -wal file lies beside it: its pages fit together, as .backup and VACUUM INTO leave it";
        findings.say(Kind::LogAbsent, text);
    }
    for wrong in &outcome.wrong {
        findings.say(Kind::DumpStructure, format_args!("the database is malformed{without}: {wrong}"));
    }
    if !outcome.complete && outcome.wrong.is_empty() {
        summary.end_known = false;
        let text =
            "the schema of the database names tables in a way that is not read here: its pages were not all checked";
        findings.say(Kind::NoEndKnown, text);
    } else if outcome.unused > 0 && outcome.wrong.is_empty() {
        let text = format!(
            "{} pages of the database belong to no table and are not free: PRAGMA integrity_check reports them",
            outcome.unused
        );
        findings.say(Kind::UnusedPages, text);
    }
}

struct Header {
    page_size: u64,
    /// Pages, if the header tells: releases before 3.7.0 leave an old number behind.
    pages: Option<u64>,
    wal: bool,
    /// Whether a write-ahead log lies beside it.
    logged: bool,
    /// Bytes of a page that are used.
    usable: usize,
    auto_vacuum: bool,
    free: Free,
}

impl Header {
    fn parse(bytes: &[u8; HEADER]) -> Result<Self, Fault> {
        let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let wrong = |text: String| Err(Fault::wrong(Kind::DumpStructure, text));
        let page_size = match u64::from(u16::from_be_bytes([bytes[16], bytes[17]])) {
            1 => 65_536,
            size => size,
        };
        if !(512..=65_536).contains(&page_size) || !page_size.is_power_of_two() {
            return wrong(format!("the header of the database gives a page size of {page_size}, which can't be"));
        }
        if page_size - u64::from(bytes[20]) < 480 {
            return wrong(format!("the header of the database reserves {} bytes of {page_size} per page", bytes[20]));
        }
        if bytes[21..24] != [64, 32, 32] {
            return wrong(format!("the header of the database has {:?} where 64, 32, 32 must be", &bytes[21..24]));
        }
        if bytes[18] == 0 || !matches!(bytes[19], 1 | WAL) {
            return wrong(format!("the header of the database names unknown versions {}/{}", bytes[18], bytes[19]));
        }
        if number(56) > 3 {
            return wrong(format!("the header of the database names an unknown text encoding {}", number(56)));
        }
        let valid = number(28) != 0 && number(24) == number(92);
        let pages = valid.then(|| u64::from(number(28)));
        Ok(Self {
            page_size,
            pages,
            wal: bytes[18] == WAL || bytes[19] == WAL,
            logged: false,
            usable: page_size as usize - usize::from(bytes[20]),
            auto_vacuum: number(52) != 0,
            free: Free { first: number(32), count: number(36) },
        })
    }
}

fn length(header: &Header, length: u64, summary: &mut Summary, findings: &mut Findings) -> Result<(), Fault> {
    let size = header.page_size;
    let Some(pages) = header.pages else {
        if !length.is_multiple_of(size) {
            let text = format!("the database ends at byte {length}, in the middle of a page of {size} bytes");
            return Err(Fault::wrong(Kind::Truncated, text));
        }
        summary.end_known = false;
        findings.say(
            Kind::NoEndKnown,
            "the header of the database doesn't tell its number of pages: that it is whole can't be told",
        );
        return Ok(());
    };
    let expected = pages * size;
    if length < expected {
        let text = format!("the database has {length} bytes, {pages} pages of {size} would be {expected}");
        return Err(Fault::wrong(Kind::Truncated, text));
    }
    if length > expected {
        let text = format!("{} bytes follow the {pages} pages of the database; they are ignored", length - expected);
        findings.say(Kind::TrailingPadding, text);
    }
    Ok(())
}

#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod tests;
