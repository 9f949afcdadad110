//! The files of a package, each read once in whatever order they come, and what they are together.

use std::collections::{BTreeMap, BTreeSet};

use super::envelope::{DiskRef, Envelope, FileRef};
use super::manifest::{self, Line};
use super::sums::{Algorithm, Summed, Sums};
use crate::domain::finding::{Finding, Findings, Kind};
use crate::domain::printable::printable;
use crate::domain::proof::Level;
use crate::formats::stream::{self, Stop, Stream};
use crate::formats::vmdk;

/// Most files of one package.
const MOST: usize = 10_000;

/// Most pieces of all its disks.
const MOST_EXTENTS: usize = 100_000;

/// A file that was read.
struct Member {
    name: String,
    bytes: u64,
    sums: Sums,
    /// What it holds, if it is a virtual disk and isn't damaged.
    disk: Option<vmdk::Disk>,
    /// Whether it was read as a virtual disk.
    is_disk: bool,
}

/// A package on its way.
pub struct Package {
    in_archive: bool,
    /// Whether it has to have a description.
    described: bool,
    /// The description; `None` while there is none, or if it can't be read.
    pub envelope: Option<Envelope>,
    descriptions: u64,
    manifest: Option<Vec<Line>>,
    members: Vec<Member>,
    /// Members by name; the first of a name counts.
    index: BTreeMap<String, usize>,
    /// Files that are there and were not read.
    passed: BTreeSet<String>,
    extents: usize,
    /// How much is proven at most.
    level: Level,
}

/// What a file is by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Description,
    Manifest,
    Certificate,
    Content,
}

impl Role {
    fn of(name: &str) -> Self {
        match &*name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase() {
            "ovf" => Self::Description,
            "mf" => Self::Manifest,
            "cert" => Self::Certificate,
            _ => Self::Content,
        }
    }
}

impl Package {
    /// One in an `.ova`.
    pub fn of_archive() -> Self {
        Self {
            in_archive: true,
            described: true,
            envelope: None,
            descriptions: 0,
            manifest: None,
            members: Vec::new(),
            index: BTreeMap::new(),
            passed: BTreeSet::new(),
            extents: 0,
            level: Level::Complete,
        }
    }

    /// One in a directory.
    pub fn of_directory() -> Self {
        Self { in_archive: false, ..Self::of_archive() }
    }

    /// Disks in a directory that nothing but their own descriptors describes.
    pub fn of_disks() -> Self {
        Self { described: false, ..Self::of_directory() }
    }

    /// Reads one of its files; what is wrong with it is a finding. A file that ends too early is left to who knows its end.
    pub fn read(
        &mut self,
        name: &str,
        bytes: u64,
        content: &mut dyn Stream,
        findings: &mut Findings,
    ) -> Result<(), Stop> {
        let name = name.strip_prefix("./").unwrap_or(name);
        if self.members.len() >= MOST {
            return Err(Stop::Limit(format!("the package has more than {MOST} files: it is not read further")));
        }
        let role = if self.described { Role::of(name) } else { Role::Content };
        let mut summed = Summed::new(content, Sums::of(&self.algorithms(name, role)));
        let mut said = Findings::default();
        let read = self.content(name, role, &mut summed, &mut said);
        let (disk, is_disk) = match read {
            Ok(disk) => (disk.clone(), disk.is_some()),
            Err(Stop::Damaged(finding)) => {
                said.add(finding);
                (None, true)
            }
            Err(Stop::Limit(why)) => return Err(Stop::Limit(format!("{}: {why}", printable(name.as_bytes())))),
            Err(stop) => return Err(stop),
        };
        stream::drain(&mut summed)?;
        let there = summed.count;
        // Whoever holds the file knows that it was cut, and says so.
        let cut = there < bytes;
        let shown = printable(name.as_bytes());
        let said = said.into_vec().into_iter().filter(|finding| !cut || finding.kind != Kind::Truncated);
        findings.extend(said.map(|finding| Finding::new(finding.kind, format_args!("{shown}: {}", finding.text))));
        if let Some(disk) = &disk
            && !disk.is_text
            && !vmdk::is_raw_name(name)
        {
            self.level = self.level.min(disk.level);
        }
        self.extents +=
            disk.iter().filter_map(|disk| disk.descriptor.as_ref()).map(|it| it.extents.len()).sum::<usize>();
        if self.extents > MOST_EXTENTS {
            return Err(Stop::Limit(format!("the disks of the package have more than {MOST_EXTENTS} pieces")));
        }
        self.index.entry(name.to_owned()).or_insert(self.members.len());
        self.members.push(Member { name: name.to_owned(), bytes: there, sums: summed.sums, disk, is_disk });
        Ok(())
    }

    /// A file that is there and isn't read.
    pub fn pass(&mut self, name: &str) {
        self.passed.insert(name.to_owned());
    }

    /// The checksums to take: those that the manifest has, or while there is none, any that it may.
    fn algorithms(&self, name: &str, role: Role) -> Vec<Algorithm> {
        match (&self.manifest, role) {
            (_, Role::Manifest) => Vec::new(),
            (Some(lines), _) => lines.iter().filter(|line| line.name == name).map(|line| line.algorithm).collect(),
            (None, Role::Description) => vec![Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512],
            (None, _) if self.described => vec![Algorithm::Sha1, Algorithm::Sha256],
            (None, _) => Vec::new(),
        }
    }

    fn content(
        &mut self,
        name: &str,
        role: Role,
        content: &mut Summed<'_>,
        findings: &mut Findings,
    ) -> Result<Option<vmdk::Disk>, Stop> {
        match role {
            Role::Description => {
                self.descriptions += 1;
                if self.descriptions == 1 {
                    self.envelope = Some(Envelope::parse(&super::whole(content, "it")?)?);
                }
                return Ok(None);
            }
            Role::Manifest => {
                if self.manifest.is_some() {
                    findings.say(Kind::OvfDoubtful, "it is a second manifest, which was passed over");
                    return Ok(None);
                }
                self.manifest = Some(manifest::parse(&super::whole(content, "it")?, findings));
                return Ok(None);
            }
            Role::Certificate => return Ok(None),
            Role::Content => {}
        }
        if vmdk::is_raw_name(name) {
            let mut aside = Findings::default();
            return vmdk::check_raw(content, &mut aside).map(Some);
        }
        let head = content.chunk()?;
        // What is empty is judged by whether it is needed.
        if head.is_empty()
            || !(vmdk::begins(head) || name.to_ascii_lowercase().ends_with(".vmdk"))
            || self.is_wrapped(name)
        {
            return Ok(None);
        }
        vmdk::check(content, findings).map(Some)
    }

    /// Whether the description says that a file is compressed once more.
    fn is_wrapped(&self, name: &str) -> bool {
        let mut files =
            self.envelope.iter().flat_map(|envelope| &envelope.files).filter(|file| file.compression.is_some());
        files.any(|file| file.href == name || decoded(&file.href).as_deref() == Some(name))
    }

    /// A file by what names it, which may be written as in addresses (`disk%201.vmdk`).
    fn find(&self, href: &str) -> Option<&Member> {
        let href = href.strip_prefix("./").unwrap_or(href);
        let index = self.index.get(href).or_else(|| self.index.get(&*decoded(href)?));
        index.map(|index| &self.members[*index])
    }

    /// Whether a file that wasn't read is there all the same.
    fn is_passed(&self, href: &str) -> bool {
        let href = href.strip_prefix("./").unwrap_or(href);
        self.passed.contains(href) || decoded(href).is_some_and(|href| self.passed.contains(&href))
    }

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
        if !self.described {
            level = level.min(self.judge_raw(findings));
        }
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
        let (shown, mut level, mut raw) = (printable(member.name.as_bytes()), Level::Complete, false);
        for extent in &descriptor.extents {
            let Some(file) = &extent.file else { continue };
            let its = printable(file.as_bytes());
            let Some(found) = self.find(file) else {
                if self.is_passed(file) {
                    level = Level::Present;
                    continue;
                }
                findings.say(Kind::MemberMissing, format_args!("{its}, in which data of {shown} lies, is not there"));
                continue;
            };
            let needed = extent.offset.saturating_add(extent.sectors).saturating_mul(vmdk::SECTOR);
            if extent.is_raw() && found.bytes < needed {
                let text = format!(
                    "{its} has {} bytes, and {shown} says that it needs {needed}: it is cut short",
                    found.bytes
                );
                findings.say(Kind::Truncated, text);
            }
            raw |= extent.is_raw();
            if !extent.is_raw() {
                level = level.min(found.disk.as_ref().map_or(Level::Present, |disk| disk.level.max(Level::Decodes)));
            }
        }
        if raw {
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

    /// Files in which the data of disks lies that are described apart.
    fn extents(&self) -> impl Iterator<Item = &str> {
        let disks = self.members.iter().filter_map(|member| member.disk.as_ref()).filter(|disk| disk.is_text);
        let extents = disks.filter_map(|disk| disk.descriptor.as_ref()).flat_map(|descriptor| &descriptor.extents);
        extents.filter_map(|extent| extent.file.as_deref())
    }

    /// Bytes of disks that no descriptor names.
    fn judge_raw(&self, findings: &mut Findings) -> Level {
        let named: BTreeSet<&str> = self.extents().collect();
        let raw = |member: &&Member| vmdk::is_raw_name(&member.name) && !named.contains(&*member.name);
        let mut bare = self.members.iter().filter(raw);
        let Some(first) = bare.next() else { return Level::Complete };
        let first = printable(first.name.as_bytes());
        let text = format!(
            "no descriptor names {first}: what size it must have isn't known, and a machine can't use it as it is"
        );
        findings.say(Kind::CompanionMissing, text);
        Level::Present
    }

    /// Name and bytes of each disk that was read.
    pub fn disks(&self) -> impl Iterator<Item = (&str, u64)> {
        self.members
            .iter()
            .filter(|member| !vmdk::is_raw_name(&member.name))
            .filter_map(|member| Some((&*member.name, member.disk.as_ref()?.capacity?)))
    }
}

/// What a reference means that is written as in addresses; `None` where it isn't.
fn decoded(href: &str) -> Option<String> {
    if !href.contains('%') {
        return None;
    }
    let (mut plain, mut rest) = (Vec::new(), href.as_bytes());
    while let Some((byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high << 4 | low) as u8);
                rest = &after[2..];
            }
            _ => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(plain).ok()
}
