//! What is known to be proven of the files of one source, and what of it counts for an item.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{ArchiveId, Conclusion, Digest, Evidence, FirstSight, Level, Verification};
use crate::domain::attempt::Attempt;
use crate::domain::file::FileFacts;
use crate::domain::finding::Severity;
use crate::domain::ids::ItemId;

/// What the last verification of a file that came to a conclusion said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveProof {
    /// The file as it was read.
    pub facts: FileFacts,
    /// Its digest.
    pub digest: Option<Digest>,
    /// Intact or damaged.
    pub conclusion: Conclusion,
    /// Whether something was found that somebody should look at.
    pub warned: bool,
    /// How much was to be proven.
    pub wanted: Level,
    /// How much was proven.
    pub reached: Option<Level>,
    /// End of the reading.
    pub at: Timestamp,
    /// The worst that was found.
    pub headline: Option<Arc<str>>,
    /// Why less was proven than was to be.
    pub shortfall: Option<Arc<str>>,
}

/// A verification that came to no conclusion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unchecked {
    /// When it ended.
    pub at: Timestamp,
    /// Why.
    pub reason: Arc<str>,
}

/// What is known of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The last conclusion.
    pub proof: Option<ArchiveProof>,
    /// A later try that came to none.
    pub unchecked: Option<Unchecked>,
}

impl Known {
    /// What is known, as verifications that another store can keep. `first` is the first reading of the file where the last
    /// one doesn't tell it. What was found and is worth a look isn't known word for word: such a file is read again.
    pub fn told_again(&self, archive: &ArchiveId, item: &ItemId, first: Option<&FirstSight>) -> Vec<Verification> {
        let told = |facts: FileFacts, conclusion: Conclusion, at: Timestamp| Verification {
            archive: archive.clone(),
            item: item.clone(),
            facts,
            digest: None,
            wanted: Level::Present,
            reached: None,
            conclusion,
            findings: Vec::new(),
            reason: None,
            started: at,
            took: Duration::ZERO,
            read: 0,
            evidence: Evidence::default(),
            sidecar: None,
        };
        let seen = |facts: FileFacts, digest: Digest, at: Timestamp| Verification {
            digest: Some(digest),
            reached: Some(Level::Present),
            ..told(facts, Conclusion::Intact, at)
        };
        let mut all = Vec::new();
        all.extend(first.map(|first| seen(first.facts, first.digest, first.at)));
        if let Some(proof) = &self.proof {
            let seen_only = proof.warned && proof.conclusion == Conclusion::Intact;
            match proof.digest {
                Some(digest) if seen_only => all.push(seen(proof.facts, digest, proof.at)),
                _ if seen_only => {}
                digest => all.push(Verification {
                    digest,
                    wanted: proof.wanted,
                    reached: proof.reached,
                    reason: proof.headline.as_deref().map(Into::into),
                    ..told(proof.facts, proof.conclusion, proof.at)
                }),
            }
        }
        all
    }
}

/// What is known of the files of one source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceProofs {
    files: HashMap<Arc<str>, HashMap<Arc<str>, Arc<Known>>>,
    levels: HashMap<ItemId, Levels>,
    running: HashSet<(Arc<str>, Box<str>)>,
    enough: Enough,
}

/// The level from which a backup of a source counts as proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Enough(Level);

impl Default for Enough {
    fn default() -> Self {
        Self(Level::Complete)
    }
}

/// When each level was last proven of any backup of an item, in the order of [`Level::ALL`].
pub type Levels = [Option<Timestamp>; Level::ALL.len()];

impl SourceProofs {
    /// Nothing is known yet; a backup is proven from this level on. That a file is there proves nothing of its content,
    /// unless somebody said that it is enough.
    pub fn from_level(enough: Level) -> Self {
        Self { enough: Enough(enough), ..Self::default() }
    }

    /// Takes in a verification; later ones go over earlier ones, unless they looked less deep.
    pub fn add(&mut self, it: &Verification) {
        let file = self.files.entry(it.archive.root.clone()).or_default();
        let slot = file.entry(Arc::from(&*it.archive.file)).or_default();
        let mut known = Known::clone(slot);
        if it.conclusion == Conclusion::Unchecked {
            let reason = it.reason.as_deref().unwrap_or("it could not be checked");
            known.unchecked = Some(Unchecked { at: it.ended(), reason: reason.into() });
        } else if known
            .proof
            .as_ref()
            .is_none_or(|proof| it.ended() >= proof.at && it.supersedes(proof.facts, proof.wanted, proof.conclusion))
        {
            known = Known { proof: Some(ArchiveProof::of(it)), unchecked: None };
        }
        *slot = Arc::new(known);
        if let Some(level) = it.reached.filter(|_| it.conclusion == Conclusion::Intact) {
            self.reached(it.item.clone(), level, it.ended());
        }
    }

    /// Notes that a level was proven; those below it were with it.
    pub fn reached(&mut self, item: ItemId, level: Level, at: Timestamp) {
        let levels = self.levels.entry(item).or_default();
        for slot in levels.iter_mut().take(usize::from(level.number())) {
            *slot = (*slot).max(Some(at));
        }
    }

    /// Notes which files are being read. Whether that is another set than before.
    pub fn set_running<'a>(&mut self, archives: impl Iterator<Item = &'a ArchiveId>) -> bool {
        let running = archives.map(|archive| (archive.root.clone(), archive.file.clone())).collect();
        let changed = self.running != running;
        self.running = running;
        changed
    }

    /// What is known of a file by its path below a root.
    pub fn known(&self, root: &str, file: &str) -> Option<&Arc<Known>> {
        self.files.get(root)?.get(file)
    }

    /// The conclusion that holds for the file as it is now.
    pub fn of_file(&self, root: &str, file: &str, facts: FileFacts) -> Option<&ArchiveProof> {
        self.known(root, file)?.proof.as_ref().filter(|proof| match proof.fit(facts) {
            Fit::Same => true,
            // Whoever changed its mode didn't mend it.
            Fit::Touched => proof.conclusion == Conclusion::Damaged,
            Fit::Other => false,
        })
    }

    /// Whether the file was read, and its inode changed since though size and time of last write are the same.
    pub fn is_touched(&self, root: &str, file: &str, facts: FileFacts) -> bool {
        self.known(root, file).and_then(|known| known.proof.as_ref()).is_some_and(|it| it.fit(facts) == Fit::Touched)
    }

    /// Whether a file is being read.
    pub fn is_running(&self, root: &Arc<str>, file: &str) -> bool {
        self.running.iter().any(|(its_root, its_file)| its_root == root && **its_file == *file)
    }

    /// When each level was last proven of an item.
    pub fn levels(&self, item: &ItemId) -> Levels {
        self.levels.get(item).copied().unwrap_or_default()
    }

    /// Forgets files that `keep` doesn't want.
    pub fn retain(&mut self, keep: impl Fn(&str, &str) -> bool) {
        for (root, files) in &mut self.files {
            files.retain(|file, _| keep(root, file));
        }
    }
}

/// How a file of now compares with the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It is the same.
    Same,
    /// Size and time of last write are the same, but its inode changed: replaced, or only its mode, owner or links.
    Touched,
    /// It was written again.
    Other,
}

impl ArchiveProof {
    /// How the file of now compares with the one that was read.
    pub fn fit(&self, now: FileFacts) -> Fit {
        if !now.same_write(self.facts) {
            Fit::Other
        } else if now.is_touched(self.facts) || self.facts.changed.is_none() && now.changed > Some(self.at) {
            // Results of before have no time of the inode: what changed after the reading is told by that of now.
            Fit::Touched
        } else {
            Fit::Same
        }
    }

    /// Whether it is intact, and proven as far as is enough.
    fn is_proven(&self, enough: Level) -> bool {
        self.conclusion == Conclusion::Intact && self.reached >= Some(enough)
    }

    fn of(it: &Verification) -> Self {
        Self {
            facts: it.facts,
            digest: it.digest,
            conclusion: it.conclusion,
            warned: it.findings.iter().any(|finding| finding.severity() == Severity::Warning),
            wanted: it.wanted,
            reached: it.reached,
            at: it.ended(),
            headline: it.headline().map(Into::into),
            shortfall: it.shortfall().map(Into::into),
        }
    }
}

/// The file of an attempt as the scan saw it.
pub fn facts_of(attempt: &Attempt) -> Option<FileFacts> {
    Some(FileFacts { size: attempt.size, modified: attempt.modified?, changed: attempt.changed })
}

/// What is known of the proofs of a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Proofs {
    /// Nothing is verified.
    #[default]
    Off,
    /// Should be known and isn't: the store doesn't answer, or was not read yet.
    Unknown(Arc<str>),
    /// Known.
    Known(Arc<SourceProofs>),
}

/// What of the proofs counts for one item.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum ItemProof {
    /// Nothing is verified.
    #[default]
    Off,
    /// Should be known and isn't; the text says why.
    Unknown(Arc<str>),
    /// Known.
    Known(Box<Proven>),
}

/// How the newest backup of an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProofState {
    /// It was not read yet.
    Unproven,
    /// It is being read for the first time.
    Running,
    /// It is intact.
    Passed,
    /// It was read, and no damage was found, but less could be proven of it than is asked for.
    Insufficient,
    /// It is intact, but something was found that somebody should look at.
    Warning,
    /// It is damaged.
    Failed,
}

impl ProofState {
    /// All of them, in label order.
    pub const ALL: [Self; 6] =
        [Self::Failed, Self::Insufficient, Self::Passed, Self::Running, Self::Unproven, Self::Warning];

    /// The `state` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Running => "running",
            Self::Passed => "passed",
            Self::Insufficient => "insufficient",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What is proven of an item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proven {
    /// What was said of the newest backup.
    pub newest: Option<ArchiveProof>,
    /// Why the last try to check it came to nothing.
    pub unchecked: Option<Unchecked>,
    /// It was read, and its inode changed since: it is read again.
    pub touched: bool,
    /// Whether it is being read.
    pub running: bool,
    /// When each level was last proven of any backup.
    pub levels: Levels,
    /// Copies that are damaged.
    pub damaged_copies: u32,
    /// Start of the newest backup that was proven intact.
    pub newest_intact: Option<Timestamp>,
    enough: Enough,
}

impl Proven {
    /// How the newest backup stands.
    pub fn state(&self) -> ProofState {
        match &self.newest {
            Some(proof) if proof.conclusion == Conclusion::Damaged => ProofState::Failed,
            Some(proof) if proof.is_proven(self.enough.0) && proof.warned => ProofState::Warning,
            Some(proof) if proof.is_proven(self.enough.0) => ProofState::Passed,
            // Reading it again would prove no more.
            Some(proof) if proof.wanted >= self.enough.0 => ProofState::Insufficient,
            Some(_) | None if self.running => ProofState::Running,
            Some(_) | None => ProofState::Unproven,
        }
    }

    /// Why the newest backup isn't proven though it was read and no damage was found.
    pub fn shortfall(&self) -> Option<&str> {
        let proof = self.newest.as_ref().filter(|_| self.state() == ProofState::Insufficient)?;
        proof.shortfall.as_deref()
    }

    /// The level that is proven of the newest backup.
    pub fn level(&self) -> Option<Level> {
        self.newest.as_ref()?.reached
    }
}

impl Proofs {
    /// What counts for an item. `copies` are its complete backups by rising start, each with its root's path and start.
    pub fn of_item(&self, item: &ItemId, copies: &[(&Arc<str>, Timestamp, &Attempt)]) -> ItemProof {
        let proofs = match self {
            Self::Off => return ItemProof::Off,
            Self::Unknown(why) => return ItemProof::Unknown(why.clone()),
            Self::Known(proofs) => proofs,
        };
        let enough = proofs.enough;
        let mut proven = Proven { levels: proofs.levels(item), enough, ..Proven::default() };
        let newest = copies.last().map(|(_, started, _)| *started);
        for (root, started, attempt) in copies {
            let proof = facts_of(attempt).and_then(|facts| proofs.of_file(root, &attempt.file, facts));
            match proof {
                Some(proof) if proof.conclusion == Conclusion::Damaged => proven.damaged_copies += 1,
                Some(proof) if proof.is_proven(enough.0) => {
                    proven.newest_intact = proven.newest_intact.max(Some(*started))
                }
                Some(_) | None => {}
            }
            if Some(*started) == newest {
                proven.add_copy_of_newest(proof, proofs, root, attempt);
            }
        }
        ItemProof::Known(Box::new(proven))
    }
}

impl Proven {
    /// The newest backup may lie in several places: one intact copy of it is enough, a damaged one counts before one
    /// that nobody read.
    fn add_copy_of_newest(
        &mut self,
        proof: Option<&ArchiveProof>,
        proofs: &SourceProofs,
        root: &Arc<str>,
        attempt: &Attempt,
    ) {
        let enough = self.enough.0;
        // Read and intact, then damaged, then there at least.
        let rank = |proof: &ArchiveProof| match proof.conclusion {
            Conclusion::Damaged => 1,
            _ if proof.is_proven(enough) => 2,
            _ => 0,
        };
        if proof.map(rank) > self.newest.as_ref().map(rank) {
            self.newest = proof.cloned();
        }
        self.touched |= facts_of(attempt).is_some_and(|facts| proofs.is_touched(root, &attempt.file, facts));
        self.running |= proofs.is_running(root, &attempt.file);
        if let Some(unchecked) = proofs.known(root, &attempt.file).and_then(|known| known.unchecked.clone()) {
            self.unchecked = Some(unchecked);
        }
    }
}
