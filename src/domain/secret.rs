//! A text that must not be shown.

use std::fmt;

use serde::Deserialize;

/// A token, a password, or a URL that holds one. Neither `Debug` nor an error shows it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one who is to be shown it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` without this secret, wherever another's error message may have quoted it.
    pub fn taken_out_of(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { text.replace(&self.0, "…") }
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_shown() {
        let secret = Secret::from("12345:abcdef".to_owned());
        assert_eq!(format!("{:?}", Some(&secret)), "Some(…)");
        assert_eq!(secret.taken_out_of("GET /bot12345:abcdef/getMe"), "GET /bot…/getMe");
    }
}
