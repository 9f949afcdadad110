//! What API tokens look like, and what the store keeps of them.
//!
//! A token is 256 random bits. What is kept is one BLAKE3 of it, without salt and without a slow function: those
//! protect what people choose, and nobody guesses 256 random bits.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Every token begins so: people and scanners of secrets know it on sight.
const PREFIX: &str = "fdt_";

/// Characters after the prefix: 32 bytes in base64url without padding.
const LENGTH: usize = 43;

/// Random bytes of a token.
pub const BYTES: usize = 32;

/// The digest of a token: what the store keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// Of a token that somebody presents; `None` when the text can't be one.
    pub fn of(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let fits = rest.len() == LENGTH && URL_SAFE_NO_PAD.decode(rest).is_ok();
        fits.then(|| Self(blake3::hash(text.as_bytes()).into()))
    }

    /// Reads what [`to_hex`](Self::to_hex) writes.
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text).ok().map(|hash| Self(hash.into()))
    }

    /// As the store keeps it.
    pub fn to_hex(self) -> String {
        blake3::Hash::from(self.0).to_hex().to_string()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The token of these random bytes.
pub fn of_random(bytes: [u8; BYTES]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_token_is_hashed() {
        let bytes: [u8; BYTES] = std::array::from_fn(|index| (index * 37 + 200) as u8);
        let token = of_random(bytes);
        assert!(token.starts_with("fdt_") && token.len() == 47);
        let hash = TokenHash::of(&token).unwrap();
        assert_eq!(TokenHash::from_hex(&hash.to_hex()), Some(hash));
        for bad in ["", "fdt_", &token[1..], &token[..46], &format!("{token}A"), &token.replace("fdt_", "fdt+")] {
            assert!(TokenHash::of(bad).is_none(), "{bad}");
        }
        assert_eq!(format!("{hash:?}"), "…");
    }
}
