//! Machines of VMware in a directory: an OVF package, or disks beside their descriptors as a copy of a datastore has them.
//!
//! A directory is one machine only if there is nothing else in it: beside other backups each file is one of its own.

use super::{Set, SetKind};
use crate::formats::archive::vmware::note;
use crate::formats::foreign_name;
use crate::formats::ovf::Package;
use crate::formats::shape::Container;
use crate::formats::stream::Stop;
use crate::formats::vmdk;

/// Endings of the files of a machine.
const ENDINGS: [&str; 10] = ["ovf", "mf", "cert", "vmdk", "iso", "nvram", "vmx", "vmxf", "vmsd", "vmsn"];

/// What ghettoVCB leaves beside the disks that it copied.
const STATUS: [&str; 3] = ["STATUS.ok", "STATUS.warn", "STATUS.error"];

/// What names in a directory say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    descriptions: u32,
    pieces: bool,
    foreign: bool,
}

impl Marks {
    pub(super) fn see(&mut self, name: &str) {
        if foreign_name::sort(name.as_bytes()).is_some() {
            return;
        }
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
        self.descriptions = self.descriptions.saturating_add(u32::from(ending == "ovf"));
        self.pieces |= vmdk::is_piece_name(name);
        self.foreign |= !ENDINGS.contains(&&*ending) && !STATUS.contains(&name);
    }

    pub(super) fn kind(self) -> Option<SetKind> {
        match self.descriptions {
            _ if self.foreign => None,
            1 => Some(SetKind::Ovf),
            0 if self.pieces => Some(SetKind::Vmdk),
            _ => None,
        }
    }
}

pub(super) fn check(set: &mut Set<'_>, mut package: Package, format: &str) -> Result<(), Stop> {
    set.evidence.format = Some(format.into());
    // The manifest tells which checksums to take, so it is read before what it is about.
    let rank = |name: &str| match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "ovf" => 0,
        "mf" => 1,
        _ => 2,
    };
    let mut order: Vec<usize> = (0..set.files.members().len()).collect();
    order.sort_by_key(|index| rank(&set.files.members()[*index].name.to_ascii_lowercase()));
    for index in order {
        let name = set.name(index);
        let Some(size) = set.files.members()[index].size else {
            package.pass(&name);
            set.look(index, |_, _| Ok(()))?;
            continue;
        };
        set.look_through(index, Container::Plain, |stream, findings| package.read(&name, size, stream, findings))?;
    }
    let level = package.conclude(&mut set.findings);
    note(&package, &mut set.evidence);
    set.only(level);
    Ok(())
}
