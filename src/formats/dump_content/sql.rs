//! Dumps that are text: whether the line is there that the program writes last.
//!
//! All of them write their end in one piece after the data, so a dump that has it has everything before. Other text may
//! follow: `pg_dump` since August 2025 writes `\unrestrict TOKEN` behind its last comment, scripts add a line of their
//! own. What must not follow is the beginning of another dump, which would be one without its end.

use jiff::civil::{Date, DateTime};
use memchr::memchr;

use super::{Fault, Source, Summary};
use crate::domain::finding::{Findings, Kind};
use crate::formats::stream::Stream;

/// Bytes of the end that are searched for the last line.
const TAIL: usize = 8 << 10;

const BOM: &[u8] = b"\xef\xbb\xbf";
/// First line of newer dumps of MariaDB: an old client must not read on, since the rest could make it run programs.
const SANDBOX: &[u8] = b"/*M!999999\\- enable the sandbox mode */";
const PG_DUMP: &[u8] = b"-- PostgreSQL database dump";
const PG_DUMP_END: &[u8] = b"-- PostgreSQL database dump complete";
const PG_CLUSTER: &[u8] = b"-- PostgreSQL database cluster dump";
const PG_CLUSTER_END: &[u8] = b"-- PostgreSQL database cluster dump complete";
const MYSQL: &[u8] = b"-- MySQL dump";
const MARIADB: &[u8] = b"-- MariaDB dump";
const MYSQL_END: &[u8] = b"-- Dump completed";
const SQLITE_PRAGMA: &[u8] = b"PRAGMA foreign_keys=OFF;";
const SQLITE_BEGIN: &[u8] = b"BEGIN TRANSACTION;";

/// Beginnings of the dumps whose end is known, up to where it is clear what they are.
const BEGINNINGS: &[&[u8]] = &[
    b"--\n-- PostgreSQL database dump\n",
    b"--\n-- PostgreSQL database cluster dump\n",
    b"-- MySQL dump",
    b"-- MariaDB dump",
    b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;",
    SANDBOX,
];

/// First words of SQL, to name a text.
const WORDS: &[&[u8]] = &[
    b"--",
    b"/*",
    b"alter",
    b"begin",
    b"connect",
    b"copy",
    b"create",
    b"delete",
    b"drop",
    b"grant",
    b"insert",
    b"lock",
    b"pragma",
    b"replace",
    b"select",
    b"set",
    b"start",
    b"truncate",
    b"update",
    b"use",
    b"\\",
];

/// What sort of text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    PgDump,
    PgDumpAll,
    MySql,
    /// `mysqldump --skip-comments` or `--compact`.
    MySqlBare,
    Sqlite,
    /// A dump that ends before it is clear what it is.
    Cut,
    Sql,
    Text,
}

impl Dialect {
    const fn format(self) -> &'static str {
        match self {
            Self::PgDump => "pg_dump-sql",
            Self::PgDumpAll => "pg_dumpall-sql",
            Self::MySql | Self::MySqlBare => "mysqldump-sql",
            Self::Sqlite => "sqlite-sql",
            Self::Cut | Self::Sql => "sql",
            Self::Text => "text",
        }
    }
}

/// What the beginning says; `None` if it is no text. `whole`: the beginning is all there is.
pub(super) fn recognise(head: &[u8], whole: bool) -> Option<Dialect> {
    let text = head.strip_prefix(BOM).unwrap_or(head);
    let body = text.strip_prefix(SANDBOX).map_or(text, <[u8]>::trim_ascii_start);
    if whole && BEGINNINGS.iter().any(|beginning| beginning.len() > body.len() && beginning.starts_with(body)) {
        return Some(Dialect::Cut);
    }
    by_first_lines(body, body.len() < text.len()).or_else(|| {
        let word = |word: &&[u8]| body.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        let dialect = if WORDS.iter().any(word) { Dialect::Sql } else { Dialect::Text };
        is_text(text, whole).then_some(dialect)
    })
}

/// The comment that names the program stands before the first statement.
fn by_first_lines(body: &[u8], sandbox: bool) -> Option<Dialect> {
    let mut lines = lines(body).filter(|line| !line.is_empty());
    let mut first = None;
    for line in lines.by_ref() {
        if line == PG_DUMP {
            return Some(Dialect::PgDump);
        } else if line == PG_CLUSTER {
            return Some(Dialect::PgDumpAll);
        } else if begins_mysql(line) {
            return Some(Dialect::MySql);
        } else if !line.starts_with(b"--") && !line.starts_with(b"\\") {
            first = Some(line);
            break;
        }
    }
    match first {
        Some(SQLITE_PRAGMA) if lines.next() == Some(SQLITE_BEGIN) => Some(Dialect::Sqlite),
        Some(line) if sandbox || line.starts_with(b"/*!40") => Some(Dialect::MySqlBare),
        _ => None,
    }
}

/// UTF-8 without the control characters that no text has; the last character may be cut.
fn is_text(head: &[u8], whole: bool) -> bool {
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && !whole,
    };
    valid && !head.iter().any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31))
}

fn lines(text: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end)
}

pub(super) fn check<S: Stream + ?Sized>(
    source: &mut Source<'_, S>,
    dialect: Dialect,
    summary: &mut Summary,
    findings: &mut Findings,
) -> Result<(), Fault> {
    summary.format = dialect.format();
    summary.end_known = !matches!(dialect, Dialect::MySqlBare | Dialect::Sql | Dialect::Text);
    let (tail, zero) = read(source)?;
    if let Some(at) = zero.filter(|_| !matches!(dialect, Dialect::Sql | Dialect::Text)) {
        let text =
            format!("there is a zero byte at {at}: no such dump has any, and the programs that read it refuse it");
        findings.say(Kind::DumpStructure, text);
    }
    match dialect {
        Dialect::PgDump => last_comment(&tail, begins_pg, PG_DUMP_END),
        // The dumps of the databases within have headers of their own, but all before the last comment.
        Dialect::PgDumpAll => last_comment(&tail, begins_pg, PG_CLUSTER_END),
        Dialect::MySql => {
            last_comment(&tail, begins_mysql, MYSQL_END)?;
            summary.created = completed(&tail);
            Ok(())
        }
        Dialect::Sqlite => sqlite_end(&tail),
        Dialect::Cut => Err(incomplete("the dump ends within its first lines")),
        Dialect::MySqlBare => {
            summary.end_known = settings_restored(&tail);
            if !summary.end_known {
                let text = "the dump was made without comments, so its end has no mark: that it is whole can't be told";
                findings.say(Kind::NoEndKnown, text);
            }
            Ok(())
        }
        Dialect::Sql | Dialect::Text => {
            findings.say(Kind::NoEndKnown, "text of an unknown program: that it is whole can't be told");
            Ok(())
        }
    }
}

/// Reads everything; the last complete lines, and where the first zero byte is.
fn read<S: Stream + ?Sized>(source: &mut Source<'_, S>) -> Result<(Vec<u8>, Option<u64>), Fault> {
    let mut tail = Vec::with_capacity(2 * TAIL);
    let mut zero = None;
    loop {
        let position = source.position;
        let chunk = source.chunk()?;
        if chunk.is_empty() {
            break;
        }
        zero = zero.or_else(|| memchr(0, chunk).map(|at| position + at as u64));
        let new = &chunk[chunk.len().saturating_sub(TAIL)..];
        if tail.len() + new.len() > 2 * TAIL {
            tail.drain(..tail.len().saturating_sub(TAIL));
        }
        tail.extend_from_slice(new);
        let count = chunk.len();
        source.consume(count);
    }
    tail.drain(..tail.len().saturating_sub(TAIL));
    if source.position > TAIL as u64 {
        // Its first line may have begun before.
        let line = memchr(b'\n', &tail).map_or(tail.len(), |at| at + 1);
        tail.drain(..line);
    }
    Ok((tail, zero))
}

fn incomplete(text: impl std::fmt::Display) -> Fault {
    Fault::wrong(Kind::DumpIncomplete, text)
}

/// Whether the end comes after the last beginning: dumps may be joined to one file, and all must be whole.
fn last_comment(tail: &[u8], begins: fn(&[u8]) -> bool, end: &[u8]) -> Result<(), Fault> {
    let mut complete = false;
    for line in lines(tail) {
        complete = line.starts_with(end) || (complete && !begins(line));
    }
    let name = String::from_utf8_lossy(end);
    let text =
        format_args!("the dump lacks its last line “{name}”: it was cut off, or the program that wrote it failed");
    if complete { Ok(()) } else { Err(incomplete(text)) }
}

fn begins_pg(line: &[u8]) -> bool {
    line == PG_DUMP || line == PG_CLUSTER
}

fn begins_mysql(line: &[u8]) -> bool {
    line.starts_with(MYSQL) || line.starts_with(MARIADB)
}

/// `-- Dump completed on 2024-01-31  2:00:05`, the hour padded with a blank.
fn completed(tail: &[u8]) -> Option<DateTime> {
    let line = lines(tail).rev().find_map(|line| line.strip_prefix(MYSQL_END)?.strip_prefix(b" on "))?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let date: Date = words.next()?.parse().ok()?;
    let mut clock = words.next()?.splitn(3, ':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    DateTime::new(date.year(), date.month(), date.day(), hour, minute, second, 0).ok()
}

/// Without comments, but not with `--compact`, the last statement puts back a setting that the first ones saved.
fn settings_restored(tail: &[u8]) -> bool {
    let last = lines(tail).rfind(|line| !line.is_empty()).unwrap_or_default();
    last.starts_with(b"/*") && (last.ends_with(b"=@OLD_SQL_NOTES */;") || last.ends_with(b"=@OLD_NOTE_VERBOSITY */;"))
}

fn sqlite_end(tail: &[u8]) -> Result<(), Fault> {
    match lines(tail).rfind(|line| !line.is_empty() && !line.starts_with(b"--")) {
        Some(b"COMMIT;") => Ok(()),
        Some(line) if line.starts_with(b"ROLLBACK;") => {
            Err(incomplete("the dump ends with “ROLLBACK;”: the database could not be read to its end"))
        }
        _ => Err(incomplete(
            "the dump lacks its last line “COMMIT;”: it was cut off, or the program that wrote it failed",
        )),
    }
}
