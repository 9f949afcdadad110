//! Checksum files beside an archive, as `md5sum`, `sha256sum` and their like write them.
//!
//! | form | written by |
//! |---|---|
//! | `HEX  name`, `HEX *name` | GNU coreutils |
//! | `\HEX  name` | the same, for a name with `\`, newline or carriage return, which are then `\\`, `\n`, `\r` |
//! | `SHA256 (name) = HEX` | BSD, and coreutils with `--tag` |
//! | `SHA256(name)= HEX` | OpenSSL |
//! | `HEX` | scripts |
//!
//! Sources: coreutils `src/cksum.c` (`split_3`, `filename_unescape`), FreeBSD `sbin/md5`, OpenSSL `apps/dgst.c`.

/// No more than this is read of a checksum file.
pub const MAX_BYTES: usize = 64 << 10;

/// Why a checksum file says nothing of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumFileError {
    /// Larger than [`MAX_BYTES`].
    #[error("it has more than 64 KiB")]
    TooLarge,
    /// Nothing in it, or no regular file.
    #[error("it is empty, a link or no regular file")]
    Empty,
    /// No line of a known form, with as many digits as this sort of checksum has.
    #[error("no line of it is a checksum of the expected length")]
    NoChecksum,
    /// Several checksums, none of them of this file.
    #[error("none of its checksums names the file")]
    NotNamed,
    /// Two checksums for this file.
    #[error("it has two different checksums for the file")]
    Contradiction,
}

/// The checksum of a file, in lower-case digits.
///
/// It is that of the line that names the file by the last part of a path or, if there is only one line, that one, since
/// files are renamed. Lines of no known form are passed over (signatures, headings).
pub fn parse(text: &[u8], hex_len: usize, file_name: &str) -> Result<String, ChecksumFileError> {
    if text.len() > MAX_BYTES {
        return Err(ChecksumFileError::TooLarge);
    }
    if text.is_empty() {
        return Err(ChecksumFileError::Empty);
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let all: Vec<Line> = text
        .split(|byte| *byte == b'\n')
        .filter_map(|line| Line::parse(line.strip_suffix(b"\r").unwrap_or(line)))
        .filter(|line| line.hex.len() == hex_len)
        .collect();
    let mut named = all.iter().filter(|line| line.names(file_name.as_bytes()));
    let line = match (named.next(), all.as_slice()) {
        (Some(line), _) if named.any(|other| !other.hex.eq_ignore_ascii_case(line.hex)) => {
            return Err(ChecksumFileError::Contradiction);
        }
        (Some(line), _) | (None, [line]) => line,
        (None, []) => return Err(ChecksumFileError::NoChecksum),
        (None, _) => return Err(ChecksumFileError::NotNamed),
    };
    Ok(String::from_utf8_lossy(line.hex).to_ascii_lowercase())
}

struct Line<'a> {
    hex: &'a [u8],
    name: Option<Vec<u8>>,
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.trim_ascii_start();
        if line.first() == Some(&b'#') {
            return None;
        }
        let (line, escaped) = line.strip_prefix(b"\\").map_or((line, false), |line| (line, true));
        let (hex, name) = gnu(line).or_else(|| bsd(line))?;
        let name = name.map(|name| if escaped { unescaped(name) } else { name.to_vec() });
        Some(Self { hex, name })
    }

    /// Whether it is this file that it names. Of a path on Windows the last part stands behind a backslash.
    fn names(&self, file: &[u8]) -> bool {
        let Some(name) = &self.name else { return false };
        let last = |separator: u8| name.rsplit(move |byte| *byte == separator).next();
        !file.is_empty() && (last(b'/') == Some(file) || last(b'\\') == Some(file))
    }
}

/// The digits in front; what follows must be a blank, and after it one that says text or binary, or some more.
fn gnu(line: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (hex, rest) = line.split_at(digits);
    if hex.is_empty() {
        return None;
    }
    if rest.trim_ascii().is_empty() {
        return Some((hex, None));
    }
    let name = rest.strip_prefix(b" ").or_else(|| rest.strip_prefix(b"\t"))?.trim_ascii_start();
    Some((hex, Some(name.strip_prefix(b"*").unwrap_or(name))))
}

/// The name may hold parentheses itself: what counts are the first and the last.
fn bsd(line: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let open = line.iter().position(|byte| *byte == b'(')?;
    let close = line.iter().rposition(|byte| *byte == b')').filter(|close| *close > open)?;
    let algorithm = line[..open].trim_ascii_end();
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'_');
    let hex = line[close + 1..].trim_ascii().strip_prefix(b"=")?.trim_ascii();
    let plausible = !algorithm.is_empty() && algorithm.iter().all(known) && !hex.is_empty();
    (plausible && hex.iter().all(u8::is_ascii_hexdigit)).then_some((hex, Some(&line[open + 1..close])))
}

fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        plain.push(match (byte, bytes.as_slice().first()) {
            (b'\\', Some(next @ (b'\\' | b'n' | b'r'))) => {
                bytes.next();
                match next {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    _ => b'\\',
                }
            }
            _ => *byte,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const OTHER: &str = "0cc175b9c0f1b6a831c399e269772661";

    fn of(text: &str) -> Result<String, ChecksumFileError> {
        parse(text.as_bytes(), 32, "dump.sql.gz")
    }

    #[test]
    fn every_form() {
        for text in [
            MD5.to_owned(),
            format!("{MD5}\n"),
            format!("{}\r\n", MD5.to_uppercase()),
            format!("{MD5}  dump.sql.gz\n"),
            format!("{MD5} *dump.sql.gz\r\n"),
            format!("{MD5} dump.sql.gz"),
            format!("\u{feff}# made by cron\n\n{MD5}  /var/backups/dump.sql.gz\n{OTHER}  x\n"),
            format!("{OTHER}  dump.sql.gz.old\n{MD5}  ./dump.sql.gz\n{OTHER}  y\n"),
            format!("MD5 (dump.sql.gz) = {MD5}\n"),
            format!("MD5(d/dump.sql.gz)= {MD5}\nMD5(x)= {OTHER}\n"),
            format!("{MD5} *C:\\backup\\dump.sql.gz\n{OTHER} *C:\\backup\\x\n"),
            format!("{MD5}  renamed.sql.gz\n"),
            format!(
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{MD5}  dump.sql.gz\n-----BEGIN PGP SIGNATURE-----\n"
            ),
            format!("{MD5}  dump.sql.gz\n{MD5}  other/dump.sql.gz\n"),
        ] {
            assert_eq!(of(&text).as_deref(), Ok(MD5), "{text}");
        }
    }

    #[test]
    fn escaped_names_and_parentheses() {
        let text = format!("\\{MD5}  a\\nb\\\\c\n{OTHER}  x\n");
        assert_eq!(parse(text.as_bytes(), 32, "a\nb\\c").as_deref(), Ok(MD5));
        let text = format!("MD5 (a (1) = b.gz) = {MD5}\nMD5 (x) = {OTHER}\n");
        assert_eq!(parse(text.as_bytes(), 32, "a (1) = b.gz").as_deref(), Ok(MD5));
        let text = format!("\\{MD5}  a\\\n{OTHER}  x\n");
        assert_eq!(parse(text.as_bytes(), 32, "a\\").as_deref(), Ok(MD5));
    }

    #[test]
    fn what_says_nothing() {
        use ChecksumFileError as Error;
        assert_eq!(of(""), Err(Error::Empty));
        assert_eq!(of("dump.sql.gz\n"), Err(Error::NoChecksum));
        assert_eq!(of(&format!("# {MD5}  dump.sql.gz\n")), Err(Error::NoChecksum));
        assert_eq!(of(&MD5[1..]), Err(Error::NoChecksum));
        assert_eq!(of(&format!("{MD5}x")), Err(Error::NoChecksum));
        assert_eq!(of(&format!("{MD5}  x\n{OTHER}  y\n")), Err(Error::NotNamed));
        assert_eq!(of(&format!("{MD5}  dump.sql.gz\n{OTHER}  dump.sql.gz\n")), Err(Error::Contradiction));
        assert_eq!(parse(&[b'#'; MAX_BYTES + 1], 32, "x"), Err(Error::TooLarge));
        assert_eq!(parse(b"", 0, ""), Err(Error::Empty));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..300), len in 0_usize..70) {
            let _ = parse(&text, len, "a");
        }

        #[test]
        fn any_lines_are_read_without_panic(text in "([\\\\ *#()=a\\r]{0,9}[0-9a-f]{4}[\\\\ *()=an/]{0,9}\n){0,5}") {
            if let Ok(hex) = parse(text.as_bytes(), 4, "a") {
                prop_assert_eq!(hex.len(), 4);
            }
        }
    }
}
