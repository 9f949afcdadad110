//! The backups of every item: when, how big, how many, in which state.

use jiff::Timestamp;

use super::family::{Description, Family, seconds};
use super::items::{each, each_judged};
use crate::domain::inventory::Inventory;
use crate::domain::item::{Item, Newest};
use crate::domain::verdict::{BackupState, judge};

const ITEM: &[&str] = &["source", "item"];

static LAST_SUCCESS: Description = Description::gauge(
    "firedrill_backup_last_success_timestamp_seconds",
    ITEM,
    "Start of the newest complete backup as Unix time; absent when there is none. Cached from the last scan.",
);
static LAST_ATTEMPT: Description = Description::gauge(
    "firedrill_backup_last_attempt_timestamp_seconds",
    ITEM,
    "Start of the newest attempt, however it ended, as Unix time. Cached from the last scan.",
);
static INTERVAL: Description = Description::gauge(
    "firedrill_backup_expected_interval_seconds",
    ITEM,
    "Pause between two backups that the configuration expects.",
);
static SIZE: Description = Description::gauge(
    "firedrill_backup_size_bytes",
    ITEM,
    "Size of the newest complete backup. Cached from the last scan.",
);
static DURATION: Description = Description::gauge(
    "firedrill_backup_duration_seconds",
    ITEM,
    "How long the newest complete backup took, by its log. Cached from the last scan.",
);
static DEVIATION: Description = Description::gauge(
    "firedrill_backup_size_deviation_ratio",
    ITEM,
    "Size of the newest complete backup against the median of those before: 0 the same, -1 empty, 1 twice as big. Cached from the last scan.",
);
static COPIES: Description =
    Description::gauge("firedrill_backup_copies", ITEM, "Complete backups that are kept. Cached from the last scan.");
static STORED: Description = Description::gauge(
    "firedrill_backup_stored_bytes",
    ITEM,
    "Bytes of all files that are kept of an item, good or bad. Cached from the last scan.",
);
static PROTECTED: Description = Description::gauge(
    "firedrill_backup_protected_copies",
    ITEM,
    "Complete backups that are kept outside retention. Cached from the last scan.",
);
static LEFT_OUT: Description = Description::gauge(
    "firedrill_backup_excluded_volumes",
    ITEM,
    "Volumes of a guest that its newest backup doesn't hold because the configuration leaves them out; absent where neither the log nor the configuration is known. Cached from the last scan.",
);
static STATE: Description = Description::gauge(
    "firedrill_backup_state",
    &["source", "item", "state"],
    "State of an item: exactly one is 1. Judged from the last scan, at most 5 s before the scrape.",
);

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 11] = [
    &LAST_SUCCESS,
    &LAST_ATTEMPT,
    &INTERVAL,
    &SIZE,
    &DURATION,
    &DEVIATION,
    &LEFT_OUT,
    &COPIES,
    &STORED,
    &PROTECTED,
    &STATE,
];

/// Fills the families of this file, one after the other.
pub fn collect(inventory: &Inventory, now: Timestamp, out: &mut dyn FnMut(Family)) {
    let newest = |value: fn(&Newest) -> f64| move |item: &Item| item.newest.as_ref().map(value);
    let mut judged = |description: &'static Description, value: &dyn Fn(&Item) -> Option<f64>| {
        let mut family = description.family();
        each_judged(inventory, |view, item, id| {
            if let Some(value) = value(item) {
                family.add(&[view.spec.name.as_str(), id], value);
            }
        });
        out(family);
    };
    judged(&LAST_SUCCESS, &newest(|newest| seconds(newest.started)));
    judged(&LAST_ATTEMPT, &|item| item.last_attempt.map(seconds));
    judged(&INTERVAL, &|item| item.expectation.interval.map(|it| it.as_secs_f64()));
    judged(&SIZE, &newest(|newest| newest.size as f64));
    judged(&DURATION, &|item| Some(item.newest.as_ref()?.duration?.as_secs_f64()));
    judged(&DEVIATION, &|item| {
        // What changes when somebody changes something has no usual size.
        item.size_deviation.filter(|_| item.id.item_kind().is_periodic())
    });
    judged(&LEFT_OUT, &|item| Some(item.left_out.as_ref()?.len() as f64));
    // What is kept takes room, judged or not. Nothing found is no number while a directory was never seen.
    let mut kept = |description: &'static Description, value: fn(&Item) -> f64| {
        let mut family = description.family();
        each(inventory, |view, item, id| {
            if item.stored_bytes > 0 || view.listings.iter().all(Option::is_some) {
                family.add(&[view.spec.name.as_str(), id], value(item));
            }
        });
        out(family);
    };
    kept(&COPIES, |item| f64::from(item.copies));
    kept(&STORED, |item| item.stored_bytes as f64);
    kept(&PROTECTED, |item| f64::from(item.protected_copies));
    out(states(inventory, now));
}

fn states(inventory: &Inventory, now: Timestamp) -> Family {
    let mut family = STATE.family();
    each_judged(inventory, |view, item, id| {
        let Some(verdict) = judge(item, &view.health, &view.spec, now) else { return };
        for state in BackupState::ALL {
            let value = f64::from(u8::from(state == verdict.state));
            family.add(&[view.spec.name.as_str(), id, state.as_str()], value);
        }
    });
    family
}
