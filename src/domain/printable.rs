//! Names from outside, made safe to show in a terminal, a log line or a label.

use std::fmt::Write as _;

/// Longest text that is kept of a name, in characters.
pub const LONGEST: usize = 255;

/// The text with control characters and bytes that are no UTF-8 written as escapes (`\n`, `\x1b`, `\xff`), cut at
/// [`LONGEST`] characters.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().min(LONGEST));
    let mut left = LONGEST;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if left == 0 {
                text.push('…');
                return text;
            }
            left -= 1;
            if is_plain(character) {
                text.push(character);
            } else {
                text.extend(character.escape_default());
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string can't fail.
            let _ = write!(text, "\\x{byte:02x}");
            left = left.saturating_sub(1);
        }
    }
    text
}

/// A text of bounded length with control characters written as escapes, not cut. On one line.
pub fn shown(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, character| {
        if is_plain(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_default());
        }
        shown
    })
}

/// The same for a text of several lines: ends of lines stay, a tab becomes a space.
pub fn shown_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| shown(&line.replace('\t', " "))).collect();
    lines.join("\n")
}

/// Neither a control character nor one that is invisible or changes the direction or the width of what is around it.
pub fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_text() {
        assert_eq!(printable(b"a\nb\x1b[2J\xff.log"), "a\\nb\\u{1b}[2J\\xff.log");
        assert_eq!(printable("grün\u{202e}txt".as_bytes()), "grün\\u{202e}txt");
        assert_eq!(printable(&[b'x'; 1000]).chars().count(), LONGEST + 1);
        assert_eq!(printable(b""), "");
    }

    #[test]
    fn what_is_not_seen_is_written_out() {
        assert_eq!(
            shown("a\u{202e}b\u{2066}c\u{61c}\u{ad}\u{e0041}\r\n"),
            "a\\u{202e}b\\u{2066}c\\u{61c}\\u{ad}\\u{e0041}\\r\\n"
        );
        assert_eq!(shown_lines("a\tb\r\nc\u{1b}[2J\n\nd\u{2028}"), "a b\nc\\u{1b}[2J\n\nd\\u{2028}");
        assert_eq!(shown("grün, 日本語, 🚀 (50 %)"), "grün, 日本語, 🚀 (50 %)");
    }
}
