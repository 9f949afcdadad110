//! Any bytes as a database with a write-ahead log and a rollback journal beside it.
//!
//! ```text
//! length of the log: 2 bytes │ length of the journal: 2 bytes │ log │ journal │ database
//! ```

#![no_main]

use firedrill::domain::finding::Findings;
use firedrill::formats::beside::{Beside, Companions};
use firedrill::formats::dump_content::check_beside;
use firedrill::formats::stream::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [a, b, c, d, rest @ ..] = input else { return };
    let length = |high: u8, low: u8| usize::from(high) << 8 | usize::from(low);
    let (log, rest) = rest.split_at(length(*a, *b).min(rest.len()));
    let (journal, database) = rest.split_at(length(*c, *d).min(rest.len()));
    let checked = |step: usize| {
        let (mut log, mut journal) = (log, journal);
        let mut companions = Companions::default();
        companions.add(Beside::Wal, &mut log);
        companions.add(Beside::Journal, &mut journal);
        let mut findings = Findings::default();
        let result = check_beside(&mut Bytes { left: database, step }, &mut companions, true, &mut findings);
        format!("{result:?} {findings:?}")
    };
    assert_eq!(checked(100), checked(usize::MAX), "chunks make no difference");
});
