//! `[state_cache]`: copies of states for the day on which their server is down.

use std::path::PathBuf;

use serde::Deserialize;

use super::errors::Complaints;

/// Where copies are kept. Nothing is kept without it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateCache {
    /// The directory.
    pub directory: Option<PathBuf>,
    /// The key that they are encrypted with, as `age-keygen` writes it; made where it isn't there.
    pub key_file: Option<PathBuf>,
}

impl StateCache {
    /// Directory and key, where copies are kept.
    pub fn places(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.directory.as_ref().zip(self.key_file.as_ref())
    }

    pub(super) fn check(&self, complaints: &mut Complaints) {
        match (&self.directory, &self.key_file) {
            (Some(_), None) => {
                complaints
                    .add("state_cache.key_file".to_owned(), "is missing: copies are kept encrypted only".to_owned());
            }
            (None, Some(_)) => {
                complaints.add("state_cache.directory".to_owned(), "is missing, and key_file is set".to_owned());
            }
            (Some(directory), Some(key)) if key.starts_with(directory) => {
                let sentence = "lies in the directory of the copies: whoever takes that has both";
                complaints.add("state_cache.key_file".to_owned(), sentence.to_owned());
            }
            _ => {}
        }
    }
}
