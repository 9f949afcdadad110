//! Looking at directories: what lies there, whether it is mounted, how full it is.
//!
//! Everything here may block for ever on a dead network share; callers are on threads that nobody waits for.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use walkdir::WalkDir;

use crate::domain::file::{FileFacts, Together};
use crate::domain::look::{Capacity, ErrorKind, LookError, PlaceListing};
use crate::domain::printable::printable;
use crate::formats::beside::Beside;
use crate::formats::foreign_name;

/// More names than this in one root are refused: nobody keeps so many backups in a place, and memory is bounded.
pub const MAX_ENTRIES: usize = 1_000_000;

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

impl Root {
    /// Whether what must be mounted is mounted.
    pub fn check_mount(&self) -> Result<(), LookError> {
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

    /// Everything down to `depth` directories below, without following links. Fails as a whole: half a listing would
    /// make the other half look deleted. What a NAS or a desktop keeps there is left out, unless its name is `spelled` by
    /// the configuration.
    pub fn list(&self, depth: usize, spelled: impl Fn(&[u8]) -> bool) -> Result<Listed, LookError> {
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
                    foreign.push(entry);
                }
                Ok(entry) => found.push(entry),
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
        Ok(Listed { entries: found, foreign })
    }

    /// Size of the file system.
    pub fn capacity(&self) -> Option<Capacity> {
        let stat = rustix::fs::statvfs(&self.path).ok()?;
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        Some(Capacity {
            // As `df` does: what only root may use counts for nobody.
            size: used.saturating_add(stat.f_bavail).saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

/// What lies below a root.
#[derive(Debug, Default)]
pub struct Listed {
    /// Files and directories of people and programs.
    pub entries: Vec<walkdir::DirEntry>,
    /// What belongs to a NAS, a desktop or an editor; nothing below it was looked at.
    pub foreign: Vec<walkdir::DirEntry>,
}

impl Listed {
    /// Counts what is left out. Called last, so that names that matter more are shown.
    pub fn count_foreign(foreign: &[walkdir::DirEntry], root: &Path, listing: &mut PlaceListing) {
        for entry in foreign {
            let name = entry.path().strip_prefix(root).unwrap_or(entry.path());
            let why = "belongs to a NAS, a desktop or an editor; nothing in it counts";
            listing.pass_over(printable(name.as_os_str().as_encoded_bytes()), why);
        }
    }
}

/// What an entry is that is no regular file; `None` for one that is, and for a link that leads to one.
///
/// An error where a link leads nowhere, or to a place that doesn't answer.
pub fn special(entry: &walkdir::DirEntry) -> io::Result<Option<&'static str>> {
    let kind = entry.file_type();
    if kind.is_file() {
        return Ok(None);
    }
    if !kind.is_symlink() {
        return Ok(Some(words_of(kind)));
    }
    match fs::metadata(entry.path()) {
        Ok(metadata) if metadata.is_file() => Ok(None),
        Ok(_) => Ok(Some("is a link to something that is no regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // It may be gone itself by now.
            let Ok(target) = fs::read_link(entry.path()) else { return Ok(None) };
            let target = printable(target.as_os_str().as_encoded_bytes());
            let text = format!("is a link to {target}, which is not there; is its disk mounted?");
            Err(io::Error::other(text))
        }
        Err(error) => Err(error),
    }
}

/// What is no regular file and no link, in words.
pub fn words_of(kind: fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    if kind.is_dir() {
        "is a directory"
    } else if kind.is_fifo() {
        "is a pipe"
    } else if kind.is_socket() {
        "is a socket"
    } else {
        "is a device"
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

/// Size and last write of a regular file, following a link; `None` when it is gone by now, or something else.
pub fn facts(path: &Path) -> io::Result<Option<FileFacts>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_file().then(|| facts_of(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Size, last write, and last change of the inode.
pub fn facts_of(metadata: &fs::Metadata) -> FileFacts {
    use std::os::unix::fs::MetadataExt;
    let time = |second: i64, nanosecond: i64| Timestamp::new(second, i32::try_from(nanosecond).ok()?).ok();
    // A time that can't be represented is no witness: as far off as can be.
    let modified = time(metadata.mtime(), metadata.mtime_nsec()).unwrap_or(Timestamp::MAX);
    FileFacts { size: metadata.len(), modified, changed: time(metadata.ctime(), metadata.ctime_nsec()) }
}

/// Size and last write of a file with what lies beside it and belongs to it. A scan and a reading must agree on them.
pub fn with_companions(file: FileFacts, beside: impl IntoIterator<Item = (Beside, FileFacts)>) -> FileFacts {
    let mut beside = beside.into_iter().peekable();
    if beside.peek().is_none() {
        return file;
    }
    let mut together = Together::default();
    together.add(b"", file);
    beside.for_each(|(kind, facts)| together.add(kind.ending().as_bytes(), facts));
    together.facts().unwrap_or(file)
}

/// The text of a small file: at most `head` bytes of its beginning and the rest up to `limit` of its end.
pub fn read_capped(path: &Path, size: u64, head: u64, limit: u64) -> io::Result<Vec<u8>> {
    use std::io::Seek;
    // A pipe that was put in its place must not block.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let mut file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    let mut text = Vec::with_capacity(size.min(limit) as usize);
    if size <= limit {
        file.take(limit).read_to_end(&mut text)?;
        return Ok(text);
    }
    file.by_ref().take(head).read_to_end(&mut text)?;
    file.seek(io::SeekFrom::End(-((limit - head) as i64)))?;
    file.take(limit - head).read_to_end(&mut text)?;
    Ok(text)
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
    fn long_files_are_read_at_both_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let text: Vec<u8> = (0..100u8).collect();
        fs::write(&path, &text).unwrap();
        assert_eq!(read_capped(&path, 100, 2, 100).unwrap(), text);
        assert_eq!(read_capped(&path, 100, 2, 5).unwrap(), [0, 1, 97, 98, 99]);
        // It shrank since its size was taken.
        assert!(read_capped(&path, 1000, 50, 900).is_err());
    }

    #[test]
    fn no_directory_is_an_error_and_never_an_empty_list() {
        let directory = tempfile::tempdir().unwrap();
        let root = |path: PathBuf| Root { path, require_mount: None };
        let gone = root(directory.path().join("gone"));
        assert_eq!(gone.list(1, |_| false).unwrap_err().kind, ErrorKind::NotFound);
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        assert_eq!(root(file).list(1, |_| false).unwrap_err().kind, ErrorKind::Io);
        let unmounted = Root { require_mount: Some(directory.path().into()), ..root(directory.path().into()) };
        assert_eq!(unmounted.check_mount().unwrap_err().kind, ErrorKind::NotMounted);
        let mounted = Root { require_mount: Some("/proc".into()), ..root("/proc".into()) };
        assert!(mounted.check_mount().is_ok());
    }
}
