//! Any file as an lzop file: no panic, and no memory or time that its length doesn't justify.

#![no_main]

use firedrill::formats::input::Input;
use firedrill::formats::lzop::Lzop;
use firedrill::formats::stream::{Stream, drain};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let mut input = Input::new(file);
    let mut lzop = Lzop::new(&mut input);
    if drain(&mut lzop).is_ok() {
        let _ = lzop.findings();
        assert_eq!(input.total(), file.len() as u64);
    }
});
