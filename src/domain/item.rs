//! One item of a source: everything its attempts amount to, ready to be judged.

mod note;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::attempt::{Attempt, Outcome, Sidecar};
use super::guest::Guest;
use super::ids::ItemId;
use super::local_time::When;
use super::look::{Medium, PlaceSpec};
use super::policy::Expectation;
use super::proof::book::{ItemProof, Proofs};
use super::run_log::{LeftOut, LogEnd, RunLog};
use super::statistics;

pub use self::note::Note;

/// Sizes of this many backups before the newest say what is usual; older ones would hide slow growth.
const USUAL_WINDOW: usize = 30;

/// Whether an item is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is expected to have fresh backups.
    Judged,
    /// The configuration excludes it.
    Excluded,
    /// It is a template.
    Template,
    /// Its guest no longer exists; its archives are only kept.
    Retired,
}

/// The newest complete backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// Start of its run.
    pub started: Timestamp,
    /// Bytes.
    pub size: u64,
    /// How long it took.
    pub duration: Option<Duration>,
    /// Its file.
    pub file: Box<str>,
    /// Index of the root that it lies in.
    pub root: usize,
    /// The checksum file that lies beside it.
    pub sidecar: Option<Sidecar>,
    /// The log of its run.
    pub log: Option<Arc<RunLog>>,
}

impl Newest {
    /// What its log complains of, as far as it was kept.
    pub fn complaints(&self) -> Vec<&str> {
        let complaints = self.log.iter().flat_map(|log| &log.complaints);
        complaints.map(|complaint| &*complaint.text).collect()
    }
}

/// An attempt after the newest complete backup that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Start of its run. One in the future counts: which attempt is the newest can't be told then.
    pub at: When,
    /// Why, as a sentence.
    pub reason: Box<str>,
    /// Index of the root that shows it.
    pub root: usize,
}

/// An attempt that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// Start of its run.
    pub since: Timestamp,
    /// When it is judged, where the file has its final name and was only just written.
    pub settles: Option<Timestamp>,
    /// Index of the root that shows it.
    pub root: usize,
}

/// An item with everything its attempts amount to. Holds nothing that changes by the passing of time alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its id.
    pub id: ItemId,
    /// Name of the guest.
    pub name: Option<Arc<str>>,
    /// Name of its environment.
    pub environment: Option<Arc<str>>,
    /// Node that it runs on, or that its directory belongs to.
    pub node: Option<Arc<str>>,
    /// Whether it is judged.
    pub standing: Standing,
    /// What is expected of it.
    pub expectation: Expectation,
    /// Newest complete backup.
    pub newest: Option<Newest>,
    /// Start of the newest complete backup in each root that holds one.
    pub newest_by_root: Vec<(usize, Timestamp)>,
    /// Start of the newest attempt, however it ended.
    pub last_attempt: Option<Timestamp>,
    /// The newest failed attempt, if nothing complete came after it.
    pub failure: Option<FailedAttempt>,
    /// The attempt that is being written.
    pub running: Option<Running>,
    /// Complete backups that are kept.
    pub copies: u32,
    /// Bytes of everything that is kept, good or bad.
    pub stored_bytes: u64,
    /// Copies outside retention.
    pub protected_copies: u32,
    /// Copies by [`Medium::ALL`].
    pub media: [u32; Medium::ALL.len()],
    /// See [`statistics::deviation`].
    pub size_deviation: Option<f64>,
    /// Attempts that all evidence puts into the future.
    pub future: u32,
    /// Whether the guest starts with its node, where its configuration is known.
    pub onboot: Option<bool>,
    /// Volumes of the guest that the newest backup doesn't hold, by the log of its run or else by the configuration of the
    /// guest; `None` where neither is known.
    pub left_out: Option<Vec<LeftOut>>,
    /// What is proven of it.
    pub proof: ItemProof,
    /// For people.
    pub notes: Vec<Note>,
}

/// What identifies an item and what is expected of it, before any attempt is looked at.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    /// Its id.
    pub id: ItemId,
    /// Its guest, where the guests are known.
    pub guest: Option<&'a Guest>,
    /// Name of its environment.
    pub environment: Option<Arc<str>>,
    /// Whether it is judged.
    pub standing: Standing,
    /// What is expected of it.
    pub expectation: Expectation,
    /// Whether the guest's node was lost.
    pub node_lost: bool,
    /// What is proven of the files of its source.
    pub proofs: &'a Proofs,
}

impl Item {
    /// Sums up the attempts of one item. Each comes with the index of its root; order doesn't matter.
    pub fn of(frame: Frame<'_>, attempts: &[(usize, &Attempt)], roots: &[PlaceSpec]) -> Self {
        let mut own: Vec<(usize, &Attempt)> = Vec::with_capacity(attempts.len());
        let mut strangers: Vec<&Attempt> = Vec::new();
        for (root, attempt) in attempts {
            if is_own(frame.guest, attempt) {
                own.push((*root, attempt));
            } else {
                strangers.push(attempt);
            }
        }
        own.sort_by_key(|(root, attempt)| (attempt.started, *root));
        let (proofs, guest) = (frame.proofs, frame.guest);
        let mut item = Self::empty(frame, &own, roots);
        item.note_strangers(&strangers);
        let cut = cut_copies(&own);
        if !cut.is_empty() {
            item.notes.push(Note::CutCopies(cut.len() as u32));
            own.retain(|(root, attempt)| {
                let is_cut = cut.contains(&(*root, &*attempt.file));
                // It takes room all the same.
                item.stored_bytes = item.stored_bytes.saturating_add(if is_cut { attempt.size } else { 0 });
                !is_cut
            });
        }
        item.count(&own, roots);
        item.find_newest(&own, roots);
        item.find_left_out(guest);
        item.find_proof(&own, roots, proofs);
        item.find_failure(&own);
        item
    }

    fn empty(frame: Frame<'_>, own: &[(usize, &Attempt)], roots: &[PlaceSpec]) -> Self {
        let seen = own.iter().rev().find_map(|(_, attempt)| attempt.guest_name.clone());
        let noted = || own.iter().rev().find_map(|(_, attempt)| attempt.note.clone()).filter(|note| is_host_name(note));
        let node_of_root = own.last().and_then(|(root, _)| roots.get(*root)?.node.clone());
        let node = frame.guest.map(|guest| guest.node.clone()).or(node_of_root);
        let mut notes = Vec::new();
        if let Some(node) = node.as_ref().filter(|_| frame.node_lost) {
            notes.push(Note::NodeLost(node.clone()));
        }
        Self {
            id: frame.id,
            name: frame.guest.and_then(|guest| guest.name.clone()).or(seen).or_else(noted),
            environment: frame.environment,
            node,
            standing: frame.standing,
            expectation: frame.expectation,
            newest: None,
            newest_by_root: Vec::new(),
            last_attempt: None,
            failure: None,
            running: None,
            copies: 0,
            stored_bytes: 0,
            protected_copies: 0,
            media: [0; Medium::ALL.len()],
            size_deviation: None,
            future: 0,
            onboot: frame.guest.and_then(|guest| guest.onboot),
            left_out: None,
            proof: ItemProof::Off,
            notes,
        }
    }

    fn note_strangers(&mut self, strangers: &[&Attempt]) {
        if let Some(newest) = strangers.iter().max_by_key(|attempt| attempt.started) {
            let archives = strangers.len() as u32;
            self.notes.push(Note::OtherGuest { archives, name: newest.guest_name.clone() });
        }
    }

    fn count(&mut self, own: &[(usize, &Attempt)], roots: &[PlaceSpec]) {
        let mut renamed = 0;
        for (root, attempt) in own {
            self.stored_bytes = self.stored_bytes.saturating_add(attempt.size);
            if attempt.outcome == Outcome::Renamed {
                renamed += 1;
            } else {
                self.last_attempt = self.last_attempt.max(attempt.started.known());
                self.future += u32::from(attempt.started == When::Future);
            }
            if self.is_copy(attempt) {
                self.copies += 1;
                self.protected_copies += u32::from(attempt.protected);
                let medium = roots.get(*root).map_or(Medium::Local, |root| root.medium);
                self.media[medium as usize] += 1;
            }
        }
        if renamed > 0 {
            self.notes.push(Note::Renamed(renamed));
        }
        if self.future > 0 {
            self.notes.push(Note::Future(self.future));
        }
    }

    /// A file that could be restored from, as far as its size tells. A renamed one may be anybody's.
    fn is_copy(&self, attempt: &Attempt) -> bool {
        let kept = matches!(attempt.outcome, Outcome::Complete { .. });
        kept && attempt.size > 0 && attempt.size >= self.expectation.minimum_size
    }

    fn find_newest(&mut self, own: &[(usize, &Attempt)], roots: &[PlaceSpec]) {
        let good: Vec<(usize, Timestamp, &Attempt)> = own
            .iter()
            .filter(|(_, attempt)| self.is_copy(attempt))
            .filter_map(|(root, attempt)| Some((*root, attempt.started.known()?, *attempt)))
            .collect();
        let Some(&(root, started, attempt)) = good.last() else { return };
        for (root, started, _) in &good {
            match self.newest_by_root.iter_mut().find(|(known, _)| known == root) {
                // In the order of time: the last one of a root is its newest.
                Some((_, newest)) => *newest = *started,
                None => self.newest_by_root.push((*root, *started)),
            }
        }
        let mut usual: Vec<u64> = good
            .iter()
            .rev()
            .filter(|(_, earlier, _)| *earlier < started)
            .filter(|(its, _, earlier)| sizes_of(*its, earlier, roots) == sizes_of(root, attempt, roots))
            .take(USUAL_WINDOW)
            .map(|(_, _, attempt)| attempt.size)
            .collect();
        self.size_deviation = statistics::deviation(attempt.size, &mut usual);
        if let Outcome::Complete { warning: Some(text) } = &attempt.outcome {
            self.notes.push(Note::Warning(text.clone()));
        }
        self.newest = Some(Newest {
            started,
            size: attempt.size,
            duration: attempt.duration,
            file: attempt.file.clone(),
            root,
            sidecar: attempt.sidecar,
            log: attempt.log.clone(),
        });
    }

    fn find_left_out(&mut self, guest: Option<&Guest>) {
        let Some(newest) = &self.newest else { return };
        let log = newest.log.as_deref().filter(|log| log.end != LogEnd::Foreign);
        self.left_out = log.map(|log| &log.left_out).or(guest.map(|guest| &guest.left_out)).cloned();
        if let Some(volumes) = self.left_out.clone().filter(|volumes| !volumes.is_empty()) {
            self.notes.push(Note::LeftOut(volumes));
        }
    }

    fn find_proof(&mut self, own: &[(usize, &Attempt)], roots: &[PlaceSpec], proofs: &Proofs) {
        let readable = |root: usize| roots.get(root).is_some_and(|root| root.readable);
        // Of a newest backup that nobody can read nothing is proven, and nothing ever will be; of older ones nothing is said then.
        if self.newest.as_ref().is_some_and(|newest| !readable(newest.root)) {
            return;
        }
        let copies: Vec<(&Arc<str>, Timestamp, &Attempt)> = own
            .iter()
            .filter(|(root, attempt)| readable(*root) && self.is_copy(attempt))
            .filter_map(|(root, attempt)| Some((&roots.get(*root)?.path, attempt.started.known()?, *attempt)))
            .collect();
        self.proof = proofs.of_item(&self.id, &copies);
    }

    fn find_failure(&mut self, own: &[(usize, &Attempt)]) {
        let after_newest = |at: Timestamp| self.newest.as_ref().is_none_or(|newest| at > newest.started);
        let mut failure = None;
        let mut running = None;
        for (root, attempt) in own {
            let at = attempt.started;
            if at.known().is_some_and(|at| !after_newest(at)) {
                continue;
            }
            match &attempt.outcome {
                Outcome::Failed { reason } => failure = Some(FailedAttempt { at, reason: reason.clone(), root: *root }),
                // Dated in the future it is no proof of anything, good or bad.
                Outcome::Complete { .. } if at == When::Future => {}
                Outcome::Complete { .. } => {
                    let reason = self.too_small(attempt.size);
                    failure = Some(FailedAttempt { at, reason, root: *root });
                }
                Outcome::Running { last_write } => {
                    let since = at.known().unwrap_or(*last_write);
                    running = Some(Running { since, settles: None, root: *root });
                }
                Outcome::Settling { until } => {
                    running = Some(Running { since: at.known().unwrap_or(*until), settles: Some(*until), root: *root });
                }
                Outcome::Removed | Outcome::Renamed => {}
            }
        }
        self.failure = failure;
        self.running = running;
    }

    fn too_small(&self, size: u64) -> Box<str> {
        let least = self.expectation.minimum_size;
        format!("the backup has {size} bytes, less than its minimum_size of {least}").into()
    }
}

/// Where sizes mean the same: in all directories, and on each storage that only lists. A backup server tells those of the disks.
fn sizes_of<'a>(root: usize, attempt: &'a Attempt, roots: &[PlaceSpec]) -> Option<&'a str> {
    let is_listed = roots.get(root).is_some_and(|root| !root.readable);
    attempt.file.split_once(':').filter(|_| is_listed).map(|(storage, _)| storage)
}

/// Copies that are smaller than the file of the same name in another root; each with its root and name.
fn cut_copies<'a>(own: &[(usize, &'a Attempt)]) -> Vec<(usize, &'a str)> {
    let Some(first) = own.first().map(|(root, _)| *root) else { return Vec::new() };
    if own.iter().all(|(root, _)| *root == first) {
        return Vec::new();
    }
    let mut largest: HashMap<&str, u64> = HashMap::new();
    let complete = |attempt: &Attempt| matches!(attempt.outcome, Outcome::Complete { .. });
    for (_, attempt) in own.iter().filter(|(_, attempt)| complete(attempt)) {
        let size = largest.entry(&attempt.file).or_default();
        *size = attempt.size.max(*size);
    }
    let is_cut =
        |attempt: &Attempt| complete(attempt) && largest.get(&*attempt.file).is_some_and(|size| attempt.size < *size);
    own.iter().filter(|(_, attempt)| is_cut(attempt)).map(|(root, attempt)| (*root, &*attempt.file)).collect()
}

/// Whether a note may be the name of a guest, which it is by default: notes are free text.
pub fn is_host_name(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

fn is_own(guest: Option<&Guest>, attempt: &Attempt) -> bool {
    match (guest, attempt.started) {
        (Some(guest), When::At(started)) => guest.owns(started, attempt.guest_name.as_deref()),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
