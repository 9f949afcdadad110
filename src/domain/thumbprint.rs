//! The thumbprint by which a person says which certificate is trusted.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// The SHA-256 of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Thumbprint(pub [u8; 32]);

/// Why a text is no thumbprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the SHA-256 of a certificate: 64 hexadecimal digits, with or without colons")]
pub struct ThumbprintError;

impl FromStr for Thumbprint {
    type Err = ThumbprintError;

    fn from_str(text: &str) -> Result<Self, ThumbprintError> {
        let mut digits = text.chars().filter(|it| *it != ':').map(|it| it.to_digit(16).ok_or(ThumbprintError));
        let mut next = || digits.next().unwrap_or(Err(ThumbprintError));
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            *byte = u8::try_from(next()? * 16 + next()?).map_err(|_| ThumbprintError)?;
        }
        if digits.next().is_some() { Err(ThumbprintError) } else { Ok(Self(bytes)) }
    }
}

impl TryFrom<String> for Thumbprint {
    type Error = ThumbprintError;

    fn try_from(text: String) -> Result<Self, ThumbprintError> {
        text.parse()
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<String> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        f.write_str(&bytes.join(":"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints_are_read_as_tools_write_them() {
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let read: Thumbprint = digits.parse().unwrap();
        assert_eq!((read.0[0], read.0[31]), (0xba, 0xad));
        assert!(read.to_string().starts_with("BA:78:16:BF:"));
        assert_eq!(read.to_string().parse(), Ok(read));
        for bad in ["", &digits[1..], &format!("{digits}0"), &digits.replace('b', "x"), "SHA1"] {
            assert_eq!(bad.parse::<Thumbprint>(), Err(ThumbprintError), "{bad}");
        }
    }
}
