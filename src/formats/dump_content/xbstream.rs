//! Streams of Percona XtraBackup and mariabackup (`--stream=xbstream`): pieces of files, in any order of files.
//!
//! ```text
//! { "XBSTCK01" │ flags 1 │ type 1 │ length of path 4 │ path
//!   │ type P: length 8 │ offset 8 │ CRC-32 4 │ bytes
//!   │ type E: nothing, the file ends }…
//! ```
//! Numbers are little-endian. There is no mark at the end of a stream: that it is whole follows from the end of each file,
//! and from the files that are written last. XtraBackup 8 has pieces with holes (type S), which are not followed here.
//!
//! Sources: Percona XtraBackup `xbstream.h`, `xbstream_read.cc`; MariaDB `extra/mariabackup/xbstream_read.cc`.

use std::collections::BTreeMap;

use flate2::Crc;

use super::{Fault, Source, Summary};
use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;
use crate::formats::stream::{Stop, Stream};

pub(super) const MAGIC: &[u8] = b"XBSTCK01";
pub(super) const FORMAT: &str = "xbstream";

/// `FN_REFLEN`.
const LONGEST_PATH: u32 = 512;

/// Most files.
const MOST: usize = 100_000;

/// A piece with holes.
const SPARSE: u8 = b'S';

/// Chunks of a kind that isn't known may be passed over.
const IGNORABLE: u8 = 1;

/// What is written when all data is there, by MySQL's and MariaDB's programs; one of each pair.
const LAST: [[&[u8]; 2]; 2] =
    [[b"xtrabackup_checkpoints", b"mariadb_backup_checkpoints"], [b"xtrabackup_info", b"mariadb_backup_info"]];

/// What was seen of a file.
#[derive(Clone, Copy)]
struct File {
    /// Bytes so far.
    bytes: u64,
    ended: bool,
}

pub(super) fn check<S: Stream + ?Sized>(
    source: &mut Source<'_, S>,
    summary: &mut Summary,
    findings: &mut Findings,
) -> Result<(), Fault> {
    (summary.format, summary.end_known, summary.understood) = (FORMAT, true, true);
    let mut files: BTreeMap<Box<[u8]>, File> = BTreeMap::new();
    while !source.at_end()? {
        let at = source.position;
        if !chunk(source, &mut files)? {
            summary.end_known = false;
            let text = format_args!("a piece with holes at byte {at}: the stream was not checked from there on");
            findings.say(Kind::NoEndKnown, text);
            return Ok(());
        }
    }
    summary.members = Some(files.len() as u64);
    let mut open = files.iter().filter(|(_, file)| !file.ended);
    if let Some((path, _)) = open.next() {
        let count = 1 + open.count();
        let text = format_args!("{count} files of the stream have no end, such as {}", printable(path));
        return Err(Fault::wrong(Kind::Truncated, text));
    }
    for names in LAST {
        let there = |name: &[u8]| files.keys().any(|path| stem(path) == name);
        if !names.into_iter().any(there) {
            let text = format_args!(
                "{} is not there, which is written at the end: the run was interrupted",
                printable(names[0])
            );
            findings.say(Kind::DumpIncomplete, text);
        }
    }
    Ok(())
}

/// The name of a file without the endings of compression and encryption.
fn stem(path: &[u8]) -> &[u8] {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    name.split(|byte| *byte == b'.').next().unwrap_or(name)
}

fn wrong(text: impl std::fmt::Display) -> Fault {
    Fault::wrong(Kind::DumpStructure, text)
}

fn number<S: Stream + ?Sized>(source: &mut Source<'_, S>, size: usize) -> Result<u64, Fault> {
    let mut bytes = [0; 8];
    source.fill(&mut bytes[..size], "a chunk")?;
    Ok(u64::from_le_bytes(bytes))
}

/// Reads a chunk; `false` at one that is not followed.
fn chunk<S: Stream + ?Sized>(source: &mut Source<'_, S>, files: &mut BTreeMap<Box<[u8]>, File>) -> Result<bool, Fault> {
    let at = source.position;
    let mut head = [0; 10];
    source.fill(&mut head, "the head of a chunk")?;
    if head[..8] != *MAGIC {
        return Err(wrong(format_args!("no chunk begins at byte {at} of the stream")));
    }
    let [flags, kind] = [head[8], head[9]];
    let length = number(source, 4)?;
    if length >= u64::from(LONGEST_PATH) {
        return Err(wrong(format_args!("the chunk at byte {at} has a name of {length} bytes")));
    }
    let mut path = vec![0; length as usize];
    source.fill(&mut path, "the name of a chunk")?;
    if kind == SPARSE {
        return Ok(false);
    }
    if !matches!(kind, b'P' | b'E') {
        if flags & IGNORABLE == 0 {
            return Err(wrong(format_args!("the chunk at byte {at} is of an unknown kind {}", printable(&[kind]))));
        }
        return skipped(source).map(|()| true);
    }
    let count = files.len();
    let file = match files.get_mut(&*path) {
        Some(file) => file,
        None if count == MOST => {
            return Err(Fault::Stop(Stop::Limit(format!("the stream has more than {MOST} files"))));
        }
        None => files.entry(path.clone().into()).or_insert(File { bytes: 0, ended: false }),
    };
    let name = || printable(&path);
    if file.ended {
        return Err(wrong(format_args!("{} goes on at byte {at} after its end", name())));
    }
    if kind == b'E' {
        file.ended = true;
        return Ok(true);
    }
    let (length, offset) = (number(source, 8)?, number(source, 8)?);
    let sum = number(source, 4)?;
    if offset != file.bytes {
        let bytes = file.bytes;
        return Err(wrong(format_args!("a part of {} at byte {at} is from {offset} on, not from {bytes}", name())));
    }
    let mut crc = Crc::new();
    let mut left = length;
    while left > 0 {
        let chunk = source.chunk()?;
        let count = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if count == 0 {
            return Err(source.ends_in("a chunk"));
        }
        crc.update(&chunk[..count]);
        source.consume(count);
        left -= count as u64;
    }
    if u64::from(crc.sum()) != sum {
        let text = format_args!("a part of {} at byte {at} of the stream has not its checksum", name());
        return Err(Fault::wrong(Kind::ContainerChecksum, text));
    }
    file.bytes = file.bytes.saturating_add(length);
    source.landmark();
    Ok(true)
}

fn skipped<S: Stream + ?Sized>(source: &mut Source<'_, S>) -> Result<(), Fault> {
    let length = number(source, 8)?;
    source.skip(8 + 4 + length, "a chunk")
}
