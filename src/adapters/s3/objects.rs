//! Opens versions of states.

use std::io::{self, Read};

use super::client::Blocking;
use super::reading::{Name, Stream};
use crate::domain::attempt::Sidecar;
use crate::domain::file::FileFacts;
use crate::domain::look::in_bucket;
use crate::domain::proof::ArchiveId;
use crate::engine::ports::{Archives, OpenArchive};

/// The name of a version among the files of a source: key, version, and what it is.
pub(super) fn name_of(key: &str, version: &str) -> String {
    format!("{key}@{version}.tfstate")
}

/// Key and version of the name of a version among the files of a source.
pub fn version_of(name: &str) -> Option<(&str, &str)> {
    name.strip_suffix(".tfstate")?.rsplit_once('@')
}

/// Opens versions.
pub(super) struct Versions {
    pub(super) s3: Blocking,
}

impl Archives for Versions {
    fn open(&self, archive: &ArchiveId) -> io::Result<Box<dyn OpenArchive>> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("{archive} is no version of an object"));
        let (bucket, _) = in_bucket(&archive.root).ok_or_else(invalid)?;
        let (key, version) = version_of(&archive.file).ok_or_else(invalid)?;
        let (bucket, key, version) = (bucket.to_owned(), key.to_owned(), Some(version.to_owned()));
        Ok(Box::new(Object(Stream::open(&self.s3, Name { bucket, key, version })?)))
    }
}

struct Object(Stream);

impl Read for Object {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl OpenArchive for Object {
    fn facts(&self) -> FileFacts {
        self.0.facts()
    }

    /// One answer is one version: nothing can change under it.
    fn unchanged(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn sidecar(&mut self) -> io::Result<Option<(Sidecar, Vec<u8>)>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_versions() {
        for (key, version) in [("env:/prod/terraform.tfstate", "7c1b"), ("a@b.tfstate", "null"), ("x", "L4kq.-_")] {
            assert_eq!(version_of(&name_of(key, version)), Some((key, version)));
        }
        assert_eq!((version_of("terraform.tfstate"), version_of("a@b")), (None, None));
    }
}
