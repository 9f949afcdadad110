//! What the copies of an item lie on, for the 3-2-1 rule: three copies, two media, one elsewhere.

use jiff::Timestamp;

use super::family::{Description, Family};
use super::items::each;
use crate::domain::inventory::Inventory;
use crate::domain::look::Medium;

static COPIES: Description = Description::gauge(
    "firedrill_backup_medium_copies",
    &["source", "item", "medium"],
    "Complete backups by what they lie on; media that the source has no directory on are absent. Cached from the last scan.",
);

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 1] = [&COPIES];

/// Fills the families of this file.
pub fn collect(inventory: &Inventory, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    let mut family = COPIES.family();
    each(inventory, |view, item, id| {
        for medium in Medium::ALL {
            let mut on_medium = view.spec.places.iter().zip(&view.listings).filter(|(root, _)| root.medium == medium);
            let copies = item.media[medium as usize];
            // Nothing found is no number while a directory was never seen.
            let known = copies > 0 || on_medium.clone().all(|(_, listing)| listing.is_some());
            if on_medium.next().is_some() && known {
                let copies = f64::from(copies);
                family.add(&[view.spec.name.as_str(), id, medium.as_str()], copies);
            }
        }
    });
    out(family);
}
