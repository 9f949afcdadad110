//! Directories that real programs wrote (`tests/fixtures/sets`), with files taken away, cut and changed.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::*;
use crate::domain::finding::Severity;
use crate::formats::crc::Crc32c;

/// A directory in memory; a file without content is a link.
#[derive(Debug, Clone, Default)]
struct Disk {
    members: Vec<Member>,
    contents: Vec<Vec<u8>>,
}

impl Files for Disk {
    fn members(&self) -> &[Member] {
        &self.members
    }

    fn open(&mut self, index: usize) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(&*self.contents[index]))
    }
}

type Tree = BTreeMap<String, Option<Vec<u8>>>;

fn disk(tree: &Tree) -> Disk {
    let mut disk = Disk::default();
    for (name, content) in tree {
        let size = content.as_ref().map(|content| content.len() as u64);
        disk.members.push(Member { name: name.as_str().into(), size });
        disk.contents.push(content.clone().unwrap_or_default());
    }
    disk
}

fn fixture(name: &str) -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sets").join(name);
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), Some(std::fs::read(entry.path()).unwrap())))
        .collect()
}

fn run(tree: &Tree) -> Checked {
    check(&mut disk(tree), Level::Complete, Bounds::default()).unwrap()
}

fn kinds(tree: &Tree) -> Vec<Kind> {
    run(tree).findings.iter().map(|finding| finding.kind).collect()
}

fn damaged(tree: &Tree) -> bool {
    run(tree).conclusion == Conclusion::Damaged
}

fn with(tree: &Tree, name: &str, content: Option<&[u8]>) -> Tree {
    let mut tree = tree.clone();
    match content {
        Some(content) => tree.insert(name.to_owned(), Some(content.to_vec())),
        None => tree.remove(name),
    };
    tree
}

const ALL: [(&str, &str); 4] = [
    ("pg_directory", "pg_dump-directory"),
    ("pg_directory_z0", "pg_dump-directory"),
    ("mydumper", "mydumper"),
    ("mydumper_gz", "mydumper"),
];

#[test]
fn whole_backups_are_complete() {
    for (name, format) in ALL {
        let tree = fixture(name);
        let checked = run(&tree);
        assert_eq!(checked.findings, [], "{name}");
        assert_eq!(checked.reached, Some(Level::Complete));
        assert_eq!(checked.evidence.format.as_deref(), Some(format));
        let bytes: usize = tree.values().flatten().map(Vec::len).sum();
        assert_eq!(checked.read, bytes as u64, "each file is read once");
        for level in [Level::Present, Level::Decodes] {
            assert_eq!(check(&mut disk(&tree), level, Bounds::default()).unwrap().reached, Some(level));
        }
    }
}

#[test]
fn the_digest_is_of_names_and_contents() {
    let tree = fixture("pg_directory_z0");
    let digest = run(&tree).digest.unwrap();
    assert_eq!(run(&tree).digest, Some(digest));
    assert_eq!(check(&mut disk(&tree), Level::Decodes, Bounds::default()).unwrap().digest, Some(digest));
    assert_ne!(run(&with(&tree, "note.txt", Some(b""))).digest, Some(digest));
    let mut renamed = tree.clone();
    let blob = renamed.remove("blob_16399.dat").unwrap();
    renamed.insert("blob_1.dat".to_owned(), blob);
    assert_ne!(run(&renamed).digest, Some(digest));
    assert_ne!(run(&with(&tree, "blob_16399.dat", Some(b"large object two"))).digest, Some(digest));
}

#[test]
fn every_file_of_a_dump_must_be_there() {
    for (name, needed) in ALL.iter().map(|(name, _)| (name, fixture(name))).flat_map(|(name, tree)| {
        let names: Vec<String> = tree.keys().cloned().collect();
        names.into_iter().map(move |file| (*name, file))
    }) {
        let tree = with(&fixture(name), &needed, None);
        // Nothing tells of data, views and routines that mydumper might have written.
        let untold = name.starts_with("mydumper") && !needed.contains("item-schema");
        if matches!(&*needed, "toc.dat" | "metadata") {
            assert!(check(&mut disk(&tree), Level::Complete, Bounds::default()).is_err(), "{name} without {needed}");
        } else {
            assert_eq!(damaged(&tree), !untold, "{name} without {needed}");
        }
    }
}

#[test]
fn a_file_of_a_dump_that_is_cut_is_damage() {
    for (name, _) in ALL {
        let whole = fixture(name);
        for (file, content) in &whole {
            let content = content.as_ref().unwrap();
            for length in 0..content.len() {
                // No mark ends a large object, but that of its compression.
                let untold = file.starts_with("blob_") && file.ends_with(".dat");
                // A line end, or a statement before the last one.
                let statement =
                    name == "mydumper" && length > 0 && { content[..length].trim_ascii_end().ends_with(b";") };
                let metadata = file == "metadata" && content[..length].windows(9).any(|it| it == b"Finished ");
                let list = file == "blobs.toc" && (length == 0 || content[..length].ends_with(b"\n"));
                if untold || statement || metadata || list {
                    continue;
                }
                let tree = with(&whole, file, Some(&content[..length]));
                assert!(damaged(&tree), "{length} of {} bytes of {name}/{file}", content.len());
            }
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    for (name, _) in ALL {
        let whole = fixture(name);
        for (file, content) in &whole {
            for at in (0..content.as_ref().unwrap().len()).step_by(5) {
                let mut content = content.clone().unwrap();
                content[at] ^= 1 << (at % 8);
                let _ = check(&mut disk(&with(&whole, file, Some(&content))), Level::Complete, Bounds::default());
            }
        }
    }
}

#[test]
fn what_is_compressed_otherwise_is_only_present() {
    let tree = fixture("pg_directory_z0");
    let content = tree["3349.dat"].clone().unwrap();
    let mut other = with(&tree, "3349.dat", None);
    other.insert("3349.dat.lz4".to_owned(), Some(content));
    let checked = run(&other);
    assert_eq!((checked.conclusion, checked.reached), (Conclusion::Intact, Some(Level::Present)));
    // A large object may be any file of somebody.
    let zip = with(&tree, "blob_16399.dat", Some(b"PK\x03\x04 and so on"));
    assert_eq!(run(&zip).reached, Some(Level::Complete));
}

#[test]
fn zeros_in_rows_are_damage_and_in_large_objects_data() {
    let tree = fixture("pg_directory_z0");
    for file in tree.keys().filter(|file| file.ends_with(".dat") && *file != "toc.dat") {
        let mut content = tree[file].clone().unwrap();
        let Some(first) = content.first_mut() else { continue };
        *first = 0;
        let expected: &[Kind] = if file.starts_with("blob_") { &[] } else { &[Kind::DumpStructure] };
        assert_eq!(kinds(&with(&tree, file, Some(&content))), expected, "{file}");
    }
}

#[test]
fn a_definition_that_mydumper_could_not_read_is_missing() {
    let head =
        b"/*!40101 SET NAMES binary*/;\n/*!40014 SET FOREIGN_KEY_CHECKS=0*/;\n\n/*!40103 SET TIME_ZONE='+00:00' */;\n";
    for file in ["shop.item-schema.sql", "shop.v-schema-view.sql", "shop-schema-create.sql"] {
        assert_eq!(kinds(&with(&fixture("mydumper"), file, Some(head))), [Kind::DumpIncomplete], "{file}");
    }
    // Without triggers and routines nothing is to be created.
    assert_eq!(kinds(&with(&fixture("mydumper"), "shop-schema-post.sql", Some(head))), []);
}

#[test]
fn files_of_another_dump_are_noticed() {
    let tree = with(&fixture("pg_directory"), "9999.dat.gz", Some(&[]));
    assert!(damaged(&tree));
    let tree = with(&fixture("pg_directory_z0"), "9999.dat", Some(b"x"));
    assert_eq!(kinds(&tree), [Kind::StrayEntry]);
}

#[test]
fn an_interrupted_mydumper_is_incomplete() {
    let mut tree = fixture("mydumper");
    let metadata = tree.remove("metadata").unwrap();
    tree.insert("metadata.partial".to_owned(), metadata);
    assert_eq!(kinds(&tree), [Kind::DumpIncomplete]);
    let tree = with(&fixture("mydumper"), "metadata", Some(b"Started dump at: 2026-11-25 23:10:53\n"));
    assert_eq!(kinds(&tree), [Kind::DumpIncomplete]);
}

#[test]
fn what_is_no_backup_could_not_be_checked() {
    let tree = Tree::from([("a.sql".to_owned(), Some(b"SELECT 1;".to_vec()))]);
    assert!(check(&mut disk(&tree), Level::Complete, Bounds::default()).is_err());
    let gone = check(
        &mut disk(&fixture("mydumper")),
        Level::Complete,
        Bounds { go_on: &|| Err(io::Error::other("stop")), ..Bounds::default() },
    );
    assert!(gone.is_err());
}

/// A base backup of a few files, with a manifest as PostgreSQL writes it.
fn base(algorithm: &str, files: &[(&str, &[u8])], wal: &[&str]) -> Tree {
    let mut tree: Tree = files.iter().map(|(name, content)| ((*name).to_owned(), Some(content.to_vec()))).collect();
    let lines: Vec<String> = files.iter().map(|(name, content)| line(algorithm, name, content)).collect();
    for name in wal {
        tree.insert(format!("pg_wal/{name}"), Some(vec![1; 1 << 20]));
    }
    tree.insert("backup_manifest".to_owned(), Some(manifest(&lines)));
    tree
}

fn line(algorithm: &str, name: &str, content: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut crc = Crc32c::default();
    crc.update(content);
    let sum = match algorithm {
        "CRC32C" => hex(&crc.value().to_le_bytes()),
        "SHA224" => hex(&sha2::Sha224::digest(content)),
        "SHA256" => hex(&Sha256::digest(content)),
        "SHA384" => hex(&sha2::Sha384::digest(content)),
        "SHA512" => hex(&sha2::Sha512::digest(content)),
        _ => String::new(),
    };
    let sum = if sum.is_empty() {
        String::new()
    } else {
        format!(", \"Checksum-Algorithm\": \"{algorithm}\", \"Checksum\": \"{sum}\"")
    };
    let size = content.len();
    format!("{{ \"Path\": \"{name}\", \"Size\": {size}, \"Last-Modified\": \"2026-11-25 23:09:23 GMT\"{sum} }}")
}

fn manifest(lines: &[String]) -> Vec<u8> {
    let mut text = format!(
        "{{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{}\n],\n\"WAL-Ranges\": [\n{{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2100100\" }}\n],\n",
        lines.join(",\n")
    );
    let sum: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    text.push_str(&format!("\"Manifest-Checksum\": \"{sum}\"}}\n"));
    text.into_bytes()
}

const FILES: [(&str, &[u8]); 4] = [
    ("PG_VERSION", b"15\n"),
    ("backup_label", b"START WAL LOCATION: 0/2000028"),
    ("base/1/1259", &[7; 8192]),
    ("postgresql.auto.conf", b"# nothing\n"),
];
/// Of one mebibyte: 0x20 and 0x21 of the first four gibibytes.
const WAL: [&str; 2] = ["000000010000000000000020", "000000010000000000000021"];

#[test]
fn base_backups_with_sums_of_every_kind() {
    for algorithm in ["CRC32C", "SHA224", "SHA256", "SHA384", "SHA512"] {
        let tree = base(algorithm, &FILES, &WAL);
        assert_eq!((kinds(&tree), run(&tree).reached), (Vec::new(), Some(Level::Complete)), "{algorithm}");
        let mut flipped = FILES[2].1.to_vec();
        flipped[100] ^= 1;
        assert_eq!(kinds(&with(&tree, "base/1/1259", Some(&flipped))), [Kind::SidecarMismatch], "{algorithm}");
    }
    let tree = base("NONE", &FILES, &WAL);
    assert_eq!(kinds(&tree), [Kind::NoChecksum]);
    assert_eq!(kinds(&with(&tree, "base/1/1259", Some(b"short")))[0], Kind::SidecarMismatch);
}

#[test]
fn what_pg_verifybackup_passes_over_is_passed_over() {
    let tree = base("CRC32C", &FILES, &WAL);
    for name in ["standby.signal", "recovery.signal", "pg_wal/archive_status/000000010000000000000020.done"] {
        assert_eq!(kinds(&with(&tree, name, Some(b"x"))), [], "{name}");
    }
    assert_eq!(kinds(&with(&tree, "postgresql.auto.conf", Some(b"changed"))), []);
    assert_eq!(kinds(&with(&tree, "postgresql.auto.conf", None)), []);
    assert_eq!(kinds(&with(&tree, "base/1/1259", None)), [Kind::MemberMissing]);
    assert_eq!(kinds(&with(&tree, "base/1/note", Some(b"x"))), [Kind::ExtraFile]);
    // A name that begins alike is none of these.
    assert_eq!(kinds(&with(&tree, "pg_wallet", Some(b"x"))), [Kind::ExtraFile]);
}

#[test]
fn the_log_of_a_base_backup_must_be_there() {
    let tree = base("CRC32C", &FILES, &WAL);
    assert_eq!(kinds(&with(&tree, &format!("pg_wal/{}", WAL[1]), None)), [Kind::MemberMissing]);
    assert_eq!(kinds(&with(&tree, &format!("pg_wal/{}", WAL[1]), Some(b"cut"))), [Kind::Truncated]);
    let none = base("CRC32C", &FILES, &[]);
    let checked = run(&none);
    assert_eq!((checked.conclusion, checked.reached), (Conclusion::Intact, Some(Level::Decodes)));
    assert_eq!(kinds(&none), [Kind::CompanionMissing]);
}

#[test]
fn files_behind_links_are_not_known() {
    let lines: Vec<String> =
        FILES.iter().chain([&("pg_tblspc/1/x", b"y".as_slice())]).map(|(name, it)| line("CRC32C", name, it)).collect();
    let mut tree = base("CRC32C", &FILES, &WAL);
    tree.insert("backup_manifest".to_owned(), Some(manifest(&lines)));
    assert_eq!(kinds(&tree), [Kind::MemberMissing]);
    tree.insert("pg_tblspc/1".to_owned(), None);
    let checked = run(&tree);
    assert_eq!((checked.conclusion, checked.reached), (Conclusion::Intact, Some(Level::Decodes)));
}

#[test]
fn a_manifest_that_is_wrong_is_damage() {
    let tree = base("CRC32C", &FILES, &WAL);
    let text = tree["backup_manifest"].clone().unwrap();
    for at in (0..text.len() - 1).step_by(13) {
        assert!(damaged(&with(&tree, "backup_manifest", Some(&text[..at]))), "{at}");
        let mut flipped = text.clone();
        flipped[at] ^= 1 << (at % 5);
        let result =
            check(&mut disk(&with(&tree, "backup_manifest", Some(&flipped))), Level::Complete, Bounds::default());
        // Upper case means the same, and another version or kind of sum nothing that is known.
        let same = flipped.eq_ignore_ascii_case(&text);
        assert!(same || result.is_err() || damaged(&with(&tree, "backup_manifest", Some(&flipped))), "{at}");
    }
    assert_eq!(kinds(&with(&tree, "backup_manifest", None)), [Kind::DumpIncomplete]);
}

/// An archive of tar with these files.
fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000600");
        header[108..115].copy_from_slice(b"0000000");
        header[116..123].copy_from_slice(b"0000000");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[136..147].copy_from_slice(b"00000000000");
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn base_backups_in_tar_files() {
    let lines: Vec<String> = FILES
        .iter()
        .chain([&("pg_tblspc/16384/PG_15/1", b"rows".as_slice())])
        .map(|(name, it)| line("SHA256", name, it))
        .collect();
    let segment = vec![1; 1 << 20];
    let mut tree = Tree::from([
        ("backup_manifest".to_owned(), Some(manifest(&lines))),
        ("base.tar".to_owned(), Some(tar_of(&FILES))),
        ("16384.tar".to_owned(), Some(tar_of(&[("PG_15/1", b"rows")]))),
        ("pg_wal.tar".to_owned(), Some(tar_of(&[(WAL[0], &segment), (WAL[1], &segment)]))),
    ]);
    let checked = run(&tree);
    assert_eq!((checked.findings, checked.reached), (Vec::new(), Some(Level::Complete)));
    for name in ["16384.tar", "base.tar"] {
        assert!(damaged(&with(&tree, name, None)), "{name}");
        let content = tree[name].clone().unwrap();
        for length in (0..content.len()).step_by(100) {
            assert!(damaged(&with(&tree, name, Some(&content[..length]))), "{length} bytes of {name}");
        }
    }
    assert!(damaged(&with(&tree, "pg_wal.tar", Some(&tar_of(&[(WAL[0], &segment)])))));
    let mut changed = FILES;
    changed[2].1 = &[8; 8192];
    assert_eq!(kinds(&with(&tree, "base.tar", Some(&tar_of(&changed)))), [Kind::SidecarMismatch]);
    assert_eq!(kinds(&with(&tree, "base.tar", Some(&tar_of(&FILES[..3])))), [], "postgresql.auto.conf may be left out");
    assert_eq!(kinds(&with(&tree, "base.tar", Some(&tar_of(&FILES[1..])))), [Kind::MemberMissing]);
    // What is not decompressed here says nothing of what is in it.
    let lz4 = tree.remove("base.tar").unwrap();
    tree.insert("base.tar.lz4".to_owned(), lz4);
    let checked = run(&tree);
    assert_eq!((checked.conclusion, checked.reached), (Conclusion::Intact, Some(Level::Present)));
    assert!(checked.findings.iter().all(|finding| finding.severity() < Severity::Damage));
}
