//! Values that are written as text: durations, sizes, time zones.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, de::Error};

use crate::domain::window::Window;

/// A duration such as `26h` or `1d 12h`.
pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    humantime::parse_duration(&text)
        .map_err(|error| D::Error::custom(format!("{text:?} is no duration ({error}); write 30s, 26h or 7d")))
}

/// An optional duration.
pub(super) fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

/// An optional number of bytes, such as `10MiB` or `1GB`.
pub(super) fn some_size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(from)?;
    let size: ByteSize =
        text.parse().map_err(|_| D::Error::custom(format!("{text:?} is no size; write 512B, 10MiB or 1GiB")))?;
    Ok(Some(size.as_u64()))
}

/// A number of bytes.
pub(super) fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    some_size(from).map(Option::unwrap_or_default)
}

/// A time zone by its IANA name.
pub(super) fn time_zone<'de, D: Deserializer<'de>>(from: D) -> Result<TimeZone, D::Error> {
    let text = String::deserialize(from)?;
    TimeZone::get(&text)
        .map_err(|_| D::Error::custom(format!("{text:?} is no time zone; write a name such as Europe/Berlin, or UTC")))
}

/// What is wrong with a URL that is asked by HTTP. It isn't quoted: it may hold a secret.
pub(super) fn wrong_http_url(text: &str) -> Option<String> {
    if !(text.starts_with("https://") || text.starts_with("http://")) {
        return Some("must begin with https:// or http://".to_owned());
    }
    wrong_url(text)
}

/// What is wrong with a URL, whatever it is for.
pub(super) fn wrong_url(text: &str) -> Option<String> {
    if text.contains(|it: char| it.is_whitespace() || it.is_control()) {
        return Some("is no URL: there is white space in it; write %20".to_owned());
    }
    url::Url::parse(text).err().map(|error| format!("is no URL: {error}"))
}

/// What is wrong with a time of day from one time to another; an example says how it is written.
pub(super) fn wrong_window(window: Option<&str>, example: &str) -> Option<String> {
    let wrong = window.is_some_and(|window| Window::parse(window, TimeZone::UTC).is_none());
    wrong.then(|| format!("must be two times of day such as {example}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_nobody_can_ask_are_found() {
        for text in
            ["https://hooks.slack.com/a?b=c#d", "http://[::1]:9093", "http://me:secret@host/", "https://bücher.example"]
        {
            assert_eq!(wrong_http_url(text), None, "{text}");
        }
        for text in [
            "",
            "hooks.slack.com",
            "HTTPS//x",
            "https://",
            "http://:80/",
            "https://hooks slack/x",
            "https://host/a b",
            "http://host:99999",
            "http://host:x/",
            "http://host\n",
            "http://[::1",
            "ftp://host",
            "https://a%b/",
        ] {
            let wrong = wrong_http_url(text).unwrap_or_else(|| panic!("{text}"));
            assert!(text.is_empty() || !wrong.contains(text), "{wrong}");
        }
        assert_eq!(wrong_url("postgres:///db?host=/run/postgresql"), None);
        assert!(wrong_url("postgres://me:secret@host:99999/db").unwrap().ends_with("invalid port number"));
    }
}
