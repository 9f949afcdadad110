//! Small archives that really restore, padded to the size of a larger one with a frame that decompressors skip.

use std::io::{self, Write as _};

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use zstd_safe::{CCtx, CParameter};

use crate::formats::vma::{Builder, Disk};

/// First bytes of a zstd frame that holds nothing.
const SKIPPABLE: [u8; 4] = 0x184D_2A50_u32.to_le_bytes();

/// A virtual machine with one disk.
pub(super) fn machine(vmid: &str, name: &str, created: i64) -> anyhow::Result<Vec<u8>> {
    let config = format!(
        "cores: 2\nmemory: 2048\nname: {name}\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n\
         scsi0: local-lvm:vm-{vmid}-disk-0,size=192K\n#qmdump#map:scsi0:drive-scsi0:local-lvm:raw:\n"
    );
    let mut uuid = [0; 16];
    uuid.iter_mut().zip(vmid.bytes()).for_each(|(byte, digit)| *byte = digit);
    let content = format!("{name}\n").repeat(2_000);
    let disk = Disk { name: "drive-scsi0", size: 192 << 10, content: &mut content.as_bytes() };
    let mut archive = Vec::new();
    let builder = Builder { uuid, created, configs: vec![("qemu-server.conf".to_owned(), config.into_bytes())] };
    builder.write(&mut [disk], &mut archive).context("writing a VMA archive")?;
    compressed(&archive)
}

/// A container with next to nothing in it.
pub(super) fn container(name: &str) -> anyhow::Result<Vec<u8>> {
    let config = format!(
        "arch: amd64\nhostname: {name}\nmemory: 512\nnet0: name=eth0,bridge=vmbr0,ip=dhcp\nrootfs: local-lvm:vm-disk-0,size=8G\n"
    );
    let mut archive = Vec::new();
    member(&mut archive, "./etc/vzdump/pct.conf", b'0', config.as_bytes());
    member(&mut archive, "./", b'5', b"");
    member(&mut archive, "./etc/hostname", b'0', name.as_bytes());
    archive.resize((archive.len() + 1024).next_multiple_of(10_240), 0);
    compressed(&archive)
}

/// A dump as `pg_dump | gzip` makes it, with so many bytes of rows.
pub(super) fn dump(name: &str, rows: usize) -> io::Result<Vec<u8>> {
    let mut text = format!("--\n-- PostgreSQL database dump\n--\n\nCOPY public.{name} (id, value) FROM stdin;\n");
    let mut id = 0;
    while text.len() < rows {
        text.push_str(&format!("{id}\tvalue of row {id}\n"));
        id += 1;
    }
    text.push_str("\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n");
    // Stored, so that the size is that of the text.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// Appends a member of a tar archive.
fn member(archive: &mut Vec<u8>, name: &str, kind: u8, content: &[u8]) {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(257, "ustar\x0000");
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend(header);
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

/// As the zstd program does it: with a checksum.
fn compressed(content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let refused = |code| anyhow::anyhow!("zstd: {}", zstd_safe::get_error_name(code));
    let mut context = CCtx::create();
    context.set_parameter(CParameter::ChecksumFlag(true)).map_err(refused)?;
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(content.len()));
    context.compress2(&mut out, content).map_err(refused)?;
    Ok(out)
}

/// What makes a file of `size` bytes out of an archive: this, followed by zeros.
pub(super) fn padded(mut archive: Vec<u8>, size: u64) -> Vec<u8> {
    let left = size.saturating_sub(archive.len() as u64 + 8);
    if let (Ok(length), true) = (u32::try_from(left), left > 0) {
        archive.extend(SKIPPABLE);
        archive.extend(length.to_le_bytes());
    }
    archive
}
