use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::build::{build, header, sealed};
use super::*;

/// Three times "the quick brown fox ", 200 zeros and "END." as a pipe through lzop makes of it.
const FOX: &str = "894c5a4f000d0a1a0a104020a0094001050300000d000000006b011582000000000026c60273\
    00000108000000322b3216ff000274686520717569636b2062726f776e20666f782020074d0000209b00000c0000000000000000000000\
    454e442e11000000000000";

/// BLAKE3 of what `tests/fixtures/lzop/mix-*.lzo` hold: words, noise, runs of small periods, and copies from as far
/// back as LZO1X reaches, in two blocks.
const MIX: (usize, &str) = (265_602, "7deab2b8b28ce2217324d06b8e4477934ffd6949e17c33d3025c8feeb27287ff");

fn fox() -> (Vec<u8>, Vec<u8>) {
    let digits: Vec<u8> = FOX.bytes().filter(|byte| *byte != b' ').collect();
    let file = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    let plain = [&b"the quick brown fox ".repeat(3)[..], &[0; 200], b"END."].concat();
    (file.collect(), plain)
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// The content and what was noticed.
fn unpack(file: &[u8]) -> Result<(Vec<u8>, Vec<Finding>), Stop> {
    let mut input = Input::new(file);
    let mut lzop = Lzop::new(&mut input);
    let mut content = Vec::new();
    loop {
        let chunk = lzop.chunk()?;
        if chunk.is_empty() {
            break;
        }
        content.extend(chunk);
        let count = chunk.len();
        lzop.consume(count);
    }
    let findings = lzop.findings();
    assert_eq!(input.total(), file.len() as u64, "a file is read to its end, or its digest is of something else");
    Ok((content, findings))
}

#[track_caller]
fn damage(file: &[u8]) -> Finding {
    match unpack(file) {
        Err(Stop::Damaged(finding)) => finding,
        other => panic!("{other:?}"),
    }
}

/// The fox again, with other flags and checksums.
fn fox_with(flags: u32, sums: &[u32]) -> Vec<u8> {
    let fox = fox().0;
    let sums = sums.iter().flat_map(|sum| sum.to_be_bytes()).collect();
    [header(flags), fox[38..46].to_vec(), sums, fox[50..].to_vec()].concat()
}

#[test]
fn the_fox() {
    let (file, plain) = fox();
    let (content, findings) = unpack(&file).unwrap();
    assert_eq!(content, plain);
    assert_eq!(findings, []);
}

#[test]
fn what_lzop_says_of_damaged_files() {
    let verdicts: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_slice(&fixture("compressed/verdicts.json")).unwrap();
    let base = unpack(&fixture("compressed/c00-good.vma.lzo")).unwrap().0;
    let mut seen = 0;
    for (name, verdict) in verdicts.iter().filter(|(name, _)| name.ends_with(".lzo")) {
        let result = unpack(&fixture(&format!("compressed/{name}")));
        match &result {
            Ok((content, findings)) => {
                assert_eq!(verdict["test_rc"], "0", "{name}");
                assert_eq!(verdict["decompressed_same_as_base"] == "yes", *content == base, "{name}");
                let padded = findings.iter().any(|finding| finding.kind == Kind::TrailingPadding);
                assert_eq!(padded, name.starts_with("c10"), "{name}");
            }
            Err(Stop::Damaged(_)) => assert_ne!(verdict["test_rc"], "0", "{name}: {result:?}"),
            Err(_) => panic!("{name}: {result:?}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 11);
}

#[test]
fn how_damage_is_called() {
    let kind = |name: &str| damage(&fixture(&format!("compressed/{name}.vma.lzo"))).kind;
    assert_eq!(kind("c02-cut-10-bytes"), Kind::Truncated);
    assert_eq!(kind("c04-cut-last-byte"), Kind::Truncated);
    assert_eq!(kind("c06-magic-bitflip"), Kind::ContainerCorrupt);
    assert_eq!(kind("c12-two-frames"), Kind::TrailingData);
}

#[test]
fn what_lzop_makes_at_every_level() {
    for name in ["mix-1", "mix-3", "mix-9", "mix-crc32"] {
        let (content, findings) = unpack(&fixture(&format!("lzop/{name}.lzo"))).unwrap();
        assert_eq!((content.len(), blake3::hash(&content).to_hex().as_str()), MIX, "{name}");
        assert_eq!(findings, [], "{name}");
    }
    let noise = unpack(&fixture("lzop/noise.lzo")).unwrap().0;
    let expected = "8596c6bccd760a08f1ae02b4149592a91fe43fead0b74d967e1c5d7d2ceb32b3";
    assert_eq!((noise.len(), blake3::hash(&noise).to_hex().as_str()), (600, expected));
    assert_eq!(unpack(&fixture("lzop/empty.lzo")).unwrap(), (Vec::new(), Vec::new()));
}

#[test]
fn without_checksums_it_is_noticed() {
    let (content, findings) = unpack(&fixture("lzop/mix-no-checksum.lzo")).unwrap();
    assert_eq!(content.len(), MIX.0);
    assert_eq!(findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [Kind::NoChecksum]);
}

#[test]
fn a_filter_is_no_damage() {
    assert!(matches!(unpack(&fixture("lzop/mix-filter.lzo")), Err(Stop::Limit(_))));
}

#[test]
fn cut_anywhere_it_is_truncated() {
    let file = build(b"some words in blocks of seven bytes", 7);
    for file in [fox().0, file, fixture("lzop/noise.lzo"), fox_with(0x303, &[1, 2, 3, 4])[..60].to_vec()] {
        for length in 0..file.len() {
            assert_eq!(damage(&file[..length]).kind, Kind::Truncated, "{length}");
        }
    }
}

#[test]
fn no_bit_flips_unnoticed() {
    for (mut file, plain) in [fox(), (build(b"stored in blocks", 5), b"stored in blocks".to_vec())] {
        for bit in 0..file.len() * 8 {
            file[bit / 8] ^= 1 << (bit % 8);
            match unpack(&file) {
                Err(Stop::Damaged(_)) => {}
                Ok((content, _)) => assert!(content == plain && bit / 8 >= 38, "{bit}"),
                Err(stop) => panic!("{bit}: {stop:?}"),
            }
            file[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(unpack(&file).is_ok());
    }
}

#[test]
fn every_checksum_is_looked_at() {
    let plain = fox().1;
    let fox = fox().0;
    let packed = &fox[50..fox.len() - 4];
    let crc = |bytes: &[u8]| {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        sum.sum()
    };
    let sums = [simd_adler32::adler32(&plain.as_slice()), crc(&plain), simd_adler32::adler32(&packed), crc(packed)];
    let flags = header::ADLER32_D | header::CRC32_D | header::ADLER32_C | header::CRC32_C;
    assert_eq!(unpack(&fox_with(flags, &sums)).unwrap(), (plain, Vec::new()));
    for index in 0..4 {
        let mut wrong = sums;
        wrong[index] ^= 1;
        let finding = damage(&fox_with(flags, &wrong));
        assert_eq!(finding.kind, Kind::ContainerChecksum);
        assert!(finding.text.contains("the block at byte 38 of the file"), "{finding}");
        assert_eq!(finding.text.contains("compressed form"), index >= 2, "{finding}");
    }
}

#[test]
fn padding_passes_and_anything_else_does_not() {
    let file = build(&[7; 100], 64);
    let with = |more: &[u8]| [&file, more].concat();
    let (content, findings) = unpack(&with(&vec![0; 300_000])).unwrap();
    assert_eq!(content, [7; 100]);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].kind, Kind::TrailingPadding);
    assert!(findings[0].text.starts_with("300000 zero bytes"), "{}", findings[0]);
    for more in [&b"\n"[..], b"\0\0\0x", &[&[0; 200_000][..], &[1]].concat(), &file, &MAGIC] {
        assert_eq!(damage(&with(more)).kind, Kind::TrailingData);
    }
}

#[test]
fn sizes_that_cannot_be() {
    let lead = |size: u32, packed: u32| {
        [header(0), size.to_be_bytes().to_vec(), packed.to_be_bytes().to_vec(), b"\x13ab\x11\0\0".to_vec(), vec![0; 4]]
            .concat()
    };
    assert_eq!(unpack(&lead(1 << 25, 1 << 24)).unwrap_err_text(), "limit");
    assert_eq!(unpack(&lead(1 << 25, 1 << 25)).unwrap_err_text(), "limit");
    // Said to be too large, but it isn't.
    assert_eq!(unpack(&lead(1 << 25, 6)).unwrap_err_text(), "container_corrupt");
    for (size, packed) in [(1 << 27, 6), (u32::MAX, 6), (5, 6), (5, 0), (7, 6)] {
        assert_eq!(unpack(&lead(size, packed)).unwrap_err_text(), "container_corrupt", "{size} {packed}");
    }
    assert_eq!(unpack(&lead(1000, 900)).unwrap_err_text(), "truncated");
}

trait ErrText {
    fn unwrap_err_text(self) -> String;
}

impl<T: std::fmt::Debug> ErrText for Result<T, Stop> {
    fn unwrap_err_text(self) -> String {
        match self.unwrap_err() {
            Stop::Damaged(finding) => finding.kind.as_str().to_owned(),
            Stop::Read(_) => "read".to_owned(),
            Stop::Limit(_) => "limit".to_owned(),
        }
    }
}

#[test]
fn a_large_block_is_named_a_limit_only_if_it_is_large() {
    // A run of 9 MiB: "ab", and a copy of it.
    let zeros = (9 << 20) / 255;
    let packed = [b"\x13ab\x20", &vec![0; zeros][..], b"\x01\0\0\x11\0\0"].concat();
    let size = 2 + 33 + zeros as u32 * 255 + 1;
    let file = [header(0), size.to_be_bytes().to_vec(), (packed.len() as u32).to_be_bytes().to_vec(), packed].concat();
    let Err(Stop::Limit(text)) = unpack(&file) else { panic!() };
    assert!(text.contains("8 MiB"), "{text}");
}

#[test]
fn headers_that_lzop_refuses() {
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut fields = header(header::ADLER32_D)[9..34].to_vec();
        change(&mut fields);
        [sealed(&fields), vec![0; 4]].concat()
    };
    assert!(unpack(&with(&|_| {})).is_ok());
    assert!(unpack(&with(&|fields| fields[0] = 0x20)).is_ok(), "a later lzop may write what an earlier one reads");
    for (index, value) in [(0, 8), (4, 0x11), (4, 8), (6, 0), (6, 4), (7, 10), (9, 8), (10, 0x80), (10, 4)] {
        let finding = damage(&with(&|fields| fields[index] = value));
        assert_eq!(finding.kind, Kind::ContainerCorrupt, "{index} {finding}");
    }
    assert_eq!(damage(b"PK\x03\x04").kind, Kind::ContainerCorrupt);
}

#[test]
fn headers_of_old_versions_and_extra_fields() {
    // Before 0.94: no version needed, no level, no upper half of the time.
    let old = [&[0x09, 0x30, 0x10, 0x20, 1][..], &1_u32.to_be_bytes(), &[0; 8], b"\x01x"].concat();
    assert_eq!(unpack(&[sealed(&old), vec![0; 4]].concat()).unwrap().1, []);
    let extra = [&5_u32.to_be_bytes()[..], b"extra"].concat();
    let sum = simd_adler32::adler32(&extra.as_slice());
    let with = |sum: u32| [header(0x41), extra.clone(), sum.to_be_bytes().to_vec(), vec![0; 4]].concat();
    assert_eq!(unpack(&with(sum)).unwrap().1, []);
    assert_eq!(damage(&with(sum ^ 1)).kind, Kind::ContainerChecksum);
    let endless = [header(0x41), u32::MAX.to_be_bytes().to_vec(), vec![1; 9]].concat();
    assert_eq!(damage(&endless).kind, Kind::Truncated);
}

#[test]
fn behind_damage_nothing_follows() {
    let file = fixture("compressed/c16-64-bytes-zeroed.vma.lzo");
    let mut input = Input::new(&file[..]);
    let mut lzop = Lzop::new(&mut input);
    assert!(matches!(super::super::stream::drain(&mut lzop), Err(Stop::Damaged(_))));
    assert!(matches!(lzop.chunk(), Err(Stop::Read(_))));
}

#[test]
fn what_cannot_be_read_is_not_damaged() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("no"))
        }
    }
    let file = build(&[1; 500], 100);
    for length in [0, 20, 40, 46, 100] {
        let mut input = Input::new(file[..length].chain(Failing));
        let mut lzop = Lzop::new(&mut input);
        assert!(matches!(super::super::stream::drain(&mut lzop), Err(Stop::Read(_))), "{length}");
    }
}

proptest! {
    #[test]
    fn any_bytes_without_panic(flags in 0_u32..4, rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = unpack(&[header(flags | (flags & 2) << 7), rest].concat());
    }

    #[test]
    fn any_block_without_panic(packed in prop::collection::vec(any::<u8>(), 1..300), more in 1_u32..3000) {
        let length = packed.len() as u32;
        let lead = [(length + more).to_be_bytes(), length.to_be_bytes()].concat();
        let _ = unpack(&[header(0), lead, packed, vec![0; 4]].concat());
    }

    #[test]
    fn stored_blocks(data in prop::collection::vec(any::<u8>(), 0..2000), block in 1_usize..700) {
        prop_assert_eq!(unpack(&build(&data, block)).unwrap(), (data, Vec::new()));
    }
}
