//! What the files of a package are together: each that is named is there, as large as is said, with the checksum of the manifest.

use std::collections::BTreeSet;

use super::{MOST, Member, Package, Role, decoded};
use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;
use crate::domain::proof::Level;
use crate::formats::ovf::envelope::{DiskRef, Envelope, FileRef};
use crate::formats::vmdk;
use crate::formats::vmdk::descriptor::Extent;

impl Package {
    /// What all files together amount to.
    pub fn conclude(&mut self, findings: &mut Findings) -> Level {
        if self.described && self.descriptions == 0 {
            let text = "there is no description of the machine (.ovf): nothing can import the package";
            findings.say(Kind::ConfigMissing, text);
            return Level::Present;
        }
        if self.in_archive && self.members.first().is_some_and(|first| Role::of(&first.name) != Role::Description) {
            let text = "the description (.ovf) is not the first member of the archive: importers that read it as a stream refuse it";
            findings.say(Kind::OvfDoubtful, text);
        }
        if self.descriptions > 1 {
            let text = format!("there are {} descriptions (.ovf): only the first was followed", self.descriptions);
            findings.say(Kind::OvfDoubtful, text);
        }
        let mut level = self.level;
        if let Some(envelope) = &self.envelope {
            if !envelope.judge(findings) {
                level = level.min(Level::Decodes);
            }
            for file in &envelope.files {
                level = level.min(self.judge_file(file, findings));
            }
            for disk in &envelope.disks {
                level = level.min(self.judge_disk(disk, envelope, findings));
            }
        }
        for member in &self.members {
            level = level.min(self.judge_extents(member, findings));
        }
        level = level.min(self.judge_pieces(findings));
        self.judge_manifest(findings);
        self.judge_extra(findings);
        level
    }

    /// A file that the description names.
    fn judge_file(&self, file: &FileRef, findings: &mut Findings) -> Level {
        let shown = printable(file.href.as_bytes());
        if file.href.contains("://") {
            let text = format!("{shown} lies elsewhere: it was not looked at");
            findings.say(Kind::CompanionMissing, text);
            return Level::Decodes;
        }
        let bytes = match (file.chunk, self.find(&file.href)) {
            (_, Some(member)) => Some(member.bytes),
            (Some(_), None) => self.pieces(&file.href),
            (None, None) => None,
        };
        let Some(bytes) = bytes else {
            if self.is_passed(&file.href) {
                return Level::Present;
            }
            findings.say(Kind::MemberMissing, format_args!("{shown}, which the description names, is not there"));
            return Level::Present;
        };
        if bytes == 0 {
            findings.say(Kind::Empty, format_args!("{shown} has no content"));
        } else if let Some(size) = file.size.filter(|size| *size != bytes) {
            let text = format!("{shown} has {bytes} bytes, and the description says {size}");
            findings.say(Kind::ManifestMismatch, text);
        }
        if file.compression.is_some() || (file.chunk.is_some() && self.find(&file.href).is_none()) {
            let text = format!(
                "{shown} is compressed once more, or in pieces, which is not decoded here: its disk was not looked into"
            );
            findings.say(Kind::NotDecoded, text);
            return Level::Decodes;
        }
        Level::Complete
    }

    /// Bytes of a file in pieces: `NAME.000000000` and so on.
    fn pieces(&self, href: &str) -> Option<u64> {
        let sizes = (0..MOST).map_while(|number| self.find(&format!("{href}.{number:09}")).map(|piece| piece.bytes));
        sizes.reduce(|sum, bytes| sum.saturating_add(bytes))
    }

    fn judge_disk(&self, disk: &DiskRef, envelope: &Envelope, findings: &mut Findings) -> Level {
        let file = envelope.files.iter().find(|file| Some(&file.id) == disk.file.as_ref());
        let Some((file, member)) = file.and_then(|file| Some((file, self.find(&file.href)?))) else {
            return Level::Complete;
        };
        let shown = printable(member.name.as_bytes());
        let Some(found) = &member.disk else {
            if !member.is_disk && member.bytes > 0 && file.compression.is_none() {
                let text = format!("{shown} is a disk of another format than VMDK, which is not looked into");
                findings.say(Kind::NotDecoded, text);
                return Level::Decodes;
            }
            return Level::Complete;
        };
        if let (Some(said), Some(has)) = (disk.capacity, found.capacity)
            && said != has
        {
            let text = format!("the disk in {shown} has {has} bytes, and the description says {said}");
            findings.say(Kind::DiskSize, text);
        }
        Level::Complete
    }

    /// The files in which the data of a disk lies whose descriptor is a file of its own.
    fn judge_extents(&self, member: &Member, findings: &mut Findings) -> Level {
        let Some(disk) = member.disk.as_ref().filter(|disk| disk.is_text) else { return Level::Complete };
        let Some(descriptor) = &disk.descriptor else { return Level::Complete };
        let (shown, mut level) = (printable(member.name.as_bytes()), Level::Complete);
        for extent in &descriptor.extents {
            let Some(file) = &extent.file else { continue };
            level = level.min(match self.find(file) {
                Some(found) => judge_extent(extent, found, &shown, findings),
                None if self.is_passed(file) => Level::Present,
                None => {
                    let file = printable(file.as_bytes());
                    let text = format_args!("{file}, in which data of {shown} lies, is not there");
                    findings.say(Kind::MemberMissing, text);
                    Level::Present
                }
            });
        }
        if descriptor.extents.iter().any(Extent::is_raw) {
            let text = format!(
                "{shown}: its files have the length that they must have; nothing in them tells whether their content is right"
            );
            findings.say(Kind::NoEndKnown, text);
            level = level.min(Level::Decodes);
        }
        if let Some(parent) = descriptor.parent() {
            let known = self.members.iter().any(|other| parent.starts_with(&printable(other.name.as_bytes())));
            if !known {
                let text = format!(
                    "{shown} is a snapshot's difference to {parent}, which is not there: it can't be restored without"
                );
                findings.say(Kind::CompanionMissing, text);
                level = level.min(Level::Decodes);
            }
        }
        level
    }

    fn judge_manifest(&self, findings: &mut Findings) {
        let Some(lines) = self.manifest.as_ref().filter(|_| self.described) else {
            if self.described {
                let text = "the package has no manifest (.mf): of the description, and of what isn't a compressed disk, nothing tells whether it changed";
                findings.say(Kind::NoChecksum, text);
            }
            return;
        };
        for line in lines {
            let (shown, algorithm) = (printable(line.name.as_bytes()), line.algorithm);
            let Some(member) = self.find(&line.name) else {
                if self.is_passed(&line.name) {
                    continue;
                }
                findings.say(Kind::MemberMissing, format_args!("{shown}, which the manifest names, is not there"));
                continue;
            };
            match member.sums.digits(algorithm) {
                Some(found) if found != line.digits => {
                    let text = format!(
                        "{shown} has {} {found}, and the manifest says {}: one of them changed since the export",
                        algorithm.as_str(),
                        line.digits
                    );
                    findings.say(Kind::ManifestMismatch, text);
                }
                Some(_) => {}
                None => {
                    let text = format!(
                        "the manifest comes behind {shown}, whose {} was not taken: it was not compared",
                        algorithm.as_str()
                    );
                    findings.say(Kind::NoChecksum, text);
                }
            }
        }
        let covered: BTreeSet<&str> =
            lines.iter().map(|line| line.name.strip_prefix("./").unwrap_or(&line.name)).collect();
        let bare = |member: &&Member| !matches!(Role::of(&member.name), Role::Manifest | Role::Certificate);
        let open: Vec<_> = self.members.iter().filter(bare).filter(|member| !covered.contains(&*member.name)).collect();
        if let Some(first) = open.first() {
            let first = printable(first.name.as_bytes());
            let text = format!("the manifest has no checksum of {} file(s), such as {first}", open.len());
            findings.say(Kind::NoChecksum, text);
        }
    }

    /// Files that nothing names.
    fn judge_extra(&self, findings: &mut Findings) {
        let Some(envelope) = &self.envelope else { return };
        let extents = self.extents().map(str::to_owned);
        let hrefs = envelope.files.iter().flat_map(|file| {
            let href = file.href.strip_prefix("./").unwrap_or(&file.href).to_owned();
            decoded(&href).into_iter().chain([href])
        });
        let named: BTreeSet<String> = extents.chain(hrefs).collect();
        let is_named = |name: &str| {
            let stem = name.rsplit_once('.').filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
            named.contains(name) || stem.is_some_and(|(stem, _)| named.contains(stem))
        };
        let content = |member: &&Member| Role::of(&member.name) == Role::Content && !is_named(&member.name);
        let extra: Vec<_> = self.members.iter().filter(content).collect();
        if let Some(first) = extra.first() {
            let first = printable(first.name.as_bytes());
            let text = format!("{} file(s) belong to nothing that the description names, such as {first}", extra.len());
            findings.say(Kind::ExtraFile, text);
        }
    }

    /// Pieces of disks that no descriptor names.
    fn judge_pieces(&self, findings: &mut Findings) -> Level {
        let named: BTreeSet<&str> = self.extents().collect();
        let is_piece = |member: &Member| {
            let lacks =
                member.disk.as_ref().is_some_and(|disk| disk.descriptor.is_none() && disk.level > Level::Present);
            vmdk::is_raw_name(&member.name) || lacks
        };
        let mut bare = self.members.iter().filter(|it| is_piece(it) && !named.contains(&*it.name));
        let Some(first) = bare.next() else { return Level::Complete };
        let first = printable(first.name.as_bytes());
        let text = format!(
            "no descriptor names {first}: what size the disk must have isn't known, and a machine can't use it as it is"
        );
        findings.say(Kind::CompanionMissing, text);
        Level::Present
    }
}

/// A file in which a part of a disk lies.
fn judge_extent(extent: &Extent, found: &Member, shown: &str, findings: &mut Findings) -> Level {
    let file = printable(found.name.as_bytes());
    if extent.is_raw() {
        let needed = extent.offset.saturating_add(extent.sectors).saturating_mul(vmdk::SECTOR);
        if found.bytes < needed {
            let text =
                format!("{file} has {} bytes, and {shown} says that it needs {needed}: it is cut short", found.bytes);
            findings.say(Kind::Truncated, text);
        }
        return Level::Decodes;
    }
    let Some(disk) = &found.disk else { return Level::Present };
    if let Some(has) = disk.capacity.filter(|has| *has != extent.sectors.saturating_mul(vmdk::SECTOR)) {
        let text = format!("{file} holds {has} bytes of the disk, and {shown} says {} sectors", extent.sectors);
        findings.say(Kind::DiskSize, text);
    }
    disk.level
}
