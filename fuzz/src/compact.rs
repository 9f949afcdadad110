//! A short form of VMA archives. Most of an archive is zeros in tables and blocks that nobody looks at: a mutation of
//! one would hit something that counts once in a thousand times.
//!
//! ```text
//! 60 bytes of the header │ n, n × (table entry: 2 bytes, value: 4 bytes, length: 4 bytes)
//!   │ bytes of blobs: 2, blobs │ { n, n × 8 bytes of slots, one byte for each block that they list }…
//! ```
//! More than 59 slots stand for as many extents more than 59, full of zero clusters that follow one another.
//!
//! A table entry is a configuration's name or data, or a device with its size; the header's length and the place of
//! the blob buffer are put right if they are zero.

const TABLES: usize = 12288;

/// Slots of an extent.
const SLOTS: usize = 59;

/// Bytes of an archive after which no further extent begins.
const MOST: usize = 128 << 10;

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// As many bytes as there are, at most `count`.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> usize {
        usize::from(self.take(1).first().copied().unwrap_or(0))
    }
}

fn put(archive: &mut [u8], at: usize, bytes: &[u8]) {
    archive[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The archive that the short form stands for; any bytes stand for one.
pub fn vma(short: &[u8]) -> Vec<u8> {
    let mut reader = Reader(short);
    let mut archive = vec![0; TABLES];
    put(&mut archive, 0, reader.take(60));
    for _ in 0..reader.byte() {
        let (table, index) = (reader.byte(), reader.byte());
        let at = match table % 3 {
            0 => 2044 + 4 * index,
            1 => 3068 + 4 * index,
            _ => 4096 + 32 * index,
        };
        put(&mut archive, at, reader.take(4));
        let length = reader.take(4);
        if table % 3 == 2 {
            put(&mut archive, at + 8 + 4 * (table & 1), length);
        }
    }
    let length = reader.byte() << 8 | reader.byte();
    let blobs = reader.take(length);
    archive.extend_from_slice(blobs);
    // Sizes of headers are multiples of 512.
    archive.resize((archive.len() + 1).next_multiple_of(512), 0);
    let total = archive.len();
    for (at, value) in [(48, TABLES), (52, total - TABLES), (56, total)] {
        if archive[at..at + 4] == [0; 4] {
            let value = u32::try_from(value).expect("blobs have less than 64 KiB");
            put(&mut archive, at, &value.to_be_bytes());
        }
    }
    while !reader.0.is_empty() && archive.len() < MOST {
        let count = reader.byte();
        if let Some(extents @ 1..) = count.checked_sub(SLOTS) {
            run(&mut archive, reader.take(8), extents);
            continue;
        }
        let slots = reader.take(count * 8);
        let used = slots.chunks_exact(8).filter(|slot| slot[3] != 0);
        let listed: u32 = used.map(|slot| u16::from_be_bytes([slot[0], slot[1]]).count_ones()).sum();
        extent(&mut archive, slots);
        for byte in reader.take(listed as usize) {
            archive.resize(archive.len() + 4096, *byte);
        }
    }
    archive
}

fn extent(archive: &mut Vec<u8>, slots: &[u8]) {
    let mut head = [0; 512];
    put(&mut head, 40, slots);
    archive.extend_from_slice(&head);
}

/// Extents of zero clusters, which follow one another from that of the slot on.
fn run(archive: &mut Vec<u8>, slot: &[u8], extents: usize) {
    let [_, _, _, device, a, b, c, d] = *slot else { return };
    let first = u32::from_be_bytes([a, b, c, d]);
    let clusters = (0..).map(|number| first.wrapping_add(number));
    let slots: Vec<_> = clusters
        .take(extents * SLOTS)
        .map(|cluster| (u64::from(device) << 32 | u64::from(cluster)).to_be_bytes())
        .collect();
    slots.chunks(SLOTS).for_each(|slots| extent(archive, slots.as_flattened()));
}
