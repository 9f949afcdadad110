//! Objects as streams: they are read as they come in, and kept nowhere. A connection that breaks in the middle is taken up
//! again where it broke, if the object is still the same.

use std::io::{self, Read};
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use bytes::{Buf as _, Bytes};

use super::client::{Blocking, words};
use super::listing::facts;
use crate::domain::file::FileFacts;

/// A connection that breaks is taken up so often without a byte in between.
const TRIES: u32 = 3;

/// The pause before that.
const PAUSE: Duration = Duration::from_millis(500);

/// An object, or one version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) bucket: String,
    pub(super) key: String,
    /// The current one, where none is given.
    pub(super) version: Option<String>,
}

/// Size, time and fingerprint of an object as an answer tells them.
pub(super) fn facts_in(size: Option<i64>, modified: Option<&DateTime>, e_tag: Option<&str>) -> FileFacts {
    let size = size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
    facts(size, modified.map_or(0, DateTime::secs), e_tag.unwrap_or_default())
}

/// What an error of reading means: only what surely isn't there is gone.
pub(super) fn of_error<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E>) -> io::Error {
    let kind = match error.code() {
        // A delete marker by its version: AWS and MinIO say 405, others 404. An answer without a body has no code but this.
        Some("NoSuchKey" | "NoSuchVersion" | "MethodNotAllowed" | "NotFound") => io::ErrorKind::NotFound,
        Some("AccessDenied") => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, words(error))
}

impl Name {
    /// Asks for it; for a part of it with `range`, as HTTP writes it; with `e_tag` only if it is still this one.
    fn get(&self, s3: &Blocking, range: Option<String>, e_tag: Option<&str>) -> io::Result<GetObjectOutput> {
        let request = s3
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(&self.key)
            .set_version_id(self.version.clone())
            .set_range(range)
            .set_if_match(e_tag.map(ToOwned::to_owned));
        s3.wait(request.send()).map_err(|error| match error.code() {
            Some("PreconditionFailed") => io::Error::other("it was replaced meanwhile"),
            _ => of_error(&error),
        })
    }

    /// Size, time and fingerprint of what is there now; `None` where nothing is.
    pub(super) fn facts(&self, s3: &Blocking) -> io::Result<Option<FileFacts>> {
        let request = s3.client.head_object().bucket(&self.bucket).key(&self.key).set_version_id(self.version.clone());
        match s3.wait(request.send()) {
            Ok(it) => Ok(Some(facts_in(it.content_length(), it.last_modified(), it.e_tag()))),
            Err(error) => match of_error(&error) {
                error if error.kind() == io::ErrorKind::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    /// A part of it: `count` bytes from `from` on, or fewer at its end.
    pub(super) fn part(&self, s3: &Blocking, from: u64, count: u64) -> io::Result<Vec<u8>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let answer = self.get(s3, Some(format!("bytes={from}-{}", from.saturating_add(count - 1))), None)?;
        if from > 0 && !begins_at(&answer, from) {
            return Err(io::Error::other("the server doesn't know of parts of objects"));
        }
        let mut text = Vec::new();
        let mut body = answer.body;
        while let Some(chunk) = s3.wait(body.next()) {
            text.extend_from_slice(&chunk.map_err(io::Error::other)?);
            // Of a server that doesn't know of parts no more is taken either.
            if text.len() as u64 >= count {
                text.truncate(usize::try_from(count).unwrap_or(usize::MAX));
                break;
            }
        }
        Ok(text)
    }
}

/// Whether an answer is the part from there on.
fn begins_at(answer: &GetObjectOutput, from: u64) -> bool {
    answer.content_range().is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

/// An object that is read from its beginning to its end.
pub(super) struct Stream {
    s3: Blocking,
    name: Name,
    e_tag: Option<String>,
    facts: FileFacts,
    body: ByteStream,
    chunk: Bytes,
    /// Bytes that were taken from the server.
    at: u64,
    /// Times that it broke off without a byte in between.
    broken: u32,
    /// Whether what is read now is a part.
    taken_up: bool,
    ended: bool,
}

impl Stream {
    pub(super) fn open(s3: &Blocking, name: Name) -> io::Result<Self> {
        let answer = name.get(s3, None, None)?;
        if answer.content_length().is_none() {
            return Err(io::Error::other("the server doesn't say how large it is"));
        }
        let facts = facts_in(answer.content_length(), answer.last_modified(), answer.e_tag());
        let e_tag = answer.e_tag().map(ToOwned::to_owned);
        Ok(Self {
            s3: s3.clone(),
            name,
            e_tag,
            facts,
            body: answer.body,
            chunk: Bytes::new(),
            at: 0,
            broken: 0,
            taken_up: false,
            ended: false,
        })
    }

    pub(super) fn facts(&self) -> FileFacts {
        self.facts
    }

    /// The end: only who asks for more is told that the checksum that the server keeps doesn't fit. Of parts there is none.
    fn end(&mut self) -> io::Result<usize> {
        if std::mem::replace(&mut self.ended, true) || self.taken_up {
            return Ok(0);
        }
        match self.s3.wait(self.body.next()) {
            None => Ok(0),
            Some(Ok(chunk)) if chunk.is_empty() => Ok(0),
            Some(Ok(_)) => Err(io::Error::other("the server sends more than it said")),
            Some(Err(error)) => Err(io::Error::other(error)),
        }
    }

    /// Goes on where it broke off. Nothing surely is the same without an ETag.
    fn take_up(&mut self, error: io::Error) -> io::Result<()> {
        self.broken += 1;
        let (Some(e_tag), true) = (&self.e_tag, self.broken <= TRIES) else { return Err(error) };
        tracing::debug!(key = %self.name.key, at = self.at, %error, "a transfer broke off, and is taken up again");
        std::thread::sleep(PAUSE);
        match self.name.get(&self.s3, Some(format!("bytes={}-", self.at)), Some(e_tag)) {
            // A server that doesn't know of parts begins anew.
            Ok(answer) if begins_at(&answer, self.at) => (self.body, self.taken_up) = (answer.body, true),
            Ok(_) => return Err(error),
            Err(other) if other.kind() == io::ErrorKind::NotFound => return Err(other),
            Err(_) if self.broken < TRIES => {}
            Err(other) => return Err(other),
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            if self.at == self.facts.size {
                return self.end();
            }
            match self.s3.wait(self.body.next()) {
                Some(Ok(chunk)) => {
                    self.at += chunk.len() as u64;
                    self.broken = 0;
                    self.chunk = chunk;
                    if self.at > self.facts.size {
                        return Err(io::Error::other("the server sends more than it said"));
                    }
                }
                Some(Err(error)) => self.take_up(io::Error::other(error))?,
                None => {
                    let text = format!("the server ended after {} of {} bytes", self.at, self.facts.size);
                    self.take_up(io::Error::other(text))?;
                }
            }
        }
        let count = self.chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.chunk[..count]);
        self.chunk.advance(count);
        Ok(count)
    }
}
