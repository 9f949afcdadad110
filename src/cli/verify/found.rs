//! The archives below paths of the command line.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Work;
use crate::domain::ids::ItemId;
use crate::domain::proof::{ArchiveId, Level};
use crate::engine::examiner::Job;
use crate::formats::vzdump_name::{self, VzdumpName};

/// Endings of files that are taken for backups when a whole directory is named.
const ENDINGS: [&str; 13] =
    ["vma", "tar", "tgz", "tzst", "zst", "gz", "lzo", "bz2", "sql", "dump", "db", "sqlite", "sqlite3"];

/// Files as they are named; of directories what lies directly in them or in `dump` below, where Proxmox VE keeps it.
pub(super) fn in_paths(paths: &[PathBuf], level: Level) -> anyhow::Result<Work> {
    let mut work = Work { jobs: Vec::new(), problems: Vec::new() };
    let mut seen = std::collections::BTreeSet::new();
    for path in paths {
        let path = std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => directory(&path, level, &mut seen, &mut work),
            Ok(found) => file(&path, found.len(), level, &mut seen, &mut work),
            Err(error) => work.problems.push(format!("{}: {error}", path.display())),
        }
    }
    Ok(work)
}

fn directory(path: &Path, level: Level, seen: &mut std::collections::BTreeSet<PathBuf>, work: &mut Work) {
    let mut files = Vec::new();
    let mut list = |path: &Path| -> std::io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let found = entry.metadata()?;
            if found.is_file() && is_archive(&entry.file_name().to_string_lossy()) {
                files.push((entry.path(), found.len()));
            }
        }
        Ok(())
    };
    let mut result = list(path);
    let below = path.join("dump");
    if result.is_ok() && below.is_dir() {
        result = list(&below);
    }
    if let Err(error) = result {
        work.problems.push(format!("{}: {error}", path.display()));
    }
    files.sort();
    for (path, size) in files {
        file(&path, size, level, seen, work);
    }
}

/// Not what is still being written, nor side files.
fn is_archive(name: &str) -> bool {
    match vzdump_name::parse(name.as_bytes()) {
        VzdumpName::Archive(_) | VzdumpName::Renamed(_) => true,
        VzdumpName::Other => {
            let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
            !name.starts_with('.') && ENDINGS.contains(&ending)
        }
        _ => false,
    }
}

fn file(path: &Path, size: u64, level: Level, seen: &mut std::collections::BTreeSet<PathBuf>, work: &mut Work) {
    let Some((root, name)) = path.parent().zip(path.file_name()) else { return };
    let (Some(root), Some(name)) = (root.to_str(), name.to_str()) else {
        work.problems.push(format!("{}: its name is not UTF-8; rename it to have it verified", path.display()));
        return;
    };
    if !seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned())) {
        return;
    }
    let item = match vzdump_name::parse(name.as_bytes()) {
        VzdumpName::Archive(run) => run.item(),
        VzdumpName::Renamed(item) => item,
        _ => ItemId::Dump(name.into()),
    };
    let source = "files".parse().expect("a fixed name that fits");
    let archive = ArchiveId { source, root: root.into(), file: name.into() };
    work.jobs.push((Job { archive, item, level }, size));
}
