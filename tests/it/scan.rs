//! `firedrill scan` and `check-config` as a user meets them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::{firedrill, run, stderr, stdout};

const DAY: Duration = Duration::from_secs(86_400);

/// A directory with one archive that began `age` ago.
fn archive(directory: &Path, vmid: u32, age: Duration) {
    let started = jiff::Timestamp::try_from(SystemTime::now_for_tests() - age).unwrap();
    let stamp = started.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y_%m_%d-%H_%M_%S").to_string();
    let path = directory.join(format!("vzdump-qemu-{vmid}-{stamp}.vma.zst"));
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(&path, "archive".repeat(20)).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::from(started) + Duration::from_secs(60)).unwrap();
}

trait Now {
    fn now_for_tests() -> SystemTime;
}

impl Now for SystemTime {
    /// The time of this machine, by a file that was just made.
    fn now_for_tests() -> SystemTime {
        tempfile::tempfile().unwrap().metadata().unwrap().modified().unwrap()
    }
}

fn scan(paths: &[&Path]) -> (i32, Value) {
    let mut command = firedrill();
    let output = command.args(["scan", "--json", "--time-zone", "UTC"]).args(paths).output().unwrap();
    let report = serde_json::from_str(&stdout(&output)).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    (output.status.code().unwrap(), report)
}

fn state_of<'a>(report: &'a Value, item: &str) -> &'a str {
    let items = report["sources"][0]["items"].as_array().unwrap();
    items.iter().find(|it| it["item"] == item).unwrap_or_else(|| panic!("{item}: {report}"))["state"].as_str().unwrap()
}

#[test]
fn exit_code_says_how_it_is() {
    let place = tempfile::tempdir().unwrap();
    let good = place.path().join("good");
    archive(&good, 100, DAY / 2);
    let (code, report) = scan(&[&good]);
    assert_eq!((code, state_of(&report, "qemu/100")), (0, "ok"));

    let late = place.path().join("late");
    archive(&late, 101, DAY + DAY / 4);
    let (code, report) = scan(&[&good, &late]);
    assert_eq!((code, state_of(&report, "qemu/101")), (1, "late"));

    let gone = place.path().join("gone");
    let (code, report) = scan(&[&late, &gone]);
    assert_eq!((code, state_of(&report, "qemu/101")), (2, "unknown"));
    let (code, report) = scan(&[&good, &gone]);
    assert_eq!((code, state_of(&report, "qemu/100")), (2, "ok"), "fresh where it can be seen, yet not all was seen");
    assert!(report["sources"][0]["problems"][0].as_str().unwrap().contains(gone.to_str().unwrap()));
}

/// The name of a run of half a day ago, and the time of its lines in the form of before Proxmox VE 5.1.
fn run_of(kind: &str, vmid: u32) -> (String, String) {
    let started = jiff::Timestamp::try_from(SystemTime::now_for_tests() - DAY / 2).unwrap();
    let zoned = started.to_zoned(jiff::tz::TimeZone::UTC);
    let name = format!("vzdump-{kind}-{vmid}-{}", zoned.strftime("%Y_%m_%d-%H_%M_%S"));
    (name, zoned.strftime("%b %d %H:%M:%S").to_string())
}

/// Writes a file as it was half a day ago.
fn put_old(path: &Path, content: &[u8]) {
    std::fs::write(path, content).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now_for_tests() - DAY / 2 + Duration::from_secs(10)).unwrap();
}

fn item_of<'a>(report: &'a Value, item: &str) -> &'a Value {
    let items = report["sources"][0]["items"].as_array().unwrap();
    items.iter().find(|it| it["item"] == item).unwrap_or_else(|| panic!("{item}: {report}"))
}

#[test]
fn logs_of_before_tell_the_end_the_reason_and_the_size() {
    let place = tempfile::tempdir().unwrap();
    let fixture = |name: &str| crate::support::repository("tests/fixtures/vzdump/old-log").join(name);
    for (vmid, name) in [(112, "vzdump-qemu-112-2026_11_25-00_01_53"), (113, "vzdump-qemu-113-2026_11_25-01_01_53")] {
        let (base, stamp) = run_of("qemu", vmid);
        let log = std::fs::read_to_string(fixture(&format!("{name}.log"))).unwrap();
        let log: String = log.lines().map(|line| format!("{stamp}{}\n", &line["Nov 25 00:01:53".len()..])).collect();
        put_old(&place.path().join(format!("{base}.log")), log.as_bytes());
        if vmid == 112 {
            let archive = std::fs::read(fixture(&format!("{name}.vma.lzo"))).unwrap();
            put_old(&place.path().join(format!("{base}.vma.lzo")), &archive);
        }
    }
    let (code, report) = scan(&[place.path()]);
    assert_eq!((code, state_of(&report, "qemu/112"), state_of(&report, "qemu/113")), (1, "failed", "failed"));
    let reason = |item: &str| item_of(&report, item)["reason"].as_str().unwrap().to_owned();
    assert!(reason("qemu/112").contains("cut short"), "{report}");
    assert!(reason("qemu/113").contains("no such volume"), "{report}");
    assert_eq!(item_of(&report, "qemu/113")["name"], "dc1");
}

#[test]
fn complaints_and_volumes_that_were_left_out_are_told() {
    let place = tempfile::tempdir().unwrap();
    let (base, _) = run_of("lxc", 155);
    let log = crate::support::repository("tests/fixtures/vzdump/vzdump-lxc-155-2026_11_25-01_20_46.log");
    let mut log = std::fs::read_to_string(log).unwrap();
    log.push_str("2026-11-25 01:20:47 WARN: first\n2026-11-25 01:20:48 ERROR: worst\n");
    put_old(&place.path().join(format!("{base}.log")), log.as_bytes());
    put_old(&place.path().join(format!("{base}.tar.zst")), &[b'x'; 20_000]);
    let (other, _) = run_of("qemu", 100);
    put_old(&place.path().join(format!("{other}.log")), b"nothing that vzdump writes\n");
    put_old(&place.path().join(format!("{other}.vma.zst")), &[b'x'; 20_000]);
    let (code, report) = scan(&[place.path()]);
    assert_eq!(code, 0, "{report}");
    let it = item_of(&report, "lxc/155");
    assert_eq!(it["left_out_volumes"], serde_json::json!(["mp0 (/var/lib/etcd)"]));
    assert_eq!(
        (&it["log_complaints"], &it["log_complaint_count"]),
        (&serde_json::json!(["first", "worst"]), &2.into())
    );
    let notes = it["notes"].to_string();
    assert!(notes.contains("first; worst") && notes.contains("mp0 (/var/lib/etcd)"), "{notes}");
    let it = item_of(&report, "qemu/100");
    assert_eq!(it["left_out_volumes"], Value::Null);
    assert!(it["notes"].to_string().contains("understood") && !it["notes"].to_string().contains("interrupted"), "{it}");
}

#[test]
fn links_that_lead_nowhere_could_not_be_looked_at() {
    for pattern in [None, Some("{db}.sql.gz")] {
        let place = tempfile::tempdir().unwrap();
        archive(place.path(), 100, DAY / 2);
        let name = if pattern.is_some() { "shop.sql.gz" } else { "vzdump-qemu-100-2020_01_01-02_00_00.vma.zst" };
        std::os::unix::fs::symlink("/nowhere", place.path().join(name)).unwrap();
        let mut arguments = vec!["scan", "--time-zone", "UTC", place.path().to_str().unwrap()];
        arguments.extend(pattern.iter().flat_map(|pattern| ["--dump-pattern", pattern]));
        let output = run(&arguments);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.lines().any(|line| line.contains("could not look: ") && line.contains(name)), "{text}");
        let line = text.lines().find(|line| line.contains("qemu/100")).unwrap();
        assert!(line.contains(" ok "), "the newest is fresh: {text}");
    }
}

#[test]
fn an_old_archive_that_was_just_copied_here_is_judged_soon() {
    let place = tempfile::tempdir().unwrap();
    archive(place.path(), 100, DAY * 5);
    let path = std::fs::read_dir(place.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(SystemTime::now_for_tests()).unwrap();
    let (_, report) = scan(&[place.path()]);
    let reason = item_of(&report, "qemu/100")["reason"].as_str().unwrap();
    assert!(reason.contains("written just now") && reason.contains("judged in"), "{reason}");
}

#[test]
fn nothing_found_is_not_fine() {
    let place = tempfile::tempdir().unwrap();
    let output = run(&["scan", place.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("No backup was found"), "{}", stdout(&output));
    let output = run(&["scan", place.path().join("gone").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let text = stdout(&output);
    assert!(text.contains("could not look") && !text.contains("No backup was found"), "{text}");
}

#[test]
fn a_storage_is_found_by_its_own_path() {
    let place = tempfile::tempdir().unwrap();
    archive(&place.path().join("dump"), 100, DAY / 2);
    assert_eq!(scan(&[place.path()]).0, 0);
    // What lies beside that directory is not overlooked, and the same directory twice is one.
    archive(place.path(), 101, DAY * 9);
    let (code, report) = scan(&[place.path(), &place.path().join("dump"), place.path()]);
    assert_eq!((code, state_of(&report, "qemu/101")), (1, "missing"));
    assert_eq!(report["sources"][0]["items"][0]["copies"], 1);
}

#[test]
fn the_table_has_a_line_per_item_and_no_escapes_when_piped() {
    let place = tempfile::tempdir().unwrap();
    archive(place.path(), 100, DAY / 2);
    archive(place.path(), 101, DAY * 3);
    let output = run(&["scan", "--time-zone", "UTC", place.path().to_str().unwrap()]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
    assert!(!text.contains('\x1b'));
    let line = text.lines().find(|line| line.contains("qemu/101")).unwrap();
    assert!(line.contains("missing") && line.contains("3d old"), "{line}");
}

#[test]
fn dumps_need_a_pattern() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("shop_20260101_020000.sql.gz"), "x").unwrap();
    let path = place.path().to_str().unwrap();
    let output = run(&["scan", "--dump-pattern", "{db}_{time}.sql.gz", path]);
    assert!(stdout(&output).contains("dump/shop"), "{}", stdout(&output));
    let output = run(&["scan", "--dump-pattern", "{db_{time}", path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("braces"), "{}", stderr(&output));
}

#[test]
fn hostile_names_never_reach_the_terminal() {
    let place = tempfile::tempdir().unwrap();
    archive(place.path(), 100, DAY / 2);
    for name in [
        &b"vzdump-qemu-100-\x1b[2J\n.vma"[..],
        b"vzdump-qemu-100-\xff\xfe.vma.zst",
        b"vzdump-qemu-100-2026_13_45-99_99_99.vma.zst",
        b"vzdump-lxc-999999999999-2026_01_01-00_00_00.tar",
    ] {
        std::fs::write(place.path().join(OsStr::from_bytes(name)), "x").unwrap();
    }
    std::os::unix::fs::symlink(".", place.path().join("loop")).unwrap();
    let output = run(&["scan", "--time-zone", "UTC", place.path().to_str().unwrap()]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(!text.contains('\x1b') && text.contains("passed over"), "{text}");
}

#[test]
fn huge_and_binary_logs_are_read_through() {
    let place = tempfile::tempdir().unwrap();
    let base = place.path().join("vzdump-qemu-100-2026_01_01-02_00_00");
    let mut log = vec![b'x'; 3 << 20];
    log.extend_from_slice(b"\n\x00\xff\n2026-01-01 02:00:09 ERROR: Backup of VM 100 failed - disk is full\n");
    std::fs::write(base.with_extension("log"), log).unwrap();
    let (code, report) = scan(&[place.path()]);
    assert_eq!((code, state_of(&report, "qemu/100")), (1, "failed"));
    assert!(report.to_string().contains("disk is full"));
}

#[test]
fn what_may_not_be_read_is_unknown() {
    let place = tempfile::tempdir().unwrap();
    let dump = place.path().join("dump");
    archive(&dump, 100, DAY / 2);
    let open = std::os::unix::fs::PermissionsExt::from_mode;
    // Names can be listed, files can't be examined.
    for (mode, what) in [(0o000, "the directory"), (0o444, "what lies in it")] {
        std::fs::set_permissions(&dump, open(mode)).unwrap();
        let output = as_nobody(place.path(), &["scan", "--json", dump.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{what}: {}{}", stdout(&output), stderr(&output));
        assert!(stdout(&output).contains("Permission denied"), "{what}: {}", stdout(&output));
    }
    std::fs::set_permissions(&dump, open(0o755)).unwrap();
}

/// Runs the binary as a user without rights; root may read everything.
fn as_nobody(place: &Path, arguments: &[&str]) -> std::process::Output {
    if !rustix::process::geteuid().is_root() {
        return run(arguments);
    }
    // The build directory may be closed to others.
    let binary = place.join("firedrill");
    std::fs::copy(env!("CARGO_BIN_EXE_firedrill"), &binary).unwrap();
    std::fs::set_permissions(place, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary).args(arguments);
    command.current_dir("/").output().unwrap()
}

#[test]
fn check_config_names_everything_that_is_wrong() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("bad.toml");
    std::fs::write(&file, "[web]\nlisten_address = 5\n[[vzdump]]\nname = \"a b\"\nroots = []\n").unwrap();
    let output = run(&["check-config", "--config.file", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("web.listen_address") && text.contains("vzdump.0.name"), "{text}");

    let good = crate::support::repository("config/minimal.toml");
    let output = run(&["check-config", "--config.file", good.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("/var/lib/vz/dump"));
}

#[test]
fn the_environment_goes_over_the_file_and_typing_errors_are_found() {
    let good = crate::support::repository("config/minimal.toml");
    let check = |name: &str, value: &str| {
        firedrill().env(name, value).args(["check-config", "--config.file", good.to_str().unwrap()]).output().unwrap()
    };
    assert!(check("FIREDRILL_WEB__LISTEN_ADDRESS", "127.0.0.1:1").status.success());
    let wrong = check("FIREDRILL_WEB__LISTEN_ADRESS", "127.0.0.1:1");
    assert!(stderr(&wrong).contains("web.listen_adress"), "{}", stderr(&wrong));
}

#[test]
fn serving_nothing_is_refused_with_advice() {
    let output = run(&["serve"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--demo"), "{}", stderr(&output));
}

#[test]
fn help_names_the_commands() {
    let text = stdout(&run(&["--help"]));
    for word in ["serve", "scan", "check-config"] {
        assert!(text.contains(word), "{text}");
    }
}
