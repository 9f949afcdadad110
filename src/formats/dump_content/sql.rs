//! Dumps that are text: whether the line is there that the program writes last.
//!
//! All of them write their end in one piece after the data, so a dump that has it has everything before. That line counts
//! only where it is a comment: rows may hold a text of the same look. Several dumps may be joined, each with its end;
//! whole statements may be before, between and behind them.

use jiff::civil::{Date, DateTime};
use memchr::memchr;

use self::script::{ASIDE, Rest, Rules, Said, Script};

use super::{Fault, Source, Summary};
use crate::domain::finding::{Findings, Kind};
use crate::formats::printable::printable;
use crate::formats::stream::Stream;

mod script;
mod statements;

pub(in crate::formats) use self::statements::whole_statements;

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

/// What the beginning says, and where the dump begins in it; `None` if it is no text. `whole`: the beginning is all there
/// is.
pub(super) fn recognise(head: &[u8], whole: bool) -> Option<(Dialect, usize)> {
    let text = head.strip_prefix(BOM).unwrap_or(head);
    if let Some((dialect, at)) = by_header(text, whole) {
        return Some((dialect, head.len() - text.len() + at));
    }
    let body = first_words(text);
    let at = head.len() - body.len();
    let sandbox = body.strip_prefix(SANDBOX).map(<[u8]>::trim_ascii_start);
    let rest = sandbox.unwrap_or(body);
    let begins = |beginning: &&[u8]| beginning.len() > rest.len() && beginning.starts_with(rest);
    if whole && BEGINNINGS.iter().any(begins) && !(rest.is_empty() && text.trim_ascii().is_empty()) {
        return Some((Dialect::Cut, at));
    }
    let first = lines(rest).find(|line| !line.is_empty() && !line.starts_with(b"--") && !line.starts_with(b"\\"));
    if first.is_some_and(|line| sandbox.is_some() || line.starts_with(b"/*!40")) {
        return Some((Dialect::MySqlBare, at));
    }
    let word = |word: &&[u8]| body.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let dialect = if WORDS.iter().any(word) { Dialect::Sql } else { Dialect::Text };
    is_text(text, whole).then_some((dialect, at))
}

/// The comment that names the program, or the first statements of `.dump`, and where.
fn by_header(text: &[u8], whole: bool) -> Option<(Dialect, usize)> {
    let (mut at, mut pragma) = (0, None);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if !whole && !line.ends_with(b"\n") {
            return None;
        }
        let content = line.trim_ascii_end();
        if content == PG_DUMP {
            return Some((Dialect::PgDump, at));
        } else if content == PG_CLUSTER {
            return Some((Dialect::PgDumpAll, at));
        } else if begins_mysql(content) {
            return Some((Dialect::MySql, at));
        } else if let Some(pragma) = pragma.filter(|_| content == SQLITE_BEGIN) {
            return Some((Dialect::Sqlite, pragma));
        }
        pragma = (content == SQLITE_PRAGMA).then_some(at);
        at += line.len();
    }
    None
}

/// What follows empty lines, messages of programs and `USE`.
fn first_words(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        let aside = ASIDE.iter().any(|aside| text.starts_with(aside));
        if !aside && !text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"use ")) {
            return text;
        }
        text = &text[memchr(b'\n', text).unwrap_or(text.len())..];
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
    (dialect, at): (Dialect, usize),
    summary: &mut Summary,
    findings: &mut Findings,
) -> Result<(), Fault> {
    summary.format = dialect.format();
    summary.end_known = !matches!(dialect, Dialect::MySqlBare | Dialect::Sql | Dialect::Text);
    let rules = match dialect {
        Dialect::PgDump | Dialect::PgDumpAll => Some(Rules::Postgres),
        Dialect::MySql | Dialect::MySqlBare => Some(Rules::MySql),
        Dialect::Sqlite => Some(Rules::Sqlite),
        Dialect::Cut | Dialect::Sql | Dialect::Text => None,
    };
    let mut script = rules.map(Script::new);
    let mut ends = Ends::default();
    source.skip(at as u64, "its beginning")?;
    let (tail, zero) = read(source, |bytes| {
        if let Some(script) = &mut script {
            script.feed(bytes, &mut |said| ends.hear(said));
        }
    })?;
    let rest = script.as_mut().map_or(Rest::Nothing, |script| script.finish(&mut |said| ends.hear(said)));
    if let Some(at) = zero.filter(|_| !matches!(dialect, Dialect::Sql | Dialect::Text)) {
        let text =
            format!("there is a zero byte at {at}: no such dump has any, and the programs that read it refuse it");
        findings.say(Kind::DumpStructure, text);
    }
    match dialect {
        Dialect::PgDump | Dialect::PgDumpAll | Dialect::MySql | Dialect::Sqlite => {
            summary.created = ends.created;
            ends.judge(dialect)?;
            behind_the_end(&rest, findings)
        }
        Dialect::Cut => Err(incomplete("the dump ends within its first lines")),
        Dialect::MySqlBare => {
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

/// Which dumps have begun, and which of them have ended.
#[derive(Debug, Default)]
struct Ends {
    dump: bool,
    /// One of a PostgreSQL cluster, with dumps in it.
    cluster: bool,
    /// One has begun though another had no end.
    cut: bool,
    rolled_back: bool,
    created: Option<DateTime>,
}

impl Ends {
    /// Whether it was a beginning or an end.
    fn hear(&mut self, said: Said<'_>) -> bool {
        match said {
            Said::Comment(line, _) if line == PG_DUMP || begins_mysql(line) => {
                self.cut |= self.dump;
                self.dump = true;
            }
            Said::Comment(line, _) if line == PG_CLUSTER => {
                self.cut |= self.dump || self.cluster;
                self.cluster = true;
            }
            Said::Comment(PG_DUMP_END, _) => self.dump = false,
            Said::Comment(PG_CLUSTER_END, _) => self.cluster = false,
            Said::Comment(line, whole) => {
                let Some(rest) = line.strip_prefix(MYSQL_END) else { return false };
                let Some(created) = completed(rest, whole) else { return false };
                (self.dump, self.created) = (false, created);
            }
            Said::Statement(b"BEGIN TRANSACTION") => {
                self.cut |= self.dump;
                self.dump = true;
            }
            Said::Statement(b"COMMIT") => self.dump = false,
            Said::Statement(b"ROLLBACK") => self.rolled_back = true,
            Said::Statement(_) => {}
        }
        true
    }

    fn judge(&self, dialect: Dialect) -> Result<(), Fault> {
        let last = match dialect {
            Dialect::MySql => MYSQL_END,
            Dialect::Sqlite => b"COMMIT;",
            _ if self.cluster && !self.dump => PG_CLUSTER_END,
            _ => PG_DUMP_END,
        };
        let last = String::from_utf8_lossy(last);
        if dialect == Dialect::Sqlite && self.rolled_back {
            return Err(incomplete("the dump ends with “ROLLBACK;”: the database could not be read to its end"));
        }
        if self.dump || self.cluster {
            return Err(incomplete(format_args!(
                "the dump lacks its last line “{last}”: it was cut off, or the program that wrote it failed"
            )));
        }
        if self.cut {
            return Err(incomplete(format_args!(
                "several dumps are joined, and one lacks its last line “{last}”: it was cut off"
            )));
        }
        Ok(())
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
            let word = |word: &&[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
            let shown = printable(&text[..text.len().min(40)]);
            if WORDS.iter().any(word) {
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

/// Reads everything, showing it on the way; the last complete lines, and where the first zero byte is.
fn read<S: Stream + ?Sized>(
    source: &mut Source<'_, S>,
    mut show: impl FnMut(&[u8]),
) -> Result<(Vec<u8>, Option<u64>), Fault> {
    let mut tail = Vec::with_capacity(2 * TAIL);
    let mut zero = None;
    loop {
        let position = source.position;
        let chunk = source.chunk()?;
        if chunk.is_empty() {
            break;
        }
        zero = zero.or_else(|| memchr(0, chunk).map(|at| position + at as u64));
        show(chunk);
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
