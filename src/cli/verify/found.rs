//! The archives below paths of the command line.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Work;
use crate::adapters::tree::{self, Tree};
use crate::domain::ids::ItemId;
use crate::domain::proof::{ArchiveId, Level};
use crate::engine::examiner::Job;
use crate::formats::beside::Beside;
use crate::formats::vzdump_name::{self, VzdumpName};

/// Endings of files that are taken for backups when a whole directory is named.
const ENDINGS: [&str; 20] = [
    "vma", "tar", "tgz", "tzst", "tbz2", "txz", "zst", "gz", "lzo", "bz2", "xz", "lz4", "zip", "7z", "age", "sql",
    "dump", "db", "sqlite", "sqlite3",
];

/// Endings of what lies beside a backup: no backup is passed over with them.
const COMPANIONS: [&str; 6] = ["sha256", "md5", "sha1", "sha512", "log", "notes"];

/// What is in a directory and was not taken for a backup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cli) struct Passed {
    pub(in crate::cli) files: usize,
    pub(in crate::cli) directories: usize,
}

impl Passed {
    /// In words; `None` if there was nothing.
    pub(in crate::cli) fn words(self) -> Option<String> {
        let count = |number: usize, one: &str, many: &str| match number {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{number} {many}")),
        };
        let parts = [count(self.files, "file", "files"), count(self.directories, "directory", "directories")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let verb = if self.files + self.directories == 1 { "was" } else { "were" };
        (!parts.is_empty()).then(|| format!("{} {verb} passed over", parts.join(" and ")))
    }
}

/// Files as they are named; of directories what lies directly in them or in `dump` below, where Proxmox VE keeps it.
pub(super) fn in_paths(paths: &[PathBuf], level: Level) -> anyhow::Result<Work> {
    let mut work = Work { jobs: Vec::new(), problems: Vec::new(), passed: Passed::default() };
    let mut seen = std::collections::BTreeSet::new();
    for path in paths {
        let path = std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
        match std::fs::metadata(&path) {
            Ok(found) if found.is_dir() => match tree::kind(&path) {
                Ok(Some(_)) => set(&path, level, &mut seen, &mut work),
                Ok(None) => directory(&path, level, &mut seen, &mut work),
                Err(error) => work.problems.push(format!("{}: {error}", path.display())),
            },
            Ok(found) => file(&path, found.len(), level, &mut seen, &mut work),
            Err(error) => work.problems.push(format!("{}: {error}", path.display())),
        }
    }
    Ok(work)
}

fn directory(path: &Path, level: Level, seen: &mut std::collections::BTreeSet<PathBuf>, work: &mut Work) {
    let (mut files, mut sets) = (Vec::new(), Vec::new());
    let below = path.join("dump");
    let mut list = |path: &Path| -> std::io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            let sort = sort(&name.to_string_lossy());
            // What links lead to.
            match std::fs::metadata(&path) {
                Ok(found) if found.is_dir() && path == below => {}
                Ok(found) if found.is_dir() => match tree::kind(&path) {
                    // What links lead to is taken for what it is elsewhere.
                    Ok(Some(_)) if !path.is_symlink() => sets.push(path),
                    Ok(_) => work.passed.directories += 1,
                    Err(error) => work.problems.push(format!("{}: {error}", path.display())),
                },
                Ok(found) if found.is_file() && sort == Sort::Backup => files.push((path, found.len())),
                Err(error) if sort == Sort::Backup => work.problems.push(format!("{}: {error}", path.display())),
                _ => work.passed.files += usize::from(sort != Sort::Companion),
            }
        }
        Ok(())
    };
    let mut result = list(path);
    if result.is_ok() && below.is_dir() {
        result = list(&below);
    }
    if let Err(error) = result {
        work.problems.push(format!("{}: {error}", path.display()));
    }
    sets.sort();
    for path in sets {
        set(&path, level, seen, work);
    }
    files.sort();
    for (path, size) in files {
        file(&path, size, level, seen, work);
    }
}

/// What a file is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Backup,
    /// What is still being written, logs, notes, checksums.
    Companion,
    Other,
}

fn sort(name: &str) -> Sort {
    match vzdump_name::parse(name.as_bytes()) {
        VzdumpName::Archive(_) | VzdumpName::Renamed(_) => return Sort::Backup,
        VzdumpName::Other | VzdumpName::LookAlike => {}
        _ => return Sort::Companion,
    }
    if let Some(database) = Beside::of_name(name).map(|(database, _)| database).or(name.strip_suffix("-shm"))
        && sort(database) == Sort::Backup
    {
        return Sort::Companion;
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match &*ending {
        _ if name.starts_with('.') => Sort::Other,
        ending if ENDINGS.contains(&ending) => Sort::Backup,
        ending if COMPANIONS.contains(&ending) => Sort::Companion,
        _ => Sort::Other,
    }
}

/// A directory that is one backup.
fn set(path: &Path, level: Level, seen: &mut std::collections::BTreeSet<PathBuf>, work: &mut Work) {
    // Its name may be `.` or that of a link.
    match path.canonicalize().and_then(|path| Ok((Tree::list(&path)?.facts().map_or(0, |it| it.size), path))) {
        Ok((size, path)) if path.file_name().is_some() => file(&path, size, level, seen, work),
        Ok((_, path)) => work.problems.push(format!("{}: it has no name", path.display())),
        Err(error) => work.problems.push(format!("{}: {error}", path.display())),
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
