//! Opens versions of objects: they are read as they stream in, and kept nowhere.

use std::io::{self, Read};

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Buf as _, Bytes};

use super::client::{Blocking, words};
use super::listing::facts;
use crate::domain::attempt::Sidecar;
use crate::domain::file::FileFacts;
use crate::domain::proof::ArchiveId;
use crate::engine::ports::{Archives, OpenArchive};

/// What a place of a source begins with.
pub const SCHEME: &str = "s3://";

/// The name of a version among the files of a source: key, version, and what it is.
pub(super) fn name_of(key: &str, version: &str) -> String {
    format!("{key}@{version}.tfstate")
}

/// Key and version of the name of a version among the files of a source.
pub fn version_of(name: &str) -> Option<(&str, &str)> {
    name.strip_suffix(".tfstate")?.rsplit_once('@')
}

/// The bucket of a place of a source.
pub fn bucket_of(root: &str) -> Option<&str> {
    root.strip_prefix(SCHEME)?.split('/').next()
}

/// Opens versions.
pub(super) struct Versions {
    pub(super) s3: Blocking,
}

impl Archives for Versions {
    fn open(&self, archive: &ArchiveId) -> io::Result<Box<dyn OpenArchive>> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("{archive} is no version of an object"));
        let bucket = bucket_of(&archive.root).ok_or_else(invalid)?;
        let (key, version) = version_of(&archive.file).ok_or_else(invalid)?;
        let request = self.s3.client.get_object().bucket(bucket).key(key).version_id(version);
        let answer = self.s3.wait(request.send()).map_err(|error| of_get(&error))?;
        let size = answer.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
        let seconds = answer.last_modified().map_or(0, aws_sdk_s3::primitives::DateTime::secs);
        let facts = facts(size, seconds, answer.e_tag().unwrap_or_default());
        Ok(Box::new(Object { s3: self.s3.clone(), facts, body: answer.body, chunk: Bytes::new() }))
    }
}

/// What an error of reading means: only what surely isn't there is gone.
fn of_get(error: &SdkError<GetObjectError>) -> io::Error {
    use aws_sdk_s3::error::ProvideErrorMetadata as _;
    let kind = match error.code() {
        // A delete marker by its version: AWS and MinIO say 405, others 404.
        Some("NoSuchKey" | "NoSuchVersion" | "MethodNotAllowed") => io::ErrorKind::NotFound,
        Some("AccessDenied") => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, words(error))
}

struct Object {
    s3: Blocking,
    facts: FileFacts,
    body: ByteStream,
    chunk: Bytes,
}

impl Read for Object {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.s3.wait(self.body.next()) {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Ok(0),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.chunk[..count]);
        self.chunk.advance(count);
        Ok(count)
    }
}

impl OpenArchive for Object {
    fn facts(&self) -> FileFacts {
        self.facts
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
