//! Messages of the programs that make dumps. They go to standard error, which scripts lead into the dump (`2>&1`,
//! containers with a terminal, logs that catch everything).
//!
//! Sources: MySQL and MariaDB `client/mysqldump.c` (`verbose_msg`, `print_error`, `maybe_die`), PostgreSQL
//! `src/common/logging.c` and, up to version 11, `pg_backup_utils.c`.

/// Names of the programs, as they stand before the colon of a message.
const PROGRAMS: [&[u8]; 11] = [
    b"mysqldump",
    b"mysqldump.exe",
    b"mariadb-dump",
    b"mysql",
    b"mariadb",
    b"pg_dump",
    b"pg_dumpall",
    b"pg_restore",
    b"psql",
    b"sqlite3",
    b"docker",
];

/// Words that stand there without a name, each the first of its line.
const WORDS: [&[u8]; 7] = [b"Warning", b"WARNING", b"Error", b"ERROR", b"NOTICE", b"FATAL", b"DETAIL"];

/// The program whose name ends what stands before a colon, given its last bytes.
pub(super) fn program(end: u128) -> Option<&'static [u8]> {
    let end = end.to_be_bytes();
    PROGRAMS.into_iter().filter(|name| end.ends_with(name)).max_by_key(|name| name.len())
}

/// A word that is all that stands before a colon.
pub(super) fn word(text: &[u8]) -> Option<&'static [u8]> {
    WORDS.into_iter().find(|word| *word == text)
}

/// Whether a line is a message.
pub(super) fn is_message(line: &[u8]) -> bool {
    let Some(at) = line.windows(2).position(|two| two == b": ") else { return false };
    let before = &line[..at];
    let name = before.rsplit(|byte| *byte == b'/').next().unwrap_or(before);
    PROGRAMS.contains(&name) || word(before).is_some()
}

/// Whether a message tells of an error, so that the dump lacks something.
pub(super) fn is_error(line: &[u8]) -> bool {
    let Some(at) = line.windows(2).position(|two| two == b": ") else { return false };
    let (name, text) = (&line[..at], line[at + 2..].trim_ascii());
    let begins = |words: &[&[u8]]| words.iter().any(|word| text.starts_with(word));
    if name.starts_with(b"pg") || name == b"psql" {
        return begins(&[
            b"error",
            b"fatal",
            b"[archiver",
            b"Dumping the contents",
            b"Error message",
            b"The command was",
            b"could not",
            b"query failed",
            b"query was",
            b"aborting",
            b"terminated",
        ]);
    }
    if word(name).is_some() {
        return matches!(name, b"Error" | b"ERROR" | b"FATAL");
    }
    // MySQL 8 has no rights to read tablespaces, which no dump needs, and says so under the name of an error.
    let tablespaces = text.windows(28).any(|words| words == b"when trying to dump tablespa");
    !tablespaces && !begins(&[b"[Warning]", b"[Note]", b"Deprecated", b"WARNING", b"Warning"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_other_messages() {
        for (line, error) in [
            ("mysqldump: [Warning] Using a password on the command line interface can be insecure.", false),
            ("mysqldump: Deprecated program name. It will be removed in a future release", false),
            (
                "mysqldump: Error: 'Access denied; you need (at least one of) the PROCESS privilege(s) for this operation' when trying to dump tablespaces",
                false,
            ),
            ("mysqldump: Couldn't find table: \"nope\"", true),
            ("mysqldump: Got error: 1045: \"Access denied\" when trying to connect", true),
            (
                "mariadb-dump: Error 2013: Lost connection to server during query when dumping table `big` at row: 742",
                true,
            ),
            ("pg_dump: creating TABLE \"public.error_log\"", false),
            ("pg_dump: warning: there are circular foreign-key constraints on this table:", false),
            ("pg_dump: error: connection to server on socket failed: FATAL:  sorry", true),
            ("pg_dump: [archiver (db)] query failed: ERROR:  permission denied", true),
            ("Warning: A partial dump from a server that has GTIDs", false),
            ("Error: near line 3: database is locked", true),
        ] {
            assert!(is_message(line.as_bytes()), "{line}");
            assert_eq!(is_error(line.as_bytes()), error, "{line}");
        }
        assert!(!is_message(b"CREATE TABLE a (b int); -- pg_dump: x"));
        assert!(is_message(b"/usr/bin/mysqldump: Deprecated program name."));
    }
}
