//! Archives of tar: of containers by vzdump, and any other.
//!
//! The walk reads every header and skips what is between them. Sources: POSIX pax (ustar and extended headers), the
//! GNU tar manual ("Tar Internals"), and GNU tar's `list.c` where the two leave something open, because the restore of
//! Proxmox VE is GNU tar. Tar has no checksum of content: that is for the compressor around it.
//!
//! Not judged: what owners, modes and times say, where symbolic links lead, and content. Hard links, symbolic links, devices, directories and pipes have no content, whatever their size field says.

use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;
use crate::formats::container_config::{ContainerConfig, MAX_BYTES as MAX_CONFIG};
use crate::formats::stream::{Stop, Stream, drain, read_full, skip};

mod guest;
mod header;
mod mounts;
mod pax;
mod refused;
mod sparse;
#[cfg(test)]
mod tests;
mod watch;

pub use self::watch::{Content, Watch};
use guest::Guest;
use header::{BLOCK, Header};
use pax::{Broken, Extended};
use refused::Refused;
use sparse::{Lines, Map, Wrong};

/// So much is kept of a GNU long name. The rest of a longer one is skipped: no file system takes it anyway, which is
/// said of it as of all names beyond [`MAX_PATH`].
const MAX_NAME: usize = 64 << 10;

/// Content is skipped in such steps.
const STEP: u64 = 64 << 20;

/// Longest name that the kernel takes, with a NUL at its end.
const MAX_PATH: usize = 4096;

/// What was found in an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Members: files, directories, links and such.
    pub members: u64,
    /// Bytes of content that are stored, without padding.
    pub content_bytes: u64,
    /// The configuration of the container as it is in the archive, at most 1 MiB: `pct.conf`, or `vps.conf` of OpenVZ.
    pub config: Option<Vec<u8>>,
    /// What `pct.conf` says.
    pub guest: Option<ContainerConfig>,
}

/// Reads an archive to the end of the stream. `wants_guest_config` if it has to be one of a container.
///
/// What is wrong but doesn't hide what follows is added to `findings`; what does is [`Stop::Damaged`].
pub fn check(
    stream: &mut (impl Stream + ?Sized),
    wants_guest_config: bool,
    findings: &mut Findings,
) -> Result<Summary, Stop> {
    check_watched(stream, wants_guest_config, None, findings)
}

/// The same, with somebody who is shown the content of members.
pub fn check_watched<'a>(
    stream: &'a mut (impl Stream + ?Sized),
    wants_guest_config: bool,
    watch: Option<&'a mut (dyn Watch + 'a)>,
    findings: &'a mut Findings,
) -> Result<Summary, Stop> {
    let mut walk = Walk {
        stream,
        findings,
        watch,
        offset: 0,
        summary: Summary::default(),
        name: Vec::new(),
        long_name: None,
        long_link: None,
        refused: Refused::new(),
        extended: Extended::default(),
        globals: Extended::default(),
        records: Vec::new(),
        pending: false,
        strange_type: false,
        hostile: Hostile::default(),
        guest: wants_guest_config.then(Guest::default),
    };
    let ended = walk.run();
    let Walk { summary, hostile, refused, guest, findings, .. } = walk;
    hostile.report(findings);
    refused.report(findings);
    ended?;
    if let Some(guest) = guest {
        if summary.members > 0 {
            guest.finish(findings);
        }
        return Ok(Summary { config: guest.bytes, guest: guest.config, ..summary });
    }
    Ok(summary)
}

struct Walk<'a, S: ?Sized> {
    stream: &'a mut S,
    findings: &'a mut Findings,
    watch: Option<&'a mut (dyn Watch + 'a)>,
    /// Bytes consumed.
    offset: u64,
    summary: Summary,
    /// Name of the member. It and `records` are kept for their memory, so that a member allocates nothing.
    name: Vec<u8>,
    records: Vec<u8>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    refused: Refused,
    extended: Extended,
    globals: Extended,
    /// Whether headers were read that describe a member which has not come yet.
    pending: bool,
    strange_type: bool,
    hostile: Hostile,
    guest: Option<Guest>,
}

impl<S: Stream + ?Sized> Walk<'_, S> {
    fn run(&mut self) -> Result<(), Stop> {
        while let Some(header) = self.header()? {
            self.stream.landmark();
            match header.kind() {
                b'L' | b'K' => self.long_name(&header)?,
                b'x' | b'X' | b'g' => self.extended(&header)?,
                _ => self.member(&header)?,
            }
        }
        if self.pending {
            self.findings.say(Kind::TarExtended, "the last extended header describes a member that doesn't follow");
        }
        Ok(())
    }

    /// The next header; `None` after the end of the archive, where the stream is at its end too.
    fn header(&mut self) -> Result<Option<Header>, Stop> {
        let mut header = Header([0; BLOCK]);
        let at = self.offset;
        let count = self.read(&mut header.0)?;
        if count == 0 && at == 0 {
            self.findings.say(Kind::Empty, "there is nothing in the archive, not even its end marker");
            return Ok(None);
        }
        if count < BLOCK && header::is_zero(&header.0[..count]) {
            let cut = if count == 0 { "is missing" } else { "is cut" };
            self.no_end(cut, "the archive ends after a whole member, but nobody knows whether it was the last one");
            return Ok(None);
        }
        if count < BLOCK {
            let text = format_args!("the archive ends in the middle of a header, at byte {}", self.offset);
            return Err(Stop::damaged(Kind::Truncated, text));
        }
        if header.is_zero() {
            self.end_marker()?;
            return Ok(None);
        }
        if !header.checksum_fits() {
            let what = if at == 0 { "this is no tar archive, or its beginning is damaged: " } else { "" };
            let text = format_args!("{what}the checksum of the header at byte {at} is wrong{}", self.after());
            return Err(Stop::damaged(Kind::TarHeader, text));
        }
        Ok(Some(header))
    }

    /// After the first of the two zero blocks that end an archive.
    fn end_marker(&mut self) -> Result<(), Stop> {
        let mut second = Header([0; BLOCK]);
        let count = self.read(&mut second.0)?;
        if !header::is_zero(&second.0[..count]) {
            let what =
                if count == BLOCK && second.checksum_fits() { "members follow" } else { "something else follows" };
            let text = format_args!("{what} after one zero block: the restore stops there");
            self.no_end("is damaged", text);
            drain(self.stream)?;
            return Ok(());
        }
        if count < BLOCK {
            self.no_end("is cut", "one of its two zero blocks is not there");
            return Ok(());
        }
        if self.summary.members == 0 && self.guest.is_some() {
            self.findings.say(Kind::Empty, "the archive has an end marker, but no members");
        }
        self.trailing()
    }

    fn no_end(&mut self, how: &str, why: impl std::fmt::Display) {
        let text = format_args!("the end marker {how} at byte {}: {why}", self.offset);
        self.findings.say(Kind::TarEnd, text);
    }

    /// Tar fills its last record up with zero bytes; anything else is strange.
    fn trailing(&mut self) -> Result<(), Stop> {
        loop {
            let chunk = self.stream.chunk()?;
            if chunk.is_empty() {
                return Ok(());
            }
            let count = chunk.len();
            if header::is_zero(chunk) {
                self.stream.consume(count);
                self.offset = self.offset.saturating_add(count as u64);
                continue;
            }
            let zeros = chunk.iter().take_while(|byte| **byte == 0).count();
            let at = self.offset.saturating_add(zeros as u64);
            let bytes = drain(self.stream)?.saturating_sub(zeros as u64);
            let text =
                format_args!("{bytes} bytes follow the end of the archive, from byte {at}; the restore ignores them");
            self.findings.say(Kind::TrailingBytes, text);
            return Ok(());
        }
    }

    /// GNU's long names of the member that follows, and of what it links to.
    fn long_name(&mut self, header: &Header) -> Result<(), Stop> {
        let size = self.size_of(header)?;
        let kept = size.min(MAX_NAME as u64);
        let of_link = header.kind() == b'K';
        let mut name = if of_link { self.long_link.take() } else { self.long_name.take() }.unwrap_or_default();
        name.clear();
        name.resize(kept as usize, 0);
        let there = self.read(&mut name)? as u64;
        if there < kept {
            return Err(self.truncated_extended(there, size));
        }
        name.truncate(header::text(&name).len());
        self.skip_padded(size - kept, || format!("a long name of {size} bytes"))?;
        if of_link {
            self.long_link = Some(name);
        } else {
            self.long_name = Some(name);
        }
        self.pending = true;
        Ok(())
    }

    /// Extended headers, of the member that follows or of all that follow.
    fn extended(&mut self, header: &Header) -> Result<(), Stop> {
        let at = self.offset - BLOCK as u64;
        let size = self.size_of(header)?;
        if size > pax::MAX_BYTES {
            let most = pax::MAX_BYTES;
            return Err(Stop::Limit(format!(
                "the extended header at byte {at} has {size} bytes, {most} are read at most"
            )));
        }
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        records.resize(size as usize, 0);
        let there = self.read(&mut records)? as u64;
        if there < size {
            return Err(self.truncated_extended(there, size));
        }
        self.skip_padded(padding(size), || format!("an extended header of {size} bytes"))?;
        let global = header.kind() == b'g';
        let into = if global { &mut self.globals } else { &mut self.extended };
        if !global {
            into.clear();
            self.pending = true;
        }
        let parsed = into.parse(&records);
        self.records = records;
        parsed.map_err(|broken| match broken {
            Broken::Record(why) => {
                Stop::damaged(Kind::TarExtended, format_args!("the extended header at byte {at} is wrong: {why}"))
            }
            Broken::Map(Wrong(why)) => Stop::damaged(
                Kind::TarSparse,
                format_args!("the map of a sparse file in the extended header at byte {at} is wrong: {why}"),
            ),
        })
    }

    fn member(&mut self, header: &Header) -> Result<(), Stop> {
        let kind = header.kind();
        self.name_member(header);
        let size = match kind {
            // GNU tar doesn't even look at the size of hard links.
            b'1' => 0,
            b'2'..=b'6' => self.size_of(header).map(|_| 0)?,
            _ => {
                let own = self.size_of(header)?;
                self.extended.size.or(self.globals.size).unwrap_or(own)
            }
        };
        self.judge(kind);
        let long_link = self.long_link.take();
        let target = self.extended.link().or(long_link.as_deref()).or(self.globals.link()).unwrap_or(header.link());
        self.refused.judge(header, &self.name, target, size > 0);
        let (map, map_bytes) = self.map(header, size)?;
        let stored = size - map_bytes;
        self.summary.members += 1;
        self.summary.content_bytes = self.summary.content_bytes.saturating_add(stored);
        let directory = matches!(kind, b'5' | b'D') || self.name.ends_with(b"/");
        match self.guest.as_mut() {
            Some(guest) if guest.is_config(&self.name, directory) => self.config(kind, stored, map)?,
            Some(guest) => {
                guest.see(&self.name, directory);
                self.content(stored)?;
            }
            None if matches!(kind, b'0' | 0 | b'7') => self.shown(stored)?,
            None => self.content(stored)?,
        }
        self.extended.clear();
        self.pending = false;
        Ok(())
    }

    /// Which name counts: of the extended header, before GNU's long name, before the header.
    fn name_member(&mut self, header: &Header) {
        let long = self.long_name.take();
        if let Some(name) = self.extended.name().or(long.as_deref()).or(self.globals.name()) {
            self.name.clear();
            self.name.extend_from_slice(name);
        } else {
            header.name_into(&mut self.name);
        }
    }

    /// Looks at type and name.
    fn judge(&mut self, kind: u8) {
        match kind {
            // A label has a name that is no path.
            b'V' => return,
            0 | b'0'..=b'7' | b'S' | b'D' => {}
            b'M' => {
                let text = format_args!("{} begins in another volume: the restore refuses it", printable(&self.name));
                self.findings.say(Kind::TarHeader, text);
            }
            _ if self.strange_type => {}
            _ => {
                self.strange_type = true;
                let (name, kind) = (printable(&self.name), printable(&[kind]));
                let text = format_args!("{name} is of an unknown type ({kind}): the restore takes it for a file");
                self.findings.say(Kind::StrayEntry, text);
            }
        }
        self.hostile.judge(&self.name);
    }

    /// The map of a sparse member, checked, and how many bytes of its content are the map itself.
    fn map(&mut self, header: &Header, size: u64) -> Result<(Option<Map>, u64), Stop> {
        let (map, used, real) = match header.kind() {
            b'S' => {
                let (map, real) = self.old_map(header)?;
                (map, 0, real)
            }
            b'0' | 0 | b'7' => match (self.extended.major, self.extended.map()) {
                (0, None) => return Ok((None, 0)),
                (0, Some(map)) => (map, 0, self.extended.real),
                (1, _) => {
                    let (map, used) = self.map_before_data(size)?;
                    (map, used, self.extended.real)
                }
                (major, _) => {
                    let name = printable(&self.name);
                    return Err(Stop::Limit(format!("{name} is sparse in format {major}, which is not known here")));
                }
            },
            _ => return Ok((None, 0)),
        };
        if let Err(wrong) = map.fits(size - used, real) {
            self.findings.say(Kind::TarSparse, self.wrong_map(wrong));
        }
        Ok((Some(map), used))
    }

    fn old_map(&mut self, header: &Header) -> Result<(Map, Option<u64>), Stop> {
        let mut map = Map::default();
        let (mut more, real) = sparse::old_gnu(&header.0, &mut map).map_err(|wrong| self.bad_map(wrong))?;
        let mut block = [0; BLOCK];
        while more {
            let there = self.read(&mut block)?;
            if there < BLOCK {
                return Err(self.truncated("in the map of its pieces"));
            }
            more = sparse::old_gnu_extension(&block, &mut map).map_err(|wrong| self.bad_map(wrong))?;
        }
        Ok((map, real))
    }

    fn map_before_data(&mut self, size: u64) -> Result<(Map, u64), Stop> {
        let (mut map, mut lines) = (Map::default(), Lines::default());
        let mut block = [0; BLOCK];
        let mut used = 0;
        loop {
            if size - used < BLOCK as u64 {
                return Err(self.bad_map(Wrong("it is longer than what is stored")));
            }
            if self.read(&mut block)? < BLOCK {
                return Err(self.truncated("in the map of its pieces"));
            }
            used += BLOCK as u64;
            if lines.feed(&block, &mut map).map_err(|wrong| self.bad_map(wrong))? {
                return Ok((map, used));
            }
        }
    }

    fn wrong_map(&self, Wrong(why): Wrong) -> String {
        format!("the map of the sparse file {} is wrong: {why}", printable(&self.name))
    }

    fn bad_map(&self, wrong: Wrong) -> Stop {
        Stop::damaged(Kind::TarSparse, self.wrong_map(wrong))
    }

    /// Reads the configuration of the container, and what it says.
    fn config(&mut self, kind: u8, stored: u64, map: Option<Map>) -> Result<(), Stop> {
        let content = if !matches!(kind, b'0' | 0 | b'7' | b'S') {
            self.content(stored)?;
            Err("is no file")
        } else if stored > MAX_CONFIG {
            self.content(stored)?;
            Err("is larger than 1 MiB")
        } else {
            let mut bytes = vec![0; stored as usize];
            let there = self.read(&mut bytes)? as u64;
            if there < stored {
                return Err(self.cut_content(there, stored));
            }
            self.skip_content(padding(stored), stored, stored)?;
            match map {
                None => Ok(bytes),
                Some(map) => spread(&bytes, &map).ok_or("is stored in pieces that don't fit together"),
            }
        };
        if let Some(guest) = self.guest.as_mut() {
            guest.found(&self.name, content, self.findings);
        }
        Ok(())
    }

    /// The content of an ordinary file.
    fn shown(&mut self, stored: u64) -> Result<(), Stop> {
        let Some(watch) = self.watch.as_deref_mut() else { return self.content(stored) };
        let mut stream = &mut *self.stream;
        let mut content = Content { stream: &mut stream, left: stored };
        watch.member(&self.name, stored, &mut content)?;
        let read = stored - content.left;
        self.offset = self.offset.saturating_add(read);
        self.skip_content(stored - read + padding(stored), read, stored)
    }

    fn content(&mut self, stored: u64) -> Result<(), Stop> {
        self.skip_content(stored + padding(stored), 0, stored)
    }

    /// Skips the rest of the content of a member, of which so much is read already.
    fn skip_content(&mut self, count: u64, read: u64, stored: u64) -> Result<(), Stop> {
        // The header said how much there is: a disk of zeros is content, too.
        let mut there = 0;
        while there < count {
            let step = skip(self.stream, (count - there).min(STEP))?;
            self.stream.landmark();
            there += step;
            if step == 0 {
                break;
            }
        }
        self.offset = self.offset.saturating_add(there);
        if there < count { Err(self.cut_content(read + there, stored)) } else { Ok(()) }
    }

    /// Skips so much of an extended header, and to the end of its last block.
    fn skip_padded(&mut self, size: u64, what: impl Fn() -> String) -> Result<(), Stop> {
        let count = size.saturating_add(padding(self.offset.saturating_add(size)));
        let there = skip(self.stream, count)?;
        self.offset = self.offset.saturating_add(there);
        if there < count {
            let text = format_args!("the archive ends at byte {}, in the middle of {}", self.offset, what());
            return Err(Stop::damaged(Kind::Truncated, text));
        }
        Ok(())
    }

    fn size_of(&self, header: &Header) -> Result<u64, Stop> {
        header.size().ok_or_else(|| {
            let at = self.offset.saturating_sub(BLOCK as u64);
            let text =
                format_args!("the size in the header at byte {at} is no number that sizes can be{}", self.after());
            Stop::damaged(Kind::TarHeader, text)
        })
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Stop> {
        let count = read_full(self.stream, buffer)?;
        self.offset = self.offset.saturating_add(count as u64);
        Ok(count)
    }

    /// Where something is that has no name of its own.
    fn after(&self) -> String {
        if self.summary.members == 0 { String::new() } else { format!(", after {}", printable(&self.name)) }
    }

    fn truncated(&self, rest: impl std::fmt::Display) -> Stop {
        let name = printable(&self.name);
        let text = format_args!("the archive ends at byte {}, in the middle of {name}: {rest}", self.offset);
        Stop::damaged(Kind::Truncated, text)
    }

    fn cut_content(&self, there: u64, stored: u64) -> Stop {
        if there >= stored {
            return self.truncated("the last block of its content is not whole");
        }
        self.truncated(format_args!("{there} of {stored} bytes are there"))
    }

    fn truncated_extended(&self, there: u64, size: u64) -> Stop {
        let text = format_args!(
            "the archive ends at byte {}, in the middle of an extended header{}: {there} of {size} bytes are there",
            self.offset,
            self.after()
        );
        Stop::damaged(Kind::Truncated, text)
    }
}

/// Bytes that fill up the last block.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// The content of a small sparse file.
fn spread(stored: &[u8], map: &Map) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let mut rest = stored;
    for (offset, length) in map.pieces()? {
        let end = offset.checked_add(*length).filter(|end| *end <= MAX_CONFIG)?;
        let (piece, after) = rest.split_at_checked(usize::try_from(*length).ok()?)?;
        rest = after;
        content.resize(usize::try_from(end).ok()?, 0);
        content[usize::try_from(*offset).ok()?..].copy_from_slice(piece);
    }
    Some(content)
}

/// Names that a restore can't use, or should not.
#[derive(Debug, Default)]
struct Hostile {
    outside: (u64, String),
    impossible: (u64, String),
}

impl Hostile {
    fn judge(&mut self, name: &[u8]) {
        let mut parts = name.split(|byte| *byte == b'/');
        if name.first() == Some(&b'/') {
            count(&mut self.outside, name);
        } else if name.len() >= MAX_PATH || parts.any(|part| part.len() > 255) {
            count(&mut self.impossible, name);
        }
    }

    fn report(self, findings: &mut Findings) {
        let (number, first) = self.outside;
        if number > 0 {
            let names = if number == 1 { "name" } else { "names" };
            let text = format_args!("{number} {names} would be written outside of the target; the first is {first}");
            findings.say(Kind::HostileName, text);
        }
        let (number, first) = self.impossible;
        if number > 0 {
            let names = if number == 1 { "name is" } else { "names are" };
            let text = format_args!("{number} {names} longer than file systems take; the first is {first}");
            findings.say(Kind::HostileName, text);
        }
    }
}

fn count((number, first): &mut (u64, String), name: &[u8]) {
    if *number == 0 {
        *first = printable(name);
    }
    *number += 1;
}
