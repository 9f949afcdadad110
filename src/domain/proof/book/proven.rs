//! What of the proofs counts for one item.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;

use super::{ArchiveProof, Enough, Moments, SourceProofs, Unchecked, facts_of};
use crate::domain::attempt::Attempt;
use crate::domain::ids::ItemId;
use crate::domain::proof::{Conclusion, Digest, Level};
use crate::domain::state::{StateFacts, StateSeries};

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
    pub levels: Moments,
    /// Copies that are damaged.
    pub damaged_copies: u32,
    /// Start of the newest backup that was proven intact.
    pub newest_intact: Option<Timestamp>,
    /// What the newest version of a state says, and what is odd about it.
    pub state: Option<StateSeries>,
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
            Some(proof) if proof.tried.contains(self.enough.0) => ProofState::Insufficient,
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
        let mut before: Option<(Arc<StateFacts>, Option<Digest>)> = None;
        for (root, started, attempt) in copies {
            let proof = facts_of(attempt).and_then(|facts| proofs.of_file(root, &attempt.file, facts));
            match &proof {
                Some(proof) if proof.conclusion == Conclusion::Damaged => proven.damaged_copies += 1,
                Some(proof) if proof.is_proven(enough.0) => {
                    proven.newest_intact = proven.newest_intact.max(Some(*started))
                }
                Some(_) | None => {}
            }
            if let Some((facts, digest)) = proof.as_ref().and_then(|proof| Some((proof.state.clone()?, proof.digest))) {
                let is_newest = Some(*started) == newest;
                proven.state = is_newest.then(|| {
                    StateSeries::of(
                        before.as_ref().map(|(before, its)| (&**before, digest.is_some() && *its == digest)),
                        &facts,
                    )
                });
                before = Some((facts, digest));
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
        proof: Option<Cow<'_, ArchiveProof>>,
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
        if proof.as_deref().map(rank) > self.newest.as_ref().map(rank) {
            self.newest = proof.map(Cow::into_owned);
        }
        self.touched |= facts_of(attempt).is_some_and(|facts| proofs.is_touched(root, &attempt.file, facts));
        self.running |= proofs.is_running(root, &attempt.file);
        if let Some(unchecked) = proofs.known(root, &attempt.file).and_then(|known| known.unchecked()) {
            self.unchecked = Some(unchecked.clone());
        }
    }
}
