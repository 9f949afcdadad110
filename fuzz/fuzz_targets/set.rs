//! Any bytes as a directory of files: no panic, and no memory or time that their length doesn't justify.
//!
//! ```text
//! { name: which of a list │ length: 2 bytes │ content }…
//! ```

#![no_main]

use std::collections::BTreeMap;
use std::io::{self, Read};

use firedrill::domain::proof::Level;
use firedrill::formats::archive::Bounds;
use firedrill::formats::set::{Files, Member, check};
use libfuzzer_sys::fuzz_target;

/// What programs call their files.
const NAMES: [&str; 20] = [
    "toc.dat",
    "1.dat",
    "2.dat.gz",
    "3349.dat.gz",
    "3350.dat.gz",
    "blobs.toc",
    "blob_16399.dat.gz",
    "blob_16400.dat",
    "backup_manifest",
    "PG_VERSION",
    "base/1/1259",
    "pg_wal/000000010000000000000002",
    "base.tar",
    "pg_wal.tar.gz",
    "16384.tar",
    "pg_tblspc/16384",
    "metadata",
    "shop.item.sql",
    "shop.item-schema.sql",
    "shop.item.00001.sql.gz",
];

#[derive(Default)]
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

fuzz_target!(|input: &[u8]| {
    let mut files = BTreeMap::new();
    let mut rest = input;
    while let [name, high, low, tail @ ..] = rest {
        let length = (usize::from(*high) << 8 | usize::from(*low)).min(tail.len());
        let (content, after) = tail.split_at(length);
        files.insert(NAMES[usize::from(*name) % NAMES.len()], content.to_vec());
        rest = after;
    }
    let mut disk = Disk::default();
    for (name, content) in files {
        let size = (name != "pg_tblspc/16384").then_some(content.len() as u64);
        disk.members.push(Member { name: name.into(), size });
        disk.contents.push(content);
    }
    let once = format!("{:?}", check(&mut disk, Level::Complete, Bounds::default()));
    assert_eq!(once, format!("{:?}", check(&mut disk, Level::Complete, Bounds::default())), "twice the same");
});
