//! Any bytes as a whole backup file, by any name.

#![no_main]

use firedrill::domain::finding::Severity;
use firedrill::domain::proof::{Conclusion, Level};
use firedrill::formats::archive::{Request, check};
use libfuzzer_sys::fuzz_target;

/// A file's name decides what it is checked as.
const NAMES: [&str; 32] = [
    "vzdump-qemu-100-2026_11_01-03_00_00.vma.zst",
    "vzdump-qemu-100-2026_11_01-03_00_00.vma.gz",
    "vzdump-qemu-100-2026_11_01-03_00_00.vma.lzo",
    "vzdump-qemu-100-2026_11_01-03_00_00.vma.bz2",
    "vzdump-qemu-100-2026_11_01-03_00_00.vma",
    "vzdump-lxc-200-2026_11_01-03_00_00.tar.zst",
    "vzdump-lxc-200-2026_11_01-03_00_00.tar.gz",
    "vzdump-lxc-200-2026_11_01-03_00_00.tar.lzo",
    "vzdump-lxc-200-2026_11_01-03_00_00.tar",
    "files.tgz",
    "files.tar.bz2",
    "shop.sql.gz",
    "shop.sql.zst",
    "shop.sql",
    "shop.dump",
    "shop.sqlite.bz2",
    "shop.sql.gz.gpg",
    "shop.sql.enc",
    "shop.dump.age",
    "notes.txt",
    "disk.img.zst",
    "disk.img.gz",
    "shop.json.gz",
    "shop.sql.lzo",
    "shop.sql.bz2",
    "shop.dump.zst",
    "shop.sql.1",
    "backup",
    "files.tar.gz.gpg",
    "files.tar.lzo",
    "shop.sqlite3",
    "shop.db.gz",
];

/// The three levels, so that most inputs are checked at the highest.
const LEVELS: [Level; 4] = [Level::Complete, Level::Complete, Level::Decodes, Level::Present];

fuzz_target!(|data: &[u8]| {
    let Some((first, file)) = data.split_first() else { return };
    let name = NAMES[usize::from(first & 15 | (first & 64) >> 2)];
    let wanted = LEVELS[usize::from(first >> 4 & 3)];
    let Ok(checked) = check(file, Request { name, wanted, sidecar: None }) else { return };
    let damaged = checked.findings.iter().any(|finding| finding.severity() == Severity::Damage);
    assert_eq!(damaged, checked.conclusion == Conclusion::Damaged);
    assert!(!damaged || checked.reached.is_none());
    assert!(checked.reached <= Some(wanted));
    if wanted > Level::Present {
        assert_eq!(checked.read, file.len() as u64);
        assert!(checked.digest.is_some());
    }
});
