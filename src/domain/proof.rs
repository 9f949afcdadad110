//! What was proven of a backup, and by when: bound to the bytes that it was proven of.
//!
//! A [`Verification`] is one proof, or try of one, of one file by one [`Method`]. It counts for that file as long as size, time
//! of last write and last change of the inode are those that were read; a newer backup, or the same file written again or
//! replaced, is unproven until it is read. Damage counts until then. What one method says never goes over what another said.

pub mod book;
mod level;
pub mod method;

pub use self::level::{LEVELS, Level, Levels};
pub use self::method::Method;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::file::FileFacts;
use super::finding::{Finding, Kind, Severity};
use super::ids::{ItemId, SourceName};
use super::state::StateFacts;

/// How a verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conclusion {
    /// As far as it was checked, it would restore.
    Intact,
    /// It would not restore as it was.
    Damaged,
    /// It could not be checked: says nothing about the archive.
    Unchecked,
}

impl Conclusion {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Damaged, Self::Intact, Self::Unchecked];

    /// As in labels, JSON and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Damaged => "damaged",
            Self::Unchecked => "unchecked",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// The BLAKE3 digest of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a BLAKE3 digest has 64 hexadecimal digits")]
pub struct NoDigest;

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let mut digest = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoDigest);
        }
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| NoDigest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NoDigest)?;
        }
        Ok(Self(digest))
    }
}

/// A file of a source: what a proof is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArchiveId {
    /// The source.
    pub source: SourceName,
    /// The root as configured.
    pub root: Arc<str>,
    /// The file's path below the root.
    pub file: Box<str>,
}

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.root.trim_end_matches('/'), self.file)
    }
}

/// A disk or another part of an archive, as it was found in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name, made printable.
    pub name: Box<str>,
    /// Bytes that a restore of it writes.
    pub bytes: u64,
}

/// What was seen of an archive, as evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// Its compression: `zstd`, `gzip`, `lzop`, `bzip2` or `none`.
    pub container: Option<Box<str>>,
    /// Its structure: `vma`, `tar`, `sql` …
    pub format: Option<Box<str>>,
    /// Bytes after decompression.
    pub unpacked: u64,
    /// Name of the guest by the configuration in the archive.
    pub guest_name: Option<Box<str>>,
    /// When it was made, by what is written in it.
    pub created: Option<Timestamp>,
    /// The disks of a virtual machine.
    pub disks: Vec<Part>,
    /// Members of a tar archive, or entries of a dump.
    pub members: Option<u64>,
    /// Networks of the guest by its configuration: bridge and such.
    pub networks: Vec<Box<str>>,
    /// What a state of Terraform says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Arc<StateFacts>>,
}

/// One proof of one file, or a try of one, with everything it found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// Which file.
    pub archive: ArchiveId,
    /// How it was proven.
    pub method: Method,
    /// What it is a backup of.
    pub item: ItemId,
    /// The file as it was read.
    pub facts: FileFacts,
    /// Digest of the whole file; `None` when it was not read to its end.
    pub digest: Option<Digest>,
    /// How much was to be proven.
    pub wanted: Level,
    /// How much was.
    pub reached: Option<Level>,
    /// How it ended.
    pub conclusion: Conclusion,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// Why it could not be checked.
    pub reason: Option<Box<str>>,
    /// When the reading began.
    pub started: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Bytes that were read.
    pub read: u64,
    /// What was seen.
    pub evidence: Evidence,
    /// The checksum file that lay beside it, as `sha256:HEX`.
    pub sidecar: Option<Box<str>>,
}

impl Verification {
    /// When the reading ended.
    pub fn ended(&self) -> Timestamp {
        self.started.checked_add(self.took).unwrap_or(self.started)
    }

    /// The levels that it proves.
    pub fn proves(&self) -> Levels {
        let reached = self.reached.filter(|_| self.conclusion == Conclusion::Intact);
        reached.map(|level| self.method.up_to(level)).unwrap_or_default()
    }

    /// Compares with the digest of the first reading. The same size and time of last write with another content means
    /// that the medium, or something else that nobody asked for, changed it.
    pub fn compare(&mut self, first: Option<&FirstSight>) {
        let (Some(digest), Some(first)) = (self.digest, first) else { return };
        // That the inode changed is no excuse: the bytes should be those that were written at that time.
        if !first.facts.same_write(self.facts) {
            let text = format!("the file was written again since it was first read ({})", first.at);
            self.findings.push(Finding::new(Kind::Rewritten, text));
        } else if first.digest != digest {
            let text = format!(
                "its content changed since it was first read ({}) though size and time of last write are the same: BLAKE3 {} then, {digest} now. The medium loses data, or somebody changed the file and put its time back",
                first.at, first.digest
            );
            self.findings.insert(0, Finding::new(Kind::BitRot, text));
            self.conclusion = Conclusion::Damaged;
            self.reached = None;
        }
    }

    /// Whether this conclusion goes over an earlier one of the same method about a file with these facts, which looked as deep
    /// as `wanted`.
    ///
    /// Who only looks whether a file is there takes back neither damage nor proof of its content. Of a file whose inode was
    /// touched since, damage is believed until somebody looks as deep again; proof isn't.
    pub fn supersedes(&self, facts: FileFacts, wanted: Level, conclusion: Conclusion) -> bool {
        let new_damage = self.conclusion == Conclusion::Damaged && conclusion != Conclusion::Damaged;
        let other = !self.facts.same_write(facts);
        let no_proof = conclusion != Conclusion::Damaged && self.facts.is_touched(facts);
        self.conclusion != Conclusion::Unchecked && (other || no_proof || self.wanted >= wanted || new_damage)
    }

    /// Why less was proven of what is intact than was to be; `None` where all was.
    pub fn shortfall(&self) -> Option<String> {
        let reached = self.reached.filter(|reached| self.conclusion == Conclusion::Intact && *reached < self.wanted)?;
        let why = self.findings.iter().find(|finding| finding.kind.limits_level());
        let why = why.map_or("its format allows no more", |finding| &*finding.text);
        Some(format!("proven as far as level {} of {}: {why}", reached.as_str(), self.wanted.as_str()))
    }

    /// The worst finding, if it is worse than a note, or why it could not be checked.
    pub fn headline(&self) -> Option<&str> {
        let finding = self.findings.first().filter(|finding| finding.severity() > Severity::Note);
        self.reason.as_deref().or(finding.map(|finding| &*finding.text))
    }
}

/// The first reading of a file to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstSight {
    /// The file as it was then.
    pub facts: FileFacts,
    /// Its digest.
    pub digest: Digest,
    /// When it was read.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests;
