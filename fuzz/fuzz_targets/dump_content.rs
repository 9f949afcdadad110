//! Any bytes as a dump: no panic, and no memory or time that their length doesn't justify.

#![no_main]

use firedrill::domain::finding::Findings;
use firedrill::formats::dump_content::check;
use firedrill::formats::stream::{Stop, Stream};
use libfuzzer_sys::fuzz_target;

/// Bytes in memory, in chunks as small as the first of them says.
struct Bytes<'a> {
    left: &'a [u8],
    step: usize,
}

impl Stream for Bytes<'_> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        Ok(&self.left[..self.left.len().min(self.step)])
    }

    fn consume(&mut self, count: usize) {
        self.left = &self.left[count..];
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((step, dump)) = input.split_first() else { return };
    let mut findings = Findings::default();
    let mut stream = Bytes { left: dump, step: usize::from(*step) * 64 + 1 };
    if let Ok(summary) = check(&mut stream, &mut findings) {
        assert_eq!(summary.unpacked, dump.len() as u64);
    }
});
