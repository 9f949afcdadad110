//! Any bytes as a dump: no panic, and no memory or time that their length doesn't justify.

#![no_main]

use firedrill::domain::finding::Findings;
use firedrill::formats::dump_content::check;
use firedrill::formats::stream::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((step, dump)) = input.split_first() else { return };
    let mut findings = Findings::default();
    let mut stream = Bytes { left: dump, step: usize::from(*step) * 64 + 1 };
    if let Ok(summary) = check(&mut stream, &mut findings) {
        assert_eq!(summary.unpacked, dump.len() as u64);
    }
});
