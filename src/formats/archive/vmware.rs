//! Disks and packages of VMware: what a file is by its first bytes, and if they tell nothing, by its name.

use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;
use crate::domain::proof::{Evidence, Level, Part};
use crate::formats::shape::Structure;
use crate::formats::stream::{Stop, Stream};
use crate::formats::{ovf, vmdk};

/// Whether a file that begins so is one of them, whatever its name says.
pub(super) fn begins(head: &[u8]) -> bool {
    of_content(head).is_some()
}

fn of_content(head: &[u8]) -> Option<Structure> {
    match () {
        () if vmdk::begins(head) => Some(Structure::Vmdk { raw: false }),
        () if ovf::begins_ova(head) => Some(Structure::Ova),
        () if ovf::begins(head) => Some(Structure::Ovf),
        () => None,
    }
}

/// Checks a file that is one of them by its content, or by its name.
pub(super) fn check(
    stream: &mut dyn Stream,
    named: Option<Structure>,
    evidence: &mut Evidence,
    findings: &mut Findings,
) -> Result<Level, Stop> {
    let raw = named == Some(Structure::Vmdk { raw: true });
    let found = if raw { None } else { of_content(stream.chunk()?) };
    if let (Some(named), Some(found)) = (named, found)
        && named != found
    {
        let text = format!("its content is {}, not {} as its name says", word(found), word(named));
        findings.say(Kind::OtherFormat, text);
    }
    match found.or(named) {
        Some(Structure::Ova) => {
            evidence.format = Some("ova".into());
            let (package, level, members) = ovf::check_ova(stream, findings)?;
            evidence.members = Some(members);
            note(&package, evidence);
            Ok(level)
        }
        Some(Structure::Ovf) => {
            evidence.format = Some("ovf".into());
            let (envelope, level) = ovf::check_alone(stream, findings)?;
            note_machine(&envelope, evidence);
            Ok(level)
        }
        _ => {
            evidence.format = Some("vmdk".into());
            let disk = if raw { vmdk::check_raw(stream, findings)? } else { vmdk::check(stream, findings)? };
            evidence.disks = disk.capacity.map(|bytes| Part { name: "disk".into(), bytes }).into_iter().collect();
            Ok(match disk.descriptor {
                Some(_) if disk.is_text => companions(&disk, findings),
                None if disk.level == Level::Complete => {
                    let text = "it has no descriptor: it is one piece of a disk, or the descriptor was lost; verify the directory of all pieces";
                    findings.say(Kind::CompanionMissing, text);
                    Level::Decodes
                }
                _ => disk.level,
            })
        }
    }
}

fn word(structure: Structure) -> &'static str {
    match structure {
        Structure::Ova => "an OVA archive",
        Structure::Ovf => "an OVF description",
        _ => "a VMDK disk",
    }
}

/// Of a descriptor alone: where the data is.
fn companions(disk: &vmdk::Disk, findings: &mut Findings) -> Level {
    let Some(descriptor) = &disk.descriptor else { return Level::Present };
    let mut files = descriptor.extents.iter().filter_map(|extent| extent.file.as_ref());
    let first = files.next().map_or_else(|| "no file".to_owned(), |file| printable(file.as_bytes()));
    let more = match files.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = format!(
        "it is the descriptor of a disk, whose data is in {first}{more}: verify their directory, where nothing but this machine's files are"
    );
    findings.say(Kind::CompanionMissing, text);
    if let Some(parent) = descriptor.parent() {
        let text = format!("it is a snapshot's difference to {parent}: without that disk it can't be restored");
        findings.say(Kind::CompanionMissing, text);
    }
    Level::Present
}

/// What a package tells of its machine.
pub(in crate::formats) fn note(package: &ovf::Package, evidence: &mut Evidence) {
    let disks = package.disks().map(|(name, bytes)| Part { name: printable(name.as_bytes()).into(), bytes });
    // As many as a machine has; a hostile package could name thousands.
    evidence.disks = disks.take(64).collect();
    if let Some(envelope) = &package.envelope {
        note_machine(envelope, evidence);
    }
}

fn note_machine(envelope: &ovf::Envelope, evidence: &mut Evidence) {
    evidence.guest_name = envelope.name.as_ref().map(|name| printable(name.as_bytes()).into());
    let networks = envelope.networks.iter().take(64);
    evidence.networks = networks.map(|name| printable(name.as_bytes()).into()).collect();
}
