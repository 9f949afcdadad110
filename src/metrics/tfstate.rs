//! States of Terraform, and the buckets that they are kept in.

use jiff::Timestamp;

use super::family::{Description, Family, seconds};
use super::items::each_judged;
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::item::Item;
use crate::domain::look::ErrorKind;
use crate::domain::proof::book::ItemProof;
use crate::domain::state::{Bucket, ObjectLock, StateSeries, StateView, Versioning};
use crate::engine::statuses::Snapshot;

const ITEM: &[&str] = &["source", "item"];

static SERIAL: Description = Description::gauge(
    "firedrill_tfstate_serial",
    ITEM,
    "Serial of the newest version of a state of Terraform, once it was read.",
);
static RESOURCES: Description = Description::gauge(
    "firedrill_tfstate_resources",
    ITEM,
    "Resources that the newest version of a state manages, once it was read.",
);
static SERIAL_BACK: Description = Description::gauge(
    "firedrill_tfstate_serial_went_back",
    ITEM,
    "1 while the serial of the newest version is lower than that of the version before: an older state was put over a newer one.",
);
static LINEAGE: Description = Description::gauge(
    "firedrill_tfstate_lineage_changed",
    ITEM,
    "1 while the newest version is another state than the one before it.",
);
static SAME_SERIAL: Description = Description::gauge(
    "firedrill_tfstate_serial_repeated",
    ITEM,
    "1 while the newest version has the serial of the version before it, and another content.",
);
static DROPPED: Description = Description::gauge(
    "firedrill_tfstate_resources_dropped",
    ITEM,
    "1 while the newest version manages less than half of the resources of the version before it.",
);
static VERSIONS: Description = Description::gauge(
    "firedrill_tfstate_versions",
    ITEM,
    "Versions of a state that are kept. Cached from the last scan.",
);
static MARKERS: Description = Description::gauge(
    "firedrill_tfstate_delete_markers",
    ITEM,
    "Delete markers among the versions of a state. Cached from the last scan.",
);
static LOCKED: Description = Description::gauge(
    "firedrill_tfstate_locked",
    ITEM,
    "1 while a lock object lies beside a state. Cached from the last scan.",
);
static LOCKED_SINCE: Description = Description::gauge(
    "firedrill_tfstate_lock_timestamp_seconds",
    ITEM,
    "Since when the lock is held, as the lock says, as Unix time. Cached from the last scan.",
);
static VERSIONING: Description = Description::gauge(
    "firedrill_bucket_versioning_enabled",
    &["source", "bucket"],
    "1 while a bucket keeps versions: without, whatever is written goes over what was there. Cached from the last scan.",
);
static OBJECT_LOCK: Description = Description::gauge(
    "firedrill_bucket_object_lock_enabled",
    &["source", "bucket"],
    "1 while versions in a bucket may be locked against being deleted, 0 where not; absent where the server doesn't say. Cached from the last scan.",
);
static RETENTION: Description = Description::gauge(
    "firedrill_bucket_retention_seconds",
    &["source", "bucket"],
    "How long a version in a bucket with object lock can't be deleted where nobody said otherwise of it; 0 without such a rule. Cached from the last scan.",
);
static HEALTHY: Description = Description::gauge(
    "firedrill_s3_healthy",
    &["source", "check"],
    "What a MinIO server says of itself: live (it takes requests), cluster (enough drives are there to write); absent for other servers, and where a look does not end. Cached from the last scan.",
);

static CACHED: Description = Description::gauge(
    "firedrill_tfstate_cached_timestamp_seconds",
    ITEM,
    "When the version of a state was written that a local copy is kept of, as Unix time; absent where none is.",
);
static CACHE_CURRENT: Description = Description::gauge(
    "firedrill_tfstate_cache_current",
    ITEM,
    "1 while the local copy of a state is its newest intact version, 0 while that could not be copied; absent where no copies are kept.",
);

/// Families of local copies.
pub const OF_COPIES: [&Description; 2] = [&CACHED, &CACHE_CURRENT];

/// Fills the families of local copies.
pub fn collect_copies(statuses: &Snapshot, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    let (mut cached, mut current) = (CACHED.family(), CACHE_CURRENT.family());
    for ((source, item), copied) in statuses.state_cache.iter().flat_map(|status| &status.states) {
        let id = item.to_string();
        if let Some(version) = copied.version {
            cached.add(&[source.as_str(), &id], seconds(version));
        }
        current.add(&[source.as_str(), &id], f64::from(u8::from(copied.current)));
    }
    out(cached);
    out(current);
}

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 14] = [
    &SERIAL,
    &RESOURCES,
    &SERIAL_BACK,
    &LINEAGE,
    &SAME_SERIAL,
    &DROPPED,
    &VERSIONS,
    &MARKERS,
    &LOCKED,
    &LOCKED_SINCE,
    &VERSIONING,
    &OBJECT_LOCK,
    &RETENTION,
    &HEALTHY,
];

/// Fills the families of this file.
pub fn collect(inventory: &Inventory, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    of_series(&SERIAL, inventory, out, |it| it.newest.serial as f64);
    of_series(&RESOURCES, inventory, out, |it| it.newest.resources as f64);
    of_series(&SERIAL_BACK, inventory, out, |it| f64::from(u8::from(it.oddities.serial_went_back)));
    of_series(&LINEAGE, inventory, out, |it| f64::from(u8::from(it.oddities.lineage_changed)));
    of_series(&SAME_SERIAL, inventory, out, |it| f64::from(u8::from(it.oddities.serial_twice)));
    of_series(&DROPPED, inventory, out, |it| f64::from(u8::from(it.oddities.resources_dropped)));
    of_view(&VERSIONS, inventory, out, |it| Some(it.versions as f64));
    of_view(&MARKERS, inventory, out, |it| Some(it.delete_markers as f64));
    of_view(&LOCKED, inventory, out, |it| Some(f64::from(u8::from(it.lock.is_some()))));
    of_view(&LOCKED_SINCE, inventory, out, |it| it.lock.as_ref().map(|lock| seconds(lock.since)));
    let enabled = |it: &Bucket| Some(f64::from(u8::from(it.versioning == Versioning::Enabled)));
    of_bucket(&VERSIONING, inventory, out, enabled);
    of_bucket(&OBJECT_LOCK, inventory, out, |it| it.lock.map(|lock| f64::from(u8::from(lock != ObjectLock::Off))));
    of_bucket(&RETENTION, inventory, out, |it| match it.lock? {
        ObjectLock::On { retention } => Some(retention.map_or(0.0, |it| it.as_secs_f64())),
        ObjectLock::Off => None,
    });
    let mut family = HEALTHY.family();
    for view in &inventory.sources {
        // Of a look that ended nowhere nothing is known, what was before least of all.
        let hung = view.health.problems.iter().any(|problem| problem.kind == ErrorKind::Timeout);
        if let Some(health) = view.estate.server.as_ref().filter(|_| !hung) {
            for (check, well) in [("cluster", health.cluster), ("live", health.live)] {
                family.add(&[view.spec.name.as_str(), check], f64::from(u8::from(well)));
            }
        }
    }
    out(family);
}

/// How a bucket is set up.
fn of_bucket(
    description: &'static Description,
    inventory: &Inventory,
    out: &mut dyn FnMut(Family),
    value: impl Fn(&Bucket) -> Option<f64>,
) {
    let mut family = description.family();
    for view in &inventory.sources {
        for (name, bucket) in view.estate.buckets.iter().flat_map(|book| &book.0) {
            if let Some(value) = value(bucket) {
                family.add(&[view.spec.name.as_str(), name], value);
            }
        }
    }
    out(family);
}

/// What the newest version says.
fn of_series(
    description: &'static Description,
    inventory: &Inventory,
    out: &mut dyn FnMut(Family),
    value: impl Fn(&StateSeries) -> f64,
) {
    let mut family = description.family();
    each_judged(inventory, |view, item, id| {
        if let Some(series) = series(item) {
            family.add(&[view.spec.name.as_str(), id], value(series));
        }
    });
    out(family);
}

fn series(item: &Item) -> Option<&StateSeries> {
    match &item.proof {
        ItemProof::Known(proven) => proven.state.as_ref(),
        ItemProof::Off | ItemProof::Unknown(_) => None,
    }
}

/// What is seen beside the versions.
fn of_view(
    description: &'static Description,
    inventory: &Inventory,
    out: &mut dyn FnMut(Family),
    value: impl Fn(&StateView) -> Option<f64>,
) {
    let mut family = description.family();
    each_judged(inventory, |view: &SourceView, item, id| {
        let seen = view.estate.states.as_ref().and_then(|book| book.0.get(&item.id));
        if let Some(value) = seen.and_then(&value) {
            family.add(&[view.spec.name.as_str(), id], value);
        }
    });
    out(family);
}
