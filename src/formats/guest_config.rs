//! Guest configurations as Proxmox VE keeps them: `/etc/pve/nodes/<node>/{qemu-server,lxc}/<vmid>.conf`.
//!
//! Lines `key: value`; comment lines at the head are the guest's notes, percent-encoded; sections `[name]` hold
//! snapshots and pending changes and are not the guest of now. Source: qemu-server `PVE/QemuServer.pm`
//! (`parse_vm_config`), pve-container `PVE/LXC/Config.pm`.

use std::sync::Arc;

use jiff::Timestamp;

use super::{container_config, vm_config};
use crate::domain::guest::Guest;
use crate::domain::ids::{GuestKind, ItemId, ItemKind};
use crate::domain::printable::printable;
use crate::domain::run_log::LeftOut;

/// No more than this is read of a configuration; Proxmox VE refuses larger files itself.
pub const MAX_BYTES: u64 = 1 << 20;

/// Longest notes that are kept, in bytes.
const MAX_NOTES: usize = 8 << 10;

/// Reads a configuration. Unknown keys are passed over: there are hundreds, and more with each release.
pub fn parse(text: &[u8], kind: GuestKind, vmid: u32, node: &Arc<str>) -> Guest {
    let mut guest = Guest {
        id: ItemId::guest(kind, vmid),
        name: None,
        tags: Vec::new(),
        notes: None,
        node: node.clone(),
        template: false,
        left_out: left_out(text, kind),
        onboot: Some(false),
        created: None,
        identity_since: None,
        fingerprint: None,
        former_names: Vec::new(),
    };
    let mut notes = String::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.starts_with(b"[") {
            break;
        }
        if let Some(comment) = line.strip_prefix(b"#") {
            add_note(&mut notes, comment);
        } else if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            set(&mut guest, &line[..colon], line[colon + 1..].trim_ascii());
        }
    }
    guest.notes = (!notes.is_empty()).then(|| notes.into());
    guest
}

/// Volumes that its backups leave out.
fn left_out(text: &[u8], kind: GuestKind) -> Vec<LeftOut> {
    if kind == GuestKind::Qemu {
        let config = vm_config::parse(text);
        let disks = config.disks.into_iter().filter(vm_config::Disk::is_left_out);
        return disks.map(|disk| LeftOut { key: disk.key, volume: Some(disk.volume) }).collect();
    }
    let config = container_config::parse(text);
    let points = config.mount_points.into_iter().filter(container_config::MountPoint::is_left_out);
    points.map(|point| LeftOut { key: point.key.into(), volume: Some(printable(&point.path).into()) }).collect()
}

fn add_note(notes: &mut String, comment: &[u8]) {
    if notes.len() < MAX_NOTES {
        if !notes.is_empty() {
            notes.push('\n');
        }
        let cut = &comment[..comment.len().min(MAX_NOTES)];
        notes.push_str(&String::from_utf8_lossy(&percent_decoded(cut)));
    }
}

fn set(guest: &mut Guest, key: &[u8], value: &[u8]) {
    match key {
        b"name" | b"hostname" if !value.is_empty() => guest.name = Some(printable(value).into()),
        b"tags" => {
            guest.tags = value
                .split(|byte| matches!(byte, b';' | b',' | b' '))
                .filter(|tag| !tag.is_empty())
                .map(|tag| printable(tag).into())
                .collect();
        }
        b"template" => guest.template = value == b"1",
        b"onboot" => guest.onboot = Some(value == b"1"),
        b"meta" => guest.created = property(value, b"ctime").and_then(unix_time),
        b"smbios1" => guest.fingerprint = property(value, b"uuid").map(|uuid| printable(uuid).into()),
        b"net0" if guest.id.item_kind() == ItemKind::Lxc => {
            guest.fingerprint = property(value, b"hwaddr").map(|address| printable(address).into());
        }
        _ => {}
    }
}

/// Value of a key in a property string `a=1,b=2`.
fn property<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b',').find_map(|part| part.strip_prefix(key)?.strip_prefix(b"="))
}

fn unix_time(digits: &[u8]) -> Option<Timestamp> {
    let second: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Timestamp::from_second(second).ok()
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                decoded.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = after;
            }
            _ => decoded.push(*first),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_virtual_machine() {
        let text = b"#Customer%3A ACME\n#critical\nagent: 1\nmeta: creation-qemu=9.0.2,ctime=1720000000\nname: web\n\
            onboot: 1\nsmbios1: uuid=1f0c3a52-0000-4000-8000-000000000001\ntags: prod;web\n\n[before-upgrade]\nname: old\ntemplate: 1\n";
        let guest = parse(text, GuestKind::Qemu, 100, &"pve1".into());
        assert_eq!(guest.name.as_deref(), Some("web"));
        assert_eq!(guest.notes.as_deref(), Some("Customer: ACME\ncritical"));
        assert_eq!(guest.tags, [Box::from("prod"), Box::from("web")]);
        assert_eq!(guest.created.unwrap().as_second(), 1_720_000_000);
        assert_eq!(guest.fingerprint.as_deref(), Some("1f0c3a52-0000-4000-8000-000000000001"));
        assert!(guest.onboot == Some(true) && !guest.template);
    }

    #[test]
    fn a_container_template() {
        let text = b"hostname: dns\nnet0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:AA:BB:CC,ip=dhcp\ntemplate: 1\r\n";
        let guest = parse(text, GuestKind::Lxc, 200, &"pve1".into());
        assert_eq!(guest.name.as_deref(), Some("dns"));
        assert_eq!(guest.fingerprint.as_deref(), Some("BC:24:11:AA:BB:CC"));
        assert!(guest.template);
        assert_eq!(guest.created, None);
    }

    #[test]
    fn an_empty_file_is_a_guest_without_properties() {
        let guest = parse(b"", GuestKind::Qemu, 100, &"n".into());
        assert!(guest.name.is_none() && guest.notes.is_none());
    }

    #[test]
    fn volumes_that_backups_leave_out() {
        let of = |text: &str, kind| {
            let guest = parse(text.as_bytes(), kind, 100, &"pve1".into());
            guest.left_out.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let machine =
            "scsi0: a:b,size=1G\nscsi1: a:c,backup=0\nide2: none,media=cdrom,backup=0\n[snap]\nscsi2: a:d,backup=0\n";
        assert_eq!(of(machine, GuestKind::Qemu), ["scsi1 (a:c)"]);
        let container =
            "rootfs: a:b\nmp0: a:c,mp=/data\nmp1: a:d,mp=/kept,backup=1\nmp2: /srv,mp=/srv\nmp3: a:e,mp=/no,backup=0\n";
        assert_eq!(of(container, GuestKind::Lxc), ["mp0 (/data)", "mp3 (/no)"]);
        assert_eq!(of(container, GuestKind::Qemu), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..500)) {
            parse(&text, GuestKind::Lxc, 200, &"n".into());
        }

        #[test]
        fn any_percent_signs_are_read_without_panic(text in "(#[%0-9a-g]{0,9}\n){0,9}") {
            parse(text.as_bytes(), GuestKind::Qemu, 100, &"n".into());
        }
    }
}
