//! Directories of database dumps or other files whose names carry what they are and when they were made.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::directory::{self, each_root, look_error};
use super::place::{Entry, Listed, Place, Places};
use super::tree::{self, Tree};
use crate::domain::attempt::{Attempt, Outcome, Partial, Sidecar};
use crate::domain::file::FileFacts;
use crate::domain::local_time::{When, Witness, not_after, resolve, resolve_day, resolve_time};
use crate::domain::look::estate::EstateLook;
use crate::domain::look::{Look, LookError, PlaceListing, PlaceLook, SourceSpec};
use crate::domain::printable::printable;
use crate::domain::rest::{of_directory, of_dump, of_dump_begun, of_whole_dump};
use crate::engine::ports::{Archives, Source};
use crate::formats::beside::{Beside, with_companions};
use crate::formats::dump_pattern::{DumpName, DumpPattern, NameTime};
use crate::formats::set::Marks;

/// A source of dump files.
pub struct DumpDir {
    spec: Arc<SourceSpec>,
    zone: TimeZone,
    patterns: Vec<DumpPattern>,
    archives: Arc<dyn Archives>,
    roots: Vec<(Box<dyn Place>, Seen)>,
}

/// What is remembered of a root between two scans.
#[derive(Default)]
struct Seen {
    sizes: HashMap<Box<str>, u64>,
    listing: Option<Arc<PlaceListing>>,
}

/// A file that a pattern fits, with its path below the root.
struct Dump {
    path: Box<str>,
    name: DumpName,
    entry: Entry,
    /// What names in it say, if it is a directory.
    marks: Option<Marks>,
}

impl DumpDir {
    /// A source over `places` in the order of the spec. The first pattern that fits a file decides.
    pub fn new(spec: Arc<SourceSpec>, places: Places, zone: TimeZone, patterns: Vec<DumpPattern>) -> Self {
        let roots = places.all.into_iter().map(|root| (root, Seen::default())).collect();
        Self { spec, zone, patterns, archives: places.archives, roots }
    }
}

impl Source for DumpDir {
    fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    fn archives(&self) -> Arc<dyn Archives> {
        self.archives.clone()
    }

    fn look(&mut self, now: Timestamp) -> Look {
        let (patterns, zone) = (&self.patterns, &self.zone);
        let places = each_root(&mut self.roots, |(root, seen)| {
            let listing = look_at(&**root, seen, patterns, zone, now);
            PlaceLook { capacity: listing.as_ref().ok().and_then(|_| root.capacity()), listing }
        });
        Look { places, estate: EstateLook::default() }
    }
}

fn look_at(
    root: &dyn Place,
    seen: &mut Seen,
    patterns: &[DumpPattern],
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Arc<PlaceListing>, LookError> {
    root.check()?;
    let depth = patterns.iter().map(DumpPattern::depth).max().unwrap_or(1);
    let mut listing = PlaceListing::default();
    let spelled = |name: &[u8]| patterns.iter().any(|pattern| pattern.spells(name));
    let Listed { entries, foreign, unreadable: unread } = root.list(depth, &spelled)?;
    let (mut dumps, mut others) = classify(root, entries, patterns, &mut listing);
    directories(&mut dumps, &mut others, &mut listing)?;
    let examined = directory::parallel(&dumps, |dump| facts_with_companions(dump, &others));
    let mut sizes = HashMap::with_capacity(dumps.len());
    for (dump, facts) in dumps.iter().zip(examined) {
        match facts {
            Ok(Some(facts)) => {
                let grew = seen.sizes.get(&dump.path).is_some_and(|size| *size != facts.size);
                sizes.insert(dump.path.clone(), facts.size);
                listing.attempts.push(attempt(dump, facts, grew, &others.sidecars, zone, now));
            }
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(look_error("examining", dump.entry.path(), &error));
            }
            Err(error) => {
                listing.could_not_examine(&printable(dump.path.as_bytes()), &error.to_string());
                listing.attempts.push(unreadable(dump, &error, zone, now));
            }
        }
    }
    Listed::count_left_out(foreign, &unread, &mut listing);
    listing.partials = others.unfinished.iter().filter_map(unfinished).collect();
    // It may have been unmounted meanwhile: an empty mount point lists well.
    root.check()?;
    seen.sizes = sizes;
    let listing = listing.or_same(seen.listing.take());
    seen.listing = Some(listing.clone());
    Ok(listing)
}

/// What isn't a dump and matters all the same.
#[derive(Default)]
struct Others {
    sidecars: HashSet<Box<str>>,
    unfinished: Vec<Entry>,
    /// Directories that a pattern fits.
    directories: Vec<(Box<str>, DumpName, Entry)>,
    /// Files that belong to a database, by its path.
    beside: HashMap<Box<str>, Vec<(Beside, Entry)>>,
}

/// Size and last write of a dump, with what belongs to it.
fn facts_with_companions(dump: &Dump, others: &Others) -> io::Result<Option<FileFacts>> {
    if dump.marks.is_some() {
        return Tree::list(dump.entry.path()).map(|tree| tree.facts());
    }
    let Some(file) = dump.entry.facts()? else { return Ok(None) };
    let mut beside = Vec::new();
    for (kind, entry) in others.beside.get(&dump.path).into_iter().flatten() {
        beside.extend(entry.facts()?.map(|facts| (*kind, facts)));
    }
    Ok(Some(with_companions(file, beside)))
}

fn classify(
    root: &dyn Place,
    entries: Vec<Entry>,
    patterns: &[DumpPattern],
    listing: &mut PlaceListing,
) -> (Vec<Dump>, Others) {
    let mut dumps = Vec::with_capacity(entries.len());
    let mut others = Others::default();
    for entry in entries {
        let directory = entry.is_dir();
        let relative = entry.below(root.path());
        let Some(path) = relative.to_str() else {
            if !directory {
                listing.pass_over(printable(relative.as_os_str().as_encoded_bytes()), "its name is not UTF-8");
            }
            continue;
        };
        let path: Box<str> = path.into();
        if directory {
            if let Some(name) = patterns.iter().find_map(|pattern| pattern.read(&path)) {
                others.directories.push((path, name, entry));
            }
            continue;
        }
        if !entry.is_file() {
            if patterns.iter().any(|pattern| pattern.read(&path).is_some()) {
                pass_over_special(&entry, &printable(path.as_bytes()), listing);
            }
        } else if sidecar_kind(&path).is_some() {
            others.sidecars.insert(path);
        } else if let Some((database, kind)) = Beside::of_name(&path) {
            others.beside.entry(database.into()).or_default().push((kind, entry));
        } else if let Some(name) = patterns.iter().find_map(|pattern| pattern.read(&path)) {
            dumps.push(Dump { path, name, entry, marks: None });
        } else if patterns.iter().any(|pattern| pattern.is_unfinished(&path)) {
            others.unfinished.push(entry);
        } else if patterns.iter().any(|pattern| pattern.almost_reads(&path)) {
            let why = "fits a pattern, but its time or name can't be used";
            listing.pass_over(printable(path.as_bytes()), why);
        }
    }
    let known: HashSet<&str> = dumps.iter().map(|dump| &*dump.path).collect();
    let alone: Vec<Box<str>> = others.beside.keys().filter(|database| !known.contains(&***database)).cloned().collect();
    for (database, (kind, entry)) in
        alone.iter().flat_map(|it| others.beside.remove(it).into_iter().flatten().map(move |found| (it, found)))
    {
        // Only its name is that of a log.
        let path: Box<str> = format!("{database}{}", kind.ending()).into();
        if let Some(name) = patterns.iter().find_map(|pattern| pattern.read(&path)) {
            dumps.push(Dump { path, name, entry, marks: None });
        }
    }
    (dumps, others)
}

/// Directories that are one backup each. What lies in them is none of its own.
fn directories(dumps: &mut Vec<Dump>, others: &mut Others, listing: &mut PlaceListing) -> Result<(), LookError> {
    let mut found: Vec<Dump> = Vec::new();
    for (path, name, entry) in std::mem::take(&mut others.directories) {
        let marks = match tree::marks(entry.path()) {
            Ok(marks) => marks,
            Err(error) => return Err(look_error("reading", entry.path(), &error)),
        };
        match marks {
            Some(marks) if marks.kind().is_some() => found.push(Dump { path, name, entry, marks: Some(marks) }),
            Some(_) => {
                listing.pass_over(printable(path.as_bytes()), "is a directory, and no kind of backup that is known")
            }
            None => {}
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let mut below: Vec<String> = found.iter().map(|it| format!("{}/", it.path)).collect();
    below.sort_unstable();
    // One within another is a part of it.
    below.dedup_by(|inner, outer| inner.starts_with(&**outer));
    let is_below = |path: &str| {
        let at = below.partition_point(|directory| **directory <= *path);
        at > 0 && path.starts_with(&*below[at - 1])
    };
    dumps.retain(|dump| !is_below(&dump.path));
    found.retain(|dump| !is_below(&dump.path));
    dumps.append(&mut found);
    Ok(())
}

/// A link such as `latest.sql.gz` would count a dump twice; of one that leads nowhere nobody knows what it stands for.
fn pass_over_special(entry: &Entry, path: &str, listing: &mut PlaceListing) {
    match entry.special() {
        Ok(what) => listing.pass_over(path.to_owned(), what.unwrap_or("is a link; only regular files count")),
        Err(error) => listing.could_not_examine(path, &error.to_string()),
    }
}

fn sidecar_kind(path: &str) -> Option<Sidecar> {
    Sidecar::of_ending(path.rsplit_once('.')?.1)
}

fn attempt(
    dump: &Dump,
    facts: FileFacts,
    grew: bool,
    sidecars: &HashSet<Box<str>>,
    zone: &TimeZone,
    now: Timestamp,
) -> Attempt {
    let beside = |ending: &str| sidecars.contains(format!("{}.{ending}", dump.path).as_str());
    let sidecar = Sidecar::ENDINGS.into_iter().find(|(ending, _)| beside(ending)).map(|(_, kind)| kind);
    let started = started(dump.name.time, facts, zone, now);
    let outcome = match dump.marks {
        Some(marks) => of_dump_begun(started, of_directory(facts, grew, marks.ended(), now)),
        None if dump.entry.is_whole() => of_whole_dump(&dump.path, facts),
        None => of_dump_begun(started, of_dump(&dump.path, facts, grew, sidecar, now)),
    };
    let file = printable(dump.path.as_bytes()).into();
    Attempt { sidecar, ..Attempt::new(dump.name.item.clone(), started, outcome, file).with_facts(facts) }
}

/// A dump that is there and can't be examined: no proof of a backup, and not to be overlooked.
fn unreadable(dump: &Dump, error: &io::Error, zone: &TimeZone, now: Timestamp) -> Attempt {
    let nothing = FileFacts::new(0, Timestamp::MAX);
    let reason = format!("the file can't be examined: {error}");
    Attempt {
        outcome: Outcome::Failed { reason: reason.into() },
        modified: None,
        changed: None,
        ..attempt(dump, nothing, false, &HashSet::new(), zone, now)
    }
}

fn started(time: NameTime, facts: FileFacts, zone: &TimeZone, now: Timestamp) -> When {
    match time {
        NameTime::Absolute(time) => resolve_time(time, Some(facts.modified), now),
        NameTime::Local(local) => resolve(local, zone, Witness { modified: Some(facts.modified), duration: None }, now),
        NameTime::Day(day) => resolve_day(day, zone, facts.modified, now),
        NameTime::None => not_after(facts.modified, now),
    }
}

fn unfinished(entry: &Entry) -> Option<Partial> {
    let facts = entry.facts().ok()??;
    let file = printable(entry.file_name().as_encoded_bytes()).into();
    Some(Partial { file, last_write: facts.modified, size: facts.size })
}

#[cfg(test)]
mod tests;
