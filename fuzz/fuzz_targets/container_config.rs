//! Any bytes as the configuration of a container.

#![no_main]

use firedrill::formats::container_config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let config = container_config::parse(data);
    assert!(config.mount_points.len() <= container_config::MAX_MOUNT_POINTS);
    config.mount_points.iter().for_each(|point| drop(point.below_root()));
});
