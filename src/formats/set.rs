//! Backups that are a directory of many files: which kind it is by the names in it, and whether it is whole.
//!
//! | kind | known by | how its end is known |
//! |---|---|---|
//! | `pg_dump -Fd` | `toc.dat` | every file that the table of contents names; it is written first |
//! | `pg_basebackup` | `PG_VERSION`, `base.tar`, `backup_manifest` | `backup_manifest` is written last, with sums of all files |
//! | OVF package | one `.ovf` and nothing but such files | what the description and the manifest name |
//! | disks of VMware | `-flat.vmdk` or `-s001.vmdk` and nothing but files of a machine | what the descriptors name |
//! | `mydumper` | `metadata` beside `.sql` files | `metadata.partial` becomes `metadata` at the end |
//!
//! Whoever opens the files never follows a link; names here are for looking up only (docs/adr/0011).

use std::cell::Cell;
use std::io::{self, Read};

use super::archive::layers::{Tally, Watch, Watched};
use super::archive::{Bounds, CannotCheck, Checked, open};
use super::input::Input;
use super::ovf::Package;
use super::shape::Container;
use super::stream::{self, Stop, Stream};
use crate::domain::finding::{Finding, Findings, Kind};
use crate::domain::printable::printable;
use crate::domain::proof::{Conclusion, Digest, Evidence, Level};

mod base_backup;
mod manifest;
mod mydumper;
mod pg_directory;
#[cfg(test)]
mod tests;
mod vmware;

/// Most files of one backup: so many are kept in memory by name.
pub const MOST_FILES: usize = 100_000;

/// Deepest directory: a tablespace of PostgreSQL has five.
pub const DEEPEST: usize = 16;

/// A file of a backup of many files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path below the directory, with `/` between.
    pub name: Box<str>,
    /// Its size; `None` for a link or a special file, which is not followed.
    pub size: Option<u64>,
}

/// The files of a backup.
pub trait Files {
    /// All of them, sorted by name.
    fn members(&self) -> &[Member];

    /// Opens the file of this index.
    fn open(&mut self, index: usize) -> io::Result<Box<dyn Read + '_>>;
}

/// What a directory is a backup by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetKind {
    /// `pg_dump -Fd`.
    PgDirectory,
    /// `pg_basebackup`, plain or in tar files.
    BaseBackup,
    /// mydumper.
    Mydumper,
    /// An OVF package: the description of a machine, its manifest and its disks.
    Ovf,
    /// Disks of VMware with their descriptors.
    Vmdk,
}

/// What names in a directory say, one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Marks {
    contents: bool,
    cluster: bool,
    manifest: bool,
    metadata: bool,
    partial: bool,
    sql: bool,
    machine: vmware::Marks,
}

impl Marks {
    /// A name directly in the directory.
    pub fn see(&mut self, name: &str) {
        self.machine.see(name);
        match name {
            "toc.dat" => self.contents = true,
            "backup_manifest" => self.manifest = true,
            "PG_VERSION" | "backup_manifest.tmp" | "pg_wal.tar" => self.cluster = true,
            "metadata" => self.metadata = true,
            "metadata.partial" => self.partial = true,
            _ if name.starts_with("base.tar") => self.cluster = true,
            _ => self.sql |= mydumper::is_sql(name),
        }
    }

    /// What kind of backup it is, if any.
    pub fn kind(self) -> Option<SetKind> {
        if self.contents {
            Some(SetKind::PgDirectory)
        } else if self.manifest || self.cluster {
            Some(SetKind::BaseBackup)
        } else if (self.metadata && self.sql) || self.partial {
            Some(SetKind::Mydumper)
        } else {
            self.machine.kind()
        }
    }

    /// Whether what its program writes last is there; an error says what isn't. `false` if there is no such thing.
    pub fn ended(self) -> Result<bool, &'static str> {
        match self.kind() {
            Some(SetKind::BaseBackup) if !self.manifest => {
                Err("the run was interrupted, or had --no-manifest: there is no backup_manifest")
            }
            Some(SetKind::Mydumper) if self.partial || !self.metadata => {
                Err("the run was interrupted: mydumper left metadata.partial")
            }
            Some(SetKind::BaseBackup | SetKind::Mydumper) => Ok(true),
            Some(SetKind::PgDirectory | SetKind::Ovf | SetKind::Vmdk) | None => Ok(false),
        }
    }
}

/// Checks a backup of many files, each of them within bounds.
pub fn check(files: &mut dyn Files, wanted: Level, bounds: Bounds<'_>) -> Result<Checked, CannotCheck> {
    let mut set = Set::new(files, bounds);
    let reached = match set.examine(wanted) {
        Ok(level) => Some(level),
        Err(Stop::Damaged(finding)) => {
            set.findings.add(finding);
            None
        }
        Err(Stop::Read(error)) => return Err(error.into()),
        Err(Stop::Limit(text)) => return Err(CannotCheck::Limit(text)),
    };
    let mut digest = None;
    if wanted > Level::Present {
        match set.digest() {
            Ok(whole) => digest = Some(whole),
            Err(Stop::Read(error)) if !set.findings.damaged() => return Err(error.into()),
            Err(_) => {}
        }
    }
    let damaged = set.findings.damaged();
    Ok(Checked {
        conclusion: if damaged { Conclusion::Damaged } else { Conclusion::Intact },
        reached: reached.filter(|_| !damaged),
        findings: set.findings.into_vec(),
        digest,
        read: set.read,
        evidence: set.evidence,
        sidecar: None,
    })
}

/// A backup on its way.
struct Set<'a> {
    files: &'a mut dyn Files,
    bounds: Bounds<'a>,
    /// Of the content of each file that was read.
    digests: Vec<Option<[u8; 32]>>,
    findings: Findings,
    evidence: Evidence,
    read: u64,
    /// How far it was checked.
    level: Level,
}

impl<'a> Set<'a> {
    fn new(files: &'a mut dyn Files, bounds: Bounds<'a>) -> Self {
        let digests = vec![None; files.members().len()];
        let (findings, evidence) = (Findings::default(), Evidence::default());
        Self { files, bounds, digests, findings, evidence, read: 0, level: Level::Complete }
    }

    fn examine(&mut self, wanted: Level) -> Result<Level, Stop> {
        let mut marks = Marks::default();
        self.files.members().iter().filter(|it| !it.name.contains('/')).for_each(|it| marks.see(&it.name));
        let Some(kind) = marks.kind() else {
            return Err(Stop::Limit("the directory is no kind of backup that is known".to_owned()));
        };
        self.evidence.container = Some("none".into());
        self.evidence.members = Some(self.files.members().len() as u64);
        if let Err(why) = marks.ended() {
            return Err(Stop::damaged(Kind::DumpIncomplete, why));
        }
        if wanted == Level::Present {
            return Ok(Level::Present);
        }
        match kind {
            SetKind::PgDirectory => pg_directory::check(self)?,
            SetKind::BaseBackup => base_backup::check(self)?,
            SetKind::Mydumper => mydumper::check(self)?,
            SetKind::Ovf => vmware::check(self, Package::of_directory(), "ovf")?,
            SetKind::Vmdk => vmware::check(self, Package::of_disks(), "vmdk")?,
        }
        Ok(self.level.min(wanted))
    }

    /// The level is this at most.
    fn only(&mut self, level: Level) {
        self.level = self.level.min(level);
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.files.members().binary_search_by(|it| (*it.name).cmp(name)).ok()
    }

    fn name(&self, index: usize) -> String {
        self.files.members()[index].name.as_ref().to_owned()
    }

    /// Reads a file through what its name says it is compressed with, as its program does.
    fn look<T>(
        &mut self,
        index: usize,
        with: impl FnOnce(&mut dyn Stream, &mut Findings) -> Result<T, Stop>,
    ) -> Result<Option<T>, Stop> {
        let name = &*self.files.members()[index].name;
        let container = match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "gz" => Container::Gzip,
            "zst" => Container::Zstd,
            "lz4" => Container::Opaque("lz4"),
            _ => Container::Plain,
        };
        self.look_through(index, container, with)
    }

    /// Reads a file; `with` sees what is decompressed, and what it leaves is read.
    ///
    /// Damage of this file is a finding, and `None`.
    fn look_through<T>(
        &mut self,
        index: usize,
        container: Container,
        with: impl FnOnce(&mut dyn Stream, &mut Findings) -> Result<T, Stop>,
    ) -> Result<Option<T>, Stop> {
        (self.bounds.go_on)().map_err(Stop::Read)?;
        let member = self.files.members()[index].clone();
        let Some(size) = member.size else {
            self.only(Level::Decodes);
            let text =
                format_args!("{} is a link or a special file: it was not read", printable(member.name.as_bytes()));
            self.findings.say(Kind::CompanionMissing, text);
            return Ok(None);
        };
        let read = Cell::new(0);
        let reader = self.files.open(index).map_err(|error| named(&member.name, &error))?;
        let mut input = Input::new(Tally { reader, read: &read });
        let watch = Watch { bounds: self.bounds, read: &read };
        let result = through(&mut input, container, watch, &mut self.evidence, &mut self.findings, with);
        let there = stream::drain(&mut input).map(|_| input.total())?;
        let digest = input.digest();
        drop(input);
        self.read += there;
        if there != size {
            let error = io::Error::other(format!("it has {there} bytes now, and had {size}"));
            return Err(named(&member.name, &error));
        }
        self.digests[index] = Some(digest);
        match result {
            Ok(Some(result)) => Ok(Some(result)),
            Ok(None) => {
                self.only(Level::Present);
                Ok(None)
            }
            Err(Stop::Damaged(finding)) => {
                let name = printable(member.name.as_bytes());
                self.findings.add(Finding::new(finding.kind, format_args!("{name}: {}", finding.text)));
                Ok(None)
            }
            Err(stop) => Err(stop),
        }
    }

    /// Over names, sizes and contents of all files; what was not read yet is.
    fn digest(&mut self) -> Result<Digest, Stop> {
        let mut whole = blake3::Hasher::new();
        for index in 0..self.files.members().len() {
            let member = self.files.members()[index].clone();
            whole.update(member.name.as_bytes()).update(&[0]);
            let Some(size) = member.size else {
                whole.update(b"link");
                continue;
            };
            if self.digests[index].is_none() {
                (self.bounds.go_on)().map_err(Stop::Read)?;
                let mut input = Input::new(self.files.open(index).map_err(|error| named(&member.name, &error))?);
                self.read += stream::drain(&mut input)?;
                self.digests[index] = Some(input.digest());
            }
            whole.update(&size.to_le_bytes()).update(&self.digests[index].unwrap_or_default());
        }
        Ok(Digest(*whole.finalize().as_bytes()))
    }
}

fn named(name: &str, error: &io::Error) -> Stop {
    Stop::Read(io::Error::new(error.kind(), format!("{}: {error}", printable(name.as_bytes()))))
}

/// Shows the decompressed content; `None` if it can't be decompressed here.
fn through<R: Read, T>(
    input: &mut Input<R>,
    container: Container,
    watch: Watch<'_>,
    evidence: &mut Evidence,
    findings: &mut Findings,
    with: impl FnOnce(&mut dyn Stream, &mut Findings) -> Result<T, Stop>,
) -> Result<Option<T>, Stop> {
    if let Container::Opaque(_) = container {
        return Ok(None);
    }
    let mut opened = Watched::new(open(input, container)?, container, watch);
    let result = with(&mut opened, findings).and_then(|result| stream::drain(&mut opened).map(|_| result));
    evidence.unpacked = evidence.unpacked.saturating_add(opened.count);
    let result = result?;
    findings.extend(opened.findings());
    Ok(Some(result))
}
