//! Any bytes as a tar archive, in chunks of any size.

#![no_main]

use firedrill::domain::finding::Findings;
use firedrill::formats::{stream::Bytes, tar};
use firedrill_fuzz::seal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if first & 2 == 2 {
        seal::tar(&mut bytes);
    }
    let container = first & 1 == 1;
    let step = 1 + usize::from(first >> 2) * 18;
    assert_eq!(checked(&bytes, step, container), checked(&bytes, usize::MAX, container), "chunks make no difference");
});

/// Everything that a check has to say, as text.
fn checked(bytes: &[u8], step: usize, container: bool) -> String {
    let mut stream = Bytes { left: bytes, step };
    let mut findings = Findings::default();
    let result = tar::check(&mut stream, container, &mut findings);
    assert!(result.is_err() || stream.left.is_empty());
    format!("{result:?} {findings:?}")
}
