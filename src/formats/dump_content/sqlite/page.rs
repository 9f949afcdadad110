//! One page of a SQLite database: what it can be by its own bytes, and which pages it names.
//!
//! Overflow pages and trunks of the free list begin with a page number. Where page numbers stay below 2²⁵ its first byte
//! is 0 or 1, while a page of a b-tree begins with 2, 5, 10 or 13: the two can't be mistaken for each other.
//!
//! Source: <https://sqlite.org/fileformat2.html>, "B-tree Pages", "Cell Payload Overflow Pages", "The Freelist".

/// What a page can be by its own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Nothing that is in use.
    Broken,
    /// A page of a table.
    Table,
    /// A page of a table whose rows are those of a schema, with all roots.
    Schema,
    /// A page of an index, or of a table without row numbers.
    Index,
    /// An overflow page, or an empty trunk of the free list.
    Raw,
    /// An overflow page.
    Overflow,
    /// A trunk of the free list, or an overflow page.
    Trunk,
}

impl Class {
    const ALL: [Self; 7] =
        [Self::Broken, Self::Table, Self::Schema, Self::Index, Self::Raw, Self::Overflow, Self::Trunk];

    /// What [`number`](Self::number) made.
    pub(super) fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Broken)
    }

    /// In a byte.
    pub(super) const fn number(self) -> u8 {
        self as u8
    }
}

/// A page that a page names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// A page of the same tree, or what follows in a chain.
    Next(u32),
    /// The first of so many overflow pages.
    Overflow(u32, u32),
    /// The root of a table.
    TableRoot(u32),
    /// The root of an index.
    IndexRoot(u32),
}

/// What all pages of a database have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    /// Number of pages.
    pub(super) pages: u32,
    /// Bytes of a page that are used.
    pub(super) usable: usize,
}

const INTERIOR_INDEX: u8 = 2;
const INTERIOR_TABLE: u8 = 5;
const LEAF_INDEX: u8 = 10;
const LEAF_TABLE: u8 = 13;

/// Longest row.
const LONGEST: u64 = 1 << 31;

impl Format {
    /// What the page can be; the pages that it names are put into `edges`. `start`: bytes in front of it that belong to
    /// the header of the database.
    pub(super) fn class(self, page: &[u8], start: usize, edges: &mut Vec<Edge>) -> Class {
        edges.clear();
        let page = &page[..self.usable];
        let class = match page[start] {
            INTERIOR_INDEX | INTERIOR_TABLE | LEAF_INDEX | LEAF_TABLE => self.tree(page, start, edges),
            0 | 1 => self.chain(page, edges),
            _ => None,
        };
        class.unwrap_or(Class::Broken)
    }

    fn number(self, page: &[u8], at: usize) -> Option<u32> {
        let number = u32::from_be_bytes(*page.get(at..)?.first_chunk()?);
        (1..=self.pages).contains(&number).then_some(number)
    }

    fn chain(self, page: &[u8], edges: &mut Vec<Edge>) -> Option<Class> {
        if page[..4] != [0; 4] {
            edges.push(Edge::Next(self.number(page, 0)?));
        }
        let count = u32::from_be_bytes(*page.get(4..)?.first_chunk()?) as usize;
        if count == 0 {
            return Some(Class::Raw);
        }
        if count > self.usable / 4 - 2 || !(2..2 + count).all(|index| self.number(page, 4 * index).is_some()) {
            return Some(Class::Overflow);
        }
        if edges.is_empty() {
            edges.push(Edge::Next(0));
        }
        edges.extend((2..2 + count).filter_map(|index| self.number(page, 4 * index)).map(Edge::Next));
        Some(Class::Trunk)
    }

    /// A page of a b-tree; `None` if it can't be one.
    fn tree(self, page: &[u8], start: usize, edges: &mut Vec<Edge>) -> Option<Class> {
        let kind = page[start];
        let interior = matches!(kind, INTERIOR_INDEX | INTERIOR_TABLE);
        let cells = usize::from(u16::from_be_bytes(*page.get(start + 3..)?.first_chunk()?));
        let pointers = start + if interior { 12 } else { 8 };
        let content = pointers + 2 * cells;
        let mut schema = kind == LEAF_TABLE;
        for pointer in page.get(pointers..content)?.chunks_exact(2) {
            let at = usize::from(u16::from_be_bytes([pointer[0], pointer[1]]));
            if at < content || at + 4 > self.usable {
                return None;
            }
            let mut cell = Cell { page, at };
            if interior {
                edges.push(Edge::Next(self.number(page, at)?));
                cell.at += 4;
            }
            if kind == INTERIOR_TABLE {
                cell.varint()?;
                continue;
            }
            let local = self.payload(&mut cell, kind == LEAF_TABLE, edges)?;
            schema = schema && schema_row(local, edges);
        }
        if interior {
            edges.push(Edge::Next(self.number(page, start + 8)?));
        }
        Some(match kind {
            LEAF_TABLE if schema => Class::Schema,
            // The leaves below say whether they are of a schema.
            INTERIOR_TABLE => Class::Schema,
            LEAF_TABLE => {
                edges.retain(|edge| matches!(edge, Edge::Overflow(..)));
                Class::Table
            }
            _ => Class::Index,
        })
    }

    /// Reads a cell with content; the part of it that is in this page.
    fn payload<'p>(self, cell: &mut Cell<'p>, table: bool, edges: &mut Vec<Edge>) -> Option<&'p [u8]> {
        let size = cell.varint().filter(|size| *size < LONGEST)?;
        if table {
            cell.varint()?;
        }
        let usable = self.usable as u64;
        let most = if table { usable - 35 } else { (usable - 12) * 64 / 255 - 23 };
        let least = (usable - 12) * 32 / 255 - 23;
        if size <= most {
            return cell.bytes(size as usize);
        }
        let fitting = least + (size - least) % (usable - 4);
        let local = if fitting <= most { fitting } else { least };
        let bytes = cell.bytes(local as usize)?;
        let first = self.number(cell.page, cell.at)?;
        let count = (size - local).div_ceil(usable - 4);
        edges.push(Edge::Overflow(first, u32::try_from(count).ok()?));
        Some(bytes)
    }
}

/// A place in a page.
struct Cell<'p> {
    page: &'p [u8],
    at: usize,
}

impl<'p> Cell<'p> {
    fn bytes(&mut self, count: usize) -> Option<&'p [u8]> {
        let bytes = self.page.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(bytes)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for index in 0..9 {
            let byte = *self.page.get(self.at)?;
            self.at += 1;
            if index == 8 {
                return Some(value << 8 | u64::from(byte));
            }
            value = value << 7 | u64::from(byte & 0x7f);
            if byte < 0x80 {
                break;
            }
        }
        Some(value)
    }
}

/// Whether it is a row of a schema: type, name, table, root, and text of the statement. The root is put into `edges`.
fn schema_row(record: &[u8], edges: &mut Vec<Edge>) -> bool {
    parse_schema_row(record).map(|root| edges.extend(root)).is_some()
}

fn parse_schema_row(record: &[u8]) -> Option<Option<Edge>> {
    let mut header = Cell { page: record, at: 0 };
    let length = usize::try_from(header.varint()?).ok()?;
    let mut sizes = [0; 5];
    let mut root_kind = 0;
    for (column, size) in sizes.iter_mut().enumerate() {
        let kind = header.varint()?;
        root_kind = if column == 3 { kind } else { root_kind };
        *size = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            12.. => (kind - 12) / 2,
            _ => return None,
        };
    }
    if header.at != length {
        return None;
    }
    let mut content = Cell { page: record, at: length };
    let mut bytes = |column: usize| content.bytes(usize::try_from(sizes[column]).ok()?);
    // Without the zeros that UTF-16 has in it.
    let word: Vec<u8> = bytes(0)?.iter().copied().filter(|byte| *byte != 0).take(8).collect();
    bytes(1)?;
    bytes(2)?;
    let root = match (root_kind, bytes(3)?) {
        (0 | 8, _) => 0,
        (9, _) => 1,
        (1..=6, bytes) if bytes[0] < 0x80 => bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)),
        _ => return None,
    };
    // What is too large to be one is found to be behind the end.
    let root = u32::try_from(root).unwrap_or(u32::MAX);
    match &*word {
        b"table" => Some((root != 0).then_some(Edge::TableRoot(root))),
        b"index" => Some((root != 0).then_some(Edge::IndexRoot(root))),
        b"view" | b"trigger" => Some(None),
        _ => None,
    }
}
