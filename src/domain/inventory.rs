//! The inventory: an immutable snapshot of all sources, folded from looks.
//!
//! A directory that could not be looked at keeps its last listing; its rows are marked by the source's [`Health`],
//! which makes their items *unknown* when they are judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::attempt::Attempt;
use super::ids::{ItemId, SourceName};
use super::item::{Frame, Item, Standing};
use super::look::estate::{Estate, same};
use super::look::{Capacity, Health, Look, PlaceListing, SourceSpec};
use super::policy::{Policy, Traits};
use super::proof::ArchiveId;
use super::proof::book::Proofs;

/// One source with all that is known of it.
#[derive(Debug, Clone)]
pub struct SourceView {
    /// What is configured.
    pub spec: Arc<SourceSpec>,
    /// How looking went.
    pub health: Health,
    /// Its items by id; the same `Arc` as before where nothing changed.
    pub items: Arc<Vec<Item>>,
    /// The last listing of each root that could be looked at, ever.
    pub listings: Vec<Option<Arc<PlaceListing>>>,
    /// The file system of each root, as of the last look.
    pub capacities: Vec<Option<Capacity>>,
    /// What it knows beside backups, as of the last look that could tell.
    pub estate: Estate,
    /// What is proven of its files.
    pub proofs: Proofs,
}

impl SourceView {
    /// A source that was never looked at. Its expected items exist and are unknown.
    pub fn unseen(spec: Arc<SourceSpec>, policy: &Policy) -> Self {
        let mut view = Self {
            health: Health::default(),
            items: Arc::new(Vec::new()),
            listings: vec![None; spec.places.len()],
            capacities: vec![None; spec.places.len()],
            estate: Estate::default(),
            proofs: Proofs::Off,
            spec,
        };
        view.items = Arc::new(view.sum_up(policy));
        view
    }

    /// The source after another look, which ended at `now` after `took`.
    pub fn after(&self, look: Look, took: Duration, policy: &Policy, now: Timestamp) -> Self {
        let look = look.of(&self.spec);
        let health = self.health.after(&look, self.estate.guests.is_some(), took, now);
        let estate = self.estate.after(look.estate, now);
        let mut listings = self.listings.clone();
        let mut capacities = Vec::with_capacity(look.places.len());
        for (slot, root) in listings.iter_mut().zip(look.places) {
            capacities.push(root.capacity);
            if let Ok(listing) = root.listing {
                *slot = Some(listing);
            }
        }
        let unchanged = self.health.last_scan.is_some()
            && self.estate.is_same(&estate)
            && self.listings.iter().zip(&listings).all(|(old, new)| same(old.as_ref(), new.as_ref()));
        let view = Self { health, listings, capacities, estate, ..self.clone() };
        if unchanged { view } else { view.summed_up(policy) }
    }

    /// The source with other proofs.
    pub fn with_proofs(&self, proofs: Proofs, policy: &Policy) -> Self {
        Self { proofs, ..self.clone() }.summed_up(policy)
    }

    fn summed_up(mut self, policy: &Policy) -> Self {
        let items = self.sum_up(policy);
        if items != *self.items {
            self.items = Arc::new(items);
        }
        self
    }

    fn sum_up(&self, policy: &Policy) -> Vec<Item> {
        let mut by_item: BTreeMap<&ItemId, Vec<(usize, &Attempt)>> = BTreeMap::new();
        for (root, listing) in self.listings.iter().enumerate() {
            for attempt in listing.iter().flat_map(|listing| &listing.attempts) {
                by_item.entry(&attempt.item).or_default().push((root, attempt));
            }
        }
        let wanted = self.estate.guests.iter().flat_map(|book| book.guests.keys()).chain(&self.spec.expected);
        let ids: BTreeSet<&ItemId> = wanted.chain(by_item.keys().copied()).collect();
        ids.into_iter()
            .map(|id| {
                let attempts = by_item.get(id).map_or(&[][..], Vec::as_slice);
                Item::of(self.frame(id, attempts, policy), attempts, &self.spec.places)
            })
            .collect()
    }

    fn frame(&self, id: &ItemId, attempts: &[(usize, &Attempt)], policy: &Policy) -> Frame<'_> {
        let book = self.estate.guests.as_deref();
        let guest = book.and_then(|book| book.guests.get(id));
        let newest = |what: fn(&Attempt) -> Option<&Arc<str>>| {
            let told = attempts.iter().filter(|(_, attempt)| what(attempt).is_some());
            told.max_by_key(|(_, attempt)| attempt.started).and_then(|(_, attempt)| what(attempt)).map(|text| &**text)
        };
        let traits = Traits {
            id,
            name: guest
                .map_or_else(|| newest(|it| it.guest_name.as_ref()), |guest| guest.name.as_deref())
                .or(id.name()),
            tags: guest.map_or(&[], |guest| &guest.tags),
            notes: guest.map_or_else(|| newest(|it| it.note.as_ref()), |guest| guest.notes.as_deref()),
        };
        let (environment, expectation) = policy.resolve(&self.spec.name, traits);
        let unknown_guest = book.is_some() && guest.is_none() && id.is_guest();
        let standing = if self.spec.exclude.matches(traits) {
            Standing::Excluded
        } else if guest.is_some_and(|guest| guest.template) {
            Standing::Template
        } else if unknown_guest && !self.spec.expected.contains(id) {
            Standing::Retired
        } else {
            Standing::Judged
        };
        let node_lost = guest.zip(book).is_some_and(|(guest, book)| book.is_lost(guest));
        Frame { id: id.clone(), guest, environment, standing, expectation, node_lost, proofs: &self.proofs }
    }
}

/// All sources at one moment.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// In the order of the configuration.
    pub sources: Vec<Arc<SourceView>>,
}

impl Inventory {
    /// Sources that were never looked at.
    pub fn unseen(specs: &[Arc<SourceSpec>], policy: &Policy) -> Self {
        let view = |spec: &Arc<SourceSpec>| Arc::new(SourceView::unseen(spec.clone(), policy));
        Self { sources: specs.iter().map(view).collect() }
    }

    /// The inventory with one source replaced.
    pub fn with(&self, view: SourceView) -> Self {
        let mut sources = self.sources.clone();
        if let Some(slot) = sources.iter_mut().find(|old| old.spec.name == view.spec.name) {
            *slot = Arc::new(view);
        }
        Self { sources }
    }

    /// The view of a source.
    pub fn source(&self, name: &SourceName) -> Option<&Arc<SourceView>> {
        self.sources.iter().find(|view| view.spec.name == *name)
    }

    /// Every file that was seen, with what it is a backup of.
    pub fn archives(&self) -> impl Iterator<Item = (ArchiveId, &ItemId)> {
        self.sources.iter().flat_map(|view| {
            view.spec.places.iter().zip(&view.listings).flat_map(move |(root, listing)| {
                listing.iter().flat_map(|listing| &listing.attempts).map(move |attempt| {
                    let (source, root) = (view.spec.name.clone(), root.path.clone());
                    (ArchiveId { source, root, file: attempt.file.clone() }, &attempt.item)
                })
            })
        })
    }

    /// Whether every source was looked at once, well or not.
    pub fn is_complete(&self) -> bool {
        self.sources.iter().all(|view| view.health.last_scan.is_some())
    }
}

#[cfg(test)]
mod tests;
