//! Long texts in several messages. Telegram counts UTF-16 units.

/// Length as Telegram counts it.
pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The text in at most `most` parts of at most `longest` units each, cut at line ends where a line fits. What is too much
/// ends in an ellipsis.
pub(super) fn parts(text: &str, longest: usize, most: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if parts.len() + 1 == most && units(rest) > longest {
            let (part, _) = rest.split_at(fitting(rest, longest - 1));
            parts.push(format!("{part}…"));
            break;
        }
        let end = fitting(rest, longest);
        let (part, after) = match rest[..end].rfind('\n') {
            Some(line) if end < rest.len() && line > 0 => (&rest[..line], &rest[line + 1..]),
            _ => rest.split_at(end),
        };
        // A message of blank space alone is refused.
        if !part.trim().is_empty() {
            parts.push(part.to_owned());
        }
        rest = after;
    }
    parts
}

/// Bytes of the longest beginning of at most so many units.
fn fitting(text: &str, longest: usize) -> usize {
    let mut left = longest;
    for (index, character) in text.char_indices() {
        match left.checked_sub(character.len_utf16()) {
            Some(rest) => left = rest,
            None => return index,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_line_ends_where_possible_and_never_within_a_character() {
        assert_eq!(parts("ab\ncd\nef", 5, 9), ["ab", "cd\nef"]);
        assert_eq!(parts("abcdefgh", 5, 9), ["abcde", "fgh"]);
        // A rocket has two units.
        assert_eq!(parts("🚀🚀🚀", 3, 9), ["🚀", "🚀", "🚀"]);
        assert_eq!(parts("abcdefgh", 3, 2), ["abc", "de…"]);
        assert_eq!(parts("abc", 3, 1), ["abc"]);
        assert!(parts("", 3, 2).is_empty() && parts("\n\n\n\n", 2, 9).is_empty());
    }

    #[test]
    fn every_part_fits() {
        let text: String = (0..3_000).map(|index| if index % 37 == 0 { '\n' } else { '😀' }).collect();
        let parts = parts(&text, 4_096, 4);
        assert!(parts.len() == 2 && parts.iter().all(|part| units(part) <= 4_096));
    }
}
