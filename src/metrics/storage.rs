//! How full the file systems are that backups lie on.

use jiff::Timestamp;

use super::family::{Description, Family};
use crate::domain::inventory::Inventory;
use crate::domain::look::Capacity;

const PATH: &[&str] = &["source", "path"];

static SIZE: Description = Description::gauge(
    "firedrill_storage_size_bytes",
    PATH,
    "Size of the file system of a directory, without what only root may use. Cached from the last scan.",
);
static FREE: Description = Description::gauge(
    "firedrill_storage_free_bytes",
    PATH,
    "Bytes that can still be written to the file system of a directory. Cached from the last scan.",
);

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 2] = [&SIZE, &FREE];

/// Fills the families of this file.
pub fn collect(inventory: &Inventory, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    for (description, value) in
        [(&SIZE, (|it| it.size) as fn(&Capacity) -> u64), (&FREE, (|it| it.free) as fn(&Capacity) -> u64)]
    {
        let mut family = description.family();
        for view in &inventory.sources {
            for (root, capacity) in view.spec.places.iter().zip(&view.capacities) {
                if let Some(capacity) = capacity {
                    family.add(&[view.spec.name.as_str(), &root.path], value(capacity) as f64);
                }
            }
        }
        out(family);
    }
}
