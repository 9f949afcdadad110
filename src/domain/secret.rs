//! A text that must not be shown.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;

/// So many bytes in a row of a secret are never shown: who quotes part of it quotes at least that much, and less gives
/// nothing away.
const WINDOW: usize = 8;

/// A part that is shorter than a window, such as a password or the value of a query, is taken out from this length on.
const SHORTEST: usize = 4;

/// A token, a password, or a URL that holds one. Neither `Debug` nor an error shows it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one who is to be shown it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` without this secret and without any part of it, wherever another's error message may have quoted it: as it is,
    /// percent-encoded or decoded, in capitals or not, or as Basic authentication sends it. Of a URL the scheme and the host
    /// are no secret.
    pub fn taken_out_of(&self, text: &str) -> String {
        self.taken_out_with("", text)
    }

    /// The same for a password that is sent together with the name of a user.
    pub fn taken_out_with(&self, user: &str, text: &str) -> String {
        if self.0.is_empty() || text.is_empty() {
            return text.to_owned();
        }
        let lower = text.to_ascii_lowercase();
        let mut hidden = vec![false; text.len()];
        let pieces = pieces(&self.0, user);
        let windows: HashSet<&[u8]> = pieces.iter().flat_map(|piece| piece.as_bytes().windows(WINDOW)).collect();
        for (start, window) in lower.as_bytes().windows(WINDOW).enumerate() {
            // Numbers are ids and times; a part of one would make another answer unreadable.
            if windows.contains(window) && !window.iter().all(u8::is_ascii_digit) {
                hidden[start..start + WINDOW].fill(true);
            }
        }
        // What is short or has only digits is known by the whole.
        let whole = self.0.to_ascii_lowercase();
        for piece in pieces.iter().chain(std::iter::once(&whole)).filter(|piece| !piece.is_empty()) {
            for (start, found) in lower.match_indices(piece.as_str()) {
                hidden[start..start + found.len()].fill(true);
            }
        }
        without(text, &hidden)
    }
}

/// The text with an ellipsis for each run of hidden bytes. A character of which a byte is hidden is hidden.
fn without(text: &str, hidden: &[bool]) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut gap = false;
    for (start, character) in text.char_indices() {
        if hidden[start..start + character.len_utf8()].contains(&true) {
            if !std::mem::replace(&mut gap, true) {
                shown.push('…');
            }
        } else {
            gap = false;
            shown.push(character);
        }
    }
    shown
}

/// Everything that gives the secret away, in small letters.
fn pieces(secret: &str, user: &str) -> Vec<String> {
    let mut raw: Vec<String> = Vec::new();
    match secret.split_once("://") {
        Some((_, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            if let Some((login, _)) = authority.rsplit_once('@') {
                raw.push(login.to_owned());
                raw.push(base64(percent_decoded(login).as_bytes()));
                raw.extend(login.split_once(':').map(|(_, password)| password.to_owned()));
            }
            raw.push(path.to_owned());
            raw.extend(path.split(['/', '?', '&', '=', '#', ';']).filter(|part| gives_away(part)).map(str::to_owned));
            raw.extend(path.split_once('?').map(|(_, query)| query).into_iter().flat_map(values).map(str::to_owned));
        }
        None => {
            raw.push(secret.to_owned());
            // Of `12345:token` the first half is a name.
            raw.extend(secret.split_once(':').map(|(_, token)| token.to_owned()));
            raw.push(base64(secret.as_bytes()));
            if !user.is_empty() {
                raw.extend([format!("\0{user}\0{secret}"), format!("{user}:{secret}")].map(|it| base64(it.as_bytes())));
            }
        }
    }
    let mut all: Vec<String> = Vec::new();
    for piece in raw {
        let decoded = percent_decoded(&piece);
        let encoded = percent_encoded(&decoded);
        all.extend([piece, decoded, encoded].map(|it| it.to_ascii_lowercase()));
    }
    all.retain(|piece| piece.len() >= SHORTEST);
    all.sort_unstable();
    all.dedup();
    all
}

/// A short part of a path that is no word: with a digit or a capital. Long ones are found by their windows.
fn gives_away(part: &str) -> bool {
    part.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// The values of a query.
fn values(query: &str) -> impl Iterator<Item = &str> {
    query.split(['&', ';']).map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value))
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            encoded + char::from(byte).encode_utf8(&mut [0; 4])
        }
        _ => encoded + &format!("%{byte:02X}"),
    })
}

/// Without padding: whoever quotes it may or may not add that.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_usize, |group, byte| group << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        let digit = |index: usize| char::from(DIGITS[group >> (18 - 6 * index) & 63]);
        text.extend((0..=chunk.len()).map(digit));
    }
    text
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

    fn secret(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    #[test]
    fn it_is_not_shown() {
        let token = secret("12345:abcdef");
        assert_eq!(format!("{:?}", Some(&token)), "Some(…)");
        assert_eq!(token.taken_out_of("GET /bot12345:abcdef/getMe"), "GET /bot…/getMe");
        assert_eq!(token.taken_out_of("no token abcdef"), "no token …");
        assert_eq!(secret("").taken_out_of("a"), "a");
        assert_eq!(secret("abc").taken_out_of("xabcx"), "x…x");
    }

    #[test]
    fn no_part_of_a_url_is_shown_in_whatever_form() {
        let url = secret(
            "https://bob:p%40ssw0rd@hooks.example.org:8443/services/T01AB/B02CD/aBcDeFgHiJkL?key=s3cr3t&x=long%20value#end1",
        );
        for (said, left) in [
            ("POST /services/T01AB/B02CD/aBcDeFgHiJkL: gone", "POST …: gone"),
            ("no webhook aBcDeFgHiJkL here", "no webhook … here"),
            ("no webhook ABCDEFGHIJKL here", "no webhook … here"),
            ("token starts with aBcDeFgH...", "token starts with …..."),
            (r"\/services\/T01AB\/B02CD\/x", r"\…\/…\/…\/x"),
            ("bad key s3cr3t", "bad key …"),
            ("?key=s3cr3t&x=long+value", "…+value"),
            ("not 'long value'", "not '…'"),
            ("p@ssw0rd and p%40ssw0rd and P%40SSW0RD", "… and … and …"),
            ("Authorization: Basic Ym9iOnBAc3N3MHJk", "Authorization: Basic …"),
            ("hooks.example.org:8443 says no", "hooks.example.org:8443 says no"),
            ("channel_not_found", "channel_not_found"),
        ] {
            assert_eq!(url.taken_out_of(said), left, "{said}");
        }
    }

    #[test]
    fn other_numbers_stay() {
        let token = secret("7123456789:AAF-x_yz0123456789abcdefghi");
        let said = r#"{"ok":false,"parameters":{"migrate_to_chat_id":-1007123456700},"description":"AAF-x_yz01"}"#;
        let left = r#"{"ok":false,"parameters":{"migrate_to_chat_id":-1007123456700},"description":"…"}"#;
        assert_eq!(token.taken_out_of(said), left);
    }

    #[test]
    fn a_login_is_known_as_it_is_sent() {
        // printf '\0bob\0tiger' | base64
        assert_eq!(
            secret("tiger").taken_out_with("bob", "AUTH PLAIN AGJvYgB0aWdlcg== failed"),
            "AUTH PLAIN …== failed"
        );
        // printf tiger | base64
        assert_eq!(secret("tiger").taken_out_of("dGlnZXI="), "…=");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_quoted_of_it_is_gone(
            path in "[A-Za-z0-9_%/-]{8,60}",
            query in "[A-Za-z0-9+%é]{0,20}",
            before in ".{0,20}",
            after in ".{0,20}",
            from in 0_usize..40,
            upper in proptest::bool::ANY,
        ) {
            let url = secret(&format!("https://example.org/{path}?k={query}"));
            let whole = format!("/{path}?k={query}");
            let quoted: String = whole.chars().skip(from).collect();
            let quoted = if upper { quoted.to_ascii_uppercase() } else { quoted };
            let shown = url.taken_out_of(&format!("{before}{quoted}{after}")).to_ascii_lowercase();
            let windows: Vec<String> = whole.to_ascii_lowercase().chars().collect::<Vec<_>>().windows(WINDOW).map(String::from_iter).collect();
            for window in windows.iter().filter(|window| !window.bytes().all(|byte| byte.is_ascii_digit())) {
                proptest::prop_assert!(!shown.contains(window.as_str()), "{window} in {shown}");
            }
        }
    }

    #[test]
    fn texts_of_any_alphabet_survive() {
        let url = secret("https://example.org/größe-geheim-日本語");
        assert_eq!(url.taken_out_of("das war größe-geheim-日本語, nein"), "das war …, nein");
        assert_eq!(url.taken_out_of("日本 größer"), "日本 größer");
    }
}
