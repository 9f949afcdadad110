//! The lock that Terraform keeps in an object beside a state (`internal/states/statemgr/locker.go`).

use serde::{Deserialize, Serialize};

use crate::domain::printable::printable;

/// What Terraform appends to the key of a state while it locks it.
pub const LOCK: &str = ".tflock";

/// A lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Lock {
    /// A name for this lock alone.
    #[serde(rename = "ID")]
    pub id: String,
    /// What is done.
    pub operation: String,
    /// Nothing, mostly.
    pub info: String,
    /// `user@host`.
    pub who: String,
    /// Of Terraform.
    pub version: String,
    /// When.
    pub created: String,
    /// The state.
    pub path: String,
}

impl Lock {
    /// Reads one. One that can't be understood is one all the same: of somebody who isn't known.
    pub fn read(text: &[u8]) -> Self {
        serde_json::from_slice(text).unwrap_or_default()
    }

    /// Who holds it, in a few words.
    pub fn holder(&self) -> String {
        let short = |text: &str| printable(text.as_bytes());
        format!(
            "{} ({}, since {}, id {})",
            short(&self.who),
            short(&self.operation),
            short(&self.created),
            short(&self.id)
        )
    }
}
