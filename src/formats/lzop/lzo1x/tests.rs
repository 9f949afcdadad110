use proptest::prelude::*;

use super::*;

/// Writes instructions, and what they should decode to, byte by byte.
struct Encoder {
    packed: Vec<u8>,
    plain: Vec<u8>,
    before: Before,
}

impl Encoder {
    fn new() -> Self {
        Self { packed: Vec::new(), plain: Vec::new(), before: Before::Copy }
    }

    fn put_literals(&mut self, count: usize) {
        for _ in 0..count {
            let byte = (self.plain.len() as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
            self.packed.push(byte);
            self.plain.push(byte);
        }
    }

    fn put_length(&mut self, bits: u8, most: usize, length: usize) {
        if length <= most {
            self.packed.push(bits | length as u8);
            return;
        }
        self.packed.push(bits);
        let rest = length - most - 1;
        self.packed.resize(self.packed.len() + rest / 255, 0);
        self.packed.push((rest % 255 + 1) as u8);
    }

    fn literals(&mut self, count: usize) {
        if self.packed.is_empty() && (1..=238).contains(&count) {
            self.packed.push(17 + count as u8);
            self.put_literals(count);
            self.before = if count < 4 { Before::FewLiterals } else { Before::Literals };
        } else if self.before == Before::Copy {
            let count = count.max(4);
            self.put_length(0, 15, count - 3);
            self.put_literals(count);
            self.before = Before::Literals;
        }
    }

    fn copy(&mut self, sort: u8, length: usize, seed: usize, literals: usize) {
        let most = self.plain.len();
        if most == 0 {
            return;
        }
        let back = |from: usize, to: usize| if most < from { from } else { from + seed % (to.min(most) - from + 1) };
        let (s, distance, length) = match (sort, self.before) {
            (0, Before::FewLiterals) => {
                let (distance, s) = (back(1, 1024), literals as u8);
                self.packed.extend([(((distance - 1) % 4) as u8 * 4) | s, ((distance - 1) / 4) as u8]);
                (s, distance, 2)
            }
            (0, Before::Literals) if most >= 2049 => {
                let (distance, s) = (back(2049, 3072), literals as u8);
                self.packed.extend([(((distance - 2049) % 4) as u8 * 4) | s, ((distance - 2049) / 4) as u8]);
                (s, distance, 3)
            }
            (1, _) if most > 16384 => {
                let (distance, length) = (back(16385, 49151), length.max(3));
                let rest = distance - 16384;
                self.put_length(16 | ((rest >> 14) as u8) << 3, 7, length - 2);
                self.packed.extend(((rest as u16 & 0x3fff) << 2 | literals as u16).to_le_bytes());
                (literals as u8, distance, length)
            }
            (2, _) => {
                let (distance, length) = (back(1, 16384), length.max(3));
                self.put_length(32, 31, length - 2);
                self.packed.extend((((distance - 1) as u16) << 2 | literals as u16).to_le_bytes());
                (literals as u8, distance, length)
            }
            _ => {
                let (distance, length) = (back(1, 2048), 3 + length % 6);
                let token = ((length - 1) << 5 | ((distance - 1) & 7) << 2 | literals) as u8;
                self.packed.extend([token, ((distance - 1) >> 3) as u8]);
                (literals as u8, distance, length)
            }
        };
        for _ in 0..length {
            self.plain.push(self.plain[self.plain.len() - distance]);
        }
        self.put_literals(usize::from(s));
        self.before = if s == 0 { Before::Copy } else { Before::FewLiterals };
    }

    fn end(mut self) -> (Vec<u8>, Vec<u8>) {
        self.packed.extend([0x11, 0, 0]);
        (self.packed, self.plain)
    }
}

/// Decodes to `size` bytes.
fn unpack(packed: &[u8], size: usize) -> Result<Vec<u8>, Fault> {
    let mut padded = packed.to_vec();
    padded.resize(packed.len() + SLACK, 0);
    let mut out = vec![0xee; size + SLACK];
    decode(&padded, packed.len(), &mut out, size)?;
    out.truncate(size);
    Ok(out)
}

#[test]
fn every_small_distance_and_length() {
    for distance in 1..40 {
        for length in (3..80).chain([255, 256, 257, 1000]) {
            let mut block = Encoder::new();
            block.literals(40);
            block.copy(2, length, distance - 1, length % 4);
            block.copy(3, length, distance - 1, length % 3);
            let (packed, plain) = block.end();
            assert_eq!(unpack(&packed, plain.len()).unwrap(), plain, "{distance} {length}");
        }
    }
}

#[test]
fn says_what_is_wrong() {
    assert_eq!(unpack(&[], 0), Err(Fault::Unfinished));
    assert_eq!(unpack(&[0x11, 0, 0], 0), Ok(Vec::new()));
    assert_eq!(unpack(&[0x11, 0], 0), Err(Fault::Unfinished));
    assert_eq!(unpack(&[0x11, 0, 0, 0], 0), Err(Fault::Leftover));
    assert_eq!(unpack(&[0x11, 0, 0], 1), Err(Fault::Short));
    assert_eq!(unpack(b"\x13ab\x11\0\0", 2).unwrap(), b"ab");
    assert_eq!(unpack(b"\x13ab\x11\0\0", 1), Err(Fault::Long));
    assert_eq!(unpack(b"\x13ab\x40\x01\x11\0\0", 5), Err(Fault::Distance));
    assert_eq!(unpack(b"\x13ab\x44\0\x11\0\0", 5).unwrap(), b"ababa");
    // Literals behind a copy may go past the end on their own.
    assert_eq!(unpack(b"\x13ab\x47\0xyz\x11\0\0", 5), Err(Fault::Long));
    // A run whose length never ends, and one that is longer than anything.
    assert_eq!(unpack(&[0; 1000], 1 << 20), Err(Fault::Unfinished));
    assert_eq!(unpack(&[&[0; 1000][..], &[1; 10]].concat(), 1000), Err(Fault::Long));
}

proptest! {
    #[test]
    fn decodes_what_was_encoded(
        first in prop_oneof![0_usize..300, 0_usize..70_000],
        steps in prop::collection::vec(
            (0_u8..5, prop_oneof![3_usize..40, 3_usize..2000], any::<usize>(), 0_usize..4),
            0..60,
        ),
    ) {
        let mut block = Encoder::new();
        block.literals(first);
        for (sort, length, seed, literals) in steps {
            if sort == 4 {
                block.literals(length);
            } else {
                block.copy(sort, length, if seed & 1 == 0 { seed % 32 } else { seed }, literals);
            }
        }
        let (packed, plain) = block.end();
        prop_assert_eq!(unpack(&packed, plain.len()), Ok(plain));
    }

    #[test]
    fn any_bytes_without_panic(packed in prop::collection::vec(any::<u8>(), 0..400), size in 0_usize..5000) {
        if let Ok(plain) = unpack(&packed, size) {
            prop_assert_eq!(plain.len(), size);
        }
    }
}
