use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;
use crate::domain::attempt::Outcome;
use crate::domain::look::{ErrorKind, Medium, RootSpec, SourceKind};
use crate::domain::policy::Matcher;

const BASE: &str = "vzdump-qemu-100-2026_11_01-02_00_00";
const LOG: &str =
    "2026-11-01 02:00:00 INFO: VM Name: web\n2026-11-01 02:01:00 INFO: Finished Backup of VM 100 (00:01:00)\n";

fn now() -> Timestamp {
    "2026-11-01T08:00:00Z".parse().unwrap()
}

fn put(path: &Path, text: &str, modified: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    let time: Timestamp = modified.parse().unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(SystemTime::from(time)).unwrap();
}

fn source(root: &Path, guests: Option<PathBuf>) -> VzdumpDir {
    let spec = SourceSpec {
        name: "s".parse().unwrap(),
        kind: SourceKind::Vzdump,
        roots: vec![RootSpec { path: "x".into(), medium: Medium::Local, node: None }],
        expected: Vec::new(),
        exclude: Matcher::default(),
        scan_interval: Duration::from_secs(60),
        scan_timeout: Duration::from_secs(60),
    };
    let root = Root { path: root.to_owned(), require_mount: None };
    VzdumpDir::new(Arc::new(spec), vec![root], TimeZone::UTC, guests)
}

fn listing(source: &mut VzdumpDir) -> Arc<RootListing> {
    source.look(now()).roots.remove(0).listing.unwrap()
}

#[test]
fn a_directory_with_everything() {
    let place = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| put(&place.path().join(name), text, "2026-11-01T02:01:00Z");
    put(&format!("{BASE}.vma.zst"), &"archive".repeat(20));
    put(&format!("{BASE}.log"), LOG);
    put(&format!("{BASE}.vma.zst.notes"), "critical\n");
    put(&format!("{BASE}.vma.zst.protected"), "");
    put("vzdump-qemu-101-2026_11_01-03_00_00.vma.dat", "half");
    put("vzdump-qemu-101-2026_11_01-03_00_00.tmp/qemu-server.conf", "x");
    let work = place.path().join("vzdump-qemu-101-2026_11_01-03_00_00.tmp");
    let crashed: Timestamp = "2026-11-01T03:01:00Z".parse().unwrap();
    fs::File::open(work).unwrap().set_modified(SystemTime::from(crashed)).unwrap();
    put("vzdump-qemu-100-before-upgrade.vma.zst", "kept");
    put("vzdump-qemu-100-nonsense.log", "x");
    put("vzdump-lxc-200-2026_11_01-02_00_00.tar.zst.notes", "an archive that is gone");
    put("other.txt", "x");
    let found = listing(&mut source(place.path(), None));
    let outcomes: Vec<(String, &Outcome)> =
        found.attempts.iter().map(|it| (it.item.to_string(), &it.outcome)).collect();
    assert!(matches!(
        outcomes[..],
        [(_, Outcome::Renamed), (_, Outcome::Complete { warning: None }), (_, Outcome::Failed { .. })]
    ));
    let web = &found.attempts[1];
    assert_eq!((web.guest_name.as_deref(), web.note.as_deref()), (Some("web"), Some("critical")));
    assert!(web.protected);
    assert_eq!(found.attempts[2].item.to_string(), "qemu/101", "it crashed five hours ago");
    assert_eq!(found.partials.len(), 2);
    assert_eq!(found.oddities, 1);
}

#[test]
fn nothing_new_is_the_same_listing_and_logs_are_read_once() {
    let place = tempfile::tempdir().unwrap();
    put(&place.path().join(format!("{BASE}.vma.zst")), "archive", "2026-11-01T02:01:00Z");
    let log = place.path().join(format!("{BASE}.log"));
    put(&log, LOG, "2026-11-01T02:01:00Z");
    let mut source = source(place.path(), None);
    let first = listing(&mut source);
    // Other content, but the same size and time: a second reading would see it.
    put(&log, &LOG.replace("web", "bad"), "2026-11-01T02:01:00Z");
    assert!(Arc::ptr_eq(&first, &listing(&mut source)));
    put(&log, &LOG.replace("web", "new"), "2026-11-01T02:02:00Z");
    assert_eq!(listing(&mut source).attempts[0].guest_name.as_deref(), Some("new"));
}

#[test]
fn hostile_entries_are_passed_over() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = tempfile::tempdir().unwrap();
    let at = |name: &[u8]| place.path().join(std::ffi::OsStr::from_bytes(name));
    fs::write(at(b"vzdump-qemu-100-\xff\n.vma"), "x").unwrap();
    fs::create_dir(at(b"vzdump-qemu-102-2026_11_01-02_00_00.vma.zst")).unwrap();
    std::os::unix::fs::symlink("loop", at(b"loop")).unwrap();
    std::os::unix::fs::symlink(
        "vzdump-qemu-103-2026_11_01-02_00_00.vma",
        at(b"vzdump-qemu-103-2026_11_01-02_00_00.vma"),
    )
    .unwrap();
    std::os::unix::fs::symlink("/nowhere", at(b"vzdump-qemu-104-2026_11_01-02_00_00.vma")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at(b"vzdump-qemu-105-2026_11_01-02_00_00.log"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let found = listing(&mut source(place.path(), None));
    assert!(found.attempts.iter().all(|it| matches!(it.outcome, Outcome::Failed { .. })), "{found:?}");
    assert_eq!(found.attempts.len(), 1, "the link to itself can't be examined");
    assert_eq!((found.oddities, found.unreadable), (1, 1));
    assert!(!found.odd_names[0].contains('\n'));
}

#[test]
fn guests_are_read_and_their_absence_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let nodes = place.path().join("nodes");
    fs::create_dir_all(place.path().join("dump")).unwrap();
    let mut source = source(&place.path().join("dump"), Some(nodes.clone()));
    let missing = source.look(now()).guests.unwrap().unwrap_err();
    assert_eq!(missing.kind, ErrorKind::Guests);
    fs::create_dir_all(&nodes).unwrap();
    let empty = source.look(now()).guests.unwrap().unwrap_err();
    assert!(empty.message.contains("no guest configurations"));
    put(&nodes.join("pve1/qemu-server/100.conf"), "name: web\n", "2026-11-01T02:01:00Z");
    put(&nodes.join("pve1/qemu-server/notes.conf"), "name: x\n", "2026-11-01T02:01:00Z");
    put(&nodes.join("pve2/lxc/200.conf"), "hostname: dns\n", "2026-11-01T02:01:00Z");
    let half = source.look(now()).guests.unwrap().unwrap_err();
    assert!(half.message.contains("No such file"), "half a node is no node: {half}");
    fs::create_dir_all(nodes.join("pve1/lxc")).unwrap();
    fs::create_dir_all(nodes.join("pve2/qemu-server/101.conf")).unwrap();
    let odd = source.look(now()).guests.unwrap().unwrap_err();
    assert!(odd.message.contains("101.conf"), "{odd}");
    fs::remove_dir(nodes.join("pve2/qemu-server/101.conf")).unwrap();
    let book = source.look(now()).guests.unwrap().unwrap();
    let names: Vec<&str> = book.guests.values().filter_map(|guest| guest.name.as_deref()).collect();
    assert_eq!(names, ["web", "dns"]);
    assert!(Arc::ptr_eq(&book, &source.look(now()).guests.unwrap().unwrap()));
}

#[test]
fn a_missing_directory_is_no_empty_one() {
    let place = tempfile::tempdir().unwrap();
    let look = source(&place.path().join("gone"), None).look(now());
    assert_eq!(look.roots[0].listing.as_ref().unwrap_err().kind, ErrorKind::NotFound);
}
