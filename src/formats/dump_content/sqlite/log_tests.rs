//! Databases with what lies beside them, left by processes that were killed (`tests/fixtures/dumps/logs`). What SQLite
//! 3.40.1 says of the same after it took in the log or rolled back (`PRAGMA integrity_check`) is what must be said here.

use crate::domain::finding::{Finding, Findings, Kind, Severity};
use crate::formats::beside::{Beside, Companions};
use crate::formats::dump_content::{Summary, check_beside};
use crate::formats::stream::Bytes;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/dumps/logs/", $name)).as_slice()
    };
}

/// Three transactions in the log, and frames of one that never ended.
const WAL: (&[u8], &[u8]) = (fixture!("wal.db"), fixture!("wal.db-wal"));
/// The same, and half of the pages of the log in the database: a checkpoint that was killed.
const HALF: (&[u8], &[u8]) = (fixture!("half.db"), fixture!("half.db-wal"));
/// A transaction whose pages are partly in the database.
const HOT: (&[u8], &[u8]) = (fixture!("hot.db"), fixture!("hot.db-journal"));
const NOSYNC: (&[u8], &[u8]) = (fixture!("nosync.db"), fixture!("nosync.db-journal"));
/// A journal whose transaction ended.
const PERSIST: (&[u8], &[u8]) = (fixture!("persist.db"), fixture!("persist.db-journal"));
const FRAME: usize = 24 + 512;

fn run(database: &[u8], beside: &[(Beside, &[u8])]) -> (Summary, Vec<Finding>) {
    let mut findings = Findings::default();
    let mut files = beside.to_vec();
    let mut companions = Companions::default();
    files.iter_mut().for_each(|(kind, bytes)| companions.add(*kind, bytes));
    let mut stream = Bytes { left: database, step: 1000 };
    let summary = check_beside(&mut stream, &mut companions, false, &mut findings).unwrap();
    (summary, findings.into_vec())
}

fn kinds(database: &[u8], beside: &[(Beside, &[u8])]) -> Vec<Kind> {
    run(database, beside).1.iter().map(|finding| finding.kind).collect()
}

fn damaged(database: &[u8], kind: Beside, log: &[u8]) -> bool {
    run(database, &[(kind, log)]).1.iter().any(|finding| finding.severity() == Severity::Damage)
}

/// Where the last transaction of the log ends, in bytes.
fn last_end(log: &[u8]) -> usize {
    let ends = (0..(log.len() - 32) / FRAME).filter(|frame| log[32 + frame * FRAME + 4..][..4] != [0; 4]);
    32 + (ends.max().unwrap() + 1) * FRAME
}

#[test]
fn what_is_beside_a_database_is_applied_before_it_is_judged() {
    for ((database, log), kind) in [
        (WAL, Beside::Wal),
        (HALF, Beside::Wal),
        (HOT, Beside::Journal),
        (NOSYNC, Beside::Journal),
        (PERSIST, Beside::Journal),
    ] {
        let (summary, findings) = run(database, &[(kind, log)]);
        assert_eq!((findings, summary.end_known), (Vec::new(), true));
    }
}

#[test]
fn pages_that_do_not_fit_without_a_log_are_damage() {
    assert!(kinds(HALF.0, &[]).contains(&Kind::DumpStructure));
    assert!(run(HALF.0, &[]).1[0].text.contains("-wal"));
    for (database, _) in [HOT, NOSYNC] {
        let (_, findings) = run(database, &[]);
        assert_eq!(findings[0].severity(), Severity::Damage);
    }
    // An empty log is none.
    assert!(damaged(HALF.0, Beside::Wal, b""));
    assert!(damaged(HOT.0, Beside::Journal, b""));
}

#[test]
fn pages_that_fit_without_a_log_are_what_a_backup_leaves() {
    let (summary, findings) = run(WAL.0, &[]);
    assert!(summary.end_known);
    assert_eq!(
        findings.iter().map(|it| (it.kind, it.severity())).collect::<Vec<_>>(),
        [(Kind::LogAbsent, Severity::Note)]
    );
    assert_eq!(kinds(PERSIST.0, &[]), []);
}

#[test]
fn a_log_that_is_cut_is_a_log_of_fewer_transactions() {
    // What follows the first two transactions changes the content of rows only.
    let second = 32 + 37 * FRAME;
    assert!(second < last_end(WAL.1) && last_end(WAL.1) < WAL.1.len());
    for length in (0..WAL.1.len()).step_by(7) {
        // The database is the one of the last checkpoint: it fits with any number of transactions.
        assert!(!damaged(WAL.0, Beside::Wal, &WAL.1[..length]), "{length}");
        // In the middle of a frame it was cut; between two of them there is nothing to see.
        let within = length > 32 && (length - 32) % FRAME >= 16;
        let expected: &[Kind] = if within { &[Kind::LogCut] } else { &[] };
        let found = kinds(WAL.0, &[(Beside::Wal, &WAL.1[..length])]);
        // Behind the last end frames may lie that were rolled back.
        assert!(found == expected || (found.is_empty() && length > last_end(WAL.1)), "{length}: {found:?}");
        // Here pages of all of them are in the database already.
        assert_eq!(damaged(HALF.0, Beside::Wal, &HALF.1[..length]), length < second, "{length}");
    }
}

#[test]
fn a_flipped_bit_in_what_was_ended_is_found_wherever_it_is() {
    let whole = last_end(WAL.1);
    for at in (0..WAL.1.len()).step_by(11) {
        let mut log = WAL.1.to_vec();
        log[at] ^= 1 << (at % 8);
        let found = kinds(WAL.0, &[(Beside::Wal, &log)]);
        // In the last transaction it might be one that wasn't written to its end. Behind it nothing counts.
        let last = at >= last_end(&WAL.1[..whole - 1]);
        let expected: &[Kind] = match () {
            () if at >= whole => &[],
            () if last && at < whole - FRAME => &[Kind::DumpStructure],
            () if last => &[Kind::LogCut],
            () => &[Kind::DumpStructure],
        };
        // A checkpoint's number counts for nothing but the checksum; the mark of an end may be what was flipped.
        let mark = at >= 32 && (4..16).contains(&((at - 32) % FRAME)) && last;
        assert!(found == expected || mark, "{at}: {found:?}");
    }
}

#[test]
fn a_log_of_another_database_is_damage() {
    let mut other = WAL.1.to_vec();
    // Pages of 1024 bytes, with the right checksum.
    other[8..12].copy_from_slice(&1024_u32.to_be_bytes());
    assert!(damaged(WAL.0, Beside::Wal, &other));
    assert!(damaged(WAL.0, Beside::Wal, &[b"x".repeat(600).as_slice(), WAL.1].concat()));
    assert!(damaged(WAL.0, Beside::Wal, &vec![0; WAL.1.len()]));
}

#[test]
fn a_hot_journal_that_is_cut_or_flipped_is_damage() {
    // One of which the records were counted; the last part of it was not.
    let counted = |journal: &[u8], at: usize| u32::from_be_bytes(*journal[at + 8..].first_chunk().unwrap());
    assert_eq!(counted(NOSYNC.1, 0), u32::MAX);
    let end = 512 + counted(HOT.1, 0) as usize * (512 + 8);
    for length in (28..end).step_by(13) {
        assert!(damaged(HOT.0, Beside::Journal, &HOT.1[..length]), "{length}");
    }
    for at in (0..512 + 60).step_by(1).filter(|at| *at < 8 || *at >= 512) {
        let mut journal = HOT.1.to_vec();
        journal[at] ^= 0x10;
        // A checksum covers every 200th byte of a page only; a page number that is wrong is a page that is missing.
        let covered = at < 8 || at < 516;
        assert!(!covered || damaged(HOT.0, Beside::Journal, &journal), "{at}");
    }
}

#[test]
fn whether_a_journal_over_several_databases_counts_is_not_known() {
    let name = b"other.db-mj1234";
    let sum: u32 = name.iter().map(|byte| u32::from(*byte)).sum();
    let tail = [&[0, 0x20, 0, 1], name.as_slice(), &15_u32.to_be_bytes(), &sum.to_be_bytes(), &HOT.1[..8]].concat();
    let (summary, findings) = run(HOT.0, &[(Beside::Journal, &[HOT.1, &tail].concat())]);
    assert!(!summary.end_known);
    assert_eq!(findings[0].kind, Kind::CompanionMissing);
}

#[test]
fn any_log_beside_any_database_is_survived() {
    for (database, log) in [WAL, HALF, HOT, NOSYNC, PERSIST] {
        for kind in Beside::ALL {
            for at in (0..log.len()).step_by(97) {
                let mut log = log.to_vec();
                log[at] = log[at].wrapping_add(0x7f);
                log.truncate(log.len() - at % 600);
                run(database, &[(kind, &log), (if kind == Beside::Wal { Beside::Journal } else { Beside::Wal }, &log)]);
            }
        }
    }
}
