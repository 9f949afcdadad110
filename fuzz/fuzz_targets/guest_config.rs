//! Any bytes as the configuration of a guest, of all three sorts.

#![no_main]

use std::sync::Arc;

use firedrill::domain::ids::GuestKind;
use firedrill::formats::{container_config, guest_config, vm_config};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let node = Arc::from("pve1");
    for kind in [GuestKind::Qemu, GuestKind::Lxc] {
        let guest = guest_config::parse(input, kind, 100, &node);
        // A percent sign and two digits shrink; bytes that are no UTF-8 triple. Both are bounded.
        assert!(guest.notes.is_none_or(|notes| notes.len() <= 6 * (8 << 10) + 1));
    }
    let config = vm_config::parse(input);
    assert!(config.disks.len() <= 256 && config.maps.len() <= 256 && config.networks.len() <= 256);
    let config = container_config::parse(input);
    config.mount_points.iter().for_each(|point| drop(point.below_root()));
});
