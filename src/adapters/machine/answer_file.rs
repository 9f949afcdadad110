//! Answers of another system that somebody writes to a file again and again, where firedrill may not ask itself.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::age;
use crate::domain::look::{ErrorKind, LookError};
use crate::domain::verdict::elapsed;

/// More is not read of one. In bytes.
const LARGEST: u64 = 64 << 20;

/// What is written in it, if it isn't older than `stale_after`.
pub fn read(path: &Path, stale_after: Duration, now: Timestamp) -> Result<String, LookError> {
    let failed = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            _ => ErrorKind::Io,
        };
        LookError::new(kind, format!("reading {}: {error}", path.display()))
    };
    let file = File::open(path).map_err(failed)?;
    let written = file.metadata().and_then(|found| found.modified()).map_err(failed)?;
    let old = Timestamp::try_from(written).map_or(Duration::MAX, |at| elapsed(at, now));
    if old > stale_after {
        let text = format!(
            "{} was written {} ago, and nothing of it is relied on after {}: does whoever writes it still run?",
            path.display(),
            age::words(old),
            age::words(stale_after)
        );
        return Err(LookError::new(ErrorKind::Timeout, text));
    }
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}
