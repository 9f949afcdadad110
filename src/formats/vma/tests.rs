use proptest::prelude::*;

use super::*;
use crate::formats::stream::Bytes;

/// The archive of a fact sheet: one disk of two clusters and a block, as another writer makes it.
const CONFIG: &str =
    "name: t\nscsi0: local:100/vm-100-disk-0.raw,size=132K\n#qmdump#map:scsi0:drive-scsi0:local:raw:\n";

fn small_disk() -> Vec<u8> {
    let mut disk = vec![0; 135_168];
    disk[..4096].fill(b'A');
    disk[8192..12288].fill(b'B');
    disk[131_072..].fill(b'C');
    disk
}

fn build(configs: &[(&str, &str)], disks: &[(&str, &[u8])]) -> Vec<u8> {
    let configs = configs.iter().map(|(name, text)| (name.to_string(), text.as_bytes().to_vec())).collect();
    let uuid = std::array::from_fn(|index| index as u8);
    let mut contents: Vec<&[u8]> = disks.iter().map(|(_, content)| *content).collect();
    let mut disks: Vec<Disk<'_>> = disks
        .iter()
        .zip(&mut contents)
        .map(|((name, whole), content)| Disk { name, size: whole.len() as u64, content })
        .collect();
    let mut archive = Vec::new();
    Builder { uuid, created: 1_700_000_000, configs }.write(&mut disks, &mut archive).unwrap();
    archive
}

fn small() -> Vec<u8> {
    build(&[("qemu-server.conf", CONFIG)], &[("drive-scsi0", &small_disk())])
}

fn run(archive: &[u8]) -> (Result<Summary, Stop>, Vec<Kind>) {
    run_in_steps(archive, 4096)
}

fn run_in_steps(archive: &[u8], step: usize) -> (Result<Summary, Stop>, Vec<Kind>) {
    let mut findings = Findings::default();
    let result = check(&mut Bytes { left: archive, step }, &mut findings);
    if let Err(Stop::Damaged(finding)) = &result {
        findings.add(finding.clone());
    }
    (result, findings.into_vec().iter().map(|finding| finding.kind).collect())
}

/// Repairs the checksum of the header.
fn reseal_header(archive: &mut [u8]) {
    let length = u32::from_be_bytes(archive[56..60].try_into().unwrap()) as usize;
    archive[32..48].fill(0);
    let digest = Md5::digest(&archive[..length]);
    archive[32..48].copy_from_slice(&digest);
}

/// Repairs the checksum of the extent at an offset.
fn reseal_extent(archive: &mut [u8], at: usize) {
    archive[at + 24..at + 40].fill(0);
    let digest = Md5::digest(&archive[at..at + 512]);
    archive[at + 24..at + 40].copy_from_slice(&digest);
}

const EXTENT: usize = 12800;

#[test]
fn a_good_archive_is_seen_whole() {
    for step in [1, 7, 511, 4096, 1 << 20] {
        let (result, kinds) = run_in_steps(&small(), step);
        let summary = result.unwrap();
        assert_eq!(kinds, []);
        assert_eq!(summary.header.created, 1_700_000_000);
        assert_eq!((summary.extents, summary.length), (1, small().len() as u64));
        assert_eq!(summary.config.unwrap().name.as_deref(), Some("t"));
    }
}

#[test]
fn an_archive_without_disks() {
    let (result, kinds) = run(&build(&[("qemu-server.conf", "name: diskless\n")], &[]));
    assert_eq!(result.unwrap().extents, 1);
    assert_eq!(kinds, []);
}

#[test]
fn cut_anywhere_it_is_damaged() {
    let archive = small();
    for length in 0..archive.len() {
        let (_, kinds) = run(&archive[..length]);
        let damaged = kinds.iter().any(|kind| kind.severity() == crate::domain::finding::Severity::Damage);
        assert!(damaged, "cut at {length}: {kinds:?}");
    }
}

#[test]
fn a_flipped_bit_in_a_header_is_damage() {
    let archive = small();
    let header = (0..EXTENT).flat_map(|byte| [(byte, byte % 8)]);
    let extent = (EXTENT..EXTENT + 512).flat_map(|byte| (0..8).map(move |bit| (byte, bit)));
    for (byte, bit) in header.chain(extent) {
        let mut flipped = archive.clone();
        flipped[byte] ^= 1 << bit;
        let (result, _) = run(&flipped);
        assert!(matches!(result, Err(Stop::Damaged(_))), "byte {byte} bit {bit}");
    }
}

#[test]
fn clusters_that_are_missing_double_unknown_or_behind_the_end() {
    // Slot 2 is the last cluster of the disk: cluster 2, one block.
    let slot = EXTENT + 40 + 16;
    let with = |bytes: [u8; 8]| {
        let mut archive = small();
        archive[slot..slot + 8].copy_from_slice(&bytes);
        reseal_extent(&mut archive, EXTENT);
        run(&archive).1
    };
    assert_eq!(with([0, 1, 0, 1, 0, 0, 0, 2]), []);
    assert_eq!(with([0, 1, 0, 9, 0, 0, 0, 2]), [Kind::VmaUnknownDevice, Kind::VmaMissingClusters]);
    assert_eq!(with([0, 1, 0, 1, 0, 0, 0, 1]), [Kind::VmaDuplicateCluster, Kind::VmaMissingClusters]);
    assert_eq!(with([0, 1, 0, 1, 0, 0, 0, 3]), [Kind::VmaBeyondEnd, Kind::VmaMissingClusters]);
    assert_eq!(with([0, 1, 0, 1, 0xff, 0xff, 0xff, 0xff]), [Kind::VmaBeyondEnd, Kind::VmaMissingClusters]);
    // The second block of the last cluster lies behind the end.
    assert_eq!(with([0, 2, 0, 1, 0, 0, 0, 2]), [Kind::VmaBeyondEnd]);
    assert_eq!(with([0, 0, 0, 1, 0, 0, 0, 2]), [Kind::VmaExtent]);
}

#[test]
fn old_writers_store_the_whole_of_the_last_cluster() {
    let mut archive = small();
    let slot = EXTENT + 40 + 16;
    archive[slot..slot + 2].copy_from_slice(&[0xff, 0xff]);
    archive[EXTENT + 6..EXTENT + 8].copy_from_slice(&18_u16.to_be_bytes());
    reseal_extent(&mut archive, EXTENT);
    archive.extend([b'C'; 15 * 4096]);
    let (result, kinds) = run(&archive);
    assert!(result.is_ok());
    assert_eq!(kinds, []);
}

#[test]
fn bytes_behind_the_end_of_a_device_are_noted() {
    let mut disk = small_disk();
    disk.truncate(131_072 + 512);
    let mut archive = build(&[("qemu-server.conf", CONFIG)], &[("drive-scsi0", &disk)]);
    assert_eq!(run(&archive).1, [Kind::DiskSize]);
    let end = archive.len();
    archive[end - 1] = 1;
    assert_eq!(run(&archive).1, [Kind::DiskSize, Kind::ClippedBytes]);
}

#[test]
fn a_hostile_size_takes_no_memory() {
    for size in [u64::MAX, 1 << 63, (1 << 48) + 1, 100, 65536 * 64 + 100] {
        let mut archive = small();
        archive[4096 + 32 + 8..4096 + 32 + 16].copy_from_slice(&u64::to_be_bytes(size));
        reseal_header(&mut archive);
        assert_eq!(run(&archive).1, [Kind::VmaDeviceSize], "{size}");
    }
    let mut archive = small();
    archive[4096 + 32 + 8..4096 + 32 + 16].copy_from_slice(&(1_u64 << 48).to_be_bytes());
    reseal_header(&mut archive);
    assert_eq!(run(&archive).1, [Kind::VmaMissingClusters]);
    let mut archive = small();
    archive[56..60].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(run(&archive).1, [Kind::VmaHeader]);
}

#[test]
fn memory_contents_come_in_order_and_may_be_short() {
    let memory = vec![7; 200_000];
    let mut archive = build(&[("qemu-server.conf", "name: m\n")], &[("vmstate", &memory)]);
    assert_eq!(run(&archive).1, []);
    let entry = 4096 + 32 + 8;
    archive[entry..entry + 8].copy_from_slice(&1_000_000_u64.to_be_bytes());
    reseal_header(&mut archive);
    assert_eq!(run(&archive).1, [Kind::VmstateShort]);
    let (first, second) = (EXTENT + 40, EXTENT + 48);
    let slot: [u8; 8] = archive[first..second].try_into().unwrap();
    archive.copy_within(second..second + 8, first);
    archive[second..second + 8].copy_from_slice(&slot);
    reseal_extent(&mut archive, EXTENT);
    assert_eq!(run(&archive).1, [Kind::VmaVmstateOrder, Kind::VmstateShort]);
}

#[test]
fn disks_are_compared_with_the_configuration() {
    let disk = small_disk();
    let of = |config: &str, disks: &[(&str, &[u8])]| run(&build(&[("qemu-server.conf", config)], disks)).1;
    let maps = "#qmdump#map:scsi0:drive-scsi0:local:raw:\n";
    let both = format!("scsi0: a:b\nscsi1: a:c\n{maps}");
    assert_eq!(of(&both, &[("drive-scsi0", &disk)]), [Kind::DiskMissing]);
    assert_eq!(of(&both.replace("a:c", "a:c,backup=0"), &[("drive-scsi0", &disk)]), [Kind::VolumeLeftOut]);
    let cdrom = both.replace("a:c", "none,media=cdrom,backup=0");
    assert_eq!(of(&cdrom, &[("drive-scsi0", &disk)]), [], "nobody misses it");
    assert_eq!(of(maps, &[]), [Kind::DiskMissing]);
    assert_eq!(of(&both, &[("drive-ide0", &disk)]), [Kind::DiskUnmapped, Kind::DiskMissing, Kind::DiskMissing]);
    assert_eq!(of("scsi0: a:b\n", &[("drive-scsi0", &disk)]), [Kind::DiskUnmapped]);
    assert_eq!(of(&format!("scsi0: a:b,size=32G\n{maps}"), &[("drive-scsi0", &disk)]), [Kind::DiskSize]);
    assert_eq!(run(&build(&[], &[("drive-scsi0", &disk)])).1, [Kind::NoConfig]);
}

#[test]
fn names_that_lead_elsewhere_are_found() {
    let disk = small_disk();
    let maps = "#qmdump#map:scsi0:../x-evil:local:raw:\n";
    assert_eq!(run(&build(&[("qemu-server.conf", maps)], &[("../x-evil", &disk)])).1, [Kind::HostileName]);
    let twice: &[(&str, &[u8])] = &[("drive-scsi0", &disk), ("drive-scsi0", &disk)];
    assert_eq!(run(&build(&[("qemu-server.conf", CONFIG)], twice)).1, [Kind::VmaDuplicateDevice]);
}

#[test]
fn clusters_scattered_over_the_largest_disks_are_refused_not_stored() {
    // 250 disks of 256 TiB, each cluster on a page of its own.
    let config = "name: t\n";
    let names: Vec<String> = (0..250).map(|index| format!("drive-scsi{index}")).collect();
    let disks: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
    let mut archive = build(&[("qemu-server.conf", config)], &disks);
    archive.truncate(archive.len() - archive.len() % 512);
    let length = u32::from_be_bytes(archive[56..60].try_into().unwrap()) as usize;
    archive.truncate(length);
    for index in 1..=250 {
        let entry = 4096 + 32 * index + 8;
        archive[entry..entry + 8].copy_from_slice(&(1_u64 << 48).to_be_bytes());
    }
    reseal_header(&mut archive);
    let uuid: [u8; 16] = archive[8..24].try_into().unwrap();
    let mut clusters = (0..131_072_u32).flat_map(|page| (1..=250_u8).map(move |device| (device, page << 15)));
    let mut stopped = false;
    let mut stream = archive.clone();
    for _ in 0..8000 {
        let mut head = [0; 512];
        head[..4].copy_from_slice(b"VMAE");
        head[8..24].copy_from_slice(&uuid);
        for slot in 0..59 {
            let (device, cluster) = clusters.next().unwrap();
            head[40 + 8 * slot + 3] = device;
            head[40 + 8 * slot + 4..48 + 8 * slot].copy_from_slice(&cluster.to_be_bytes());
        }
        reseal_extent(&mut head, 0);
        stream.extend(head);
    }
    if let (Err(Stop::Limit(_)), _) = run(&stream) {
        stopped = true;
    }
    assert!(stopped);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut archive = small();
        let length = bytes.len().min(archive.len());
        archive[..length].copy_from_slice(&bytes[..length]);
        let _ = run(&archive);
    }

    #[test]
    fn any_sealed_header_is_read_without_panic(at in 48_usize..12288, value in any::<[u8; 4]>(), blob in any::<[u8; 16]>()) {
        let mut archive = small();
        archive[at..at + 4].copy_from_slice(&value);
        archive[12288..12304].copy_from_slice(&blob);
        if archive[56..60] == 12800_u32.to_be_bytes() {
            reseal_header(&mut archive);
        }
        let _ = run(&archive);
    }

    #[test]
    fn any_sealed_extent_is_read_without_panic(slots in proptest::collection::vec(any::<[u8; 8]>(), 59), blocks in any::<u16>()) {
        let mut archive = small();
        for (index, slot) in slots.iter().enumerate() {
            archive[EXTENT + 40 + 8 * index..EXTENT + 48 + 8 * index].copy_from_slice(slot);
        }
        archive[EXTENT + 6..EXTENT + 8].copy_from_slice(&blocks.to_be_bytes());
        reseal_extent(&mut archive, EXTENT);
        let _ = run(&archive);
    }
}
