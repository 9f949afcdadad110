//! The files of the sources, opened to be read once from beginning to end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use super::directory::{facts_of, with_companions};
use super::tree::OpenTree;
use crate::domain::attempt::Sidecar;
use crate::domain::proof::ArchiveId;
use crate::domain::run::FileFacts;
use crate::engine::ports::{Archives, OpenArchive};
use crate::formats::beside::{Beside, ReadAt};

/// No more is read of a checksum file.
const MAX_SIDECAR: u64 = 64 << 10;

/// Opens files below their roots.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArchiveFiles;

impl Archives for ArchiveFiles {
    fn open(&self, archive: &ArchiveId) -> io::Result<Box<dyn OpenArchive>> {
        let path = path_of(archive)?;
        if fs::symlink_metadata(&path)?.is_dir() {
            return Ok(Box::new(OpenTree::open(path)?));
        }
        // Neither a device nor a pipe: opening one could hang, and reading it has no end.
        let file = File::options().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(&path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let seen = Seen::beside(&path, Identity::of(&metadata))?;
        // Only advice: read ahead further, this is one long read.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        Ok(Box::new(Opened { path, file, seen }))
    }
}

/// The path of a file below its root. What was listed is a plain name or names below one another; nothing else is
/// opened.
fn path_of(archive: &ArchiveId) -> io::Result<PathBuf> {
    let relative = Path::new(&*archive.file);
    let plain = relative.components().all(|component| matches!(component, Component::Normal(_)));
    if !plain || relative.as_os_str().is_empty() {
        return Err(io::Error::other("its name leads out of its directory"));
    }
    Ok(Path::new(&*archive.root).join(relative))
}

struct Opened {
    path: PathBuf,
    file: File,
    seen: Seen,
}

/// A file, and not another one in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    file: (u64, u64),
    facts: FileFacts,
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { file: (metadata.dev(), metadata.ino()), facts: facts_of(metadata) }
    }
}

/// A file and what lies beside it and belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    file: Identity,
    beside: [Option<Identity>; Beside::ALL.len()],
}

impl Seen {
    /// Looks what lies beside a file. What is there and is no regular file is an error: who opens the database next
    /// would follow it.
    fn beside(path: &Path, file: Identity) -> io::Result<Self> {
        let mut beside = [None; Beside::ALL.len()];
        for (kind, found) in Beside::ALL.into_iter().zip(&mut beside) {
            *found = match fs::symlink_metadata(companion(path, kind)) {
                Ok(metadata) if metadata.is_file() => Some(Identity::of(&metadata)),
                Ok(_) => {
                    return Err(io::Error::other(format!("its {} file is a link or a special file", kind.ending())));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
        }
        Ok(Self { file, beside })
    }

    fn facts(&self) -> FileFacts {
        let parts = Beside::ALL.into_iter().zip(self.beside).filter_map(|(kind, found)| Some((kind, found?.facts)));
        with_companions(self.file.facts, parts)
    }
}

fn companion(path: &Path, kind: Beside) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(kind.ending());
    beside.into()
}

struct FileAt(File);

impl ReadAt for FileAt {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl OpenArchive for Opened {
    fn facts(&self) -> FileFacts {
        self.seen.facts()
    }

    fn unchanged(&mut self) -> io::Result<bool> {
        let now = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(Seen::beside(&self.path, Identity::of(&now))? == self.seen)
    }

    fn companions(&mut self) -> io::Result<Vec<(Beside, Box<dyn ReadAt + Send>)>> {
        let mut opened: Vec<(Beside, Box<dyn ReadAt + Send>)> = Vec::new();
        for (kind, seen) in Beside::ALL.into_iter().zip(self.seen.beside) {
            let Some(seen) = seen else { continue };
            let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
            let path = companion(&self.path, kind);
            let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path)?;
            if Identity::of(&file.metadata()?) != seen {
                return Err(io::Error::other(format!("its {} file changed meanwhile", kind.ending())));
            }
            opened.push((kind, Box::new(FileAt(file))));
        }
        Ok(opened)
    }

    fn sidecar(&mut self) -> io::Result<Option<(Sidecar, Vec<u8>)>> {
        for kind in [Sidecar::Sha256, Sidecar::Md5] {
            let mut beside = self.path.clone().into_os_string();
            beside.push(format!(".{}", kind.as_str()));
            // No link: whoever may write there could have a secret of others quoted as a checksum that doesn't fit.
            let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
            let file = match File::options().read(true).custom_flags(flags.bits() as i32).open(&beside) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if fs::symlink_metadata(&beside).is_ok_and(|found| found.is_symlink()) => {
                    tracing::warn!(path = %std::path::Path::new(&beside).display(), %error, "a checksum file that is a link is not read");
                    continue;
                }
                Err(error) => return Err(error),
            };
            if file.metadata()?.is_file() {
                let mut text = Vec::new();
                file.take(MAX_SIDECAR).read_to_end(&mut text)?;
                return Ok(Some((kind, text)));
            }
        }
        Ok(None)
    }
}
