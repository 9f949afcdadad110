use proptest::prelude::*;

use super::*;
use crate::domain::finding::Finding;
use crate::formats::stream::Bytes;

const GRAIN: usize = 65536;

/// A disk of 33 MiB and a half grain: two tables, some grains of zeros.
fn disk(grains: usize, tail: usize) -> Vec<u8> {
    let mut disk = vec![0; grains * GRAIN + tail];
    let mut state = 1_u32;
    for (number, grain) in disk.chunks_mut(GRAIN).enumerate() {
        if number % 3 == 1 {
            continue;
        }
        for (at, byte) in grain.iter_mut().enumerate() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = if at % 64 == 0 { (state >> 24) as u8 } else { number as u8 | 1 };
        }
    }
    disk
}

fn small() -> Vec<u8> {
    disk(5, 512)
}

fn build(layout: Layout, disk: &[u8]) -> Vec<u8> {
    Builder { layout, descriptor: "" }.build(disk)
}

fn look(file: &[u8], step: usize) -> (Result<Disk, Stop>, Vec<Finding>) {
    let mut findings = Findings::default();
    let mut stream = Bytes { left: file, step };
    let result = check(&mut stream, &mut findings);
    let result = match result {
        Err(Stop::Damaged(finding)) => {
            findings.add(finding);
            Err(Stop::Limit("damaged".into()))
        }
        Ok(disk) => {
            assert!(stream.left.is_empty());
            Ok(disk)
        }
        other => other,
    };
    (result, findings.into_vec())
}

fn kinds(file: &[u8]) -> Vec<Kind> {
    look(file, 4096).1.into_iter().map(|finding| finding.kind).filter(|kind| *kind != Kind::NoContentChecksum).collect()
}

/// Passes as intact.
fn passes(file: &[u8]) -> bool {
    let (result, findings) = look(file, 65536);
    result.is_ok() && !findings.iter().any(|it| it.severity() == crate::domain::finding::Severity::Damage)
}

const ALL: [Layout; 3] = [Layout::Footer, Layout::Front, Layout::Plain];

#[test]
fn good_disks_are_complete() {
    for layout in ALL {
        for content in [small(), disk(1, 0), disk(1200, 0), disk(513, 1024), vec![0; 4 << 20]] {
            let file = build(layout, &content);
            for step in [7, 512, 100_000] {
                if step == 7 && content.len() > 1 << 20 {
                    continue;
                }
                let (result, findings) = look(&file, step);
                let found = result.unwrap();
                let notes = usize::from(layout == Layout::Plain);
                assert_eq!((findings.len(), found.level), (notes, Level::Complete), "{layout:?} {findings:?}");
                assert_eq!(found.capacity, Some(content.len() as u64));
                let stored = content.chunks(GRAIN).filter(|grain| grain.iter().any(|byte| *byte != 0)).count();
                assert_eq!(found.grains, stored as u64);
                assert!(found.descriptor.is_some());
            }
        }
    }
}

/// A file that is cut anywhere is damaged, but for the last zeros of a disk that has no end mark.
#[test]
fn what_is_cut_is_found() {
    for layout in ALL {
        let file = build(layout, &small());
        for end in (0..file.len()).filter(|end| end % 512 < 3 || end % 512 > 508 || end % 101 == 0) {
            let lost = &file[end..];
            if !lost.iter().all(|byte| *byte == 0) || layout != Layout::Front {
                assert!(!passes(&file[..end]), "{layout:?} cut at {end} of {}", file.len());
            }
        }
    }
}

/// Where grains are, by their marks.
fn grains(file: &[u8]) -> Vec<(usize, usize)> {
    let mut at = u64::from_le_bytes(file[64..72].try_into().unwrap()) as usize * 512;
    let mut found = Vec::new();
    while at + 16 <= file.len() {
        let size = u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap()) as usize;
        if size == 0 {
            break;
        }
        found.push((at, size));
        at += (12 + size).next_multiple_of(512);
    }
    found
}

/// What a grain holds, by another way: the bits that fill up the last byte of a block mean nothing.
fn inflate(data: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut decoder) = (vec![0; 2 * GRAIN], flate2::Decompress::new(true));
    let status = decoder.decompress(data, &mut out, flate2::FlushDecompress::Finish).ok()?;
    out.truncate(decoder.total_out() as usize);
    (status == flate2::Status::StreamEnd).then_some(out)
}

#[test]
fn every_flipped_bit_of_a_grain_is_found() {
    for layout in [Layout::Footer, Layout::Front] {
        let mut file = build(layout, &small());
        let all = grains(&file);
        assert_eq!(all.len(), 4);
        for (at, size) in all {
            let good = inflate(&file[at + 12..at + 12 + size]);
            assert!(good.is_some());
            for bit in (0..(12 + size) * 8).filter(|bit| bit % 13 == 0 || *bit < 900 || size < 2000) {
                let (byte, mask) = (at + bit / 8, 1 << (bit % 8));
                file[byte] ^= mask;
                if passes(&file) {
                    let longer = (8 * 8..12 * 8).contains(&bit);
                    assert!(longer || inflate(&file[at + 12..at + 12 + size]) == good, "{layout:?} bit {bit} of {at}");
                }
                file[byte] ^= mask;
            }
        }
    }
}

#[test]
fn tables_and_footer_must_fit() {
    for layout in ALL {
        let file = build(layout, &disk(600, 0));
        let words = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        // Every word that leads somewhere: in tables, in directories, in the footer.
        let from = if layout == Layout::Footer { file.len() - 9 * 512 } else { 21 * 512 };
        let to = if layout == Layout::Footer { file.len() } else { 21 * 512 + 2 * 9 * 512 };
        let mut tried = 0;
        for at in (from..to).step_by(4).filter(|at| words(*at) != 0 && (layout == Layout::Footer || at % 28 == 0)) {
            for bit in [0, 9, 30] {
                let mut wrong = file.clone();
                wrong[at + bit / 8] ^= 1 << (bit % 8);
                if !passes(&wrong) {
                    tried += 1;
                    continue;
                }
                // The value of a mark of the footer says nothing.
                let value_of_footer = at == file.len() - 1536;
                assert!(value_of_footer, "{layout:?} bit {bit} of the word at {at} of {}", file.len());
            }
        }
        assert!(tried > 30, "{tried}");
    }
}

#[test]
fn one_defect_each() {
    let good = build(Layout::Footer, &small());
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = good.clone();
        change(&mut file);
        kinds(&file)
    };
    let (first, size) = grains(&good)[0];
    let second = grains(&good)[1].0;
    assert_eq!(with(&|_| {}), []);
    assert_eq!(with(&|file| file[0] = b'X'), [Kind::VmdkHeader]);
    assert_eq!(with(&|file| file[4] = 9), [Kind::UnknownVersion]);
    assert_eq!(with(&|file| file[73] = b'\r'), [Kind::VmdkHeader]);
    assert_eq!(with(&|file| file[20] = 3), [Kind::VmdkHeader]);
    assert_eq!(with(&|file| file[77] = 0), [Kind::VmdkHeader]);
    assert_eq!(with(&|file| file[72] = 1), [Kind::VmdkHeader, Kind::DiskOpen]);
    assert_eq!(with(&|file| file[513] = b'x'), [Kind::VmdkDescriptor]);
    assert_eq!(with(&|file| file[first + 11] = 9), [Kind::VmdkGrain]);
    assert_eq!(with(&|file| file[first + 12 + size - 1] ^= 1), [Kind::VmdkGrain]);
    assert_eq!(with(&|file| file[second] = 1), [Kind::VmdkGrain]);
    assert_eq!(with(&|file| file[second + 1] = 0), [Kind::VmdkGrain]);
    assert_eq!(with(&|file| file.truncate(file.len() - 512)), [Kind::Truncated]);
    assert_eq!(with(&|file| file.truncate(file.len() - 1536)), [Kind::Truncated]);
    assert_eq!(with(&|file| file.extend([0; 512])), [Kind::TrailingPadding]);
    assert_eq!(with(&|file| file.extend([7; 512])), [Kind::TrailingBytes]);
    assert_eq!(with(&|file| file.clear()), [Kind::Empty]);
    // The size of the disk: the descriptor has it, too. VirtualBox rounds up in the header.
    let capacity = u64::from_le_bytes(good[12..20].try_into().unwrap());
    let sized = |sectors: u64| {
        with(&|file| {
            for at in [12, file.len() - 1024 + 12] {
                file[at..at + 8].copy_from_slice(&sectors.to_le_bytes());
            }
        })
    };
    assert_eq!((sized(capacity + 1), sized(capacity.next_multiple_of(128))), (vec![Kind::VmdkHeader], vec![]));
    // A grain twice, and one that is left out.
    let again = good[first..second].to_vec();
    assert_eq!(with(&|file| drop(file.splice(second..second, again.clone()))), [Kind::VmdkGrain]);
    assert!(with(&|file| drop(file.drain(first..second))).contains(&Kind::VmdkTable));
    // `qemu-img` fills up behind the end.
    let mut front = build(Layout::Front, &small());
    front.extend([0; 4096]);
    assert_eq!(kinds(&front), []);
}

#[test]
fn differences_and_pieces_prove_less() {
    let delta = Builder { layout: Layout::Plain, descriptor: "parentCID=12345678\nparentFileNameHint=\"base.vmdk\"" };
    let (result, findings) = look(&delta.build(&small()), 4096);
    assert_eq!(result.unwrap_or_else(|_| panic!("{findings:?}")).level, Level::Decodes);
    assert!(findings[0].text.contains("base.vmdk"), "{findings:?}");
    let mut piece = build(Layout::Plain, &small());
    piece[28] = 0;
    assert_eq!((kinds(&piece), look(&piece, 4096).0.unwrap().descriptor), (vec![], None));
    assert_eq!(kinds(b"COWD and more"), [Kind::NotDecoded]);
    let (result, findings) = look(b"# Disk DescriptorFile\ncreateType=\"vmfs\"\nRW 100 VMFS \"x-flat.vmdk\"\n", 9);
    let found = result.unwrap();
    assert_eq!((found.is_text, found.capacity, findings.len()), (true, Some(51_200), 0));
}

#[test]
fn names_of_raw_disks() {
    for name in ["web-flat.vmdk", "web-000001-flat.vmdk", "web-f001.vmdk"] {
        assert!(is_raw_name(name), "{name}");
    }
    for name in ["web.vmdk", "web-s001.vmdk", "flat.vmdk", "web-flat.vmdk.gz", "web-full.vmdk"] {
        assert!(!is_raw_name(name), "{name}");
    }
    assert!(is_piece_name("web-s001.vmdk") && is_piece_name("web-flat.vmdk") && !is_piece_name("web-sol.vmdk"));
}

/// A header that says whatever it likes takes no memory for it.
#[test]
fn large_words_of_a_header_cost_nothing() {
    let good = build(Layout::Front, &small());
    for at in (4..80).step_by(4) {
        for word in [u32::MAX, 0, 1 << 31, 1 << 20, 0x0001_0001] {
            let mut file = good.clone();
            file[at..at + 4].copy_from_slice(&word.to_le_bytes());
            let _ = look(&file, 4096);
        }
    }
}

/// Two grains in one place, and one at the end of the file that is not there.
#[test]
fn grains_that_are_not_compressed_have_a_place_each() {
    let good = build(Layout::Plain, &small());
    let tables = |file: &mut Vec<u8>, entry: usize, sector: u32| {
        for directory in [21, 26] {
            let at = (directory + 1) * 512 + entry * 4;
            file[at..at + 4].copy_from_slice(&sector.to_le_bytes());
        }
    };
    let first = u32::from_le_bytes(good[22 * 512..22 * 512 + 4].try_into().unwrap());
    for (entry, sector, kind) in [(2, first, Kind::VmdkTable), (2, u32::MAX, Kind::Truncated), (3, 5, Kind::VmdkTable)]
    {
        let mut file = good.clone();
        tables(&mut file, entry, sector);
        assert_eq!(kinds(&file)[0], kind, "{entry} {sector}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn changed_words_are_read_without_panic(
        layout in 0_usize..3,
        changes in proptest::collection::vec((0_usize..6000, any::<u32>(), 0_u32..28), 1..6),
        cut in proptest::option::of(0_usize..400_000),
    ) {
        let mut file = build(ALL[layout], &disk(3, 512));
        for (word, value, shift) in changes {
            let at = word * 4 % (file.len() - 4);
            file[at..at + 4].copy_from_slice(&(value >> shift).to_le_bytes());
        }
        file.truncate(cut.unwrap_or(usize::MAX));
        let once = format!("{:?}", look(&file, 4096));
        prop_assert_eq!(once, format!("{:?}", look(&file, 977)));
    }

    #[test]
    fn any_bytes_are_read_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..3000), mark in any::<bool>()) {
        if mark && bytes.len() > 80 {
            bytes[..4].copy_from_slice(&MAGIC);
            bytes[4..8].copy_from_slice(&[1, 0, 0, 0]);
        }
        let _ = look(&bytes, 100);
    }
}
