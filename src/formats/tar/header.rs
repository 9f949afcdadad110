//! The header block of a member. Sources: POSIX `ustar` (pax, "ustar Interchange Format"), the GNU tar manual ("Basic
//! Tar Format"), and GNU tar's `list.c` (`tar_checksum`, `from_header`) for what a restore accepts.

/// Everything in a tar archive comes in blocks of this size.
pub(super) const BLOCK: usize = 512;

/// Bytes of a block that a checksum is about, except its own field.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// A header block.
pub(super) struct Header(pub(super) [u8; BLOCK]);

impl Header {
    /// One of the blocks that mark the end.
    pub(super) fn is_zero(&self) -> bool {
        self.0[0] == 0 && is_zero(&self.0)
    }

    /// Whether the checksum is right. Old programs summed signed bytes; GNU tar accepts both.
    pub(super) fn checksum_fits(&self) -> bool {
        let Some(recorded) = octal(&self.0[CHECKSUM]) else { return false };
        // The field itself counts as blanks.
        let blanks = u64::from(b' ') * CHECKSUM.len() as u64;
        let unsigned = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        if u64::from(unsigned(&self.0)) + blanks == recorded + u64::from(unsigned(&self.0[CHECKSUM])) {
            return true;
        }
        let signed = |bytes: &[u8]| bytes.iter().map(|byte| i64::from(byte.cast_signed())).sum::<i64>();
        i64::try_from(recorded)
            .is_ok_and(|recorded| signed(&self.0) - signed(&self.0[CHECKSUM]) + blanks.cast_signed() == recorded)
    }

    /// The type flag.
    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    /// The size field.
    pub(super) fn size(&self) -> Option<u64> {
        number(&self.0[124..136])
    }

    /// Where a link points to.
    pub(super) fn link(&self) -> &[u8] {
        text(&self.0[157..257])
    }

    /// Whether mode, owner, group, time and the numbers of a device are such as GNU tar takes.
    pub(super) fn fields_fit(&self) -> bool {
        // Negative numbers, and those in base 64 of GNU tar 1.13, begin so.
        let other = |field: &[u8]| matches!(field[0], 0x80 | 0xff | b'+' | b'-') || octal(field).is_some();
        let owner = |field: &[u8]| {
            matches!(field[0], b'+' | b'-') || number(field).is_some_and(|number| number <= u64::from(u32::MAX))
        };
        let device = !matches!(self.kind(), b'3' | b'4') || &self.0[257..262] != b"ustar";
        other(&self.0[100..108])
            && owner(&self.0[108..116])
            && owner(&self.0[116..124])
            && other(&self.0[136..148])
            && (device || (other(&self.0[329..337]) && other(&self.0[337..345])))
    }

    /// Puts the name into `name`, with the prefix if the magic is that of POSIX (GNU has other fields in its place).
    pub(super) fn name_into(&self, name: &mut Vec<u8>) {
        name.clear();
        let prefix = text(&self.0[345..500]);
        if &self.0[257..263] == b"ustar\0" && !prefix.is_empty() {
            name.extend_from_slice(prefix);
            name.push(b'/');
        }
        name.extend_from_slice(text(&self.0[..100]));
    }
}

/// Whether there are only zero bytes. Without an early end, so that it is done in wide steps.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|part| part.iter().fold(0, |all, byte| all | byte) == 0)
}

/// The bytes before the first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    &field[..memchr::memchr(0, field).unwrap_or(field.len())]
}

/// A number that is not negative and no larger than file sizes can be: octal digits, or big-endian bytes after 0x80.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    if let Some((0x80, rest)) = field.split_first() {
        let value =
            rest.iter().try_fold(0_u64, |value, byte| (value >> 56 == 0).then_some(value << 8 | u64::from(*byte)));
        return value.filter(|value| i64::try_from(*value).is_ok());
    }
    octal(field)
}

/// Octal digits after blanks, ended by a blank, a NUL or the end of the field. A field that begins with NUL is 0; one
/// of blanks is no number, GNU tar refuses it too. One NUL before the digits is what some old program wrote.
fn octal(field: &[u8]) -> Option<u64> {
    let field = field.strip_prefix(b"\0").unwrap_or(field);
    let start = field.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let mut value = 0_u64;
    for byte in &field[start..] {
        match byte {
            b'0'..=b'7' => value = value.checked_mul(8)?.checked_add(u64::from(byte - b'0'))?,
            0 => break,
            blank if blank.is_ascii_whitespace() => break,
            _ => return None,
        }
    }
    i64::try_from(value).is_ok().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number(b"00000000644\0"), Some(0o644));
        assert_eq!(number(b"   644 xx"), Some(0o644));
        assert_eq!(number(b"77777777777 "), Some(0o77777777777));
        assert_eq!(number(b"777777777777"), Some(0o777777777777));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(1 << 33));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x001234\0"), Some(0o1234));
        for wrong in
            [&b"        "[..], b"648", b"-1", b"\xff\xff\xff\xff", b"\x80\0\0\0\x80\0\0\0\0\0\0\0", b"\x81\0\0"]
        {
            assert_eq!(number(wrong), None, "{wrong:x?}");
        }
        assert_eq!(number(b"7777777777777777777777777"), None);
    }
}
