use proptest::prelude::*;

use super::*;
use crate::domain::finding::Severity;
use crate::formats::stream::Bytes;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/dumps/", $name)).as_slice()
    };
}

mod hand_made;
mod streams;

const PG_PLAIN: &[u8] = fixture!("pg_plain.sql");
const PG_PLAIN_2024: &[u8] = fixture!("pg_plain_2024.sql");
const PG_DUMPALL: &[u8] = fixture!("pg_dumpall.sql");
const PG_CUSTOM: &[u8] = fixture!("pg_custom.dump");
const PG_CUSTOM_PIPE: &[u8] = fixture!("pg_custom_pipe.dump");
const PG_CUSTOM_Z0: &[u8] = fixture!("pg_custom_z0.dump");
const PG_CUSTOM_16: &[u8] = fixture!("pg_custom_16.dump");
const PG_CUSTOM_18: &[u8] = fixture!("pg_custom_18.dump");
const PG_TAR: &[u8] = fixture!("pg_tar.tar");
const PG_BLOBS: &[u8] = fixture!("pg_blobs.dump");
const MYSQLDUMP: &[u8] = fixture!("mysqldump.sql");
const MYSQLDUMP_BARE: &[u8] = fixture!("mysqldump_nocomments.sql");
const SQLITE: &[u8] = fixture!("sqlite.db");
const SQLITE_WAL: &[u8] = fixture!("sqlite_wal.db");
const SQLITE_DUMP: &[u8] = fixture!("sqlite_dump.sql");

const CUSTOM: [&[u8]; 5] = [PG_CUSTOM, PG_CUSTOM_PIPE, PG_CUSTOM_Z0, PG_BLOBS, PG_CUSTOM_18];
const ALL: [&[u8]; 14] = [
    PG_CUSTOM_16,
    PG_CUSTOM_18,
    PG_PLAIN,
    PG_PLAIN_2024,
    PG_DUMPALL,
    PG_CUSTOM,
    PG_CUSTOM_PIPE,
    PG_CUSTOM_Z0,
    PG_BLOBS,
    MYSQLDUMP,
    MYSQLDUMP_BARE,
    SQLITE,
    SQLITE_WAL,
    SQLITE_DUMP,
];

fn run(dump: &[u8], step: usize) -> (Summary, Vec<Finding>) {
    let mut findings = Findings::default();
    let mut stream = Bytes { left: dump, step };
    let summary = check(&mut stream, &mut findings).unwrap();
    assert!(stream.left.is_empty());
    assert_eq!(summary.unpacked, dump.len() as u64);
    (summary, findings.into_vec())
}

fn kinds(dump: &[u8]) -> Vec<Kind> {
    run(dump, 4096).1.into_iter().map(|finding| finding.kind).collect()
}

fn damaged(dump: &[u8]) -> bool {
    run(dump, 4096).1.iter().any(|finding| finding.severity() == Severity::Damage)
}

fn time(text: &str) -> Option<DateTime> {
    Some(text.parse().unwrap())
}

#[test]
fn whole_dumps_are_whole() {
    for (dump, format) in [
        (PG_PLAIN, "pg_dump-sql"),
        (PG_PLAIN_2024, "pg_dump-sql"),
        (PG_DUMPALL, "pg_dumpall-sql"),
        (PG_CUSTOM, "pg_dump-custom"),
        (PG_CUSTOM_PIPE, "pg_dump-custom"),
        (PG_CUSTOM_Z0, "pg_dump-custom"),
        (PG_BLOBS, "pg_dump-custom"),
        (PG_CUSTOM_16, "pg_dump-custom"),
        (PG_CUSTOM_18, "pg_dump-custom"),
        (PG_TAR, "pg_dump-tar"),
        (MYSQLDUMP, "mysqldump-sql"),
        (MYSQLDUMP_BARE, "mysqldump-sql"),
        (SQLITE, "sqlite"),
        (SQLITE_DUMP, "sqlite-sql"),
    ] {
        let (summary, findings) = run(dump, 4096);
        assert_eq!((summary.format, summary.end_known), (format, true));
        assert_eq!(findings, [], "{format}");
    }
    assert_eq!(kinds(SQLITE_WAL), [Kind::LogAbsent]);
}

#[test]
fn what_is_written_in_them() {
    let (summary, _) = run(PG_CUSTOM, 4096);
    assert_eq!(summary.members, Some(15));
    assert_eq!(summary.created, time("2026-11-21T09:55:48"));
    assert_eq!(run(MYSQLDUMP, 4096).0.created, time("2026-11-21T10:01:33"));
    let padded = b"-- MySQL dump 10.13\n-- Dump completed on 2024-01-31  2:00:05\n";
    assert_eq!(run(padded, 4096).0.created, time("2024-01-31T02:00:05"));
}

#[test]
fn chunks_of_any_size_give_the_same() {
    for dump in ALL {
        let expected = run(dump, usize::MAX);
        for step in [1, 7, 4096] {
            assert_eq!(run(dump, step), expected);
        }
    }
}

/// Where the last line begins that a text can't do without; what is behind it may be cut off.
fn end_of(dump: &[u8], line: &[u8]) -> usize {
    dump.windows(line.len()).rposition(|window| window == line).unwrap() + line.len()
}

#[test]
fn a_text_without_its_last_line_is_damaged() {
    for (dump, line) in [
        (PG_PLAIN, "-- PostgreSQL database dump complete"),
        (PG_PLAIN_2024, "-- PostgreSQL database dump complete"),
        (PG_DUMPALL, "-- PostgreSQL database cluster dump complete"),
        (MYSQLDUMP, "-- Dump completed"),
        (SQLITE_DUMP, "COMMIT;"),
    ] {
        let end = end_of(dump, line.as_bytes());
        for length in 0..=dump.len() {
            assert_eq!(damaged(&dump[..length]), length < end, "{line}: {length} bytes of {}", dump.len());
        }
    }
}

#[test]
fn a_binary_dump_that_is_cut_is_damaged() {
    for dump in CUSTOM.into_iter().chain([SQLITE, SQLITE_WAL]) {
        for length in 0..dump.len() {
            assert!(damaged(&dump[..length]), "{length} bytes of {}", dump.len());
        }
        assert!(!damaged(dump));
    }
}

/// Where each member of an archive of tar begins, and how long its content is.
fn members(archive: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while archive[at] != 0 {
        let size = std::str::from_utf8(&archive[at + 124..at + 135]).unwrap();
        let size = usize::from_str_radix(size, 8).unwrap();
        found.push((at, size));
        at += 512 + size.next_multiple_of(512);
    }
    found
}

#[test]
fn a_tar_dump_must_have_every_member() {
    assert_eq!(run(PG_TAR, 4096).0.members, Some(14));
    for (at, size) in members(PG_TAR) {
        let end = at + 512 + size.next_multiple_of(512);
        let without = [&PG_TAR[..at], &PG_TAR[end..]].concat();
        let is_contents = at == 0;
        // Without its table of contents it is no dump that is known.
        assert!(is_contents || damaged(&without), "the member at {at}");
        // Cut before it was put into the archive.
        let mut short = PG_TAR.to_vec();
        if size > 0 {
            let header = &mut short[at..at + 512];
            header[124..135].copy_from_slice(format!("{:011o}", size - 1).as_bytes());
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
            let name = PG_TAR[at..].split(|byte| *byte == 0).next().unwrap();
            let marked = !name.starts_with(b"blob_") && name != b"restore.sql";
            assert_eq!(damaged(&short), marked, "{}", String::from_utf8_lossy(name));
            // Zeros from a hole in the disk: rows have none.
            let mut zeroed = PG_TAR.to_vec();
            zeroed[at + 512] = 0;
            assert_eq!(damaged(&zeroed), marked, "{}", String::from_utf8_lossy(name));
        }
    }
    let last = members(PG_TAR).last().map(|(at, size)| at + 512 + size.next_multiple_of(512)).unwrap();
    for length in (512..last + 1024).step_by(37) {
        assert!(damaged(&PG_TAR[..length]), "{length} bytes");
    }
    for bit in (0..last * 8).step_by(41) {
        let mut flipped = PG_TAR.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        run(&flipped, 4096);
    }
}

#[test]
fn a_second_table_of_contents_may_be_lost() {
    let data_end = 2037;
    for length in 0..PG_CUSTOM_16.len() {
        let expected: &[Kind] = if length == data_end { &[] } else { &[Kind::TrailingPadding] };
        if length < data_end {
            assert!(damaged(&PG_CUSTOM_16[..length]), "{length} bytes");
        } else {
            assert_eq!(kinds(&PG_CUSTOM_16[..length]), expected, "{length} bytes");
        }
    }
    assert_eq!(kinds(&[PG_CUSTOM_16, b"\0"].concat()), [Kind::TrailingPadding]);
}

#[test]
fn dumps_without_comments_say_that_their_end_is_unknown() {
    for length in 200..MYSQLDUMP_BARE.len() - 3 {
        let (summary, findings) = run(&MYSQLDUMP_BARE[..length], 4096);
        assert_eq!((summary.format, summary.end_known), ("mysqldump-sql", false));
        assert!(matches!(findings[0].kind, Kind::NoEndKnown | Kind::DumpIncomplete));
    }
}

#[test]
fn a_line_of_the_script_behind_the_end_is_no_damage() {
    for dump in [PG_PLAIN, PG_DUMPALL, MYSQLDUMP, SQLITE_DUMP] {
        assert!(!damaged(&[dump, b"\n-- copied by cron\n"].concat()));
        assert!(!damaged(&[b"\xef\xbb\xbf", dump].concat()));
        let windows = String::from_utf8(dump.to_vec()).unwrap().replace('\n', "\r\n");
        assert!(!damaged(windows.as_bytes()));
    }
}

#[test]
fn of_joined_dumps_the_last_must_be_whole() {
    for dump in [PG_PLAIN_2024, MYSQLDUMP] {
        assert!(!damaged(&[dump, dump].concat()));
        assert!(damaged(&[dump, &dump[..700]].concat()));
    }
    // The dumps within the dump of a cluster are whole here, the cluster isn't.
    let inner = end_of(PG_DUMPALL, b"-- PostgreSQL database dump complete\n");
    assert_eq!(kinds(&PG_DUMPALL[..inner]), [Kind::DumpIncomplete]);
}

#[test]
fn zero_bytes_in_text_are_damage() {
    for dump in [PG_PLAIN, PG_DUMPALL, MYSQLDUMP, SQLITE_DUMP] {
        let mut dump = dump.to_vec();
        let half = dump.len() / 2;
        dump[half] = 0;
        assert_eq!(kinds(&dump), [Kind::DumpStructure]);
    }
}

#[test]
fn a_failed_sqlite_dump_says_so() {
    let text = String::from_utf8(SQLITE_DUMP.to_vec()).unwrap().replace("COMMIT;", "ROLLBACK; -- due to errors");
    let (_, findings) = run(text.as_bytes(), 4096);
    assert_eq!(findings[0].kind, Kind::DumpIncomplete);
    assert!(findings[0].text.contains("ROLLBACK"));
}

#[test]
fn other_things() {
    for (dump, format, kind) in [
        (b"".as_slice(), "unknown", Kind::Empty),
        (&[0; 20_000], "unknown", Kind::Empty),
        (b"\x01\x02\xff", "unknown", Kind::NoEndKnown),
        (b"-- phpMyAdmin SQL Dump\nCREATE TABLE a(b int);\n", "sql", Kind::NoEndKnown),
        (b"create table a(b int);\n", "sql", Kind::NoEndKnown),
        ("Grüße\n".as_bytes(), "text", Kind::NoEndKnown),
        (b"PGDMP\x01\x63\x00 of the future", "pg_dump-custom", Kind::UnknownVersion),
        (b"PGDMP\x01\x0e\x00\x04\x08\x05 of a directory", "pg_dump-toc", Kind::NoEndKnown),
    ] {
        let (summary, findings) = run(dump, 4096);
        assert_eq!(summary.format, format);
        assert_eq!(findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [kind], "{format}");
        assert!(!summary.end_known);
    }
}

#[test]
fn a_broken_mark_hides_no_dump() {
    for dump in CUSTOM.into_iter().chain([SQLITE, SQLITE_WAL]) {
        for broken in [&b"pGDMP"[..], b"PGDM\0", b"\0\0\0\0\0"] {
            let dump = [broken, &dump[5..]].concat();
            assert_eq!(kinds(&dump), [Kind::DumpStructure]);
        }
    }
}

#[test]
fn sqlite_headers() {
    let with = |at: usize, bytes: &[u8]| {
        let mut dump = SQLITE.to_vec();
        dump[at..at + bytes.len()].copy_from_slice(bytes);
        kinds(&dump)
    };
    assert_eq!(with(16, &[3, 0]), [Kind::DumpStructure]);
    assert_eq!(with(16, &[0, 1]), [Kind::Truncated]);
    assert_eq!(with(16, &[2, 0])[0], Kind::DumpStructure);
    assert_eq!(with(19, &[3]), [Kind::DumpStructure]);
    assert_eq!(with(20, &[255, 64])[0], Kind::DumpStructure);
    assert_eq!(with(21, &[65]), [Kind::DumpStructure]);
    assert_eq!(with(56, &[1]), [Kind::DumpStructure]);
    // An old release wrote last: the number of pages counts for nothing, whole pages do.
    assert_eq!(with(92, &[9]), [Kind::NoEndKnown]);
    let mut old = SQLITE[..2000].to_vec();
    old[92] = 9;
    assert_eq!(kinds(&old), [Kind::Truncated]);
    assert_eq!(kinds(&[SQLITE, &[0; 10]].concat()), [Kind::TrailingPadding]);
}

#[test]
fn something_behind_a_custom_dump_is_ignored_by_the_restore() {
    for dump in CUSTOM {
        assert_eq!(kinds(&[dump, b"\x01junk"].concat()), [Kind::TrailingPadding]);
    }
}

#[test]
fn flipped_bits_never_panic_and_are_found_where_there_is_a_checksum() {
    for dump in CUSTOM {
        // Every bit of the smallest; of the others every bit of some byte near by, for the time it takes.
        let step = if dump.len() == PG_BLOBS.len() { 1 } else { 11 };
        for bit in (0..dump.len() * 8).step_by(step) {
            let mut flipped = dump.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            run(&flipped, 4096);
        }
    }
    // The data of the two tables is behind the table of contents, and all of it is checked but for the bits that fill
    // the last byte in front of a checksum, and some that mean the same either way.
    let data = PG_CUSTOM.windows(2).position(|window| window == b"\x78\x9c").unwrap();
    let unnoticed = (data * 8..PG_CUSTOM.len() * 8).filter(|bit| {
        let mut flipped = PG_CUSTOM.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        !damaged(&flipped)
    });
    assert!(unnoticed.count() <= 2 * 7);
}

proptest! {
    #[test]
    fn any_bytes_behind_any_mark(mark in 0..ALL.len(), keep in 0_usize..400, bytes in proptest::collection::vec(any::<u8>(), 0..600), step in 1_usize..50) {
        let dump = [&ALL[mark][..keep.min(ALL[mark].len())], &bytes].concat();
        prop_assert_eq!(run(&dump, step), run(&dump, usize::MAX));
    }

    #[test]
    fn any_bytes_in_a_custom_dump(mark in 0..CUSTOM.len(), at in any::<prop::sample::Index>(), bytes in proptest::collection::vec(any::<u8>(), 1..20)) {
        let mut dump = CUSTOM[mark].to_vec();
        let at = at.index(dump.len());
        dump.splice(at..(at + bytes.len()).min(CUSTOM[mark].len()), bytes);
        run(&dump, 4096);
    }
}
