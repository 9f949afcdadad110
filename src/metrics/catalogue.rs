//! The list of all families: one sorted registration, and the table of `docs/metrics.md` made from it.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::family::{Description, Family};
use super::{
    automation, backups, cluster, connections, containers, daemon, esxi, items, media, notifications, proofs, sources,
    storage, store, tfstate,
};
use crate::domain::inventory::Inventory;
use crate::engine::statuses::Snapshot;

/// Fills families from a snapshot.
pub type Collect = fn(&Inventory, Timestamp, &mut dyn FnMut(Family));

/// Fills families from how the engines stand.
pub type CollectStatuses = fn(&Snapshot, Timestamp, &mut dyn FnMut(Family));

/// What is rendered at each scrape.
#[derive(Debug, Clone, Copy)]
pub enum Rendered {
    /// From the snapshot of the sources.
    Inventory(Collect),
    /// From how the engines stand.
    Statuses(CollectStatuses),
}

/// Families over items: many series, rendered once per change.
pub const PER_ITEM: [Collect; 8] = [
    backups::collect,
    cluster::collect,
    containers::collect,
    esxi::collect,
    items::collect,
    media::collect,
    proofs::collect,
    tfstate::collect,
];

/// Families over sources and the daemon: few series, rendered at each scrape.
pub const PER_SCRAPE: [Rendered; 9] = [
    Rendered::Statuses(automation::collect),
    Rendered::Statuses(connections::collect),
    Rendered::Inventory(daemon::collect),
    Rendered::Statuses(notifications::collect),
    Rendered::Statuses(proofs::collect_verifier),
    Rendered::Inventory(sources::collect),
    Rendered::Inventory(storage::collect),
    Rendered::Statuses(store::collect),
    Rendered::Statuses(tfstate::collect_copies),
];

/// All families, by name.
pub fn descriptions() -> Vec<&'static Description> {
    let mut all: Vec<&Description> = Vec::new();
    all.extend(automation::DESCRIPTIONS);
    all.extend(backups::DESCRIPTIONS);
    all.extend(cluster::DESCRIPTIONS);
    all.extend(connections::DESCRIPTIONS);
    all.extend(containers::DESCRIPTIONS);
    all.extend(daemon::DESCRIPTIONS);
    all.extend(items::DESCRIPTIONS);
    all.extend(media::DESCRIPTIONS);
    all.extend(notifications::DESCRIPTIONS);
    all.extend(proofs::OF_ITEMS);
    all.extend(proofs::OF_VERIFIER);
    all.extend(sources::DESCRIPTIONS);
    all.extend(storage::DESCRIPTIONS);
    all.extend(store::DESCRIPTIONS);
    all.extend(tfstate::DESCRIPTIONS);
    all.extend(tfstate::OF_COPIES);
    all.extend(esxi::DESCRIPTIONS);
    all.sort_unstable_by_key(|description| description.name);
    all
}

/// The table of `docs/metrics.md`.
pub fn table() -> String {
    let mut text = String::from("| family | type | labels | meaning |\n|---|---|---|---|\n");
    for it in descriptions() {
        let kind = it.sort.as_str();
        let labels = it.labels.join(", ");
        // Writing to a string can't fail.
        let _ = writeln!(text, "| `{}` | {kind} | {labels} | {} |", it.name, it.help.replace('|', "\\|"));
    }
    text
}
