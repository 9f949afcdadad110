//! Databases of SQLite with one page overwritten after the other. What SQLite 3.40.1 says of the same
//! (`PRAGMA integrity_check`) is what must be said here.

use crate::domain::finding::{Finding, Findings, Kind, Severity};
use crate::formats::dump_content::{Summary, check};
use crate::formats::stream::Bytes;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/dumps/", $name)).as_slice()
    };
}

/// 110 pages of 512 bytes: a table, an index, a table without row numbers, long rows, 41 free pages.
const FREE: &[u8] = fixture!("sqlite_free.db");
/// The same with `auto_vacuum = incremental`.
const VACUUM: &[u8] = fixture!("sqlite_vacuum.db");
const PAGE: usize = 512;

fn run(bytes: &[u8]) -> (Summary, Vec<Finding>) {
    let mut findings = Findings::default();
    let summary = check(&mut Bytes { left: bytes, step: 1000 }, &mut findings).unwrap();
    (summary, findings.into_vec())
}

fn damaged(bytes: &[u8]) -> bool {
    run(bytes).1.iter().any(|finding| finding.severity() == Severity::Damage)
}

fn with_page(bytes: &[u8], page: usize, fill: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[(page - 1) * PAGE..page * PAGE].fill(fill);
    bytes
}

#[test]
fn whole_databases_are_complete() {
    for bytes in [FREE, VACUUM] {
        let (summary, findings) = run(bytes);
        assert_eq!(findings, []);
        assert!(summary.end_known);
    }
}

#[test]
fn what_is_overwritten_is_noticed_where_sqlite_notices_it() {
    // Free pages may hold anything; zeros in the last page of a long row are zeros in the row.
    let free: [&[usize]; 2] =
        [&[5, 20, 27, 37, 43, 48, 55, 60, 62, 67, 74], &[12, 21, 28, 38, 44, 49, 56, 61, 63, 68, 75]];
    let ends: [&[usize]; 2] = [
        &[18, 19, 21, 22, 28, 30, 31, 36, 39, 40, 45, 46, 49, 56, 57, 59, 65, 66, 68, 69, 80],
        &[19, 20, 22, 23, 29, 31, 32, 37, 40, 41, 46, 47, 50, 57, 58, 60, 66, 67, 69, 70, 81],
    ];
    let more: [Vec<usize>; 2] = [(82..=110).collect(), (83..=112).filter(|page| *page != 105).collect()];
    for (index, bytes) in [FREE, VACUUM].into_iter().enumerate() {
        for page in 2..=bytes.len() / PAGE {
            let is_free = free[index].contains(&page) || more[index].contains(&page);
            assert_eq!(!damaged(&with_page(bytes, page, 0x5a)), is_free, "0x5a in page {page} of {index}");
            let unseen = is_free || ends[index].contains(&page);
            assert_eq!(!damaged(&with_page(bytes, page, 0)), unseen, "zeros in page {page} of {index}");
        }
    }
}

#[test]
fn with_a_log_that_is_lost_it_is_damage() {
    let mut bytes = with_page(FREE, 2, 0);
    bytes[18..20].fill(2);
    assert!(damaged(&bytes));
}

#[test]
fn a_lost_list_of_free_pages_is_a_warning() {
    let mut bytes = FREE.to_vec();
    bytes[32..40].fill(0);
    let (summary, findings) = run(&bytes);
    assert!(summary.end_known);
    assert_eq!(findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [Kind::UnusedPages]);
    assert!(findings[0].text.starts_with("41 pages"), "{}", findings[0]);
    // Another number than there are is refused by SQLite.
    bytes = FREE.to_vec();
    bytes[39] -= 1;
    assert!(damaged(&bytes));
}

#[test]
fn too_many_pages_are_not_followed() {
    let mut bytes = FREE.to_vec();
    let many = super::pages::MOST + 1;
    bytes[28..32].copy_from_slice(&many.to_be_bytes());
    bytes.resize(many as usize * PAGE, 0);
    let (summary, findings) = run(&bytes);
    assert!(!summary.end_known);
    assert_eq!(findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [Kind::NoEndKnown]);
}

#[test]
fn any_flipped_byte_is_survived() {
    for bytes in [FREE, VACUUM] {
        for at in (100..bytes.len()).step_by(17) {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 0xff;
            run(&flipped);
        }
    }
}
