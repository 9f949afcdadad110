//! What a file of a database dump holds once it is decompressed: which format, and whether it is whole.
//!
//! | format | how its end is known |
//! |---|---|
//! | `pg_dump`, `pg_dumpall` as SQL | a comment that is written last |
//! | `mysqldump`, `mariadb-dump` | a comment that is written last, unless comments were switched off |
//! | `.dump` of the SQLite shell | `COMMIT;` |
//! | SQLite database | the page count in its header, and every page that its schema leads to, with its `-wal` or `-journal` |
//! | `pg_dump` custom format | every data block that its table of contents announces |
//! | `mongodump --archive` | the end of every collection that it begins with |
//! | `xbstream` | the end of every file, and the files that are written last |
//! | `pg_dump` tar format | every member that its table of contents names, and the end of the archive |
//!
//! Sources: PostgreSQL `src/bin/pg_dump/{pg_dump,pg_dumpall}.c` and `pg_backup_{archiver,custom}.c`; MySQL
//! `client/mysqldump.c` (`write_header`, `write_footer`); SQLite `src/shell.c.in` and <https://sqlite.org/fileformat2.html>.

use jiff::civil::DateTime;

use super::beside::Companions;
use super::stream::{self, Stop, Stream, drain, read_full};
use crate::domain::finding::{Finding, Findings, Kind};

mod inner;
mod misread;
mod mongodump;
mod pg_custom;
mod pg_tar;
mod sql;
mod sqlite;
mod xbstream;

pub(super) use self::pg_custom::contents;
pub(super) use self::pg_tar::begins as begins_pg_tar;
pub(super) use self::sql::whole_statements;

/// Bytes of the beginning that tell the format.
const HEAD: usize = 8 << 10;

/// So much is read on after damage was found.
const AFTER_DAMAGE: u64 = 256 << 20;

/// Name of a format that isn't known.
const UNKNOWN: &str = "unknown";

/// What a dump is, as far as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its format: `pg_dump-sql`, `pg_dumpall-sql`, `pg_dump-custom`, `pg_dump-tar`, `pg_dump-toc`, `mysqldump-sql`, `sqlite-sql`,
    /// `sqlite`, `mongodump`, `xbstream`, `sql`, `text` or `unknown`.
    pub format: &'static str,
    /// Whether it can be told that the dump is whole. If not, no finding of damage proves nothing.
    pub end_known: bool,
    /// Whether anything of its content was checked.
    pub understood: bool,
    /// Its bytes.
    pub unpacked: u64,
    /// Entries of its table of contents.
    pub members: Option<u64>,
    /// When it was made, by what is written in it: the local time of the machine that made it.
    pub created: Option<DateTime>,
}

/// Checks a dump and consumes the stream to its end. What is wrong with the dump becomes a finding; an error is only
/// what the stream itself had to say, or a limit.
pub fn check(stream: &mut (impl Stream + ?Sized), findings: &mut Findings) -> Result<Summary, Stop> {
    check_promised(stream, false, findings)
}

/// The same of a file whose name promises a dump, or doesn't.
pub fn check_promised(
    stream: &mut (impl Stream + ?Sized),
    promised: bool,
    findings: &mut Findings,
) -> Result<Summary, Stop> {
    check_beside(stream, &mut Companions::default(), promised, findings)
}

/// The same, with what lies beside it if it is a database.
pub fn check_beside(
    stream: &mut (impl Stream + ?Sized),
    companions: &mut Companions<'_>,
    promised: bool,
    findings: &mut Findings,
) -> Result<Summary, Stop> {
    let mut head = vec![0; HEAD];
    let filled = read_full(stream, &mut head)?;
    head.truncate(filled);
    let mut summary =
        Summary { format: UNKNOWN, end_known: false, understood: false, unpacked: 0, members: None, created: None };
    let mut source = Source { whole: filled < HEAD, head, used: 0, rest: stream, position: 0, promised };
    match dispatch(&mut source, companions, &mut summary, findings) {
        Ok(()) => drain(&mut source)?,
        Err(Fault::Wrong(finding)) => {
            findings.add(finding);
            // Whether the decompressor agrees is worth a little more reading.
            stream::skip(&mut source, AFTER_DAMAGE)?
        }
        Err(Fault::Stop(stop)) => return Err(stop),
    };
    summary.unpacked = source.position;
    Ok(summary)
}

fn dispatch<S: Stream + ?Sized>(
    source: &mut Source<'_, S>,
    companions: &mut Companions<'_>,
    summary: &mut Summary,
    findings: &mut Findings,
) -> Result<(), Fault> {
    if source.head.is_empty() {
        return Err(Fault::wrong(Kind::Empty, "the dump has no content"));
    }
    for (magic, format) in [
        (pg_custom::MAGIC, pg_custom::FORMAT),
        (sqlite::MAGIC, sqlite::FORMAT),
        (mongodump::MAGIC, mongodump::FORMAT),
        (xbstream::MAGIC, xbstream::FORMAT),
    ] {
        if source.whole && source.head.len() < magic.len() && magic.starts_with(&source.head) {
            (summary.format, summary.end_known) = (format, true);
            let text = format!("the file ends after {} bytes, in the middle of its first mark", source.head.len());
            return Err(Fault::wrong(Kind::Truncated, text));
        }
    }
    if source.head.starts_with(pg_custom::MAGIC) {
        pg_custom::check(source, summary, findings)
    } else if source.head.starts_with(sqlite::MAGIC) {
        sqlite::check(source, companions, summary, findings)
    } else if source.head.starts_with(mongodump::MAGIC) {
        mongodump::check(source, summary, findings)
    } else if source.head.starts_with(xbstream::MAGIC) {
        xbstream::check(source, summary, findings)
    } else if pg_tar::begins(&source.head) {
        pg_tar::check(source, summary, findings)
    } else if pg_custom::lacks_mark(&source.head) {
        let text = "the file is a custom dump of pg_dump but for its first mark, “PGDMP”: pg_restore refuses it";
        Err(Fault::wrong(Kind::DumpStructure, text))
    } else if sqlite::lacks_mark(&source.head) {
        let text = "the file is an SQLite database but for its first mark: SQLite refuses it";
        Err(Fault::wrong(Kind::DumpStructure, text))
    } else if let Some(why) = misread::as_something_else(&source.head, source.whole, source.promised) {
        Err(Fault::wrong(Kind::DumpStructure, why))
    } else if let Some(dialect) = sql::recognise(&source.head, source.whole) {
        sql::check(source, dialect, summary, findings)
    } else {
        unknown(source, findings)
    }
}

/// Of a format that isn't known only one thing can be told: whether there is anything but zeros, which a file system
/// leaves where a file had its length but not its content when the power went.
fn unknown<S: Stream + ?Sized>(source: &mut Source<'_, S>, findings: &mut Findings) -> Result<(), Fault> {
    if source.promised && !source.whole && source.head.iter().all(|byte| *byte == 0) {
        let text = format!("it is named as a dump and begins with {} zero bytes", source.head.len());
        return Err(Fault::wrong(Kind::Empty, text));
    }
    let mut zeros = true;
    loop {
        let chunk = source.chunk()?;
        if chunk.is_empty() {
            break;
        }
        zeros = zeros && chunk.iter().all(|byte| *byte == 0);
        let count = chunk.len();
        source.consume(count);
    }
    if zeros {
        let text = format!("the dump is {} zero bytes and nothing else", source.position);
        return Err(Fault::wrong(Kind::Empty, text));
    }
    findings
        .say(Kind::NoEndKnown, "what follows the decompression is of no known format: that it is whole can't be told");
    Ok(())
}

/// Why a check ends early: the dump is wrong, or its bytes can't be had.
enum Fault {
    Wrong(Finding),
    Stop(Stop),
}

impl Fault {
    fn wrong(kind: Kind, text: impl std::fmt::Display) -> Self {
        Self::Wrong(Finding::new(kind, text))
    }
}

impl From<Stop> for Fault {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// The stream with its beginning given back, and counted.
struct Source<'a, S: ?Sized> {
    head: Vec<u8>,
    /// Whether the beginning is all there is.
    whole: bool,
    used: usize,
    rest: &'a mut S,
    position: u64,
    /// Whether the name of the file promises a dump.
    promised: bool,
}

impl<S: Stream + ?Sized> Source<'_, S> {
    /// Fills the buffer, or says in the middle of what the dump ends.
    fn fill(&mut self, buffer: &mut [u8], what: &str) -> Result<(), Fault> {
        let filled = read_full(self, buffer)?;
        if filled < buffer.len() { Err(self.ends_in(what)) } else { Ok(()) }
    }

    fn byte(&mut self, what: &str) -> Result<u8, Fault> {
        let mut byte = [0];
        self.fill(&mut byte, what)?;
        Ok(byte[0])
    }

    fn skip(&mut self, count: u64, what: &str) -> Result<(), Fault> {
        let skipped = stream::skip(self, count)?;
        if skipped < count { Err(self.ends_in(what)) } else { Ok(()) }
    }

    fn at_end(&mut self) -> Result<bool, Stop> {
        Ok(self.chunk()?.is_empty())
    }

    fn ends_in(&self, what: &str) -> Fault {
        Fault::wrong(Kind::Truncated, format_args!("the dump ends at byte {}, in the middle of {what}", self.position))
    }
}

impl<S: Stream + ?Sized> Stream for Source<'_, S> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        if self.used < self.head.len() { Ok(&self.head[self.used..]) } else { self.rest.chunk() }
    }

    fn consume(&mut self, count: usize) {
        if self.used < self.head.len() {
            self.used += count;
        } else {
            self.rest.consume(count);
        }
        self.position += count as u64;
    }

    fn landmark(&mut self) {
        self.rest.landmark();
    }
}

#[cfg(test)]
mod tests;
