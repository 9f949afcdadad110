//! Any bytes as a log of vzdump.

#![no_main]

use firedrill::domain::run::LogEnd;
use firedrill::formats::vzdump_log;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // Logs of the seeds are of guest 100; every other input is read as one of a guest of any number.
    let log = vzdump_log::parse(input, 100);
    if let LogEnd::Failed(reason) = &log.end {
        assert!(!reason.is_empty() && reason.len() <= 4096);
    }
    assert_eq!(log.complaint.is_some(), log.complaints > 0);
});
