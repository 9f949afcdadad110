//! Backups of many files that a real PostgreSQL wrote, and what its own programs say of them when they are damaged.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::store::{Server, binaries, ordinary};
use crate::support::{firedrill, repository, stderr, stdout};

fn verify(path: &Path) -> (i32, Value) {
    let output = firedrill().args(["verify", "--json"]).arg(path).output().unwrap();
    let report = serde_json::from_str(&stdout(&output)).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    (output.status.code().unwrap(), report)
}

fn is_complete(path: &Path) {
    let (code, report) = verify(path);
    let rows = report["archives"].as_array().unwrap();
    assert_eq!((code, rows.len(), &rows[0]["level"]), (0, 1, &Value::from(3)), "{report}");
    assert_eq!(rows[0]["findings"].as_array().unwrap().len(), 0, "{report}");
}

/// Runs a program of PostgreSQL on the server; whether it went well.
fn program(server: &Server, name: &str, arguments: &[&str]) -> bool {
    let mut command = ordinary(&binaries().join(name));
    command.args(["-U", "postgres", "-h"]).arg(server.place()).args(arguments).current_dir(server.place());
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

fn server() -> Server {
    let server = Server::start();
    for statement in [
        "CREATE TABLE item AS SELECT n AS id, 'item ' || n AS name FROM generate_series(1, 500) n",
        "CREATE TABLE empty(id int)",
        "SELECT lo_from_bytea(0, 'large object'), lo_from_bytea(0, '')",
    ] {
        assert!(server.run(statement));
    }
    server
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// A copy to be damaged.
fn copy(from: &Path) -> tempfile::TempDir {
    let place = tempfile::Builder::new().prefix("fd-set").tempdir_in("/tmp").unwrap();
    assert!(Command::new("cp").arg("-a").arg(from).arg(place.path().join("copy")).status().unwrap().success());
    place
}

/// What is done to a file of a backup.
type Change<'a> = &'a dyn Fn(&Path);

#[test]
fn dumps_in_directories_and_tar_files_are_judged_as_pg_restore_does() {
    let server = server();
    let place = server.place();
    for (name, arguments) in [
        ("gz", ["-Fd", "-Z6"].as_slice()),
        ("plain", &["-Fd", "-Z0"]),
        ("inserts", &["-Fd", "--inserts"]),
        ("jobs", &["-Fd", "-j2"]),
    ] {
        assert!(program(&server, "pg_dump", &[arguments, &["-f", name, "postgres"]].concat()));
        is_complete(&place.join(name));
    }
    assert!(program(&server, "pg_dump", &["-Ft", "-f", "shop.tar", "postgres"]));
    is_complete(&place.join("shop.tar"));
    let restores = |path: &Path| {
        let mut command = Command::new(binaries().join("pg_restore"));
        command.args(["-f", "/dev/null"]).arg(path).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    };
    for name in ["gz", "plain"] {
        for file in files(&place.join(name)) {
            let copied = copy(&place.join(name));
            let path = copied.path().join("copy");
            let victim = path.join(file.file_name().unwrap());
            std::fs::remove_file(&victim).unwrap();
            assert!(!restores(&path), "{}", file.display());
            // Without its table of contents it is no dump any more.
            if !file.ends_with("toc.dat") {
                assert_eq!(verify(&path).0, 1, "{}", file.display());
            }
            let bytes = std::fs::read(&file).unwrap();
            if bytes.len() > 4 {
                std::fs::write(&victim, &bytes[..bytes.len() - 4]).unwrap();
                let unmarked =
                    file.extension().is_some_and(|it| it == "dat") && file.to_string_lossy().contains("blob_");
                // pg_restore takes rows without their end for all of them.
                assert!(unmarked || verify(&path).0 == 1, "{}", file.display());
            }
        }
    }
}

#[test]
fn base_backups_are_judged_as_pg_verifybackup_does() {
    let server = server();
    let place = server.place();
    for (name, arguments) in [("base", ["-Fp"].as_slice()), ("tgz", &["-Ft", "-z", "--manifest-checksums=SHA256"])] {
        assert!(program(&server, "pg_basebackup", &[arguments, &["-c", "fast", "-D", name]].concat()));
        is_complete(&place.join(name));
    }
    let verified = |path: &Path| {
        let mut command = Command::new(binaries().join("pg_verifybackup"));
        command.arg("-q").arg(path).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    };
    let base = place.join("base");
    assert!(verified(&base));
    let wal = files(&base.join("pg_wal")).into_iter().find(|it| it.is_file()).unwrap();
    let wal = wal.strip_prefix(&base).unwrap().to_str().unwrap();
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let half = bytes.len() / 2;
        bytes[half] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    let remove = |path: &Path| std::fs::remove_file(path).unwrap();
    let cut = |path: &Path| std::fs::write(path, b"cut").unwrap();
    let make = |path: &Path| std::fs::write(path, b"new").unwrap();
    let damages: [(&str, Change<'_>, i32); 12] = [
        ("global/pg_control", &flip, 1),
        ("PG_VERSION", &cut, 1),
        ("base/1/1259", &remove, 1),
        ("base/1/1259", &cut, 1),
        ("backup_manifest", &flip, 1),
        ("backup_label", &remove, 1),
        // As a backup without the log is made (-X none), so it is only said that it can't stand alone: no proof.
        (wal, &remove, 2),
        (wal, &cut, 1),
        ("postgresql.auto.conf", &remove, 0),
        ("postgresql.auto.conf", &flip, 0),
        ("standby.signal", &make, 0),
        // A warning here: a file too many hinders no restore.
        ("base/1/note", &make, 0),
    ];
    for (name, damage, wanted) in damages {
        let copied = copy(&base);
        let path = copied.path().join("copy");
        damage(&path.join(name));
        let (code, report) = verify(&path);
        assert_eq!(code, wanted, "{name}: {report}");
        let kind = &report["archives"][0]["findings"][0]["kind"];
        let warned = kind == "extra_file" || kind == "companion_missing";
        assert_eq!(verified(&path), wanted == 0 && !warned, "{name}");
        assert_eq!(report["archives"][0]["level"] == 3, wanted == 0 && kind != "companion_missing", "{report}");
    }
    for file in files(&place.join("tgz")) {
        let copied = copy(&place.join("tgz"));
        let path = copied.path().join("copy");
        let victim = path.join(file.file_name().unwrap());
        // The sum at its end: within compressed zeros a bit may mean the same either way.
        let mut bytes = std::fs::read(&victim).unwrap();
        let at = bytes.len() - 6;
        bytes[at] ^= 1;
        std::fs::write(&victim, bytes).unwrap();
        assert_eq!(verify(&path).0, 1, "{}", file.display());
    }
}

#[test]
fn a_pattern_that_fits_a_directory_makes_one_backup_of_it() {
    let place = tempfile::tempdir().unwrap();
    let dumps = place.path().join("dumps");
    std::fs::create_dir(&dumps).unwrap();
    let put = |fixture: &str, name: &str| {
        let from = repository("tests/fixtures/sets").join(fixture);
        assert!(Command::new("cp").arg("-r").arg(from).arg(dumps.join(name)).status().unwrap().success());
        for file in files(&dumps.join(name)) {
            let then = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_767_232_860);
            std::fs::File::options().write(true).open(file).unwrap().set_modified(then).unwrap();
        }
    };
    put("pg_directory", "shop_20260101_020000");
    put("mydumper", "crm_20260101_020000");
    std::fs::create_dir_all(dumps.join("empty_20260101_020000/below")).unwrap();
    let config = place.path().join("firedrill.toml");
    let text = format!(
        "[store]\nurl = \"sqlite://{}/firedrill.db\"\n\n[[dump]]\nname = \"db\"\ntime_zone = \"UTC\"\nroots = [{{ path = {dumps:?} }}]\npatterns = [{{ pattern = \"{{db}}_{{time}}\" }}]\n",
        place.path().display()
    );
    std::fs::write(&config, text).unwrap();
    let run = || {
        let output = firedrill().args(["verify", "--json", "--config.file"]).arg(&config).output().unwrap();
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        (output.status.code(), report)
    };
    let (code, report) = run();
    assert_eq!(code, Some(0), "{report}");
    let items: Vec<_> = report["archives"].as_array().unwrap().iter().map(|row| row["item"].clone()).collect();
    assert_eq!(items.len(), 2, "{report}");
    assert!(items.contains(&"dump/shop".into()) && items.contains(&"dump/crm".into()));
    // Other bytes under the same time in one of its files are bit rot of the whole.
    let blob = dumps.join("shop_20260101_020000/blob_16399.dat.gz");
    let then = std::fs::metadata(&blob).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    // The time in the header of gzip.
    bytes[4] ^= 1;
    std::fs::write(&blob, &bytes).unwrap();
    std::fs::File::options().write(true).open(&blob).unwrap().set_modified(then).unwrap();
    let (code, report) = run();
    assert_eq!(code, Some(1), "{report}");
    assert!(report.to_string().contains("bit_rot"), "{report}");
    // Written again is no rot, though the newest write of all files is the same.
    std::fs::File::options()
        .write(true)
        .open(&blob)
        .unwrap()
        .set_modified(then - std::time::Duration::from_secs(60))
        .unwrap();
    assert_eq!(run().0, Some(0));
}
