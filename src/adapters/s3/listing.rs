//! What a bucket holds, in all versions: page after page, in the order of the server.

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::EncodingType;
use jiff::Timestamp;

use super::client::{Blocking, look_error};
use crate::domain::file::FileFacts;
use crate::domain::look::{ErrorKind, LookError};

/// Keys of a page, as the servers allow at most.
const PAGE: i32 = 1000;

/// A version of an object, or the mark that it was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) key: String,
    /// Opaque; `null` where it was written while the bucket kept no versions.
    pub(super) id: String,
    /// Size and time, to the second; below it a fingerprint of the ETag, so that what takes its place is another one.
    pub(super) facts: FileFacts,
    pub(super) latest: bool,
    /// Whether it is a delete marker.
    pub(super) deleted: bool,
}

/// Hands on every version below a prefix, each key's newest first as far as the server keeps to that. An error means that the
/// listing isn't whole, whatever was handed on.
pub(super) fn each(s3: &Blocking, bucket: &str, prefix: &str, mut take: impl FnMut(Version)) -> Result<(), LookError> {
    let (mut key_marker, mut version_marker): (Option<String>, Option<String>) = (None, None);
    loop {
        let request = s3
            .client
            .list_object_versions()
            .bucket(bucket)
            .prefix(prefix)
            .max_keys(PAGE)
            .encoding_type(EncodingType::Url)
            .set_key_marker(key_marker.clone())
            .set_version_id_marker(version_marker.clone());
        let page = s3
            .wait(request.send())
            .map_err(|error| look_error(&format!("listing the versions in bucket {bucket}"), &error))?;
        let more = page.is_truncated() == Some(true);
        // A server that doesn't know of it says nothing, and encodes nothing.
        let encoded = page.encoding_type() == Some(&EncodingType::Url);
        let next = page.next_key_marker().map(|key| plain(key, encoded));
        let next_version = page.next_version_id_marker().map(ToOwned::to_owned);
        hand_on(page, encoded, &mut take).map_err(|what| cut_short(bucket, what))?;
        if !more {
            return Ok(());
        }
        if next.is_none() || (&next, &next_version) == (&key_marker, &version_marker) {
            return Err(cut_short(bucket, "the server says that there is more, and not where"));
        }
        (key_marker, version_marker) = (next, next_version);
    }
}

fn cut_short(bucket: &str, what: &str) -> LookError {
    LookError::new(ErrorKind::Io, format!("listing the versions in bucket {bucket}: {what}"))
}

fn hand_on(page: ListObjectVersionsOutput, encoded: bool, take: &mut impl FnMut(Version)) -> Result<(), &'static str> {
    const LACKING: &str = "an entry lacks its key or its time";
    for it in page.versions.unwrap_or_default() {
        let (Some(key), Some(modified)) = (it.key, it.last_modified) else { return Err(LACKING) };
        let size = it.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
        take(Version {
            key: plain(&key, encoded),
            id: it.version_id.filter(|id| !id.is_empty()).unwrap_or_else(|| "null".to_owned()),
            facts: facts(size, modified.secs(), it.e_tag.as_deref().unwrap_or_default()),
            latest: it.is_latest == Some(true),
            deleted: false,
        });
    }
    for it in page.delete_markers.unwrap_or_default() {
        let (Some(key), Some(modified)) = (it.key, it.last_modified) else { return Err(LACKING) };
        take(Version {
            key: plain(&key, encoded),
            id: it.version_id.unwrap_or_else(|| "null".to_owned()),
            facts: facts(0, modified.secs(), ""),
            latest: it.is_latest == Some(true),
            deleted: true,
        });
    }
    Ok(())
}

/// Facts of an object as listing and reading tell them alike: times have whole seconds in both.
pub(super) fn facts(size: u64, seconds: i64, e_tag: &str) -> FileFacts {
    let hash = blake3::hash(e_tag.trim_matches('"').as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    let below = (u32::from_le_bytes([a, b, c, d]) % 1_000_000_000).cast_signed();
    let modified = Timestamp::new(seconds, below).unwrap_or(Timestamp::UNIX_EPOCH);
    FileFacts::new(size, modified)
}

/// Undoes `encoding-type=url`, where the server has done it.
pub(super) fn plain(text: &str, encoded: bool) -> String {
    if !encoded {
        return text.to_owned();
    }
    let spaces = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaces).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_and_another_object_has_other_facts() {
        assert_eq!(plain("env%3A/prod/a+b%2Bc%C3%A4.tfstate", true), "env:/prod/a b+cä.tfstate");
        assert_eq!(plain("a+b%41", false), "a+b%41");
        let of = |size, e_tag| facts(size, 1_790_000_000, e_tag);
        assert_eq!(of(7, "\"abc\""), of(7, "abc"), "servers differ in quotes");
        assert_ne!(of(7, "abc"), of(7, "abd"));
        assert_eq!(of(7, "abc").modified.as_second(), 1_790_000_000);
    }
}
