//! VMA: the archives of virtual machines, a stream of header and extents without index or trailer.
//!
//! ```text
//! header │ extent │ extent │ … │ end of file
//!          └─ 512 bytes: uuid, MD5 of these bytes, 59 × (device, cluster, mask of its 16 blocks)
//!             then the blocks of 4 KiB that aren't all zero; no checksum covers them
//! ```
//! Every cluster of every device is listed exactly once, zeros too: a list with a hole is an archive with a hole.
//! `vma verify` doesn't look for holes; `vma extract` does. Payload is covered by the compressor's checksum alone.
//! Source: pve-qemu `vma_spec.txt`, `vma-reader.c`.

mod build;
mod clusters;
mod config;
mod header;

use md5::{Digest as _, Md5};

pub use self::build::{Builder, Disk};
use self::clusters::{ClusterMap, Mark};
pub use self::header::{Config, Device, Header, MAGIC, VMSTATE};
use super::stream::{Stop, Stream, read_full, skip};
use super::vm_config::VmConfig;
use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;

/// Bytes of a cluster.
pub const CLUSTER: u64 = 65536;

/// Bytes of a block.
pub const BLOCK: u64 = 4096;

/// Bytes of an extent's header.
const EXTENT_HEADER: usize = 512;

/// Memory that the cluster maps of one archive may take. Enough for millions of clusters far out of order.
const MAP_MEMORY: usize = 12 << 20;

/// Clusters have numbers of 32 bits, which bounds a device to 256 TiB.
const MOST_CLUSTERS: u64 = 1 << 32;

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its header.
    pub header: Header,
    /// Number of extents.
    pub extents: u64,
    /// Length of the archive in bytes.
    pub length: u64,
    /// What its guest's configuration says, if it is there.
    pub config: Option<VmConfig>,
}

/// What was seen of one device.
struct Seen {
    name: String,
    size: u64,
    is_vmstate: bool,
    map: ClusterMap,
    duplicates: Tally,
    beyond: Tally,
    /// Clusters of memory contents that came so far.
    vmstate_clusters: u64,
    vmstate_disorder: Tally,
    clipped: bool,
}

/// How often something was seen, and where first.
#[derive(Default)]
struct Tally {
    count: u64,
    first: u64,
}

impl Tally {
    fn add(&mut self, at: u64) {
        if self.count == 0 {
            self.first = at;
        }
        self.count += 1;
    }
}

/// Reads an archive to its end.
pub fn check(stream: &mut (impl Stream + ?Sized), findings: &mut Findings) -> Result<Summary, Stop> {
    let header = header::read(stream, findings)?;
    header::judge_names(&header, findings);
    let mut reader = Reader::new(header, findings)?;
    while reader.extent(stream)? {}
    reader.conclude(findings);
    let Reader { header, extents, position, .. } = reader;
    let config = config::judge(&header, findings);
    Ok(Summary { header, extents, length: position, config })
}

struct Reader {
    header: Header,
    devices: Box<[Option<Seen>; 256]>,
    unknown: [Tally; 256],
    extents: u64,
    /// Bytes of the archive that were read.
    position: u64,
}

/// One slot of an extent that is in use.
#[derive(Clone, Copy)]
struct Slot {
    device: u8,
    cluster: u32,
    mask: u16,
}

impl Reader {
    fn new(header: Header, findings: &mut Findings) -> Result<Self, Stop> {
        let mut devices = Box::new([const { None }; 256]);
        let mut names: Vec<&[u8]> = Vec::new();
        for device in &header.devices {
            let name = printable(&device.name);
            if names.contains(&&*device.name) {
                let text = format!("two streams are named {name}: a restore brings back only one of them");
                findings.say(Kind::VmaDuplicateDevice, text);
            }
            names.push(&device.name);
            devices[usize::from(device.id)] = Some(Seen::new(device, name)?);
        }
        let position = header.length;
        Ok(Self { header, devices, unknown: [const { Tally { count: 0, first: 0 } }; 256], extents: 0, position })
    }

    /// Reads one extent. `false` at the end of the archive.
    fn extent(&mut self, stream: &mut (impl Stream + ?Sized)) -> Result<bool, Stop> {
        let mut head = [0; EXTENT_HEADER];
        let there = read_full(stream, &mut head)?;
        if there == 0 {
            return Ok(false);
        }
        let wrong = |what: &str| {
            let text = format!("extent {} at byte {} of the archive {what}", self.extents, self.position);
            Stop::damaged(Kind::VmaExtent, text)
        };
        if there < EXTENT_HEADER {
            return Err(wrong(&format!(
                "has {there} bytes of a header of {EXTENT_HEADER}: cut short, or followed by something else"
            )));
        }
        let blocks = self.check_head(&head).map_err(wrong)?;
        let length = blocks * BLOCK;
        let slots = head[40..].chunks_exact(8).filter_map(Slot::read);
        let listed: u32 = slots.clone().map(|slot| slot.mask.count_ones()).sum();
        if u64::from(listed) != blocks {
            return Err(wrong(&format!("has {blocks} blocks and lists {listed}")));
        }
        let there = self.payload(stream, slots)?;
        if there < length {
            let text = format!(
                "the data ends in extent {} at byte {}: {there} of its {length} bytes are there",
                self.extents, self.position
            );
            return Err(Stop::damaged(Kind::Truncated, text));
        }
        self.extents += 1;
        stream.landmark();
        self.position += EXTENT_HEADER as u64 + length;
        let cost: usize = self.devices.iter().flatten().map(|seen| seen.map.cost()).sum();
        if cost > MAP_MEMORY {
            let text = "the clusters of the archive come in so scattered an order that keeping track of them takes more memory than a check may use";
            return Err(Stop::Limit(text.to_owned()));
        }
        Ok(true)
    }

    /// The number of blocks that follow the header.
    fn check_head(&self, head: &[u8; EXTENT_HEADER]) -> Result<u64, &'static str> {
        let mut digest = Md5::new();
        digest.update(&head[..24]);
        digest.update([0; 16]);
        digest.update(&head[40..]);
        if digest.finalize()[..] != head[24..40] {
            return Err("has a header whose checksum doesn't fit: damaged, or data is missing or added before it");
        }
        if head[8..24] != self.header.uuid {
            return Err("belongs to another archive: its uuid differs");
        }
        if head[..4] != *b"VMAE" || head[4..6] != [0, 0] {
            return Err("doesn't begin with VMAE");
        }
        Ok(u64::from(u16::from_be_bytes([head[6], head[7]])))
    }

    /// Marks the clusters and passes over their blocks; the number of payload bytes that were there.
    fn payload(&mut self, stream: &mut (impl Stream + ?Sized), slots: impl Iterator<Item = Slot>) -> Result<u64, Stop> {
        let (mut there, mut open) = (0, 0);
        for slot in slots {
            let length = u64::from(slot.mask.count_ones()) * BLOCK;
            let Some(seen) = &mut self.devices[usize::from(slot.device)] else {
                self.unknown[usize::from(slot.device)].add(u64::from(slot.cluster));
                open += length;
                continue;
            };
            let Some((before, kept)) = seen.mark(slot) else {
                open += length;
                continue;
            };
            // The block over which the device ends: what lies behind the end is cut off by a restore.
            there += skip(stream, open + before)?;
            let mut block = [0; BLOCK as usize];
            let read = read_full(stream, &mut block)?;
            there += read as u64;
            seen.clipped |= block[kept..read.max(kept)].iter().any(|byte| *byte != 0);
            open = length - before - BLOCK;
        }
        Ok(there + skip(stream, open)?)
    }

    /// What all extents together amount to.
    fn conclude(&self, findings: &mut Findings) {
        for (device, tally) in self.unknown.iter().enumerate().filter(|(_, tally)| tally.count > 0) {
            let text = format!(
                "{} cluster(s) belong to device {device}, which the header doesn't declare; the first is cluster {}",
                tally.count, tally.first
            );
            findings.say(Kind::VmaUnknownDevice, text);
        }
        for seen in self.devices.iter().flatten() {
            seen.conclude(findings);
        }
    }
}

impl Slot {
    /// `None` for a slot that isn't in use.
    fn read(entry: &[u8]) -> Option<Self> {
        let [a, b, _, device, c, d, e, f] = *entry else { return None };
        let slot = Self { device, cluster: u32::from_be_bytes([c, d, e, f]), mask: u16::from_be_bytes([a, b]) };
        (device != 0).then_some(slot)
    }
}

impl Seen {
    fn new(device: &Device, name: String) -> Result<Self, Stop> {
        let expected = device.size.div_ceil(CLUSTER);
        let is_vmstate = *device.name == *VMSTATE;
        // The reference reader counts sectors of 512 bytes, rounded down, in words of 64 clusters: what lies behind them
        // makes it abort.
        let readable = (device.size / 512).div_ceil(64 * CLUSTER / 512) * 64;
        if !is_vmstate && (expected > MOST_CLUSTERS || expected > readable) {
            let text = format!("the VMA header says that {name} has {} bytes, which no archive can hold", device.size);
            return Err(Stop::damaged(Kind::VmaDeviceSize, text));
        }
        Ok(Self {
            name,
            size: device.size,
            is_vmstate,
            map: ClusterMap::new(expected),
            duplicates: Tally::default(),
            beyond: Tally::default(),
            vmstate_clusters: 0,
            vmstate_disorder: Tally::default(),
            clipped: false,
        })
    }

    /// Marks a cluster. Where the device ends within a stored block of it: the bytes of the cluster before that block,
    /// and how many bytes of the block belong to the device.
    fn mark(&mut self, slot: Slot) -> Option<(u64, usize)> {
        let cluster = u64::from(slot.cluster);
        if self.is_vmstate {
            // Memory has no end that is known before, but it comes in order.
            if cluster != self.vmstate_clusters {
                self.vmstate_disorder.add(cluster);
            }
            self.vmstate_clusters += 1;
            return None;
        }
        match self.map.mark(slot.cluster) {
            Mark::New => {}
            Mark::Again => self.duplicates.add(cluster),
            Mark::Beyond => {
                self.beyond.add(cluster);
                return None;
            }
        }
        let within = self.size - cluster * CLUSTER;
        if within >= CLUSTER {
            return None;
        }
        // Old writers store the whole of the last cluster; with any other mask a block behind the end is an error.
        let whole_blocks = within.div_ceil(BLOCK);
        if slot.mask != u16::MAX && u64::from(u16::BITS - slot.mask.leading_zeros()) > whole_blocks {
            self.beyond.add(cluster);
            return None;
        }
        let (last, kept) = (within / BLOCK, (within % BLOCK) as usize);
        let bit = 1_u16 << last.min(15);
        if kept == 0 || slot.mask & bit == 0 {
            return None;
        }
        Some((u64::from((slot.mask & (bit - 1)).count_ones()) * BLOCK, kept))
    }

    fn conclude(&self, findings: &mut Findings) {
        let Self { name, map, duplicates, beyond, .. } = self;
        if beyond.count > 0 {
            let text = format!(
                "{} cluster(s) of {name} lie behind its end at {} bytes; the first is cluster {}",
                beyond.count, self.size, beyond.first
            );
            findings.say(Kind::VmaBeyondEnd, text);
        }
        if duplicates.count > 0 {
            let text = format!(
                "{} cluster(s) of {name} come twice; the first is cluster {}",
                duplicates.count, duplicates.first
            );
            findings.say(Kind::VmaDuplicateCluster, text);
        }
        if let Some((missing, first)) = map.missing().filter(|_| !self.is_vmstate) {
            let text = format!(
                "{missing} of the {} clusters of {name} are missing; the first is cluster {first}. vma verify doesn't notice",
                map.expected()
            );
            findings.say(Kind::VmaMissingClusters, text);
        }
        if self.vmstate_disorder.count > 0 {
            let text = format!(
                "the memory contents ({name}) don't come in order; the first odd one is cluster {}",
                self.vmstate_disorder.first
            );
            findings.say(Kind::VmaVmstateOrder, text);
        }
        let memory = self.vmstate_clusters.saturating_mul(CLUSTER);
        if self.is_vmstate && memory < self.size {
            let text = format!("the memory contents ({name}) are {memory} bytes, {} were declared", self.size);
            findings.say(Kind::VmstateShort, text);
        }
        if self.clipped {
            let text = format!(
                "the last block of {name} holds data behind its end at {} bytes; a restore cuts it off",
                self.size
            );
            findings.say(Kind::ClippedBytes, text);
        }
    }
}

#[cfg(test)]
mod tests;
