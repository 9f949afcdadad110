//! The custom format of `pg_dump`: a header, a table of contents, and the data of its entries in blocks.
//!
//! An integer is a byte for the sign and four for the amount, little-endian; a string is its length (−1 for none) and its
//! bytes. An entry with data has a block: a byte for its type, the entry's number, and pieces of data, each with its
//! length, up to one of length 0; a block of large objects has for each its number and such pieces, up to a number 0.
//! There is no end mark: that nothing is missing follows from the table of contents.
//!
//! `pg_restore -l` reads no further than the table of contents, so it praises a dump that was cut off in the data.
//! Values that `pg_dump` never writes are damage here even where `pg_restore` passes over them (it takes any negative
//! length for no string, any section for one to leave out): the dump isn't what was written.
//!
//! Sources: PostgreSQL `src/bin/pg_dump/pg_backup_archiver.c` (`ReadHead`, `ReadToc`, `ReadInt`, `ReadOffset`) and
//! `pg_backup_custom.c` (`_StartData`, `_PrintTocData`). Versions 1.12 (PostgreSQL 9.0) to 1.16 (17, 18).

use jiff::civil::DateTime;

use super::inner::{Algorithm, Inner};
use super::{Fault, Source, Summary};
use crate::domain::finding::{Finding, Findings, Kind};
use crate::formats::pg_data::DataFile;
use crate::formats::stream::{Stop, Stream};

pub(super) const MAGIC: &[u8] = b"PGDMP";
pub(super) const FORMAT: &str = "pg_dump-custom";

/// The table of contents of a dump in directory format, or of one in tar format that was unpacked.
const TOC_FORMAT: &str = "pg_dump-toc";

/// Longest string: the text of a function, in bytes.
const LONGEST: u64 = 64 << 20;

/// So much is kept of a string.
const KEPT: u64 = 64;

const CONTENTS: &str = "its table of contents";

/// The type of an entry of large objects.
const BLOBS: &[u8] = b"BLOBS";

/// Most entries with data; each takes memory until its block was seen.
const MOST_BLOCKS: usize = 1 << 20;

/// So much of the data is decompressed before the stream is asked for more: it says when time is up.
const PIECE: usize = 8 << 10;

const OLDEST: u8 = 12;
const NEWEST: u8 = 16;
/// Entries have a table access method.
const TABLE_AM: u8 = 14;
/// The header names the algorithm of the compression instead of its level.
const ALGORITHM: u8 = 15;
/// Entries have the kind of their relation.
const RELKIND: u8 = 16;

/// Most files of data of a dump in directory or tar format.
const MOST_FILES: usize = 100_000;

/// Formats, as the header names them; that of a directory is the one of tar.
const CUSTOM: u8 = 1;
const TAR: u8 = 3;
const DIRECTORY: u8 = 5;

const BLOCK_DATA: u8 = 1;
const BLOCK_BLOBS: u8 = 3;

/// What is written of where the data of an entry is: the output could not be sought, so it is not known.
const OFFSET_NOT_SET: u8 = 1;
const OFFSET_SET: u8 = 2;
/// The entry has no data.
const OFFSET_NO_DATA: u8 = 3;

/// Whether all but the mark at the beginning is as in a dump.
pub(super) fn lacks_mark(head: &[u8]) -> bool {
    matches!(head.get(MAGIC.len()..), Some([1, OLDEST..=NEWEST, 0..=99, 4, 4 | 8, 1, ..]))
}

/// Where a dump begins that isn't at the beginning.
pub(super) fn behind_text(head: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(head, MAGIC)?;
    lacks_mark(&head[at..]).then_some(at)
}

pub(super) fn check<S: Stream + ?Sized>(
    source: &mut Source<'_, S>,
    summary: &mut Summary,
    findings: &mut Findings,
) -> Result<(), Fault> {
    (summary.format, summary.end_known, summary.understood) = (FORMAT, true, true);
    let mut dump = Reader { source, offset_size: 0, minor: 0, contents: false };
    let algorithm = match dump.header(summary)? {
        Header::Dump(algorithm) => algorithm,
        Header::Other(kind, text) => {
            (summary.end_known, summary.understood) = (false, false);
            findings.say(kind, text);
            return Ok(());
        }
    };
    let mut pending = Vec::new();
    let entries = dump.contents(Some(&mut pending))?;
    summary.members = Some(entries);
    if algorithm == Algorithm::Lz4 && !pending.is_empty() {
        let text = "the data of the dump is compressed with lz4, which is not decompressed here: only the structure around it was checked";
        findings.say(Kind::NoEndKnown, text);
        // Of a level nothing is claimed that wasn't decoded.
        (summary.end_known, summary.understood) = (false, false);
    }
    let left = pending.len();
    Blocks { dump, inner: Inner::new(algorithm)?, entries, pending, left }.check(findings)
}

/// The table of contents of a dump in directory or tar format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::formats) struct Contents {
    pub(in crate::formats) entries: u64,
    pub(in crate::formats) created: Option<DateTime>,
    pub(in crate::formats) files: Vec<DataFile>,
    /// Why nothing of it was checked.
    pub(in crate::formats) unknown: Option<String>,
}

/// Reads `toc.dat`.
pub(in crate::formats) fn contents<S: Stream + ?Sized>(stream: &mut S) -> Result<Contents, Stop> {
    let mut source = Source { head: Vec::new(), whole: false, used: 0, rest: stream, position: 0, promised: true };
    read_contents(&mut source).map_err(|fault| match fault {
        Fault::Wrong(finding) => Stop::Damaged(Finding::new(finding.kind, format_args!("toc.dat: {}", finding.text))),
        Fault::Stop(stop) => stop,
    })
}

fn read_contents<S: Stream + ?Sized>(source: &mut Source<'_, S>) -> Result<Contents, Fault> {
    let mut mark = [0; MAGIC.len()];
    source.fill(&mut mark, "its first mark")?;
    if mark != MAGIC {
        return Err(structure("it doesn't begin as a table of contents of pg_dump"));
    }
    let mut summary =
        Summary { format: TOC_FORMAT, end_known: true, understood: true, unpacked: 0, members: None, created: None };
    let mut reader = Reader { source, offset_size: 0, minor: 0, contents: true };
    if let Header::Other(_, text) = reader.header_behind_mark(&mut summary)? {
        return Ok(Contents { unknown: Some(text), ..Contents::default() });
    }
    let entries = reader.count()?;
    let mut files = Vec::new();
    for _ in 0..entries {
        let start = reader.source.position;
        let entry = reader.common()?;
        let file = reader.text(CONTENTS)?.unwrap_or_default();
        if file.is_empty() == entry.dumped {
            let text = "a name of a file that contradicts whether it has data";
            return Err(structure(format_args!("the entry at byte {start} of the dump has {text}")));
        }
        if !entry.dumped {
            continue;
        }
        if files.len() == MOST_FILES {
            return Err(Fault::Stop(Stop::Limit(format!("the dump has more than {MOST_FILES} files of data"))));
        }
        // What is written as the name of a list of large objects is not its name in older versions.
        let name = match entry.blobs {
            true if reader.minor < RELKIND => "blobs.toc".to_owned(),
            true => format!("blobs_{}.toc", entry.id),
            false => String::from_utf8(file).map_err(|_| structure("the name of a file is no text"))?,
        };
        files.push(DataFile { name: name.into(), blobs: entry.blobs, rows: entry.copies && !entry.blobs });
    }
    if !reader.source.at_end()? {
        return Err(structure(format_args!(
            "something follows the table of contents at byte {}",
            reader.source.position
        )));
    }
    Ok(Contents { entries, created: summary.created, files, unknown: None })
}

fn structure(text: impl std::fmt::Display) -> Fault {
    Fault::wrong(Kind::DumpStructure, text)
}

/// What is kept of an entry.
struct Common {
    id: u32,
    dumped: bool,
    /// Its data are large objects.
    blobs: bool,
    /// Its data are rows of `COPY`.
    copies: bool,
}

enum Header {
    Dump(Algorithm),
    /// Something that can't be checked, and why not.
    Other(Kind, String),
}

/// An entry whose data is to come. There may be a million of them: 16 bytes.
struct Pending {
    /// Where, or [`NOWHERE`] if it was not known when the table was written.
    offset: u64,
    id: u32,
    seen: bool,
}

/// No dump is so long.
const NOWHERE: u64 = u64::MAX;

struct Reader<'s, 'a, S: ?Sized> {
    source: &'s mut Source<'a, S>,
    minor: u8,
    offset_size: usize,
    /// Whether it is a table of contents alone that is read.
    contents: bool,
}

impl<S: Stream + ?Sized> Reader<'_, '_, S> {
    fn header(&mut self, summary: &mut Summary) -> Result<Header, Fault> {
        self.source.skip(MAGIC.len() as u64, "its header")?;
        self.header_behind_mark(summary)
    }

    fn header_behind_mark(&mut self, summary: &mut Summary) -> Result<Header, Fault> {
        const WHAT: &str = "its header";
        let mut version = [0; 3];
        self.source.fill(&mut version, WHAT)?;
        let [major, minor, _] = version;
        if major != 1 || !(OLDEST..=NEWEST).contains(&minor) {
            let text = format!(
                "a dump of format version {major}.{minor}, of which nothing is known: not checked; only a pg_restore that is new enough reads it"
            );
            return Ok(Header::Other(Kind::UnknownVersion, text));
        }
        let (algorithm, format) = self.rest_of_header(minor, summary)?;
        match format {
            CUSTOM if self.contents => Err(structure("it is of a dump in custom format")),
            CUSTOM => Ok(Header::Dump(algorithm)),
            _ if self.contents => Ok(Header::Dump(algorithm)),
            _ => {
                summary.format = TOC_FORMAT;
                let text = "the table of contents of a dump whose data is in other files: not checked";
                Ok(Header::Other(Kind::NoEndKnown, text.to_owned()))
            }
        }
    }

    fn rest_of_header(&mut self, minor: u8, summary: &mut Summary) -> Result<(Algorithm, u8), Fault> {
        const WHAT: &str = "its header";
        let mut sizes = [0; 3];
        self.source.fill(&mut sizes, WHAT)?;
        let [int_size, offset_size, format] = sizes;
        if int_size != 4 || !matches!(offset_size, 4 | 8) {
            return Err(structure(format_args!(
                "the header of the dump gives sizes of {int_size} and {offset_size} bytes for numbers and offsets"
            )));
        }
        (self.minor, self.offset_size) = (minor, usize::from(offset_size));
        if !matches!(format, CUSTOM | TAR | DIRECTORY) {
            return Err(structure(format_args!("the header of the dump names an unknown format {format}")));
        }
        if format != CUSTOM && !self.contents {
            return Ok((Algorithm::None, format));
        }
        let algorithm = self.algorithm()?;
        summary.created = self.created()?;
        for _ in ["database", "version of the server", "version of pg_dump"] {
            self.string(WHAT)?;
        }
        Ok((algorithm, format))
    }

    fn algorithm(&mut self) -> Result<Algorithm, Fault> {
        if self.minor < ALGORITHM {
            return match self.int("its header")? {
                0 => Ok(Algorithm::None),
                // −1 is what zlib takes for usual.
                -1 | 1..=9 => Ok(Algorithm::Zlib),
                level => Err(structure(format_args!("the header of the dump gives a compression level of {level}"))),
            };
        }
        match self.source.byte("its header")? {
            0 => Ok(Algorithm::None),
            1 => Ok(Algorithm::Zlib),
            2 => Ok(Algorithm::Lz4),
            3 => Ok(Algorithm::Zstd),
            other => Err(structure(format_args!("the header of the dump names an unknown compression {other}"))),
        }
    }

    /// `struct tm`: seconds first, months from 0, years from 1900, and whether it is summer time.
    fn created(&mut self) -> Result<Option<DateTime>, Fault> {
        let mut parts = [0_i64; 7];
        for part in &mut parts {
            *part = i64::from(self.int("its header")?);
        }
        let [second, minute, hour, day, month, year, _] = parts;
        let small = |number: i64| i8::try_from(number).ok();
        let time = || {
            let year = i16::try_from(year + 1900).ok()?;
            DateTime::new(year, small(month + 1)?, small(day)?, small(hour)?, small(minute)?, small(second)?, 0).ok()
        };
        // `pg_restore` only warns of an impossible time.
        Ok(time())
    }

    fn count(&mut self) -> Result<u64, Fault> {
        let count = self.int(CONTENTS)?;
        u64::try_from(count).map_err(|_| structure(format_args!("the dump claims {count} entries")))
    }

    /// The table of contents: how many entries; those that have data are put into `pending`, by number.
    fn contents(&mut self, mut pending: Option<&mut Vec<Pending>>) -> Result<u64, Fault> {
        let count = self.count()?;
        for _ in 0..count {
            if let (Some(entry), Some(pending)) = (self.entry()?, pending.as_deref_mut()) {
                if pending.len() == MOST_BLOCKS {
                    let text = format!("the dump has more than {MOST_BLOCKS} entries with data");
                    return Err(Fault::Stop(Stop::Limit(text)));
                }
                pending.push(entry);
            }
        }
        let Some(pending) = pending else { return Ok(count) };
        pending.sort_unstable_by_key(|entry| entry.id);
        if let Some(pair) = pending.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(structure(format_args!("the number {} is that of two entries with data", pair[0].id)));
        }
        Ok(count)
    }

    fn entry(&mut self) -> Result<Option<Pending>, Fault> {
        let start = self.source.position;
        let Common { id, dumped, .. } = self.common()?;
        let (state, offset) = self.offset(CONTENTS)?;
        match (state, dumped) {
            (OFFSET_SET, true) => Ok(Some(Pending { id, offset, seen: false })),
            (OFFSET_NOT_SET, true) => Ok(Some(Pending { id, offset: NOWHERE, seen: false })),
            (OFFSET_NO_DATA, false) => Ok(None),
            _ => {
                let text = "a place of its data that contradicts whether it has any";
                Err(structure(format_args!("the entry at byte {start} of the dump has {text}")))
            }
        }
    }

    /// What entries of all formats have in common.
    fn common(&mut self) -> Result<Common, Fault> {
        const WHAT: &str = CONTENTS;
        let start = self.source.position;
        let wrong = |what: &str| structure(format_args!("the entry at byte {start} of the dump has {what}"));
        let id = self.int(WHAT)?;
        let id = u32::try_from(id).ok().filter(|id| *id > 0).ok_or_else(|| wrong("an impossible number"))?;
        let dumped = self.int(WHAT)?;
        if !matches!(dumped, 0 | 1) {
            return Err(wrong("an impossible mark of whether it has data"));
        }
        for what in ["no catalog", "no object number", "no name"] {
            self.string(WHAT)?.then_some(()).ok_or_else(|| wrong(what))?;
        }
        let kind = self.text(WHAT)?.ok_or_else(|| wrong("no type"))?;
        if !matches!(self.int(WHAT)?, 1..=4) {
            return Err(wrong("an impossible section"));
        }
        // Definition, how to drop it.
        for _ in 0..2 {
            self.string(WHAT)?;
        }
        let copies = self.text(WHAT)?.is_some_and(|text| !text.is_empty());
        // Namespace, tablespace, and table access method.
        for _ in 0..if self.minor >= TABLE_AM { 3 } else { 2 } {
            self.string(WHAT)?;
        }
        if self.minor >= RELKIND {
            self.int(WHAT)?;
        }
        self.string(WHAT)?;
        if !self.truth(WHAT)? {
            return Err(wrong("an impossible mark of whether it has OIDs"));
        }
        // Entries that it depends on.
        while self.string(WHAT)? {}
        Ok(Common { id, dumped: dumped == 1, blobs: kind == BLOBS, copies })
    }

    /// An integer; the sign and the amount are what `pg_dump` writes.
    fn int(&mut self, what: &str) -> Result<i32, Fault> {
        let start = self.source.position;
        let mut bytes = [0; 5];
        self.source.fill(&mut bytes, what)?;
        let [sign, amount @ ..] = bytes;
        let amount = i64::from(u32::from_le_bytes(amount));
        let number = match sign {
            0 => i32::try_from(amount).ok(),
            1 if amount > 0 => i32::try_from(-amount).ok(),
            _ => None,
        };
        number.ok_or_else(|| structure(format_args!("there is no number at byte {start} of the dump, in {what}")))
    }

    /// Skips a string; whether there is one.
    fn string(&mut self, what: &str) -> Result<bool, Fault> {
        Ok(self.text(what)?.is_some())
    }

    /// Reads a string: its first bytes.
    fn text(&mut self, what: &str) -> Result<Option<Vec<u8>>, Fault> {
        let start = self.source.position;
        let length = self.int(what)?;
        if length == -1 {
            return Ok(None);
        }
        let length = u64::try_from(length).ok().filter(|length| *length <= LONGEST).ok_or_else(|| {
            structure(format_args!("a text of {length} bytes at byte {start} of the dump, in {what}"))
        })?;
        let mut text = vec![0; length.min(KEPT) as usize];
        self.source.fill(&mut text, what)?;
        self.source.skip(length - text.len() as u64, what)?;
        Ok(Some(text))
    }

    /// Reads a string that must be `true` or `false`: one field more or less, and it is something else.
    fn truth(&mut self, what: &str) -> Result<bool, Fault> {
        let length = self.int(what)?;
        if !matches!(length, 4 | 5) {
            return Ok(false);
        }
        let mut text = [0; 5];
        let text = &mut text[..length as usize];
        self.source.fill(text, what)?;
        Ok(matches!(&*text, b"true" | b"false"))
    }

    fn offset(&mut self, what: &str) -> Result<(u8, u64), Fault> {
        let state = self.source.byte(what)?;
        let mut bytes = [0; 8];
        self.source.fill(&mut bytes[..self.offset_size], what)?;
        Ok((state, u64::from_le_bytes(bytes)))
    }
}

struct Blocks<'s, 'a, S: ?Sized> {
    dump: Reader<'s, 'a, S>,
    inner: Inner,
    entries: u64,
    pending: Vec<Pending>,
    left: usize,
}

impl<S: Stream + ?Sized> Blocks<'_, '_, S> {
    fn check(mut self, findings: &mut Findings) -> Result<(), Fault> {
        while self.left > 0 {
            let start = self.dump.source.position;
            if self.dump.source.at_end()? {
                return Err(self.missing(start));
            }
            self.block(start)?;
        }
        let start = self.dump.source.position;
        if !self.dump.source.at_end()? && !self.contents_again()? {
            let text = format!("something follows the data of the dump from byte {start} on; pg_restore ignores it");
            findings.say(Kind::TrailingPadding, text);
        }
        Ok(())
    }

    /// Whether the rest is the table of contents again, and nothing else.
    ///
    /// `pg_dump` writes it once more in place when it knows where the data is. Since version 16 it opens its standard
    /// output for appending, so with `pg_dump -Fc > file` the second one comes last. `pg_restore` doesn't look at it.
    fn contents_again(&mut self) -> Result<bool, Fault> {
        match self.dump.contents(None) {
            Ok(entries) => Ok(entries == self.entries && self.dump.source.at_end()?),
            Err(Fault::Wrong(_)) => Ok(false),
            Err(stop) => Err(stop),
        }
    }

    fn missing(&self, position: u64) -> Fault {
        let first = self.pending.iter().find(|entry| !entry.seen).map_or(0, |entry| entry.id);
        let text =
            format!("the dump ends at byte {position}, before the data of {} entries, such as {first}", self.left);
        Fault::wrong(Kind::Truncated, text)
    }

    fn block(&mut self, start: u64) -> Result<(), Fault> {
        let kind = self.dump.source.byte("a block of data")?;
        if !matches!(kind, BLOCK_DATA | BLOCK_BLOBS) {
            return Err(structure(format_args!("no block of data begins at byte {start} of the dump")));
        }
        let id = self.dump.int("a block of data")?;
        self.announce(id, start)?;
        if kind == BLOCK_DATA {
            return self.pieces(true);
        }
        while self.dump.int("large objects")? != 0 {
            self.pieces(false)?;
        }
        Ok(())
    }

    /// The block of an entry begins: it must be one that is still to come, and here.
    fn announce(&mut self, id: i32, start: u64) -> Result<(), Fault> {
        let found = u32::try_from(id).ok().and_then(|id| self.pending.binary_search_by_key(&id, |entry| entry.id).ok());
        let Some(entry) = found.and_then(|index| self.pending.get_mut(index)).filter(|entry| !entry.seen) else {
            return Err(structure(format_args!("the data at byte {start} of the dump is of an unexpected entry {id}")));
        };
        // Four bytes can't say where in a larger dump it is; such a dump is read from its beginning on.
        let here = if self.dump.offset_size == 4 { start & u64::from(u32::MAX) } else { start };
        if entry.offset != NOWHERE && entry.offset != here {
            let offset = entry.offset;
            return Err(structure(format_args!(
                "the data of entry {id} is at byte {start} of the dump, not at {offset}"
            )));
        }
        entry.seen = true;
        self.left -= 1;
        Ok(())
    }

    /// The data of a table or of a large object.
    fn pieces(&mut self, text: bool) -> Result<(), Fault> {
        self.inner.begin(text)?;
        loop {
            let start = self.dump.source.position;
            let length = self.dump.int("a block of data")?;
            let mut left = usize::try_from(length).map_err(|_| {
                structure(format_args!("a piece of data of {length} bytes at byte {start} of the dump"))
            })?;
            self.dump.source.landmark();
            if left == 0 {
                return self.inner.end(self.dump.source.position);
            }
            while left > 0 {
                let position = self.dump.source.position;
                let chunk = self.dump.source.chunk()?;
                let count = chunk.len().min(left).min(PIECE);
                if count == 0 {
                    return Err(self.dump.source.ends_in("a block of data"));
                }
                self.inner.feed(&chunk[..count], position + count as u64)?;
                self.dump.source.consume(count);
                left -= count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_entries_take_little() {
        assert!(size_of::<Pending>() * MOST_BLOCKS <= 16 << 20);
    }
}
