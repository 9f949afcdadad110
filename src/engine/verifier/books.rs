//! What the verifier knows of each source, and which of it the keeper wasn't told yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::ids::SourceName;
use crate::domain::proof::book::{Proofs, SourceProofs};
use crate::domain::proof::{ArchiveId, Level, Verification};
use crate::engine::ports::LevelReached;

/// The books of all sources.
pub(super) struct Books {
    sources: BTreeMap<SourceName, Arc<SourceProofs>>,
    changed: BTreeSet<SourceName>,
    /// What the keeper was told while nothing was known.
    told_trouble: Option<Arc<str>>,
}

impl Books {
    /// Nothing is known yet. `enough` says from which level on a backup of a source is proven.
    pub(super) fn new(sources: &[SourceName], enough: impl Fn(&SourceName) -> Level) -> Self {
        let empty = |name: &SourceName| (name.clone(), Arc::new(SourceProofs::from_level(enough(name))));
        Self {
            sources: sources.iter().map(empty).collect(),
            changed: sources.iter().cloned().collect(),
            told_trouble: None,
        }
    }

    /// All books, as they are now.
    pub(super) fn shared(&self) -> BTreeMap<SourceName, Arc<SourceProofs>> {
        self.sources.clone()
    }

    pub(super) fn add(&mut self, verification: &Verification) {
        // A book that doesn't change is neither copied nor told: ten thousand items would be judged anew for it.
        let book = self.sources.get_mut(&verification.archive.source).filter(|book| !book.knows(verification));
        if let Some(book) = book {
            Arc::make_mut(book).add(verification);
            self.changed.insert(verification.archive.source.clone());
        }
    }

    pub(super) fn reached(&mut self, it: LevelReached) {
        let known = |book: &Arc<SourceProofs>| book.levels(&it.item)[it.level.position()] >= Some(it.at);
        if let Some(book) = self.sources.get_mut(&it.source).filter(|book| !known(book)) {
            Arc::make_mut(book).reached(it.item, it.level, it.at);
            self.changed.insert(it.source);
        }
    }

    pub(super) fn set_running<'a>(&mut self, archives: impl Iterator<Item = &'a ArchiveId> + Clone) {
        for (source, book) in &mut self.sources {
            if Arc::make_mut(book).set_running(archives.clone().filter(|archive| archive.source == *source)) {
                self.changed.insert(source.clone());
            }
        }
    }

    /// Forgets files that are gone.
    pub(super) fn retain(&mut self, source: &SourceName, keep: impl Fn(&str, &str) -> bool) {
        if let Some(book) = self.sources.get_mut(source) {
            Arc::make_mut(book).retain(keep);
        }
    }

    /// What the keeper doesn't know yet. `trouble` says why nothing is known so far.
    pub(super) fn changes(&mut self, trouble: Option<Arc<str>>) -> Vec<(SourceName, Proofs)> {
        if let Some(why) = trouble {
            if self.told_trouble.as_ref() == Some(&why) {
                return Vec::new();
            }
            self.told_trouble = Some(why.clone());
            return self.sources.keys().map(|name| (name.clone(), Proofs::Unknown(why.clone()))).collect();
        }
        if self.told_trouble.take().is_some() {
            // They were told that nothing is known.
            self.changed = self.sources.keys().cloned().collect();
        }
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .filter_map(|name| {
                let proofs = self.sources.get(&name)?.clone();
                Some((name, Proofs::Known(proofs)))
            })
            .collect()
    }
}
