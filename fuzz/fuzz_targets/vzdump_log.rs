//! Any bytes as a log of vzdump.

#![no_main]

use firedrill::domain::run_log::LogEnd;
use firedrill::formats::vzdump_log;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // The guest of the seeds.
    let log = vzdump_log::parse(input, 100);
    if let LogEnd::Failed(reason) = &log.end {
        assert!(!reason.is_empty() && reason.len() <= 4096);
    }
    assert_eq!(log.complaints.is_empty(), log.complaint_count == 0);
    assert!(log.complaints.len() <= vzdump_log::MAX_COMPLAINTS && log.left_out.len() <= 64);
    let silent = log.complaints.is_empty() && log.left_out.is_empty() && log.guest_name.is_none();
    assert!(log.end != LogEnd::Foreign || silent);
});
