//! Whether the disks of an archive are those that its guest's configuration names.

use super::header::{GUEST_CONFIG, Header, VMSTATE};
use crate::domain::finding::{Findings, Kind};
use crate::formats::printable::printable;
use crate::formats::vm_config::{self, VmConfig};

/// EFI variables and TPM state have the size that QEMU sees, not that of their volume.
const ODD_SIZES: [&str; 2] = ["efidisk", "tpmstate"];

/// Compares. What the configuration says is returned for evidence.
pub(super) fn judge(header: &Header, findings: &mut Findings) -> Option<VmConfig> {
    let Some(file) = header.configs.iter().find(|config| *config.name == *GUEST_CONFIG) else {
        let text = "there is no qemu-server.conf in the archive: qmrestore needs one, vma extract gets the disks";
        findings.say(Kind::NoConfig, text);
        return None;
    };
    let config = vm_config::parse(&file.data);
    let disks = header.devices.iter().filter(|device| *device.name != *VMSTATE);
    for disk in disks.filter(|disk| !config.maps.iter().any(|(_, stream)| stream.as_bytes() == &*disk.name)) {
        let name = printable(&disk.name);
        let text =
            format!("the configuration doesn't map {name}: qmrestore refuses the archive, vma extract gets the disk");
        findings.say(Kind::DiskUnmapped, text);
    }
    missing(header, &config).into_iter().for_each(|text| findings.say(Kind::DiskMissing, text));
    for disk in config.disks.iter().filter(|disk| disk.is_left_out()) {
        let text = format_args!(
            "{} ({}) is left out of backups by backup=0: a restore comes without it",
            disk.key, disk.volume
        );
        findings.say(Kind::VolumeLeftOut, text);
    }
    judge_sizes(header, &config, findings);
    Some(config)
}

/// Disks that should be in the archive and have no stream, each as a sentence.
fn missing(header: &Header, config: &VmConfig) -> Vec<String> {
    let there = |stream: &str| size_of(header, stream.as_bytes()).is_some();
    let mapped = config.maps.iter().filter(|(_, stream)| !there(stream)).map(|(disk, stream)| {
        format!("the configuration says that {disk} is in the archive as {stream}, and it isn't: qmrestore refuses the archive")
    });
    let unmentioned = config.disks.iter().filter(|disk| {
        let is_mapped = config.maps.iter().any(|(key, _)| *key == disk.key);
        let names = [format!("drive-{}", disk.key), format!("drive-{}-backup", disk.key)];
        disk.is_backed_up() && !is_mapped && !names.iter().any(|name| there(name))
    });
    let unmentioned = unmentioned.map(|disk| {
        format!(
            "{} ({}) is a disk of the guest without backup=0, and it is not in the archive: a restore comes without it",
            disk.key, disk.volume
        )
    });
    mapped.chain(unmentioned).collect()
}

fn judge_sizes(header: &Header, config: &VmConfig, findings: &mut Findings) {
    for disk in &config.disks {
        let stream = config.maps.iter().find(|(key, _)| *key == disk.key).map(|(_, stream)| stream);
        let size = stream.and_then(|stream| size_of(header, stream.as_bytes()));
        if let (Some(size), Some(wanted)) = (size, disk.size)
            && size < wanted
            && !ODD_SIZES.iter().any(|odd| disk.key.starts_with(odd))
        {
            let text = format!("{} has {size} bytes in the archive, and {wanted} by the configuration", disk.key);
            findings.say(Kind::DiskSize, text);
        }
    }
}

/// Bytes of a stream.
fn size_of(header: &Header, name: &[u8]) -> Option<u64> {
    header.devices.iter().find(|device| *device.name == *name).map(|device| device.size)
}
