//! Which archive is verified next: pure, from what is there and what is known.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::proof::book::{ArchiveProof, Fit, Known, SourceProofs, facts_of};
use super::proof::{ArchiveId, Conclusion, Level, Method};
use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::ids::ItemId;
use crate::domain::inventory::SourceView;
use crate::domain::item::{Item, Standing};
use crate::domain::verdict::elapsed;

/// A file that could not be checked is tried again after so long.
pub const RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why a file is to be verified; the order is that of importance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The newest backup of an item was never read.
    NewestUnproven,
    /// Another kept backup was never read.
    Unproven,
    /// Another kept backup was read, and its inode changed since.
    Touched,
    /// It could not be checked a while ago.
    Retry,
    /// It was read long ago.
    Again,
}

/// A file that is to be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which file.
    pub archive: ArchiveId,
    /// What it is a backup of.
    pub item: ItemId,
    /// Bytes.
    pub size: u64,
    /// Why.
    pub need: Need,
    /// Younger backups come first, among those never read; older proofs first, among the others.
    order: (bool, Reverse<Option<Timestamp>>, Option<Timestamp>),
}

/// What counts as proven.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How it is to be proven. What other methods say doesn't matter.
    pub method: Method,
    /// A proof that is older is renewed.
    pub again_after: Duration,
    /// Less than this is no proof.
    pub level: Level,
}

/// What is to be verified of a source by now, most important first.
///
/// Files that can't be looked at are left out, and
/// those that could not be checked a while ago, or whose item doesn't suit the method. `proofs` may be newer than what the
/// view shows.
pub fn candidates(
    view: &SourceView,
    proofs: &SourceProofs,
    rules: &Rules,
    suits: impl Fn(&Item) -> bool,
    now: Timestamp,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (index, listing) in view.listings.iter().enumerate() {
        let (Some(listing), Some(root)) = (listing, view.spec.places.get(index)) else { continue };
        if view.health.is_blind(index) || !root.readable {
            continue;
        }
        for attempt in &listing.attempts {
            if !is_there(attempt) || !wanted(view, attempt).is_some_and(&suits) {
                continue;
            }
            let known = proofs.known(&root.path, &attempt.file);
            if let Some((need, proven)) = need(view, attempt, known, rules, now) {
                found.push(Candidate {
                    archive: ArchiveId {
                        source: view.spec.name.clone(),
                        root: root.path.clone(),
                        file: attempt.file.clone(),
                    },
                    item: attempt.item.clone(),
                    size: attempt.size,
                    need,
                    order: (proven.is_some(), Reverse(attempt.started.known()), proven),
                });
            }
        }
    }
    found.sort_by(|a, b| a.rank().cmp(&b.rank()));
    found
}

impl Candidate {
    /// What sorts candidates, also those of several sources.
    pub fn rank(&self) -> impl Ord + '_ {
        let (proven_before, started, proven) = &self.order;
        let started = if *proven_before { None } else { Some(*started) };
        (self.need, *proven, started)
    }
}

fn is_there(attempt: &Attempt) -> bool {
    matches!(attempt.outcome, Outcome::Complete { .. } | Outcome::Renamed) && attempt.size > 0
}

/// The item of an attempt. What the configuration excludes isn't read either.
fn wanted<'a>(view: &'a SourceView, attempt: &Attempt) -> Option<&'a Item> {
    item_of(view, attempt).filter(|item| item.standing != Standing::Excluded)
}

fn item_of<'a>(view: &'a SourceView, attempt: &Attempt) -> Option<&'a Item> {
    view.items.binary_search_by(|item| item.id.cmp(&attempt.item)).ok().map(|index| &view.items[index])
}

/// Why a file is to be read, and when it was read before.
fn need(
    view: &SourceView,
    attempt: &Attempt,
    known: Option<&Arc<Known>>,
    rules: &Rules,
    now: Timestamp,
) -> Option<(Need, Option<Timestamp>)> {
    let said = known.and_then(|known| known.by(&rules.method));
    let unchecked = said.and_then(|said| said.unchecked.as_ref());
    if unchecked.is_some_and(|unchecked| !is_ahead(unchecked.at, now) && elapsed(unchecked.at, now) < RETRY_AFTER) {
        return None;
    }
    let proof = said.and_then(|said| said.proof.as_ref());
    let fit = proof.zip(facts_of(attempt)).map_or(Fit::Other, |(proof, facts)| proof.fit(facts));
    let holds = |proof: &&ArchiveProof| match fit {
        Fit::Same => proof.wanted >= rules.level,
        // Less deep reading than the one before takes no damage back, so it isn't asked for.
        Fit::Touched => proof.conclusion == Conclusion::Damaged && proof.wanted > rules.level,
        Fit::Other => false,
    };
    match proof.filter(holds) {
        Some(proof)
            if unchecked.is_some() || is_ahead(proof.at, now) || elapsed(proof.at, now) >= rules.again_after =>
        {
            Some((Need::Again, Some(proof.at)))
        }
        Some(_) => None,
        // It may have taken a day to fail: others come first.
        None if unchecked.is_some() => Some((Need::Retry, None)),
        None if is_newest(view, attempt) => Some((Need::NewestUnproven, None)),
        None if fit == Fit::Touched => Some((Need::Touched, None)),
        None => Some((Need::Unproven, None)),
    }
}

/// Whether a time is that of a clock that was wrong, and not only a little ahead.
fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at.duration_since(now) > jiff::SignedDuration::from_hours(24)
}

fn is_newest(view: &SourceView, attempt: &Attempt) -> bool {
    let newest = item_of(view, attempt).and_then(|item| item.newest.as_ref());
    newest.is_some_and(|newest| Some(newest.started) == attempt.started.known())
}

#[cfg(test)]
mod tests;
