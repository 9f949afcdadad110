//! Between rows and values.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::domain::file::FileFacts;
use crate::domain::ids::SourceName;
use crate::domain::proof::{ArchiveId, Conclusion, Evidence, FirstSight, Level, Verification};
use crate::engine::ports::Kept;

/// PostgreSQL's text holds no zeros.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// What finds the row of a file.
pub(super) fn key(archive: &ArchiveId) -> String {
    digest([archive.source.as_str(), &*archive.root, &*archive.file])
}

/// BLAKE3 of texts, each with its length before it.
pub(super) fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Rows of one statement. Few sizes, so that few statements are prepared.
const CHUNKS: [usize; 3] = [64, 8, 1];

/// Parts of what goes into statements of many rows.
pub(super) fn chunks<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let size = CHUNKS.into_iter().find(|size| *size <= rest.len())?;
        let (some, later) = rest.split_at(size);
        rest = later;
        Some(some)
    })
}

/// `$1, $2, …`: the parameters of a row of that many, the first row being 0.
pub(super) fn parameters(row: usize, of: usize) -> Vec<String> {
    (1..=of).map(|it| format!("${}", row * of + it)).collect()
}

/// `($1, $2), ($3, $4), …` for so many rows.
pub(super) fn values(rows: usize, of: usize) -> String {
    let rows: Vec<String> = (0..rows).map(|row| format!("({})", parameters(row, of).join(", "))).collect();
    rows.join(", ")
}

pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

pub(super) fn stamp(micros: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros).ok()
}

/// File times are compared for equality: every digit counts. Beyond the year 2262 they are all the same.
pub(super) fn nanos(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(if time > Timestamp::UNIX_EPOCH { i64::MAX } else { i64::MIN })
}

pub(super) fn moment(nanos: i64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(nanos.into()).ok()
}

/// Columns of the first sight of an archive `a`, in a row with others.
pub(super) const SIGHT: &str =
    "a.size AS first_size, a.modified AS first_modified, a.digest AS first_digest, a.read_at AS first_read_at";

/// The first sight in such a row, if there was one and it can be understood.
pub(super) fn sight_of(row: &AnyRow) -> Result<Option<FirstSight>, sqlx::Error> {
    let number = |name: &str| row.try_get::<Option<i64>, _>(name);
    let digest: Option<String> = row.try_get("first_digest")?;
    let (size, modified, at) = (number("first_size")?, number("first_modified")?, number("first_read_at")?);
    let understand = || {
        let facts = FileFacts::new(u64::try_from(size?).ok()?, moment(modified?)?);
        Some(FirstSight { facts, digest: digest?.parse().ok()?, at: stamp(at?)? })
    };
    Ok(understand())
}

/// Of the evidence only what a state says of itself is needed again.
fn state_of(evidence: &str) -> Evidence {
    let whole = evidence.contains("\"state\":").then(|| serde_json::from_str::<Evidence>(evidence).ok()).flatten();
    Evidence { state: whole.and_then(|evidence| evidence.state), ..Evidence::default() }
}

/// A verification without its evidence, but for what a state says of itself; `None` when it can't be understood.
pub(super) fn of_row(row: &AnyRow, source: &SourceName) -> Result<Option<Kept>, sqlx::Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let some_text = |name: &str| row.try_get::<Option<String>, _>(name);
    let number = |name: &str| row.try_get::<i64, _>(name);
    let (root, file, item) = (text("root")?, text("file")?, text("item")?);
    let (digest, conclusion, findings) = (some_text("digest")?, text("conclusion")?, text("findings")?);
    let (id, size, modified, started) = (number("id")?, number("size")?, number("modified")?, number("started")?);
    let (wanted, took, read) = (number("wanted")?, number("took")?, number("read")?);
    let (reached, changed) = (row.try_get::<Option<i64>, _>("reached")?, row.try_get::<Option<i64>, _>("changed")?);
    let evidence = text("evidence")?;
    let (reason, sidecar, method) = (some_text("reason")?, some_text("sidecar")?, text("method")?);
    let understand = || {
        Some(Verification {
            archive: ArchiveId { source: source.clone(), root: root.into(), file: file.into() },
            method: method.parse().ok()?,
            item: item.parse().ok()?,
            facts: FileFacts {
                changed: changed.and_then(moment),
                ..FileFacts::new(u64::try_from(size).ok()?, moment(modified)?)
            },
            digest: digest.and_then(|digest| digest.parse().ok()),
            wanted: Level::of(wanted)?,
            reached: reached.and_then(Level::of),
            conclusion: Conclusion::parse(&conclusion)?,
            findings: serde_json::from_str(&findings).ok()?,
            reason: reason.map(Into::into),
            started: stamp(started)?,
            took: Duration::from_micros(u64::try_from(took).ok()?),
            read: u64::try_from(read).ok()?,
            evidence: state_of(&evidence),
            sidecar: sidecar.map(Into::into),
        })
    };
    let first = sight_of(row)?;
    Ok(understand().map(|verification| Kept { id, verification, first }))
}
