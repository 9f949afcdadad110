//! How the store stands: whether it takes what is written, and whether it is the one that was used before.

use std::sync::Arc;

use jiff::Timestamp;

/// How the store stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether anything was tried yet; before that nobody knows.
    pub tried: bool,
    /// Why it can't be used; `None` while the last write worked and nothing failed since.
    pub problem: Option<Problem>,
    /// It can be used, but isn't what was used before, and nobody has accepted that: why not.
    pub doubt: Option<Arc<str>>,
    /// When it was last gone through and found sound.
    pub checked: Option<Timestamp>,
    /// How often another store was accepted in place of one that was lost: what is known is written into it then.
    pub accepted: u64,
}

/// Why a store can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What sort of trouble it is.
    pub kind: Trouble,
    /// In a sentence that says what to do.
    pub message: Arc<str>,
}

/// Sorts of trouble, the lighter ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// It may pass by itself: a full disk, a lock, a server that is away. What was known is known still.
    Passing,
    /// Something in it can't be read. What it says isn't to be relied on until it was gone through and found sound.
    Damaged,
    /// It isn't there any more, or isn't the one of before. Until a person says otherwise nothing is known.
    Lost,
}

impl Standing {
    /// Whether the store is known to take what is written.
    pub fn up(&self) -> bool {
        self.tried && self.problem.is_none()
    }

    /// Why what was proven isn't known any more.
    pub fn unknown(&self) -> Option<Arc<str>> {
        let problem = self.problem.as_ref().filter(|it| it.kind >= Trouble::Damaged);
        problem.map(|it| it.message.clone())
    }

    /// Whether it is lost.
    pub fn is_lost(&self) -> bool {
        self.problem.as_ref().is_some_and(|it| it.kind == Trouble::Lost)
    }
}
