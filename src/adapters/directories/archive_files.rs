//! The files of the sources, opened to be read once from beginning to end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use super::files::facts_of;
use super::tree::OpenTree;
use crate::domain::attempt::Sidecar;
use crate::domain::file::FileFacts;
use crate::domain::proof::ArchiveId;
use crate::engine::ports::{Archives, FurtherSidecar, OpenArchive};
use crate::formats::beside::{Beside, ReadAt, with_companions};

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
        // Reading one may take from others what the kernel says once, such as `/proc/kmsg`.
        if is_made_up(&file) {
            return Err(io::Error::other("it is made by the kernel while it is read: no file on a disk"));
        }
        let seen = Seen::beside(&path, Identity::of(&metadata))?;
        // Only advice: read ahead further, this is one long read.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        Ok(Box::new(Opened { path, file, seen, read: 0, sidecars: None }))
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
    seen: Seen,
    /// Bytes that were read so far.
    read: u64,
    /// All checksum files, the first one in front, once they were read.
    sidecars: Option<Vec<FurtherSidecar>>,
}

/// A file, and not another one in its place. Its mode or owner may change meanwhile.
#[derive(Debug, Clone, Copy)]
struct Identity {
    file: (u64, u64),
    facts: FileFacts,
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.facts.same_write(other.facts)
    }
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { file: (metadata.dev(), metadata.ino()), facts: facts_of(metadata) }
    }
}

/// A file and what lies beside it and belongs to it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    file: Identity,
    beside: [Option<Identity>; Beside::ALL.len()],
}

impl Seen {
    /// Looks what lies beside a file. What is there and is no regular file is an error: who opens the database next
    /// would follow it.
    fn beside(path: &Path, file: Identity) -> io::Result<Self> {
        let mut beside = [None; Beside::ALL.len()];
        if !Beside::is_looked_for(&path.to_string_lossy()) {
            return Ok(Self { file, beside });
        }
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
    /// A file that ends before its size says so, or goes on behind it, is made or written while it is read, or its place
    /// doesn't give what it has: that says nothing of an archive, and need not be read on.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read += count as u64;
        let (read, size) = (self.read, self.seen.file.facts.size);
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

/// The checksum files beside a path; one that is no regular file has no text.
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
                // That it says nothing is told: what it was to vouch for is not known.
                found.push(FurtherSidecar { kind, of: of.clone(), text: Vec::new() });
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        if file.metadata()?.is_file() {
            file.take(FurtherSidecar::MOST_BYTES).read_to_end(&mut text)?;
        }
        found.push(FurtherSidecar { kind, of: of.clone(), text });
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
