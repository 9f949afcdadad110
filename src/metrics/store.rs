//! The store. Absent where none is used, and until it was first tried.

use jiff::Timestamp;

use super::family::{Description, Family, seconds};
use crate::engine::statuses::Snapshot;

static UP: Description = Description::gauge(
    "firedrill_store_up",
    &[],
    "1 while the last write to the store worked and nothing else failed there; something small is written every ten seconds if nothing else is.",
);
static REPLACED: Description = Description::gauge(
    "firedrill_store_replaced",
    &[],
    "1 while the store isn't the one that was used before, lost while it was used or another one at the start, and nobody has accepted that.",
);
static CHECKED: Description = Description::gauge(
    "firedrill_store_checked_timestamp_seconds",
    &[],
    "When the store was last gone through and found sound, as Unix time; absent when it never was.",
);

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 3] = [&UP, &REPLACED, &CHECKED];

/// Fills the families of this file.
pub fn collect(statuses: &Snapshot, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    let Some(store) = &statuses.store else { return };
    let mut single = |description: &'static Description, value: Option<f64>| {
        let mut family = description.family();
        if let Some(value) = value {
            family.add(&[], value);
        }
        out(family);
    };
    let flag = |value: bool| Some(f64::from(u8::from(value)));
    single(&UP, flag(store.up()));
    single(&REPLACED, flag(store.is_lost() || store.doubt.is_some()));
    single(&CHECKED, store.checked.map(seconds));
}
