//! Archives of mongodump and streams of mariabackup: cut, flipped, with parts left out and in another order.

use super::*;

const MONGO: &[u8] = fixture!("mongodump.archive");
const XBSTREAM: &[u8] = fixture!("backup.xbstream");

#[test]
fn whole_streams_are_complete() {
    for (dump, format, members) in [(MONGO, "mongodump", 4), (XBSTREAM, "xbstream", 5)] {
        for step in [1, 13, usize::MAX] {
            let (summary, findings) = run(dump, step);
            assert_eq!((summary.format, summary.end_known, summary.members), (format, true, Some(members)));
            assert_eq!(findings, []);
        }
    }
}

#[test]
fn a_stream_that_is_cut_is_damaged() {
    for dump in [MONGO, XBSTREAM] {
        for length in 0..dump.len() {
            assert!(damaged(&dump[..length]), "{length} bytes of {}", dump.len());
        }
    }
}

#[test]
fn flipped_bits_are_found_where_there_is_a_checksum() {
    for bit in 0..XBSTREAM.len() * 8 {
        let mut flipped = XBSTREAM.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (summary, findings) = run(&flipped, 4096);
        // One bit off, a piece is one with holes; a flag counts only where the kind is not known.
        let sparse = findings.iter().any(|it| it.kind == Kind::NoEndKnown) && !summary.end_known;
        let flag = XBSTREAM[..=bit / 8].ends_with(&[XBSTREAM[bit / 8]])
            && bit / 8 >= 8
            && &XBSTREAM[bit / 8 - 8..bit / 8] == b"XBSTCK01";
        let mark = bit / 8 < 8;
        assert!(damaged(&flipped) || sparse || flag || mark, "bit {bit}: {findings:?}");
    }
    let data = MONGO.windows(4).position(|it| it == [0xff; 4]).unwrap();
    let unnoticed = (data * 8..MONGO.len() * 8).filter(|bit| {
        let mut flipped = MONGO.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        !damaged(&flipped)
    });
    // The CRC of headers that are no ends counts for nothing, nor do names of fields there.
    let unnoticed: Vec<_> = unnoticed.map(|bit| bit / 8).collect();
    let ends: Vec<_> = unnoticed.iter().filter(|at| MONGO[..**at].ends_with(b"EOF\0")).collect();
    assert!(unnoticed.len() < 3 * 8 * 40 && ends.len() <= 24, "{}", unnoticed.len());
}

#[test]
fn what_mongorestore_refuses_is_damage() {
    let prelude = MONGO.windows(4).position(|it| it == [0xff; 4]).unwrap() + 4;
    let header = MONGO.len() - (MONGO.len() - prelude);
    assert!(damaged(&[&MONGO[..header], &[0xff; 4], &MONGO[header..]].concat()), "a block without a header");
    assert!(damaged(&[MONGO, &MONGO[prelude..]].concat()), "a collection that goes on after its end");
    assert!(damaged(&[MONGO, b"\x05\0\0\0\0"].concat()), "a block without an end");
    assert!(damaged(&[&MONGO[..header], &[1, 0, 0, 1], &MONGO[header..]].concat()), "a document of 16 MiB and more");
    // Only the prelude: no collection was written.
    assert_eq!(kinds(&MONGO[..prelude]), [Kind::Truncated]);
}

/// The chunks of a stream.
fn chunks() -> Vec<&'static [u8]> {
    let mut starts: Vec<_> =
        (0..XBSTREAM.len() - 8).filter(|at| XBSTREAM[*at..].starts_with(b"XBSTCK01")).chain([XBSTREAM.len()]).collect();
    starts.dedup();
    starts.windows(2).map(|pair| &XBSTREAM[pair[0]..pair[1]]).collect()
}

#[test]
fn every_chunk_of_a_stream_must_be_there_once() {
    let chunks = chunks();
    assert_eq!(chunks.len(), 10);
    for index in 0..chunks.len() {
        let left_out: Vec<_> = chunks.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, it)| *it).collect();
        // mbstream takes a file that was left out to its last byte for an empty one.
        let data = chunks[index][9] == b'P';
        assert_eq!(damaged(&left_out.concat()), !data, "without chunk {index}");
        let twice: Vec<_> =
            chunks.iter().enumerate().flat_map(|(at, it)| vec![*it; if at == index { 2 } else { 1 }]).collect();
        assert!(damaged(&twice.concat()), "chunk {index} twice");
    }
    // Files may be mixed.
    let mixed = [chunks[2], chunks[0], chunks[1], chunks[3]].into_iter().chain(chunks[4..].iter().copied());
    assert_eq!(kinds(&mixed.collect::<Vec<_>>().concat()), []);
    assert_eq!(kinds(&chunks[..8].concat()), [Kind::DumpIncomplete]);
}

#[test]
fn pieces_with_holes_are_not_followed() {
    let mut sparse = XBSTREAM.to_vec();
    sparse[9] = b'S';
    let (summary, findings) = run(&sparse, 4096);
    assert!(!summary.end_known);
    assert_eq!(findings[0].kind, Kind::NoEndKnown);
}

proptest! {
    #[test]
    fn any_bytes_in_a_stream(mongo in any::<bool>(), at in any::<prop::sample::Index>(), bytes in proptest::collection::vec(any::<u8>(), 1..30), step in 1_usize..50) {
        let mut dump = if mongo { MONGO } else { XBSTREAM }.to_vec();
        let at = at.index(dump.len());
        let end = (at + bytes.len()).min(dump.len());
        dump.splice(at..end, bytes);
        prop_assert_eq!(run(&dump, step), run(&dump, usize::MAX));
    }
}
