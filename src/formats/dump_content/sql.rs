//! Dumps that are text: whether the line is there that the program writes last.
//!
//! All of them write their end in one piece after the data, so a dump that has it has everything before. That line counts
//! only where it is a comment: rows may hold a text of the same look. Several dumps may be joined, each with its end;
//! whole statements may be before, between and behind them.

use jiff::civil::{Date, DateTime};
use memchr::memchr;

use self::ends::Ends;
use self::script::{Rest, Rules, SANDBOX, Script};

use super::{Fault, Source, Summary};
use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;
use crate::formats::stream::Stream;

mod ends;
mod message;
mod script;
mod statements;

pub(in crate::formats) use self::statements::whole_statements;
mod words;

/// Bytes of the end that are searched for the last line.
const TAIL: usize = 8 << 10;

const BOM: &[u8] = b"\xef\xbb\xbf";
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
    SANDBOX[0],
    SANDBOX[1],
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
    if let Some(dialect) = by_header(text, whole) {
        return Some(dialect);
    }
    let body = first_words(text);
    let sandbox = SANDBOX.iter().find_map(|line| body.strip_prefix(*line)).map(<[u8]>::trim_ascii_start);
    let rest = sandbox.unwrap_or(body);
    let begins = |beginning: &&[u8]| beginning.len() > rest.len() && beginning.starts_with(rest);
    if whole && BEGINNINGS.iter().any(begins) && !(rest.is_empty() && text.trim_ascii().is_empty()) {
        return Some(Dialect::Cut);
    }
    let first = lines(rest).find(|line| !line.is_empty() && !line.starts_with(b"--") && !line.starts_with(b"\\"));
    if first.is_some_and(|line| sandbox.is_some() || line.starts_with(b"/*!40")) {
        return Some(Dialect::MySqlBare);
    }
    if !has_only_text(text) {
        return None;
    }
    if words::holds_sql(body, whole) {
        return Some(Dialect::Sql);
    }
    is_utf8(text, whole).then_some(Dialect::Text)
}

/// Whether a text is the beginning of a dump of a known program.
pub(super) fn is_known(text: &[u8], whole: bool) -> bool {
    by_header(text, whole).is_some()
}

/// By the comment that names the program, or the first statements of `.dump`.
fn by_header(text: &[u8], whole: bool) -> Option<Dialect> {
    let mut pragma = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if !whole && !line.ends_with(b"\n") {
            return None;
        }
        let content = line.trim_ascii_end();
        if content == PG_DUMP {
            return Some(Dialect::PgDump);
        } else if content == PG_CLUSTER {
            return Some(Dialect::PgDumpAll);
        } else if begins_mysql(content) {
            return Some(Dialect::MySql);
        } else if pragma && content == SQLITE_BEGIN {
            return Some(Dialect::Sqlite);
        }
        pragma = content == SQLITE_PRAGMA;
    }
    None
}

/// What follows empty lines, messages of programs and `USE`.
fn first_words(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        let line = &text[..memchr(b'\n', text).unwrap_or(text.len())];
        if !message::is_message(line) && !line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"use ")) {
            return text;
        }
        text = &text[line.len()..];
    }
}

/// None of the control characters that no text has.
fn has_only_text(head: &[u8]) -> bool {
    !head.iter().any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31))
}

/// The last character may be cut.
fn is_utf8(head: &[u8], whole: bool) -> bool {
    match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && !whole,
    }
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
    summary.understood = dialect != Dialect::Text;
    let rules = match dialect {
        Dialect::PgDump | Dialect::PgDumpAll => Some(Rules::Postgres),
        Dialect::MySql | Dialect::MySqlBare => Some(Rules::MySql),
        Dialect::Sqlite => Some(Rules::Sqlite),
        Dialect::Cut | Dialect::Sql | Dialect::Text => None,
    };
    if dialect == Dialect::Text && source.promised {
        let first = lines(&source.head).find(|line| !line.is_empty()).unwrap_or_default();
        let text = format!(
            "it is named as a dump and holds no SQL, but a text that begins with “{}”",
            printable(&first[..first.len().min(100)])
        );
        return Err(Fault::wrong(Kind::DumpText, text));
    }
    let mut script = rules.map(Script::new);
    let mut ends = Ends::new(dialect);
    let mark = if source.head.starts_with(BOM) { BOM.len() } else { 0 };
    source.skip(mark as u64, "its beginning")?;
    // A text of an unknown program may be anything.
    let zeros_may_be = dialect == Dialect::Text;
    let tail = read(source, zeros_may_be, |bytes| {
        let Some(script) = &mut script else { return memchr(b';', bytes).is_some() };
        let before = script.lines;
        script.feed(bytes, &mut |said| ends.hear(said));
        script.lines > before
    })?;
    let rest = script.as_mut().map_or(Rest::Nothing, |script| script.finish(&mut |said| ends.hear(said)));
    match dialect {
        Dialect::PgDump | Dialect::PgDumpAll | Dialect::MySql | Dialect::Sqlite => {
            summary.created = ends.created;
            ends.judge(&rest, findings)?;
            behind_the_end(&rest, findings)
        }
        Dialect::Cut => {
            let first = lines(&tail).find(|line| !line.is_empty()).unwrap_or_default();
            let shown = printable(&first[..first.len().min(100)]);
            Err(incomplete(format_args!("the dump ends within its first lines: “{shown}”")))
        }
        Dialect::MySqlBare => {
            ends.judge(&rest, findings)?;
            summary.end_known = rest == Rest::Nothing && settings_restored(&tail);
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

/// What follows the end of the last dump must be whole statements.
fn behind_the_end(rest: &Rest<'_>, findings: &mut Findings) -> Result<(), Fault> {
    match rest {
        Rest::Nothing => Ok(()),
        Rest::Within(what) => {
            Err(incomplete(format_args!("something follows the end of the dump that ends within {what}")))
        }
        Rest::Statement(text) => {
            let shown = printable(&text[..text.len().min(40)]);
            if words::may_begin_statement(text) {
                return Err(incomplete(format_args!(
                    "a statement without its end follows the end of the dump: {shown}…"
                )));
            }
            findings.say(
                Kind::TrailingBytes,
                format_args!("something that is no statement follows the end of the dump: {shown}"),
            );
            Ok(())
        }
    }
}

/// Reads everything, showing it on the way, which tells whether it had any structure; the last complete lines. A zero byte ends it: no program that writes SQL
/// writes any, and none that reads it takes one; a file system leaves them where it lost what was written, and a small
/// file may become any number of them.
fn read<S: Stream + ?Sized>(
    source: &mut Source<'_, S>,
    zeros_may_be: bool,
    mut show: impl FnMut(&[u8]) -> bool,
) -> Result<Vec<u8>, Fault> {
    let mut tail = Vec::with_capacity(2 * TAIL);
    loop {
        let position = source.position;
        let chunk = source.chunk()?;
        if chunk.is_empty() {
            break;
        }
        if let Some(at) = memchr(0, chunk).filter(|_| !zeros_may_be) {
            let at = position + at as u64;
            let text =
                format!("there is a zero byte at {at}: no such dump has any, and the programs that read it refuse it");
            return Err(Fault::wrong(Kind::DumpStructure, text));
        }
        let structured = show(chunk);
        let new = &chunk[chunk.len().saturating_sub(TAIL)..];
        if tail.len() + new.len() > 2 * TAIL {
            tail.drain(..tail.len().saturating_sub(TAIL));
        }
        tail.extend_from_slice(new);
        let count = chunk.len();
        source.consume(count);
        if structured {
            source.landmark();
        }
    }
    tail.drain(..tail.len().saturating_sub(TAIL));
    if source.position > TAIL as u64 {
        // Its first line may have begun before.
        let line = memchr(b'\n', &tail).map_or(tail.len(), |at| at + 1);
        tail.drain(..line);
    }
    Ok(tail)
}

fn incomplete(text: impl std::fmt::Display) -> Fault {
    Fault::wrong(Kind::DumpIncomplete, text)
}

fn begins_mysql(line: &[u8]) -> bool {
    line.starts_with(MYSQL) || line.starts_with(MARIADB)
}

/// What follows `-- Dump completed`: nothing, or ` on 2024-01-31  2:00:05`, the hour padded with a blank. `None` if it is
/// anything else; where the text ends within it nothing is missing but the rest of the date.
fn completed(rest: &[u8], whole: bool) -> Option<Option<DateTime>> {
    if rest.is_empty() || (!whole && b" on ".starts_with(rest)) {
        return Some(None);
    }
    let date = rest.strip_prefix(b" on ")?;
    date.iter().all(|byte| matches!(byte, b'0'..=b'9' | b' ' | b'-' | b':')).then(|| time(date))
}

fn time(text: &[u8]) -> Option<DateTime> {
    let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
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

#[cfg(test)]
mod tests;
