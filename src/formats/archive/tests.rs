//! Every fixture against what the real tools say of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::domain::finding::Severity;

fn fixtures(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(below)
}

fn verdicts(below: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    serde_json::from_slice(&fs::read(fixtures(below).join("verdicts.json")).unwrap()).unwrap()
}

fn look(path: &Path, name: &str) -> Checked {
    let request = Request { name, wanted: Level::Complete, sidecar: None };
    check(fs::File::open(path).unwrap(), request).unwrap()
}

fn kinds(checked: &Checked, severity: Severity) -> Vec<&'static str> {
    let of = checked.findings.iter().filter(|finding| finding.severity() == severity);
    of.map(|finding| finding.kind.as_str()).collect()
}

/// Damage though `tar -t` is content: an archive that was cut between two members looks just like these.
const STRICTER: [&str; 3] =
    ["l04-no-end-marker.tar.zst", "l14-cut-in-zero-block.tar.zst", "l16-absolute-and-dotdot.tar.zst"];

#[test]
fn good_archives_are_intact() {
    for directory in ["vma/good", "lxc/good"] {
        for entry in fs::read_dir(fixtures(directory)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name.starts_with("vzdump-") {
                let checked = look(&path, &name);
                assert_eq!(checked.conclusion, Conclusion::Intact, "{name}: {:?}", checked.findings);
                assert_eq!(checked.reached, Some(Level::Complete), "{name}");
                assert_eq!(checked.read, fs::metadata(&path).unwrap().len(), "{name}");
                assert!(checked.digest.is_some() && checked.evidence.unpacked > 0, "{name}");
            }
        }
    }
}

#[test]
fn what_is_seen_of_good_archives_is_what_is_in_them() {
    let expected: serde_json::Value =
        serde_json::from_slice(&fs::read(fixtures("vma/good/expected.json")).unwrap()).unwrap();
    for (name, expected) in expected.as_object().unwrap() {
        for ending in ["zst", "gz", "lzo"] {
            let name = format!("{name}.{ending}");
            let path = fixtures("vma/good").join(&name);
            if !path.exists() {
                continue;
            }
            let evidence = look(&path, &name).evidence;
            assert_eq!(evidence.unpacked, expected["vma_bytes"].as_u64().unwrap(), "{name}");
            assert_eq!(evidence.created.unwrap().as_second(), expected["ctime"].as_i64().unwrap());
            let disks: Vec<_> = evidence.disks.iter().map(|disk| (&*disk.name, disk.bytes)).collect();
            let devices = expected["devices"].as_array().unwrap();
            let wanted: Vec<_> =
                devices.iter().map(|it| (it["name"].as_str().unwrap(), it["bytes"].as_u64().unwrap())).collect();
            assert_eq!(disks, wanted, "{name}");
        }
    }
}

/// Refused for a name that only the file system doesn't take: that says nothing about the data.
fn by_name(fixture: &str) -> bool {
    fixture.starts_with("w05-")
}

/// Damaged exactly where `vma verify` or `vma extract` refuses what is in the archive.
#[test]
fn vma_archives_are_judged_as_by_the_real_tools_or_more_strictly() {
    for (name, verdict) in verdicts("vma/bad") {
        let checked = look(&fixtures("vma/bad").join(&name), &name);
        let refused = !by_name(&name) && (verdict["verify_rc"] != "0" || verdict["extract_rc"] != "0");
        let wanted = if refused { Conclusion::Damaged } else { Conclusion::Intact };
        assert_eq!(checked.conclusion, wanted, "{name} ({}): {:?}", verdict["mutation"], checked.findings);
        let lost = ["w05-", "w13-", "w17-", "v02-", "w31-"].iter().any(|prefix| name.starts_with(prefix));
        assert!(!lost || !checked.findings.is_empty(), "{name}: a finding is expected");
    }
}

/// Damaged exactly where the compressor or `vma verify` complains, or for a reason that is listed.
#[test]
fn compressed_archives_are_judged_as_by_the_real_tools_or_more_strictly() {
    for (name, verdict) in verdicts("compressed") {
        let checked = look(&fixtures("compressed").join(&name), &name);
        let refused = verdict["test_rc"] != "0" || verdict["verify_rc_on_its_output"] != "0";
        let wanted = if refused { Conclusion::Damaged } else { Conclusion::Intact };
        assert_eq!(checked.conclusion, wanted, "{name} ({}): {:?}", verdict["mutation"], checked.findings);
    }
}

/// zstd decodes gzip, but doesn't ignore what gzip does.
#[test]
fn zeros_behind_gzip_data_are_padding_unless_zstd_is_called() {
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x4c\x4a\x06\0\xc2\x41\x24\x35\x03\0\0\0";
    let padded = [&gzip[..], &[0; 9]].concat();
    let judge = |file: &[u8], name| check(file, Request { name, wanted: Level::Decodes, sidecar: None }).unwrap();
    for (file, name, conclusion, reached) in [
        (&gzip[..], "a.sql.zst", Conclusion::Intact, Some(Level::Decodes)),
        (&padded, "a.sql.gz", Conclusion::Intact, Some(Level::Decodes)),
        (&padded, "a.sql.zst", Conclusion::Damaged, None),
    ] {
        let checked = judge(file, name);
        assert_eq!((checked.conclusion, checked.reached), (conclusion, reached), "{name}: {:?}", checked.findings);
    }
}

#[test]
fn archives_of_containers_are_judged_as_by_tar_or_more_strictly() {
    for (name, verdict) in verdicts("lxc/bad") {
        let checked = look(&fixtures("lxc/bad").join(&name), &format!("vzdump-lxc-200-2026_11_01-03_00_00.{name}"));
        let listed = STRICTER.contains(&name.as_str());
        let refused = verdict["tar_t_rc"] != "0" || verdict["pct_conf_rc"] != "0";
        let wanted = if refused || listed { Conclusion::Damaged } else { Conclusion::Intact };
        assert_eq!(checked.conclusion, wanted, "{name} ({}): {:?}", verdict["mutation"], checked.findings);
        let told = ["l08-", "l16-"].iter().any(|prefix| name.starts_with(prefix));
        assert!(!told || !checked.findings.is_empty(), "{name}: a finding is expected");
    }
}

/// The table of docs/verification.md: `cargo test table_of_verdicts -- --ignored --nocapture`.
#[test]
#[ignore = "prints the table of docs/verification.md"]
fn table_of_verdicts() {
    let mut lines = Vec::new();
    let mut add = |name: &str, mutation: &str, real: String, refused: bool, checked: &Checked| {
        let damage = kinds(checked, Severity::Damage).join(", ");
        let other = kinds(checked, Severity::Warning).into_iter().chain(kinds(checked, Severity::Note));
        let other = other.collect::<Vec<_>>().join(", ");
        let ours = checked.conclusion == Conclusion::Damaged;
        let agreement = match (refused, ours) {
            (false, true) => "stricter",
            (true, false) => "laxer",
            _ => "agree",
        };
        lines.push(format!(
            "| `{name}` | {mutation} | {real} | {}{damage} | {other} | {agreement} |",
            if ours { "**damaged**: " } else { "intact" }
        ));
    };
    for (name, it) in verdicts("vma/bad") {
        let checked = look(&fixtures("vma/bad").join(&name), &name);
        let say = |rc: &str| {
            if it[rc] == "0" {
                "accepts"
            } else if it[rc] == "134" {
                "crashes"
            } else {
                "refuses"
            }
        };
        let real = format!("verify {}, extract {}", say("verify_rc"), say("extract_rc"));
        let refused = !by_name(&name) && (it["verify_rc"] != "0" || it["extract_rc"] != "0");
        add(&name, &it["mutation"], real, refused, &checked);
    }
    for (name, it) in verdicts("compressed") {
        let checked = look(&fixtures("compressed").join(&name), &name);
        let say = |rc: &str| if it[rc] == "0" { "accepts" } else { "refuses" };
        let tool = it["test_tool"].split(' ').next().unwrap();
        let real = format!("{tool} {}, verify {}", say("test_rc"), say("verify_rc_on_its_output"));
        let refused = it["test_rc"] != "0" || it["verify_rc_on_its_output"] != "0";
        add(&name, &it["mutation"], real, refused, &checked);
    }
    for (name, it) in verdicts("lxc/bad") {
        let checked = look(&fixtures("lxc/bad").join(&name), &format!("vzdump-lxc-200-2026_11_01-03_00_00.{name}"));
        let say = |rc: &str| if it[rc] == "0" { "accepts" } else { "refuses" };
        let real = format!(
            "tar -t {}, pct.conf {}",
            say("tar_t_rc"),
            if it["pct_conf_rc"] == "0" { "found" } else { "not found" }
        );
        add(&name, &it["mutation"], real, it["tar_t_rc"] != "0" || it["pct_conf_rc"] != "0", &checked);
    }
    println!("| file | what was done to it | real tools | firedrill | other findings | |\n|---|---|---|---|---|---|");
    lines.iter().for_each(|line| println!("{line}"));
}
