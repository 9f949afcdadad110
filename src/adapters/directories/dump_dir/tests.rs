use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;
use crate::adapters::directories::directory::Root;
use crate::domain::attempt::Outcome;
use crate::domain::look::{ErrorKind, Medium, PlaceSpec, SourceKind};
use crate::domain::policy::Matcher;

fn now() -> Timestamp {
    "2026-11-01T08:00:00Z".parse().unwrap()
}

fn put(path: &Path, text: &str, modified: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    let time: Timestamp = modified.parse().unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(SystemTime::from(time)).unwrap();
}

fn source(root: &Path, pattern: &str) -> DumpDir {
    let spec = SourceSpec {
        name: "s".parse().unwrap(),
        kind: SourceKind::new("dump"),
        places: vec![PlaceSpec { path: "x".into(), medium: Medium::Local, node: None, readable: true }],
        expected: Vec::new(),
        exclude: Matcher::default(),
        scan_interval: Duration::from_secs(60),
        scan_timeout: Duration::from_secs(60),
    };
    let root = Root { path: root.to_owned(), require_mount: None };
    DumpDir::new(
        Arc::new(spec),
        directory::places([root]),
        TimeZone::UTC,
        vec![DumpPattern::new(pattern, None, None).unwrap()],
    )
}

fn look(source: &mut DumpDir) -> Arc<PlaceListing> {
    source.look(now()).places.remove(0).listing.unwrap()
}

#[test]
fn dumps_with_their_checksums_and_leftovers() {
    let place = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str, time: &str| put(&place.path().join(name), text, time);
    put("shop_20261101_020000.sql.gz", &"dump".repeat(20), "2026-11-01T02:00:30Z");
    put("shop_20261101_020000.sql.gz.sha256", "sum", "2026-11-01T02:00:31Z");
    put("crm_20261101_020000.sql.gz", "", "2026-11-01T02:00:30Z");
    put("wiki_20261101_074800.sql.gz", "gro", "2026-11-01T07:49:30Z");
    put("wiki_20261101_075900.sql.gz.part", "x", "2026-11-01T07:00:00Z");
    put("below/shop_20261101_020000.sql.gz", "not ours", "2026-11-01T02:00:30Z");
    std::os::unix::fs::symlink("shop_20261101_020000.sql.gz", place.path().join("shop_20261102_020000.sql.gz"))
        .unwrap();
    let found = look(&mut source(place.path(), "{db}_{time}.sql.gz"));
    let of = |name: &str| found.attempts.iter().find(|it| it.item.to_string() == format!("dump/{name}")).unwrap();
    assert_eq!(found.attempts.len(), 3);
    assert!(matches!(of("shop").outcome, Outcome::Complete { .. }));
    assert_eq!(of("shop").sidecar, Some(Sidecar::Sha256));
    assert_eq!(of("shop").started.known(), Some("2026-11-01T02:00:00Z".parse().unwrap()));
    assert!(matches!(of("crm").outcome, Outcome::Failed { .. }));
    assert!(matches!(of("wiki").outcome, Outcome::Running { .. }));
    assert_eq!(found.partials.len(), 1);
    assert_eq!(found.oddities, 1, "the link is not overlooked without a word");
}

#[test]
fn a_file_that_grew_since_the_last_scan_is_not_complete() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("h/shop.dump");
    put(&file, "one", "2026-11-01T02:00:00Z");
    let mut source = source(place.path(), "{host}/{db}.dump");
    assert!(matches!(look(&mut source).attempts[0].outcome, Outcome::Complete { .. }));
    put(&file, "one two", "2026-11-01T02:00:00Z");
    assert!(matches!(look(&mut source).attempts[0].outcome, Outcome::Running { .. }));
    let rested = look(&mut source);
    assert!(matches!(rested.attempts[0].outcome, Outcome::Complete { .. }));
    assert!(Arc::ptr_eq(&rested, &look(&mut source)));
}

#[test]
fn times_come_from_the_name_the_day_or_the_file() {
    let time = |pattern: &str, name: &str, modified: &str| {
        let place = tempfile::tempdir().unwrap();
        put(&place.path().join(name), "x", modified);
        look(&mut source(place.path(), pattern)).attempts[0].started
    };
    let at = |text: &str| When::At(text.parse().unwrap());
    let day = "{db}_{time}.sql";
    assert_eq!(time(day, "a_2026-10-30.sql", "2026-10-30T03:00:00Z"), at("2026-10-30T03:00:00Z"));
    assert_eq!(time(day, "a_2026-10-30.sql", "2026-10-31T03:00:00Z"), at("2026-10-30T00:00:00Z"));
    assert_eq!(time("{db}.sql", "a.sql", "2026-10-30T03:00:00Z"), at("2026-10-30T03:00:00Z"));
    assert_eq!(time("{db}.sql", "a.sql", "2027-10-30T03:00:00Z"), When::Future);
}

#[test]
fn a_missing_directory_is_no_empty_one() {
    let place = tempfile::tempdir().unwrap();
    let look = source(&place.path().join("gone"), "{db}.sql").look(now());
    assert_eq!(look.places[0].listing.as_ref().unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn a_database_and_its_log_are_one_backup() {
    use crate::adapters::directories::archive_files::ArchiveFiles;
    use crate::domain::proof::ArchiveId;
    use crate::engine::ports::Archives as _;

    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    put(&path("shop.db"), "pages", "2026-11-01T02:00:00Z");
    put(&path("shop.db-shm"), "of no use", "2026-11-01T02:00:00Z");
    let opened = || {
        let root = place.path().to_str().unwrap().into();
        let archive = ArchiveId { source: "s".parse().unwrap(), root, file: "shop.db".into() };
        ArchiveFiles.open(&archive).unwrap()
    };
    let facts = || {
        let found = look(&mut source(place.path(), "{db}*"));
        let shop = found.attempts.iter().find(|it| &*it.file == "shop.db").unwrap();
        let facts = FileFacts { size: shop.size, modified: shop.modified.unwrap(), changed: shop.changed };
        assert_eq!(opened().facts(), facts, "a scan and a reading agree");
        assert!(!found.attempts.iter().any(|it| it.file.ends_with("-wal")), "a log is no backup of its own");
        facts
    };
    let alone = facts();
    assert_eq!((alone.size, alone.modified), (5, "2026-11-01T02:00:00Z".parse().unwrap()));
    let mut before = opened();
    put(&path("shop.db-wal"), "log", "2026-11-01T01:00:00Z");
    assert!(!before.unchanged().unwrap(), "a log that comes while it is read");
    let with = facts();
    assert_eq!(with.size, 8);
    assert_eq!(with.modified.as_second(), alone.modified.as_second());
    // Written again with as many bytes, and still before the database: not the same backup.
    put(&path("shop.db-wal"), "LOG", "2026-11-01T01:30:00Z");
    assert_ne!(facts(), with);
    put(&path("shop.db-wal"), "log", "2026-11-01T07:59:00Z");
    let writing = look(&mut source(place.path(), "{db}.db"));
    assert!(matches!(writing.attempts[0].outcome, Outcome::Running { .. }));
    // What SQLite would follow and a scan doesn't can't be checked.
    fs::remove_file(path("shop.db-wal")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", path("shop.db-wal")).unwrap();
    let archive =
        ArchiveId { source: "s".parse().unwrap(), root: place.path().to_str().unwrap().into(), file: "shop.db".into() };
    assert!(ArchiveFiles.open(&archive).is_err());
}

#[test]
fn a_name_that_only_looks_like_that_of_a_log_is_a_backup() {
    let place = tempfile::tempdir().unwrap();
    put(&place.path().join("mail-journal"), "x", "2026-11-01T02:00:00Z");
    put(&place.path().join("shop.sql.gz"), "x", "2026-11-01T02:00:00Z");
    put(&place.path().join("shop.sql.gz-wal"), "x", "2026-11-01T02:00:00Z");
    let found = look(&mut source(place.path(), "{name}"));
    let mut files: Vec<_> = found.attempts.iter().map(|it| (&*it.file, it.size)).collect();
    files.sort_unstable();
    assert_eq!(files, [("mail-journal", 1), ("shop.sql.gz", 1), ("shop.sql.gz-wal", 1)]);
}

#[test]
fn directories_of_a_known_kind_are_one_backup_each() {
    let place = tempfile::tempdir().unwrap();
    let at = "2026-11-01T02:00:30Z";
    let put = |name: &str, text: &str, time: &str| put(&place.path().join(name), text, time);
    put("shop_20261101_020000/toc.dat", "contents", at);
    put("shop_20261101_020000/3349.dat.gz", "rows", "2026-11-01T02:00:40Z");
    put("crm_20261101_020000/metadata.partial", "begun", at);
    put("crm_20261101_020000/crm.t.sql", "INSERT", at);
    put("wiki_20261101_020000/metadata", "finished", at);
    put("wiki_20261101_020000/wiki.t.sql", "INSERT", at);
    put("pg_20261101_020000/PG_VERSION", "15", at);
    put("pg_20261101_020000/base/1/1259", "rows", "2026-11-01T07:59:00Z");
    put("old_20261101_020000/PG_VERSION", "15", at);
    put("whole_20261101_020000/backup_manifest", "{}", at);
    put("other_20261101_020000/notes", "x", at);
    let listing = look(&mut source(place.path(), "{db}_{time}"));
    let of = |name: &str| listing.attempts.iter().find(|it| it.item.to_string() == format!("dump/{name}")).unwrap();
    assert_eq!(listing.attempts.len(), 6, "{:?}", listing.attempts);
    let shop = of("shop");
    assert!(matches!(shop.outcome, Outcome::Complete { .. }));
    assert_eq!((&*shop.file, shop.size), ("shop_20261101_020000", 12));
    assert_eq!(shop.modified.unwrap().as_second(), "2026-11-01T02:00:40Z".parse::<Timestamp>().unwrap().as_second());
    assert!(matches!(&of("crm").outcome, Outcome::Failed { reason } if reason.contains("metadata.partial")));
    assert!(matches!(of("wiki").outcome, Outcome::Complete { .. }));
    assert!(matches!(of("pg").outcome, Outcome::Running { .. }));
    assert!(matches!(&of("old").outcome, Outcome::Failed { reason } if reason.contains("backup_manifest")));
    assert!(matches!(of("whole").outcome, Outcome::Complete { .. }));
    assert_eq!(listing.oddities, 1, "{:?}", listing.odd_names);
}

#[test]
fn what_lies_in_a_backup_is_none_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let at = "2026-11-01T02:00:30Z";
    put(&place.path().join("shop/metadata"), "finished", at);
    put(&place.path().join("shop/crm.sql"), "INSERT", at);
    put(&place.path().join("loose/crm.sql"), "INSERT", at);
    let mut source = source(place.path(), "{name}/{db}.sql");
    source.patterns.push(DumpPattern::new("{db}", None, None).unwrap());
    let listing = look(&mut source);
    let files: Vec<_> = listing.attempts.iter().map(|it| &*it.file).collect();
    assert_eq!(files, ["loose/crm.sql", "shop"]);
}

#[test]
fn no_link_is_followed_out_of_a_backup() {
    use crate::adapters::directories::archive_files::ArchiveFiles;
    use crate::domain::proof::ArchiveId;
    use crate::engine::ports::Archives as _;

    let place = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    put(&elsewhere.path().join("secret"), "of others", "2026-11-01T02:00:30Z");
    let shop = place.path().join("shop");
    put(&shop.join("toc.dat"), "contents", "2026-11-01T02:00:30Z");
    put(&shop.join("below/x"), "y", "2026-11-01T02:00:30Z");
    std::os::unix::fs::symlink(elsewhere.path(), shop.join("linked")).unwrap();
    let archive =
        ArchiveId { source: "s".parse().unwrap(), root: place.path().to_str().unwrap().into(), file: "shop".into() };
    let mut opened = ArchiveFiles.open(&archive).unwrap();
    let found = look(&mut source(place.path(), "{db}"));
    let it = &found.attempts[0];
    let shown = FileFacts { size: it.size, modified: it.modified.unwrap(), changed: it.changed };
    assert_eq!(opened.facts(), shown, "a scan and a reading agree");
    let files = opened.files().unwrap();
    let names: Vec<_> = files.members().iter().map(|it| (&*it.name, it.size)).collect();
    assert_eq!(names, [("below/x", Some(1)), ("linked", None), ("toc.dat", Some(8))]);
    // A directory on the way that becomes a link.
    fs::remove_dir_all(shop.join("below")).unwrap();
    put(&elsewhere.path().join("x"), "y", "2026-11-01T02:00:30Z");
    std::os::unix::fs::symlink(elsewhere.path(), shop.join("below")).unwrap();
    assert!(files.open(0).is_err());
    assert!(!opened.unchanged().unwrap());
}

#[test]
fn what_a_nas_keeps_is_no_dump_unless_the_pattern_spells_it() {
    let place = tempfile::tempdir().unwrap();
    let names = ["#recycle", "@eaDir", "@Recycle", ".Trash-1000", ".snapshot", ".stversions", "lost+found", ".zfs"];
    for name in names {
        put(&place.path().join(name).join("shop.sql"), "x", "2026-11-01T02:00:00Z");
    }
    for name in ["h/._shop.sql", "h/.nfs01.sql", "h/shop.sql", "h/shop.sql.swp"] {
        put(&place.path().join(name), "x", "2026-11-01T02:00:00Z");
    }
    let items = |pattern: &str| {
        let found = look(&mut source(place.path(), pattern));
        let mut items: Vec<String> = found.attempts.iter().map(|it| it.file.to_string()).collect();
        items.sort();
        (items, found.oddities)
    };
    assert_eq!(items("{host}/{db}.sql"), (vec!["h/shop.sql".to_owned()], 11));
    assert_eq!(items(".snapshot/{db}.sql").0, [".snapshot/shop.sql"]);
    assert_eq!(items(".Trash-*/{db}.sql").0, [".Trash-1000/shop.sql"]);
    assert_eq!(items("h/._{db}.sql").0, ["h/._shop.sql"]);
    assert_eq!(items("h/{db}.swp").0, ["h/shop.sql.swp"]);
}

#[test]
fn links_that_lead_nowhere_and_what_is_no_file_are_named() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    std::os::unix::fs::symlink("/nowhere", at("gone.sql")).unwrap();
    std::os::unix::fs::symlink("/nowhere", at("gone.txt")).unwrap();
    fs::create_dir(at("set.sql")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe.sql"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    put(&at("shop.sql"), "x", "2026-11-01T02:00:00Z");
    std::os::unix::fs::symlink("shop.sql", at("latest.sql")).unwrap();
    let found = look(&mut source(place.path(), "{db}.sql"));
    assert_eq!((found.attempts.len(), found.oddities, found.unreadable), (1, 3, 1), "{found:?}");
    assert!(found.unread_names[0].starts_with("gone.sql: is a link to /nowhere"), "{found:?}");
    for what in ["set.sql: is a directory", "pipe.sql: is a pipe", "latest.sql: is a link"] {
        assert!(found.odd_names.iter().any(|name| name.starts_with(what)), "{what}: {found:?}");
    }
}

#[test]
fn an_old_dump_that_was_just_copied_here_is_judged_soon() {
    let place = tempfile::tempdir().unwrap();
    put(&place.path().join("shop_20261025_020000.sql"), "x", "2026-11-01T07:59:00Z");
    put(&place.path().join("crm_20261101_070000.sql"), "x", "2026-11-01T07:59:00Z");
    put(&place.path().join("wiki_20261025_020000.sql"), "x", "2026-11-01T07:57:00Z");
    put(&place.path().join("wiki_20261025_020000.sql.md5sum"), "x", "2026-11-01T07:57:00Z");
    let found = look(&mut source(place.path(), "{db}_{time}.sql"));
    let of = |name: &str| &found.attempts.iter().find(|it| it.item.to_string() == name).unwrap().outcome;
    assert_eq!(*of("dump/shop"), Outcome::Settling { until: "2026-11-01T08:14:00Z".parse().unwrap() });
    assert!(matches!(of("dump/crm"), Outcome::Running { .. }));
    assert!(matches!(of("dump/wiki"), Outcome::Complete { .. }), "its checksum file vouches for it");
}
