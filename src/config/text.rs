//! Values that are written as text: durations, sizes, time zones.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, de::Error};

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
