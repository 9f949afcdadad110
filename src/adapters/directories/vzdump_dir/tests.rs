use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;
use crate::adapters::directories::directory::{self, Root};
use crate::domain::attempt::Outcome;
use crate::domain::file::FileFacts;
use crate::domain::look::{ErrorKind, Medium, PlaceSpec, SourceKind};
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
        kind: SourceKind::new("vzdump"),
        places: vec![PlaceSpec { path: "x".into(), medium: Medium::Local, node: None, readable: true }],
        expected: Vec::new(),
        exclude: Matcher::default(),
        scan_interval: Duration::from_secs(60),
        scan_timeout: Duration::from_secs(60),
    };
    let root = Root { path: root.to_owned(), require_mount: None };
    VzdumpDir::new(Arc::new(spec), directory::places([root]), TimeZone::UTC, guests)
}

fn listing(source: &mut VzdumpDir) -> Arc<PlaceListing> {
    source.look(now()).places.remove(0).listing.unwrap()
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
    assert!(Arc::ptr_eq(&first, &listing(&mut source)));
    // Other content under the same size and time: its inode tells.
    put(&log, &LOG.replace("web", "bad"), "2026-11-01T02:01:00Z");
    assert_eq!(listing(&mut source).attempts[0].guest_name.as_deref(), Some("bad"));
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
    assert_eq!(found.attempts.len(), 2, "the link to itself and the one that leads nowhere can't be examined");
    assert_eq!((found.oddities, found.unreadable), (2, 2));
    assert!(found.odd_names.iter().all(|name| !name.contains('\n')));
    assert!(found.odd_names.iter().any(|name| name.contains("102") && name.ends_with("is a directory")), "{found:?}");
    assert!(found.unread_names.iter().any(|name| name.contains("104") && name.contains("/nowhere")), "{found:?}");
}

#[test]
fn guests_are_read_and_their_absence_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let nodes = place.path().join("nodes");
    fs::create_dir_all(place.path().join("dump")).unwrap();
    let mut source = source(&place.path().join("dump"), Some(nodes.clone()));
    let missing = source.look(now()).estate.guests.unwrap().unwrap_err();
    assert_eq!(missing.kind, ErrorKind::Guests);
    fs::create_dir_all(&nodes).unwrap();
    let empty = source.look(now()).estate.guests.unwrap().unwrap_err();
    assert!(empty.message.contains("no guest configurations"));
    put(&nodes.join("pve1/qemu-server/100.conf"), "name: web\n", "2026-11-01T02:01:00Z");
    put(&nodes.join("pve1/qemu-server/notes.conf"), "name: x\n", "2026-11-01T02:01:00Z");
    put(&nodes.join("pve2/lxc/200.conf"), "hostname: dns\n", "2026-11-01T02:01:00Z");
    let half = source.look(now()).estate.guests.unwrap().unwrap_err();
    assert!(half.message.contains("No such file"), "half a node is no node: {half}");
    fs::create_dir_all(nodes.join("pve1/lxc")).unwrap();
    fs::create_dir_all(nodes.join("pve2/qemu-server/101.conf")).unwrap();
    let odd = source.look(now()).estate.guests.unwrap().unwrap_err();
    assert!(odd.message.contains("101.conf"), "{odd}");
    fs::remove_dir(nodes.join("pve2/qemu-server/101.conf")).unwrap();
    let book = source.look(now()).estate.guests.unwrap().unwrap();
    let names: Vec<&str> = book.guests.values().filter_map(|guest| guest.name.as_deref()).collect();
    assert_eq!(names, ["web", "dns"]);
    assert!(Arc::ptr_eq(&book, &source.look(now()).estate.guests.unwrap().unwrap()));
}

#[test]
fn a_missing_directory_is_no_empty_one() {
    let place = tempfile::tempdir().unwrap();
    let look = source(&place.path().join("gone"), None).look(now());
    assert_eq!(look.places[0].listing.as_ref().unwrap_err().kind, ErrorKind::NotFound);
}

fn node(path: &Path, kind: rustix::fs::FileType) {
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, 0o600.into(), 0).unwrap();
}

#[test]
fn what_has_the_name_of_an_archive_and_is_no_file_is_named() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    node(&at("vzdump-qemu-100-2026_11_01-02_00_00.vma.zst"), rustix::fs::FileType::Fifo);
    node(&at("vzdump-qemu-101-before.vma"), rustix::fs::FileType::Fifo);
    std::os::unix::net::UnixListener::bind(at("vzdump-qemu-102-2026_11_01-02_00_00.vma.zst")).unwrap();
    fs::create_dir(at("vzdump-lxc-103-2026_11_01-02_00_00.tar.zst")).unwrap();
    std::os::unix::fs::symlink("/dev/null", at("vzdump-lxc-104-2026_11_01-02_00_00.tar")).unwrap();
    std::os::unix::fs::symlink("/nowhere", at("vzdump-lxc-105-before.tar")).unwrap();
    let found = listing(&mut source(place.path(), None));
    assert_eq!((found.attempts.len(), found.oddities, found.unreadable), (0, 5, 1), "{found:?}");
    for (vmid, what) in
        [("100", "pipe"), ("101", "pipe"), ("102", "socket"), ("103", "directory"), ("104", "no regular")]
    {
        assert!(found.odd_names.iter().any(|name| name.contains(vmid) && name.contains(what)), "{vmid}: {found:?}");
    }
}

#[test]
fn checksum_files_belong_to_their_archive() {
    let place = tempfile::tempdir().unwrap();
    let put = |name: &str| put(&place.path().join(name), &"x".repeat(100), "2026-11-01T02:01:00Z");
    let sidecar = |found: &PlaceListing, vmid: &str| {
        found.attempts.iter().find(|it| it.item.to_string() == format!("qemu/{vmid}")).unwrap().sidecar
    };
    for vmid in ["100", "101", "102"] {
        put(&format!("vzdump-qemu-{vmid}-2026_11_01-02_00_00.vma.zst"));
    }
    put("vzdump-qemu-100-2026_11_01-02_00_00.vma.zst.sha256sum");
    put("vzdump-qemu-100-2026_11_01-02_00_00.vma.zst.md5");
    put("vzdump-qemu-101-2026_11_01-02_00_00.vma.zst.md5");
    put("vzdump-qemu-102-2026_11_01-02_00_00.vma.sha256");
    put("vzdump-qemu-103-2026_11_01-02_00_00.vma.zst.sha256");
    let found = listing(&mut source(place.path(), None));
    use crate::domain::attempt::Sidecar;
    assert_eq!(
        [sidecar(&found, "100"), sidecar(&found, "101"), sidecar(&found, "102")],
        [Some(Sidecar::Sha256), Some(Sidecar::Md5), None]
    );
    assert_eq!((found.attempts.len(), found.oddities), (3, 0), "a checksum file alone is no run");
}

#[test]
fn what_a_nas_keeps_beside_archives_is_counted_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let put = |name: &str| put(&place.path().join(name), "x", "2026-11-01T02:01:00Z");
    put(&format!("@eaDir/{BASE}.vma.zst"));
    put(&format!("#recycle/{BASE}.vma.zst"));
    put(&format!("._{BASE}.vma.zst"));
    put(".nfs0000000001");
    let found = listing(&mut source(place.path(), None));
    assert_eq!((found.attempts.len(), found.oddities), (0, 4), "{found:?}");
}

#[test]
fn a_file_in_the_place_of_another_one_is_told_by_its_inode() {
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join(format!("{BASE}.vma.zst"));
    let time = "2026-11-01T02:01:00Z";
    put(&archive, &"x".repeat(100), time);
    let facts = |found: &PlaceListing| {
        let it = &found.attempts[0];
        FileFacts { changed: it.changed, ..FileFacts::new(it.size, it.modified.unwrap()) }
    };
    let mut source = source(place.path(), None);
    let mut before = facts(&listing(&mut source));
    for tool in [&["cp", "-p"][..], &["rsync", "-t", "--ignore-times"], &["mv"], &["ln", "-f"]] {
        let other = place.path().join("other");
        put(&other, &"y".repeat(100), time);
        run(tool[0], &tool[1..], &other, &archive);
        let now = facts(&listing(&mut source));
        assert!(now.is_touched(before) && now.same_write(before), "{tool:?}: {before:?} {now:?}");
        let _ = fs::remove_file(other);
        // Removing a link changes the inode, too.
        before = facts(&listing(&mut source));
    }
    fs::read(&archive).unwrap();
    assert_eq!(facts(&listing(&mut source)), before, "reading it changes nothing");
}

fn run(program: &str, arguments: &[&str], from: &Path, to: &Path) {
    match std::process::Command::new(program).args(arguments).arg(from).arg(to).status() {
        Ok(status) => assert!(status.success(), "{program}"),
        // What it does otherwise: a new file that takes the name.
        Err(_) => fs::rename(from, to).unwrap(),
    }
}
