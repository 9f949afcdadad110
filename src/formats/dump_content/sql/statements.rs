//! A file of whole statements, with no header and no mark at its end.

use super::script::{Rest, Rules, Said, Script};
use crate::domain::finding::Kind;
use crate::domain::printable::printable;
use crate::formats::stream::{Stop, Stream};

/// Reads statements for MySQL to the end; the last one must have one. Whether any of them creates something.
pub(in crate::formats) fn whole_statements(stream: &mut dyn Stream) -> Result<bool, Stop> {
    let mut script = Script::new(Rules::MySql);
    let (mut position, mut last) = (0_u64, None);
    let mut creates = false;
    loop {
        let chunk = stream.chunk()?;
        if chunk.is_empty() {
            break;
        }
        if let Some(at) = memchr::memchr(0, chunk) {
            let at = position + at as u64;
            return Err(Stop::damaged(Kind::DumpStructure, format_args!("there is a zero byte at {at} in the text")));
        }
        script.feed(chunk, &mut |said| {
            creates |= matches!(said, Said::Statement { text, .. } if is_create(text));
            false
        });
        last = chunk.iter().rev().find(|byte| !byte.is_ascii_whitespace()).copied().or(last);
        let count = chunk.len();
        let has_line = memchr::memchr(b'\n', chunk).is_some();
        position += count as u64;
        stream.consume(count);
        if has_line {
            stream.landmark();
        }
    }
    match script.finish(&mut |_| false) {
        Rest::Nothing if last == Some(b';') => Ok(creates),
        Rest::Nothing if last.is_none() => Err(Stop::damaged(Kind::Empty, "there is nothing in it")),
        Rest::Nothing => Err(Stop::damaged(Kind::Truncated, "it doesn't end with a statement")),
        Rest::Statement(begin) => {
            let begin = printable(begin);
            Err(Stop::damaged(Kind::Truncated, format_args!("the last statement has no end: {begin}")))
        }
        Rest::Within(what) => Err(Stop::damaged(Kind::Truncated, format_args!("it ends in the middle of {what}"))),
    }
}

/// Whether a statement is a `CREATE`, perhaps in a comment that MySQL runs.
fn is_create(text: &[u8]) -> bool {
    const WORD: &[u8] = b"CREATE ";
    text.windows(WORD.len()).any(|window| window.eq_ignore_ascii_case(WORD))
}
