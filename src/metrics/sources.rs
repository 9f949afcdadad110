//! How looking at the sources goes: "nothing there" and "could not look" are told apart here.

use jiff::Timestamp;

use super::family::{Description, Family, seconds};
use crate::domain::attempt::Partial;
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::look::{ErrorKind, PlaceListing};

const SOURCE: &[&str] = &["source"];

static UP: Description = Description::gauge(
    "firedrill_source_up",
    &["source", "kind"],
    "1 when the last scan could look at everything, 0 when it could not: then items are unknown, not gone.",
);
static LAST_SCAN: Description = Description::gauge(
    "firedrill_source_last_scan_timestamp_seconds",
    SOURCE,
    "End of the last scan, good or bad, as Unix time.",
);
static LAST_SUCCESS: Description = Description::gauge(
    "firedrill_source_last_scan_success_timestamp_seconds",
    SOURCE,
    "End of the last scan that could look at everything, as Unix time.",
);
static DURATION: Description =
    Description::gauge("firedrill_source_scan_duration_seconds", SOURCE, "How long the last scan took.");
static INTERVAL: Description =
    Description::gauge("firedrill_source_scan_interval_seconds", SOURCE, "Configured pause between two scans.");
static ERRORS: Description = Description::counter(
    "firedrill_source_scan_errors_total",
    &["source", "error_kind"],
    "Directories or guest lists that a scan could not look at.",
);
static PARTIALS: Description = Description::gauge(
    "firedrill_backup_partial_files",
    SOURCE,
    "Temporary files of running or crashed jobs. Cached from the last scan.",
);
static OLDEST_PARTIAL: Description = Description::gauge(
    "firedrill_backup_partial_oldest_timestamp_seconds",
    SOURCE,
    "Last write to the temporary file that was left alone the longest, as Unix time; absent when there is none. Cached from the last scan.",
);

static UNREADABLE: Description = Description::gauge(
    "firedrill_source_unreadable_files",
    SOURCE,
    "Files that were listed and could not be examined, links that lead nowhere among them; what they are the newest backup of counts as failed. Cached from the last scan.",
);
static PASSED_OVER: Description = Description::gauge(
    "firedrill_source_passed_over_files",
    SOURCE,
    "Files that look like backups by their name and can't be read as one, and what belongs to a NAS or a desktop. Cached from the last scan.",
);

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 10] = [
    &UP,
    &LAST_SCAN,
    &LAST_SUCCESS,
    &DURATION,
    &INTERVAL,
    &ERRORS,
    &PARTIALS,
    &OLDEST_PARTIAL,
    &UNREADABLE,
    &PASSED_OVER,
];

/// Fills the families of this file.
pub fn collect(inventory: &Inventory, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    let mut up = UP.family();
    for view in &inventory.sources {
        let value = f64::from(u8::from(view.health.up()));
        up.add(&[view.spec.name.as_str(), view.spec.kind.as_str()], value);
    }
    out(up);
    let mut per_source = |description: &'static Description, value: &dyn Fn(&SourceView) -> Option<f64>| {
        let mut family = description.family();
        for view in &inventory.sources {
            if let Some(value) = value(view) {
                family.add(&[view.spec.name.as_str()], value);
            }
        }
        out(family);
    };
    per_source(&LAST_SCAN, &|view| view.health.last_scan.map(seconds));
    per_source(&LAST_SUCCESS, &|view| view.health.last_success.map(seconds));
    per_source(&DURATION, &|view| view.health.last_scan.map(|_| view.health.duration.as_secs_f64()));
    per_source(&INTERVAL, &|view| Some(view.spec.scan_interval.as_secs_f64()));
    per_source(&PARTIALS, &|view| seen(view).then(|| partials(view).count() as f64));
    per_source(&OLDEST_PARTIAL, &|view| partials(view).map(|partial| seconds(partial.last_write)).reduce(f64::min));
    per_source(&UNREADABLE, &|view| total(view, |listing| listing.unreadable));
    per_source(&PASSED_OVER, &|view| total(view, |listing| listing.oddities));
    out(errors(inventory));
}

/// Whether any directory was ever listed: else nothing is known, not even that there is nothing.
fn seen(view: &SourceView) -> bool {
    view.listings.iter().any(Option::is_some)
}

fn total(view: &SourceView, count: fn(&PlaceListing) -> u32) -> Option<f64> {
    seen(view).then(|| view.listings.iter().flatten().map(|listing| f64::from(count(listing))).sum())
}

fn partials(view: &SourceView) -> impl Iterator<Item = &Partial> {
    view.listings.iter().flatten().flat_map(|listing| &listing.partials)
}

fn errors(inventory: &Inventory) -> Family {
    let mut family = ERRORS.family();
    for view in &inventory.sources {
        for (kind, count) in ErrorKind::ALL.iter().zip(view.health.errors) {
            family.add(&[view.spec.name.as_str(), kind.as_str()], count as f64);
        }
    }
    family
}
