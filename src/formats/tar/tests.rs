//! Archives of GNU tar, archives made here byte by byte, and what is no archive.

use proptest::prelude::*;

use super::*;
use crate::domain::finding::{Finding, Severity};
use crate::formats::stream::Bytes;

const CONF: &[u8] = b"arch: amd64\nhostname: ct\nrootfs: local:vm-200-disk-0,size=2G\n";

type Outcome = (Result<Summary, Stop>, Vec<Finding>);

fn run(bytes: &[u8], wants: bool, step: usize) -> Outcome {
    let mut stream = Bytes { left: bytes, step };
    let mut findings = Findings::default();
    let result = check(&mut stream, wants, &mut findings);
    assert!(result.is_err() || stream.left.is_empty(), "not read to its end");
    (result, findings.into_vec())
}

/// All kinds of findings, that of the stop last.
fn kinds(bytes: &[u8], wants: bool) -> Vec<Kind> {
    let (result, findings) = run(bytes, wants, usize::MAX);
    let mut kinds: Vec<Kind> = findings.iter().map(|finding| finding.kind).collect();
    match result {
        Err(Stop::Damaged(finding)) => kinds.push(finding.kind),
        Err(other) => panic!("{other:?}"),
        Ok(_) => {}
    }
    kinds
}

fn is_damaged(bytes: &[u8], wants: bool) -> bool {
    kinds(bytes, wants).iter().any(|kind| kind.severity() == Severity::Damage)
}

fn good(bytes: &[u8], wants: bool) -> Summary {
    let (result, findings) = run(bytes, wants, usize::MAX);
    assert_eq!(findings, []);
    result.unwrap()
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/lxc/{name}.tar.zst", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::with_capacity(1 << 20);
    zstd_safe::decompress(&mut bytes, &std::fs::read(path).unwrap()).unwrap();
    bytes
}

fn header_with(name: &[u8], kind: u8, size: u64, change: impl FnOnce(&mut [u8; BLOCK])) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    change(&mut block);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut all = content.to_vec();
    all.resize(content.len().next_multiple_of(BLOCK), 0);
    all
}

fn member(name: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    [header_with(name, kind, content.len() as u64, |_| {}).to_vec(), padded(content)].concat()
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    member(name.as_bytes(), b'0', content)
}

fn directory(name: &str) -> Vec<u8> {
    member(name.as_bytes(), b'5', b"")
}

fn link(name: &str, kind: u8, target: &str) -> Vec<u8> {
    header_with(name.as_bytes(), kind, 0, |block| block[157..157 + target.len()].copy_from_slice(target.as_bytes()))
        .to_vec()
}

fn pax(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let mut content = Vec::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        let digits = |length: usize| length.to_string().len();
        let mut length = rest.len() + 1;
        while length != rest.len() + digits(length) {
            length = rest.len() + digits(length);
        }
        content.extend_from_slice(format!("{length}{rest}").as_bytes());
    }
    member(b"pax", kind, &content)
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 2 * BLOCK]].concat()
}

fn container(conf: &str, members: &[Vec<u8>]) -> Vec<u8> {
    archive(&[file("./etc/vzdump/pct.conf", conf.as_bytes()), members.concat()])
}

/// A bit of everything, within a few KiB.
fn small() -> Vec<u8> {
    archive(&[
        file("./etc/vzdump/pct.conf", CONF),
        directory("./"),
        pax(b'x', &[("path", "./a"), ("mtime", "1.5")]),
        file("short", b"content"),
        member(b"././@LongLink", b'L', b"./a/long/name\0"),
        link("./a/lo", b'2', "target"),
        pax(b'x', &[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "5000"), ("GNU.sparse.name", "./s")]),
        file("GNUSparseFile.1/s", &[padded(b"1\n4096\n100\n"), vec![b'x'; 100]].concat()),
    ])
}

#[test]
fn fixtures_are_judged_as_expected() {
    let summary = good(&fixture("bad/l00-good"), true);
    assert_eq!(summary.members, 42);
    let guest = summary.guest.unwrap();
    assert_eq!(guest.hostname.as_deref(), Some("ct-oracle"));
    assert_eq!(guest.networks, ["eth0 on vmbr0"]);
    assert!(summary.config.unwrap().starts_with(b"arch: amd64\n"));
    assert_eq!(good(&fixture("good/vzdump-lxc-200-2026_11_01-03_00_00"), true).members, 42);
    for (name, expected) in [
        ("l02-cut-mid-file", Kind::Truncated),
        ("l04-no-end-marker", Kind::TarEnd),
        ("l06-header-checksum-bitflip", Kind::TarHeader),
        ("l08-trailing-text", Kind::TrailingBytes),
        ("l10-no-pct-conf", Kind::ConfigMissing),
        ("l12-pct-conf-no-dot", Kind::ConfigMissing),
        ("l14-cut-in-zero-block", Kind::TarEnd),
    ] {
        assert_eq!(kinds(&fixture(&format!("bad/{name}")), true), [expected], "{name}");
    }
    // Its configuration has no rootfs: the restore refuses that unless it is given by hand.
    let l16 = fixture("bad/l16-absolute-and-dotdot");
    assert_eq!(kinds(&l16, false), [Kind::TarHeader, Kind::HostileName]);
    assert_eq!(kinds(&l16, true), [Kind::TarHeader, Kind::ConfigIncomplete, Kind::HostileName]);
}

#[test]
fn sparse_files_of_gnu_tar_are_whole() {
    for name in ["sparse/sparse-gnu", "sparse/sparse-pax-0.0", "sparse/sparse-pax-0.1", "sparse/sparse-pax-1.0"] {
        let bytes = fixture(name);
        assert_eq!(good(&bytes, false).members, 3, "{name}");
        for end in (0..bytes.len() - 10240).step_by(97) {
            assert!(is_damaged(&bytes[..end], false), "{name} cut at {end}");
        }
    }
}

#[test]
fn every_type_of_member() {
    let summary = good(
        &archive(&[
            file("f", b"12345"),
            member(b"v7", 0, b"123"),
            member(b"c", b'7', b"1"),
            member(b"dump", b'D', b"Yf\0\0"),
            member(b"/label", b'V', b""),
            pax(b'g', &[("comment", "x")]),
            member(b"././@LongLink", b'K', b"f\0"),
            // These have no content, whatever they say.
            header_with(b"h", b'1', 600, |block| block[157] = b'f').to_vec(),
            header_with(b"s", b'2', 600, |block| block[157] = b'f').to_vec(),
            header_with(b"chr", b'3', 600, |_| {}).to_vec(),
            header_with(b"blk", b'4', 600, |_| {}).to_vec(),
            header_with(b"d/", b'5', 600, |_| {}).to_vec(),
            header_with(b"p", b'6', 600, |_| {}).to_vec(),
            header_with(b"gnu", b'0', 0, |block| block[257..265].copy_from_slice(b"ustar  \0")).to_vec(),
            header_with(b"old", 0, 0, |block| block[257..265].fill(0)).to_vec(),
        ]),
        false,
    );
    assert_eq!((summary.members, summary.content_bytes), (13, 13));
    let strange = archive(&[member(b"a", b'A', b"x"), member(b"n", b'N', b"x"), member(b"z", b'z', b"x")]);
    assert_eq!(kinds(&strange, false), [Kind::StrayEntry]);
    assert_eq!(kinds(&archive(&[member(b"m", b'M', b"x")]), false), [Kind::TarHeader]);
}

#[test]
fn names_come_from_where_gnu_tar_takes_them() {
    let wanted = |bytes: Vec<u8>| kinds(&bytes, true).is_empty();
    let long = |name: &[u8]| member(b"././@LongLink", b'L', name);
    assert!(wanted(archive(&[long(b"./etc/vzdump/pct.conf\0"), file("x", CONF), directory("./")])));
    assert!(wanted(archive(&[pax(b'x', &[("path", "./etc/vzdump/pct.conf")]), file("x", CONF), directory("./")])));
    let both = [long(b"no\0"), pax(b'x', &[("path", "./etc/vzdump/pct.conf")]), file("x", CONF), directory("./")];
    assert!(wanted(archive(&both)));
    let prefix = |magic: &'static [u8; 8]| {
        let block = header_with(b"vzdump/pct.conf", b'0', CONF.len() as u64, |block| {
            block[345..350].copy_from_slice(b"./etc");
            block[257..265].copy_from_slice(magic);
        });
        archive(&[block.to_vec(), padded(CONF), directory("./")])
    };
    assert!(wanted(prefix(b"ustar\x0000")));
    assert!(!wanted(prefix(b"ustar  \0")));
}

#[test]
fn sizes_from_elsewhere() {
    let content = vec![b'x'; 1000];
    let overridden = |records: &[(&str, &str)]| {
        archive(&[pax(b'x', records), header_with(b"a", b'0', 0, |_| {}).to_vec(), padded(&content), file("b", b"")])
    };
    assert_eq!(good(&overridden(&[("size", "1000")]), false).content_bytes, 1000);
    assert_eq!(kinds(&overridden(&[("size", "9223372036854775808")]), false), [Kind::TarExtended]);
    assert_eq!(kinds(&overridden(&[("size", "9223372036854775807")]), false), [Kind::Truncated]);
    let binary = |bytes: [u8; 12]| {
        let block = header_with(b"a", b'0', 0, |block| block[124..136].copy_from_slice(&bytes));
        archive(&[block.to_vec(), padded(&content)])
    };
    assert_eq!(good(&binary(*b"\x80\0\0\0\0\0\0\0\0\0\x03\xe8"), false).content_bytes, 1000);
    for wrong in [*b"\x80\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff", [0xff; 12], *b"            ", *b"00000009000\0"] {
        assert_eq!(kinds(&binary(wrong), false), [Kind::TarHeader]);
    }
}

#[test]
fn the_checksum_may_be_of_signed_bytes() {
    let mut block = header_with("grün".as_bytes(), b'0', 0, |_| {});
    block[148..156].fill(b' ');
    let sum: i32 = block.iter().map(|byte| i32::from(byte.cast_signed())).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(good(&archive(&[block.to_vec()]), false).members, 1);
}

#[test]
fn wrong_extended_headers_are_damage() {
    assert_eq!(kinds(&archive(&[member(b"x", b'x', b"99 path=a\n"), file("a", b"")]), false), [Kind::TarExtended]);
    assert_eq!(kinds(&archive(&[pax(b'x', &[("path", "a")])]), false), [Kind::TarExtended]);
    let big = archive(&[member(b"x", b'x', &vec![b'x'; (1 << 20) + 1])]);
    assert!(matches!(run(&big, false, 4096).0, Err(Stop::Limit(_))));
    let huge_name = [vec![b'n'; 100_000], vec![0]].concat();
    let bytes =
        archive(&[member(b"l", b'L', &huge_name), file("a", b""), member(b"k", b'K', &huge_name), file("b", b"")]);
    assert_eq!(kinds(&bytes, false), [Kind::HostileName]);
}

fn old_sparse(pieces: &[(u64, u64)], stored: usize, real: u64) -> Vec<u8> {
    let slot = |(offset, length): &(u64, u64)| format!("{offset:011o}\0{length:011o}\0").into_bytes();
    let (first, rest) = pieces.split_at(pieces.len().min(4));
    let header = header_with(b"s", b'S', stored as u64, |block| {
        block[257..265].copy_from_slice(b"ustar  \0");
        let slots: Vec<u8> = first.iter().flat_map(slot).collect();
        block[386..386 + slots.len()].copy_from_slice(&slots);
        block[482] = u8::from(!rest.is_empty());
        block[483..495].copy_from_slice(format!("{real:011o}\0").as_bytes());
    });
    let mut all = header.to_vec();
    let groups = rest.chunks(21).count();
    for (index, group) in rest.chunks(21).enumerate() {
        let mut block: Vec<u8> = group.iter().flat_map(slot).collect();
        block.resize(BLOCK, 0);
        block[504] = u8::from(index + 1 < groups);
        all.extend(block);
    }
    all.extend(padded(&vec![b'x'; stored]));
    archive(&[all, file("after", b"")])
}

fn pax_sparse(map: &str, stored: usize, real: u64) -> Vec<u8> {
    let real = real.to_string();
    let records = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", &real)];
    let content = [padded(map.as_bytes()), vec![b'x'; stored]].concat();
    archive(&[pax(b'x', &records), file("s", &content), file("after", b"")])
}

#[test]
fn sparse_maps_are_checked() {
    let many: Vec<_> = (0..60).map(|index| (index * 1024, 512)).collect();
    assert_eq!(good(&old_sparse(&many, 60 * 512, 60 * 1024), false).members, 2);
    let lines = many.iter().fold(String::from("60\n"), |all, (offset, length)| format!("{all}{offset}\n{length}\n"));
    assert_eq!(good(&pax_sparse(&lines, 60 * 512, 60 * 1024), false).members, 2);
    assert_eq!(good(&pax_sparse("0\n", 0, 5), false).members, 2);
    for (pieces, stored, real) in [
        (&[(512, 512), (0, 512)][..], 1024, 5000),
        (&[(0, 1024), (512, 512)], 1536, 5000),
        (&[(0, 512)], 1024, 5000),
        (&[(0, 1024)], 512, 5000),
        (&[(0, 1024)], 1024, 1000),
        (&[(0, 100), (512, 100)], 200, 5000),
        (&[(1 << 32, 8 << 30)], 512, 5000),
    ] {
        assert_eq!(kinds(&old_sparse(pieces, stored, real), false), [Kind::TarSparse], "{pieces:?}");
        let count = format!("{}\n", pieces.len());
        let lines = pieces.iter().fold(count, |all, (offset, length)| format!("{all}{offset}\n{length}\n"));
        assert_eq!(kinds(&pax_sparse(&lines, stored, real), false), [Kind::TarSparse], "{pieces:?}");
    }
    for lines in
        ["x", "1\n0\n\n", "1\n0\nx", "\n", "2\n0\n5\n", "99999999999999999999999\n", "1\n9223372036854775807\n1\n"]
    {
        assert_eq!(kinds(&pax_sparse(lines, 5, 5), false), [Kind::TarSparse], "{lines:?}");
    }
    // The map goes on where the content ends.
    let endless = format!("999\n{}", "0\n".repeat(254));
    assert_eq!(kinds(&pax_sparse(&endless, 0, 5), false), [Kind::TarSparse]);
}

#[test]
fn sparse_maps_in_records_are_checked() {
    let sparse = |records: &[(&str, &str)]| {
        kinds(&archive(&[pax(b'x', records), file("s", &[b'x'; 612]), file("after", b"")]), false)
    };
    let size = ("GNU.sparse.size", "5000");
    assert_eq!(sparse(&[size, ("GNU.sparse.numblocks", "2"), ("GNU.sparse.map", "0,512,1024,100")]), []);
    let pairs = |second: &'static str| {
        [
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.offset", "0"),
            ("GNU.sparse.numbytes", "512"),
            ("GNU.sparse.offset", second),
            ("GNU.sparse.numbytes", "100"),
            size,
        ]
    };
    assert_eq!(sparse(&pairs("1024")), []);
    assert_eq!(sparse(&pairs("0")), [Kind::TarSparse]);
    for wrong in ["0,512", "0", "0,512,1024", "x,1", "", "0,612,0,0"] {
        assert_eq!(sparse(&[size, ("GNU.sparse.map", wrong)]), [Kind::TarSparse], "{wrong}");
    }
    assert_eq!(sparse(&[size, ("GNU.sparse.numblocks", "3"), ("GNU.sparse.map", "0,612")]), [Kind::TarSparse]);
    assert_eq!(sparse(&[("GNU.sparse.map", "0,612")]), [Kind::TarSparse]);
    assert_eq!(sparse(&[("GNU.sparse.numbytes", "1")]), [Kind::TarSparse]);
    assert_eq!(sparse(&[("GNU.sparse.offset", "1")]), [Kind::TarSparse]);
}

#[test]
fn the_end() {
    let one = file("a", b"x");
    assert_eq!(kinds(b"", false), [Kind::Empty]);
    assert_eq!(kinds(&[0; 10240], false), []);
    assert_eq!(kinds(&[0; 10240], true), [Kind::Empty]);
    assert_eq!(kinds(&[b'x'; 10240], false), [Kind::TarHeader]);
    assert_eq!(kinds(&one, false), [Kind::TarEnd]);
    for zeros in [1, 511, 512, 513, 1023] {
        assert_eq!(kinds(&[one.clone(), vec![0; zeros]].concat(), false), [Kind::TarEnd], "{zeros}");
    }
    for zeros in [1024, 1025, 10240, 100_000] {
        assert_eq!(kinds(&[one.clone(), vec![0; zeros]].concat(), false), [], "{zeros}");
        let trailing = [one.clone(), vec![0; zeros], b"x".to_vec()].concat();
        assert_eq!(kinds(&trailing, false), [Kind::TrailingBytes], "{zeros}");
    }
    for after in [one.clone(), b"something else".to_vec(), vec![b'x'; 5000]] {
        assert_eq!(kinds(&[one.clone(), vec![0; BLOCK], after].concat(), false), [Kind::TarEnd]);
    }
}

#[test]
fn configurations() {
    let tree = [directory("./")];
    let conf = "rootfs: a:b\n";
    assert_eq!(kinds(&container(conf, &tree), true), []);
    assert_eq!(kinds(&container(conf, &[]), true), [Kind::MountPointMissing]);
    assert_eq!(kinds(&container(conf, &[file("./etc/vzdump/pct.fw", b"")]), true), [Kind::MountPointMissing]);
    assert_eq!(kinds(&container("hostname: x\n", &tree), true), [Kind::ConfigIncomplete]);
    assert_eq!(kinds(&container("[snap]\nrootfs: a:b\n", &tree), true), [Kind::ConfigIncomplete]);
    assert_eq!(kinds(&container("", &tree), true), [Kind::ConfigUnreadable]);
    assert_eq!(kinds(&container("rootfs: a:b\n\0", &tree), true), [Kind::ConfigUnreadable]);
    assert_eq!(kinds(&container("", &tree), false), []);
    let large = format!("rootfs: a:b\n{}", "#\n".repeat(1 << 20));
    assert_eq!(kinds(&container(&large, &tree), true), [Kind::ConfigUnreadable]);
    let link = archive(&[link("./etc/vzdump/pct.conf", b'2', "x"), directory("./")]);
    assert_eq!(kinds(&link, true), [Kind::ConfigUnreadable]);
    let openvz = good(&archive(&[file("./etc/vzdump/vps.conf", b"HOSTNAME=\"x\"\n"), directory("./")]), true);
    assert!(openvz.config.is_some() && openvz.guest.is_none());
    // The first one counts.
    let second = container(conf, &[directory("./"), file("./etc/vzdump/pct.conf", b"")]);
    assert_eq!(good(&second, true).config.as_deref(), Some(conf.as_bytes()));
    for (name, hint) in [("/etc/vzdump/pct.conf", true), ("etc/vzdump/pct.conf", true), ("./etc/pct.conf", false)] {
        let (_, findings) = run(&archive(&[file(name, CONF)]), true, 512);
        let missing = findings.iter().find(|finding| finding.kind == Kind::ConfigMissing).unwrap();
        assert_eq!(missing.text.contains("written in another way"), hint, "{}", missing.text);
    }
}

#[test]
fn a_sparse_configuration_is_put_together() {
    let records =
        [("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "12"), ("GNU.sparse.name", "./etc/vzdump/pct.conf")];
    let content = [padded(b"1\n0\n12\n"), b"rootfs: a:b\n".to_vec()].concat();
    let bytes = archive(&[pax(b'x', &records), file("GNUSparseFile.1/pct.conf", &content), directory("./")]);
    assert_eq!(good(&bytes, true).config.as_deref(), Some(&b"rootfs: a:b\n"[..]));
}

#[test]
fn mount_points() {
    let conf = |point: &str| format!("rootfs: a:b\nmp0: {point}\n");
    let with =
        |point: &str, members: &[Vec<u8>]| kinds(&container(&conf(point), &[directory("./"), members.concat()]), true);
    let wanted = "local:vol,mp=/data,backup=1";
    for there in
        [file("./data/x", b""), directory("./data/x/"), link("./data/x", b'2', "y"), file("./data/lost+found", b"")]
    {
        assert_eq!(with(wanted, std::slice::from_ref(&there)), []);
        assert_eq!(with(wanted, &[directory("./data/"), there]), []);
    }
    let lost = directory("./data/lost+found/");
    for empty in [directory("./data"), directory("./data/"), lost.clone(), [directory("./data/"), lost].concat()] {
        assert_eq!(with(wanted, &[empty]), [Kind::MountPointEmpty]);
    }
    for other in [vec![], file("./data", b""), directory("./database/"), directory("./x/data/")] {
        assert_eq!(with(wanted, &[other]), [Kind::MountPointMissing]);
    }
    for free in ["/srv,mp=/data,backup=1", "/dev/sdb,mp=/data,backup=1", "local:vol,mp=/,backup=1"] {
        assert_eq!(with(free, &[]), [], "{free}");
    }
    // Left out by the default of Proxmox VE.
    for left_out in ["local:vol,mp=/data", "local:vol,mp=/data,backup=0"] {
        assert_eq!(with(left_out, &[directory("./data/")]), [Kind::VolumeLeftOut], "{left_out}");
    }
    assert_eq!(with("local:vol,mp=/var/lib/data,backup=1", &[directory("./var/lib/")]), [Kind::MountPointMissing]);
    assert_eq!(with("local:vol,mp=/var/lib/data,backup=1", &[directory("./var/lib/data/")]), [Kind::MountPointEmpty]);
}

#[test]
fn mount_points_below_one_another() {
    let conf = "rootfs: a:b\nmp0: s:a,mp=/srv,backup=1\nmp1: s:b,mp=/srv/data,backup=1\nmp2: /host,mp=/srv/host\n";
    let with = |members: &[Vec<u8>]| {
        let (_, findings) = run(&container(conf, &[directory("./"), members.concat()]), true, 512);
        findings.iter().map(|it| (it.kind, it.text.split(' ').next().unwrap().to_owned())).collect::<Vec<_>>()
    };
    let (srv, data) = (directory("./srv/"), directory("./srv/data/"));
    let empty = |key: &str| (Kind::MountPointEmpty, key.to_owned());
    assert_eq!(with(&[srv.clone(), data.clone()]), [empty("mp0"), empty("mp1")]);
    assert_eq!(with(&[srv.clone(), data.clone(), file("./srv/data/x", b"")]), [empty("mp0")]);
    assert_eq!(with(&[srv.clone(), directory("./srv/host/"), data.clone(), file("./srv/data/x", b"")]), [empty("mp0")]);
    assert_eq!(with(&[srv.clone(), file("./srv/x", b""), data]), [empty("mp1")]);
    assert_eq!(with(&[srv, file("./srv/x", b"")]), [(Kind::MountPointMissing, "mp1".to_owned())]);
}

#[test]
fn a_late_configuration_knows_the_directories_before_it() {
    let late = |path: &str, before: &[Vec<u8>], after: &[Vec<u8>]| {
        let conf = format!("rootfs: a:b\nmp0: local:vol,mp={path},backup=1\n");
        let conf = file("./etc/vzdump/pct.conf", conf.as_bytes());
        kinds(&archive(&[directory("./"), before.concat(), conf, after.concat()]), true)
    };
    assert_eq!(late("/data", &[directory("./data/")], &[]), []);
    assert_eq!(late("/data", &[file("./data/x", b"")], &[]), []);
    assert_eq!(late("/data", &[], &[directory("./data/")]), [Kind::MountPointEmpty]);
    assert_eq!(late("/data", &[file("./data", b"")], &[]), [Kind::MountPointMissing]);
    assert_eq!(late("/var/x", &[directory("./data/")], &[]), [Kind::MountPointMissing]);
    // Can't be told.
    assert_eq!(late("/var/x", &[directory("./var/")], &[]), []);
    let many: Vec<_> = (0..5000).map(|index| directory(&format!("./d{index}/"))).collect();
    assert_eq!(late("/data", &many, &[]), []);
}

#[test]
fn hostile_names_are_counted() {
    let long = format!("./{}", "a/".repeat(3000));
    let bytes = archive(&[
        file("/etc/passwd\x1b", b""),
        file("a/../../b", b""),
        file("..", b""),
        file("a..b/..c/d..", b""),
        pax(b'x', &[("path", &long)]),
        file("x", b""),
        pax(b'x', &[("path", &"n".repeat(256))]),
        file("x", b""),
    ]);
    let (_, findings) = run(&bytes, false, 100);
    let texts: Vec<&str> = findings.iter().map(|finding| &*finding.text).collect();
    assert_eq!(texts.len(), 3);
    assert_eq!(
        texts[0],
        "tar can't extract members with “..” in the name, which the restore refuses: 2 of them, the first is a/../../b"
    );
    assert_eq!(texts[1], "1 name would be written outside of the target; the first is /etc/passwd\\u{1b}");
    assert!(texts[2].starts_with("2 names are longer than file systems take; the first is ./a/"));
}

#[test]
fn cut_anywhere_it_is_damaged() {
    let bytes = small();
    assert_eq!(good(&bytes, true).members, 5);
    for end in 0..bytes.len() {
        assert!(is_damaged(&bytes[..end], true) && is_damaged(&bytes[..end], false), "cut at {end}");
    }
}

#[test]
fn flipped_bits_in_headers_are_damage() {
    let bytes = small();
    let mut at = 0;
    while !header::is_zero(&bytes[at..at + BLOCK]) {
        for bit in 0..BLOCK * 8 {
            let mut flipped = bytes.clone();
            flipped[at + bit / 8] ^= 1 << (bit % 8);
            // Blanks and NULs after the checksum can change without changing it.
            let covered = !(148..156).contains(&(bit / 8));
            assert!(is_damaged(&flipped, true) || !covered, "bit {bit} of the header at {at}");
        }
        let size = Header(bytes[at..at + BLOCK].try_into().unwrap()).size().unwrap() as usize;
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
}

#[test]
fn chunks_of_any_size_are_the_same() {
    let trailing = [small(), vec![0; 700], b"x".repeat(5000)].concat();
    for bytes in [small(), trailing, small()[..3000].to_vec(), fixture("bad/l00-good"), fixture("sparse/sparse-gnu")] {
        let whole = format!("{:?}", run(&bytes, true, usize::MAX));
        for step in [1, 7, 511, 512, 4096] {
            assert_eq!(format!("{:?}", run(&bytes, true, step)), whole, "chunks of {step}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_walked_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000), wants: bool) {
        let _ = run(&bytes, wants, 512);
    }

    #[test]
    fn any_content_of_headers_is_walked_without_panic(
        kind in proptest::sample::select(b"0\0Lxg57SKVMD1".to_vec()),
        size in prop_oneof![0_u64..2000, Just(u64::from(u32::MAX))],
        content in "([0-9]{1,2} )?(path|size|GNU.sparse.(map|major|offset|numbytes|numblocks))=[0-9,./a]{0,9}\n{0,2}",
        noise in proptest::collection::vec(any::<u8>(), 126),
        wants: bool,
    ) {
        let header = header_with(b"./etc/vzdump/pct.conf", kind, size, |block| block[386..].copy_from_slice(&noise));
        let bytes = archive(&[header.to_vec(), padded(content.as_bytes()), file("f", b"x"), directory("./")]);
        let _ = run(&bytes, wants, 512);
    }
}

mod refused;
