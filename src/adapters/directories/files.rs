//! Files on disks of this machine, and shares of it: what they are, how large, and what small ones say.
//!
//! Everything here may block for ever on a dead network share; callers are on threads that nobody waits for.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;

use crate::domain::file::FileFacts;
use crate::domain::printable::printable;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
