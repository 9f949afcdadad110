//! lzop files for tests: blocks are stored, which every decoder takes.

use super::MAGIC;
use super::header::ADLER32_D;

/// A file whose blocks have `block` bytes.
pub(crate) fn build(data: &[u8], block: usize) -> Vec<u8> {
    let mut file = header(ADLER32_D);
    for block in data.chunks(block) {
        let size = u32::try_from(block.len()).unwrap();
        for number in [size, size, simd_adler32::adler32(&block)] {
            file.extend(number.to_be_bytes());
        }
        file.extend(block);
    }
    file.extend([0; 4]);
    file
}

/// Magic and a header with these flags, as of a pipe.
pub(crate) fn header(flags: u32) -> Vec<u8> {
    let mut fields = vec![0x10, 0x40, 0x20, 0xa0, 0x09, 0x40, 1, 5];
    fields.extend(flags.to_be_bytes());
    fields.extend([0; 12 + 1]);
    sealed(&fields)
}

/// Magic, these fields and their checksum.
pub(crate) fn sealed(fields: &[u8]) -> Vec<u8> {
    [&MAGIC, fields, &simd_adler32::adler32(&fields).to_be_bytes()].concat()
}
