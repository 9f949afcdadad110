//! The configuration of a container as it lies in its backup: `./etc/vzdump/pct.conf`.
//!
//! Lines `key: value`; the first `[section]` begins what is not the container of now. Source: pve-container
//! `PVE/LXC/Config.pm` (`parse_pct_config`, `parse_volume`, `classify_mountpoint`, `mountpoint_backup_enabled`).

use super::printable::printable;

/// No more than this is read of a configuration; Proxmox VE refuses larger files itself.
pub const MAX_BYTES: u64 = 1 << 20;

/// So many mount points are kept; Proxmox VE has `mp0` to `mp255`.
pub const MAX_MOUNT_POINTS: usize = 256;

/// So many networks are kept; Proxmox VE has `net0` to `net31`.
const MAX_NETWORKS: usize = 32;

/// Longer lines are passed over.
const MAX_LINE: usize = 64 << 10;

/// Longest path of a mount point, as the kernel has it.
const MAX_PATH: usize = 4096;

/// What a configuration says, as far as it is of use for a restore. Texts are printable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerConfig {
    /// Its name.
    pub hostname: Option<String>,
    /// `amd64`, `arm64` …
    pub arch: Option<String>,
    /// `debian`, `alpine` …
    pub ostype: Option<String>,
    /// The volume of the root with its options. The restore refuses a configuration without it.
    pub rootfs: Option<String>,
    /// What is mounted below the root.
    pub mount_points: Vec<MountPoint>,
    /// Networks as `eth0 on vmbr0`.
    pub networks: Vec<String>,
    /// Whether its root is nobody on the host.
    pub unprivileged: bool,
}

/// Something that is mounted below the root of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// `mp0` to `mp255`.
    pub key: String,
    /// `storage:volume`, or a path of the host.
    pub volume: String,
    /// Where in the container, as written: not printable yet.
    pub path: Vec<u8>,
    /// Whether it is to be backed up, as written.
    pub backup: bool,
}

impl MountPoint {
    /// Whether its content is in backups: of volumes only, never of directories and devices of the host.
    pub fn is_backed_up(&self) -> bool {
        self.backup && !self.volume.is_empty() && !self.volume.starts_with('/')
    }

    /// Whether vzdump leaves its content out though it is a volume of the container: the default without `backup`.
    pub fn is_left_out(&self) -> bool {
        !self.backup && !self.volume.is_empty() && !self.volume.starts_with('/')
    }

    /// Its path without `/` at the ends, as names in the archive have it after `./`; empty is the root.
    pub fn below_root(&self) -> Vec<u8> {
        let parts: Vec<&[u8]> =
            self.path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
        parts.join(&b'/')
    }
}

/// Whether it can be a text file: no NUL, and hardly anything that is no UTF-8.
pub fn is_text(bytes: &[u8]) -> bool {
    let strange: usize = bytes.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    !bytes.contains(&0) && strange <= bytes.len() / 10
}

/// Reads a configuration. Keys that are of no use here are passed over.
pub fn parse(text: &[u8]) -> ContainerConfig {
    let mut config = ContainerConfig::default();
    let read = &text[..text.len().min(MAX_BYTES as usize)];
    for line in read.split(|byte| *byte == b'\n') {
        if line.len() > MAX_LINE || line.starts_with(b"#") {
            continue;
        }
        if line.starts_with(b"[") {
            break;
        }
        if let Some(colon) = memchr::memchr(b':', line) {
            config.set(&line[..colon], line[colon + 1..].trim_ascii());
        }
    }
    config
}

impl ContainerConfig {
    fn set(&mut self, key: &[u8], value: &[u8]) {
        let text = || (!value.is_empty()).then(|| printable(value));
        match key {
            b"hostname" => self.hostname = text(),
            b"arch" => self.arch = text(),
            b"ostype" => self.ostype = text(),
            b"rootfs" => self.rootfs = text(),
            b"unprivileged" => self.unprivileged = is_true(value),
            _ if is_numbered(key, b"mp") => self.mount_point(key, value),
            _ if is_numbered(key, b"net") => self.network(value),
            _ => {}
        }
    }

    /// `local:vol,mp=/data,size=8G,backup=1`; the volume may be written as `volume=…` too.
    fn mount_point(&mut self, key: &[u8], value: &[u8]) {
        let key = printable(key);
        // The last line of a key counts, as in Proxmox VE.
        self.mount_points.retain(|point| point.key != key);
        let path = property(value, b"mp").filter(|path| path.len() <= MAX_PATH);
        let (Some(path), true) = (path, self.mount_points.len() < MAX_MOUNT_POINTS) else { return };
        let unnamed = value.split(|byte| *byte == b',').find(|part| !part.contains(&b'='));
        let volume = property(value, b"volume").or(unnamed).unwrap_or_default();
        let backup = property(value, b"backup").is_some_and(is_true);
        self.mount_points.push(MountPoint { key, volume: printable(volume), path: path.to_vec(), backup });
    }

    fn network(&mut self, value: &[u8]) {
        let Some(name) = property(value, b"name").filter(|_| self.networks.len() < MAX_NETWORKS) else { return };
        self.networks.push(match property(value, b"bridge") {
            Some(bridge) => format!("{} on {}", printable(name), printable(bridge)),
            None => printable(name),
        });
    }
}

fn is_numbered(key: &[u8], prefix: &[u8]) -> bool {
    let digits = key.strip_prefix(prefix).unwrap_or_default();
    (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
}

/// As Proxmox VE reads booleans (`PVE/JSONSchema.pm`, `parse_boolean`).
fn is_true(value: &[u8]) -> bool {
    [&b"1"[..], b"on", b"yes", b"true"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Value of a key in a property string `a=1,b=2`.
fn property<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b',').find_map(|part| part.trim_ascii().strip_prefix(key)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_container_with_mount_points_and_networks() {
        let text = b"#notes: x\narch: amd64\nhostname: ct\nostype: debian\nrootfs: local-lvm:vm-200-disk-0,size=2G\r\n\
            mp0: local:vm-200-disk-1,mp=/data/,backup=1,size=8G\nmp1: /srv/host,mp=/srv,backup=1\n\
            mp2: volume=zfs:subvol-200-disk-2,mp=//var/./lib/x,backup=yes\nmp3: local:d,mp=/cache\n\
            mp4: /dev/sdb1,mp=/dev1,backup=1\nmpx: a\nnet0: name=eth0,bridge=vmbr0,ip=dhcp\nnet1: name=eth1\nunprivileged: 1\n\
            \n[snap]\nhostname: old\nmp9: local:x,mp=/x,backup=1\n";
        let config = parse(text);
        assert_eq!(config.hostname.as_deref(), Some("ct"));
        assert_eq!(config.arch.as_deref(), Some("amd64"));
        assert_eq!(config.ostype.as_deref(), Some("debian"));
        assert_eq!(config.rootfs.as_deref(), Some("local-lvm:vm-200-disk-0,size=2G"));
        assert_eq!(config.networks, ["eth0 on vmbr0", "eth1"]);
        assert!(config.unprivileged);
        let backed_up: Vec<_> = config.mount_points.iter().filter(|point| point.is_backed_up()).collect();
        assert_eq!(backed_up.iter().map(|point| point.below_root()).collect::<Vec<_>>(), [&b"data"[..], b"var/lib/x"]);
        assert_eq!(config.mount_points.len(), 5);
    }

    #[test]
    fn the_last_line_of_a_key_counts_and_there_are_bounds() {
        let config = parse(b"mp0: a:b,mp=/a,backup=1\nmp0: a:b,mp=/b\nrootfs:\n");
        assert_eq!(config.mount_points.len(), 1);
        assert!(!config.mount_points[0].is_backed_up());
        assert_eq!(config.rootfs, None);
        let many: String = (0..999).map(|n| format!("mp{n}: a:b,mp=/m{n}\nnet{n}: name=e{n}\n")).collect();
        let config = parse(many.as_bytes());
        assert_eq!((config.mount_points.len(), config.networks.len()), (MAX_MOUNT_POINTS, MAX_NETWORKS));
        let long = [b"hostname: ".to_vec(), vec![b'x'; MAX_LINE], b"\narch: arm64\n".to_vec()].concat();
        assert_eq!(parse(&long), ContainerConfig { arch: Some("arm64".into()), ..Default::default() });
    }

    #[test]
    fn text_is_told_from_other_bytes() {
        assert!(is_text(b"") && is_text("hostname: grün\n".as_bytes()) && is_text(b"hostname: gr\xfcn und mehr\n"));
        assert!(!is_text(b"arch\0") && !is_text(b"\xff\xfe\xfd"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..500)) {
            parse(&text);
            is_text(&text);
        }

        #[test]
        fn any_properties_are_read_without_panic(text in "((mp[0-9]{1,3}|rootfs|net0): [a-z,=/.:]{0,30}\n){0,9}") {
            parse(text.as_bytes()).mount_points.iter().for_each(|point| { point.below_root(); });
        }
    }
}
