//! Dumps that something on their way took for what they aren't: text in another encoding, or lines put before them.

use super::{pg_custom, sql, sqlite};

/// The marks of dumps that aren't text.
const MARKS: [&[u8]; 2] = [pg_custom::MAGIC, sqlite::MAGIC];

/// What is wrong with a dump that no client takes as it lies there; `None` where there is nothing like that.
///
/// `promised`: the name says that it is a dump.
pub(super) fn as_something_else(head: &[u8], whole: bool, promised: bool) -> Option<String> {
    if let Some(text) = from_utf16(head) {
        let known = MARKS.iter().any(|mark| text.starts_with(mark)) || sql::is_known(&text, whole);
        // `sqlcmd` reads what SQL Server's own tools write.
        if known || (promised && !is_of_sql_server(&text)) {
            let text = "it is UTF-16, as PowerShell writes what a program gives it: the clients of the database refuse it, and what was no text is lost";
            return Some(text.to_owned());
        }
        return None;
    }
    let at = pg_custom::behind_text(head).or_else(|| memchr::memmem::find(head, sqlite::MAGIC))?;
    let before = &head[..at];
    let is_text = at > 0 && std::str::from_utf8(before).is_ok() && !before.contains(&0);
    let shown = crate::domain::printable::printable(before[..at.min(100)].trim_ascii());
    is_text
        .then(|| format!("a dump begins at byte {at}, behind “{shown}”, and not where it is looked for: it is refused"))
}

/// The low bytes of text in UTF-16, which has its mark at the beginning or a zero in every second byte.
fn from_utf16(head: &[u8]) -> Option<Vec<u8>> {
    let (body, low) = match head {
        [0xff, 0xfe, body @ ..] => (body, 0),
        [0xfe, 0xff, body @ ..] => (body, 1),
        [_, 0, _, 0, ..] => (head, 0),
        [0, _, 0, _, ..] => (head, 1),
        _ => return None,
    };
    let pairs = || body.chunks_exact(2);
    let plain = |pair: &[u8]| pair[1 - low] == 0 && pair[low] != 0;
    // The beginning of a dump is ASCII, also of one that isn't text.
    let begins = pairs().next().is_some() && pairs().take(4).all(plain);
    let text: Vec<u8> = pairs().map(|pair| pair[low]).collect();
    let marked = body.len() < head.len() || MARKS.iter().any(|mark| text.starts_with(mark));
    (begins && (marked || pairs().take(64).all(plain))).then_some(text)
}

fn is_of_sql_server(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.any(|line| line.eq_ignore_ascii_case(b"go") || line.starts_with(b"/****** Object:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, mark: bool, big: bool) -> Vec<u8> {
        let units = text.encode_utf16().collect::<Vec<_>>();
        let units = mark.then_some(0xfeff).into_iter().chain(units);
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn utf_16_of_every_sort() {
        let dump = "-- MySQL dump 10.13\nCREATE TABLE t (a int);\n".repeat(3);
        for (mark, big) in [(true, false), (true, true), (false, false), (false, true)] {
            assert!(as_something_else(&utf16(&dump, mark, big), true, false).is_some(), "{mark} {big}");
            assert!(as_something_else(&utf16("some, text, of, a, table\n", mark, big), true, true).is_some());
            assert!(as_something_else(&utf16("some, text, of, a, table\n", mark, big), true, false).is_none());
            assert!(as_something_else(&utf16("USE [a]\r\nGO\r\n", mark, big), true, true).is_none());
        }
        assert!(as_something_else(b"-- MySQL dump\n", true, true).is_none());
        assert!(as_something_else(b"\xff\xfe", true, true).is_none());
    }

    #[test]
    fn text_before_a_mark() {
        let custom = b"PGDMP\x01\x0e\x00\x04\x08\x01";
        assert!(as_something_else(&[b"noise\n".as_slice(), custom].concat(), true, false).is_some());
        assert!(as_something_else(b"Warning: x\nSQLite format 3\0\x10\0", true, false).is_some());
        // Members of archives, and texts about dumps.
        assert!(as_something_else(&[[0; 512].as_slice(), custom].concat(), true, true).is_none());
        assert!(as_something_else(b"a dump begins with PGDMP and SQLite with SQLite format 3", true, true).is_none());
    }
}
