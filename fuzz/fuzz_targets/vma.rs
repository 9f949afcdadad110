//! Any bytes as a VMA archive.

#![no_main]

use firedrill::domain::finding::Findings;
use firedrill::formats::{stream::Bytes, vma};
use firedrill_fuzz::{compact, seal};
use libfuzzer_sys::fuzz_target;

/// What the first byte asks for.
const SEAL_HEADER: u8 = 1;
const SEAL_EXTENTS: u8 = 2;
const COMPACT: u8 = 4;

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let mut archive = if first & COMPACT == 0 { bytes.to_vec() } else { compact::vma(bytes) };
    if first & SEAL_HEADER != 0 {
        seal::vma_header(&mut archive);
    }
    if first & SEAL_EXTENTS != 0 {
        seal::vma_extents(&mut archive);
    }
    let mut stream = Bytes { left: &archive, step: 1 + usize::from(first >> 3) * 512 };
    let mut findings = Findings::default();
    if let Ok(summary) = vma::check(&mut stream, &mut findings) {
        assert!(stream.left.is_empty());
        assert_eq!(summary.length, archive.len() as u64);
    }
});
