//! `pg_basebackup`: a data directory, or tar files of it, with a manifest.
//!
//! What `pg_verifybackup` refuses is damage, but for files that are in no manifest: a note of the operator beside a
//! backup doesn't hinder a restore, so they are a warning. The write-ahead log is not in the manifest: that its files are
//! all there and whole is checked, not what is in them.
//!
//! Source: PostgreSQL `src/bin/pg_verifybackup/pg_verifybackup.c`.

use super::Set;
use super::manifest::{LONGEST, Manifest, Range, Sum};
use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;
use crate::domain::proof::Level;
use crate::formats::shape::Container;
use crate::formats::stream::{Stop, Stream, read_full};
use crate::formats::tar::{self, Watch};

const MANIFEST: &str = "backup_manifest";

/// What `pg_verifybackup` passes over, with what is below.
const IGNORED: [&[u8]; 5] =
    [b"backup_manifest", b"pg_wal", b"postgresql.auto.conf", b"recovery.signal", b"standby.signal"];

/// So many links are remembered: a cluster has few tablespaces.
const MOST_LINKS: usize = 1000;

/// So many files are said by name.
const SAID: u64 = 5;

pub(super) fn check(set: &mut Set<'_>) -> Result<(), Stop> {
    let plain = set.find("PG_VERSION").is_some();
    set.evidence.format = Some(if plain { "pg_basebackup" } else { "pg_basebackup-tar" }.into());
    let Some(index) = set.find(MANIFEST) else { return Ok(()) };
    let text = set.look_through(index, Container::Plain, |stream, _| {
        let mut text = vec![0; LONGEST + 1];
        let filled = read_full(stream, &mut text)?;
        text.truncate(filled);
        if filled > LONGEST { Err(Stop::Limit("the manifest is too long".to_owned())) } else { Ok(text) }
    })?;
    let Some(text) = text else { return Ok(()) };
    let manifest = match Manifest::parse(&text) {
        Ok(manifest) => manifest,
        Err(Stop::Damaged(finding)) => {
            let text = format_args!("backup_manifest: {}", finding.text);
            set.findings.say(finding.kind, text);
            return Ok(());
        }
        Err(stop) => return Err(stop),
    };
    drop(text);
    let mut backup = Backup { manifest, wal: Wal::default(), told: Told::default() };
    if plain {
        backup.plain(set)?
    } else {
        backup.archives(set)?
    }
    backup.finish(set);
    Ok(())
}

fn is_ignored(path: &[u8]) -> bool {
    IGNORED.iter().any(|it| path.strip_prefix(*it).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")))
}

struct Backup {
    manifest: Manifest,
    wal: Wal,
    told: Told,
}

/// How often which thing was found.
#[derive(Default)]
struct Told {
    wrong: u64,
    extra: u64,
    first_extra: String,
    /// Links that were not followed.
    links: Vec<Box<str>>,
    opaque: bool,
}

impl Backup {
    fn plain(&mut self, set: &mut Set<'_>) -> Result<(), Stop> {
        for index in 0..set.files.members().len() {
            let member = set.files.members()[index].clone();
            let path = member.name.as_bytes();
            let Some(size) = member.size else {
                if self.told.links.len() < MOST_LINKS {
                    self.told.links.push(member.name.clone());
                }
                continue;
            };
            if let Some(name) = path.strip_prefix(b"pg_wal/") {
                self.wal.see(name, size);
            }
            let sum = match self.manifest.find(path) {
                Some(file) => file.sum(),
                None if is_ignored(path) => continue,
                None => {
                    self.told.extra(path);
                    continue;
                }
            };
            let sum = set.look_through(index, Container::Plain, |stream, _| read(stream, sum))?;
            if let Some(sum) = sum {
                self.settle(path, size, sum, &mut set.findings);
            }
        }
        Ok(())
    }

    fn archives(&mut self, set: &mut Set<'_>) -> Result<(), Stop> {
        for index in 0..set.files.members().len() {
            let name = set.name(index);
            let Some(prefix) = prefix(&name) else {
                if !is_ignored(name.as_bytes()) {
                    self.told.extra(name.as_bytes());
                }
                continue;
            };
            let before = set.findings.damaged();
            let walked = set.look(index, |stream, findings| {
                let mut own = Findings::default();
                let mut member =
                    Member { backup: self, prefix: &prefix, path: Vec::new(), bytes: 0, sum: Sum::None, findings };
                let walked = tar::check_watched(stream, false, Some(&mut member), &mut own);
                own.into_vec().into_iter().for_each(|finding| member.findings.add(finding));
                walked
            })?;
            self.told.opaque |= walked.is_none() && !before && !set.findings.damaged();
        }
        if set.find("base.tar").is_none() && !set.files.members().iter().any(|it| it.name.starts_with("base.tar.")) {
            set.findings.say(Kind::MemberMissing, "base.tar, the data directory, is not there");
        }
        Ok(())
    }

    /// A file was read to its end.
    fn settle(&mut self, path: &[u8], size: u64, sum: Sum, findings: &mut Findings) {
        let Some(file) = self.manifest.find(path) else { return };
        file.seen = true;
        let (wanted, right) = (file.size, file.is_right(sum));
        if is_ignored(path) || (wanted == size && right) {
            return;
        }
        self.told.wrong += 1;
        if self.told.wrong > SAID {
            return;
        }
        let shown = printable(path);
        if wanted == size {
            let text = format_args!("{shown} has not the content that its sum in backup_manifest is of");
            findings.say(Kind::SidecarMismatch, text);
        } else {
            let text = format_args!("{shown} has {size} bytes, and {wanted} by backup_manifest");
            findings.say(Kind::SidecarMismatch, text);
        }
    }

    fn finish(mut self, set: &mut Set<'_>) {
        if self.told.opaque {
            set.findings
                .say(Kind::NoEndKnown, "an archive of the backup is not decompressed here: its files were not checked");
            return;
        }
        self.missing(set);
        let findings = &mut set.findings;
        if self.told.wrong > SAID {
            findings.say(
                Kind::SidecarMismatch,
                format_args!("{} files in all differ from backup_manifest", self.told.wrong),
            );
        }
        if self.told.extra > 0 {
            let (count, first) = (self.told.extra, &self.told.first_extra);
            let text =
                format_args!("{count} files are not in backup_manifest, such as {first}: pg_verifybackup refuses them");
            findings.say(Kind::ExtraFile, text);
        }
        if self.manifest.without_sum > 0 {
            let text = format_args!(
                "{} files have no sum in backup_manifest: only their sizes were checked",
                self.manifest.without_sum
            );
            findings.say(Kind::NoChecksum, text);
        }
        let ranges = std::mem::take(&mut self.manifest.ranges);
        let linked = self.told.links.iter().any(|link| &**link == "pg_wal");
        if linked || !self.wal.judge(&ranges, findings) {
            set.only(Level::Decodes);
            let where_else = if linked {
                "pg_wal is a link, which is not followed"
            } else {
                "no write-ahead log is in it (-X none)"
            };
            let text = format_args!("{where_else}: a restore needs it from elsewhere");
            set.findings.say(Kind::CompanionMissing, text);
        }
    }

    fn missing(&self, set: &mut Set<'_>) {
        let below = |path: &[u8], link: &str| path.strip_prefix(link.as_bytes()).is_some_and(|it| it.starts_with(b"/"));
        // What is there and not seen is damaged, which was said already.
        let there = |path: &[u8]| std::str::from_utf8(path).is_ok_and(|path| set.find(path).is_some());
        let unseen = self.manifest.files.iter().filter(|file| !file.seen && !is_ignored(&file.path));
        let missing: Vec<_> = unseen.filter(|file| !there(&file.path)).collect();
        let (mut count, mut first, mut linked) = (0_u64, None, 0_u64);
        for file in missing {
            if self.told.links.iter().any(|link| below(&file.path, link)) {
                linked += 1;
            } else {
                count += 1;
                first = first.or(Some(printable(&file.path)));
            }
        }
        if let Some(first) = first {
            let text = format_args!("{count} files of backup_manifest are not there, such as {first}");
            set.findings.say(Kind::MemberMissing, text);
        }
        if linked > 0 {
            set.only(Level::Decodes);
            let text = format_args!("{linked} files lie behind links, which are not followed: tablespaces elsewhere");
            set.findings.say(Kind::CompanionMissing, text);
        }
    }
}

impl Told {
    fn extra(&mut self, path: &[u8]) {
        if self.extra == 0 {
            self.first_extra = printable(path);
        }
        self.extra += 1;
    }
}

/// Where the members of a tar file are by the manifest; `None` if it is none of a backup.
fn prefix(name: &str) -> Option<Vec<u8>> {
    let (stem, ending) = name.split_once(".tar")?;
    if !matches!(ending, "" | ".gz" | ".lz4" | ".zst") {
        return None;
    }
    match stem {
        "base" => Some(Vec::new()),
        "pg_wal" => Some(b"pg_wal/".to_vec()),
        _ if !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(format!("pg_tblspc/{stem}/").into_bytes())
        }
        _ => None,
    }
}

fn read(stream: &mut dyn Stream, mut sum: Sum) -> Result<Sum, Stop> {
    loop {
        let chunk = stream.chunk()?;
        if chunk.is_empty() {
            return Ok(sum);
        }
        sum.update(chunk);
        let count = chunk.len();
        stream.consume(count);
    }
}

/// A member of a tar file.
struct Member<'a> {
    backup: &'a mut Backup,
    prefix: &'a [u8],
    path: Vec<u8>,
    bytes: u64,
    sum: Sum,
    findings: &'a mut Findings,
}

impl Watch for Member<'_> {
    fn begin(&mut self, name: &[u8], bytes: u64) {
        self.path.clear();
        self.path.extend_from_slice(self.prefix);
        self.path.extend_from_slice(name.strip_prefix(b"./").unwrap_or(name));
        self.bytes = bytes;
        if let Some(name) = self.path.strip_prefix(b"pg_wal/") {
            self.backup.wal.see(name, bytes);
        }
        self.sum = match self.backup.manifest.find(&self.path) {
            Some(file) => file.sum(),
            None => {
                if !is_ignored(&self.path) {
                    self.backup.told.extra(&self.path);
                }
                Sum::None
            }
        };
    }

    fn content(&mut self, bytes: &[u8]) {
        self.sum.update(bytes);
    }

    fn end(&mut self) {
        let sum = std::mem::replace(&mut self.sum, Sum::None);
        let Self { backup, path, bytes, findings, .. } = self;
        backup.settle(path, *bytes, sum, findings);
    }
}

/// Files of the write-ahead log.
#[derive(Default)]
struct Wal {
    /// Timeline, and the other two numbers of the name.
    segments: Vec<(u32, u64)>,
    size: u64,
    uneven: bool,
}

impl Wal {
    fn see(&mut self, name: &[u8], size: u64) {
        let digits = std::str::from_utf8(name).ok().filter(|it| it.len() == 24);
        let part = |from: usize| digits.and_then(|it| u32::from_str_radix(it.get(from..from + 8)?, 16).ok());
        let (Some(timeline), Some(high), Some(low)) = (part(0), part(8), part(16)) else { return };
        self.uneven |= self.size != 0 && self.size != size;
        self.size = self.size.max(size);
        self.segments.push((timeline, u64::from(high) << 32 | u64::from(low)));
    }

    /// Says what is missing; `false` if there is no log at all.
    fn judge(&mut self, ranges: &[Range], findings: &mut Findings) -> bool {
        if self.segments.is_empty() {
            return ranges.is_empty();
        }
        if !self.size.is_power_of_two() || !(1 << 20..=1 << 30).contains(&self.size) || self.uneven {
            findings
                .say(Kind::Truncated, "files of the write-ahead log in pg_wal are not of one size, as they must be");
            return true;
        }
        self.segments.sort_unstable();
        for range in ranges {
            let (first, last) = (range.start / self.size, range.end.saturating_sub(1).max(range.start) / self.size);
            for segment in first..=last.min(first + 100_000) {
                let per = (1 << 32) / self.size;
                let number = (segment / per) << 32 | (segment % per);
                if self.segments.binary_search(&(range.timeline, number)).is_err() {
                    let (high, low) = (number >> 32, number & 0xffff_ffff);
                    let text = format_args!(
                        "the write-ahead log {:08X}{high:08X}{low:08X} is not there, without which the backup can't be made consistent",
                        range.timeline
                    );
                    findings.say(Kind::MemberMissing, text);
                    break;
                }
            }
        }
        true
    }
}
