//! The files of the sources, opened to be read once from beginning to end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use super::directory::facts_of;
use crate::domain::attempt::Sidecar;
use crate::domain::proof::ArchiveId;
use crate::domain::run::FileFacts;
use crate::engine::ports::{Archives, OpenArchive};

/// No more is read of a checksum file.
const MAX_SIDECAR: u64 = 64 << 10;

/// Opens files below their roots.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArchiveFiles;

impl Archives for ArchiveFiles {
    fn open(&self, archive: &ArchiveId) -> io::Result<Box<dyn OpenArchive>> {
        let path = path_of(archive)?;
        // Neither a device nor a pipe: opening one could hang, and reading it has no end.
        let file = File::options().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(&path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        // Only advice: read ahead further, this is one long read.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        Ok(Box::new(Opened { path, file, identity: (metadata.dev(), metadata.ino()), facts: facts_of(&metadata) }))
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
    identity: (u64, u64),
    facts: FileFacts,
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl OpenArchive for Opened {
    fn facts(&self) -> FileFacts {
        self.facts
    }

    fn unchanged(&mut self) -> io::Result<bool> {
        let now = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok((now.dev(), now.ino()) == self.identity && facts_of(&now) == self.facts)
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
