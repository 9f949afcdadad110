//! Writes small virtual disks, for tests and for who tries the tool out: a disk in memory becomes a file in memory.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::{MAGIC, SECTOR};

/// How the parts of a disk are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Compressed, tables behind their grains and a footer, as ESXi and ovftool write it.
    Footer,
    /// Compressed, directory and tables in front, as `qemu-img` writes it.
    Front,
    /// Not compressed.
    Plain,
}

/// Sectors of a grain, and entries of a table: what all writers use.
const GRAIN: u64 = 128;
const ENTRIES: u64 = 512;

/// What kind of disk is written.
#[derive(Debug, Clone, Copy)]
pub struct Builder<'a> {
    /// How it is arranged.
    pub layout: Layout,
    /// Lines of the descriptor beside those that all have.
    pub descriptor: &'a str,
}

struct File {
    bytes: Vec<u8>,
    /// Sector of each grain that isn't all zeros.
    places: Vec<u32>,
}

impl File {
    fn sector(&self) -> u32 {
        (self.bytes.len() as u64 / SECTOR) as u32
    }

    fn pad(&mut self, to: u64) {
        self.bytes.resize((self.bytes.len() as u64).next_multiple_of(to) as usize, 0);
    }

    fn mark(&mut self, value: u64, kind: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_le_bytes());
        self.pad(SECTOR);
    }

    fn words(&mut self, words: impl IntoIterator<Item = u32>) {
        words.into_iter().for_each(|word| self.bytes.extend_from_slice(&word.to_le_bytes()));
        self.pad(SECTOR);
    }

    fn grain(&mut self, lba: u64, data: &[u8], compressed: bool) {
        if data.iter().all(|byte| *byte == 0) {
            self.places.push(0);
            return;
        }
        self.places.push(self.sector());
        if !compressed {
            self.bytes.extend_from_slice(data);
            return;
        }
        let mut whole = data.to_vec();
        whole.resize((GRAIN * SECTOR) as usize, 0);
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        let packed = encoder.write_all(&whole).and_then(|()| encoder.finish()).unwrap_or_default();
        self.bytes.extend_from_slice(&lba.to_le_bytes());
        self.bytes.extend_from_slice(&(packed.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&packed);
        self.pad(SECTOR);
    }
}

impl Builder<'_> {
    /// The file of a disk.
    pub fn build(&self, disk: &[u8]) -> Vec<u8> {
        let capacity = disk.len() as u64 / SECTOR;
        let tables = capacity.div_ceil(GRAIN).div_ceil(ENTRIES);
        let mut file = File { bytes: vec![0; SECTOR as usize], places: Vec::new() };
        file.bytes.extend_from_slice(self.text(capacity).as_bytes());
        file.bytes.resize(21 * SECTOR as usize, 0);
        let in_front = self.layout != Layout::Footer;
        let directories: Vec<u32> =
            (0..if in_front { 2 } else { 0 }).map(|_| self.reserve(&mut file, tables)).collect();
        file.pad(GRAIN * SECTOR);
        let overhead = u64::from(file.sector());
        let mut inline = Vec::new();
        for (number, data) in (0..).zip(disk.chunks((GRAIN * SECTOR) as usize)) {
            file.grain(number * GRAIN, data, self.layout != Layout::Plain);
            let last = (number + 1) * GRAIN >= capacity;
            if !in_front && (last || (number + 1) % ENTRIES == 0) {
                let from = file.places.len() - (number % ENTRIES) as usize - 1;
                let mut entries = file.places[from..].to_vec();
                entries.resize(ENTRIES as usize, 0);
                file.mark(4, 1);
                inline.push(file.sector());
                file.words(entries);
            }
        }
        let place = directories.last().map_or(u64::MAX, |place| u64::from(*place));
        let redundant = directories.first().map_or(0, |place| u64::from(*place));
        let header = |place: u64| self.header(capacity, (redundant, place), overhead);
        file.bytes[..SECTOR as usize].copy_from_slice(&header(place));
        for at in &directories {
            fill(&mut file, *at, tables);
        }
        if !in_front {
            file.mark((tables * 4).div_ceil(SECTOR), 2);
            let place = u64::from(file.sector());
            file.words(inline);
            file.mark(1, 3);
            file.bytes.extend_from_slice(&header(place));
            file.mark(0, 0);
        }
        file.bytes
    }

    /// Room for a directory and its tables.
    fn reserve(&self, file: &mut File, tables: u64) -> u32 {
        let at = file.sector();
        let first = at + (tables * 4).div_ceil(SECTOR) as u32;
        file.words((0..tables as u32).map(|table| first + table * 4));
        file.words((0..tables * ENTRIES).map(|_| 0));
        at
    }

    fn header(&self, capacity: u64, (redundant, place): (u64, u64), overhead: u64) -> [u8; SECTOR as usize] {
        let compressed = self.layout != Layout::Plain;
        let flags: u32 = 1 | if compressed { 0x3_0000 } else { 0 } | if redundant > 0 { 2 } else { 0 };
        let mut header = Vec::from(MAGIC);
        header.extend_from_slice(&if compressed { 3_u32 } else { 1 }.to_le_bytes());
        header.extend_from_slice(&flags.to_le_bytes());
        for field in [capacity, GRAIN, 1, 20] {
            header.extend_from_slice(&field.to_le_bytes());
        }
        header.extend_from_slice(&(ENTRIES as u32).to_le_bytes());
        for field in [redundant, place, overhead] {
            header.extend_from_slice(&field.to_le_bytes());
        }
        header.extend_from_slice(b"\0\n \r\n");
        header.extend_from_slice(&u16::from(compressed).to_le_bytes());
        let mut sector = [0; SECTOR as usize];
        sector[..header.len()].copy_from_slice(&header);
        sector
    }

    fn text(&self, sectors: u64) -> String {
        let kind = if self.layout == Layout::Plain { "monolithicSparse" } else { "streamOptimized" };
        let extra = self.descriptor;
        let parent = if extra.contains("parentCID") { "" } else { "parentCID=ffffffff\n" };
        format!(
            "# Disk DescriptorFile\nversion=1\nCID=0123abcd\n{parent}createType=\"{kind}\"\n{extra}\nRW {sectors} SPARSE \"disk.vmdk\"\n\nddb.adapterType = \"lsilogic\"\n"
        )
    }
}

/// Writes the places of the grains into the tables behind a directory.
fn fill(file: &mut File, directory: u32, tables: u64) {
    let first = u64::from(directory) + (tables * 4).div_ceil(SECTOR);
    for (number, place) in file.places.iter().enumerate() {
        let at = (first * SECTOR) as usize + number * 4;
        file.bytes[at..at + 4].copy_from_slice(&place.to_le_bytes());
    }
}
