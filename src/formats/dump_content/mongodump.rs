//! Archives of `mongodump --archive`: documents of several collections, mixed in blocks.
//!
//! ```text
//! magic 4 │ header │ { collection }… │ terminator │ { header of a block │ { document }… │ terminator }…
//! ```
//! All but magic and terminator are BSON documents. The last block of a collection has `EOF: true` and the CRC-64 of all
//! its documents. There is no mark at the end of the archive: each collection of the beginning must have had its end.
//!
//! Source: MongoDB tools `common/archive/{spec.md,parser.go,demultiplexer.go}`.

use std::collections::BTreeMap;

use super::{Fault, Source, Summary};
use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;
use crate::formats::crc::Crc64;
use crate::formats::stream::{Stop, Stream, read_full};

mod bson;

pub(super) const MAGIC: &[u8] = b"\x6d\xe2\x99\x81";
pub(super) const FORMAT: &str = "mongodump";

const TERMINATOR: u32 = u32::MAX;

/// Documents have 16 MiB at most, and 16 KiB for what MongoDB adds.
const LONGEST: u32 = (16 << 20) + (16 << 10);

/// Longest header; that of a collection has its indexes in it.
const LONGEST_HEADER: u32 = LONGEST;

/// Most collections.
const MOST: usize = 100_000;

/// Deepest document that MongoDB stores is of 100 levels; more in what it adds.
const DEEPEST: usize = 250;

/// A collection on its way.
#[derive(Default)]
struct Collection {
    crc: Crc64,
    begun: bool,
    ended: bool,
    /// Whether the beginning doesn't promise data of its own: a view or a time series.
    derived: bool,
}

pub(super) fn check<S: Stream + ?Sized>(
    source: &mut Source<'_, S>,
    summary: &mut Summary,
    _: &mut Findings,
) -> Result<(), Fault> {
    (summary.format, summary.end_known, summary.understood) = (FORMAT, true, true);
    source.skip(MAGIC.len() as u64, "its first mark")?;
    let mut archive = Archive { source, collections: BTreeMap::new(), current: None };
    archive.prelude()?;
    while !archive.source.at_end()? {
        archive.block()?;
    }
    summary.members = Some(archive.collections.len() as u64);
    let mut open = archive.collections.iter().filter(|(_, it)| !it.ended && (it.begun || !it.derived));
    if let Some((name, _)) = open.next() {
        let count = 1 + open.count();
        let text = format_args!("the archive ends before the end of {count} collections, such as {}", printable(name));
        return Err(Fault::wrong(Kind::Truncated, text));
    }
    Ok(())
}

fn wrong(text: impl std::fmt::Display) -> Fault {
    Fault::wrong(Kind::DumpStructure, text)
}

struct Archive<'s, 'a, S: ?Sized> {
    source: &'s mut Source<'a, S>,
    /// By database and collection, with a NUL between.
    collections: BTreeMap<Vec<u8>, Collection>,
    current: Option<Vec<u8>>,
}

impl<S: Stream + ?Sized> Archive<'_, '_, S> {
    /// The length of the document that follows; `None` at a terminator.
    fn length(&mut self, what: &str) -> Result<Option<u32>, Fault> {
        let at = self.source.position;
        let mut bytes = [0; 4];
        self.source.fill(&mut bytes, what)?;
        match u32::from_le_bytes(bytes) {
            TERMINATOR => Ok(None),
            length @ 5..=LONGEST => Ok(Some(length)),
            length => Err(wrong(format_args!("there is no document at byte {at} of the archive: {length} bytes long"))),
        }
    }

    /// A document that is looked into; `None` at a terminator.
    fn header(&mut self, what: &str) -> Result<Option<Vec<u8>>, Fault> {
        let at = self.source.position;
        let Some(length) = self.length(what)? else { return Ok(None) };
        if length > LONGEST_HEADER {
            return Err(wrong(format_args!("{what} at byte {at} of the archive has {length} bytes")));
        }
        // It grows with what is there.
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&length.to_le_bytes());
        while bytes.len() < length as usize {
            let from = bytes.len();
            bytes.resize((from + (64 << 10)).min(length as usize), 0);
            if read_full(self.source, &mut bytes[from..])? < bytes.len() - from {
                return Err(self.source.ends_in(what));
            }
        }
        bson::check(&bytes, DEEPEST).map_err(|why| wrong(format_args!("{what} at byte {at} of the archive: {why}")))?;
        Ok(Some(bytes))
    }

    fn prelude(&mut self) -> Result<(), Fault> {
        let Some(header) = self.header("the header")? else { return Err(wrong("the archive has no header")) };
        if bson::text(&header, b"version").is_none() {
            return Err(wrong("the header of the archive names no version"));
        }
        while let Some(collection) = self.header("the description of a collection")? {
            let (Some(name), kind) = (name(&collection), bson::text(&collection, b"type")) else {
                return Err(wrong("a collection at the beginning of the archive has no name"));
            };
            let derived = kind.is_some_and(|kind| !kind.is_empty() && kind != b"collection");
            self.entry(&name)?.derived = derived;
        }
        Ok(())
    }

    fn entry(&mut self, name: &[u8]) -> Result<&mut Collection, Fault> {
        if self.collections.len() >= MOST && !self.collections.contains_key(name) {
            return Err(Fault::Stop(Stop::Limit(format!("the archive has more than {MOST} collections"))));
        }
        Ok(self.collections.entry(name.to_vec()).or_default())
    }

    fn block(&mut self) -> Result<(), Fault> {
        let at = self.source.position;
        let Some(header) = self.header("the header of a block")? else {
            return Err(wrong(format_args!("the block at byte {at} of the archive has no header")));
        };
        let Some(name) = name(&header).filter(|name| name.last() != Some(&0)) else {
            return Err(wrong(format_args!("the block at byte {at} of the archive is of no collection")));
        };
        let collection = self.entry(&name)?;
        if collection.ended {
            let name = printable(&name);
            return Err(wrong(format_args!("{name} goes on at byte {at} of the archive after its end")));
        }
        collection.begun = true;
        if bson::truth(&header, b"EOF") == Some(true) {
            collection.ended = true;
            let (found, wanted) = (collection.crc.value(), bson::number(&header, b"CRC"));
            if wanted != Some(found) {
                let text =
                    format_args!("the documents of {} have not the CRC-64 that the archive says", printable(&name));
                return Err(Fault::wrong(Kind::ContainerChecksum, text));
            }
            self.current = None;
        } else {
            self.current = Some(name);
        }
        while let Some(length) = self.length("a block")? {
            self.document(length)?;
        }
        Ok(())
    }

    /// A document of a collection. Its frame is checked; what is in it, its CRC covers.
    fn document(&mut self, length: u32) -> Result<(), Fault> {
        let at = self.source.position - 4;
        let collection = self.current.as_ref().and_then(|name| self.collections.get_mut(name));
        let Some(collection) = collection else {
            return Err(wrong(format_args!("the document at byte {at} of the archive is of no collection")));
        };
        collection.crc.update(&length.to_le_bytes());
        let (mut left, mut last) = (length as usize - 4, 0);
        while left > 0 {
            let chunk = self.source.chunk()?;
            let count = chunk.len().min(left);
            if count == 0 {
                return Err(self.source.ends_in("a document"));
            }
            collection.crc.update(&chunk[..count]);
            last = chunk[count - 1];
            self.source.consume(count);
            left -= count;
        }
        if last != 0 {
            return Err(wrong(format_args!("the document at byte {at} of the archive has no end")));
        }
        self.source.landmark();
        Ok(())
    }
}

/// Database and collection of a header.
fn name(header: &[u8]) -> Option<Vec<u8>> {
    let (database, collection) = (bson::text(header, b"db")?, bson::text(header, b"collection")?);
    Some([database, b"\0", collection].concat())
}
