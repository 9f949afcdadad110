//! What an action is asked for: the alert, where it says what it is about, and what is there of that.

use std::sync::Arc;

use super::alert::KeptAlert;
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::inventory::Inventory;
use crate::domain::notice::digest::cut;

/// Why an alert can't be acted on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The label isn't there.
    #[error("the alert has no label {0}")]
    NoLabel(Arc<str>),
    /// It names a source that isn't configured.
    #[error("the alert's label {label} names {value:?}, and no source is called so")]
    NoSource {
        /// The label.
        label: Arc<str>,
        /// Its value.
        value: String,
    },
    /// It names an item that the source doesn't have.
    #[error("the alert's label {label} names {value:?}, and {source_name} has no such item")]
    NoItem {
        /// The label.
        label: Arc<str>,
        /// Its value.
        value: String,
        /// The source.
        source_name: SourceName,
    },
    /// The source can't be looked at, so nobody knows what it has.
    #[error("{0} can't be looked at now, so whether it has the item isn't known")]
    Blind(SourceName),
    /// The item has no backup that could be read.
    #[error("{item} of {source_name} has no complete backup to read")]
    NoBackup {
        /// The source.
        source_name: SourceName,
        /// The item.
        item: ItemId,
    },
}

/// An alert, and the labels of it that name what it is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The alert.
    pub alert: &'a KeptAlert,
    /// The label that names the source.
    pub source_label: &'a Arc<str>,
    /// The label that names the item.
    pub item_label: &'a Arc<str>,
    /// What is there.
    pub inventory: &'a Inventory,
}

impl Subject<'_> {
    /// The source that the alert names, if it is configured.
    pub fn source(&self) -> Result<SourceName, Refusal> {
        let (label, value) = (self.source_label, self.alert.label(self.source_label));
        if value.is_empty() {
            return Err(Refusal::NoLabel(label.clone()));
        }
        let known = value.parse().ok().filter(|name| self.inventory.source(name).is_some());
        known.ok_or_else(|| Refusal::NoSource { label: label.clone(), value: cut(value, 100) })
    }

    /// The item of a source that the alert names, if it has a backup.
    pub fn item(&self, source: &SourceName) -> Result<ItemId, Refusal> {
        let (label, value) = (self.item_label, self.alert.label(self.item_label));
        if value.is_empty() {
            return Err(Refusal::NoLabel(label.clone()));
        }
        let view = self.inventory.source(source);
        let id: Option<ItemId> = value.parse().ok();
        let found = id.zip(view).and_then(|(id, view)| view.items.iter().find(|item| item.id == id));
        let (label, source_name) = (label.clone(), source.clone());
        match (found, view) {
            (Some(item), _) if item.newest.is_some() => Ok(item.id.clone()),
            (Some(item), _) => Err(Refusal::NoBackup { source_name, item: item.id.clone() }),
            (None, Some(view)) if !view.health.up() => Err(Refusal::Blind(source_name)),
            (None, _) => Err(Refusal::NoItem { label, value: cut(value, 100), source_name }),
        }
    }

    /// What the alert says that it is about, whether that is there or not.
    pub fn named(&self) -> String {
        let (source, item) = (self.alert.label(self.source_label), self.alert.label(self.item_label));
        match (source, item) {
            ("", "") => self.alert.fingerprint.to_string(),
            _ => format!("{source}/{item}"),
        }
    }
}
