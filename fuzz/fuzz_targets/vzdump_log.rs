//! Any bytes as a log of vzdump.

#![no_main]

use firedrill::domain::run::LogEnd;
use firedrill::formats::vzdump_log;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // The guest of the seeds.
    let log = vzdump_log::parse(input, 100);
    if let LogEnd::Failed(reason) = &log.end {
        assert!(!reason.is_empty() && reason.len() <= 4096);
    }
    assert_eq!(log.complaint.is_some(), log.complaints > 0);
});
