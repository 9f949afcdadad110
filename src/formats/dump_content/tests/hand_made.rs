//! Dumps of the custom format of every version and compression, put together by what is known of the format: no single
//! `pg_dump` writes them all.

use std::io::Write as _;

use super::*;

/// A dump as far as it is put together.
struct Made {
    minor: u8,
    algorithm: u8,
    bytes: Vec<u8>,
}

impl Made {
    fn int(&mut self, number: i64) -> &mut Self {
        self.bytes.push(u8::from(number < 0));
        self.bytes.extend_from_slice(&u32::try_from(number.unsigned_abs()).unwrap().to_le_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.int(text.len() as i64);
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    fn none(&mut self) -> &mut Self {
        self.int(-1)
    }

    fn header(minor: u8, algorithm: u8) -> Self {
        let mut made = Self { minor, algorithm, bytes: [b"PGDMP".as_slice(), &[1, minor, 0, 4, 8, 1]].concat() };
        if minor >= 15 {
            made.bytes.push(algorithm);
        } else {
            made.int(if algorithm == 0 { 0 } else { -1 });
        }
        for part in [5, 0, 2, 31, 0, 124, 0] {
            made.int(part);
        }
        made.text("shop").text("15.1").text("15.1");
        made
    }

    fn entry(&mut self, id: i64, kind: &str, data: bool) -> &mut Self {
        self.int(id).int(i64::from(data)).text("1259").text("16384").text("item").text(kind).int(3);
        self.text("CREATE TABLE item (id integer);\n").none().none().text("public").none();
        if self.minor >= 14 {
            self.text("heap");
        }
        if self.minor >= 16 {
            self.int(i64::from(b'r'));
        }
        self.text("postgres").text("false").text("7").none();
        self.bytes.push(if data { 1 } else { 3 });
        self.bytes.extend_from_slice(&[0; 8]);
        self
    }

    fn data(&mut self, data: &[u8]) -> &mut Self {
        let stored = match self.algorithm {
            1 => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap()
            }
            3 => {
                let mut stored = Vec::with_capacity(zstd_safe::compress_bound(data.len()));
                zstd_safe::compress(&mut stored, data, 3).unwrap();
                stored
            }
            _ => data.to_vec(),
        };
        for piece in stored.chunks(11) {
            self.int(piece.len() as i64);
            self.bytes.extend_from_slice(piece);
        }
        self.int(0)
    }

    fn block(&mut self, kind: u8, id: i64) -> &mut Self {
        self.bytes.push(kind);
        self.int(id)
    }
}

fn whole(minor: u8, algorithm: u8) -> Vec<u8> {
    let mut made = Made::header(minor, algorithm);
    made.int(3).entry(1, "TABLE", false).entry(200, "TABLE DATA", true).entry(3, "BLOBS", true);
    made.block(1, 200).data("1\tEin Artikel\n2\tNoch einer\n\\.\n".repeat(20).as_bytes());
    made.block(3, 3).int(16_400).data(b"large").int(-1_294_967_296).data(b"object").int(0);
    made.bytes
}

fn versions() -> impl Iterator<Item = (u8, u8)> {
    (12..=14)
        .flat_map(|minor| [(minor, 0), (minor, 1)])
        .chain((15..=16).flat_map(|minor| (0..4).map(move |a| (minor, a))))
}

#[test]
fn every_version_and_compression() {
    for (minor, algorithm) in versions() {
        let dump = whole(minor, algorithm);
        let (summary, findings) = run(&dump, 5);
        assert_eq!((summary.format, summary.end_known, summary.members), ("pg_dump-custom", algorithm != 2, Some(3)));
        assert_eq!(summary.created, time("2024-01-31T02:00:05"));
        let expected: &[Kind] = if algorithm == 2 { &[Kind::NoEndKnown] } else { &[] };
        assert_eq!(findings.iter().map(|finding| finding.kind).collect::<Vec<_>>(), expected, "1.{minor} {algorithm}");
        for length in 0..dump.len() {
            assert!(damaged(&dump[..length]), "{length} bytes of 1.{minor} {algorithm}");
        }
        for bit in (0..dump.len() * 8).step_by(3) {
            let mut flipped = dump.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let mut stream = Bytes { left: &flipped, step: 4096 };
            match check(&mut stream, &mut Findings::default()) {
                Ok(summary) => assert_eq!(summary.unpacked, flipped.len() as u64),
                // A bit of the size of the window.
                Err(stop) => assert!(algorithm == 3 && matches!(stop, Stop::Limit(_))),
            }
        }
    }
}

#[test]
fn a_version_read_as_another_is_damaged() {
    for (minor, other) in [(13, 14), (14, 13), (14, 15), (15, 14), (15, 16), (16, 15)] {
        let mut dump = whole(minor, 1);
        dump[6] = other;
        assert!(damaged(&dump), "1.{minor} as 1.{other}");
    }
}

#[test]
fn headers_that_cannot_be() {
    for (at, value) in [(8, 8), (8, 0), (9, 16), (10, 2), (11, 4)] {
        let mut dump = whole(16, 0);
        dump[at] = value;
        assert_eq!(kinds(&dump), [Kind::DumpStructure], "{value} at {at}");
    }
}

#[test]
fn levels_of_compression() {
    for (level, good) in [(-1, true), (0, true), (9, true), (-2, false), (10, false)] {
        let mut made = Made::header(14, 0);
        made.int(0);
        made.bytes[11] = u8::from(level < 0);
        made.bytes[12] = i8::unsigned_abs(level);
        assert_eq!(kinds(&made.bytes).is_empty(), good, "{level}");
    }
}

#[test]
fn tables_of_contents_that_cannot_be() {
    let structure = |change: fn(&mut Made) -> &mut Made| {
        let mut made = Made::header(16, 0);
        change(&mut made);
        kinds(&made.bytes) == [Kind::DumpStructure]
    };
    assert!(structure(|made| made.int(-1)));
    assert!(structure(|made| made.int(1).entry(0, "TABLE", false)));
    assert!(structure(|made| made.int(1).entry(-5, "TABLE", false)));
    assert!(structure(|made| made.int(2).entry(5, "TABLE DATA", true).entry(5, "TABLE DATA", true)));
    assert!(structure(|made| made.int(1).int(1).int(2)));
    assert!(structure(|made| made.int(1).int(1).int(0).none()));
    assert!(structure(|made| made.int(1).int(1).int(0).int(65 << 20)));
    assert!(structure(|made| made.int(1).int(1).int(0).int(-2)));
    assert!(structure(|made| made.int(1).int(1).int(0).text("1").text("2").text("a").text("b").int(5)));
    assert!(structure(|made| {
        made.int(1).entry(5, "TABLE DATA", true);
        let flag = made.bytes.len() - 9;
        made.bytes[flag] = 3;
        made
    }));
}

#[test]
fn blocks_that_cannot_be() {
    let of = |change: fn(&mut Made) -> &mut Made| {
        let mut made = Made::header(16, 1);
        made.int(2).entry(5, "TABLE DATA", true).entry(6, "TABLE DATA", true);
        change(&mut made);
        kinds(&made.bytes)
    };
    assert_eq!(of(|made| made.block(1, 6).data(b"a").block(1, 5).data(b"b")), []);
    assert_eq!(of(|made| made.block(1, 6).data(b"a").block(1, 6).data(b"b")), [Kind::DumpStructure]);
    assert_eq!(of(|made| made.block(1, 6).data(b"a").block(1, 7).data(b"b")), [Kind::DumpStructure]);
    assert_eq!(of(|made| made.block(2, 6).data(b"a").block(1, 7).data(b"b")), [Kind::DumpStructure]);
    assert_eq!(of(|made| made.block(1, 6).int(-4)), [Kind::DumpStructure]);
    assert_eq!(of(|made| made.block(1, 6).data(b"a")), [Kind::Truncated]);
    // No data at all is not what zlib makes of nothing.
    assert_eq!(of(|made| made.block(1, 6).int(0)), [Kind::ContainerCorrupt]);
}

#[test]
fn compressed_data_is_decompressed() {
    let of = |algorithm: u8, stored: &[u8]| {
        let mut made = Made::header(16, 0);
        made.int(1).entry(5, "TABLE DATA", true);
        made.block(1, 5).data(stored);
        made.bytes[11] = algorithm;
        kinds(&made.bytes)
    };
    let stored = |algorithm: u8, data: &[u8]| {
        let mut made = Made { minor: 16, algorithm, bytes: Vec::new() };
        made.data(data);
        let mut stored = Vec::new();
        let mut rest = made.bytes.as_slice();
        while let Some((length, tail)) = rest[1..].split_first_chunk().filter(|(length, _)| **length != [0; 4]) {
            let (piece, tail) = tail.split_at(u32::from_le_bytes(*length) as usize);
            stored.extend_from_slice(piece);
            rest = tail;
        }
        stored
    };
    for algorithm in [1, 3] {
        let good = stored(algorithm, &[b'x'; 300_000]);
        assert_eq!(of(algorithm, &good), []);
        assert_eq!(of(algorithm, &good[..good.len() - 1]), [Kind::ContainerCorrupt]);
        assert_eq!(of(algorithm, &[good.as_slice(), b"more"].concat()), [Kind::ContainerCorrupt]);
        assert_eq!(of(algorithm, b"something else"), [Kind::ContainerCorrupt]);
    }
    let mut wrong = stored(1, b"checked");
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(of(1, &wrong), [Kind::ContainerChecksum]);
    // A frame that wants a window of 128 MiB says nothing of the dump.
    let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00];
    let mut made = Made::header(16, 0);
    made.int(1).entry(5, "TABLE DATA", true).block(1, 5).data(&wide);
    made.bytes[11] = 3;
    let mut stream = Bytes { left: &made.bytes, step: 100 };
    assert!(matches!(check(&mut stream, &mut Findings::default()), Err(Stop::Limit(_))));
}
