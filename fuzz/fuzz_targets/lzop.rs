//! Any file as an lzop file: no panic, and no memory or time that its length doesn't justify.

#![no_main]

use firedrill::formats::input::Input;
use firedrill::formats::lzop::Lzop;
use firedrill::formats::stream::{Stream, drain};
use firedrill_fuzz::seal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, file)) = data.split_first() else { return };
    let mut file = file.to_vec();
    if first & 1 == 1 {
        seal::lzop(&mut file);
    }
    let mut input = Input::new(&*file);
    let mut lzop = Lzop::new(&mut input);
    if drain(&mut lzop).is_ok() {
        let _ = lzop.findings();
        assert_eq!(input.total(), file.len() as u64);
    }
});
