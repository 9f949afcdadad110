//! Scans a source.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Deed, Resolve, Sort};
use crate::domain::automation::subject::{Refusal, Subject};
use crate::domain::ids::SourceName;
use crate::domain::inventory::Inventory;

/// What is so of all scans.
pub(super) const SORT: Sort = Sort {
    label: "rescan",
    idempotent: true,
    acts: true,
    ends_apart: false,
    at_once: 4,
    cooldown: Duration::from_secs(60 * 60),
};

/// Scans a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescan {
    /// The source.
    pub source: SourceName,
}

impl Deed for Rescan {
    fn source(&self) -> Option<&SourceName> {
        Some(&self.source)
    }

    fn identity(&self) -> Vec<String> {
        vec![self.source.to_string()]
    }

    fn target(&self, _of: &Subject<'_>) -> String {
        self.source.to_string()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(60 * 60)
    }

    fn missing(&self, inventory: &Inventory) -> Option<String> {
        let gone = inventory.source(&self.source).is_none();
        gone.then(|| format!("there is no source {} any more", self.source))
    }
}

impl fmt::Display for Rescan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rescan {}", self.source)
    }
}

/// The source that the alert names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template;

impl Resolve for Template {
    type Deed = Rescan;

    fn resolve(&self, of: &Subject<'_>) -> Result<Rescan, Refusal> {
        Ok(Rescan { source: of.source()? })
    }
}
