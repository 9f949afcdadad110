//! What the verifier hands to the store, and what it takes from there.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::books::Books;
use super::{Outside, Pace};
use crate::domain::age;
use crate::domain::ids::SourceName;
use crate::domain::inventory::Inventory;
use crate::domain::proof::{ArchiveId, Conclusion, FirstSight, Verification};
use crate::engine::ports::{ProofStore, StoreError};

/// A store that doesn't answer is asked again after so long.
const RETRY: Duration = Duration::from_secs(10);

/// What others wrote into the same store is read so often.
const REFRESH: Duration = Duration::from_secs(60);

/// Others may commit a verification after one with a higher id: where nothing newer comes, it is read so many times more, a
/// [`REFRESH`] later. No transaction of this program lives for so long.
const LOOKS_AFTER: u8 = 1;

/// Old verifications are forgotten, and what is there is noted, so often.
const HOUSEKEEPING: Duration = Duration::from_secs(60 * 60);

/// Several writers may commit in another order than that of their ids: what is a little older is read again.
const OVERLAP: i64 = 100;

pub(super) struct ProofLog {
    outside: Outside,
    sources: Vec<SourceName>,
    retention: Duration,
    inventories: watch::Receiver<Arc<Inventory>>,
    /// Whether everything that the store knew was read once.
    loaded: bool,
    /// The highest id that was read.
    last: i64,
    /// The highest id of the store when it was read, and how often it was read unchanged.
    top: (i64, u8),
    unsaved: VecDeque<Verification>,
    problem: Option<Arc<str>>,
    /// How often another store was accepted, as far as what is known was written into it.
    accepted: u64,
    /// First readings that what is known of a file doesn't tell.
    sights: HashMap<ArchiveId, FirstSight>,
    retry: Pace,
    refresh: Pace,
    housekeeping: Pace,
}

impl ProofLog {
    pub(super) fn new(
        outside: Outside,
        sources: Vec<SourceName>,
        retention: Duration,
        inventories: watch::Receiver<Arc<Inventory>>,
    ) -> Self {
        Self {
            outside,
            sources,
            retention,
            inventories,
            loaded: false,
            last: 0,
            top: (0, 0),
            unsaved: VecDeque::new(),
            problem: None,
            accepted: 0,
            sights: HashMap::new(),
            retry: Pace::every(RETRY),
            refresh: Pace::every(REFRESH),
            housekeeping: Pace::every(HOUSEKEEPING),
        }
    }

    /// Whether new work may begin: what is known was read, and everything that was found is stored.
    pub(super) fn is_ready(&self) -> bool {
        self.loaded && self.unsaved.is_empty() && self.trouble().is_none()
    }

    /// Why nothing is known: not yet, or not any more.
    pub(super) fn trouble(&self) -> Option<Arc<str>> {
        let not_read = || Arc::from("the store was not read yet");
        let not_loaded = (!self.loaded).then(|| self.problem.clone().unwrap_or_else(not_read));
        self.outside.standing.borrow().unknown().or(not_loaded)
    }

    /// Why the store can't be used.
    pub(super) fn problem(&self) -> Option<Arc<str>> {
        self.problem.clone()
    }

    pub(super) fn unsaved(&self) -> usize {
        self.unsaved.len()
    }

    /// Whether a result about this file waits to be stored.
    pub(super) fn holds(&self, archive: &ArchiveId) -> bool {
        self.unsaved.iter().any(|it| it.archive == *archive)
    }

    pub(super) fn hand_in(&mut self, verification: Verification) {
        self.unsaved.push_back(verification);
        // A store that works takes it now.
        if self.problem.is_none() {
            self.retry.last = None;
        }
    }

    /// Reads what is new in the store; opens it where it isn't open.
    pub(super) async fn keep_open(&mut self, books: &mut Books) {
        let pending = !self.loaded;
        // While results wait, only storing them tells whether the store works.
        let accepted = self.outside.standing.borrow().accepted != self.accepted;
        let due = if accepted {
            self.problem.is_none() || self.retry.due()
        } else if pending {
            self.retry.due()
        } else {
            self.unsaved.is_empty() && self.refresh.due()
        };
        if due {
            let result = self.read_news(books).await;
            self.settle(result);
        }
    }

    async fn read_news(&mut self, books: &mut Books) -> Result<(), StoreError> {
        let store = self.outside.store.clone();
        self.hand_over(&*store, books).await?;
        let top = store.last().await?;
        if !self.loaded || self.top.0 != top || self.top.1 < LOOKS_AFTER {
            self.read_proofs(&*store, books).await?;
            self.top = (top, if self.top.0 == top { self.top.1 + 1 } else { 0 });
        }
        self.loaded = true;
        // Before everything was looked at once, nobody knows what is there.
        if self.inventories.borrow().is_complete() && self.housekeeping.due() {
            self.tidy_up(&*store, books).await?;
        }
        Ok(())
    }

    /// Reads what is new, and how far each item got. A level is written with the verification that reached it.
    async fn read_proofs(&mut self, store: &dyn ProofStore, books: &mut Books) -> Result<(), StoreError> {
        for kept in store.newest(&self.sources, self.last - OVERLAP).await? {
            self.last = self.last.max(kept.id);
            let archive = &kept.verification.archive;
            if self.is_ours(&archive.source, &archive.root) {
                books.add(&kept.verification);
                self.keep_sight(&kept.verification, kept.first);
            }
        }
        for level in store.levels(&self.sources).await? {
            if level.root.is_empty() || self.is_ours(&level.source, &level.root) {
                books.reached(level);
            }
        }
        Ok(())
    }

    /// Whether a source has this directory. Names are moved from one to another, and the store remembers what they stood
    /// for before.
    fn is_ours(&self, source: &SourceName, root: &str) -> bool {
        let inventory = self.inventories.borrow();
        inventory.source(source).is_some_and(|view| view.spec.places.iter().any(|its| *its.path == *root))
    }

    /// Notes what is there, and forgets what is old.
    async fn tidy_up(&mut self, store: &dyn ProofStore, books: &mut Books) -> Result<(), StoreError> {
        let (inventory, now) = (self.inventories.borrow().clone(), self.outside.clock.now());
        // Of a source that was not wholly looked at nothing is gone.
        let looked_at = || inventory.sources.iter().filter(|view| view.health.up());
        let mut there: Vec<ArchiveId> = Vec::new();
        for view in looked_at() {
            for (root, listing) in view.spec.places.iter().zip(&view.listings) {
                let attempts = listing.iter().flat_map(|listing| &listing.attempts).filter(|attempt| attempt.size > 0);
                there.extend(attempts.map(|attempt| ArchiveId {
                    source: view.spec.name.clone(),
                    root: root.path.clone(),
                    file: attempt.file.clone(),
                }));
            }
        }
        store.seen(&there, now).await?;
        let known: std::collections::HashSet<&ArchiveId> = there.iter().collect();
        let sure: Vec<SourceName> = looked_at().map(|view| view.spec.name.clone()).collect();
        self.sights.retain(|archive, _| known.contains(archive) || !sure.contains(&archive.source));
        for view in looked_at() {
            let source = &view.spec.name;
            books.retain(source, |root, file| {
                known.contains(&ArchiveId { source: source.clone(), root: root.into(), file: file.into() })
            });
        }
        let before = now.checked_sub(self.retention).unwrap_or(jiff::Timestamp::MIN);
        let forgotten = store.forget(before).await?;
        if forgotten > 0 {
            tracing::info!(forgotten, "old verifications were removed from the store");
        }
        Ok(())
    }

    /// Keeps the first reading of a file in mind where its last one doesn't tell it.
    fn keep_sight(&mut self, last: &Verification, first: Option<FirstSight>) {
        let told = |first: &FirstSight| {
            last.conclusion == Conclusion::Intact && last.facts == first.facts && last.digest == Some(first.digest)
        };
        match first.filter(|first| !told(first)) {
            Some(first) => self.sights.insert(last.archive.clone(), first),
            None => self.sights.remove(&last.archive),
        };
    }

    /// Another store was accepted in the place of one that was lost: what is known goes into it, before anything else does.
    async fn hand_over(&mut self, store: &dyn ProofStore, books: &Books) -> Result<(), StoreError> {
        let accepted = self.outside.standing.borrow().accepted;
        if accepted == self.accepted || !self.loaded {
            self.accepted = accepted;
            return Ok(());
        }
        let inventory = self.inventories.borrow().clone();
        let mut count = 0;
        for (archive, item) in inventory.archives() {
            let book = books.shared();
            let known = book.get(&archive.source).and_then(|book| book.known(&archive.root, &archive.file));
            let first = self.sights.get(&archive);
            for it in known.map(|known| known.told_again(&archive, item, first)).unwrap_or_default() {
                store.record(&it).await?;
                count += 1;
            }
        }
        (self.accepted, self.last, self.top) = (accepted, 0, (0, 0));
        tracing::info!(count, "what was proven was written into the store that was accepted");
        Ok(())
    }

    /// Stores what waits, in order.
    pub(super) async fn save(&mut self, books: &mut Books) {
        if self.unsaved.is_empty() || !self.loaded || (self.problem.is_some() && !self.retry.due()) {
            return;
        }
        let result = self.save_all(books).await;
        self.settle(result);
    }

    async fn save_all(&mut self, books: &mut Books) -> Result<(), StoreError> {
        let store = self.outside.store.clone();
        self.hand_over(&*store, books).await?;
        while let Some(verification) = self.unsaved.front() {
            let first = store.first_sight(&verification.archive).await?;
            let mut compared = verification.clone();
            compared.compare(first.as_ref());
            if compared.conclusion != verification.conclusion {
                tracing::error!(
                    source = compared.archive.source.as_str(),
                    item = %compared.item,
                    path = %compared.archive,
                    "{} is damaged: {}", compared.item, compared.headline().unwrap_or_default()
                );
            }
            store.record(&compared).await?;
            books.add(&compared);
            self.keep_sight(&compared, first);
            self.unsaved.pop_front();
        }
        Ok(())
    }

    fn settle(&mut self, result: Result<(), StoreError>) {
        match result {
            Ok(()) => {
                if let Some(problem) = self.problem.take() {
                    tracing::info!("the store works again (before: {problem})");
                }
            }
            Err(error) => {
                if self.problem.as_deref() != Some(&*error.message) {
                    let waiting = self.unsaved.len();
                    tracing::error!(waiting, retry = age::words(RETRY), "the store can't be used: {error}");
                }
                self.problem = Some(error.message.into());
            }
        }
    }
}
