//! The list of all families: one sorted registration, and the table of `docs/metrics.md` made from it.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::family::{Description, Family};
use super::{automation, backups, connections, daemon, items, media, notifications, proofs, sources, storage};
use crate::domain::inventory::Inventory;

/// Fills families from a snapshot.
pub type Collect = fn(&Inventory, Timestamp, &mut dyn FnMut(Family));

/// Families over items: many series, rendered once per change.
pub const PER_ITEM: [Collect; 4] = [backups::collect, items::collect, media::collect, proofs::collect];

/// Families over sources and the daemon: few series, rendered at each scrape.
pub const PER_SCRAPE: [Collect; 7] = [
    automation::collect,
    connections::collect,
    daemon::collect,
    notifications::collect,
    proofs::collect_verifier,
    sources::collect,
    storage::collect,
];

/// All families, by name.
pub fn descriptions() -> Vec<&'static Description> {
    let mut all: Vec<&Description> = Vec::new();
    all.extend(automation::DESCRIPTIONS);
    all.extend(backups::DESCRIPTIONS);
    all.extend(connections::DESCRIPTIONS);
    all.extend(daemon::DESCRIPTIONS);
    all.extend(items::DESCRIPTIONS);
    all.extend(media::DESCRIPTIONS);
    all.extend(notifications::DESCRIPTIONS);
    all.extend(proofs::OF_ITEMS);
    all.extend(proofs::OF_VERIFIER);
    all.extend(sources::DESCRIPTIONS);
    all.extend(storage::DESCRIPTIONS);
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
