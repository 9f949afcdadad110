//! VMDK: virtual disks of VMware, as ESXi exports them and as `qemu-img` writes them.
//!
//! ```text
//! streamOptimized   header │ descriptor │ tables? │ marker + grain │ … │ tables │ directory │ footer │ end of stream
//! monolithicSparse  header │ descriptor │ directory │ tables │ the same again │ grains
//! a text alone      the descriptor; the data lies in other files, which it names
//! ```
//! A grain is 64 KiB of the disk. Compressed ones end with an Adler-32, which is the only checksum of data in a VMDK; that every
//! table names the grain where it lies shows that none is missing. `qemu-img check` looks at neither: it passes disks with a
//! broken grain and disks that are cut.
//!
//! Sources: VMware "Virtual Disk Format 5.0"; QEMU `block/vmdk.c` for what is accepted.

use self::cursor::Cursor;
use self::descriptor::Descriptor;
use self::header::Header;
use super::stream::{Stop, Stream};
use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;
use crate::domain::proof::Level;

mod build;
mod cursor;
pub mod descriptor;
mod front;
mod grain;
mod header;
mod plain;
mod prints;
mod streamed;
#[cfg(test)]
mod tests;

pub use self::build::{Builder, Layout};

/// The first bytes of a sparse disk.
pub const MAGIC: [u8; 4] = *b"KDMV";

/// The first bytes of a snapshot's data on VMFS before version 6.
const COWD: &[u8] = b"COWD";

/// The first bytes of a snapshot's data on VMFS 6: the constant header's magic, little-endian 0xcafebabe.
const SE_SPARSE: &[u8] = b"\xbe\xba\xfe\xca\0\0\0\0";

/// Bytes of a sector, in which everything in a VMDK is counted.
pub const SECTOR: u64 = 512;

/// What was read of a virtual disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Bytes of the disk; `None` where only another file tells.
    pub capacity: Option<u64>,
    /// How much is proven of it.
    pub level: Level,
    /// Grains that are stored.
    pub grains: u64,
    /// The descriptor, if it has one; one piece of a disk has none.
    pub descriptor: Option<Descriptor>,
    /// Whether it is a descriptor alone, whose data lies in other files.
    pub is_text: bool,
}

/// Whether a file that begins so is a VMDK that has a mark of its own.
pub fn begins(head: &[u8]) -> bool {
    head.starts_with(&MAGIC) || descriptor::begins(head)
}

/// Whether a file of this name holds nothing but the bytes of a disk: `NAME-flat.vmdk`, `NAME-f001.vmdk`.
pub fn is_raw_name(name: &str) -> bool {
    name.strip_suffix(".vmdk").is_some_and(|stem| stem.ends_with("-flat") || is_numbered(stem, "-f"))
}

/// Whether a file of this name is one piece of a disk, whose descriptor is another file: also `NAME-s001.vmdk`.
pub fn is_piece_name(name: &str) -> bool {
    is_raw_name(name) || name.strip_suffix(".vmdk").is_some_and(|stem| is_numbered(stem, "-s"))
}

fn is_numbered(stem: &str, mark: &str) -> bool {
    let number = stem.rsplit_once(mark).map(|(_, number)| number);
    number.is_some_and(|number| number.len() >= 3 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Reads a disk from its beginning, and the stream to its end unless it is damaged.
pub fn check(stream: &mut (impl Stream + ?Sized), findings: &mut Findings) -> Result<Disk, Stop> {
    let mut cursor = Cursor::new(stream)?;
    let head = cursor.head();
    if head.is_empty() {
        return Err(Stop::damaged(Kind::Empty, "the virtual disk has no content"));
    }
    for (magic, name) in [(COWD, "vmfsSparse"), (SE_SPARSE, "seSparse")] {
        if head.starts_with(magic) {
            let text =
                format!("it is the data of a snapshot ({name}), which is not decoded here, and needs its parent");
            findings.say(Kind::NotDecoded, text);
            cursor.drain()?;
            return Ok(Disk { capacity: None, level: Level::Present, grains: 0, descriptor: None, is_text: false });
        }
    }
    if descriptor::begins(head) {
        return text(&mut cursor);
    }
    let header = Header::read(&mut cursor)?;
    if let Some(version) = header.unknown_version() {
        let text = format!("the disk is of version {version} of VMDK, which isn't known here: nothing was checked");
        findings.say(Kind::UnknownVersion, text);
        cursor.drain()?;
        return Ok(Disk { capacity: None, level: Level::Present, grains: 0, descriptor: None, is_text: false });
    }
    if header.unclean {
        let text = "the disk was not closed: it was in use when it was copied, or its program died; power the machine off (or take a snapshot) before copying";
        findings.say(Kind::DiskOpen, text);
    }
    let mut disk = if header.is_streamed() {
        streamed::check(&mut cursor, &header, findings)?
    } else {
        plain::check(&mut cursor, &header, findings)?
    };
    judge_descriptor(&mut disk, &header, findings);
    Ok(disk)
}

/// A disk that is nothing but its bytes.
pub fn check_raw(stream: &mut (impl Stream + ?Sized), findings: &mut Findings) -> Result<Disk, Stop> {
    let mut cursor = Cursor::new(stream)?;
    cursor.drain()?;
    let length = cursor.at();
    if length == 0 {
        return Err(Stop::damaged(Kind::Empty, "the virtual disk has no content"));
    }
    if !length.is_multiple_of(SECTOR) {
        let text = format!("the disk has {length} bytes, which are no whole sectors of {SECTOR}: it is cut short");
        return Err(Stop::damaged(Kind::Truncated, text));
    }
    findings.say(
        Kind::NoEndKnown,
        "these are the bytes of a disk and nothing else: neither checksum nor size is in them, only its descriptor tells how many there must be",
    );
    Ok(Disk { capacity: Some(length), level: Level::Present, grains: 0, descriptor: None, is_text: false })
}

fn text<S: Stream + ?Sized>(cursor: &mut Cursor<'_, S>) -> Result<Disk, Stop> {
    let mut text = vec![0; descriptor::LONGEST + 1];
    let filled = cursor.fill_some(&mut text)?;
    text.truncate(filled);
    if filled > descriptor::LONGEST {
        let most = descriptor::LONGEST;
        return Err(Stop::Limit(format!("the descriptor of the disk has more than {most} bytes: it is not read")));
    }
    let descriptor = Descriptor::parse(&text)?;
    let capacity = descriptor.sectors().and_then(|sectors| sectors.checked_mul(SECTOR));
    Ok(Disk { capacity, level: Level::Present, grains: 0, descriptor: Some(descriptor), is_text: true })
}

/// What the descriptor says against what the header does.
fn judge_descriptor(disk: &mut Disk, header: &Header, findings: &mut Findings) {
    // Of one piece of a disk the descriptor is another file: whoever has it judges.
    let Some(descriptor) = &disk.descriptor else { return };
    if let Some(parent) = descriptor.parent() {
        let text = format!("it is a snapshot's difference to {parent}: without that disk it can't be restored");
        findings.say(Kind::CompanionMissing, text);
        disk.level = disk.level.min(Level::Decodes);
    }
    let Some(sectors) = descriptor.sectors().filter(|sectors| *sectors != header.capacity) else { return };
    if descriptor.extents.len() > 1 {
        findings.say(Kind::CompanionMissing, "the disk has other pieces, in files of their own");
        disk.level = disk.level.min(Level::Decodes);
    } else if sectors.checked_next_multiple_of(header.grain) == Some(header.capacity) {
        // VirtualBox rounds up to a grain in the header (`VMDK.cpp`, cSectors and cNominalSectors).
        disk.capacity = sectors.checked_mul(SECTOR);
    } else {
        let (kind, capacity) = (printable(descriptor.create_type.as_bytes()), header.capacity);
        let text = format!(
            "the descriptor ({kind}) says that the disk has {sectors} sectors, and the header {capacity}: one of them is damaged"
        );
        findings.say(Kind::VmdkHeader, text);
    }
}
