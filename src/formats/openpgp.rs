//! OpenPGP messages: whether a file is one, and whether its packets are all there. Nothing is decrypted.
//!
//! Source: RFC 9580 (and 4880), section 4.2 for headers and lengths, 5.1, 5.3 and 5.13 for what encrypted messages begin
//! with.

use super::stream::{Stop, Stream, read_full, skip};
use crate::domain::finding::Kind;

/// Session keys of recipients, then the data, are recognised within so many bytes.
pub const LOOK_AT: usize = 4 << 10;

const PUBLIC_KEY_SESSION: u8 = 1;
const SYMMETRIC_SESSION: u8 = 3;
const SYMMETRIC_DATA: u8 = 9;
const PROTECTED_DATA: u8 = 18;
const AEAD_DATA: u8 = 20;

/// How long the body of a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    /// So many bytes.
    Of(u64),
    /// So many bytes, and another length behind them.
    Part(u64),
    /// To the end of the file.
    Rest,
}

/// A length of the newer form, and its own bytes.
fn length(bytes: &[u8]) -> Option<(Length, usize)> {
    Some(match *bytes {
        [one @ 0..=191, ..] => (Length::Of(u64::from(one)), 1),
        [one @ 192..=223, two, ..] => (Length::Of(((u64::from(one) - 192) << 8) + u64::from(two) + 192), 2),
        [one @ 224..=254, ..] => (Length::Part(1 << (one & 0x1f)), 1),
        [255, a, b, c, d, ..] => (Length::Of(u64::from(u32::from_be_bytes([a, b, c, d]))), 5),
        _ => return None,
    })
}

/// The type of a packet, the length of its body and of its header.
fn header(bytes: &[u8]) -> Option<(u8, Length, usize)> {
    let (first, rest) = bytes.split_first().filter(|(first, _)| **first & 0x80 != 0)?;
    if first & 0x40 != 0 {
        let (length, own) = length(rest)?;
        return Some((first & 0x3f, length, own + 1));
    }
    let (length, own) = match (first & 3, rest) {
        (0, [a, ..]) => (Length::Of(u64::from(*a)), 1),
        (1, [a, b, ..]) => (Length::Of(u64::from(u16::from_be_bytes([*a, *b]))), 2),
        (2, [a, b, c, d, ..]) => (Length::Of(u64::from(u32::from_be_bytes([*a, *b, *c, *d]))), 4),
        (3, _) => (Length::Rest, 0),
        _ => return None,
    };
    Some((first >> 2 & 0xf, length, own + 1))
}

/// Whether the first bytes of a file are those of an encrypted message in binary form.
pub fn begins(head: &[u8]) -> bool {
    let mut rest = head;
    let mut keys = 0;
    loop {
        let Some((kind, length, own)) = header(rest) else { return keys > 0 && rest.len() < 6 };
        let body = rest.get(own..).unwrap_or_default();
        let plausible = match (kind, length, body) {
            (PUBLIC_KEY_SESSION, Length::Of(16..=4096), [3 | 6, ..])
            | (SYMMETRIC_SESSION, Length::Of(4..=256), [4, 1..=13, 0 | 1 | 3 | 4, ..] | [5 | 6, ..]) => true,
            (PROTECTED_DATA, _, [1 | 2, ..]) | (AEAD_DATA, _, [1, ..]) => return true,
            (SYMMETRIC_DATA, _, _) => return keys > 0,
            _ => false,
        };
        let Length::Of(count) = length else { return false };
        if !plausible {
            return keys > 0 && body.is_empty();
        }
        keys += 1;
        match rest.get(own + count as usize..) {
            Some(next) if !next.is_empty() => rest = next,
            // Recipients without end: more than is looked at.
            _ => return true,
        }
    }
}

/// Follows the packets to the end of the file.
pub fn follow(stream: &mut dyn Stream) -> Result<(), Stop> {
    let mut position = 0;
    let mut data = false;
    loop {
        let mut head = Vec::with_capacity(6);
        let found = loop {
            if let Some(found) = header(&head) {
                break found;
            }
            let mut byte = [0];
            if head.len() == 6 || (!head.is_empty() && head[0] & 0x80 == 0) {
                // `gpg` decrypts what is in front of it.
                return Ok(());
            }
            if read_full(stream, &mut byte)? == 0 {
                return if data && head.is_empty() { Ok(()) } else { Err(cut(position + head.len() as u64)) };
            }
            head.push(byte[0]);
        };
        let (kind, length, own) = found;
        position += own as u64;
        position += body(stream, length, position)?;
        data |= matches!(kind, SYMMETRIC_DATA | PROTECTED_DATA | AEAD_DATA);
        if data {
            // What follows the data is none of the message.
            return Ok(());
        }
    }
}

/// Skips the body of a packet; its bytes.
fn body(stream: &mut dyn Stream, first: Length, position: u64) -> Result<u64, Stop> {
    let (mut count, mut part) = (0, first);
    loop {
        let wanted = match part {
            Length::Rest => u64::MAX,
            Length::Of(wanted) | Length::Part(wanted) => wanted,
        };
        let there = skip(stream, wanted)?;
        count += there;
        match part {
            Length::Rest => return Ok(count),
            _ if there < wanted => return Err(cut(position + count)),
            Length::Of(_) => return Ok(count),
            Length::Part(_) => {}
        }
        let mut own = Vec::with_capacity(5);
        part = loop {
            if let Some((next, _)) = length(&own) {
                break next;
            }
            let mut byte = [0];
            if read_full(stream, &mut byte)? == 0 {
                return Err(cut(position + count));
            }
            own.push(byte[0]);
            count += 1;
        };
    }
}

fn cut(position: u64) -> Stop {
    Stop::damaged(
        Kind::Truncated,
        format_args!("the OpenPGP message ends at byte {position}, in the middle of a packet"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::stream::Bytes;

    /// As `gpg -c` writes it: a session key, then data in parts.
    fn message() -> Vec<u8> {
        let key = [&[0x8c, 13, 4, 9, 3, 2][..], &[7; 9]].concat();
        [&key[..], &[0xd2, 0xe9, 1], &[0; 511], &[192, 10], &[0; 202]].concat()
    }

    fn whole(bytes: &[u8]) -> bool {
        follow(&mut Bytes { left: bytes, step: 100 }).is_ok()
    }

    #[test]
    fn a_message_is_followed_to_its_end() {
        let message = message();
        assert!(begins(&message) && whole(&message));
        for length in 0..message.len() {
            assert!(!whole(&message[..length]), "{length} bytes");
        }
        assert!(whole(&[&message[..], b"something"].concat()));
    }

    #[test]
    fn recipients_come_first() {
        let recipient = [&[0x85, 2, 12, 3][..], &[1; 523]].concat();
        let many = [&recipient.repeat(3)[..], &[0xd2, 0xc0, 0, 1], &[0; 191]].concat();
        assert!(begins(&many) && whole(&many));
        assert!(begins(&recipient[..200]));
        assert!(begins(&recipient.repeat(20)[..LOOK_AT]));
    }

    #[test]
    fn other_files_are_none() {
        let others: [&[u8]; 9] = [
            b"",
            b"\x8c",
            b"\x85\x02\x0c\x04 something",
            b"\xd2 text",
            "Öffnen\n".as_bytes(),
            b"\x1f\x8b\x08",
            b"(\xb5/\xfd",
            b"PGDMP\x01",
            &[0xff; 64],
        ];
        for other in others {
            assert!(!begins(other), "{other:?}");
        }
    }
}
