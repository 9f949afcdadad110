//! Answers that somebody wrote to a file: one object, whose keys are paths and whose values are what `pvesh get` says of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::adapters::machine::answer_file;
use crate::domain::look::{ErrorKind, LookError};

/// Reads the file, if it isn't older than `stale_after`.
pub(super) fn read(path: &Path, stale_after: Duration, now: Timestamp) -> Result<BTreeMap<String, Value>, LookError> {
    let text = answer_file::read(path, stale_after, now)?;
    let unfit = |error| LookError::new(ErrorKind::Io, format!("{} holds no answers: {error}", path.display()));
    serde_json::from_str(&text).map_err(unfit)
}

/// What it says of a path; what comes after the `?` was asked by whoever wrote it.
pub(super) fn get(all: &BTreeMap<String, Value>, path: &str) -> Result<Value, LookError> {
    let path = path.split('?').next().unwrap_or(path);
    let answer = all.get(path).cloned();
    answer.ok_or_else(|| LookError::new(ErrorKind::NotFound, format!("the file of answers says nothing of {path}")))
}
