//! Looking at directories: what lies there, whether it is mounted, how full it is.
//!
//! Everything here may block for ever on a dead network share; callers are on threads that nobody waits for.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use walkdir::WalkDir;

use super::place::{Entry, Listed, Place};
use crate::domain::look::{Capacity, ErrorKind, LookError};
use crate::domain::printable::printable;
use crate::engine::ports::objects::MAX_ENTRIES;
use crate::formats::foreign_name;

/// Fewer files than this are examined on the calling thread.
const WORTH_THREADS: usize = 512;

/// More threads than this gain nothing: the kernel serialises most of it, a network share all.
const MAX_THREADS: usize = 4;

/// A directory of a source, as configured.
#[derive(Debug, Clone)]
pub struct Root {
    /// Where it is.
    pub path: PathBuf,
    /// This path must be a mount point, or nothing that lies there is believed.
    pub require_mount: Option<PathBuf>,
}

impl Place for Root {
    fn path(&self) -> &Path {
        &self.path
    }

    fn check(&self) -> Result<(), LookError> {
        let Some(wanted) = &self.require_mount else { return Ok(()) };
        let table = fs::read("/proc/self/mountinfo")
            .map_err(|error| look_error("reading", "/proc/self/mountinfo".as_ref(), &error))?;
        // A symbolic link in the configured path.
        let resolved = fs::canonicalize(wanted).unwrap_or_else(|_| wanted.clone());
        if mount_points(&table).any(|point| point == *wanted || point == resolved) {
            return Ok(());
        }
        let message = format!(
            "{} is not mounted (require_mount of {}); what lies under it is not looked at. Mount it, or correct the key",
            wanted.display(),
            self.path.display()
        );
        Err(LookError::new(ErrorKind::NotMounted, message))
    }

    /// Links are not followed.
    fn list(&self, depth: usize, spelled: &dyn Fn(&[u8]) -> bool) -> Result<Listed, LookError> {
        // An ordinary file would be listed as itself.
        let kind = fs::metadata(&self.path).map_err(|error| look_error("opening", &self.path, &error))?;
        if !kind.is_dir() {
            let message = format!("{} is not a directory", self.path.display());
            return Err(LookError::new(ErrorKind::Io, message));
        }
        let walk = WalkDir::new(&self.path).min_depth(1).max_depth(depth).follow_root_links(true);
        let (mut found, mut foreign) = (Vec::new(), Vec::new());
        let is_foreign = |entry: &walkdir::DirEntry| {
            let name = entry.file_name().as_encoded_bytes();
            entry.depth() > 0 && foreign_name::sort(name).is_some() && !spelled(name)
        };
        let mut walk = walk.into_iter();
        while let Some(entry) = walk.next() {
            match entry {
                Ok(entry) if is_foreign(&entry) => {
                    if entry.file_type().is_dir() {
                        walk.skip_current_dir();
                    }
                    let name = entry.path().strip_prefix(&self.path).unwrap_or(entry.path());
                    foreign.push(printable(name.as_os_str().as_encoded_bytes()));
                }
                Ok(entry) => found.push(Entry::OnDisk(entry)),
                Err(error) if error.depth() > 0 && is_gone(&error) => {}
                Err(error) => {
                    let path = error.path().unwrap_or(&self.path).to_owned();
                    return Err(look_error("reading", &path, &error.into()));
                }
            }
            if found.len() + foreign.len() > MAX_ENTRIES {
                let message =
                    format!("{} holds more than {MAX_ENTRIES} names; is it the right directory?", self.path.display());
                return Err(LookError::new(ErrorKind::Io, message));
            }
        }
        Ok(Listed { entries: found, foreign, unreadable: Vec::new() })
    }

    /// Size of the file system.
    fn capacity(&self) -> Option<Capacity> {
        let stat = rustix::fs::statvfs(&self.path).ok()?;
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        Some(Capacity {
            // As `df` does: what only root may use counts for nobody.
            size: used.saturating_add(stat.f_bavail).saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

fn is_gone(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// An error of the operating system with what was tried on which path, and what to do.
pub fn look_error(doing: &str, path: &Path, error: &io::Error) -> LookError {
    let (kind, advice) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "; is the path right, and its disk mounted?"),
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::PermissionDenied, "; run firedrill as a user who may read it, or give it CAP_DAC_READ_SEARCH")
        }
        io::ErrorKind::TimedOut => (ErrorKind::Timeout, "; does the server answer?"),
        _ => (ErrorKind::Io, ""),
    };
    LookError::new(kind, format!("{doing} {}: {error}{advice}", path.display()))
}

/// The mount points of a `mountinfo` table: its fifth field, with `\040` and the like decoded.
fn mount_points(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        let field = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(OsStr::from_bytes(&octal_decoded(field))))
    })
}

fn octal_decoded(field: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                decoded.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => decoded.push(*first),
        }
    }
    decoded
}

/// Applies `work` to all, on a few threads when it is worth it. The order is kept.
pub fn parallel<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if all.len() < WORTH_THREADS { 1 } else { cores.min(MAX_THREADS) };
    if threads == 1 {
        return all.iter().map(work).collect();
    }
    // Small pieces, because the files of one item lie together and may all be slow.
    let piece = all.len().div_ceil(threads * 8);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(chunk) = all.chunks(piece).nth(index) else { return done };
            done.push((index, chunk.iter().map(&work).collect::<Vec<R>>()));
        }
    };
    let mut pieces = on_threads(threads, take);
    pieces.sort_unstable_by_key(|(index, _)| *index);
    pieces.into_iter().flat_map(|(_, results)| results).collect()
}

/// Applies `work` to each root of a source, a few at the same time: a share answers more than one question at once.
/// The order is kept.
pub fn each_root<T: Send, R: Send>(roots: &mut [T], work: impl Fn(&mut T) -> R + Sync) -> Vec<R> {
    let count = roots.len().min(MAX_THREADS);
    let waiting = Mutex::new(roots.iter_mut().enumerate());
    let take = || {
        let mut done = Vec::new();
        loop {
            // The lock is held for the taking only.
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, root)) = next else { return done };
            done.push((index, work(root)));
        }
    };
    let mut results = on_threads(count, take);
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs the same work on this thread and on some more; everything that they return together.
fn on_threads<R: Send>(count: usize, work: impl Fn() -> Vec<R> + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..count).map(|_| scope.spawn(&work)).collect();
        let mut all = work();
        for helper in helpers {
            match helper.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

/// Directories of this machine as the places of a source.
#[cfg(test)]
pub(crate) fn places(roots: impl IntoIterator<Item = Root>) -> super::place::Places {
    let all = roots.into_iter().map(|root| Box::new(root) as Box<dyn Place>).collect();
    super::place::Places { all, archives: std::sync::Arc::new(super::archive_files::ArchiveFiles) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_blanks() {
        let table = b"22 1 0:20 / / rw - ext4 /dev/sda rw\n36 22 0:31 / /mnt/pve/my\\040nas rw shared:1 - nfs4 x rw\n\nshort line\n";
        let points: Vec<PathBuf> = mount_points(table).collect();
        assert_eq!(points, [PathBuf::from("/"), PathBuf::from("/mnt/pve/my nas")]);
    }

    #[test]
    fn work_on_threads_keeps_the_order() {
        for count in [0, 1, WORTH_THREADS - 1, WORTH_THREADS, 10_007] {
            let numbers: Vec<usize> = (0..count).collect();
            let doubled: Vec<usize> = numbers.iter().map(|n| n * 2).collect();
            assert_eq!(parallel(&numbers, |n| n * 2), doubled);
            assert_eq!(each_root(&mut numbers.clone(), |n| *n * 2), doubled);
        }
    }

    #[test]
    fn no_directory_is_an_error_and_never_an_empty_list() {
        let directory = tempfile::tempdir().unwrap();
        let root = |path: PathBuf| Root { path, require_mount: None };
        let gone = root(directory.path().join("gone"));
        assert_eq!(gone.list(1, &|_| false).unwrap_err().kind, ErrorKind::NotFound);
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        assert_eq!(root(file).list(1, &|_| false).unwrap_err().kind, ErrorKind::Io);
        let unmounted = Root { require_mount: Some(directory.path().into()), ..root(directory.path().into()) };
        assert_eq!(unmounted.check().unwrap_err().kind, ErrorKind::NotMounted);
        let mounted = Root { require_mount: Some("/proc".into()), ..root("/proc".into()) };
        assert!(mounted.check().is_ok());
    }
}
