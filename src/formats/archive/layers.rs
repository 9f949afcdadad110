//! What lies between a file and its structure: decompressors, one in another if need be, each watched.
//!
//! A small file may become any amount of data. That is fine where the data has the structure of its format: a disk of
//! zeros in a tar is a member of its size. What expands without any is given up after a bound: it says nothing of the
//! archive, and nobody's backup is so.

use std::cell::Cell;
use std::io::{self, Read};

use super::{CannotCheck, open, structure};
use crate::domain::finding::{Finding, Findings, Kind};
use crate::domain::proof::{Evidence, Level};
use crate::formats::beside::Companions;
use crate::formats::input::Input;
use crate::formats::shape::{Container, Shape, Structure};
use crate::formats::stream::{self, Stop, Stream, read_full};
use crate::formats::{encrypted, openpgp};

/// What a check may take, and when it is to end.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// Finds a reason to stop. Asked while output is made, too: a small file may become any amount of it without being
    /// read on.
    pub go_on: &'a dyn Fn() -> io::Result<()>,
    /// So many bytes may come out of a decompressor without any structure of their format; beside those for which
    /// enough was read.
    pub unpack_limit: u64,
}

impl Default for Bounds<'_> {
    fn default() -> Self {
        Self { go_on: &|| Ok(()), unpack_limit: UNPACK_LIMIT }
    }
}

/// What is unpacked without structure, where nobody says otherwise.
pub const UNPACK_LIMIT: u64 = 4 << 30;

/// Each byte that is read allows so many without structure: images of disks that are half empty, which no format frames.
const FOR_EACH_BYTE: u64 = 64;

/// So often something compressed may be compressed again.
const MOST_LAYERS: u8 = 3;

/// What all layers of one file share.
#[derive(Clone, Copy)]
pub(in crate::formats) struct Watch<'a> {
    pub(in crate::formats) bounds: Bounds<'a>,
    /// Bytes of the file that were read.
    pub(in crate::formats) read: &'a Cell<u64>,
}

/// A reader that counts.
pub(in crate::formats) struct Tally<'a, R> {
    pub(in crate::formats) reader: R,
    pub(in crate::formats) read: &'a Cell<u64>,
}

impl<R: Read> Read for Tally<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

/// What is checked of one layer.
#[derive(Clone, Copy)]
pub(in crate::formats) struct Layer<'a> {
    pub(in crate::formats) shape: Shape,
    pub(in crate::formats) container: Container,
    /// How many are around it.
    pub(in crate::formats) depth: u8,
    pub(in crate::formats) watch: Watch<'a>,
}

/// Chunks between two questions whether to go on; each is 256 KiB at most.
const ASK_EVERY: u32 = 8;

/// Counts what is used of a stream, asks now and then whether to go on, and ends what expands without end.
pub(in crate::formats) struct Watched<'a, S> {
    inner: S,
    container: Container,
    watch: Watch<'a>,
    asked: u32,
    /// Bytes that were used.
    pub(in crate::formats) count: u64,
    /// Bytes since there was structure.
    barren: u64,
    /// Whether it was the stream that failed, and not what reads it.
    pub(in crate::formats) failed: bool,
}

impl<'a, S: Stream> Watched<'a, S> {
    pub(in crate::formats) fn new(inner: S, container: Container, watch: Watch<'a>) -> Self {
        Self { inner, container, watch, asked: 0, count: 0, barren: 0, failed: false }
    }

    fn look(&mut self) -> Result<(), Stop> {
        self.asked += 1;
        if self.asked >= ASK_EVERY {
            self.asked = 0;
            (self.watch.bounds.go_on)().map_err(Stop::Read)?;
        }
        let (limit, read) = (self.watch.bounds.unpack_limit, self.watch.read.get());
        if self.container.decodes() && self.barren > limit.saturating_add(read.saturating_mul(FOR_EACH_BYTE)) {
            return Err(Stop::Limit(format!(
                "{read} bytes of it became {} without any structure of its format, more than verify.unpack_limit ({limit}) allows: nothing further is checked",
                self.barren
            )));
        }
        Ok(())
    }
}

impl<S: Stream> Stream for Watched<'_, S> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        let looked = self.look();
        self.failed |= looked.is_err();
        looked?;
        // The borrow of the chunk lasts as long as the result: the mark is set before.
        self.failed = true;
        let chunk = self.inner.chunk()?;
        self.failed = false;
        Ok(chunk)
    }

    fn consume(&mut self, count: usize) {
        self.count += count as u64;
        self.barren += count as u64;
        self.inner.consume(count);
    }

    fn landmark(&mut self) {
        self.barren = 0;
    }

    fn findings(&mut self) -> Vec<Finding> {
        self.inner.findings()
    }
}

/// Checks what a decompressor gives: what is in it, or another decompressor's work.
pub(in crate::formats) fn content(
    stream: &mut dyn Stream,
    layer: Layer<'_>,
    companions: &mut Companions<'_>,
    evidence: &mut Evidence,
    findings: &mut Findings,
) -> Result<Level, Stop> {
    if !matches!(layer.shape.structure, Structure::Dump) {
        return structure(stream, layer, companions, evidence, findings);
    }
    let mut head = vec![0; encrypted::LOOK_AT];
    let filled = read_full(stream, &mut head)?;
    head.truncate(filled);
    let found = Container::of_content(&head);
    let is_layer = layer.container.decodes() && found.is_surely(&head);
    let mut stream = Peeked { head, used: 0, rest: stream };
    if !is_layer {
        return structure(&mut stream, layer, companions, evidence, findings);
    }
    if !found.decodes() {
        return sealed(&mut stream, found, findings);
    }
    if layer.depth + 1 >= MOST_LAYERS {
        return Err(Stop::Limit(format!(
            "it is compressed more than {MOST_LAYERS} times over: it is not read further"
        )));
    }
    let text = format!(
        "it is compressed twice: what {} gives is {} again, and has to be decompressed once more to be restored",
        layer.container.as_str(),
        found.as_str()
    );
    findings.say(Kind::OtherFormat, text);
    let failure = Cell::new(None);
    let mut input = Input::new(Reading { stream: &mut stream, failure: &failure });
    let inner = open(&mut input, found).and_then(|inner| {
        let mut inner = Watched::new(inner, found, layer.watch);
        let layer = Layer { container: found, depth: layer.depth + 1, ..layer };
        let level = content(&mut inner, layer, companions, evidence, findings)?;
        stream::drain(&mut inner)?;
        findings.extend(inner.findings());
        Ok(level)
    });
    // What ended the layer around it is what there is to be said.
    inner.map_err(|stop| failure.take().unwrap_or(stop))
}

/// What can't be looked into: that it is there, and as far as it shows, whole.
pub(in crate::formats) fn sealed(
    stream: &mut dyn Stream,
    container: Container,
    findings: &mut Findings,
) -> Result<Level, Stop> {
    match container {
        Container::Encrypted(name) => {
            let text = format!(
                "it is encrypted ({name}), and not checkable without the key: only that the file is there and stays the same is checked"
            );
            findings.say(Kind::Encrypted, text);
            let mut head = vec![0; openpgp::LOOK_AT];
            let filled = read_full(stream, &mut head)?;
            head.truncate(filled);
            let parts = openpgp::begins(&head);
            let mut stream = Peeked { head, used: 0, rest: stream };
            if parts {
                openpgp::follow(&mut stream)?;
            }
            stream::drain(&mut stream)?;
        }
        _ => {
            let name = container.as_str();
            let text = format!("{name} is not decoded here: only that the file is there and stays the same is checked");
            findings.say(Kind::NotDecoded, text);
            stream::drain(stream)?;
        }
    }
    Ok(Level::Present)
}

/// A stream whose beginning was looked at.
struct Peeked<'a> {
    head: Vec<u8>,
    used: usize,
    rest: &'a mut dyn Stream,
}

impl Stream for Peeked<'_> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        if self.used < self.head.len() { Ok(&self.head[self.used..]) } else { self.rest.chunk() }
    }

    fn consume(&mut self, count: usize) {
        if self.used < self.head.len() {
            self.used += count;
        } else {
            self.rest.consume(count);
        }
    }

    fn landmark(&mut self) {
        self.rest.landmark();
    }
}

/// A stream as a file, for the decompressor of another layer.
struct Reading<'a, 'b> {
    stream: &'a mut Peeked<'b>,
    failure: &'a Cell<Option<Stop>>,
}

impl Read for Reading<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = match self.stream.chunk() {
            Ok(chunk) => chunk,
            Err(stop) => {
                self.failure.set(Some(stop));
                return Err(io::Error::other("the layer around it failed"));
            }
        };
        let count = chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&chunk[..count]);
        self.stream.consume(count);
        Ok(count)
    }
}

/// Whether what was found stands though a check could not go on.
pub(in crate::formats) fn stands(findings: &Findings, why: CannotCheck) -> Result<Option<Level>, CannotCheck> {
    if findings.damaged() && matches!(why, CannotCheck::Limit(_)) { Ok(None) } else { Err(why) }
}
