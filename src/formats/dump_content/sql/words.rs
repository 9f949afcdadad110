//! Which words begin a statement of SQL, and whether a text holds any.

/// The first words of statements of PostgreSQL, MySQL, MariaDB and SQLite, and some of others, in alphabetical order.
const WORDS: [&str; 92] = [
    "abort",
    "alter",
    "analyze",
    "attach",
    "backup",
    "begin",
    "binlog",
    "cache",
    "call",
    "change",
    "check",
    "checkpoint",
    "checksum",
    "close",
    "cluster",
    "comment",
    "commit",
    "connect",
    "copy",
    "create",
    "deallocate",
    "declare",
    "define",
    "delete",
    "delimiter",
    "desc",
    "describe",
    "detach",
    "discard",
    "do",
    "drop",
    "end",
    "exec",
    "execute",
    "explain",
    "fetch",
    "flush",
    "get",
    "go",
    "grant",
    "handler",
    "help",
    "if",
    "import",
    "insert",
    "install",
    "kill",
    "listen",
    "load",
    "lock",
    "merge",
    "move",
    "notify",
    "optimize",
    "pragma",
    "prepare",
    "print",
    "prompt",
    "purge",
    "reassign",
    "refresh",
    "reindex",
    "release",
    "rem",
    "rename",
    "repair",
    "replace",
    "reset",
    "resignal",
    "revoke",
    "rollback",
    "savepoint",
    "security",
    "select",
    "set",
    "show",
    "shutdown",
    "signal",
    "source",
    "start",
    "stop",
    "table",
    "truncate",
    "unlisten",
    "unlock",
    "update",
    "upgrade",
    "use",
    "vacuum",
    "values",
    "whenever",
    "with",
];

/// The first word of a text.
fn first_word(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').unwrap_or(text.len());
    &text[..end]
}

fn is_word(word: &[u8]) -> bool {
    let Ok(word) = std::str::from_utf8(word) else { return false };
    WORDS.binary_search_by(|known| (*known).cmp(&*word.to_ascii_lowercase())).is_ok()
}

/// Whether a statement begins as one does. What begins with a sign is left to the client.
pub(super) fn may_begin_statement(text: &[u8]) -> bool {
    match text.first() {
        Some(byte) if byte.is_ascii_alphabetic() => is_word(first_word(text)),
        Some(b'<' | b'{') => false,
        _ => true,
    }
}

/// Whether a text has a line that begins a statement, or is a command of `psql`. A text that is there as a whole must
/// have the end of a statement, too: errors may begin with “update”.
pub(super) fn holds_sql(text: &[u8], whole: bool) -> bool {
    if matches!(text.trim_ascii_start().first(), Some(b'<' | b'{' | b'[') | None) {
        return false;
    }
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let ended = !whole || text.contains(&b';') || lines.clone().any(|line| line.eq_ignore_ascii_case(b"go"));
    lines.any(|line| match line {
        [b'\\', first, ..] => first.is_ascii_lowercase(),
        [b'/', b'*', b'!', ..] => ended,
        _ => {
            let word = first_word(line);
            let then = line.get(word.len());
            ended
                && is_word(word)
                && then.is_none_or(|byte| matches!(byte, b' ' | b'\t' | b';' | b'(' | b'[' | b'"' | b'`'))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted() {
        assert!(WORDS.is_sorted());
        assert!(
            may_begin_statement(b"INSERT INTO t") && may_begin_statement(b"/*!40101 SET") && may_begin_statement(b"")
        );
        assert!(!may_begin_statement(b"garbage") && !may_begin_statement(b"<html>"));
    }

    #[test]
    fn texts_with_sql_and_without() {
        for text in [
            "create table a (b int);\n",
            "-- comment\n\nINSERT INTO t VALUES (1);",
            "USE [shop]\nGO\n",
            "\\connect shop\n",
            "/*!40101 SET NAMES binary*/;\n",
            "REM dump\nPROMPT x\nSET DEFINE OFF;\n",
        ] {
            assert!(holds_sql(text.as_bytes(), true), "{text}");
        }
        for text in [
            "Error response from daemon: No such container: crm-postgres-1\n",
            "<!DOCTYPE html>\n<script>\nset x;\n</script>",
            "{\"a\":\n\"b;\"}",
            "hi",
            "hi\n",
            "Update failed\n",
            "",
            "-- only a comment; nothing else\n",
            "settings: saved;\n",
            "Unable to use a TTY - input is not a terminal or the right kind of file\n",
        ] {
            assert!(!holds_sql(text.as_bytes(), true), "{text}");
        }
    }
}
