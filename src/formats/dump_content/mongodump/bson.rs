//! As much of BSON as tells where the fields of a document are. Source: <https://bsonspec.org/spec.html>.

/// A field: its type, its name, and its value with what follows.
type Field<'a> = (u8, &'a [u8], &'a [u8]);

/// Whether it is a whole document of known types, not deeper than so.
pub(super) fn check(document: &[u8], deepest: usize) -> Result<(), &'static str> {
    let mut rest = body(document)?;
    while let Some((kind, _, value)) = next(&mut rest)? {
        if matches!(kind, 3 | 4) {
            if deepest == 0 {
                return Err("it is deeper than any document");
            }
            check(value, deepest - 1)?;
        }
    }
    Ok(())
}

/// What is between the length and the last byte.
fn body(document: &[u8]) -> Result<&[u8], &'static str> {
    let length = document.first_chunk().map(|length| u32::from_le_bytes(*length));
    match document {
        [_, _, _, _, body @ .., 0] if length == Some(document.len() as u32) => Ok(body),
        _ => Err("it is no whole document"),
    }
}

/// The next field, and no more of it than it has.
fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<Field<'a>>, &'static str> {
    let Some((kind, tail)) = rest.split_first() else { return Ok(None) };
    let short = || "a field of it is longer than it is";
    let (name, value) = cstring(tail).ok_or_else(short)?;
    let length = length(*kind, value)?;
    let (value, after) = value.split_at_checked(length).ok_or_else(short)?;
    *rest = after;
    Ok(Some((*kind, name, value)))
}

fn cstring(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Bytes of a value of a type.
fn length(kind: u8, value: &[u8]) -> Result<usize, &'static str> {
    let prefix = || {
        let length = value.first_chunk().map(|length| u32::from_le_bytes(*length) as usize);
        length.ok_or("a field of it is longer than it is")
    };
    Ok(match kind {
        // Undefined, null, smallest and largest key.
        0x06 | 0x0a | 0x7f | 0xff => 0,
        // Truth.
        0x08 => 1,
        0x10 => 4,
        // Floating point, time, time stamp, 64 bits.
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        // Object id, decimal number.
        0x07 => 12,
        0x13 => 16,
        // Texts, code, symbols.
        0x02 | 0x0d | 0x0e => prefix()?.saturating_add(4),
        // Documents, arrays, code with scope: the length is of all of it.
        0x03 | 0x04 | 0x0f => prefix()?,
        0x05 => prefix()?.saturating_add(5),
        0x0c => prefix()?.saturating_add(16),
        // A regular expression and its options.
        0x0b => {
            let (_, options) = cstring(value).ok_or("a field of it is longer than it is")?;
            let (_, after) = cstring(options).ok_or("a field of it is longer than it is")?;
            value.len() - after.len()
        }
        _ => return Err("a field of it is of an unknown type"),
    })
}

/// The value of a field, if it is of this type.
fn find<'a>(document: &'a [u8], kind: u8, name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = body(document).ok()?;
    while let Some((found, key, value)) = next(&mut rest).ok()? {
        if found == kind && key == name {
            return Some(value);
        }
    }
    None
}

/// A text.
pub(super) fn text<'a>(document: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    find(document, 0x02, name)?.get(4..)?.strip_suffix(b"\0")
}

/// A truth.
pub(super) fn truth(document: &[u8], name: &[u8]) -> Option<bool> {
    find(document, 0x08, name).map(|value| value == [1])
}

/// A number of 64 bits.
pub(super) fn number(document: &[u8], name: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*find(document, 0x12, name)?.first_chunk()?))
}
