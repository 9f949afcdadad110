//! Checksums of the files of a package, taken while something else reads them.

use sha1::{Digest as _, Sha1};
use sha2::{Digest as _, Sha256, Sha512};

use crate::domain::finding::Finding;
use crate::formats::stream::{Stop, Stream};

/// How a checksum is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Some(match &*name.to_ascii_uppercase().replace('-', "") {
            "SHA1" => Self::Sha1,
            "SHA256" => Self::Sha256,
            "SHA512" => Self::Sha512,
            _ => return None,
        })
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    pub(super) const fn digits(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// The checksums that are taken of one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums {
    sha1: Option<Sha1>,
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

impl Sums {
    pub(super) fn of(algorithms: &[Algorithm]) -> Self {
        let has = |algorithm| algorithms.contains(&algorithm);
        Self {
            sha1: has(Algorithm::Sha1).then(Sha1::new),
            sha256: has(Algorithm::Sha256).then(Sha256::new),
            sha512: has(Algorithm::Sha512).then(Sha512::new),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some(sum) = &mut self.sha1 {
            sum.update(bytes);
        }
        if let Some(sum) = &mut self.sha256 {
            sum.update(bytes);
        }
        if let Some(sum) = &mut self.sha512 {
            sum.update(bytes);
        }
    }

    /// The checksum so far in lower-case digits, if it is taken.
    pub(super) fn digits(&self, algorithm: Algorithm) -> Option<String> {
        let bytes = match algorithm {
            Algorithm::Sha1 => self.sha1.clone()?.finalize().to_vec(),
            Algorithm::Sha256 => self.sha256.clone()?.finalize().to_vec(),
            Algorithm::Sha512 => self.sha512.clone()?.finalize().to_vec(),
        };
        Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// A stream whose bytes are counted and summed as they are used.
pub(super) struct Summed<'a> {
    inner: &'a mut dyn Stream,
    pub(super) sums: Sums,
    /// Bytes of the chunk that were summed when it was lent.
    summed: usize,
    pub(super) count: u64,
}

impl<'a> Summed<'a> {
    pub(super) fn new(inner: &'a mut dyn Stream, sums: Sums) -> Self {
        Self { inner, sums, summed: 0, count: 0 }
    }
}

impl Stream for Summed<'_> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        // What is lent is the same until it is consumed, and is consumed in the end: whoever reads leaves nothing.
        let chunk = self.inner.chunk()?;
        if chunk.len() > self.summed {
            self.sums.update(&chunk[self.summed..]);
            self.summed = chunk.len();
        }
        Ok(chunk)
    }

    fn consume(&mut self, count: usize) {
        self.summed = self.summed.saturating_sub(count);
        self.count += count as u64;
        self.inner.consume(count);
    }

    fn landmark(&mut self) {
        self.inner.landmark();
    }

    fn findings(&mut self) -> Vec<Finding> {
        self.inner.findings()
    }
}
