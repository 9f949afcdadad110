//! What is known to be proven of the files of one source, by each method, and what of it counts for an item.

mod proven;

pub use self::proven::{ItemProof, ProofState, Proofs, Proven};

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{ArchiveId, Conclusion, Digest, Evidence, FirstSight, LEVELS, Level, Levels, Method, Verification};
use crate::domain::attempt::Attempt;
use crate::domain::file::FileFacts;
use crate::domain::finding::Severity;
use crate::domain::ids::ItemId;
use crate::domain::state::StateFacts;

/// What the last verification of a file that came to a conclusion said; or those of several methods, taken together.
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
    /// All levels that were to be proven.
    pub tried: Levels,
    /// All levels that were proven.
    pub levels: Levels,
    /// End of the reading.
    pub at: Timestamp,
    /// The worst that was found.
    pub headline: Option<Arc<str>>,
    /// Why less was proven than was to be.
    pub shortfall: Option<Arc<str>>,
    /// What a state of Terraform says of itself.
    pub state: Option<Arc<StateFacts>>,
}

/// A verification that came to no conclusion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unchecked {
    /// When it ended.
    pub at: Timestamp,
    /// Why.
    pub reason: Arc<str>,
}

/// What one method said of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Its last conclusion.
    pub proof: Option<ArchiveProof>,
    /// A later try that came to none.
    pub unchecked: Option<Unchecked>,
}

impl Said {
    fn knows(&self, it: &Verification) -> bool {
        let later_try = || self.unchecked.as_ref().is_none_or(|unchecked| unchecked.at >= it.ended());
        match it.conclusion {
            Conclusion::Unchecked => self.unchecked.as_ref().is_some_and(|unchecked| unchecked.at == it.ended()),
            _ => self.proof.as_ref() == Some(&ArchiveProof::of(it)) && later_try(),
        }
    }

    /// Later ones go over earlier ones, unless they looked less deep.
    fn add(&mut self, it: &Verification) {
        if it.conclusion == Conclusion::Unchecked {
            let reason = it.reason.as_deref().unwrap_or("it could not be checked");
            self.unchecked = Some(Unchecked { at: it.ended(), reason: reason.into() });
        } else if self
            .proof
            .as_ref()
            .is_none_or(|proof| it.ended() >= proof.at && it.supersedes(proof.facts, proof.wanted, proof.conclusion))
        {
            *self = Self { proof: Some(ArchiveProof::of(it)), unchecked: None };
        }
    }
}

/// What is known of one file, by method.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known(Vec<(Method, Said)>);

impl Known {
    /// What one method said.
    pub fn by(&self, method: &Method) -> Option<&Said> {
        self.0.iter().find(|(its, _)| its == method).map(|(_, said)| said)
    }

    fn proofs(&self) -> impl Iterator<Item = &ArchiveProof> {
        self.0.iter().filter_map(|(_, said)| said.proof.as_ref())
    }

    /// The last try, of whatever method, that came to no conclusion.
    fn unchecked(&self) -> Option<&Unchecked> {
        self.0.iter().filter_map(|(_, said)| said.unchecked.as_ref()).max_by_key(|it| it.at)
    }

    fn add(&mut self, it: &Verification) {
        let at = self.0.iter().position(|(method, _)| *method == it.method).unwrap_or_else(|| {
            self.0.push((it.method.clone(), Said::default()));
            self.0.len() - 1
        });
        self.0[at].1.add(it);
    }

    /// What is known, as verifications that another store can keep. `first` is the first reading of the file where the last
    /// one doesn't tell it. What was found and is worth a look isn't known word for word: such a file is read again.
    pub fn told_again(&self, archive: &ArchiveId, item: &ItemId, first: Option<&FirstSight>) -> Vec<Verification> {
        let told = |facts: FileFacts, conclusion: Conclusion, at: Timestamp| Verification {
            archive: archive.clone(),
            method: Method::READING,
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
        for (method, said) in &self.0 {
            let Some(proof) = &said.proof else { continue };
            let seen_only = proof.warned && proof.conclusion == Conclusion::Intact;
            match proof.digest {
                Some(digest) if seen_only => all.push(seen(proof.facts, digest, proof.at)),
                _ if seen_only => {}
                digest => all.push(Verification {
                    method: method.clone(),
                    digest,
                    wanted: proof.wanted,
                    reached: proof.reached,
                    reason: proof.headline.as_deref().map(Into::into),
                    evidence: Evidence { state: proof.state.clone(), ..Evidence::default() },
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
    levels: HashMap<ItemId, Moments>,
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
pub type Moments = [Option<Timestamp>; LEVELS];

impl SourceProofs {
    /// Nothing is known yet; a backup is proven from this level on. That a file is there proves nothing of its content,
    /// unless somebody said that it is enough.
    pub fn from_level(enough: Level) -> Self {
        Self { enough: Enough(enough), ..Self::default() }
    }

    /// Whether taking in this verification would change nothing: what a store tells again and again.
    pub fn knows(&self, it: &Verification) -> bool {
        let said = self.known(&it.archive.root, &it.archive.file).and_then(|known| known.by(&it.method));
        let levels = self.levels(&it.item);
        let reached = it.proves().iter().all(|level| levels[level.position()] >= Some(it.ended()));
        reached && said.is_some_and(|said| said.knows(it))
    }

    /// Takes in a verification; later ones of a method go over earlier ones of it, unless they looked less deep.
    pub fn add(&mut self, it: &Verification) {
        let file = self.files.entry(it.archive.root.clone()).or_default();
        let slot = file.entry(Arc::from(&*it.archive.file)).or_default();
        Arc::make_mut(slot).add(it);
        for level in it.proves().iter() {
            self.reached(it.item.clone(), level, it.ended());
        }
    }

    /// Notes that a level was proven. It says nothing of those below it.
    pub fn reached(&mut self, item: ItemId, level: Level, at: Timestamp) {
        let slot = &mut self.levels.entry(item).or_default()[level.position()];
        *slot = (*slot).max(Some(at));
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

    /// What holds for the file as it is now, of all methods together.
    pub fn of_file(&self, root: &str, file: &str, facts: FileFacts) -> Option<Cow<'_, ArchiveProof>> {
        let mut holding = self.known(root, file)?.proofs().filter(|proof| match proof.fit(facts) {
            Fit::Same => true,
            // Whoever changed its mode didn't mend it.
            Fit::Touched => proof.conclusion == Conclusion::Damaged,
            Fit::Other => false,
        });
        let first = Cow::Borrowed(holding.next()?);
        Some(holding.fold(first, |all, next| Cow::Owned(all.with(next))))
    }

    /// Whether the file was read, and its inode changed since though size and time of last write are the same.
    pub fn is_touched(&self, root: &str, file: &str, facts: FileFacts) -> bool {
        self.known(root, file).is_some_and(|known| known.proofs().any(|it| it.fit(facts) == Fit::Touched))
    }

    /// Whether a file is being read.
    pub fn is_running(&self, root: &Arc<str>, file: &str) -> bool {
        self.running.iter().any(|(its_root, its_file)| its_root == root && **its_file == *file)
    }

    /// When each level was last proven of an item.
    pub fn levels(&self, item: &ItemId) -> Moments {
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

    /// Whether it is intact, and what is enough is among what was proven.
    fn is_proven(&self, enough: Level) -> bool {
        self.conclusion == Conclusion::Intact && self.levels.contains(enough)
    }

    /// This and what another method said of the same file: damage counts before everything, levels are those of both.
    fn with(&self, other: &Self) -> Self {
        let damaged = |it: &Self| it.conclusion == Conclusion::Damaged;
        let (main, also) = if damaged(other) && !damaged(self) { (other, self) } else { (self, other) };
        let tried = main.tried.and(also.tried);
        // Of what is damaged nothing is proven.
        let levels = if damaged(main) { Levels::default() } else { main.levels.and(also.levels) };
        Self {
            digest: main.digest.or(also.digest),
            warned: main.warned || also.warned,
            wanted: main.wanted.max(also.wanted),
            reached: levels.highest(),
            tried,
            levels,
            headline: main.headline.clone().or_else(|| also.headline.clone()),
            shortfall: main.shortfall.clone().or_else(|| also.shortfall.clone()),
            state: main.state.clone().or_else(|| also.state.clone()),
            ..main.clone()
        }
    }

    fn of(it: &Verification) -> Self {
        Self {
            facts: it.facts,
            digest: it.digest,
            conclusion: it.conclusion,
            warned: it.findings.iter().any(|finding| finding.severity() == Severity::Warning),
            wanted: it.wanted,
            reached: it.reached,
            tried: it.method.up_to(it.wanted),
            levels: it.proves(),
            at: it.ended(),
            headline: it.headline().map(Into::into),
            shortfall: it.shortfall().map(Into::into),
            state: it.evidence.state.clone(),
        }
    }
}

/// The file of an attempt as the scan saw it.
pub fn facts_of(attempt: &Attempt) -> Option<FileFacts> {
    Some(FileFacts { size: attempt.size, modified: attempt.modified?, changed: attempt.changed })
}
