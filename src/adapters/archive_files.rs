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
use crate::engine::ports::{Archives, FurtherSidecar, OpenArchive};

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
        // Reading one may take from others what the kernel says once, such as `/proc/kmsg`.
        if is_made_up(&file) {
            return Err(io::Error::other("it is made by the kernel while it is read: no file on a disk"));
        }
        // Only advice: read ahead further, this is one long read.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        let identity = (metadata.dev(), metadata.ino());
        Ok(Box::new(Opened { path, file, identity, facts: facts_of(&metadata), read: 0, sidecars: None }))
    }
}

/// File systems whose files hold nothing before somebody reads them (`linux/magic.h`).
const MADE_UP: [u64; 14] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6265_6570, // configfs
    0x6165_676c, // pstore
    0xcafe_4a11, // bpf
    0x4249_4e4d, // binfmt_misc
    0xde5e_81e4, // efivarfs
    0xf97c_ff8c, // selinuxfs
    0x1980_0202, // mqueue
];

fn is_made_up(file: &File) -> bool {
    // Only the lower half: the type differs between platforms.
    rustix::fs::fstatfs(file).is_ok_and(|stat| MADE_UP.contains(&(stat.f_type as u64 & 0xffff_ffff)))
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
    /// Bytes that were read so far.
    read: u64,
    /// All checksum files, the first one in front, once they were read.
    sidecars: Option<Vec<FurtherSidecar>>,
}

impl Read for Opened {
    /// A file that ends before its size says so, or goes on behind it, is made or written while it is read, or its place
    /// doesn't give what it has: that says nothing of an archive, and need not be read on.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        let (read, size) = (self.read, self.facts.size);
        if read > size {
            let text = format!("it goes on behind its size of {size} bytes: it is written to, or no file on a disk");
            return Err(io::Error::other(text));
        }
        if count == 0 && !buffer.is_empty() && read < size {
            return Err(io::Error::other(format!("reading ended after {read} of {size} bytes")));
        }
        Ok(count)
    }
}

/// The checksum files beside a path.
fn sidecars_beside(path: &Path) -> io::Result<Vec<FurtherSidecar>> {
    let mut found = Vec::new();
    let of = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for (ending, kind) in Sidecar::ENDINGS {
        let mut beside = path.to_owned().into_os_string();
        beside.push(format!(".{ending}"));
        // No link: whoever may write there could have a secret of others quoted as a checksum that doesn't fit.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
        let file = match File::options().read(true).custom_flags(flags.bits() as i32).open(&beside) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if fs::symlink_metadata(&beside).is_ok_and(|found| found.is_symlink()) => {
                tracing::warn!(path = %Path::new(&beside).display(), %error, "a checksum file that is a link is not read");
                continue;
            }
            Err(error) => return Err(error),
        };
        if file.metadata()?.is_file() {
            let mut text = Vec::new();
            file.take(MAX_SIDECAR).read_to_end(&mut text)?;
            found.push(FurtherSidecar { kind, of: of.clone(), text });
        }
    }
    Ok(found)
}

impl Opened {
    /// Those beside the name that was asked for, then those beside the file that a link leads to.
    fn all_sidecars(&mut self) -> io::Result<&[FurtherSidecar]> {
        if self.sidecars.is_none() {
            let mut found = sidecars_beside(&self.path)?;
            // Whether it vanished meanwhile is found out at the end.
            let is_link = fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_symlink());
            if is_link && let Ok(target) = fs::canonicalize(&self.path) {
                found.extend(sidecars_beside(&target)?);
            }
            self.sidecars = Some(found);
        }
        Ok(self.sidecars.as_deref().unwrap_or_default())
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
        Ok((now.dev(), now.ino()) == self.identity && facts_of(&now).same_write(self.facts))
    }

    fn sidecar(&mut self) -> io::Result<Option<(Sidecar, Vec<u8>)>> {
        // Of a link that has none of its own that of its target is the first, and is read by the target's name.
        let own = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let first = self.all_sidecars()?.first().filter(|it| it.of == own);
        Ok(first.map(|it| (it.kind, it.text.clone())))
    }

    fn further_sidecars(&mut self) -> io::Result<Vec<FurtherSidecar>> {
        let skip = usize::from(self.sidecar()?.is_some());
        Ok(self.all_sidecars()?.get(skip..).unwrap_or_default().to_vec())
    }
}

#[cfg(test)]
mod tests;
