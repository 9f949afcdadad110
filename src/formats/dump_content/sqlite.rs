//! SQLite database files: the header, and whether all pages are there.
//!
//! Source: <https://sqlite.org/fileformat2.html>, and `lockBtree` of `src/btree.c` for what is refused.

use super::{Fault, Source, Summary};
use crate::domain::finding::{Findings, Kind};
use crate::formats::stream::{Stream, drain};

pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";
pub(super) const FORMAT: &str = "sqlite";

const HEADER: usize = 100;

/// Write-ahead log, as file format version.
const WAL: u8 = 2;

pub(super) fn check<S: Stream + ?Sized>(
    source: &mut Source<'_, S>,
    summary: &mut Summary,
    findings: &mut Findings,
) -> Result<(), Fault> {
    (summary.format, summary.end_known) = (FORMAT, true);
    let mut bytes = [0; HEADER];
    source.fill(&mut bytes, "the header of the database")?;
    let header = Header::parse(&bytes)?;
    if header.wal {
        let text = "the database was in use with a write-ahead log: what its -wal file held when it was copied is missing unless that file was saved with it";
        findings.say(Kind::CompanionMissing, text);
    }
    drain(source)?;
    length(&header, source.position, summary, findings)
}

struct Header {
    page_size: u64,
    /// Pages, if the header tells: releases before 3.7.0 leave an old number behind.
    pages: Option<u64>,
    wal: bool,
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
        Ok(Self { page_size, pages, wal: bytes[18] == WAL || bytes[19] == WAL })
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
