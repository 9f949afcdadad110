use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::domain::finding::Finding;
use crate::formats::stream::Bytes;
use crate::formats::vmdk::{Builder, Layout};

const CAPACITY: usize = 3 * 65536;

fn disk() -> Vec<u8> {
    let content: Vec<u8> = (0..CAPACITY).map(|at| (at * 31 / 7 % 251) as u8).collect();
    Builder { layout: Layout::Footer, descriptor: "" }.build(&content)
}

fn ovf(disk: usize) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="urn:r">
  <References><File ovf:id="file1" ovf:href="web-disk1.vmdk" ovf:size="{disk}"/></References>
  <DiskSection><Info>Disks</Info>
    <Disk ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk1" ovf:fileRef="file1"/></DiskSection>
  <NetworkSection><Network ovf:name="VM Network"/></NetworkSection>
  <VirtualSystem ovf:id="vm"><Name>web &amp; more</Name>
    <VirtualHardwareSection><Item><rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource></Item></VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"#,
        capacity = CAPACITY
    )
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn member(tar: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000100\0");
    header[116..124].copy_from_slice(b"0000100\0");
    // As ovftool writes sizes of large members.
    header[124] = 0x80;
    header[128..136].copy_from_slice(&(bytes.len() as u64).to_be_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(bytes);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn ova(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    members.iter().for_each(|(name, bytes)| member(&mut tar, name, bytes));
    tar.extend([0; 1024]);
    tar
}

/// The parts of a good package.
struct Parts {
    ovf: String,
    mf: String,
    disk: Vec<u8>,
}

impl Parts {
    fn good() -> Self {
        let disk = disk();
        let ovf = ovf(disk.len());
        let mf = format!("SHA256(web.ovf)= {}\r\nSHA256 (web-disk1.vmdk) = {}\r\n", sum(ovf.as_bytes()), sum(&disk));
        Self { ovf, mf, disk }
    }

    fn ova(&self) -> Vec<u8> {
        ova(&[("web.ovf", self.ovf.as_bytes()), ("web.mf", self.mf.as_bytes()), ("web-disk1.vmdk", &self.disk)])
    }
}

fn look(file: &[u8], step: usize) -> (Option<(Package, Level)>, Vec<Finding>) {
    let mut findings = Findings::default();
    let mut stream = Bytes { left: file, step };
    match check_ova(&mut stream, &mut findings) {
        Ok((package, level, _)) => {
            assert!(stream.left.is_empty());
            (Some((package, level)), findings.into_vec())
        }
        Err(Stop::Damaged(finding)) => {
            findings.add(finding);
            (None, findings.into_vec())
        }
        Err(_) => (None, findings.into_vec()),
    }
}

fn kinds(file: &[u8]) -> Vec<Kind> {
    look(file, 10_000).1.iter().map(|finding| finding.kind).collect()
}

#[test]
fn a_good_package_is_complete() {
    let file = Parts::good().ova();
    for step in [13, 512, 1 << 20] {
        let (found, findings) = look(&file, step);
        let (package, level) = found.unwrap();
        assert_eq!((level, findings.len()), (Level::Complete, 0), "{findings:?}");
        let envelope = package.envelope.as_ref().unwrap();
        assert_eq!(
            (envelope.name.as_deref(), &envelope.networks[..]),
            (Some("web & more"), &["VM Network".to_owned()][..])
        );
        assert_eq!(package.disks().collect::<Vec<_>>(), [("web-disk1.vmdk", CAPACITY as u64)]);
    }
}

#[test]
fn every_cut_is_found() {
    let file = Parts::good().ova();
    for end in (1..file.len()).filter(|end| end % 512 < 2 || end % 97 == 0) {
        let (found, findings) = look(&file[..end], 4096);
        let damaged = findings.iter().any(|it| it.severity() == crate::domain::finding::Severity::Damage);
        assert!(damaged, "cut at {end}: {found:?}", found = found.map(|(_, level)| level));
    }
}

#[test]
fn one_defect_each() {
    let good = Parts::good();
    let with = |change: &dyn Fn(&mut Parts)| {
        let mut parts = Parts::good();
        change(&mut parts);
        kinds(&parts.ova())
    };
    let ovf = |from: &str, to: &str| with(&|it| it.ovf = it.ovf.replacen(from, to, 1));
    assert_eq!(with(&|_| {}), []);
    // The disk: its own checksum and the manifest's.
    assert_eq!(with(&|it| it.disk[66_000] ^= 1), [Kind::VmdkGrain, Kind::ManifestMismatch]);
    assert_eq!(with(&|it| it.disk.truncate(70_000))[1..], [Kind::ManifestMismatch, Kind::ManifestMismatch]);
    assert!(with(&|it| it.disk.clear()).contains(&Kind::Empty));
    // The manifest.
    assert_eq!(with(&|it| it.mf = it.mf.replace("SHA256", "SHA257")), [Kind::OvfDoubtful, Kind::NoChecksum]);
    assert_eq!(with(&|it| it.mf.push_str(&format!("SHA1(x)= {}\n", "0".repeat(40)))), [Kind::MemberMissing]);
    let only = |name: &'static str| with(&|it| it.mf = it.mf.lines().filter(|it| it.contains(name)).collect());
    assert_eq!(only("disk1"), [Kind::NoChecksum]);
    assert_eq!(ovf("web &amp;", "web &lt;"), [Kind::ManifestMismatch]);
    // The description; its change alone is told by the manifest, which is not repeated here.
    let beside = |kinds: Vec<Kind>| kinds.into_iter().filter(|it| *it != Kind::ManifestMismatch).collect::<Vec<_>>();
    assert_eq!(beside(ovf("file1\"/></Dis", "file2\"/></Dis")), [Kind::OvfDescriptor]);
    assert_eq!(beside(ovf("ovf:/disk/vmdisk1", "ovf:/disk/vmdisk2")), [Kind::OvfDescriptor]);
    assert_eq!(
        beside(ovf("</References>", "<File ovf:id=\"i\" ovf:href=\"x.iso\"/></References>")),
        [Kind::MemberMissing]
    );
    assert_eq!(beside(ovf("href=\"web-disk1", "href=\"web%2ddisk1")), []);
    assert_eq!(
        beside(ovf("href=\"web-disk1", "href=\"https://x/web-disk1")),
        [Kind::CompanionMissing, Kind::ExtraFile]
    );
    assert_eq!(beside(ovf("\"196608\"", "\"196609\"")), [Kind::DiskSize]);
    assert_eq!(beside(ovf("</Envelope>", "")), [Kind::Truncated]);
    assert_eq!(beside(ovf("</NetworkSection>", "</NetworkSektion>")), [Kind::OvfDescriptor]);
    assert_eq!(beside(ovf("</Envelope>", "</Envelope><Envelope/>")), [Kind::OvfDescriptor]);
    assert_eq!(beside(ovf("&amp;", "&more;")), [Kind::OvfDescriptor]);
    assert_eq!(beside(ovf("size=\"", "size=\"x")), [Kind::OvfDescriptor]);
    let (disk, mf) = (&good.disk[..], good.mf.as_bytes());
    let text = good.ovf.as_bytes();
    assert_eq!(kinds(&ova(&[("web.ovf", text), ("web-disk1.vmdk", disk)])), [Kind::NoChecksum]);
    assert_eq!(kinds(&ova(&[("web.mf", mf), ("web-disk1.vmdk", disk)])), [Kind::ConfigMissing]);
    assert_eq!(kinds(&ova(&[("web-disk1.vmdk", disk), ("web.ovf", text), ("web.mf", mf)])), [Kind::OvfDoubtful]);
    let extra: [(&str, &[u8]); 4] = [("web.ovf", text), ("web.mf", mf), ("web-disk1.vmdk", disk), ("more.txt", b"x")];
    assert_eq!(kinds(&ova(&extra)), [Kind::NoChecksum, Kind::ExtraFile]);
    let missing = kinds(&ova(&[("web.ovf", text), ("web.mf", mf)]));
    assert_eq!(missing, [Kind::MemberMissing, Kind::MemberMissing]);
    assert_eq!(kinds(&ova(&[])), [Kind::ConfigMissing]);
}

#[test]
fn texts_that_want_too_much_get_nothing() {
    let parse = |text: &str| Envelope::parse(text.as_bytes());
    let deep = "<Envelope>".to_owned() + &"<a>".repeat(100_000);
    assert!(matches!(parse(&deep), Err(Stop::Limit(_))));
    let laughs = "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;&b;&b;\">]><Envelope><References><File id=\"&c;\" href=\"&c;\"/></References><VirtualSystem id=\"x\"><Name>&c;</Name></VirtualSystem></Envelope>";
    let found = parse(laughs).unwrap();
    assert_eq!((&*found.files[0].href, found.name.as_deref()), ("&c;", Some("x")));
    assert!(!found.judge(&mut Findings::default()));
    let many = "<Envelope><References>".to_owned() + &"<File id=\"a\" href=\"b\"/>".repeat(10_000);
    assert!(matches!(parse(&many), Err(Stop::Limit(_))));
    let wide: String = (0..300).map(|number| format!(" a{number}=\"\"")).collect();
    assert!(matches!(parse(&format!("<Envelope{wide}/>")), Err(Stop::Limit(_))));
    let long = vec![b' '; LONGEST + 1];
    assert!(matches!(whole(&mut Bytes { left: &long, step: 65_536 }, "it"), Err(Stop::Limit(_))));
    assert!(matches!(check_alone(&mut Bytes { left: b" ", step: 9 }, &mut Findings::default()), Err(Stop::Damaged(_))));
    assert!(matches!(Envelope::parse(b"<Envelope a=\"\xff\"/>"), Err(Stop::Damaged(_))));
}

#[test]
fn begins_as_such() {
    let good = Parts::good();
    assert!(begins(good.ovf.as_bytes()) && begins_ova(&good.ova()));
    assert!(!begins(b"<html>/ovf/ Envelop</html>") && !begins_ova(&good.ova()[512..]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_without_panic(text in "([<>/&;=\"' !?-]|Envelope|References|File|Disk|id|href|\\PC){0,80}") {
        let _ = Envelope::parse(text.as_bytes());
        let _ = manifest::parse(text.as_bytes(), &mut Findings::default());
    }

    #[test]
    fn changed_bytes_are_read_without_panic(changes in proptest::collection::vec((0_usize..200_000, any::<u8>()), 1..9)) {
        let mut file = Parts::good().ova();
        for (at, byte) in changes {
            let at = at % file.len();
            file[at] = byte;
        }
        prop_assert_eq!(format!("{:?}", look(&file, 4096).1), format!("{:?}", look(&file, 701).1));
    }
}
