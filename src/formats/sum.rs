//! Checksums of the kinds that lie beside dumps.

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::domain::attempt::Sidecar;

/// A checksum on its way.
#[derive(Debug, Clone)]
pub enum Sum {
    /// MD5.
    Md5(Md5),
    /// SHA-256.
    Sha256(Sha256),
}

impl Sum {
    /// A checksum of nothing.
    pub fn new(kind: Sidecar) -> Self {
        match kind {
            Sidecar::Md5 => Self::Md5(Md5::new()),
            Sidecar::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(sum) => sum.update(bytes),
            Self::Sha256(sum) => sum.update(bytes),
        }
    }

    /// The checksum so far, in lower-case hexadecimal digits.
    pub fn digits(&self) -> String {
        let bytes = match self {
            Self::Md5(sum) => sum.clone().finalize().to_vec(),
            Self::Sha256(sum) => sum.clone().finalize().to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Number of hexadecimal digits of a checksum.
pub const fn digits(kind: Sidecar) -> usize {
    match kind {
        Sidecar::Md5 => 32,
        Sidecar::Sha256 => 64,
    }
}
