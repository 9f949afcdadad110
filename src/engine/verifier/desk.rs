//! What the verifier hands to the store, and what it takes from there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::books::Books;
use super::{Outside, Pace};
use crate::domain::age;
use crate::domain::ids::SourceName;
use crate::domain::inventory::Inventory;
use crate::domain::proof::{ArchiveId, Verification};
use crate::engine::ports::{ProofStore, StoreError};

/// A store that doesn't answer is asked again after so long.
const RETRY: Duration = Duration::from_secs(10);

/// What others wrote into the same store is read so often.
const REFRESH: Duration = Duration::from_secs(60);

/// Old verifications are forgotten, and what is there is noted, so often.
const HOUSEKEEPING: Duration = Duration::from_secs(60 * 60);

/// Several writers may commit in another order than that of their ids: what is a little older is read again.
const OVERLAP: i64 = 100;

pub(super) struct Desk {
    outside: Outside,
    sources: Vec<SourceName>,
    retention: Duration,
    inventories: watch::Receiver<Arc<Inventory>>,
    store: Option<Arc<dyn ProofStore>>,
    /// Whether everything that the store knew was read once.
    loaded: bool,
    /// The highest id that was read.
    last: i64,
    unsaved: VecDeque<Verification>,
    problem: Option<Arc<str>>,
    retry: Pace,
    refresh: Pace,
    housekeeping: Pace,
}

impl Desk {
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
            store: None,
            loaded: false,
            last: 0,
            unsaved: VecDeque::new(),
            problem: None,
            retry: Pace::every(RETRY),
            refresh: Pace::every(REFRESH),
            housekeeping: Pace::every(HOUSEKEEPING),
        }
    }

    /// Whether new work may begin: what is known was read, and everything that was found is stored.
    pub(super) fn is_ready(&self) -> bool {
        self.loaded && self.unsaved.is_empty()
    }

    /// Why nothing is known yet.
    pub(super) fn trouble_before_loading(&self) -> Option<Arc<str>> {
        let not_read = || Arc::from("the store was not read yet");
        (!self.loaded).then(|| self.problem.clone().unwrap_or_else(not_read))
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

    /// Opens the store where it isn't open, and reads what is new in it.
    pub(super) async fn keep_open(&mut self, books: &mut Books) {
        let pending = self.store.is_none() || !self.loaded;
        // While results wait, only storing them tells whether the store works.
        let due = if pending { self.retry.due() } else { self.unsaved.is_empty() && self.refresh.due() };
        if due {
            let result = self.read_news(books).await;
            self.settle(result);
        }
    }

    async fn read_news(&mut self, books: &mut Books) -> Result<(), StoreError> {
        let store = match &self.store {
            Some(store) => store.clone(),
            None => self.store.insert(self.outside.stores.open().await?).clone(),
        };
        for kept in store.newest(&self.sources, self.last - OVERLAP).await? {
            self.last = self.last.max(kept.id);
            let archive = &kept.verification.archive;
            if self.is_ours(&archive.source, &archive.root) {
                books.add(&kept.verification);
            }
        }
        for level in store.levels(&self.sources).await? {
            if level.root.is_empty() || self.is_ours(&level.source, &level.root) {
                books.reached(level);
            }
        }
        self.loaded = true;
        // Before everything was looked at once, nobody knows what is there.
        if self.inventories.borrow().is_complete() && self.housekeeping.due() {
            self.tidy_up(&*store, books).await?;
        }
        Ok(())
    }

    /// Whether a source has this directory. Names are moved from one to another, and the store remembers what they stood
    /// for before.
    fn is_ours(&self, source: &SourceName, root: &str) -> bool {
        let inventory = self.inventories.borrow();
        inventory.source(source).is_some_and(|view| view.spec.roots.iter().any(|its| *its.path == *root))
    }

    /// Notes what is there, and forgets what is old.
    async fn tidy_up(&self, store: &dyn ProofStore, books: &mut Books) -> Result<(), StoreError> {
        let (inventory, now) = (self.inventories.borrow().clone(), self.outside.clock.now());
        // Of a source that was not wholly looked at nothing is gone.
        let looked_at = || inventory.sources.iter().filter(|view| view.health.up());
        let mut there: Vec<ArchiveId> = Vec::new();
        for view in looked_at() {
            for (root, listing) in view.spec.roots.iter().zip(&view.listings) {
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

    /// Stores what waits, in order.
    pub(super) async fn save(&mut self, books: &mut Books) {
        if self.unsaved.is_empty() || self.store.is_none() || (self.problem.is_some() && !self.retry.due()) {
            return;
        }
        let result = self.save_all(books).await;
        self.settle(result);
    }

    async fn save_all(&mut self, books: &mut Books) -> Result<(), StoreError> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        while let Some(verification) = self.unsaved.front_mut() {
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
