//! A stream-optimised disk: compressed grains in the order of the disk, each behind a mark, and marks for all else.
//!
//! ```text
//! u64 value │ u32 size │ …           a sector; size > 0: a grain of so many bytes, value = LBA, data from byte 12 on
//!                      │ u32 type    size = 0: 0 end of stream, 1 grain table, 2 directory, 3 footer, 4 progress;
//!                                    value = sectors that follow
//! ```
//! ESXi and ovftool write each table behind its grains, then the directory, the footer and the end. `qemu-img` and open-vmdk put
//! directory and tables in front, and need no footer; `qemu-img` doesn't even mark the end.

use super::cursor::Cursor;
use super::front::{self, Front, lbas};
use super::grain::Inflater;
use super::header::{AT_END, GD_OFFSET, Header, LENGTH};
use super::prints::{Print, Prints};
use super::{Disk, SECTOR};
use crate::domain::finding::{Findings, Kind};
use crate::domain::proof::Level;
use crate::formats::stream::{Stop, Stream};

/// Bytes of a mark before the data of a grain.
const MARK: usize = 12;

/// So many damaged grains are named.
const NAMED: u64 = 8;

const END: u32 = 0;
const TABLE: u32 = 1;
const DIRECTORY: u32 = 2;
const FOOTER: u32 = 3;
const PROGRESS: u32 = 4;

/// Reads everything behind the header.
pub(super) fn check<S: Stream + ?Sized>(
    cursor: &mut Cursor<'_, S>,
    header: &Header,
    findings: &mut Findings,
) -> Result<Disk, Stop> {
    let front = front::read(cursor, header, &mut |_, _| {}, findings)?;
    cursor.skip_to(header.overhead * SECTOR, || "what lies before its grains".to_owned())?;
    // zlib makes what doesn't compress larger by a few bytes: twice is what QEMU takes.
    let buffer = vec![0; MARK + 2 * header.grain_bytes() + SECTOR as usize];
    let mut walk = Walk {
        cursor,
        header,
        findings,
        inflater: Inflater::new(header.grain_bytes()),
        buffer,
        seen: Prints::default(),
        last: None,
        damaged: 0,
        tables: Vec::new(),
        directory: None,
        footer: None,
        ended: false,
    };
    while walk.mark()? {}
    walk.conclude(&front)?;
    let grains = walk.seen.grains();
    let capacity = header.capacity.checked_mul(SECTOR);
    Ok(Disk { capacity, level: Level::Complete, grains, descriptor: front.descriptor, is_text: false })
}

struct Walk<'a, 'b, S: ?Sized> {
    cursor: &'a mut Cursor<'b, S>,
    header: &'a Header,
    findings: &'a mut Findings,
    inflater: Inflater,
    /// A mark and its grain.
    buffer: Vec<u8>,
    /// Where grains lie.
    seen: Prints,
    /// LBA of the last grain.
    last: Option<u64>,
    /// Grains that are wrong in themselves.
    damaged: u64,
    /// What grain tables say that stand among the grains, by their sector.
    tables: Vec<(u32, Print)>,
    /// The directory that stands among them, with its sector.
    directory: Option<(u64, Vec<u32>)>,
    /// Where the footer says that the directory is.
    footer: Option<u64>,
    /// Whether the mark of the end came.
    ended: bool,
}

impl<S: Stream + ?Sized> Walk<'_, '_, S> {
    /// Reads one mark with what belongs to it. `false` at the end.
    fn mark(&mut self) -> Result<bool, Stop> {
        let at = self.cursor.at();
        let filled = self.cursor.fill_some(&mut self.buffer[..SECTOR as usize])?;
        if filled == 0 {
            return Ok(false);
        }
        if filled <= MARK + 4 {
            return Err(self.cursor.ends_in("a mark"));
        }
        let word = |at: usize| self.buffer[at..at + 4].iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte));
        let value = u64::from(word(0)) | u64::from(word(4)) << 32;
        let (size, kind) = (word(8), word(MARK));
        if size > 0 {
            self.grain(at, value, size as usize, filled)?;
            return Ok(true);
        }
        if filled < SECTOR as usize {
            return Err(self.cursor.ends_in("a mark"));
        }
        match kind {
            END if value == 0 => {
                self.ended = true;
                return Ok(false);
            }
            TABLE if value == self.header.table_sectors() => self.table()?,
            DIRECTORY if value == self.header.directory_sectors() => self.directory()?,
            FOOTER => self.footer()?,
            PROGRESS => {}
            _ => {
                let text = format!(
                    "at byte {at} stands a mark of type {kind} with value {value}, which is none: the stream is damaged there, and isn't read further"
                );
                return Err(Stop::damaged(Kind::VmdkTable, text));
            }
        }
        self.cursor.landmark();
        Ok(true)
    }

    fn grain(&mut self, at: u64, lba: u64, size: usize, filled: usize) -> Result<(), Stop> {
        let header = self.header;
        let most = 2 * header.grain_bytes();
        if size > most {
            let text = format!(
                "the grain at byte {at} (LBA {lba}) says that it has {size} bytes, more than the {most} that any has: the stream is damaged there, and isn't read further"
            );
            return Err(Stop::damaged(Kind::VmdkGrain, text));
        }
        let end = MARK + size;
        if end > filled {
            self.cursor.fill(&mut self.buffer[filled..end], || format!("the grain of LBA {lba} at byte {at}"))?;
            // The last grain of all need not be filled up.
            let padding = end.next_multiple_of(SECTOR as usize) - end;
            self.cursor.fill_some(&mut self.buffer[end..end + padding])?;
        }
        self.place(at, lba)?;
        let rest = (header.capacity - lba).saturating_mul(SECTOR);
        if let Err(why) = self.inflater.check(&self.buffer[MARK..end], rest) {
            self.damaged += 1;
            if self.damaged <= NAMED {
                self.findings.say(Kind::VmdkGrain, format_args!("the grain of LBA {lba} at byte {at} {why}"));
            }
        }
        let number = lba / header.grain;
        // The header bounds the number of tables.
        self.seen.add((number / header.entries) as u32, number % header.entries, at / SECTOR);
        self.cursor.landmark();
        Ok(())
    }

    fn place(&mut self, at: u64, lba: u64) -> Result<(), Stop> {
        let wrong = |why: String| {
            let text = format!("the grain at byte {at} {why}: the stream is damaged there, and isn't read further");
            Err(Stop::damaged(Kind::VmdkGrain, text))
        };
        let header = self.header;
        if lba >= header.capacity {
            return wrong(format!("is that of LBA {lba}, behind the end of the disk at LBA {}", header.capacity));
        }
        if !lba.is_multiple_of(header.grain) {
            return wrong(format!("is that of LBA {lba}, where no grain of {} sectors begins", header.grain));
        }
        match self.last.replace(lba) {
            Some(last) if last == lba => wrong(format!("is that of LBA {lba} a second time")),
            Some(last) if last > lba => wrong(format!("is that of LBA {lba}, and comes behind that of LBA {last}")),
            _ => Ok(()),
        }
    }

    fn table(&mut self) -> Result<(), Stop> {
        let (at, header) = (self.cursor.sector(), self.header);
        let bytes = &mut self.buffer[..(header.table_sectors() * SECTOR) as usize];
        self.cursor.fill(bytes, || format!("a grain table at sector {at}"))?;
        let print = front::table(header, &bytes[..(header.entries * 4) as usize], &mut |_, _| {});
        let print = print.map_err(|(entry, sector)| {
            let text = format!(
                "entry {entry} of the grain table at sector {at} leads to sector {sector}, before the first grain"
            );
            Stop::damaged(Kind::VmdkTable, text)
        })?;
        // Beyond 2 TiB there are no places in directories.
        self.tables.extend(u32::try_from(at).ok().map(|at| (at, print)));
        Ok(())
    }

    fn directory(&mut self) -> Result<(), Stop> {
        let (at, mut places) = (self.cursor.sector(), Vec::new());
        for _ in 0..self.header.directory_sectors() {
            let sector = &mut self.buffer[..SECTOR as usize];
            self.cursor.fill(sector, || format!("the directory at sector {at}"))?;
            places.extend(sector.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)));
        }
        places.truncate(self.header.tables() as usize);
        self.directory = Some((at, places));
        Ok(())
    }

    fn footer(&mut self) -> Result<(), Stop> {
        let at = self.cursor.at();
        let mut footer = [0; LENGTH];
        self.cursor.fill(&mut footer, || "its footer".to_owned())?;
        if let Some(byte) = self.header.differs_from_footer(&footer) {
            let text =
                format!("the footer at byte {at} differs from the header in byte {byte}: one of them is damaged");
            self.findings.say(Kind::VmdkHeader, text);
        }
        let mut place = [0; 8];
        place.copy_from_slice(&footer[GD_OFFSET]);
        self.footer = Some(u64::from_le_bytes(place));
        Ok(())
    }

    /// What all of it together amounts to.
    fn conclude(&mut self, front: &Front) -> Result<(), Stop> {
        if self.damaged > NAMED {
            let text = format!("{} grains of the disk are damaged, of which {NAMED} are named", self.damaged);
            self.findings.say(Kind::VmdkGrain, text);
        }
        let end = self.cursor.at();
        let rest = self.cursor.rest()?;
        let Some(tables) = &front.tables else {
            if self.header.directory == AT_END && self.footer.is_none() {
                let how = if self.ended { "the mark of its end" } else { "its last grain or table" };
                let text = format!(
                    "the stream ends at byte {end} behind {how}, without the footer that tells where its directory is: it is cut short"
                );
                return Err(Stop::damaged(Kind::Truncated, text));
            }
            if !self.ended {
                let text = format!("the stream ends at byte {end} without the mark of its end: it is cut short");
                self.findings.say(Kind::Truncated, text);
            }
            self.trailing(end, rest.bytes, rest.has_data, true);
            return self.against_directory();
        };
        if front.furthest.saturating_mul(SECTOR) >= end {
            let text = format!(
                "the grain tables lead to sector {}, and the grains end at byte {end}: the disk is cut short",
                front.furthest
            );
            return Err(Stop::damaged(Kind::Truncated, text));
        }
        self.trailing(end, rest.bytes, rest.has_data, false);
        self.against(tables);
        Ok(())
    }

    /// `strict` where readers look for the footer at the end of the file.
    fn trailing(&mut self, end: u64, bytes: u64, has_data: bool, strict: bool) {
        if has_data {
            let text = format!(
                "{bytes} bytes follow the end of the stream at byte {end}; importers ignore them, qemu-img may refuse the disk"
            );
            self.findings.say(Kind::TrailingBytes, text);
        } else if bytes > 0 && strict {
            let text = format!(
                "{bytes} zero bytes follow the end of the stream at byte {end}: importers ignore them, qemu-img doesn't find the footer then"
            );
            self.findings.say(Kind::TrailingPadding, text);
        }
    }

    /// The directory among the grains, and the tables that it leads to.
    fn against_directory(&mut self) -> Result<(), Stop> {
        let expected = self.footer.unwrap_or(self.header.directory);
        let Some((at, places)) = self.directory.take() else {
            return Err(Stop::damaged(Kind::VmdkTable, "the stream has no directory of its grain tables"));
        };
        if at != expected {
            let text = format!("the directory should be at sector {expected}, and is at sector {at}");
            self.findings.say(Kind::VmdkTable, text);
        }
        self.tables.sort_unstable_by_key(|(sector, _)| *sector);
        let mut said = Prints::default();
        for (index, place) in (0_u32..).zip(&places).filter(|(_, place)| **place != 0) {
            let Ok(found) = self.tables.binary_search_by_key(place, |(sector, _)| *sector) else {
                let text = format!(
                    "the directory leads to sector {place} for the grain table of {}, where there is none",
                    lbas(self.header, index)
                );
                self.findings.say(Kind::VmdkTable, text);
                continue;
            };
            said.put(index, self.tables[found].1);
        }
        self.against(&said);
        Ok(())
    }

    /// Whether every table names the grains that there are, where they are.
    fn against(&mut self, tables: &Prints) {
        let Some((table, said, seen, count)) = tables.difference(&self.seen) else { return };
        let range = lbas(self.header, table);
        let what = if said.count == seen.count {
            format!("names {} grains, of which at least one lies elsewhere or is another", said.count)
        } else {
            format!("names {} grains, and {} are there", said.count, seen.count)
        };
        let others = if count > 1 { format!(", and {} more don't fit", count - 1) } else { String::new() };
        let text = format!("the grain table of {range} {what}{others}: a restore would bring back zeros or other data");
        self.findings.say(Kind::VmdkTable, text);
    }
}
