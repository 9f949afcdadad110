//! Any bytes as a dump: no panic, and no memory or time that their length doesn't justify.

#![no_main]

use firedrill::domain::finding::Findings;
use firedrill::formats::dump_content::check_promised;
use firedrill::formats::stream::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((step, dump)) = input.split_first() else { return };
    let promised = step & 1 == 1;
    let step = usize::from(*step) * 64 + 1;
    let whole = checked(dump, usize::MAX, promised);
    assert_eq!(checked(dump, step, promised), whole, "chunks make no difference");
});

/// Everything that a check has to say, as text.
fn checked(dump: &[u8], step: usize, promised: bool) -> String {
    let mut findings = Findings::default();
    let mut stream = Bytes { left: dump, step };
    let result = check_promised(&mut stream, promised, &mut findings);
    if let Ok(summary) = &result {
        assert_eq!(summary.unpacked, dump.len() as u64);
    }
    format!("{result:?} {findings:?}")
}
