//! What lies before the grains: the descriptor, the directory with its tables, and both again.
//!
//! A stream is read once, so each is taken in the order of its place. A directory lies before its tables with every writer
//! there is; where it doesn't, the disk could not be checked.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::SECTOR;
use super::cursor::Cursor;
use super::descriptor::Descriptor;
use super::header::{AT_END, Header};
use super::prints::{Print, Prints};
use crate::domain::finding::{Findings, Kind};
use crate::formats::stream::{Stop, Stream};

/// What was found there.
#[derive(Debug, Default)]
pub(super) struct Front {
    pub descriptor: Option<Descriptor>,
    /// What the tables of the directory say; `None` if there is no directory here.
    pub tables: Option<Prints>,
    /// What those of the redundant one say.
    pub redundant: Option<Prints>,
    /// The sector of the last grain that a table names.
    pub furthest: u64,
}

/// Something at a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Descriptor,
    Directory { redundant: bool },
    Table { redundant: bool, index: u32 },
}

impl Item {
    fn words(self, header: &Header) -> String {
        match self {
            Self::Descriptor => "its descriptor".to_owned(),
            Self::Directory { redundant: false } => "its directory".to_owned(),
            Self::Directory { redundant: true } => "its redundant directory".to_owned(),
            Self::Table { index, .. } => format!("the grain table of {}", lbas(header, index)),
        }
    }
}

/// The sectors of the disk that a table is about.
pub(super) fn lbas(header: &Header, table: u32) -> String {
    let covers = header.entries.saturating_mul(header.grain);
    let first = u64::from(table).saturating_mul(covers);
    format!("LBA {first} to {}", first.saturating_add(covers).min(header.capacity).saturating_sub(1))
}

/// Reads everything whose place the header tells and that is not a stream's end. `named` is told of each grain that a table
/// of the directory names: its number on the disk, and its sector.
pub(super) fn read<S: Stream + ?Sized>(
    cursor: &mut Cursor<'_, S>,
    header: &Header,
    named: &mut dyn FnMut(u64, u64),
    findings: &mut Findings,
) -> Result<Front, Stop> {
    let mut walk = Walk { cursor, header, named, findings, open: BinaryHeap::new(), front: Front::default() };
    walk.begin();
    while let Some(Reverse((sector, item))) = walk.open.pop() {
        walk.item(u64::from(sector), item)?;
    }
    let mut front = walk.front;
    for prints in [&mut front.tables, &mut front.redundant].into_iter().flatten() {
        prints.sort();
    }
    if let (Some(tables), Some(redundant)) = (&front.tables, &front.redundant)
        && let Some((first, _, _, count)) = tables.difference(redundant)
    {
        let text = format!(
            "{count} grain table(s) differ from their redundant copies, the first is that of {}: one of the two leads to wrong data",
            lbas(header, first)
        );
        findings.say(Kind::VmdkTable, text);
    }
    Ok(front)
}

struct Walk<'a, 'b, S: ?Sized> {
    cursor: &'a mut Cursor<'b, S>,
    header: &'a Header,
    named: &'a mut dyn FnMut(u64, u64),
    findings: &'a mut Findings,
    /// What is still to come, nearest first.
    open: BinaryHeap<Reverse<(u32, Item)>>,
    front: Front,
}

impl<S: Stream + ?Sized> Walk<'_, '_, S> {
    fn begin(&mut self) {
        let header = self.header;
        // The header was judged: places fit 32 bits, and a descriptor lies before the grains.
        let mut put = |sector: u64, item| self.open.extend(u32::try_from(sector).ok().map(|at| Reverse((at, item))));
        if header.descriptor.0 != 0 && header.descriptor.1 != 0 {
            put(header.descriptor.0, Item::Descriptor);
        }
        // Those of a stream are marked where they stand among the grains.
        let is_here =
            |sector: u64| sector != 0 && sector != AT_END && (!header.is_streamed() || sector < header.overhead);
        if is_here(header.directory) {
            put(header.directory, Item::Directory { redundant: false });
            self.front.tables = Some(Prints::default());
            if let Some(sector) = header.redundant.filter(|sector| is_here(*sector)) {
                put(sector, Item::Directory { redundant: true });
                self.front.redundant = Some(Prints::default());
            }
        }
    }

    fn item(&mut self, sector: u64, item: Item) -> Result<(), Stop> {
        let header = self.header;
        if sector.saturating_mul(SECTOR) < self.cursor.at() {
            let text = format!("{} at sector {sector} lies over what is before it", item.words(header));
            return Err(Stop::damaged(Kind::VmdkTable, text));
        }
        let length = match item {
            Item::Descriptor => header.descriptor.1,
            Item::Directory { .. } => header.directory_sectors(),
            Item::Table { .. } => header.table_sectors(),
        };
        if header.is_streamed() && sector + length > header.overhead {
            let text = format!(
                "{} at sector {sector} lies among the grains, from sector {} on",
                item.words(header),
                header.overhead
            );
            return Err(Stop::damaged(Kind::VmdkTable, text));
        }
        self.cursor.skip_to(sector.saturating_mul(SECTOR), || item.words(header))?;
        match item {
            Item::Descriptor => self.descriptor(),
            Item::Directory { redundant } => self.directory(sector, redundant),
            Item::Table { redundant, index } => self.table(redundant, index),
        }
    }

    fn descriptor(&mut self) -> Result<(), Stop> {
        let mut text = vec![0; (self.header.descriptor.1.saturating_mul(SECTOR)) as usize];
        self.cursor.fill(&mut text, || "its descriptor".to_owned())?;
        // QEMU leaves room for one in each piece of a disk.
        if self.header.is_streamed() || text.iter().any(|byte| *byte != 0) {
            self.front.descriptor = Some(Descriptor::parse(&text)?);
        }
        Ok(())
    }

    fn directory(&mut self, at: u64, redundant: bool) -> Result<(), Stop> {
        let (mut sector, mut index, mut before) = ([0; SECTOR as usize], 0_u32, 0_u64);
        let end = at + self.header.directory_sectors();
        for _ in 0..self.header.directory_sectors() {
            self.cursor.fill(&mut sector, || "its directory".to_owned())?;
            for place in sector.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)) {
                if u64::from(index) < self.header.tables() && place != 0 {
                    if u64::from(place) < end {
                        return Err(self.out_of_order(place, index, before));
                    }
                    self.open.push(Reverse((place, Item::Table { redundant, index })));
                    before += 1;
                }
                index += 1;
            }
        }
        self.cursor.landmark();
        Ok(())
    }

    /// One table that lies before its directory is a wrong number; if all do, it is another way of writing.
    fn out_of_order(&self, place: u32, index: u32, before: u64) -> Stop {
        let text =
            format!("the grain table of {} lies at sector {place}, before its directory", lbas(self.header, index));
        if before > 0 || u64::from(place) < self.header.descriptor.0 + self.header.descriptor.1 {
            return Stop::damaged(Kind::VmdkTable, text);
        }
        Stop::Limit(format!("{text}: that order isn't followed here"))
    }

    fn table(&mut self, redundant: bool, index: u32) -> Result<(), Stop> {
        let header = self.header;
        let mut bytes = [0; 2048];
        let bytes = &mut bytes[..(header.entries * 4) as usize];
        self.cursor.fill(bytes, || format!("the grain table of {}", lbas(header, index)))?;
        // Tables begin with a sector.
        let end = self.cursor.at().next_multiple_of(SECTOR);
        self.cursor.skip_to(end, || format!("the grain table of {}", lbas(header, index)))?;
        let first = u64::from(index) * header.entries;
        let print = table(header, bytes, &mut |entry, sector| {
            if !redundant {
                self.front.furthest = self.front.furthest.max(sector);
                (self.named)(first + entry, sector);
            }
        });
        let print = print.map_err(|(entry, sector)| {
            let lba = (first + entry) * header.grain;
            let text = format!(
                "the grain table of {} places LBA {lba} at sector {sector}, before the first grain at sector {}",
                lbas(header, index),
                header.overhead
            );
            Stop::damaged(Kind::VmdkTable, text)
        })?;
        let behind = header.capacity.div_ceil(header.grain).saturating_sub(first);
        if behind < header.entries && bytes[(behind * 4) as usize..].iter().any(|byte| *byte != 0) {
            let text =
                format!("the last grain table names grains behind the end of the disk at LBA {}", header.capacity);
            self.findings.say(Kind::VmdkTable, text);
        }
        let prints = if redundant { &mut self.front.redundant } else { &mut self.front.tables };
        prints.get_or_insert_default().put(index, print);
        self.cursor.landmark();
        Ok(())
    }
}

/// What a table says; an error is an entry with the sector that it can't lie at.
pub(super) fn table(header: &Header, bytes: &[u8], named: &mut dyn FnMut(u64, u64)) -> Result<Print, (u64, u64)> {
    let mut print = Print::default();
    for (entry, bytes) in (0_u64..).zip(bytes.as_chunks::<4>().0) {
        let sector = u64::from(u32::from_le_bytes(*bytes));
        if sector == 0 || (sector == 1 && header.has_zero_grains()) {
            continue;
        }
        if sector < header.overhead {
            return Err((entry, sector));
        }
        print.add(entry, sector);
        named(entry, sector);
    }
    Ok(print)
}
