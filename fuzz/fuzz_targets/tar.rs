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
    let mut stream = Bytes { left: &bytes, step: 1 + usize::from(first >> 2) * 18 };
    let mut findings = Findings::default();
    let result = tar::check(&mut stream, first & 1 == 1, &mut findings);
    assert!(result.is_err() || stream.left.is_empty());
});
