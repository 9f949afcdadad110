//! Files with a given size, text and time.

use std::fs::{File, FileTimes};
use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context as _;
use jiff::Timestamp;

/// A sparse file of this size, written last at this time.
pub(super) fn sparse(path: &Path, size: u64, modified: Timestamp) -> anyhow::Result<()> {
    let file = create(path)?;
    file.set_len(size).with_context(|| format!("sizing {}", path.display()))?;
    stamp(&file, path, modified)
}

/// A file that begins with this content and has zeros up to this size, written last at this time.
pub(super) fn padded(path: &Path, content: &[u8], size: u64, modified: Timestamp) -> anyhow::Result<()> {
    let mut file = create(path)?;
    file.write_all(content).with_context(|| format!("writing {}", path.display()))?;
    file.set_len(size.max(content.len() as u64)).with_context(|| format!("sizing {}", path.display()))?;
    stamp(&file, path, modified)
}

/// A file with this content, written last at this time.
pub(super) fn with_content(path: &Path, content: &[u8], modified: Timestamp) -> anyhow::Result<()> {
    let mut file = create(path)?;
    file.write_all(content).with_context(|| format!("writing {}", path.display()))?;
    stamp(&file, path, modified)
}

/// Makes a directory look as if it was changed last at this time.
pub(super) fn stamp_directory(path: &Path, modified: Timestamp) -> anyhow::Result<()> {
    let directory = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    stamp(&directory, path, modified)
}

/// Adds to the end of a file.
pub(super) fn append(path: &Path, content: &[u8]) -> std::io::Result<()> {
    File::options().append(true).open(path)?.write_all(content)
}

fn create(path: &Path) -> anyhow::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    }
    File::create(path).with_context(|| format!("creating {}", path.display()))
}

fn stamp(file: &File, path: &Path, modified: Timestamp) -> anyhow::Result<()> {
    let times = FileTimes::new().set_modified(SystemTime::from(modified));
    file.set_times(times).with_context(|| format!("setting the time of {}", path.display()))
}
