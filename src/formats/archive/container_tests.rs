//! Compressors: damage wherever it can be noticed, and nothing that takes more than it may.

use std::io::Write as _;

use proptest::prelude::*;
use zstd_safe::{CCtx, CParameter};

use super::*;

/// A small archive that restores.
fn vma() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/vma/bad/ok-w01-written-by-script.vma.zst");
    let mut archive = Vec::with_capacity(1 << 20);
    zstd_safe::decompress(&mut archive, &std::fs::read(path).unwrap()).unwrap();
    archive
}

fn zst(content: &[u8], checksum: bool) -> Vec<u8> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::ChecksumFlag(checksum)).unwrap();
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(content.len()));
    context.compress2(&mut out, content).unwrap();
    out
}

fn gz(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new().filename("name").comment("a comment").extra(vec![1, 2, 3]);
    encoder = encoder.mtime(7);
    let mut encoder = encoder.write(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn bz2(content: &[u8]) -> Vec<u8> {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Each compressor with the name of a file of its.
fn compressed() -> [(&'static str, Vec<u8>); 3] {
    let archive = vma();
    [("a.vma.zst", zst(&archive, true)), ("a.vma.gz", gz(&archive)), ("a.vma.bz2", bz2(&archive))]
}

fn run(name: &str, bytes: &[u8]) -> Result<Checked, CannotCheck> {
    check(bytes, Request { name, wanted: Level::Complete, sidecar: None })
}

fn kinds(checked: &Checked) -> Vec<Kind> {
    // The archive was written without map lines; that is no concern of these tests.
    checked.findings.iter().map(|finding| finding.kind).filter(|kind| *kind != Kind::DiskUnmapped).collect()
}

#[test]
fn each_compressor_is_read_to_its_end() {
    for (name, bytes) in compressed() {
        let checked = run(name, &bytes).unwrap();
        assert_eq!((checked.conclusion, checked.reached), (Conclusion::Intact, Some(Level::Complete)), "{name}");
        assert_eq!(checked.digest.unwrap().0, *blake3::hash(&bytes).as_bytes());
        // Two of them one after the other are two archives: the second is no extent of the first.
        let twice = run(name, &[&bytes[..], &bytes].concat()).unwrap();
        assert_eq!(kinds(&twice)[0], Kind::VmaExtent, "{name}");
    }
}

#[test]
fn cut_anywhere_it_is_damaged() {
    for (name, bytes) in compressed() {
        for length in 0..bytes.len() {
            let checked = run(name, &bytes[..length]).unwrap();
            assert_eq!(checked.conclusion, Conclusion::Damaged, "{name} cut at {length}");
            assert_eq!(checked.read, length as u64);
        }
    }
}

#[test]
fn a_flipped_bit_is_damage_or_changes_nothing() {
    for (name, bytes) in compressed() {
        let mut unnoticed = 0;
        for index in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << (index % 8);
            match run(name, &flipped) {
                Ok(checked) => unnoticed += u32::from(checked.conclusion == Conclusion::Intact),
                // A window that is too large may be claimed.
                Err(CannotCheck::Limit(_)) => {}
                Err(CannotCheck::Read(error)) => panic!("{name} byte {index}: {error}"),
            }
        }
        // Names and times in headers, and bits without a meaning, change nothing of the content.
        assert!(unnoticed < 40, "{name}: {unnoticed}");
    }
}

#[test]
fn what_follows_the_end() {
    let with = |name: &str, bytes: &[u8], tail: &[u8]| kinds(&run(name, &[bytes, tail].concat()).unwrap());
    let [(zst, frame), (gz, member), (bz2, stream)] = &compressed();
    assert_eq!(with(zst, frame, b"x"), [Kind::Truncated]);
    assert_eq!(with(zst, frame, b"\0\0\0\0\0"), [Kind::TrailingData]);
    assert_eq!(with(zst, frame, &[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]), []);
    assert_eq!(with(zst, frame, &[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1]), [Kind::Truncated]);
    assert_eq!(with(gz, member, b"x"), [Kind::TrailingData]);
    assert_eq!(with(gz, member, &[0; 70_000]), [Kind::TrailingPadding]);
    assert_eq!(with(bz2, stream, b"garbage"), [Kind::TrailingBytes]);
}

#[test]
fn a_frame_without_a_checksum_is_said() {
    let checked = run("a.vma.zst", &zst(&vma(), false)).unwrap();
    assert_eq!((checked.conclusion, kinds(&checked)), (Conclusion::Intact, vec![Kind::NoChecksum]));
}

#[test]
fn a_frame_that_claims_a_huge_window_is_refused_before_anything_is_allocated() {
    // Window descriptor: exponent 31, 2 TiB.
    let hostile = [&zstd::MAGIC[..], &[0x04, 31 << 3], &[0; 20]].concat();
    match run("a.vma.zst", &hostile) {
        Err(CannotCheck::Limit(text)) => assert!(text.contains("window of 2199023255552 bytes"), "{text}"),
        other => panic!("{other:?}"),
    }
    // One segment of 2^63 bytes.
    let hostile = [&zstd::MAGIC[..], &[0xe4], &(1_u64 << 63).to_le_bytes(), &[0; 20]].concat();
    assert!(matches!(run("a.vma.zst", &hostile), Err(CannotCheck::Limit(_))));
}

#[test]
fn the_name_and_the_content_must_fit() {
    let [(_, frame), (_, member), (_, stream)] = compressed();
    // zstd -d reads gzip as well; no other does such a thing.
    assert_eq!(kinds(&run("a.vma.zst", &member).unwrap()), [Kind::OtherFormat]);
    assert_eq!(kinds(&run("a.vma.gz", &frame).unwrap()), [Kind::ContainerCorrupt]);
    assert_eq!(kinds(&run("a.vma.lzo", &stream).unwrap()), [Kind::ContainerCorrupt]);
    assert_eq!(kinds(&run("a.vma", &frame).unwrap()), [Kind::VmaHeader]);
    assert_eq!(kinds(&run("a.vma.gz", &vma()).unwrap()), [Kind::ContainerCorrupt]);
    assert_eq!(kinds(&run("a.vma", b"").unwrap()), [Kind::Empty]);
}

#[test]
fn what_is_not_decoded_is_present_and_no_more() {
    let checked = run("backup.tar.xz", b"\xfd7zXZ\0 whatever follows").unwrap();
    assert_eq!((checked.conclusion, checked.reached), (Conclusion::Intact, Some(Level::Present)));
    assert!(checked.digest.is_some());
    // But where the name promises what is decoded here, a restore would refuse it.
    assert_eq!(run("a.vma.zst", b"\xfd7zXZ\0 whatever follows").unwrap().conclusion, Conclusion::Damaged);
}

#[test]
fn a_checksum_file_is_compared_with_what_was_read() {
    let bytes = gz(b"--\n-- PostgreSQL database dump\n--\n\n--\n-- PostgreSQL database dump complete\n--\n\n");
    let sum = Sum::new(Sidecar::Sha256);
    let digits = {
        let mut sum = sum;
        sum.update(&bytes);
        sum.digits()
    };
    let with = |kind, text: &str| {
        let request =
            Request { name: "x/shop.sql.gz", wanted: Level::Complete, sidecar: Some((kind, text.as_bytes())) };
        check(&bytes[..], request).unwrap()
    };
    let good = with(Sidecar::Sha256, &format!("{digits}  shop.sql.gz\n"));
    assert_eq!((good.conclusion, kinds(&good)), (Conclusion::Intact, vec![]));
    assert_eq!(good.sidecar.as_deref(), Some(&*format!("sha256:{digits}")));
    let wrong = with(Sidecar::Md5, &format!("{}  shop.sql.gz\n", "0".repeat(32)));
    assert_eq!((wrong.conclusion, kinds(&wrong)), (Conclusion::Damaged, vec![Kind::SidecarMismatch]));
    let rubbish = with(Sidecar::Sha256, "not a checksum");
    assert_eq!((rubbish.conclusion, kinds(&rubbish)), (Conclusion::Intact, vec![Kind::SidecarUnreadable]));
}

/// A file whose medium fails in the middle.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::Error::other("the disk reports an error")) } else { self.0.read(buffer) }
    }
}

#[test]
fn an_error_of_reading_says_nothing_about_the_archive() {
    for (name, bytes) in compressed() {
        for length in [0, 10, bytes.len() / 2, bytes.len()] {
            let request = Request { name, wanted: Level::Complete, sidecar: None };
            let result = check(Failing(&bytes[..length]), request);
            assert!(matches!(result, Err(CannotCheck::Read(_))), "{name} {length}: {result:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_behind_a_magic_are_read_without_panic(index in 0_usize..4, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let cases: [(&str, &[u8]); 4] =
            [("a.vma.zst", &zstd::MAGIC), ("a.vma.gz", &[0x1f, 0x8b, 8]), ("a.tar.bz2", b"BZh9"), ("a.sql.lzo", &lzop::MAGIC)];
        let (name, magic) = cases[index];
        let _ = run(name, &[magic, &bytes].concat());
    }
}

#[test]
fn what_decompresses_to_much_can_be_stopped_without_being_read_on() {
    let zeros = vec![0; 64 << 20];
    for (name, bytes) in [("a.img.zst", zst(&zeros, true)), ("a.tar.gz", gz(&zeros)), ("a.vma.bz2", bz2(&zeros))] {
        assert!(bytes.len() < 128 << 10, "it is read at once");
        let asked = std::cell::Cell::new(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            if asked.get() < 3 { Ok(()) } else { Err(io::Error::other("enough")) }
        };
        for wanted in [Level::Decodes, Level::Complete] {
            asked.set(0);
            let result = check_within(
                &bytes[..],
                Request { name, wanted, sidecar: None },
                Bounds { go_on: &go_on, unpack_limit: UNPACK_LIMIT },
            );
            let stopped = matches!(&result, Err(CannotCheck::Read(error)) if error.to_string() == "enough");
            assert!(stopped || (wanted == Level::Complete && name == "a.vma.bz2"), "{name}: {result:?}");
            assert!(asked.get() <= 3);
        }
    }
}
