//! Keeps a copy of the newest intact version of every state, for the day on which its server is down.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::archives::ArchivesBySource;
use super::ports::state_cache::StateCache;
use super::ports::{Archives as _, Clock};
use super::statuses::{self, Post};
use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::ids::{ItemId, ItemKind};
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::proof::book::{Proofs, facts_of};
use crate::domain::proof::{ArchiveId, Conclusion};
use crate::domain::state::cache::{CacheStatus, Copied, Kept, StateName};

/// What could not be copied is tried again after so long.
const RETRY: Duration = Duration::from_secs(60);

/// Copies are looked at so often though nothing changes: somebody may have removed one, or the key.
const LOOK: Duration = Duration::from_secs(300);

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
        let (outside, before, last) = (outside.clone(), known.take(), status);
        let work = move || match &*wanted(&inventory) {
            [] if last.states.is_empty() => (before, last),
            wanted => keep_all(&outside, before, wanted, &last),
        };
        (known, status) = match tokio::task::spawn_blocking(work).await {
            Ok(kept) => kept,
            Err(defect) => std::panic::resume_unwind(defect.into_panic()),
        };
        let failed = status.states.values().any(|it| it.problem.is_some());
        // States that can't be seen right now have copies all the same.
        statuses::say(&post, status.clone());
        tokio::select! {
            () = tokio::time::sleep(if failed { RETRY } else { LOOK }) => {}
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
    inventory.sources.iter().flat_map(|view| newest_intact(view)).collect()
}

fn newest_intact(view: &SourceView) -> Vec<Wanted> {
    let Proofs::Known(book) = &view.proofs else { return Vec::new() };
    let listed = view.spec.places.iter().zip(&view.listings);
    let attempts = listed.flat_map(|(place, listing)| {
        let attempts = listing.iter().flat_map(|listing| &listing.attempts);
        attempts.map(|attempt| (&place.path, attempt))
    });
    let mut newest: BTreeMap<&ItemId, (Timestamp, &Arc<str>, &Attempt)> = BTreeMap::new();
    for (root, attempt) in attempts.filter(|(_, it)| it.item.item_kind() == ItemKind::Tfstate) {
        let Some(at) = attempt.started.known() else { continue };
        if !matches!(attempt.outcome, Outcome::Complete { .. }) || newest.get(&attempt.item).is_some_and(|it| it.0 > at)
        {
            continue;
        }
        let proof = facts_of(attempt).and_then(|facts| book.of_file(root, &attempt.file, facts));
        if proof.is_some_and(|proof| proof.conclusion == Conclusion::Intact) {
            newest.insert(&attempt.item, (at, root, attempt));
        }
    }
    newest.into_values().map(|(at, root, attempt)| Wanted::new(view, at, root, attempt)).collect()
}

impl Wanted {
    fn new(view: &SourceView, at: Timestamp, root: &Arc<str>, attempt: &Attempt) -> Self {
        let (source, item) = (view.spec.name.clone(), attempt.item.clone());
        let archive = ArchiveId { source: source.clone(), root: root.clone(), file: attempt.file.clone() };
        let about = Kept {
            source: source.clone(),
            item: item.clone(),
            root: root.clone(),
            file: (*attempt.file).into(),
            modified: at,
            kept: Timestamp::default(),
            size: attempt.size,
            digest: String::new(),
            serial: None,
            lineage: Box::default(),
            resources: Vec::new(),
        };
        Self { name: (source, item), archive, about }
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
    // Copies of states that can't be seen now, or have no version any more, are what matters most.
    let others = status.states.iter_mut().filter(|(name, _)| !wanted.iter().any(|it| it.name == **name));
    for (name, copied) in others {
        let usable =
            known.get(name).map_or_else(|| Err(std::io::ErrorKind::NotFound.into()), |it| outside.cache.usable(it));
        if let Err(error) = usable {
            let why: Arc<str> = format!("the copy can't be used: {error}").into();
            complain(name, &why, last);
            *copied = Copied { version: None, current: false, problem: Some(why) };
        }
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

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::*;

    /// Keeps nothing any more.
    struct Emptied;

    impl StateCache for Emptied {
        fn kept(&self) -> io::Result<Vec<Kept>> {
            Ok(Vec::new())
        }

        fn usable(&self, _: &Kept) -> io::Result<()> {
            Err(io::ErrorKind::NotFound.into())
        }

        fn keep(&self, about: Kept, _: &mut dyn Read) -> io::Result<Kept> {
            Ok(about)
        }

        fn open(&self, _: &StateName, _: bool) -> io::Result<Option<(Kept, Vec<u8>)>> {
            Ok(None)
        }
    }

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    #[test]
    fn a_copy_that_is_gone_while_its_state_can_not_be_seen_is_not_current() {
        let outside = Outside { archives: Arc::default(), cache: Arc::new(Emptied), clock: Arc::new(Still) };
        let name: StateName = ("minio".parse().unwrap(), "tfstate/prod".parse().unwrap());
        let copied = Copied { version: Some(Timestamp::UNIX_EPOCH), current: true, problem: None };
        let last = CacheStatus { states: [(name.clone(), copied)].into() };
        let (_, status) = keep_all(&outside, None, &[], &last);
        let copied = &status.states[&name];
        assert!(!copied.current && copied.version.is_none() && copied.problem.is_some(), "{copied:?}");
    }
}
