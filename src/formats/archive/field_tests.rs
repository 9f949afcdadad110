//! Files as they came out of scripts: what the clients of the databases refuse or lose, and what can't be looked into.

use std::io::Write as _;

use super::*;

fn field(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/field/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn run_to(name: &str, bytes: &[u8], wanted: Level) -> Result<Checked, CannotCheck> {
    check(bytes, Request { name, wanted, sidecar: None })
}

fn run(name: &str, bytes: &[u8]) -> Checked {
    run_to(name, bytes, Level::Complete).unwrap()
}

fn kinds(checked: &Checked) -> Vec<Kind> {
    checked.findings.iter().map(|finding| finding.kind).collect()
}

fn gz(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Zeros without holding them.
fn zst_of(mut pieces: u32, piece: &[u8]) -> Vec<u8> {
    let mut context = zstd_safe::CCtx::create();
    let mut out = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let mut input = zstd_safe::InBuffer::around(if pieces > 0 { piece } else { &[] });
        loop {
            let mut output = zstd_safe::OutBuffer::around(&mut buffer[..]);
            let left = if pieces > 0 {
                context.compress_stream(&mut output, &mut input).unwrap()
            } else {
                context.end_stream(&mut output).unwrap()
            };
            let made = output.pos();
            out.extend_from_slice(&buffer[..made]);
            if (pieces > 0 && input.pos == piece.len()) || (pieces == 0 && left == 0) {
                break;
            }
        }
        if pieces == 0 {
            return out;
        }
        pieces -= 1;
    }
}

#[test]
fn what_the_clients_refuse_or_lose_is_damaged() {
    for (name, kind) in [
        ("password-warning.sql", Kind::DumpText),
        ("verbose-between.sql", Kind::DumpText),
        ("footer-in-insert.sql", Kind::DumpIncomplete),
        ("lost-connection.sql.zst", Kind::DumpIncomplete),
        ("lost-connection-single.sql.zst", Kind::DumpIncomplete),
        ("error-text.sql.gz", Kind::DumpText),
        ("utf16.dump", Kind::DumpStructure),
        ("noise-before.dump", Kind::DumpStructure),
        ("openpgp-cut.sql.gz.gpg", Kind::Truncated),
    ] {
        let checked = run(name, &field(name));
        assert_eq!((checked.conclusion, checked.reached), (Conclusion::Damaged, None), "{name}");
        assert!(kinds(&checked).contains(&kind), "{name}: {:?}", checked.findings);
    }
    assert!(run("a.sql", &field("password-warning.sql")).findings[0].text.contains("[Warning] Using a password"));
}

#[test]
fn what_is_encrypted_is_there_and_no_more() {
    for name in ["openpgp.sql.gz.gpg", "openpgp-enc.sql.gz", "salted.sql.gz.enc"] {
        for wanted in [Level::Complete, Level::Decodes] {
            let checked = run_to(name, &field(name), wanted).unwrap();
            assert_eq!((checked.conclusion, checked.reached), (Conclusion::Intact, Some(Level::Present)), "{name}");
            assert_eq!(kinds(&checked), [Kind::Encrypted], "{name}");
            assert!(checked.findings[0].text.contains("not checkable") && checked.digest.is_some());
        }
    }
    let age = b"age-encryption.org/v1\n-> X25519 a\n";
    let luks = [b"LUKS\xba\xbe\0\x02".as_slice(), &[0; 5000]].concat();
    for (name, bytes) in
        [("a.sql", age.as_slice()), ("a.tar.gz", &luks), ("a.sql.gz", &gz(age)), ("a.sql.gz", &gz(&luks))]
    {
        let checked = run(name, bytes);
        assert_eq!((checked.conclusion, checked.reached), (Conclusion::Intact, Some(Level::Present)), "{name}");
    }
    // Proxmox VE restores nothing of that.
    for name in ["a.vma.zst", "a.vma", "vzdump-lxc-200-2026_11_01-03_00_00.tar.zst"] {
        assert_eq!(run(name, &field("openpgp-enc.sql.gz")).conclusion, Conclusion::Damaged, "{name}");
    }
    let message = b"gpg: no default recipient\n";
    assert_eq!(kinds(&run("a.sql.gpg", message)), [Kind::ContainerCorrupt]);
}

#[test]
fn nothing_is_claimed_where_nothing_was_decoded() {
    let reached = |name: &str, bytes: &[u8], wanted| {
        let checked = run_to(name, bytes, wanted).unwrap();
        assert_eq!(checked.conclusion, Conclusion::Intact, "{name}: {:?}", checked.findings);
        checked.reached
    };
    let random = b"\x01\x02\xfesomething of no known format";
    for wanted in [Level::Complete, Level::Decodes] {
        assert_eq!(reached("a.bin", random, wanted), Some(Level::Present));
        assert_eq!(reached("a.txt", b"hi\n", wanted), Some(Level::Present));
        assert_eq!(reached("a.bin.gz", &gz(random), wanted), Some(Level::Decodes));
        assert_eq!(reached("a.json.gz", &gz(b"{}"), wanted), Some(Level::Decodes));
        assert_eq!(reached("a.sql", b"CREATE TABLE t (a int);\n", wanted), Some(Level::Decodes));
    }
}

#[test]
fn what_is_named_a_dump_holds_one() {
    let texts =
        ["hi\n", "<!DOCTYPE html>\n<p>select x;\n", "{\"error\": \"no such database;\"}\n", "Segmentation fault\n"];
    for text in texts {
        for name in ["shop.sql", "shop.sql.1", "shop.dump", "shop_2026-11-24.SQL"] {
            assert_eq!(kinds(&run(name, text.as_bytes())), [Kind::DumpText], "{name} {text}");
        }
        assert_eq!(kinds(&run("shop.sql.gz", &gz(text.as_bytes()))), [Kind::DumpText]);
        assert_eq!(run("notes.txt", text.as_bytes()).conclusion, Conclusion::Intact);
    }
    assert_eq!(run("shop.sql", b"create table t (a int);\n").conclusion, Conclusion::Intact);
    // In another encoding than UTF-8, by another program.
    assert_eq!(run("shop.sql", b"-- Gr\xfc\xdfe\nINSERT INTO t VALUES ('\xe4');\n").conclusion, Conclusion::Intact);
}

#[test]
fn compressed_twice_is_judged_by_what_is_in_it() {
    let twice = run("twice.sql.gz", &field("twice.sql.gz"));
    assert_eq!((twice.conclusion, twice.reached), (Conclusion::Intact, Some(Level::Complete)));
    assert_eq!((kinds(&twice), twice.evidence.format.as_deref()), (vec![Kind::OtherFormat], Some("pg_dump-sql")));
    let dump = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/dumps/pg_plain_2024.sql")).unwrap();
    let zst = zst_of(1, &dump);
    assert_eq!(run("a.sql.gz", &gz(&zst)).reached, Some(Level::Complete));
    assert_eq!(run("a.sql.gz", &gz(&gz(&dump[..dump.len() - 100]))).conclusion, Conclusion::Damaged);
    assert_eq!(kinds(&run("a.sql.gz", &gz(&zst[..zst.len() - 9])))[0], Kind::Truncated);
    let mut torn = gz(&gz(&dump));
    let last = torn.len() - 5;
    torn[last] ^= 1;
    assert_eq!(kinds(&run("a.sql.gz", &torn))[0], Kind::ContainerChecksum);
    assert!(matches!(run_to("a.sql.gz", &gz(&gz(&gz(&gz(&dump)))), Level::Complete), Err(CannotCheck::Limit(_))));
    assert_eq!(run("a.sql.gz", &gz(b"\xfd7zXZ\0 whatever follows")).reached, Some(Level::Present));
    // What only begins like it is none.
    assert_eq!(run("a.bin.gz", &gz(b"\x1f\x8b\xff and more")).conclusion, Conclusion::Intact);
}

#[test]
fn what_expands_without_structure_is_given_up() {
    let limited = |name: &str, bytes: &[u8], wanted| {
        let bounds = Bounds { go_on: &|| Ok(()), unpack_limit: 64 << 20 };
        check_within(bytes, Request { name, wanted, sidecar: None }, bounds)
    };
    let zeros = zst_of(512, &[0; 1 << 20]);
    assert!(zeros.len() < 256 << 10);
    for (name, wanted) in [
        ("a.img.zst", Level::Complete),
        ("a.img.zst", Level::Decodes),
        ("files.tar.zst", Level::Complete),
        ("files.tar.zst", Level::Decodes),
        ("a.vma.zst", Level::Decodes),
    ] {
        match limited(name, &zeros, wanted) {
            Err(CannotCheck::Limit(text)) => assert!(text.contains("verify.unpack_limit"), "{text}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    // Zeros in what must be text are damage, at the first.
    let text = zst_of(512, &[0; 1 << 20]);
    for name in ["a.sql.zst", "vzdump-lxc-200-2026_11_01-03_00_00.tar.zst", "a.vma.zst"] {
        let checked = limited(name, &text, Level::Complete).unwrap();
        assert_eq!(checked.conclusion, Conclusion::Damaged, "{name}");
        assert!(checked.evidence.unpacked < 300 << 20, "{name}: {}", checked.evidence.unpacked);
    }
    // A whole member of zeros, and rows that are alike, have the structure of their formats.
    let mut header = vec![0; 512];
    header[..4].copy_from_slice(b"disk");
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", 511_u64 << 20).as_bytes());
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let sparse = [zst_of(1, &header), zst_of(511, &[0; 1 << 20]), zst_of(1, &[0; 1024])].concat();
    let rows = "INSERT INTO t VALUES (1);\n".repeat(10_000);
    let dump =
        [zst_of(1, b"-- MySQL dump 10.13\n"), zst_of(512, rows.as_bytes()), zst_of(1, b"-- Dump completed\n")].concat();
    for (name, bytes) in [("files.tar.zst", &sparse), ("a.sql.zst", &dump)] {
        for wanted in [Level::Complete, Level::Decodes] {
            let checked = limited(name, bytes, wanted).unwrap();
            assert_eq!(
                (checked.conclusion, checked.reached),
                (Conclusion::Intact, Some(wanted)),
                "{name} {:?}",
                checked.findings
            );
        }
    }
}
