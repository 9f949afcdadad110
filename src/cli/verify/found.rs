//! The archives below paths of the command line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::Work;
use crate::adapters::directories::archive_files::ArchiveFiles;
use crate::adapters::directories::files;
use crate::adapters::directories::tree::{self, Tree};
use crate::cli::looking;
use crate::domain::attempt::Sidecar;
use crate::domain::ids::ItemId;
use crate::domain::printable::printable;
use crate::domain::proof::{ArchiveId, Level};
use crate::engine::provers::Job;
use crate::formats::beside::Beside;
use crate::formats::foreign_name;
use crate::formats::shape::{Shape, Structure};
use crate::formats::vzdump_name::{self, VzdumpName};

/// Endings of files that are taken for backups when a whole directory is named.
const ENDINGS: [&str; 32] = [
    "vma", "tar", "tgz", "tzst", "tbz2", "txz", "zst", "gz", "lzo", "bz2", "xz", "lz4", "zip", "7z", "age", "gpg",
    "pgp", "enc", "aes", "sql", "mysql", "pgsql", "psql", "dump", "pgdump", "xbstream", "db", "sqlite", "sqlite3",
    "ova", "vmdk", "ovf",
];

/// Endings of what lies beside a backup: no backup is passed over with them.
const COMPANIONS: [&str; 10] = ["sha256", "sha256sum", "md5", "md5sum", "sha1", "sha512", "log", "notes", "mf", "cert"];

/// So many odd files are named; all are counted.
const NAMED: usize = 20;

/// What is in a directory and was not taken for a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct Passed {
    pub(in crate::cli) files: usize,
    pub(in crate::cli) directories: usize,
    /// What has the name of a backup and is none, each with the reason.
    pub(in crate::cli) named: Vec<String>,
}

impl Passed {
    /// In words; `None` if there was nothing.
    pub(in crate::cli) fn words(&self) -> Option<String> {
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
///
/// A link is judged as the file that it leads to, whatever its own name says; regular files come first, so that the same
/// file isn't read again because a link to it was listed before. Whatever doesn't answer within `limit` is a problem, and
/// the others go on.
pub(super) fn in_paths(paths: &[PathBuf], level: Level, limit: Duration) -> anyhow::Result<Work> {
    let mut finder = Finder::new(level, BTreeSet::new());
    for path in paths {
        let path = std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
        finder.within(limit, &path, Finder::path);
    }
    let mut links = std::mem::take(&mut finder.links);
    links.sort();
    links.iter().for_each(|link| finder.within(limit, link, Finder::link));
    Ok(finder.work)
}

/// What was found so far.
struct Finder {
    level: Level,
    seen: BTreeSet<PathBuf>,
    links: Vec<PathBuf>,
    work: Work,
}

impl Finder {
    fn new(level: Level, seen: BTreeSet<PathBuf>) -> Self {
        let work = Work {
            jobs: Vec::new(),
            problems: Vec::new(),
            passed: Passed::default(),
            archives: Arc::new(ArchiveFiles),
        };
        Self { level, seen, links: Vec::new(), work }
    }

    /// Looks somewhere from where no answer may come. What was seen before goes along, and is lost with it.
    fn within(&mut self, limit: Duration, path: &Path, look: fn(&mut Self, &Path)) {
        let mut part = Self::new(self.level, std::mem::take(&mut self.seen));
        let looked = looking::within(limit, path, move |path| {
            look(&mut part, path);
            part
        });
        match looked {
            Ok(part) => {
                self.seen = part.seen;
                self.links.extend(part.links);
                self.work.jobs.extend(part.work.jobs);
                self.work.problems.extend(part.work.problems);
                self.work.passed.files += part.work.passed.files;
                self.work.passed.directories += part.work.passed.directories;
                let room = NAMED - self.work.passed.named.len();
                self.work.passed.named.extend(part.work.passed.named.into_iter().take(room));
            }
            Err(no_answer) => self.work.problems.push(format!("{no_answer:#}")),
        }
    }

    fn path(&mut self, path: &Path) {
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => match tree::kind(path) {
                Ok(Some(_)) => self.set(path),
                Ok(None) => self.directory(path),
                Err(error) => self.work.problems.push(format!("{}: {error}", path.display())),
            },
            Ok(_) if path.is_symlink() => self.links.push(path.to_owned()),
            Ok(found) => self.file(path, found.len()),
            Err(error) => self.work.problems.push(format!("{}: {error}", path.display())),
        }
    }

    fn directory(&mut self, path: &Path) {
        let mut files = Vec::new();
        let below = path.join("dump");
        let mut result = self.list(path, &below, &mut files);
        if result.is_ok() && below.is_dir() {
            result = self.list(&below, &below, &mut files);
        }
        if let Err(error) = result {
            self.work.problems.push(format!("{}: {error}", path.display()));
        }
        files.sort();
        for (path, size) in files {
            self.file(&path, size);
        }
    }

    fn list(&mut self, path: &Path, below: &Path, files: &mut Vec<(PathBuf, u64)>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            let sort = sort(&name.to_string_lossy());
            match std::fs::metadata(&path) {
                Ok(found) if found.is_file() && sort == Sort::Backup => {
                    if path.is_symlink() {
                        self.links.push(path);
                    } else {
                        files.push((path, found.len()));
                    }
                }
                Ok(found) if found.is_dir() && path == below => self.name(&path, sort, found.file_type()),
                Ok(found) if found.is_dir() => match tree::kind(&path) {
                    // What links lead to is taken for what it is elsewhere.
                    Ok(Some(_)) if !path.is_symlink() => self.set(&path),
                    Ok(_) => {
                        self.work.passed.directories += 1;
                        self.name(&path, sort, found.file_type());
                    }
                    Err(error) => self.work.problems.push(format!("{}: {error}", path.display())),
                },
                Ok(found) => {
                    self.work.passed.files += usize::from(sort != Sort::Companion);
                    self.name(&path, sort, found.file_type());
                }
                Err(error) if sort == Sort::Backup => self.work.problems.push(format!("{}: {error}", path.display())),
                Err(_) => self.work.passed.files += usize::from(sort != Sort::Companion),
            }
        }
        Ok(())
    }

    /// Names what has the name of a backup and can't be one.
    fn name(&mut self, path: &Path, sort: Sort, kind: std::fs::FileType) {
        if sort == Sort::Backup && !kind.is_file() && self.work.passed.named.len() < NAMED {
            let path = printable(path.as_os_str().as_encoded_bytes());
            self.work.passed.named.push(format!("{path}: {}", files::words_of(kind)));
        }
    }

    /// Judges a link as its target, by both names where one of them asks for more. Checksum files beside both are compared
    /// whenever it is read by the link's name.
    fn link(&mut self, path: &Path) {
        let target = path.canonicalize().and_then(|target| Ok((std::fs::metadata(&target)?.len(), target)));
        let (size, target) = match target {
            Ok(target) => target,
            Err(error) => return self.work.problems.push(format!("{}: {error}", path.display())),
        };
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (own, its) = (name(path), name(&target));
        if sort(&its) == Sort::Backup && asks_for_more(&its, &own) {
            self.file(&target, size);
        }
        let beside = |(ending, _): (&str, Sidecar)| path.with_file_name(format!("{own}.{ending}")).exists();
        let new = self.seen.insert(target);
        if new || asks_for_more(&own, &its) || Sidecar::ENDINGS.into_iter().any(beside) {
            // Of `latest.vma.zst` the target tells which guest it is.
            let item = item_of(&own).or_else(|| item_of(&its));
            self.job(path, item, size);
        }
    }

    /// A directory that is one backup.
    fn set(&mut self, path: &Path) {
        // Its name may be `.` or that of a link.
        match path.canonicalize().and_then(|path| Ok((Tree::list(&path)?.facts().map_or(0, |it| it.size), path))) {
            Ok((size, path)) if path.file_name().is_some() => self.file(&path, size),
            Ok((_, path)) => self.work.problems.push(format!("{}: it has no name", path.display())),
            Err(error) => self.work.problems.push(format!("{}: {error}", path.display())),
        }
    }

    fn file(&mut self, path: &Path, size: u64) {
        if self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned())) {
            let item = path.file_name().and_then(|name| item_of(&name.to_string_lossy()));
            self.job(path, item, size);
        }
    }

    fn job(&mut self, path: &Path, item: Option<ItemId>, size: u64) {
        let Some((root, name)) = path.parent().zip(path.file_name()) else { return };
        let (Some(root), Some(name)) = (root.to_str(), name.to_str()) else {
            let text = format!("{}: its name is not UTF-8; rename it to have it verified", path.display());
            return self.work.problems.push(text);
        };
        let item = item.unwrap_or_else(|| ItemId::dump(name.into()));
        let source = "files".parse().expect("a fixed name that fits");
        let archive = ArchiveId { source, root: root.into(), file: name.into() };
        self.work.jobs.push((Job { archive, item, level: self.level }, size));
    }
}

/// The guest that a name tells.
fn item_of(name: &str) -> Option<ItemId> {
    match vzdump_name::parse(name.as_bytes()) {
        VzdumpName::Archive(run) => Some(run.item()),
        VzdumpName::Renamed(item) => Some(item),
        _ => None,
    }
}

/// Whether the name of a link says something of the content that the name of its target doesn't.
fn asks_for_more(link: &str, target: &str) -> bool {
    let (link, target) = (Shape::of_name(link), Shape::of_name(target));
    let less =
        link.structure == Structure::Tar { container: false } && matches!(target.structure, Structure::Tar { .. });
    link.container != target.container || (link.structure != target.structure && !less)
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
    if foreign_name::sort(name.as_bytes()).is_some() {
        return Sort::Other;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_of_a_directory() {
        for name in [
            "shop.sql.gz.gpg",
            "shop.sql.PGP",
            "shop.sql.gz.enc",
            "shop.sql.aes",
            "shop.pgdump",
            "all.mysql",
            "base.xbstream",
            "shop.dump",
            "vzdump-lxc-100-2026_11_25-01_00_00.tar.zst",
        ] {
            assert_eq!(sort(name), Sort::Backup, "{name}");
        }
        for name in ["shop.sql.gz.sha256", "shop.sqlite-wal", "run.log"] {
            assert_eq!(sort(name), Sort::Companion, "{name}");
        }
        // A signature beside a backup is none.
        for name in ["notes.txt", ".hidden.sql", "shop.sql.gz.asc", "shop.sql.gz.sig"] {
            assert_eq!(sort(name), Sort::Other, "{name}");
        }
    }
}
