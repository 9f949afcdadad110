//! Reads the newest backup of an item.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Deed, Resolve, Sort};
use crate::domain::automation::subject::{Refusal, Subject};
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::inventory::Inventory;
use crate::domain::proof::Level;

/// What is so of all readings.
pub(super) const SORT: Sort = Sort {
    label: "reverify",
    idempotent: true,
    acts: true,
    ends_apart: false,
    at_once: 1,
    cooldown: Duration::from_secs(60 * 60),
};

/// Reads the newest backup of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reverify {
    /// Its source.
    pub source: SourceName,
    /// The item.
    pub item: ItemId,
    /// How much is to be proven.
    pub level: Level,
}

impl Deed for Reverify {
    fn source(&self) -> Option<&SourceName> {
        Some(&self.source)
    }

    fn item(&self) -> Option<&ItemId> {
        Some(&self.item)
    }

    fn identity(&self) -> Vec<String> {
        vec![self.source.to_string(), self.item.to_string(), self.level.as_str().to_owned()]
    }

    fn target(&self, _of: &Subject<'_>) -> String {
        format!("{}/{}", self.source, self.item)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(24 * 60 * 60)
    }

    fn missing(&self, inventory: &Inventory) -> Option<String> {
        let Self { source, item, .. } = self;
        let Some(view) = inventory.source(source) else { return Some(format!("there is no source {source} any more")) };
        let there = view.items.iter().any(|it| it.id == *item) || !view.health.up();
        (!there).then(|| format!("{source} has no item {item} any more"))
    }
}

impl fmt::Display for Reverify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, item, level } = self;
        write!(f, "verify the newest backup of {item} in {source} to level {}", level.as_str())
    }
}

/// The item that the alert names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// How much is to be proven.
    pub level: Level,
}

impl Resolve for Template {
    type Deed = Reverify;

    fn resolve(&self, of: &Subject<'_>) -> Result<Reverify, Refusal> {
        let source = of.source()?;
        let item = of.item(&source)?;
        Ok(Reverify { source, item, level: self.level })
    }
}
