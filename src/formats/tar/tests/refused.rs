//! Members that GNU tar 1.34 refused or took when it was asked to extract them (`tar -x --numeric-owner`, as root).

use super::*;

fn with(name: &str, at: usize, field: &[u8]) -> Vec<u8> {
    let mut content =
        header_with(name.as_bytes(), b'0', 1, |block| block[at..at + field.len()].copy_from_slice(field)).to_vec();
    content.extend_from_slice(&padded(b"x"));
    content
}

fn judged(member: &[Vec<u8>]) -> Vec<Kind> {
    kinds(&archive(&[directory("./"), file("./f", b"hello"), member.concat()]), false)
}

#[test]
fn links() {
    for (target, good) in [
        ("./f", true),
        ("f", true),
        (".//f", true),
        ("/f", true),
        ("../f", true),
        ("./x/../f", true),
        ("./nope", false),
        ("./h", false),
        ("", false),
        ("./d", false),
        ("./s/g", true),
        ("./t/g", false),
    ] {
        let members = [directory("./d/"), file("./d/g", b"1"), link("./s", b'2', "d"), link("./h", b'1', target)];
        let expected: &[Kind] = if good { &[] } else { &[Kind::TarHeader] };
        assert_eq!(judged(&members), expected, "{target}");
    }
    assert_eq!(judged(&[link("./s", b'2', ""),]), [Kind::TarHeader]);
    assert_eq!(judged(&[link("./h", b'1', "./late"), file("./late", b"")]), [Kind::TarHeader]);
    // Long targets of GNU and pax come before that of the header.
    assert_eq!(judged(&[member(b"././@LongLink", b'K', b"./f\0"), link("./h", b'1', "no")]), []);
    assert_eq!(judged(&[member(b"././@LongLink", b'K', b"./no\0"), link("./h", b'1', "f")]), [Kind::TarHeader]);
    assert_eq!(judged(&[pax(b'x', &[("linkpath", "./f")]), link("./h", b'1', "no")]), []);
    assert_eq!(judged(&[pax(b'x', &[("linkpath", "./no")]), link("./h", b'1', "f")]), [Kind::TarHeader]);
}

#[test]
fn names() {
    for (name, kind, content, good) in [
        ("", b'0', "x", false),
        (".", b'0', "x", false),
        ("./", b'5', "", true),
        ("./x/", b'0', "", true),
        ("./x/", b'0', "content", false),
        ("./x/", 0, "content", false),
        ("./x/", b'7', "content", false),
        ("../g", b'0', "x", false),
        ("./d/../g", b'0', "x", false),
        ("./d..", b'0', "x", true),
    ] {
        let kinds = judged(&[member(name.as_bytes(), kind, content.as_bytes())]);
        assert_eq!(kinds.is_empty(), good, "{name:?} {kind} {kinds:?}");
        assert!(good || kinds == [Kind::TarHeader]);
    }
}

#[test]
fn fields() {
    for (at, field, good) in [
        (100, &b"zzzzzzz\0"[..], false),
        (100, b"        ", false),
        (100, b"0000688\0", false),
        (100, b"\0\0\0\0\0\0\0\0", true),
        (100, b"\xff\xff\xff\xff\xff\xff\xff\xff", true),
        (108, b"zzzzzzz\0", false),
        (108, b"\xff\xff\xff\xff\xff\xff\xff\xff", false),
        (108, b"\x80\0\0\xff\xff\xff\xff\xff", false),
        (108, b"\x80\0\0\0\xff\xff\xff\xff", true),
        (116, b"        ", false),
        (136, b"zzzzzzzzzzz\0", false),
        (136, b"            ", false),
        (136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", true),
        (136, b"+AAAAAAA\0", true),
        (136, b"-0000000001\0", true),
        (329, b"zzzzzzz\0", true),
    ] {
        let kinds = judged(&[with("./g", at, field)]);
        assert_eq!(kinds.is_empty(), good, "{field:?} at {at}: {kinds:?}");
    }
    let device = header_with(b"./c", b'3', 0, |block| block[329..336].fill(b'z')).to_vec();
    assert_eq!(judged(&[device]), [Kind::TarHeader]);
}

#[test]
fn records() {
    for (key, value, good) in [
        ("mtime", "abc", false),
        ("atime", "", false),
        ("ctime", "+1", false),
        ("mtime", " 1", false),
        ("mtime", "999999999999999999999999999999", false),
        ("mtime", "-1.5", true),
        ("mtime", "1700000000.123456789", true),
        ("mtime", "1.", true),
        ("uid", "abc", false),
        ("uid", "-5", false),
        ("gid", "5000000000", false),
        ("gid", "", false),
        ("uid", "4294967295", true),
    ] {
        for kind in [b'x', b'g'] {
            let kinds = judged(&[pax(kind, &[(key, value)]), file("./g", b"x")]);
            assert_eq!(kinds.is_empty(), good, "{key}={value}: {kinds:?}");
            assert!(good || kinds == [Kind::TarExtended]);
        }
    }
}
