//! Keeps a copy of the newest intact version of every state, for the day on which its server is down.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::archives::ArchivesBySource;
use super::ports::state_cache::StateCache;
use super::ports::{Archives as _, Clock};
use super::statuses::{self, Post};
use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::item::Item;
use crate::domain::local_time::When;
use crate::domain::proof::book::{Proofs, facts_of};
use crate::domain::proof::{ArchiveId, Conclusion};
use crate::domain::state::cache::{CacheStatus, Copied, Kept, StateName};

/// What could not be copied is tried again after so long.
const RETRY: Duration = Duration::from_secs(60);

/// Many changes in a moment are looked at once.
const CALM: Duration = Duration::from_millis(200);

/// Where copies come from and go to.
#[derive(Clone)]
pub struct Outside {
    /// Opens versions of states.
    pub archives: Arc<ArchivesBySource>,
    /// Keeps the copies.
    pub cache: Arc<dyn StateCache>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Keeps copies until the inventory's owner is gone.
pub async fn run(outside: Outside, mut inventories: watch::Receiver<Arc<Inventory>>, post: Post<CacheStatus>) {
    let mut known: Option<BTreeMap<StateName, Kept>> = None;
    let mut status = CacheStatus::default();
    loop {
        let inventory = inventories.borrow_and_update().clone();
        let wanted = wanted(&inventory);
        let mut failed = false;
        if !wanted.is_empty() {
            let (outside, before, last) = (outside.clone(), known.take(), status.clone());
            let work = move || keep_all(&outside, before, &wanted, &last);
            (known, status) = match tokio::task::spawn_blocking(work).await {
                Ok(kept) => kept,
                Err(defect) => std::panic::resume_unwind(defect.into_panic()),
            };
            failed = status.states.values().any(|it| it.problem.is_some());
        }
        // States that can't be seen right now have copies all the same.
        statuses::say(&post, status.clone());
        tokio::select! {
            () = tokio::time::sleep(RETRY), if failed => {}
            changed = inventories.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                tokio::time::sleep(CALM).await;
            }
        }
    }
}

/// A version that is worth keeping.
struct Wanted {
    name: StateName,
    archive: ArchiveId,
    about: Kept,
}

/// Of each state the newest version that was read and is intact.
fn wanted(inventory: &Inventory) -> Vec<Wanted> {
    let states = |view: &'_ Arc<SourceView>| -> Vec<Wanted> {
        let of_one = |item: &Item| newest_intact(view, item);
        view.items.iter().filter(|item| item.id.kind() == "tfstate").filter_map(of_one).collect()
    };
    inventory.sources.iter().flat_map(states).collect()
}

fn newest_intact(view: &SourceView, item: &Item) -> Option<Wanted> {
    let Proofs::Known(book) = &view.proofs else { return None };
    let listed = view.spec.places.iter().zip(&view.listings);
    let attempts = listed.flat_map(|(place, listing)| {
        let attempts = listing.iter().flat_map(|listing| &listing.attempts);
        attempts.filter(|attempt| attempt.item == item.id).map(|attempt| (&place.path, attempt))
    });
    let intact = attempts.filter(|(root, attempt)| {
        let proof = facts_of(attempt).and_then(|facts| book.of_file(root, &attempt.file, facts));
        matches!(attempt.outcome, Outcome::Complete { .. })
            && proof.is_some_and(|proof| proof.conclusion == Conclusion::Intact)
    });
    let (root, attempt) = intact.filter(|(_, it)| at(it).is_some()).max_by_key(|(_, it)| at(it))?;
    let archive = ArchiveId { source: view.spec.name.clone(), root: root.clone(), file: attempt.file.clone() };
    let name = (view.spec.name.clone(), item.id.clone());
    let about = Kept {
        source: name.0.clone(),
        item: name.1.clone(),
        root: root.clone(),
        file: (*attempt.file).into(),
        modified: at(attempt)?,
        kept: jiff::Timestamp::default(),
        size: attempt.size,
        digest: String::new(),
        serial: None,
        lineage: Box::default(),
        resources: Vec::new(),
    };
    Some(Wanted { name, archive, about })
}

fn at(attempt: &Attempt) -> Option<jiff::Timestamp> {
    match attempt.started {
        When::At(at) => Some(at),
        _ => None,
    }
}

/// What is kept now, where that could be read, and how it stands.
type All = (Option<BTreeMap<StateName, Kept>>, CacheStatus);

fn keep_all(outside: &Outside, known: Option<BTreeMap<StateName, Kept>>, wanted: &[Wanted], last: &CacheStatus) -> All {
    let read = || Ok(outside.cache.kept()?.into_iter().map(|it| ((it.source.clone(), it.item.clone()), it)).collect());
    let mut known: BTreeMap<StateName, Kept> = match known.map_or_else(read, Ok::<_, std::io::Error>) {
        Ok(known) => known,
        Err(error) => {
            let why: Arc<str> = format!("the copies can't be looked at: {error}").into();
            let all = wanted.iter().map(|it| {
                complain(&it.name, &why, last);
                (it.name.clone(), Copied { problem: Some(why.clone()), ..Copied::default() })
            });
            return (None, CacheStatus { states: all.collect() });
        }
    };
    let mut status = last.clone();
    for it in wanted {
        let copied = keep_one(outside, &mut known, it);
        if let Some(why) = &copied.problem {
            complain(&it.name, why, last);
        }
        status.states.insert(it.name.clone(), copied);
    }
    (Some(known), status)
}

/// Says once what can't be kept.
fn complain((source, item): &StateName, why: &Arc<str>, last: &CacheStatus) {
    let said = last.states.get(&(source.clone(), item.clone())).and_then(|it| it.problem.as_ref());
    if said != Some(why) {
        tracing::error!(source = source.as_str(), %item, "no copy of {item} is kept: {why}");
    }
}

fn keep_one(outside: &Outside, known: &mut BTreeMap<StateName, Kept>, it: &Wanted) -> Copied {
    let before = known.get(&it.name);
    let same = before.filter(|kept| kept.file == it.about.file && kept.root == it.about.root);
    // Somebody may have removed the copy, or changed the key: then it is made anew.
    if same.is_some_and(|kept| outside.cache.usable(kept).is_ok()) {
        return Copied { version: Some(it.about.modified), current: true, problem: None };
    }
    let about = Kept { kept: outside.clock.now(), ..it.about.clone() };
    let kept = outside.archives.open(&it.archive).and_then(|mut content| outside.cache.keep(about, &mut content));
    match kept {
        Ok(kept) => {
            let (source, item) = (it.name.0.as_str(), &it.name.1);
            tracing::info!(source, %item, serial = kept.serial, bytes = kept.size, "a copy of {item} is kept");
            known.insert(it.name.clone(), kept);
            Copied { version: Some(it.about.modified), current: true, problem: None }
        }
        Err(error) => {
            let version = before.filter(|kept| outside.cache.usable(kept).is_ok()).map(|kept| kept.modified);
            Copied { version, current: false, problem: Some(error.to_string().into()) }
        }
    }
}
