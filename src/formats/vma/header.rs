//! The header of a VMA archive: what streams and configurations it holds.
//!
//! Source: pve-qemu `vma_spec.txt`, `vma.h`, `vma-reader.c`. All numbers are big-endian but for the lengths of blobs,
//! which are little-endian whatever the specification says.

use md5::{Digest as _, Md5};

use crate::domain::finding::{Finding, Findings, Kind};
use crate::domain::printable::printable;
use crate::formats::stream::{Stop, Stream, read_full};

/// `VMA` and a zero.
pub const MAGIC: [u8; 4] = *b"VMA\0";

/// Offset of the blob buffer in what `vma create` writes, and the least that readers accept.
pub(super) const BLOB_OFFSET: usize = 12288;

/// The largest header that is read. `vma create` refuses to write one above 512 KiB.
const MAX_HEADER: usize = 4 << 20;

/// No more is kept of a name: five hundred of them may point to one blob of 64 KiB.
const MAX_NAME: usize = 4 << 10;

/// The configuration of the guest; the content of other files isn't kept.
pub(super) const GUEST_CONFIG: &[u8] = b"qemu-server.conf";

/// Number of configurations that fit.
const CONFIGS: usize = 256;

/// Number of entries of the device table. Entry 0 is never used, 255 is not read by `vma verify`.
const DEVICES: usize = 256;

const MD5: std::ops::Range<usize> = 32..48;
const CONFIG_NAMES: usize = 2044;
const CONFIG_DATA: usize = 3068;
const DEVICE_TABLE: usize = 4096;
const DEVICE_ENTRY: usize = 32;

/// Name of the stream that holds the memory of a guest.
pub const VMSTATE: &[u8] = b"vmstate";

/// A stream of the archive: a disk, or the memory of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its number in extents.
    pub id: u8,
    /// Its name, up to the first zero.
    pub name: Box<[u8]>,
    /// Bytes.
    pub size: u64,
}

/// A file that the archive carries beside the disks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its name, up to the first zero.
    pub name: Box<[u8]>,
    /// Its content, of the first that is the guest's configuration; nothing of others.
    pub data: Box<[u8]>,
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Repeated in every extent.
    pub uuid: [u8; 16],
    /// When the header was written, as Unix time.
    pub created: i64,
    /// Streams, by rising number.
    pub devices: Vec<Device>,
    /// Files.
    pub configs: Vec<Config>,
    /// Bytes of the header.
    pub length: u64,
}

fn wrong(text: impl std::fmt::Display) -> Stop {
    Stop::damaged(Kind::VmaHeader, text)
}

/// The big-endian number at an offset that is within the fixed part of the header.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Reads a header; checks in the order of the reference reader.
pub(super) fn read(stream: &mut (impl Stream + ?Sized), findings: &mut Findings) -> Result<Header, Stop> {
    let bytes = read_bytes(stream)?;
    let mut digest = Md5::new();
    digest.update(&bytes[..MD5.start]);
    digest.update([0; 16]);
    digest.update(&bytes[MD5.end..]);
    if digest.finalize()[..] != bytes[MD5] {
        return Err(wrong("the checksum of the VMA header doesn't fit its content"));
    }
    let version = u32_at(&bytes, 4);
    if version != 1 {
        return Err(wrong(format_args!("the VMA header has version {version}; only version 1 exists")));
    }
    let blobs = Blobs::find(&bytes)?;
    let header = Header {
        uuid: bytes[8..24].try_into().expect("sixteen bytes"),
        created: u64_at(&bytes, 24) as i64,
        devices: devices(&bytes, &blobs, findings),
        configs: configs(&bytes, &blobs)?,
        length: bytes.len() as u64,
    };
    Ok(header)
}

/// The bytes of the whole header. Grows with what is there, not with what the header promises.
fn read_bytes(stream: &mut (impl Stream + ?Sized)) -> Result<Vec<u8>, Stop> {
    let mut bytes = vec![0; BLOB_OFFSET];
    let there = read_full(stream, &mut bytes)?;
    let magic = there.min(MAGIC.len());
    if there == 0 {
        return Err(Stop::damaged(Kind::Empty, "there is no data in the archive"));
    }
    if bytes[..magic] != MAGIC[..magic] {
        return Err(wrong("this is no VMA archive: it doesn't begin with VMA"));
    }
    if there < BLOB_OFFSET {
        return Err(Stop::damaged(
            Kind::Truncated,
            format_args!("the data ends in the VMA header, after {there} bytes"),
        ));
    }
    let length = u32_at(&bytes, 56) as usize;
    if length <= BLOB_OFFSET || length > MAX_HEADER {
        return Err(wrong(format_args!("the VMA header says that it has {length} bytes, which can't be")));
    }
    let mut piece = [0; 16 << 10];
    while bytes.len() < length {
        let wanted = piece.len().min(length - bytes.len());
        let there = read_full(stream, &mut piece[..wanted])?;
        bytes.extend_from_slice(&piece[..there]);
        if there < wanted {
            let text = format!("the data ends in the VMA header, after {} of {length} bytes", bytes.len());
            return Err(Stop::damaged(Kind::Truncated, text));
        }
    }
    Ok(bytes)
}

/// The blobs that the header points to.
struct Blobs<'a> {
    bytes: &'a [u8],
    /// Pointer and position of the content, by rising pointer.
    found: Vec<(u32, std::ops::Range<usize>)>,
}

impl<'a> Blobs<'a> {
    /// Walks the blob buffer once and remembers where the wanted ones lie: a hostile buffer has millions.
    fn find(bytes: &'a [u8]) -> Result<Self, Stop> {
        let (offset, size) = (u32_at(bytes, 48) as usize, u32_at(bytes, 52) as usize);
        if offset < BLOB_OFFSET || offset > bytes.len() || size > bytes.len() - offset {
            let text = format!(
                "the blob buffer at {offset} with {size} bytes doesn't fit the VMA header of {} bytes",
                bytes.len()
            );
            return Err(wrong(text));
        }
        let mut wanted: Vec<u32> = (0..CONFIGS)
            .flat_map(|index| [CONFIG_NAMES + 4 * index, CONFIG_DATA + 4 * index])
            .chain((0..DEVICES).map(|index| DEVICE_TABLE + DEVICE_ENTRY * index))
            .map(|at| u32_at(bytes, at))
            .filter(|pointer| *pointer != 0)
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let buffer = &bytes[offset..offset + size];
        let mut found = Vec::with_capacity(wanted.len());
        let mut wanted = wanted.into_iter().peekable();
        let mut at = 1;
        while at + 2 <= buffer.len() {
            let length = usize::from(u16::from_le_bytes([buffer[at], buffer[at + 1]]));
            while wanted.next_if(|pointer| (*pointer as usize) < at).is_some() {}
            if let Some(pointer) = wanted.next_if(|pointer| *pointer as usize == at)
                && at + 2 + length <= buffer.len()
            {
                found.push((pointer, offset + at + 2..offset + at + 2 + length));
            }
            at += 2 + length;
        }
        Ok(Self { bytes, found })
    }

    fn get(&self, pointer: u32) -> Option<&'a [u8]> {
        let index = self.found.binary_search_by_key(&pointer, |(it, _)| *it).ok()?;
        Some(&self.bytes[self.found[index].1.clone()])
    }

    /// A text with its terminating zero, as C sees it: up to the first zero.
    fn text(&self, pointer: u32) -> Option<&'a [u8]> {
        let blob = self.get(pointer)?;
        (blob.last() == Some(&0)).then(|| blob.split(|byte| *byte == 0).next().unwrap_or_default())
    }
}

/// The declared streams. Entries whose name can't be resolved are ignored, as readers do.
fn devices(bytes: &[u8], blobs: &Blobs<'_>, findings: &mut Findings) -> Vec<Device> {
    let mut devices = Vec::new();
    for index in 0..DEVICES {
        let entry = DEVICE_TABLE + DEVICE_ENTRY * index;
        let (pointer, size) = (u32_at(bytes, entry), u64_at(bytes, entry + 8));
        if pointer == 0 && size == 0 {
            continue;
        }
        let name = blobs.text(pointer).filter(|_| size != 0);
        match (index, name) {
            (1..=254, Some(name)) => devices.push(Device { id: index as u8, name: kept(name), size }),
            _ => {
                let text = format!("entry {index} of the device table is filled in and no reader uses it");
                findings.add(Finding::new(Kind::StrayEntry, text));
            }
        }
    }
    devices
}

fn configs(bytes: &[u8], blobs: &Blobs<'_>) -> Result<Vec<Config>, Stop> {
    let mut configs = Vec::new();
    for index in 0..CONFIGS {
        let (name, data) = (u32_at(bytes, CONFIG_NAMES + 4 * index), u32_at(bytes, CONFIG_DATA + 4 * index));
        if name == 0 || data == 0 {
            continue;
        }
        match (blobs.text(name), blobs.get(data)) {
            (Some(name), Some(data)) => {
                let first = name == GUEST_CONFIG && !configs.iter().any(|config: &Config| *config.name == *name);
                configs.push(Config { name: kept(name), data: if first { data.into() } else { Box::default() } });
            }
            _ => return Err(wrong(format_args!("configuration {index} of the VMA header points to nothing"))),
        }
    }
    Ok(configs)
}

fn kept(name: &[u8]) -> Box<[u8]> {
    name[..name.len().min(MAX_NAME)].into()
}

/// Notes names that a restore would write outside of its directory, or that no file system takes.
pub(super) fn judge_names(header: &Header, findings: &mut Findings) {
    let devices = header.devices.iter().map(|device| ("stream", &device.name));
    let configs = header.configs.iter().map(|config| ("configuration", &config.name));
    for (what, name) in devices.chain(configs) {
        let odd = name.is_empty()
            || name.len() > 128
            || **name == *b".."
            || name.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'/');
        if odd {
            let text = format!(
                "a {what} is named {:?}; a restore may write outside of its directory, or fail",
                printable(name)
            );
            findings.say(Kind::HostileName, text);
        }
    }
}
