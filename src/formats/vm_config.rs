//! The configuration of a virtual machine as vzdump puts it into an archive.
//!
//! A copy of `/etc/pve/qemu-server/<vmid>.conf` without snapshots, with a line
//! `#qmdump#map:<disk>:<stream>:<storage>:<format>:` for each disk in the archive.
//! Source: qemu-server `PVE/VZDump/QemuServer.pm` (`assemble`), `PVE/QemuServer/Drive.pm`.

use crate::domain::printable::printable;

/// More disks or networks than this are no guest of Proxmox VE (31 SCSI + 16 VirtIO + 6 SATA + 4 IDE …).
const MOST: usize = 256;

/// Longest line that is read.
const LONGEST_LINE: usize = 64 << 10;

/// A disk line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// `scsi0`, `efidisk0` …
    pub key: Box<str>,
    /// `local-lvm:vm-100-disk-0`.
    pub volume: Box<str>,
    /// `size=`, in bytes.
    pub size: Option<u64>,
    /// `backup=0`.
    pub excluded: bool,
    /// A CD-ROM, an empty one, or the drive of cloud-init, which a restore makes anew.
    pub removable: bool,
}

impl Disk {
    /// Whether vzdump saves it.
    pub fn is_backed_up(&self) -> bool {
        !self.excluded && !self.removable
    }

    /// Whether it is a disk that vzdump leaves out because the configuration says so.
    pub fn is_left_out(&self) -> bool {
        self.excluded && !self.removable
    }
}

/// What is read of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VmConfig {
    /// `name:`.
    pub name: Option<Box<str>>,
    /// Disk lines.
    pub disks: Vec<Disk>,
    /// Map lines: disk and stream.
    pub maps: Vec<(Box<str>, Box<str>)>,
    /// Networks: `net0 on vmbr0`.
    pub networks: Vec<Box<str>>,
}

/// Reads a configuration. What isn't understood is passed over: there are hundreds of keys, and more with each release.
pub fn parse(text: &[u8]) -> VmConfig {
    let mut config = VmConfig::default();
    for line in text.split(|byte| *byte == b'\n') {
        let line = &line[..line.len().min(LONGEST_LINE)];
        if line.starts_with(b"[") {
            break;
        }
        if let Some(map) = line.strip_prefix(b"#qmdump#map:") {
            config.maps.extend(mapped(map.trim_ascii_end()).filter(|_| config.maps.len() < MOST));
        } else if !line.starts_with(b"#")
            && let Some(colon) = line.iter().position(|byte| *byte == b':')
        {
            set(&mut config, &line[..colon], line[colon + 1..].trim_ascii());
        }
    }
    config
}

/// `scsi0:drive-scsi0:local-lvm:raw:`
fn mapped(map: &[u8]) -> Option<(Box<str>, Box<str>)> {
    let mut fields = map.split(|byte| *byte == b':');
    let (disk, stream) = (fields.next()?, fields.next()?);
    let complete = fields.count() == 3 && map.ends_with(b":") && !disk.is_empty() && !stream.is_empty();
    complete.then(|| (printable(disk).into(), printable(stream).into()))
}

fn set(config: &mut VmConfig, key: &[u8], value: &[u8]) {
    if key == b"name" && !value.is_empty() {
        config.name = Some(printable(value).into());
    } else if is_numbered(key, &[b"net"]) && config.networks.len() < MOST {
        let bridge = option(value, b"bridge").map_or_else(|| "no bridge".to_owned(), printable);
        config.networks.push(format!("{} on {bridge}", printable(key)).into());
    } else if is_numbered(key, &[b"ide", b"sata", b"scsi", b"virtio", b"efidisk", b"tpmstate"])
        && config.disks.len() < MOST
    {
        config.disks.push(disk(key, value));
    }
}

fn is_numbered(key: &[u8], prefixes: &[&[u8]]) -> bool {
    prefixes.iter().any(|prefix| {
        key.strip_prefix(*prefix)
            .is_some_and(|digits| (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit))
    })
}

fn disk(key: &[u8], value: &[u8]) -> Disk {
    let first = value.split(|byte| *byte == b',').next().unwrap_or_default();
    let volume = first.strip_prefix(b"file=").unwrap_or(first);
    let cdrom = option(value, b"media") == Some(b"cdrom");
    Disk {
        key: printable(key).into(),
        volume: printable(volume).into(),
        size: option(value, b"size").and_then(bytes),
        excluded: matches!(option(value, b"backup"), Some(b"0" | b"no" | b"off" | b"false")),
        removable: cdrom || matches!(volume, b"none" | b"cdrom") || is_cloud_init(volume),
    }
}

/// `storage:vm-100-cloudinit`, with or without an extension.
fn is_cloud_init(volume: &[u8]) -> bool {
    volume.windows(b"-cloudinit".len()).any(|window| window == b"-cloudinit")
}

fn option<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    value.split(|byte| *byte == b',').find_map(|field| field.strip_prefix(name)?.strip_prefix(b"="))
}

/// `32G`, `528K`: a number with a binary unit.
fn bytes(text: &[u8]) -> Option<u64> {
    let (number, shift) = match text.split_last()? {
        (b'K', number) => (number, 10),
        (b'M', number) => (number, 20),
        (b'G', number) => (number, 30),
        (b'T', number) => (number, 40),
        _ => (text, 0),
    };
    let number: f64 = std::str::from_utf8(number).ok().filter(|text| text.len() < 20)?.parse().ok()?;
    let bytes = number * (1_u64 << shift) as f64;
    (0.0..1e18).contains(&bytes).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn disks_and_what_vzdump_makes_of_them() {
        let text = b"#notes%3A web\nname: web\nboot: order=scsi0\nefidisk0: local-lvm:vm-100-disk-0,efitype=4m,size=4M\n\
            ide2: none,media=cdrom\nide3: local-lvm:vm-100-cloudinit,media=cdrom,size=4M\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=5\n\
            scsi0: local-lvm:vm-100-disk-1,iothread=1,size=32G\nscsi1: nas:100/vm-100-disk-2.qcow2,backup=0,size=1.5T\nscsihw: virtio-scsi-single\n\
            #qmdump#map:efidisk0:drive-efidisk0:local-lvm:raw:\n#qmdump#map:scsi0:drive-scsi0:local-lvm:raw:\n#qmdump#map:broken\n\
            [snapshot]\nscsi7: x:y\n";
        let config = parse(text);
        assert_eq!(config.name.as_deref(), Some("web"));
        let disks: Vec<_> = config.disks.iter().map(|disk| (&*disk.key, disk.is_backed_up(), disk.size)).collect();
        assert_eq!(
            disks,
            [
                ("efidisk0", true, Some(4 << 20)),
                ("ide2", false, None),
                ("ide3", false, Some(4 << 20)),
                ("scsi0", true, Some(32 << 30)),
                ("scsi1", false, Some(3 << 39)),
            ]
        );
        assert_eq!(config.maps.len(), 2);
        assert_eq!(&*config.networks[0], "net0 on vmbr0");
    }

    #[test]
    fn map_lines_without_storage_and_format() {
        assert_eq!(parse(b"#qmdump#map:scsi0:drive-scsi0:::\n").maps, [("scsi0".into(), "drive-scsi0".into())]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..500)) {
            parse(&text);
        }

        #[test]
        fn any_lines_are_read_without_panic(text in "((scsi|net|#qmdump#map:)[0-9]{0,4}:[a-z=,:0-9.KMGT-]{0,30}\n){0,9}") {
            parse(text.as_bytes());
        }
    }
}
