//! Any bytes as a virtual disk, a package or the description of a machine.
//!
//! ```text
//! which of them: 1 byte │ the file
//! ```

#![no_main]

use firedrill::domain::finding::Findings;
use firedrill::formats::{ovf, stream::Bytes, vmdk};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, file)) = data.split_first() else { return };
    let mut stream = Bytes { left: file, step: 1 + usize::from(first >> 2) * 512 };
    let mut findings = Findings::default();
    let read = match first & 3 {
        0 => vmdk::check(&mut stream, &mut findings).is_ok(),
        1 => ovf::check_ova(&mut stream, &mut findings).is_ok(),
        2 => ovf::check_alone(&mut stream, &mut findings).is_ok(),
        _ => vmdk::check_raw(&mut stream, &mut findings).is_ok(),
    };
    assert!(!read || stream.left.is_empty());
});
