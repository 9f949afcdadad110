//! From the names in a vzdump directory to attempts: groups the files of each run, examines them, reads new logs.
//!
//! A log is read once. What was read is remembered with the size and times of the file, so a scan that finds
//! nothing new costs a `stat` per file and no `open`.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::adapters::directories::directory::{self, look_error};
use crate::adapters::directories::files::{self, facts};
use crate::adapters::directories::place::{Entry, Place};
use crate::domain::attempt::{Attempt, Outcome, Partial, Sidecar};
use crate::domain::file::FileFacts;
use crate::domain::local_time::When;
use crate::domain::look::{LookError, PlaceListing};
use crate::domain::printable::printable;
use crate::domain::run::{ArchiveFacts, LogFacts, Run, RunName, attempts};
use crate::domain::run_log::RunLog;
use crate::formats::vzdump_log;
use crate::formats::vzdump_name::{self, Extension, VzdumpName};

/// No more of the notes is kept than this many bytes.
const MAX_NOTE: u64 = 512;

/// No more entries of a work directory are examined.
const MAX_WORK_FILES: usize = 100;

/// What earlier scans read, by run.
pub(super) type Memory = Vec<(RunName, Remembered)>;

/// A text that was read, and the file as it was then.
type Read<T> = Option<(FileFacts, T)>;

#[derive(Debug, Clone, Default)]
pub(super) struct Remembered {
    log: Read<Arc<RunLog>>,
    note: Read<Option<Arc<str>>>,
}

/// The part that a file plays in its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Archive(Extension),
    Log,
    Notes(Extension),
    Protected(Extension),
    Checksum(Extension, Sidecar),
    Temporary,
    Copying,
}

type Found = (RunName, Part, Entry);

/// What the examination of one run found.
#[derive(Default)]
struct Examined {
    attempts: Vec<Attempt>,
    partials: Vec<Partial>,
    remembered: Remembered,
    /// Files that could not be examined, each with the reason.
    unread: Vec<(Box<str>, String)>,
}

/// Examines all entries of a root. Fails when files can be listed but not examined.
pub(super) fn examine(
    root: &dyn Place,
    entries: Vec<Entry>,
    memory: &Memory,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<(PlaceListing, Memory), LookError> {
    let mut listing = PlaceListing::default();
    let mut found = classify(entries, &mut listing);
    found.sort_unstable_by_key(|a| (a.0, a.1));
    let runs: Vec<&[Found]> = found.chunk_by(|a, b| a.0 == b.0).collect();
    let examined = directory::parallel(&runs, |files| {
        let before = memory.binary_search_by_key(&files[0].0, |(run, _)| *run).ok().map(|index| &memory[index].1);
        examine_run(files, before, zone, now)
    });
    let mut remembered = Memory::with_capacity(runs.len());
    for (files, examined) in runs.iter().zip(examined) {
        let examined = examined.map_err(|error| look_error("examining the files of", root.path(), &error))?;
        listing.attempts.extend(examined.attempts);
        listing.partials.extend(examined.partials);
        examined.unread.iter().for_each(|(name, why)| listing.could_not_examine(name, why));
        remembered.push((files[0].0, examined.remembered));
    }
    Ok((listing, remembered))
}

fn classify(entries: Vec<Entry>, listing: &mut PlaceListing) -> Vec<Found> {
    let mut found = Vec::with_capacity(entries.len());
    for entry in entries {
        let name = entry.file_name().as_encoded_bytes();
        match vzdump_name::parse(name) {
            VzdumpName::Archive(_) | VzdumpName::Renamed(_) if let Ok(Some(what)) = entry.special() => {
                listing.pass_over(printable(name), what);
            }
            VzdumpName::Archive(run) => {
                if let Some(extension) = vzdump_name::extension(name) {
                    found.push((run, Part::Archive(extension), entry));
                }
            }
            VzdumpName::Checksum(run, extension, kind) => found.push((run, Part::Checksum(extension, kind), entry)),
            VzdumpName::Log(run) => found.push((run, Part::Log, entry)),
            VzdumpName::Notes(run, extension) => found.push((run, Part::Notes(extension), entry)),
            VzdumpName::Protected(run, extension) => found.push((run, Part::Protected(extension), entry)),
            VzdumpName::Temporary(run) => found.push((run, Part::Temporary, entry)),
            VzdumpName::Copying(run) => found.push((run, Part::Copying, entry)),
            VzdumpName::Renamed(item) => match entry.special().and_then(|_| entry.facts()) {
                Ok(Some(facts)) => listing.attempts.push(renamed(item, name, facts)),
                Ok(None) => {}
                Err(error) => listing.could_not_examine(&printable(name), &error.to_string()),
            },
            VzdumpName::LookAlike => listing.pass_over(printable(name), "begins like a vzdump file and is none"),
            VzdumpName::Other => {}
        }
    }
    found
}

fn renamed(item: crate::domain::ids::ItemId, name: &[u8], facts: FileFacts) -> Attempt {
    // The time is never used: a renamed copy has none.
    Attempt::new(item, When::Future, Outcome::Renamed, printable(name).into()).with_facts(facts)
}

fn examine_run(files: &[Found], before: Option<&Remembered>, zone: &TimeZone, now: Timestamp) -> io::Result<Examined> {
    let mut examined = Examined::default();
    let mut run = Run { name: files[0].0, archives: Vec::new(), log: ("".into(), LogFacts::Absent), unfinished: None };
    for (_, part, entry) in files {
        match part {
            Part::Archive(_) => add_archive(&mut run, &mut examined, entry)?,
            Part::Log => {
                run.log = (name_of(entry), LogFacts::Absent);
                run.log.1 = read_log(entry, run.name.vmid, before, &mut examined)?;
            }
            Part::Notes(extension) => {
                let note = read_note(entry, before, &mut examined)?;
                each_archive(&mut run, *extension, |archive| archive.note.clone_from(&note));
            }
            Part::Protected(extension) => each_archive(&mut run, *extension, |archive| archive.protected = true),
            Part::Checksum(extension, kind) => each_archive(&mut run, *extension, |archive| {
                // The stronger one, where there are several.
                archive.sidecar = archive.sidecar.max(Some(*kind));
            }),
            Part::Temporary | Part::Copying => {
                let Ok(Some(partial)) = tolerate(examine_temporary(entry), entry, &mut examined)? else { continue };
                let younger = run.unfinished.as_ref().is_none_or(|(_, time)| *time < partial.last_write);
                if *part == Part::Temporary && younger {
                    run.unfinished = Some((partial.file.clone(), partial.last_write));
                }
                examined.partials.push(partial);
            }
        }
    }
    // Side files alone, such as the notes of an archive that was pruned by hand, or files that vanished meanwhile.
    let is_run = !run.archives.is_empty() || run.unfinished.is_some() || !matches!(run.log.1, LogFacts::Absent);
    if is_run {
        examined.attempts = attempts(run, zone, now);
    }
    Ok(examined)
}

fn name_of(entry: &Entry) -> Box<str> {
    printable(entry.file_name().as_encoded_bytes()).into()
}

/// A single file that can't be examined doesn't blind the whole root; a missing permission concerns all of it.
fn tolerate<T>(
    result: io::Result<Option<T>>,
    entry: &Entry,
    examined: &mut Examined,
) -> io::Result<Result<Option<T>, Box<str>>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Err(error) => {
            examined.unread.push((name_of(entry), error.to_string()));
            Ok(Err(error.to_string().into()))
        }
    }
}

fn add_archive(run: &mut Run, examined: &mut Examined, entry: &Entry) -> io::Result<()> {
    // A link that leads nowhere can't be told from an archive on a disk that isn't mounted.
    let facts = match tolerate(entry.special().and_then(|_| entry.facts()), entry, examined)? {
        Ok(Some(facts)) => Ok(facts),
        Ok(None) => return Ok(()),
        Err(why) => Err(why),
    };
    let (file, whole) = (name_of(entry), entry.is_whole());
    run.archives.push(ArchiveFacts { file, facts, whole, protected: false, note: None, sidecar: None });
    Ok(())
}

fn each_archive(run: &mut Run, extension: Extension, change: impl Fn(&mut ArchiveFacts)) {
    let of_extension = |archive: &&mut ArchiveFacts| vzdump_name::extension(archive.file.as_bytes()) == Some(extension);
    run.archives.iter_mut().filter(of_extension).for_each(change);
}

fn read_log(entry: &Entry, vmid: u32, before: Option<&Remembered>, examined: &mut Examined) -> io::Result<LogFacts> {
    let facts = match tolerate(entry.facts(), entry, examined)? {
        Ok(Some(facts)) => facts,
        Ok(None) => return Ok(LogFacts::Absent),
        Err(why) => return Ok(LogFacts::Unreadable(why)),
    };
    if let Some((then, log)) = before.and_then(|before| before.log.as_ref()).filter(|(then, _)| *then == facts) {
        examined.remembered.log = Some((*then, log.clone()));
        return Ok(LogFacts::Read(log.clone(), facts.modified));
    }
    let text = entry.read_capped(facts.size, vzdump_log::HEAD_BYTES, vzdump_log::MAX_BYTES);
    match text {
        Ok(text) => {
            let log = Arc::new(vzdump_log::parse(&text, vmid));
            examined.remembered.log = Some((facts, log.clone()));
            Ok(LogFacts::Read(log, facts.modified))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LogFacts::Absent),
        Err(error) => {
            examined.unread.push((name_of(entry), error.to_string()));
            Ok(LogFacts::Unreadable(error.to_string().into()))
        }
    }
}

fn read_note(entry: &Entry, before: Option<&Remembered>, examined: &mut Examined) -> io::Result<Option<Arc<str>>> {
    let Ok(Some(facts)) = tolerate(entry.facts(), entry, examined)? else { return Ok(None) };
    let known = before.and_then(|before| before.note.as_ref()).filter(|(then, _)| *then == facts);
    let note = match known {
        Some((_, note)) => note.clone(),
        // Notes are a convenience: without them nothing is judged differently.
        None => entry.read_capped(facts.size, MAX_NOTE / 2, MAX_NOTE).ok().map(|text| note_of(&text)),
    };
    examined.remembered.note = Some((facts, note.clone()));
    Ok(note)
}

/// The text without the blank end that editors leave.
fn note_of(text: &[u8]) -> Arc<str> {
    printable(text.trim_ascii()).into()
}

/// A temporary file, or a work directory with the files in it. `None` when it is gone by now.
fn examine_temporary(entry: &Entry) -> io::Result<Option<Partial>> {
    if let Entry::Object(object) = entry {
        let facts = object.facts;
        return Ok(Some(Partial { file: name_of(entry), last_write: facts.modified, size: facts.size }));
    }
    let metadata = match fs::symlink_metadata(entry.path()) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let own = files::facts_of(&metadata);
    let mut partial =
        Partial { file: name_of(entry), last_write: own.modified, size: if metadata.is_dir() { 0 } else { own.size } };
    if metadata.is_dir() {
        let inside: Vec<PathBuf> = fs::read_dir(entry.path())
            .map(|inside| inside.flatten().take(MAX_WORK_FILES).map(|entry| entry.path()).collect())
            .unwrap_or_default();
        for file in inside {
            if let Ok(Some(facts)) = facts(&file) {
                partial.last_write = partial.last_write.max(facts.modified);
                partial.size = partial.size.saturating_add(facts.size);
            }
        }
    }
    Ok(Some(partial))
}
