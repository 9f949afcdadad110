//! Exports of ESXi, with others' programs beside us: `qemu-img` writes disks and restores damaged ones, `tar` and `sha256sum` make
//! packages. Whatever a restore brings back wrong, or not at all, is damaged here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use firedrill::formats::vmdk::{Builder, Layout};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{firedrill, stderr, stdout};

fn verify(path: &Path) -> (i32, Value) {
    let output = firedrill().args(["verify", "--json"]).arg(path).output().unwrap();
    let report = serde_json::from_str(&stdout(&output)).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    (output.status.code().unwrap(), report)
}

/// Verdict, level, format and kinds of findings of the only archive.
fn look(path: &Path) -> (String, Value, String, Vec<String>) {
    let (_, report) = verify(path);
    let rows = report["archives"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{report}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kinds = rows[0]["findings"].as_array().unwrap().iter().map(|it| text(&it["kind"])).collect();
    (text(&rows[0]["verdict"]), rows[0]["level"].clone(), text(&rows[0]["evidence"]["format"]), kinds)
}

fn is_damaged(path: &Path) -> bool {
    look(path).0 == "damaged"
}

fn run(script: &str, place: &Path) {
    let output = Command::new("bash").args(["-euo", "pipefail", "-c", script]).current_dir(place).output().unwrap();
    assert!(output.status.success(), "{script}: {}", stderr(&output));
}

/// A disk of 12 MiB with text, noise and zeros.
fn content() -> Vec<u8> {
    let mut disk = vec![0; 12 << 20];
    let mut state = 7_u32;
    for (at, byte) in disk.iter_mut().enumerate() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = match at >> 18 {
            0..4 => (state >> 24) as u8,
            4..12 | 40.. => 0,
            _ if at % 5 == 0 => (state >> 29) as u8,
            _ => b'a' + (at / 997 % 26) as u8,
        };
    }
    disk
}

fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("raw"), content()).unwrap();
    place
}

fn written_by_qemu(place: &Path, kind: &str) -> PathBuf {
    fs::create_dir_all(place.join(kind)).unwrap();
    run(&format!("qemu-img convert -f raw -O vmdk -o subformat={kind} raw {kind}/disk.vmdk"), place);
    place.join(kind).join("disk.vmdk")
}

/// Whether `qemu-img` brings the disk back as it was.
fn restores(disk: &Path, place: &Path) -> bool {
    let out = place.join("out");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-f", "vmdk", "-O", "raw"]).arg(disk).arg(&out);
    let well = convert.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success();
    let same = well && fs::read(&out).unwrap() == content();
    let _ = fs::remove_file(&out);
    same
}

fn passes_check(disk: &Path) -> bool {
    let mut check = Command::new("qemu-img");
    check.args(["check", "-q", "-f", "vmdk"]).arg(disk);
    check.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn disks_of_every_kind_are_read() {
    let place = place();
    let place = place.path();
    for (kind, level, finding) in [("streamOptimized", 3, None), ("monolithicSparse", 3, Some("no_content_checksum"))] {
        let disk = written_by_qemu(place, kind);
        let wanted = finding.map(str::to_owned).into_iter().collect::<Vec<_>>();
        assert_eq!(look(&disk), ("intact".to_owned(), level.into(), "vmdk".to_owned(), wanted), "{kind}");
        // By its content, whatever its name is, and compressed once more.
        let renamed = place.join("disk.img");
        fs::copy(&disk, &renamed).unwrap();
        assert_eq!((look(&renamed).1, look(&renamed).2), (level.into(), "vmdk".to_owned()));
        run("gzip -kf disk.img", place);
        assert_eq!(
            (look(&place.join("disk.img.gz")).1, look(&place.join("disk.img.gz")).2),
            (level.into(), "vmdk".into())
        );
    }
    // Of a disk in several files the directory is one backup.
    for (kind, piece, level, finding) in [
        ("monolithicFlat", "disk-flat.vmdk", 2, "no_end_known"),
        ("twoGbMaxExtentSparse", "disk-s001.vmdk", 3, "no_content_checksum"),
        ("twoGbMaxExtentFlat", "disk-f001.vmdk", 2, "no_end_known"),
    ] {
        let disk = written_by_qemu(place, kind);
        let directory = disk.parent().unwrap();
        let (_, reached, format, kinds) = look(directory);
        assert_eq!((reached, &*format, kinds), (level.into(), "vmdk", vec![finding.to_owned()]), "{kind}");
        assert_eq!(look(&disk).3, ["companion_missing"], "{kind}");
        let piece = directory.join(piece);
        let whole = fs::read(&piece).unwrap();
        fs::write(&piece, &whole[..whole.len() / 2]).unwrap();
        assert!(is_damaged(directory) && !restores(&disk, place), "{kind} cut");
        // The descriptor alone is no backup of the data.
        fs::remove_file(&piece).unwrap();
        let (verdict, level, _, kinds) = look(&disk);
        assert_eq!((&*verdict, level, kinds), ("unproven", 1.into(), vec!["companion_missing".to_owned()]), "{kind}");
    }
}

#[test]
fn what_qemu_img_restores_wrong_is_damaged() {
    let place = place();
    let place = place.path();
    let of_qemu = fs::read(written_by_qemu(place, "streamOptimized")).unwrap();
    let of_esxi = Builder { layout: Layout::Footer, descriptor: "" }.build(&content());
    let (mut lost, mut missed_by_check) = (0, 0);
    for (name, good) in [("qemu", &of_qemu), ("footer", &of_esxi)] {
        let disk = place.join(format!("{name}.vmdk"));
        fs::write(&disk, good).unwrap();
        assert!(restores(&disk, place) && look(&disk).1 == 3, "{name}");
        let mut judge = |what: String, bytes: &[u8]| {
            fs::write(&disk, bytes).unwrap();
            if !restores(&disk, place) {
                lost += 1;
                missed_by_check += usize::from(passes_check(&disk));
                // Of an unknown version nothing is claimed.
                assert_ne!(look(&disk).0, "intact", "{name}: {what}: qemu-img brings back something else");
            }
        };
        // A bit here and there: twelve places in the header and tables, the rest all over the file.
        let step = good.len() / 40;
        let places = (0..12).map(|index| 4 + index * 13).chain((0..40).map(|index| 70_000 + index * step));
        for at in places.filter(|at| *at < good.len()) {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            judge(format!("bit {} of byte {at}", at % 8), &bytes);
        }
        for keep in [1, 2, 4, 7] {
            judge(format!("cut to {keep} of 8"), &good[..good.len() / 8 * keep]);
        }
        let mut hole = good.clone();
        hole[200_000..204_096].fill(0);
        judge("a hole".to_owned(), &hole);
    }
    assert!(lost > 60, "{lost}");
    assert!(missed_by_check > 20, "{missed_by_check} of {lost}");
}

/// A package as ovftool makes it.
fn package(place: &Path, sum: &str, algorithm: &str) {
    written_by_qemu(place, "streamOptimized");
    let size = fs::metadata(place.join("streamOptimized/disk.vmdk")).unwrap().len();
    let ovf = format!(
        "<?xml version=\"1.0\"?>\n<ovf:Envelope xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\"><ovf:References><ovf:File ovf:href=\"web-disk1.vmdk\" ovf:id=\"f1\" ovf:size=\"{size}\"/></ovf:References><ovf:DiskSection><ovf:Info/><ovf:Disk ovf:capacity=\"12\" ovf:capacityAllocationUnits=\"byte * 2^20\" ovf:diskId=\"d1\" ovf:fileRef=\"f1\"/></ovf:DiskSection><ovf:VirtualSystem ovf:id=\"web\"><ovf:Info/></ovf:VirtualSystem></ovf:Envelope>\n"
    );
    fs::create_dir_all(place.join("web")).unwrap();
    fs::write(place.join("web/web.ovf"), ovf).unwrap();
    run("mv streamOptimized/disk.vmdk web/web-disk1.vmdk", place);
    let line =
        format!("for f in web.ovf web-disk1.vmdk; do echo \"{algorithm}($f)= $({sum} < $f | cut -d' ' -f1)\"; done");
    run(&format!("cd web; ({line}) > web.mf"), place);
    run("cd web; tar --format=ustar -cf ../web.ova web.ovf web.mf web-disk1.vmdk", place);
}

#[test]
fn packages_are_whole_or_damaged() {
    let place = place();
    let place = place.path();
    for (sum, algorithm) in [("sha1sum", "SHA1"), ("sha512sum", "SHA512"), ("sha256sum", "SHA256")] {
        package(place, sum, algorithm);
        for path in ["web.ova", "web"] {
            let format = if path == "web" { "ovf" } else { "ova" };
            assert_eq!(
                look(&place.join(path)),
                ("intact".into(), 3.into(), format.into(), vec![]),
                "{algorithm} {path}"
            );
        }
    }
    let (ova, good) = (place.join("web.ova"), fs::read(place.join("web.ova")).unwrap());
    // By its content.
    let renamed = place.join("web.tar");
    fs::copy(&ova, &renamed).unwrap();
    assert_eq!((look(&renamed).1, look(&renamed).2), (3.into(), "ova".to_owned()));
    // What sha256sum finds when it is unpacked, and what ends too early.
    for at in [700, 1_300, 100_000, good.len() / 2, good.len() - 12_000] {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        fs::write(&ova, bytes).unwrap();
        let script = "rm -rf t; mkdir t; cd t; tar -xf ../web.ova; sed -E 's/^SHA256.(.*).= (.*)$/\\2  \\1/' web.mf | sha256sum -c --quiet";
        let theirs = Command::new("bash").args(["-c", script]).current_dir(place).output().unwrap().status.success();
        let (verdict, _, _, kinds) = look(&ova);
        assert!(!theirs && verdict == "damaged", "byte {at}: {kinds:?}");
    }
    for end in [512, 4_000, 90_000, good.len() / 2, good.len() - 10_240] {
        fs::write(&ova, &good[..end]).unwrap();
        assert!(is_damaged(&ova), "cut to {end}");
    }
    // In a directory: a file that is missing, one that is too much, and no manifest.
    let directory = place.join("web");
    fs::write(directory.join("other.iso"), b"x").unwrap();
    assert_eq!(look(&directory).3, ["no_checksum", "extra_file"]);
    fs::remove_file(directory.join("other.iso")).unwrap();
    fs::rename(directory.join("web.mf"), place.join("web.mf")).unwrap();
    assert_eq!((look(&directory).1, look(&directory).3), (3.into(), vec!["no_checksum".to_owned()]));
    fs::rename(place.join("web.mf"), directory.join("web.mf")).unwrap();
    fs::rename(directory.join("web-disk1.vmdk"), place.join("away.vmdk")).unwrap();
    assert_eq!(look(&directory).3, ["member_missing", "member_missing"]);
    // Beside other backups each file is one of its own.
    fs::rename(place.join("away.vmdk"), directory.join("web-disk1.vmdk")).unwrap();
    fs::copy(place.join("raw"), directory.join("shop.dump")).unwrap();
    let (_, report) = verify(&directory);
    assert_eq!(
        (report["archives"].as_array().unwrap().len(), &report["passed_over"]),
        (3, &Value::from(0)),
        "{report}"
    );
}

#[test]
fn a_source_of_dumps_holds_packages() {
    let place = place();
    let place = place.path();
    package(place, "sha256sum", "SHA256");
    fs::create_dir(place.join("exports")).unwrap();
    run("mv web.ova exports/web_2026-01-01.ova; mv web exports/shop_2026-01-01", place);
    run("touch -d 2026-01-01T10:00:00Z exports/*.ova exports/*/*", place);
    let config = place.join("firedrill.toml");
    let text = format!(
        "[store]\nurl = \"sqlite://{0}/firedrill.db\"\n[[dump]]\nname = \"esxi\"\ntime_zone = \"UTC\"\nroots = [{{ path = \"{0}/exports\" }}]\npatterns = [{{ pattern = \"{{name}}_{{time}}.ova\" }}, {{ pattern = \"{{name}}_{{time}}\" }}]\n",
        place.display()
    );
    fs::write(&config, text).unwrap();
    let output = firedrill().args(["verify", "--json", "--config.file"]).arg(&config).output().unwrap();
    let report: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    let rows = report["archives"].as_array().unwrap();
    let mut found: Vec<_> =
        rows.iter().map(|row| (row["item"].as_str().unwrap(), row["level"].as_u64().unwrap())).collect();
    found.sort_unstable();
    assert_eq!(found, [("dump/shop", 3), ("dump/web", 3)], "{report}");
}
