//! CRCs that no decoder here brings along, eight bytes at a time.

/// The tables of a polynomial, its bits in reverse order.
const fn tables(polynomial: u64) -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ polynomial } else { value >> 1 };
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut step = 1;
    while step < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[step - 1][byte];
            tables[step][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        step += 1;
    }
    tables
}

static CASTAGNOLI: [[u64; 256]; 8] = tables(0x82f6_3b78);
static ECMA: [[u64; 256]; 8] = tables(0xc96c_5795_d787_0f42);

fn update(tables: &[[u64; 256]; 8], mut value: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mixed = value ^ u64::from_le_bytes(*word);
        value = mixed
            .to_le_bytes()
            .iter()
            .zip(tables.iter().rev())
            .fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)]);
    }
    rest.iter().fold(value, |value, byte| value >> 8 ^ tables[0][usize::from(value as u8 ^ byte)])
}

/// CRC-32C (Castagnoli), as in backup manifests of PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub struct Crc32c(u64);

impl Default for Crc32c {
    fn default() -> Self {
        Self(0xffff_ffff)
    }
}

impl Crc32c {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = update(&CASTAGNOLI, self.0, bytes);
    }

    /// The CRC so far.
    pub fn value(self) -> u32 {
        !(self.0 as u32)
    }
}

/// CRC-64 of ECMA-182 with reversed bits (CRC-64/XZ), as in archives of mongodump.
#[derive(Debug, Clone, Copy)]
pub struct Crc64(u64);

impl Default for Crc64 {
    fn default() -> Self {
        Self(u64::MAX)
    }
}

impl Crc64 {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = update(&ECMA, self.0, bytes);
    }

    /// The CRC so far.
    pub fn value(self) -> u64 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_that_are_published() {
        for split in 0..9 {
            let (first, second) = b"123456789".split_at(split);
            let (mut small, mut large) = (Crc32c::default(), Crc64::default());
            for part in [first, second] {
                small.update(part);
                large.update(part);
            }
            assert_eq!((small.value(), large.value()), (0xe306_9283, 0x995d_c9bb_df19_39fa));
        }
        let (mut small, mut large) = (Crc32c::default(), Crc64::default());
        small.update(&[0; 32]);
        large.update(b"");
        assert_eq!((small.value(), large.value()), (0x8a91_36aa, 0));
    }
}
