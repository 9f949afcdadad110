//! Writes VMA archives as `vma create` does: for tests, benchmarks and the demo.

use std::io::{self, Write};

use md5::{Digest as _, Md5};

use super::header::{BLOB_OFFSET, MAGIC};
use super::{BLOCK, CLUSTER, EXTENT_HEADER};

/// `vma create` begins a new extent after so many clusters, though one more would fit.
const SLOTS_IN_USE: usize = 58;

/// A disk to be written.
pub struct Disk<'a> {
    /// Name of the stream.
    pub name: &'a str,
    /// Bytes.
    pub size: u64,
    /// Its content, cluster by cluster; read once, in order.
    pub content: &'a mut dyn io::Read,
}

/// An archive to be written.
pub struct Builder {
    /// The archive's id.
    pub uuid: [u8; 16],
    /// Time of the header, as Unix time.
    pub created: i64,
    /// Files with their names.
    pub configs: Vec<(String, Vec<u8>)>,
}

impl Builder {
    /// Writes header and extents. A disk that ends early is filled with zeros.
    pub fn write(&self, disks: &mut [Disk<'_>], out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.header(disks)?)?;
        let mut extent = Extent { uuid: self.uuid, slots: Vec::new(), payload: Vec::new() };
        for (index, disk) in disks.iter_mut().enumerate() {
            for cluster in 0..disk.size.div_ceil(CLUSTER) {
                let left = (disk.size - cluster * CLUSTER).min(CLUSTER);
                let mut data = vec![0; left.next_multiple_of(BLOCK) as usize];
                read_some(disk.content, &mut data[..left as usize])?;
                extent.add(index as u8 + 1, cluster as u32, &data);
                if extent.slots.len() == SLOTS_IN_USE {
                    extent.flush(out)?;
                }
            }
        }
        // An archive without disks has one empty extent.
        if !extent.slots.is_empty() || disks.is_empty() {
            extent.flush(out)?;
        }
        Ok(())
    }

    fn header(&self, disks: &[Disk<'_>]) -> io::Result<Vec<u8>> {
        let mut blobs = vec![0];
        let mut header = vec![0; BLOB_OFFSET];
        for (index, (name, data)) in self.configs.iter().enumerate() {
            let name = add_blob(&mut blobs, &with_zero(name))?;
            let data = add_blob(&mut blobs, data)?;
            put(&mut header, 2044 + 4 * index, &name.to_be_bytes());
            put(&mut header, 3068 + 4 * index, &data.to_be_bytes());
        }
        for (index, disk) in disks.iter().enumerate() {
            let name = add_blob(&mut blobs, &with_zero(disk.name))?;
            let entry = 4096 + 32 * (index + 1);
            put(&mut header, entry, &name.to_be_bytes());
            put(&mut header, entry + 8, &disk.size.to_be_bytes());
        }
        let used = blobs.len() as u32;
        blobs.resize(blobs.len().next_multiple_of(512), 0);
        header.extend(blobs);
        let length = header.len() as u32;
        put(&mut header, 0, &MAGIC);
        put(&mut header, 4, &1_u32.to_be_bytes());
        put(&mut header, 8, &self.uuid);
        put(&mut header, 24, &self.created.to_be_bytes());
        put(&mut header, 48, &(BLOB_OFFSET as u32).to_be_bytes());
        put(&mut header, 52, &used.to_be_bytes());
        put(&mut header, 56, &length.to_be_bytes());
        let digest = Md5::digest(&header);
        put(&mut header, 32, &digest);
        Ok(header)
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn with_zero(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// Adds a blob and returns the pointer to it.
fn add_blob(blobs: &mut Vec<u8>, content: &[u8]) -> io::Result<u32> {
    let length = u16::try_from(content.len()).map_err(|_| io::Error::other("a VMA blob has at most 65535 bytes"))?;
    let pointer = blobs.len() as u32;
    blobs.extend(length.to_le_bytes());
    blobs.extend_from_slice(content);
    Ok(pointer)
}

fn read_some(content: &mut dyn io::Read, mut data: &mut [u8]) -> io::Result<()> {
    while !data.is_empty() {
        match content.read(data)? {
            0 => break,
            count => data = &mut data[count..],
        }
    }
    Ok(())
}

struct Extent {
    uuid: [u8; 16],
    slots: Vec<[u8; 8]>,
    payload: Vec<u8>,
}

impl Extent {
    /// Adds a cluster; blocks of zeros are left out.
    fn add(&mut self, device: u8, cluster: u32, data: &[u8]) {
        let mut mask = 0_u16;
        for (index, block) in data.chunks(BLOCK as usize).enumerate() {
            if block.iter().any(|byte| *byte != 0) {
                mask |= 1 << index;
                self.payload.extend_from_slice(block);
            }
        }
        let [a, b] = mask.to_be_bytes();
        let [c, d, e, f] = cluster.to_be_bytes();
        self.slots.push([a, b, 0, device, c, d, e, f]);
    }

    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut head = [0; EXTENT_HEADER];
        put(&mut head, 0, b"VMAE");
        put(&mut head, 6, &((self.payload.len() as u64 / BLOCK) as u16).to_be_bytes());
        put(&mut head, 8, &self.uuid);
        for (index, slot) in self.slots.iter().enumerate() {
            put(&mut head, 40 + 8 * index, slot);
        }
        let digest = Md5::digest(head);
        put(&mut head, 24, &digest);
        out.write_all(&head)?;
        out.write_all(&self.payload)?;
        self.slots.clear();
        self.payload.clear();
        Ok(())
    }
}
