use jiff::civil::date;
use proptest::prelude::*;
use regex::bytes::Regex;

use super::*;

fn run(kind: GuestKind, vmid: u32) -> RunName {
    RunName { kind, vmid, local: date(2024, 1, 31).at(2, 0, 5, 0) }
}

#[test]
fn every_name_of_a_run() {
    let qemu = run(GuestKind::Qemu, 100);
    let base = "vzdump-qemu-100-2024_01_31-02_00_05";
    let zst = Extension::parse(b"vma.zst").unwrap();
    let cases = [
        (".vma.zst", VzdumpName::Archive(qemu)),
        (".vma", VzdumpName::Archive(qemu)),
        (".tgz", VzdumpName::Archive(qemu)),
        (".log", VzdumpName::Log(qemu)),
        (".vma.zst.notes", VzdumpName::Notes(qemu, zst)),
        (".vma.zst.protected", VzdumpName::Protected(qemu, zst)),
        (".vma.dat", VzdumpName::Temporary(qemu)),
        (".dat", VzdumpName::Temporary(qemu)),
        (".tmp", VzdumpName::Temporary(qemu)),
        ("-old.vma.zst", VzdumpName::Renamed(qemu.item())),
        (".vma.zst.part", VzdumpName::Copying(qemu)),
        (".vma.zst.sha256", VzdumpName::Checksum(qemu, zst, Sidecar::Sha256)),
        (".vma.zst.sha256sum", VzdumpName::Checksum(qemu, zst, Sidecar::Sha256)),
        (".vma.zst.md5", VzdumpName::Checksum(qemu, zst, Sidecar::Md5)),
        (".vma.zst.md5sum", VzdumpName::Checksum(qemu, zst, Sidecar::Md5)),
        ("-old.vma.zst.sha256", VzdumpName::Other),
        (".sha256", VzdumpName::LookAlike),
        (".vma.zst.sha257", VzdumpName::LookAlike),
        (".vma.xz", VzdumpName::LookAlike),
        ("", VzdumpName::LookAlike),
        (".notes", VzdumpName::LookAlike),
        (".vma.zst\n", VzdumpName::LookAlike),
    ];
    for (suffix, expected) in cases {
        assert_eq!(parse(format!("{base}{suffix}").as_bytes()), expected, "{suffix:?}");
    }
    assert_eq!(parse(format!(".{base}.vma.zst.Ab12xY").as_bytes()), VzdumpName::Copying(qemu));
    assert_eq!(parse(format!(".{base}.vma.zst.Ab1").as_bytes()), VzdumpName::Other);
    assert_eq!(
        parse(b"vzdump-openvz-101-2024_01_31-02_00_05.tar.gz"),
        VzdumpName::Archive(run(GuestKind::Openvz, 101))
    );
}

#[test]
fn look_alikes_are_not_backups() {
    let renamed = |text: &str| VzdumpName::Renamed(text.parse().unwrap());
    let cases: [(&[u8], VzdumpName); 13] = [
        (b"vzdump-qemu-100-2026_13_45-99_00_00.vma.zst", renamed("qemu/100")),
        (b"vzdump-qemu-100-2026_02_30-02_00_00.vma.zst", renamed("qemu/100")),
        (b"vzdump-qemu-100-before-upgrade.vma.zst", renamed("qemu/100")),
        (b"vzdump-qemu-100-2026_13_45-99_00_00.log", VzdumpName::LookAlike),
        (b"vzdump-qemu-99-2026_01_01-02_00_00.vma", VzdumpName::LookAlike),
        (b"vzdump-qemu-0100-2026_01_01-02_00_00.vma", renamed("qemu/100")),
        (b"vzdump-qemu-1000000000-2026_01_01-02_00_00.vma", VzdumpName::LookAlike),
        (b"vzdump-xen-100-2026_01_01-02_00_00.vma", VzdumpName::LookAlike),
        (b"vzdump-qemu-100-2026_01_01-02_00_00\xff.vma", VzdumpName::LookAlike),
        (b"vzdump-", VzdumpName::LookAlike),
        (b"vzdump-qemu-100-before-upgrade.vma.zst.md5", VzdumpName::Other),
        (b"notes.txt", VzdumpName::Other),
        (b"", VzdumpName::Other),
    ];
    for (name, expected) in cases {
        assert_eq!(parse(name), expected, "{}", String::from_utf8_lossy(name));
    }
}

/// The expression that Proxmox VE uses, for digits alone; the calendar is checked apart.
fn oracle() -> Regex {
    let text = r"(?-u)^vzdump-(qemu|lxc|openvz)-([1-9][0-9]{2,8})-(\d{4})_(\d{2})_(\d{2})-(\d{2})_(\d{2})_(\d{2})\.(tgz|(?:tar|vma)(?:\.(gz|lzo|zst|bz2))?)$";
    Regex::new(text).unwrap()
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(name in proptest::collection::vec(any::<u8>(), 0..80)) {
        parse(&name);
    }

    #[test]
    fn archives_are_what_the_expression_accepts(
        name in r"vzdump-(qemu|lxc|openvz|vm)-[0-9]{2,10}-[0-9]{4}_[0-9]{2}_[0-9]{2}-[0-9]{2}_[0-9]{2}_[0-9]{2}\.(tgz|vma|tar|log|vma\.zst|tar\.gz|vma\.xz|tar\.lzo|vma\.bz2)"
    ) {
        let accepted = oracle().captures(name.as_bytes()).is_some_and(|found| {
            let text = String::from_utf8_lossy(&found[0]).into_owned();
            let stamp = text.split('-').skip(3).take(2).collect::<Vec<_>>().join("-");
            DateTime::strptime("%Y_%m_%d-%H_%M_%S", &stamp[..19]).is_ok_and(|_| !stamp[17..19].eq("60"))
        });
        prop_assert_eq!(matches!(parse(name.as_bytes()), VzdumpName::Archive(_)), accepted, "{}", name);
    }

    #[test]
    fn names_read_back(
        kind in prop_oneof![Just(GuestKind::Qemu), Just(GuestKind::Lxc), Just(GuestKind::Openvz)],
        vmid in 100u32..=999_999_999,
        second in 0i64..4_000_000_000,
        extension in proptest::sample::select(Extension::ALL.to_vec()),
    ) {
        let local = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::from_second(second).unwrap());
        let stamp = local.strftime("%Y_%m_%d-%H_%M_%S");
        let name = format!("vzdump-{}-{vmid}-{stamp}.{}", kind.as_str(), extension.as_str());
        prop_assert_eq!(parse(name.as_bytes()), VzdumpName::Archive(RunName { kind, vmid, local }));
        prop_assert_eq!(super::extension(name.as_bytes()), Some(extension));
    }
}
