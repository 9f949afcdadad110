//! The classic parser: names of ASCII, and whatever stands behind the operator.

use super::{Matcher, Operator, Written};

/// What separates, for a regular expression of Go.
const SPACE: [char; 5] = ['\t', '\n', '\u{c}', '\r', ' '];

/// Reads a list. Braces at its very ends belong to it, with or without their partner.
pub(super) fn parse(text: &str) -> Result<Vec<Written>, String> {
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    let mut found = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            ',' if !quoted => {
                found.push(matcher(&text[start..at])?);
                start = at + 1;
            }
            // A comma in quotes leaves an escape open, as it does there.
            ',' => {}
            '"' if !escaped => quoted = !quoted,
            '"' => escaped = false,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        found.push(matcher(last)?);
    }
    Ok(found)
}

fn matcher(text: &str) -> Result<Written, String> {
    let form = || format!("{text:?} has no label, operator and value");
    let text = text.trim_start_matches(SPACE);
    let end = text.find(|it: char| !(it.is_ascii_alphanumeric() || matches!(it, '_' | ':'))).ok_or_else(form)?;
    let (label, rest) = text.split_at(end);
    if !Matcher::is_plain(label) {
        return Err(form());
    }
    let rest = rest.trim_start_matches(SPACE);
    let operator = Operator::ALL.into_iter().find(|it| rest.starts_with(it.as_str())).ok_or_else(form)?;
    let value = unescaped(rest[operator.as_str().len()..].trim_matches(SPACE))?;
    Ok(Written { label: label.to_owned(), operator, value })
}

/// `\\`, `\"` and `\n` are escapes, with quotes around or without; before anything else a backslash is one.
fn unescaped(raw: &str) -> Result<String, String> {
    let inner = raw.strip_prefix('"');
    let mut awaits_quote = inner.is_some();
    let inner = inner.unwrap_or(raw);
    let mut value = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        let is_last = characters.as_str().is_empty();
        match character {
            '\\' if is_last => value.push('\\'),
            '\\' => match characters.next() {
                Some('n') => value.push('\n'),
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                other => {
                    value.push('\\');
                    value.extend(other);
                }
            },
            '"' if awaits_quote && is_last => awaits_quote = false,
            '"' => return Err(format!("{raw} has a quote that isn't escaped")),
            other => value.push(other),
        }
    }
    if awaits_quote { Err(format!("{raw} has no closing quote")) } else { Ok(value) }
}
