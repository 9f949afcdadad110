//! `backup_manifest` of PostgreSQL 13 and later: every file of a base backup with its size and sum.
//!
//! Source: PostgreSQL `src/common/parse_manifest.c` and "Backup Manifest Format" of its documentation.

use serde::Deserialize;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use crate::domain::finding::Kind;
use crate::formats::crc::Crc32c;
use crate::formats::set::MOST_FILES;
use crate::formats::stream::Stop;

/// Longest manifest: 100,000 files with CRC-32C.
pub(super) const LONGEST: usize = 20 << 20;

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(rename = "PostgreSQL-Backup-Manifest-Version")]
    version: u64,
    #[serde(rename = "Files", borrow, default)]
    files: Vec<TextFile<'a>>,
    #[serde(rename = "WAL-Ranges", default)]
    ranges: Vec<TextRange>,
    #[serde(rename = "Manifest-Checksum")]
    sum: String,
}

#[derive(Deserialize)]
struct TextFile<'a> {
    #[serde(rename = "Path", borrow)]
    path: Option<std::borrow::Cow<'a, str>>,
    /// A path that is no UTF-8, in hexadecimal digits.
    #[serde(rename = "Encoded-Path")]
    encoded: Option<String>,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(rename = "Checksum-Algorithm")]
    algorithm: Option<&'a str>,
    #[serde(rename = "Checksum")]
    sum: Option<&'a str>,
}

#[derive(Deserialize)]
struct TextRange {
    #[serde(rename = "Timeline")]
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: String,
    #[serde(rename = "End-LSN")]
    end: String,
}

/// How a file is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Crc32c,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "CRC32C" => Self::Crc32c,
            "SHA224" => Self::Sha224,
            "SHA256" => Self::Sha256,
            "SHA384" => Self::Sha384,
            "SHA512" => Self::Sha512,
            _ => return None,
        })
    }
}

/// A sum on its way.
pub(super) enum Sum {
    None,
    Crc32c(Crc32c),
    Sha224(Sha224),
    Sha256(Sha256),
    Sha384(Box<Sha384>),
    Sha512(Box<Sha512>),
}

impl Sum {
    fn new(algorithm: Option<Algorithm>) -> Self {
        match algorithm {
            None => Self::None,
            Some(Algorithm::Crc32c) => Self::Crc32c(Crc32c::default()),
            Some(Algorithm::Sha224) => Self::Sha224(Sha224::new()),
            Some(Algorithm::Sha256) => Self::Sha256(Sha256::new()),
            Some(Algorithm::Sha384) => Self::Sha384(Box::default()),
            Some(Algorithm::Sha512) => Self::Sha512(Box::default()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc32c(sum) => sum.update(bytes),
            Self::Sha224(sum) => sum.update(bytes),
            Self::Sha256(sum) => sum.update(bytes),
            Self::Sha384(sum) => sum.update(bytes),
            Self::Sha512(sum) => sum.update(bytes),
        }
    }

    fn bytes(self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            // As it lies in the memory of the usual machines.
            Self::Crc32c(sum) => sum.value().to_le_bytes().to_vec(),
            Self::Sha224(sum) => sum.finalize().to_vec(),
            Self::Sha256(sum) => sum.finalize().to_vec(),
            Self::Sha384(sum) => sum.finalize().to_vec(),
            Self::Sha512(sum) => sum.finalize().to_vec(),
        }
    }
}

/// A file that must be there.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: Box<[u8]>,
    pub(super) size: u64,
    algorithm: Option<Algorithm>,
    sum: Box<[u8]>,
    pub(super) seen: bool,
}

impl File {
    /// A sum of its kind.
    pub(super) fn sum(&self) -> Sum {
        Sum::new(self.algorithm)
    }

    /// Whether it is this one.
    pub(super) fn is_right(&self, sum: Sum) -> bool {
        let found = sum.bytes();
        // Written on a machine of the other byte order.
        let turned = || found.iter().rev().eq(&*self.sum) && self.algorithm == Some(Algorithm::Crc32c);
        found == *self.sum || turned()
    }
}

/// The log that is needed to make a backup consistent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) timeline: u32,
    pub(super) start: u64,
    pub(super) end: u64,
}

#[derive(Debug, Default)]
pub(super) struct Manifest {
    /// By path.
    pub(super) files: Vec<File>,
    pub(super) ranges: Vec<Range>,
    /// Files without a sum.
    pub(super) without_sum: u64,
}

fn wrong(text: impl std::fmt::Display) -> Stop {
    Stop::damaged(Kind::DumpStructure, text)
}

impl Manifest {
    /// Reads a manifest, whose own sum must be right.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Stop> {
        let json: Text<'_> =
            serde_json::from_slice(text).map_err(|error| wrong(format_args!("it is no manifest: {error}")))?;
        if !matches!(json.version, 1 | 2) {
            let text = format!("the manifest is of version {}, of which nothing is known", json.version);
            return Err(Stop::Limit(text));
        }
        if own_sum(text).is_none_or(|sum| !json.sum.eq_ignore_ascii_case(&sum)) {
            return Err(Stop::damaged(Kind::SidecarMismatch, "the SHA-256 of the manifest itself is wrong"));
        }
        if json.files.len() > MOST_FILES {
            return Err(Stop::Limit(format!("the backup has more than {MOST_FILES} files")));
        }
        let mut files = json.files.iter().map(file).collect::<Result<Vec<_>, _>>()?;
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        if files.windows(2).any(|pair| pair[0].path == pair[1].path) {
            return Err(wrong("a file is in it twice"));
        }
        let without_sum = files.iter().filter(|file| file.algorithm.is_none()).count() as u64;
        let ranges = json.ranges.iter().map(range).collect::<Option<Vec<_>>>();
        Ok(Self { files, ranges: ranges.ok_or_else(|| wrong("a range of the log is none"))?, without_sum })
    }

    pub(super) fn find(&mut self, path: &[u8]) -> Option<&mut File> {
        let index = self.files.binary_search_by(|file| (*file.path).cmp(path)).ok()?;
        self.files.get_mut(index)
    }
}

/// The sum of all lines but the last.
fn own_sum(text: &[u8]) -> Option<String> {
    let body = text.strip_suffix(b"\n")?;
    let last = memchr::memrchr(b'\n', body)?;
    Some(Sha256::digest(&body[..=last]).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn file(file: &TextFile<'_>) -> Result<File, Stop> {
    let path = match (&file.path, &file.encoded) {
        (Some(path), None) => path.as_bytes().into(),
        (None, Some(digits)) => bytes(digits).ok_or_else(|| wrong("the name of a file is none"))?,
        _ => return Err(wrong("a file has no name, or two")),
    };
    let algorithm = match file.algorithm {
        None => None,
        Some(name) => {
            let unknown = || Stop::Limit("the manifest has sums of a kind that is not known".to_owned());
            Some(Algorithm::of(name).ok_or_else(unknown)?)
        }
    };
    let sum = bytes(file.sum.unwrap_or_default()).ok_or_else(|| wrong("the sum of a file is none"))?;
    if sum.is_empty() != algorithm.is_none() {
        return Err(wrong("a file has a sum of no kind, or none of its kind"));
    }
    Ok(File { path, size: file.size, algorithm, sum, seen: false })
}

fn bytes(digits: &str) -> Option<Box<[u8]>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|it| it.len() == 2)?, 16).ok()).collect()
}

fn range(range: &TextRange) -> Option<Range> {
    let place = |text: &str| {
        let (high, low) = text.split_once('/')?;
        let part = |text: &str| u32::from_str_radix(text, 16).ok().map(u64::from);
        Some(part(high)? << 32 | part(low)?)
    };
    Some(Range { timeline: range.timeline, start: place(&range.start)?, end: place(&range.end)? })
}
