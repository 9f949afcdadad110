//! A file of whole statements, with no header and no mark at its end.

use super::script::{Rest, Rules, Script};
use crate::domain::finding::Kind;
use crate::domain::printable::printable;
use crate::formats::stream::{Stop, Stream};

/// Reads statements for MySQL to the end; the last one must have one.
pub(in crate::formats) fn whole_statements(stream: &mut dyn Stream) -> Result<(), Stop> {
    let mut script = Script::new(Rules::MySql);
    let (mut position, mut last) = (0_u64, None);
    loop {
        let chunk = stream.chunk()?;
        if chunk.is_empty() {
            break;
        }
        if let Some(at) = memchr::memchr(0, chunk) {
            let at = position + at as u64;
            return Err(Stop::damaged(Kind::DumpStructure, format_args!("there is a zero byte at {at} in the text")));
        }
        script.feed(chunk, &mut |_| false);
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
        Rest::Nothing if last == Some(b';') => Ok(()),
        Rest::Nothing if last.is_none() => Err(Stop::damaged(Kind::Empty, "there is nothing in it")),
        Rest::Nothing => Err(Stop::damaged(Kind::Truncated, "it doesn't end with a statement")),
        Rest::Statement(begin) => {
            let begin = printable(begin);
            Err(Stop::damaged(Kind::Truncated, format_args!("the last statement has no end: {begin}")))
        }
        Rest::Within(what) => Err(Stop::damaged(Kind::Truncated, format_args!("it ends in the middle of {what}"))),
    }
}
