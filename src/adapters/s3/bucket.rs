//! A prefix of a bucket that is looked at as a directory: archives and dumps, and what lies beside them.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_sdk_s3::types::EncodingType;

use super::client::{Blocking, Endpoint, look_error};
use super::listing::{facts, plain};
use super::reading::{Name, Stream};
use crate::domain::attempt::Sidecar;
use crate::domain::file::FileFacts;
use crate::domain::look::{ErrorKind, LookError, in_bucket};
use crate::domain::printable::{printable, shown};
use crate::domain::proof::ArchiveId;
use crate::engine::ports::objects::{MAX_ENTRIES, ObjectPlace, Objects};
use crate::engine::ports::{Archives, FurtherSidecar, OpenArchive};
use crate::formats::beside::{Beside, ReadAt, with_companions};
use crate::formats::foreign_name;

/// More keys than this below a prefix, deeper ones too, are refused: a look must end.
const MOST_KEYS: usize = 10 * MAX_ENTRIES;

/// A page without a key counts as so many.
const EMPTY_PAGE: usize = 10 * 1000;

/// A server of objects.
#[derive(Clone)]
pub struct Server(Blocking);

impl Server {
    /// Connects nowhere yet.
    pub fn new(endpoint: &Endpoint) -> anyhow::Result<Self> {
        Ok(Self(Blocking::new(endpoint)?))
    }
}

/// A prefix of a bucket. Cheap to clone.
#[derive(Clone)]
pub struct BucketPlace {
    s3: Blocking,
    bucket: Arc<str>,
    /// Empty, or with a slash at its end.
    prefix: Arc<str>,
    path: Arc<Path>,
}

impl std::fmt::Debug for BucketPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BucketPlace").field(&self.path).finish()
    }
}

impl BucketPlace {
    /// The place at `path`, as configured: `s3://bucket/prefix`. `None` where it is no such path.
    pub fn new(server: &Server, path: &Path) -> Option<Self> {
        let (bucket, prefix) = in_bucket(path.to_str()?)?;
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Some(Self {
            s3: server.0.clone(),
            bucket: bucket.into(),
            prefix: prefix.into(),
            path: PathBuf::from(path).into(),
        })
    }

    fn name(&self, file: &str) -> Name {
        Name { bucket: self.bucket.as_ref().into(), key: format!("{}{file}", self.prefix), version: None }
    }
}

impl ObjectPlace for BucketPlace {
    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self, depth: usize, spelled: &dyn Fn(&[u8]) -> bool) -> Result<Objects, LookError> {
        let (mut listed, mut foreign) = (Objects::default(), BTreeSet::new());
        let doing = || format!("listing {}", self.path.display());
        // What lies deeper isn't even sent, where only what lies here is asked for.
        let delimiter = (depth == 1).then(|| "/".to_owned());
        let (mut next, mut is_empty, mut seen) = (None::<String>, !self.prefix.is_empty(), 0_usize);
        loop {
            let request = self
                .s3
                .client
                .list_objects_v2()
                .bucket(&*self.bucket)
                .prefix(&*self.prefix)
                .encoding_type(EncodingType::Url)
                .set_delimiter(delimiter.clone())
                .set_continuation_token(next.clone());
            let page = self.s3.wait(request.send()).map_err(|error| look_error(&doing(), &error))?;
            let cut = |what: &str| LookError::new(ErrorKind::Io, format!("{}: {what}", doing()));
            let encoded = page.encoding_type() == Some(&EncodingType::Url);
            let token = page.next_continuation_token().map(ToOwned::to_owned);
            let more = page.is_truncated() == Some(true) || token.is_some();
            is_empty &= page.contents().is_empty() && page.common_prefixes().is_empty();
            // A page without anything is worth many: a server may hand out those for ever.
            seen += match page.contents().len() + page.common_prefixes().len() {
                0 => EMPTY_PAGE,
                some => some,
            };
            if seen > MOST_KEYS {
                return Err(cut(&format!("it holds more than {MOST_KEYS} keys; is it the right prefix?")));
            }
            for object in page.contents.unwrap_or_default() {
                let (Some(key), Some(modified)) = (object.key, object.last_modified) else {
                    return Err(cut("an entry lacks its key or its time"));
                };
                let size = object.size.and_then(|size| u64::try_from(size).ok());
                let size = size.ok_or_else(|| cut("an entry lacks its size"))?;
                let facts = facts(size, modified.secs(), object.e_tag.as_deref().unwrap_or_default());
                let key = plain(&key, encoded);
                let path = key.strip_prefix(&*self.prefix).ok_or_else(|| cut("it tells of what wasn't asked for"))?;
                match sort(path, depth, spelled) {
                    Sort::Deeper => {}
                    Sort::Foreign(name) => drop(foreign.insert(name)),
                    Sort::Unreadable(why) => listed.unreadable.push((printable(path.as_bytes()), why)),
                    Sort::File => listed.files.push((path.into(), facts)),
                }
            }
            if listed.files.len() + listed.unreadable.len() + foreign.len() > MAX_ENTRIES {
                return Err(cut(&format!("it holds more than {MAX_ENTRIES} names; is it the right prefix?")));
            }
            if !more {
                break;
            }
            if token.is_none() || token == next {
                return Err(cut("the server says that there is more, and not where"));
            }
            next = token;
        }
        if is_empty {
            let message = format!("nothing lies below {}; is the prefix right?", self.path.display());
            return Err(LookError::new(ErrorKind::NotFound, message));
        }
        listed.foreign = foreign.into_iter().collect();
        Ok(listed)
    }

    fn part(&self, path: &str, from: u64, count: u64) -> io::Result<Vec<u8>> {
        self.name(path).part(&self.s3, from, count)
    }
}

/// What a key below a place is.
#[derive(Debug, PartialEq, Eq)]
enum Sort {
    File,
    /// Deeper than is looked, or the mark of a directory.
    Deeper,
    /// In what belongs to a NAS or a desktop: its name.
    Foreign(String),
    Unreadable(&'static str),
}

fn sort(path: &str, depth: usize, spelled: &dyn Fn(&[u8]) -> bool) -> Sort {
    // Only as far as a directory would be listed.
    for (at, name) in path.split('/').enumerate().take(depth) {
        let is_foreign = foreign_name::sort(name.as_bytes()).is_some() && !spelled(name.as_bytes());
        if is_foreign {
            let end = path.split('/').take(at + 1).map(|name| name.len() + 1).sum::<usize>() - 1;
            return Sort::Foreign(printable(&path.as_bytes()[..end]));
        }
    }
    if path.is_empty() || path.ends_with('/') || path.split('/').count() > depth {
        return Sort::Deeper;
    }
    match printable(path.as_bytes()) == path {
        true => Sort::File,
        false if shown(path) == path => Sort::Unreadable("its key is longer than names may be"),
        false => Sort::Unreadable("its key has characters that can't be seen"),
    }
}

impl Archives for BucketPlace {
    fn open(&self, archive: &ArchiveId) -> io::Result<Box<dyn OpenArchive>> {
        let name = self.name(&archive.file);
        let stream = Stream::open(&self.s3, name)?;
        let mut it = Opened {
            place: self.clone(),
            file: archive.file.as_ref().into(),
            stream,
            beside: Vec::new(),
            sidecars: None,
        };
        it.beside = it.look_beside()?;
        Ok(Box::new(it))
    }
}

/// An object that is read.
struct Opened {
    place: BucketPlace,
    file: String,
    stream: Stream,
    /// What lies beside it and belongs to it, if it may be a database.
    beside: Vec<(Beside, FileFacts)>,
    sidecars: Option<Vec<FurtherSidecar>>,
}

impl Opened {
    fn look_beside(&self) -> io::Result<Vec<(Beside, FileFacts)>> {
        let mut found = Vec::new();
        if Beside::is_looked_for(&self.file) {
            for kind in Beside::ALL {
                let name = self.place.name(&format!("{}{}", self.file, kind.ending()));
                found.extend(name.facts(&self.place.s3)?.map(|facts| (kind, facts)));
            }
        }
        Ok(found)
    }

    fn all_sidecars(&mut self) -> io::Result<&[FurtherSidecar]> {
        if self.sidecars.is_none() {
            let of = self.file.rsplit('/').next().unwrap_or_default().to_owned();
            let mut found = Vec::new();
            for (ending, kind) in Sidecar::ENDINGS {
                let name = self.place.name(&format!("{}.{ending}", self.file));
                let opened = match Stream::open(&self.place.s3, name) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    opened => opened?,
                };
                let mut text = Vec::new();
                opened.take(FurtherSidecar::MOST_BYTES).read_to_end(&mut text)?;
                found.push(FurtherSidecar { kind, of: of.clone(), text });
            }
            self.sidecars = Some(found);
        }
        Ok(self.sidecars.as_deref().unwrap_or_default())
    }
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl OpenArchive for Opened {
    fn facts(&self) -> FileFacts {
        with_companions(self.stream.facts(), self.beside.iter().copied())
    }

    /// One answer is one object: what may have changed is what lies beside it, and what is there now.
    fn unchanged(&mut self) -> io::Result<bool> {
        let now = self.place.name(&self.file).facts(&self.place.s3)?;
        Ok(now == Some(self.stream.facts()) && self.look_beside()? == self.beside)
    }

    fn sidecar(&mut self) -> io::Result<Option<(Sidecar, Vec<u8>)>> {
        Ok(self.all_sidecars()?.first().map(|it| (it.kind, it.text.clone())))
    }

    fn further_sidecars(&mut self) -> io::Result<Vec<FurtherSidecar>> {
        Ok(self.all_sidecars()?.get(1..).unwrap_or_default().to_vec())
    }

    fn companions(&mut self) -> io::Result<Vec<(Beside, Box<dyn ReadAt + Send>)>> {
        let of_one = |(kind, facts): &(Beside, FileFacts)| -> (Beside, Box<dyn ReadAt + Send>) {
            let name = self.place.name(&format!("{}{}", self.file, kind.ending()));
            (*kind, Box::new(ObjectAt { s3: self.place.s3.clone(), name, size: facts.size }))
        };
        Ok(self.beside.iter().map(of_one).collect())
    }
}

/// An object that is read at any place.
struct ObjectAt {
    s3: Blocking,
    name: Name,
    size: u64,
}

impl ReadAt for ObjectAt {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = (buffer.len() as u64).min(self.size.saturating_sub(offset));
        let part = self.name.part(&self.s3, offset, count)?;
        let taken = part.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&part[..taken]);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_files_as_deep_as_is_looked() {
        let none = |_: &[u8]| false;
        assert_eq!(sort("a.sql", 1, &none), Sort::File);
        assert_eq!(sort("x/a.sql", 2, &none), Sort::File);
        for deeper in ["x/a.sql", "x/", ""] {
            assert_eq!(sort(deeper, 1, &none), Sort::Deeper, "{deeper}");
        }
        assert_eq!(sort("x/@eaDir/a.sql", 3, &none), Sort::Foreign("x/@eaDir".into()));
        assert_eq!(sort("x/@eaDir/a.sql", 3, &|name: &[u8]| name == b"@eaDir"), Sort::File);
        assert!(matches!(sort("a\nb.sql", 1, &none), Sort::Unreadable(_)));
    }
}
