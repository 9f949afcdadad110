//! Puts checksums right, so that fuzzing gets past them: a mutated header whose checksum is wrong is refused at once.

use std::ops::Range;

use md5::{Digest as _, Md5};

const EXTENT_HEADER: usize = 512;
const BLOCK: usize = 4096;

fn md5_without(bytes: &mut [u8], sum: Range<usize>) {
    bytes[sum.clone()].fill(0);
    let digest = Md5::digest(&*bytes);
    bytes[sum].copy_from_slice(&digest);
}

/// Bytes of a VMA header by its own words, if they are there.
fn vma_header_length(archive: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*archive.get(56..60)?.first_chunk()?) as usize;
    (60..=archive.len()).contains(&length).then_some(length)
}

/// The checksum of the header of a VMA archive.
pub fn vma_header(archive: &mut [u8]) {
    if let Some(length) = vma_header_length(archive) {
        md5_without(&mut archive[..length], 32..48);
    }
}

/// Magic, uuid, number of blocks, and checksum of each extent of a VMA archive.
pub fn vma_extents(archive: &mut [u8]) {
    let Some(mut at) = vma_header_length(archive) else { return };
    let uuid: [u8; 16] = *archive[8..24].first_chunk().expect("a header has at least 60 bytes");
    while let Some(head) = archive.get_mut(at..at + EXTENT_HEADER) {
        let slots = head[40..].chunks_exact(8).filter(|slot| slot[3] != 0);
        let blocks: u32 = slots.map(|slot| u16::from_be_bytes([slot[0], slot[1]]).count_ones()).sum();
        head[..6].copy_from_slice(b"VMAE\0\0");
        head[6..8].copy_from_slice(&u16::try_from(blocks).expect("at most 59 × 16").to_be_bytes());
        head[8..24].copy_from_slice(&uuid);
        md5_without(head, 24..40);
        at += EXTENT_HEADER + blocks as usize * BLOCK;
    }
}

/// The checksum of the header of an lzop file, and those of the content of blocks that are stored.
pub fn lzop(file: &mut [u8]) {
    let _ = seal_lzop(file);
}

fn seal_lzop(file: &mut [u8]) -> Option<()> {
    let modern = u16::from_be_bytes(*file.get(9..11)?.first_chunk()?) >= 0x0940;
    let flags_at = if modern { 17 } else { 14 };
    let flags = number(file, flags_at)?;
    let filter = if flags & 0x800 == 0 { 0 } else { 4 };
    let name_at = flags_at + 4 + filter + if modern { 12 } else { 8 };
    let mut at = name_at + 1 + usize::from(*file.get(name_at)?);
    if flags & 0x1000 == 0 {
        let sum = simd_adler32::adler32(&file.get(9..at)?);
        file.get_mut(at..at + 4)?.copy_from_slice(&sum.to_be_bytes());
    }
    at += 4;
    if flags & (0x40 | 0x100 | 0x200) != 0 {
        return None;
    }
    loop {
        let (size, packed) = (number(file, at)? as usize, number(file, at + 4)? as usize);
        let sums = at + 8;
        let plain = if flags & 1 == 0 { 0 } else { 4 };
        let squeezed = if flags & 2 == 0 || packed >= size { 0 } else { 4 };
        let data = sums + plain + squeezed;
        let end = data.checked_add(packed).filter(|end| *end <= file.len())?;
        let sum = simd_adler32::adler32(&&file[data..end]).to_be_bytes();
        // Of a compressed block's content only a decoder could tell the sum.
        if squeezed > 0 {
            file[sums + plain..data].copy_from_slice(&sum);
        } else if plain > 0 && packed == size {
            file[sums..data].copy_from_slice(&sum);
        }
        at = end;
    }
}

fn number(file: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*file.get(at..)?.first_chunk()?))
}

/// The checksums of the headers of a tar archive, as far as the sizes in them lead to the next one.
pub fn tar(archive: &mut [u8]) {
    let mut at = 0;
    while let Some(head) = archive.get_mut(at..at + 512) {
        if head.iter().all(|byte| *byte == 0) {
            return;
        }
        head[148..156].fill(b' ');
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = head[124..136].iter().take_while(|byte| (b'0'..=b'7').contains(byte));
        let size = digits.fold(0_usize, |size, digit| (size << 3 | usize::from(digit - b'0')) & 0xfff_ffff);
        // Links, devices, directories and pipes have no content, whatever they say.
        let content = if (b'1'..=b'6').contains(&head[156]) { 0 } else { size };
        at += 512 + content.next_multiple_of(512);
    }
}
