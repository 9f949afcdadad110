//! `firedrill verify` as a user meets it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{firedrill, repository, run, stderr, stdout};

fn fixture(name: &str) -> PathBuf {
    repository("tests/fixtures").join(name)
}

const GOOD: &str = "vma/good/vzdump-qemu-110-2026_11_01-02_10_00.vma.zst";
const DAMAGED: &str = "vma/bad/t10-cut-after-first-extent.vma.zst";

fn verify(arguments: &[&str], paths: &[&Path]) -> (i32, Value) {
    let output = firedrill().args(["verify", "--json"]).args(arguments).args(paths).output().unwrap();
    let report = serde_json::from_str(&stdout(&output)).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    (output.status.code().unwrap(), report)
}

#[test]
fn exit_code_says_how_it_is() {
    let (good, damaged) = (fixture(GOOD), fixture(DAMAGED));
    assert_eq!(verify(&[], &[&good]).0, 0);
    assert_eq!(verify(&[], &[&good, &damaged]).0, 1);
    let gone = Path::new("/nowhere/vzdump-qemu-100-2026_11_01-02_10_00.vma.zst");
    assert_eq!(verify(&[], &[&good, gone]).0, 2);
    // Damage is more than what could not be looked at.
    assert_eq!(verify(&[], &[&damaged, gone]).0, 1);
    let empty = tempfile::tempdir().unwrap();
    let output = run(&["verify", empty.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("nothing to verify"), "{}", stderr(&output));
}

#[test]
fn json_tells_everything_of_an_archive() {
    let (_, report) = verify(&[], &[&fixture(GOOD)]);
    let it = &report["archives"][0];
    assert_eq!((it["item"].as_str(), it["verdict"].as_str()), (Some("qemu/110"), Some("intact")));
    assert_eq!(it["guest"], "oracle-small-110");
    assert_eq!((it["level"].as_u64(), it["unpacked"].as_u64()), (Some(3), Some(452_096)));
    assert_eq!(it["evidence"]["disks"][0]["name"], "drive-scsi0");
    assert_eq!(it["blake3"].as_str().unwrap().len(), 64);
    let (_, report) = verify(&[], &[&fixture(DAMAGED)]);
    let finding = &report["archives"][0]["findings"][0];
    assert_eq!(
        (finding["severity"].as_str(), finding["kind"].as_str()),
        (Some("damage"), Some("vma_missing_clusters"))
    );
}

#[test]
fn levels_look_as_deep_as_they_say() {
    // The compressor's stream is whole; only its structure tells that clusters are missing.
    let cut = fixture(DAMAGED);
    for (level, code) in [("1", 0), ("2", 0), ("3", 1)] {
        let (found, report) = verify(&["--level", level], &[&cut]);
        assert_eq!(found, code, "{report}");
    }
    let torn = fixture("compressed/c16-64-bytes-zeroed.vma.zst");
    for (level, code) in [("1", 0), ("2", 1), ("3", 1)] {
        assert_eq!(verify(&["--level", level], &[&torn]).0, code);
    }
    assert_eq!(run(&["verify", "--level", "4", "x"]).status.code(), Some(2));
}

#[test]
fn a_directory_is_read_as_a_storage_is_laid_out() {
    let place = tempfile::tempdir().unwrap();
    let dump = place.path().join("dump");
    std::fs::create_dir(&dump).unwrap();
    std::fs::copy(fixture(GOOD), dump.join("vzdump-qemu-110-2026_11_01-02_10_00.vma.zst")).unwrap();
    std::fs::write(dump.join("vzdump-qemu-110-2026_11_01-02_10_00.log"), "x").unwrap();
    std::fs::write(dump.join("vzdump-qemu-111-2026_11_01-02_10_00.vma.dat"), "still being written").unwrap();
    std::fs::write(place.path().join("notes.txt"), "x").unwrap();
    let (code, report) = verify(&[], &[place.path(), &dump]);
    assert_eq!(code, 0);
    assert_eq!(report["archives"].as_array().unwrap().len(), 1, "{report}");
}

#[test]
fn of_a_directory_nothing_is_passed_over_in_silence() {
    let place = tempfile::tempdir().unwrap();
    let in_place = |name: &str| place.path().join(name);
    std::os::unix::fs::symlink(fixture(GOOD), in_place("linked.vma.zst")).unwrap();
    std::fs::copy(fixture(GOOD), in_place("UPPER.VMA.ZST")).unwrap();
    std::fs::write(in_place("files.tar.xz"), b"\xfd7zXZ\0 and more").unwrap();
    std::fs::write(in_place("a.sha256"), "x").unwrap();
    std::fs::copy(fixture(GOOD), in_place("vzdump-qemu-110-2026_11_01-02_10_00.VMA.ZST")).unwrap();
    std::fs::write(in_place("notes.txt"), "x").unwrap();
    std::fs::create_dir(in_place("old")).unwrap();
    let (code, report) = verify(&[], &[place.path()]);
    // What is compressed with xz isn't decoded, and nobody said that this is enough.
    assert_eq!((code, report["unproven"].as_u64()), (2, Some(1)), "{report}");
    let (code, report) = verify(&["--accept-level", "1"], &[place.path()]);
    assert_eq!(code, 0, "{report}");
    let level = |name: &str| {
        let rows = report["archives"].as_array().unwrap();
        let row = rows.iter().find(|it| it["archive"].as_str().unwrap().ends_with(name));
        row.unwrap_or_else(|| panic!("{name} in {report}"))["level"].as_u64()
    };
    assert_eq!(
        [level("linked.vma.zst"), level("UPPER.VMA.ZST"), level("00.VMA.ZST"), level("files.tar.xz")],
        [Some(3), Some(3), Some(3), Some(1)]
    );
    assert_eq!((report["passed_over"].as_u64(), report["short"].as_u64()), (Some(2), Some(1)));
    let html = in_place("report.html");
    let output =
        run(&["verify", place.path().to_str().unwrap(), "--accept-level=1", "--report", html.to_str().unwrap()]);
    let text = stdout(&output);
    assert!(text.contains("intact as far as level 1 (asked 3)") && text.contains("1 of 3"), "{text}");
    assert!(
        text.contains("4 intact, 0 damaged, 0 could not be checked, 1 of the intact not as far as asked"),
        "{text}"
    );
    assert!(text.contains(", 1 file and 1 directory were passed over; "), "{text}");
    assert!(std::fs::read_to_string(html).unwrap().contains("not all could be checked as far as asked"));
    // A link that leads nowhere is no reason to say that all is fine.
    std::os::unix::fs::symlink("/nowhere", in_place("gone.vma.zst")).unwrap();
    assert_eq!(verify(&[], &[place.path()]).0, 2);
}

#[test]
fn less_than_asked_is_not_exit_code_0_unless_it_is_accepted() {
    let place = tempfile::tempdir().unwrap();
    let text = place.path().join("notes.txt");
    std::fs::write(&text, "hi\n").unwrap();
    let (code, report) = verify(&[], &[&text]);
    assert_eq!((code, report["archives"][0]["verdict"].as_str()), (2, Some("unproven")), "{report}");
    assert_eq!((report["intact"].as_u64(), report["unproven"].as_u64()), (Some(0), Some(1)));
    assert_eq!(verify(&["--accept-level", "2"], &[&text]).0, 2);
    assert_eq!(verify(&["--level", "2"], &[&text]).0, 2);
    assert_eq!(verify(&["--level", "1"], &[&text]).0, 0);
    let (code, report) = verify(&["--accept-level", "1"], &[&text]);
    assert_eq!((code, report["archives"][0]["verdict"].as_str()), (0, Some("intact")), "{report}");
    // Accepting less hides no damage.
    assert_eq!(verify(&["--accept-level", "1"], &[&fixture("field/error-text.sql.gz")]).0, 1);
    let line = stdout(&run(&["verify", text.to_str().unwrap()]));
    assert!(
        line.starts_with("unproven above level 1 (asked 3)") && line.contains("that it is whole can't be told"),
        "{line}"
    );
}

#[test]
fn a_source_says_what_is_enough_of_it() {
    let place = tempfile::tempdir().unwrap();
    let name = "shop_2026-01-01.sql.gpg";
    std::fs::copy(fixture("field/openpgp.sql.gz.gpg"), place.path().join(name)).unwrap();
    age(&place.path().join(name));
    let config = place.path().join("firedrill.toml");
    let with = |accepted: &str| {
        let path = place.path();
        let text = format!(
            "[store]\nurl = \"sqlite://{}/firedrill.db\"\n[[dump]]\nname = \"dumps\"\ntime_zone = \"UTC\"\nroots = [{{ path = {path:?} }}]\npatterns = [{{ pattern = \"{{db}}_{{time}}.sql.gpg\" }}]\n{accepted}",
            path.display()
        );
        std::fs::write(&config, text).unwrap();
        verify(&["--config.file", config.to_str().unwrap()], &[]).0
    };
    assert_eq!(with(""), 2);
    assert_eq!(with("accept_level = 1\n"), 0);
}

#[test]
fn a_report_never_goes_over_a_file_that_is_there() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.vma.zst");
    std::fs::copy(fixture(GOOD), &file).unwrap();
    let before = std::fs::read(&file).unwrap();
    let output = run(&["verify", file.to_str().unwrap(), "--report", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("creating the report"), "{}", stderr(&output));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn control_characters_in_names_forge_no_lines() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a\nintact    b\u{1b}[2J.vma.zst");
    std::fs::copy(fixture(DAMAGED), &file).unwrap();
    let text = stdout(&run(&["verify", file.to_str().unwrap()]));
    assert!(text.contains("a\\nintact    b\\u{1b}[2J.vma.zst"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.lines().any(|line| line.starts_with("intact ")), "{text}");
}

#[test]
fn without_a_terminal_there_is_a_line_for_each_archive_and_a_table() {
    let output = run(&["verify", fixture(GOOD).to_str().unwrap(), fixture(DAMAGED).to_str().unwrap()]);
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().take(2).collect();
    assert!(lines[0].starts_with("intact ") && lines[0].contains("MB/s"), "{text}");
    assert!(lines[1].starts_with("damaged ") && lines[1].contains("68 of the 117 clusters of drive-scsi0"), "{text}");
    assert!(text.contains("VERDICT") && text.ends_with("of reading\n"), "{text}");
    assert!(text.contains("1 intact, 1 damaged, 0 could not be checked"), "{text}");
    // No bar, no escape sequence.
    assert_eq!(stderr(&output), "");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn fail_fast_leaves_the_rest() {
    let good = fixture(GOOD);
    let (code, report) = verify(&["--fail-fast"], &[&fixture(DAMAGED), &good, &fixture("compressed/c00-good.vma.gz")]);
    assert_eq!((code, report["damaged"].as_u64()), (1, Some(1)));
    assert_eq!(report["archives"].as_array().unwrap().len() + report["left_out"].as_u64().unwrap() as usize, 3);
}

#[test]
fn several_at_once_find_the_same() {
    let paths: Vec<PathBuf> = std::fs::read_dir(fixture("vma/bad"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().unwrap() == "zst")
        .collect();
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let verdicts = |jobs: &str| -> std::collections::BTreeMap<String, String> {
        let (_, report) = verify(&["--jobs", jobs], &paths);
        let rows = report["archives"].as_array().unwrap().clone();
        rows.iter().map(|it| (it["archive"].to_string(), format!("{}{}", it["verdict"], it["findings"]))).collect()
    };
    let one = verdicts("1");
    assert_eq!(one.len(), paths.len());
    assert_eq!(one, verdicts("4"));
}

#[test]
fn the_report_is_one_page_and_shows_hostile_names_as_text() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("<img src=x onerror=alert(1)>.vma.zst");
    std::fs::copy(fixture(DAMAGED), &file).unwrap();
    let report = place.path().join("report.html");
    let output = run(&["verify", file.to_str().unwrap(), "--report", report.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let html = std::fs::read_to_string(&report).unwrap();
    assert!(html.contains("Damaged backups were found") && html.contains("68 of the 117 clusters"), "{html}");
    assert!(html.contains("&lt;img src=x") && !html.contains("<img"), "{html}");
    assert!(!html.contains("http") && !html.contains("<script"), "it refers to nothing outside");
    // Said before hours of reading, not after.
    let output = run(&["verify", file.to_str().unwrap(), "--report", "/nowhere/report.html"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).is_empty() && stderr(&output).contains("creating the report"), "{}", stderr(&output));
}

/// A configured source with a store of its own.
fn configured(place: &Path) -> (PathBuf, PathBuf) {
    let dump = place.join("dump");
    std::fs::create_dir(&dump).unwrap();
    let archive = dump.join("vzdump-qemu-110-2026_01_01-02_00_00.vma.zst");
    std::fs::copy(fixture(GOOD), &archive).unwrap();
    age(&archive);
    let config = place.join("firedrill.toml");
    let text = format!(
        "[store]\nurl = \"sqlite://{}/firedrill.db\"\n\n[[vzdump]]\nname = \"pve\"\ntime_zone = \"UTC\"\nroots = [{{ path = {dump:?} }}]\n",
        place.display()
    );
    std::fs::write(&config, text).unwrap();
    (config, archive)
}

/// Puts the last write to where the name says it was.
fn age(path: &Path) {
    let then = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_767_232_860);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn other_bytes_under_the_same_time_are_bit_rot_from_one_run_to_the_next() {
    let place = tempfile::tempdir().unwrap();
    let (config, archive) = configured(place.path());
    let config = config.to_str().unwrap();
    assert_eq!(verify(&["--config.file", config], &[]).0, 0);
    // A skippable frame behind the end: zstd passes over it, and the size stays that of the first reading below.
    let mut bytes = std::fs::read(&archive).unwrap();
    let other = std::fs::read(fixture("vma/good/vzdump-qemu-113-2026_11_01-02_10_15.vma.zst")).unwrap();
    let left = bytes.len() - other.len() - 8;
    let padding = [&0x184D_2A50_u32.to_le_bytes()[..], &(left as u32).to_le_bytes(), &vec![0; left]].concat();
    bytes = [other, padding].concat();
    std::fs::write(&archive, &bytes).unwrap();
    age(&archive);
    let (code, report) = verify(&["--config.file", config], &[]);
    assert_eq!(code, 1, "{report}");
    assert_eq!(report["archives"][0]["findings"][0]["kind"], "bit_rot");
    // A later write is another file, not rot.
    std::fs::File::options()
        .write(true)
        .open(&archive)
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_767_300_000))
        .unwrap();
    let (code, report) = verify(&["--config.file", config], &[]);
    assert_eq!(code, 0, "{report}");
}

#[test]
fn sources_and_items_are_chosen_by_name() {
    let place = tempfile::tempdir().unwrap();
    let (config, _) = configured(place.path());
    let config = config.to_str().unwrap();
    let of = |arguments: &[&str]| run(&[&["verify", "--config.file", config], arguments].concat());
    assert_eq!(of(&["--source", "pve", "--item", "qemu/110"]).status.code(), Some(0));
    let output = of(&["--item", "qemu/999"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there is no backup of qemu/999"), "{}", stderr(&output));
    assert!(stderr(&of(&["--source", "other"])).contains("no source called other"));
}

#[test]
fn without_a_store_archives_are_read_all_the_same_and_it_is_said() {
    let place = tempfile::tempdir().unwrap();
    let (config, _) = configured(place.path());
    std::fs::create_dir(place.path().join("firedrill.db")).unwrap();
    let output = run(&["verify", "--config.file", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing is compared with earlier readings"), "{}", stderr(&output));
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let place = tempfile::tempdir().unwrap();
    let pipe = place.path().join("vzdump-qemu-100-2026_01_01-02_00_00.vma.zst");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (code, report) = verify(&[], &[&pipe]);
    assert_eq!(code, 2);
    assert!(report["archives"][0]["reason"].as_str().unwrap().contains("not a regular file"), "{report}");
}

#[test]
fn a_database_is_read_with_the_log_beside_it() {
    let place = tempfile::tempdir().unwrap();
    let copy = |name: &str, to: &str| {
        std::fs::copy(fixture("dumps/logs").join(name), place.path().join(to)).unwrap();
    };
    copy("half.db", "shop.db");
    copy("half.db-wal", "shop.db-wal");
    copy("hot.db", "crm.db");
    copy("hot.db-journal", "crm.db-journal");
    let (code, report) = verify(&[], &[place.path()]);
    assert_eq!((code, &report["passed_over"]), (0, &serde_json::json!(0)), "{report}");
    let copied = fixture("dumps/logs/backup_2026-11-24.sqlite3.zst");
    let (code, backup) = verify(&[], &[&copied]);
    let findings = &backup["archives"][0]["findings"];
    assert_eq!(
        (code, findings.as_array().unwrap().len(), &findings[0]["severity"]),
        (0, 1, &serde_json::json!("note"))
    );
    assert_eq!(backup["archives"][0]["level"], 3);
    let whole: u64 =
        ["shop.db", "shop.db-wal"].map(|it| std::fs::metadata(place.path().join(it)).unwrap().len()).iter().sum();
    let shop = |report: &Value| {
        let found = report["archives"].as_array().unwrap().iter().find(|it| it["item"] == "dump/shop.db").cloned();
        found.unwrap()
    };
    assert_eq!(shop(&report)["size"].as_u64(), Some(whole));
    // The log belongs to what the digest is of, at any level.
    let digest = shop(&report)["blake3"].clone();
    assert_eq!(shop(&verify(&["--level", "2"], &[place.path()]).1)["blake3"], digest);
    std::fs::remove_file(place.path().join("shop.db-wal")).unwrap();
    let (code, report) = verify(&[], &[place.path()]);
    assert_eq!(code, 1);
    assert_ne!(shop(&report)["blake3"], digest);
}

/// Runs one of coreutils' sums in a directory and gives what it prints.
fn sum_of(place: &Path, arguments: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(arguments[0]).args(&arguments[1..]).current_dir(place).output().unwrap();
    (output.status.success(), stdout(&output))
}

const PLAIN: &str = "vzdump-qemu-110-2026_11_01-02_10_00.vma.zst";

#[test]
fn checksum_files_of_every_name_and_form_are_compared() {
    let cases: [(&[&str], &str, &[&str]); 5] = [
        (&["sha256sum"], "sha256", &["sha256sum", "-c"]),
        (&["sha256sum"], "sha256sum", &["sha256sum", "-c"]),
        (&["sha256sum", "--tag"], "sha256", &["sha256sum", "-c"]),
        (&["md5sum"], "md5", &["md5sum", "-c"]),
        (&["md5sum", "--tag"], "md5sum", &["md5sum", "-c"]),
    ];
    for (tool, ending, check) in cases {
        let place = tempfile::tempdir().unwrap();
        std::fs::copy(fixture(GOOD), place.path().join(PLAIN)).unwrap();
        let (_, right) = sum_of(place.path(), &[tool, &[PLAIN]].concat());
        let file = format!("{PLAIN}.{ending}");
        // Another first digit of the sum, wherever it stands.
        let hex = right
            .split([' ', '\n'])
            .find(|word| word.len() >= 32 && word.bytes().all(|b| b.is_ascii_hexdigit()))
            .unwrap();
        let other = if hex.starts_with('0') { "1" } else { "0" };
        let wrong = right.replace(hex, &format!("{other}{}", &hex[1..]));
        assert_ne!(wrong, right);
        for (text, whole) in [(&right, true), (&wrong, false)] {
            std::fs::write(place.path().join(&file), text).unwrap();
            let (said, _) = sum_of(place.path(), &[check, &[&file]].concat());
            let (code, report) = verify(&[], &[place.path()]);
            assert_eq!((said, code == 0), (whole, whole), "{tool:?} {ending}: {report}");
            assert_eq!(whole, !report.to_string().contains("sidecar_mismatch"), "{report}");
        }
        // A right one of another kind beside the wrong one hides nothing.
        let (_, right) = sum_of(place.path(), &["sha256sum", PLAIN]);
        if ending != "sha256" {
            std::fs::write(place.path().join(format!("{PLAIN}.sha256")), right).unwrap();
            assert_eq!(verify(&[], &[place.path()]).0, 1, "{ending}");
        }
    }
}

#[test]
fn a_link_is_judged_as_its_target_with_the_checksum_files_of_both() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    std::fs::copy(fixture(GOOD), at(PLAIN)).unwrap();
    // Sorted before its target.
    std::os::unix::fs::symlink(PLAIN, at("latest.vma.zst")).unwrap();
    let wrong = "0".repeat(64);
    let (_, right) = sum_of(place.path(), &["sha256sum", PLAIN]);
    std::fs::write(at(&format!("{PLAIN}.sha256")), &wrong).unwrap();
    for path in [place.path(), &at("latest.vma.zst"), &at(PLAIN)] {
        let (code, report) = verify(&[], &[path]);
        assert_eq!((code, &report["archives"][0]["findings"][0]["kind"]), (1, &"sidecar_mismatch".into()), "{report}");
        assert_eq!(report["archives"].as_array().unwrap().len(), 1, "read once: {report}");
        assert_eq!(report["archives"][0]["item"], "qemu/110");
    }
    std::fs::write(at(&format!("{PLAIN}.sha256")), &right).unwrap();
    assert_eq!(verify(&[], &[place.path()]).0, 0);
    std::fs::write(at("latest.vma.zst.sha256"), &wrong).unwrap();
    assert_eq!(verify(&[], &[place.path()]).0, 1);
    std::fs::write(at("latest.vma.zst.sha256"), &right).unwrap();
    assert_eq!(verify(&[], &[place.path()]).0, 0);
}

#[test]
fn a_link_does_not_hide_what_its_target_lacks() {
    let place = tempfile::tempdir().unwrap();
    let name = "vzdump-lxc-200-2026_11_24-02_00_00.tar.zst";
    std::fs::copy(fixture("vzdump/links").join(name), place.path().join(name)).unwrap();
    let link = place.path().join("ct200-latest.tar.zst");
    std::os::unix::fs::symlink(name, &link).unwrap();
    for path in [place.path(), &link] {
        let (code, report) = verify(&[], &[path]);
        assert_eq!(code, 1, "{report}");
        assert!(report.to_string().contains("config_missing"), "{report}");
    }
    // The other way round: the link's name asks for a configuration, that of the target for nothing.
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(place.path().join(name), other.path().join("files.tar.zst")).unwrap();
    assert_eq!(verify(&[], &[other.path()]).0, 0);
    std::os::unix::fs::symlink("files.tar.zst", other.path().join(name)).unwrap();
    let (code, report) = verify(&[], &[other.path()]);
    assert_eq!((code, report["damaged"].as_u64(), report["intact"].as_u64()), (1, Some(1), Some(1)), "{report}");
}

#[test]
fn what_has_the_name_of_a_backup_and_is_no_file_is_named() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    std::fs::copy(fixture(GOOD), at(PLAIN)).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at("a.sql.gz")).status().unwrap().success());
    std::fs::create_dir(at("set.tar")).unwrap();
    std::fs::copy(fixture(DAMAGED), at("._mac.vma.zst")).unwrap();
    std::fs::create_dir(at("@eaDir")).unwrap();
    let (code, report) = verify(&[], &[place.path()]);
    let named = report["passed_over_special"].to_string();
    assert_eq!((code, report["passed_over"].as_u64()), (0, Some(4)), "{report}");
    assert!(named.contains("a.sql.gz: is a pipe") && named.contains("set.tar: is a directory"), "{named}");
    let text = stdout(&run(&["verify", place.path().to_str().unwrap()]));
    assert!(text.contains("passed over: ") && text.contains("a.sql.gz: is a pipe"), "{text}");
}

#[test]
fn what_the_kernel_makes_up_can_not_be_checked() {
    let (code, report) = verify(&[], &[Path::new("/proc/self/status"), Path::new("/proc/version")]);
    assert_eq!((code, report["unchecked"].as_u64()), (2, Some(2)), "{report}");
    assert!(report["archives"][0]["reason"].as_str().unwrap().contains("made by the kernel"), "{report}");
}

#[test]
fn mount_points_that_are_empty_or_left_out_are_told() {
    let (code, report) = verify(&[], &[&fixture("vzdump/vzdump-lxc-100-2026_11_25-01_00_00.tar.zst")]);
    let finding = &report["archives"][0]["findings"][0];
    assert_eq!((code, &finding["kind"], &finding["severity"]), (0, &"mount_point_empty".into(), &"warning".into()));
    assert!(finding["text"].as_str().unwrap().starts_with("mp0 "), "{report}");
    let (code, report) = verify(&[], &[&fixture("vzdump/vzdump-lxc-155-2026_11_25-01_20_46.tar.zst")]);
    let findings = report["archives"][0]["findings"].as_array().unwrap();
    assert_eq!((code, findings.len()), (0, 1), "{report}");
    assert_eq!((&findings[0]["kind"], &findings[0]["severity"]), (&"volume_left_out".into(), &"note".into()));
}
