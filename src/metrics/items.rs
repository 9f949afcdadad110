//! Who the items are, and whether they are covered.

use jiff::Timestamp;

use super::family::{Description, Family};
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::item::{Item, Standing};
use crate::domain::verdict::unprotected;

static INFO: Description = Description::gauge(
    "firedrill_item_info",
    &["source", "item", "kind", "name", "environment", "node"],
    "What is known of an item beside numbers; always 1. Cached from the last scan.",
);

static UNPROTECTED: Description = Description::gauge(
    "firedrill_item_unprotected",
    &["source", "item"],
    "1 for a guest without any backup to restore from, else 0; absent while only a directory that can't be looked at could tell. Cached from the last scan.",
);

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 2] = [&INFO, &UNPROTECTED];

/// Every item with the source it is of and its id as label text.
pub(super) fn each(inventory: &Inventory, mut visit: impl FnMut(&SourceView, &Item, &str)) {
    for view in &inventory.sources {
        for item in view.items.iter() {
            visit(view, item, &item.id.to_string());
        }
    }
}

/// Like [`each`], for judged items only.
pub(super) fn each_judged(inventory: &Inventory, mut visit: impl FnMut(&SourceView, &Item, &str)) {
    each(inventory, |view, item, id| {
        if item.standing == Standing::Judged {
            visit(view, item, id);
        }
    });
}

/// Fills the families of this file, one after the other.
pub fn collect(inventory: &Inventory, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    let mut info = INFO.family();
    each(inventory, |view, item, id| {
        let (name, node) = (item.name.as_deref().unwrap_or(""), item.node.as_deref().unwrap_or(""));
        let environment = item.environment.as_deref().unwrap_or("");
        info.add(&[view.spec.name.as_str(), id, item.id.kind(), name, environment, node], 1.0);
    });
    out(info);
    let mut open = UNPROTECTED.family();
    each_judged(inventory, |view, item, id| {
        if let Some(unprotected) = unprotected(item, &view.health) {
            open.add(&[view.spec.name.as_str(), id], f64::from(u8::from(unprotected)));
        }
    });
    out(open);
}
