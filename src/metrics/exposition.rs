//! Renders the exposition so that a scrape costs a copy, whatever the number of items.
//!
//! ```text
//!   inventory ──► Renderer ──► watch<Arc<Exposition>> ──► scrape: items (ready) + sources, daemon (rendered now)
//!                    ▲
//!                    └── time: a backup becomes late, a scan stale
//! ```
//! Ten thousand items are two hundred thousand series. They are rendered and compressed once per change, off the
//! threads that answer; a scrape adds the few series about sources and the daemon and sends both parts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use jiff::Timestamp;
use prometheus::{Encoder as _, TextEncoder};
use tokio::sync::watch;

use super::catalogue::{PER_ITEM, PER_SCRAPE, Rendered};
use super::family::Family;
use super::{daemon, esxi_compat};
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::verdict::{elapsed, next_change};
use crate::engine::ports::Clock;
use crate::engine::statuses::Snapshot;

/// Content type of the text format. Prometheus 3 refuses a scrape without it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What changes by the passing of time alone (a backup becomes late) shows after at most this long.
const TICK: Duration = Duration::from_secs(5);

/// A header of RFC 1952 without name and time; the last byte means "unknown operating system".
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A piece of the exposition, plain and as a DEFLATE stream that ends on a byte boundary.
#[derive(Debug)]
struct Piece {
    plain: Bytes,
    deflated: Bytes,
    crc: Crc,
}

/// What is ready to be sent, and the snapshot it shows.
#[derive(Debug, Clone)]
pub struct Exposition {
    inventory: Arc<Inventory>,
    items: Arc<Piece>,
    /// When the items were rendered, and until when the verdicts among them hold if nothing else happens.
    rendered: Timestamp,
    holds_until: Option<Timestamp>,
}

impl Exposition {
    /// Renders a snapshot.
    pub fn of(inventory: Arc<Inventory>, now: Timestamp) -> Self {
        let items = Arc::new(Piece::new(items(&inventory, now), FlushCompress::Sync));
        Self { holds_until: first_change(&inventory, now), inventory, items, rendered: now }
    }

    /// This exposition for a new snapshot or a later time. The items are rendered again only if they changed.
    fn refreshed(&self, inventory: Arc<Inventory>, now: Timestamp) -> Self {
        if !self.holds(now) || !self.shows_items_of(&inventory) {
            return Self::of(inventory, now);
        }
        let (items, rendered) = (self.items.clone(), self.rendered);
        Self { holds_until: first_change(&inventory, now), inventory, items, rendered }
    }

    /// Whether the verdicts that it shows are those of now.
    fn holds(&self, now: Timestamp) -> bool {
        now >= self.rendered && self.holds_until.is_none_or(|until| now <= until)
    }

    fn shows_items_of(&self, inventory: &Inventory) -> bool {
        let same = |old: &SourceView, new: &SourceView| {
            let was_stale =
                old.health.last_scan.is_none_or(|scan| elapsed(scan, self.rendered) > old.spec.stale_after());
            let same_sight = old.health.blind == new.health.blind
                && old.health.seen == new.health.seen
                && old.health.guests_never_seen == new.health.guests_never_seen;
            // Locks, buckets and servers are among what is shown, and change without any backup.
            let same_items = Arc::ptr_eq(&old.items, &new.items) && old.estate.is_same(&new.estate);
            same_items && same_sight && seen(old) == seen(new) && !was_stale
        };
        self.inventory.sources.len() == inventory.sources.len()
            && self.inventory.sources.iter().zip(&inventory.sources).all(|(old, new)| same(old, new))
    }

    /// Whether what it shows should have been rendered anew long ago. The renderer sleeps with the machine: after a
    /// resume a scrape may come before it.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        let late = |since: Timestamp| elapsed(since, now) > 2 * TICK;
        self.holds_until.is_some_and(late) || elapsed(now, self.rendered) > 2 * TICK
    }

    /// The same snapshot, judged now.
    pub fn anew(&self, now: Timestamp) -> Self {
        Self::of(self.inventory.clone(), now)
    }

    /// The whole text, in parts to be sent one after the other. `compat`: with the names of the ESXi Backup Manager.
    pub fn plain(&self, statuses: &Snapshot, compat: bool, now: Timestamp) -> [Bytes; 2] {
        [self.items.plain.clone(), self.rest(statuses, compat, now)]
    }

    /// The names of the ESXi Backup Manager alone.
    pub fn compat(&self, now: Timestamp) -> Bytes {
        let mut text = Vec::new();
        esxi_compat::collect(&self.inventory, now, &mut |family| add(family, &mut text));
        text.into()
    }

    /// The whole text as one gzip member, in parts to be sent one after the other.
    pub fn gzipped(&self, statuses: &Snapshot, compat: bool, now: Timestamp) -> [Bytes; 4] {
        let rest = Piece::new(self.rest(statuses, compat, now), FlushCompress::Finish);
        let mut crc = Crc::new();
        crc.combine(&self.items.crc);
        crc.combine(&rest.crc);
        let mut trailer = Vec::with_capacity(8);
        trailer.extend_from_slice(&crc.sum().to_le_bytes());
        trailer.extend_from_slice(&crc.amount().to_le_bytes());
        [Bytes::from_static(&GZIP_HEADER), self.items.deflated.clone(), rest.deflated, trailer.into()]
    }

    fn rest(&self, statuses: &Snapshot, compat: bool, now: Timestamp) -> Bytes {
        let mut text = Vec::new();
        for rendered in &PER_SCRAPE {
            match rendered {
                Rendered::Inventory(collect) => collect(&self.inventory, now, &mut |family| add(family, &mut text)),
                Rendered::Statuses(collect) => collect(statuses, now, &mut |family| add(family, &mut text)),
            }
        }
        if compat {
            esxi_compat::collect(&self.inventory, now, &mut |family| add(family, &mut text));
        }
        encode(&daemon::process(), &mut text);
        text.into()
    }
}

/// Which roots were ever seen.
fn seen(view: &SourceView) -> Vec<bool> {
    view.listings.iter().map(Option::is_some).collect()
}

fn first_change(inventory: &Inventory, now: Timestamp) -> Option<Timestamp> {
    let of = |view: &Arc<SourceView>| {
        view.items.iter().filter_map(|item| next_change(item, &view.health, &view.spec, now)).min()
    };
    inventory.sources.iter().filter_map(of).min()
}

fn items(inventory: &Inventory, now: Timestamp) -> Bytes {
    let mut text = Vec::new();
    for collect in PER_ITEM {
        collect(inventory, now, &mut |family| add(family, &mut text));
    }
    text.shrink_to_fit();
    text.into()
}

/// One family at a time, so that only one of them is in memory as objects.
fn add(family: Family, text: &mut Vec<u8>) {
    if let Some(family) = family.finish() {
        encode(&[family], text);
    }
}

fn encode(families: &[prometheus::proto::MetricFamily], text: &mut Vec<u8>) {
    if let Err(error) = TextEncoder::new().encode(families, text) {
        tracing::error!(%error, "a family could not be rendered");
    }
}

impl Piece {
    fn new(plain: Bytes, end: FlushCompress) -> Self {
        let mut crc = Crc::new();
        crc.update(&plain);
        let deflated = deflate(&plain, end).into();
        Self { plain, deflated, crc }
    }
}

/// One DEFLATE stream, or a part of one that another can follow.
fn deflate(plain: &[u8], end: FlushCompress) -> Vec<u8> {
    // Level 1: text as repetitive as this shrinks to a twentieth all the same.
    let mut state = Compress::new(Compression::fast(), false);
    let mut out = Vec::with_capacity(plain.len() / 16 + 256);
    loop {
        let rest = &plain[state.total_in() as usize..];
        let status = state.compress_vec(rest, &mut out, end).expect("the stream is used in order, nothing else fails");
        let all_in = state.total_in() as usize == plain.len();
        // Room left over means that nothing is held back.
        if status == Status::StreamEnd || (all_in && out.len() < out.capacity() && end == FlushCompress::Sync) {
            out.shrink_to_fit();
            return out;
        }
        out.reserve(out.capacity().max(1024));
    }
}

/// Renders again whenever what it shows has changed; ends when the inventory's owner is gone.
pub async fn run(
    mut inventories: watch::Receiver<Arc<Inventory>>,
    clock: Arc<dyn Clock>,
    publish: watch::Sender<Arc<Exposition>>,
) {
    loop {
        let inventory = inventories.borrow_and_update().clone();
        let (current, now) = (publish.borrow().clone(), clock.now());
        // Where nothing changed nothing is done: going through all items is work, too.
        if !Arc::ptr_eq(&current.inventory, &inventory) || !current.holds(now) {
            match tokio::task::spawn_blocking(move || current.refreshed(inventory, now)).await {
                Ok(next) => publish.send_replace(Arc::new(next)),
                Err(defect) => std::panic::resume_unwind(defect.into_panic()),
            };
        }
        tokio::select! {
            changed = inventories.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

#[cfg(test)]
mod tests;
