//! The files of a package, each read once in whatever order they come, and what they are together.

use std::collections::{BTreeMap, BTreeSet};

use super::envelope::Envelope;
use super::manifest::{self, Line};
use super::sums::{Algorithm, Summed, Sums};
use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;
use crate::domain::proof::Level;
use crate::formats::stream::{self, Stop, Stream};
use crate::formats::vmdk;

mod judge;

/// Most files of one package.
const MOST: usize = 10_000;

/// Most pieces of all its disks.
const MOST_EXTENTS: usize = 100_000;

/// Content is passed over in such steps.
const STEP: u64 = 64 << 20;

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
    /// Whether it was said that grains have no checksum.
    unsummed: bool,
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
            unsummed: false,
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
        // The archive says how much there is: a disk of zeros is content, too.
        while stream::skip(&mut summed, STEP)? == STEP {
            summed.landmark();
        }
        let there = summed.count;
        self.say(name, there < bytes, said, findings);
        let member = Member { name: name.to_owned(), bytes: there, sums: summed.sums, disk, is_disk };
        self.keep(member)
    }

    /// Findings of one file, with its name. Whoever holds it knows that it was cut, and says so.
    fn say(&mut self, name: &str, cut: bool, said: Findings, findings: &mut Findings) {
        let name = printable(name.as_bytes());
        for finding in said.into_vec() {
            let again = match finding.kind {
                Kind::Truncated => cut,
                // Of many pieces it is said once.
                Kind::NoContentChecksum => std::mem::replace(&mut self.unsummed, true),
                _ => false,
            };
            if !again {
                findings.say(finding.kind, format_args!("{name}: {}", finding.text));
            }
        }
    }

    fn keep(&mut self, member: Member) -> Result<(), Stop> {
        if let Some(disk) = &member.disk {
            // Of what lies in several files the descriptor tells how much is proven.
            if !disk.is_text && !vmdk::is_raw_name(&member.name) {
                self.level = self.level.min(disk.level);
            }
            self.extents += disk.descriptor.as_ref().map_or(0, |descriptor| descriptor.extents.len());
        }
        if self.extents > MOST_EXTENTS {
            return Err(Stop::Limit(format!("the disks of the package have more than {MOST_EXTENTS} pieces")));
        }
        self.index.entry(member.name.clone()).or_insert(self.members.len());
        self.members.push(member);
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

    /// Files in which the data of disks lies that are described apart.
    fn extents(&self) -> impl Iterator<Item = &str> {
        let disks = self.members.iter().filter_map(|member| member.disk.as_ref()).filter(|disk| disk.is_text);
        let extents = disks.filter_map(|disk| disk.descriptor.as_ref()).flat_map(|descriptor| &descriptor.extents);
        extents.filter_map(|extent| extent.file.as_deref())
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
