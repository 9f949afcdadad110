//! What operations need of the outside: a store for where they stand, and who performs their effects.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;

use super::StoreError;
use super::automation::Page;
use crate::domain::operation::plan::Effect;
use crate::domain::operation::{Event, Frame, Refusal, State};

/// An operation to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOperation {
    /// Asked for twice by the same name, it is there once.
    pub request: String,
    /// Who can perform it.
    pub kind: String,
    /// What it works on. Nothing else works on that at the same time.
    pub subject: String,
    /// What it is for, in a few words.
    pub title: String,
    /// Who wants it: `api:NAME`, `cli:USER`.
    pub by: Arc<str>,
    /// What is to be done.
    pub frame: Frame,
}

/// What became of the wish for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// It was planned.
    New(i64),
    /// The same request was made before.
    Same(i64),
    /// Another one works on the same subject.
    Busy(i64),
}

/// An operation as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its number.
    pub id: i64,
    /// Who can perform it.
    pub kind: Arc<str>,
    /// What it works on.
    pub subject: Arc<str>,
    /// What it is for.
    pub title: Arc<str>,
    /// Who wanted it.
    pub by: Arc<str>,
    /// What is to be done.
    pub frame: Frame,
    /// Where it stands.
    pub state: State,
    /// The same for people.
    pub sentence: Arc<str>,
    /// Rises with each change.
    pub version: i64,
    /// The process that drives it, and until when it is believed to live.
    pub owner: Option<(Arc<str>, Timestamp)>,
    /// When it was planned.
    pub created: Timestamp,
    /// When it changed.
    pub changed: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// What is begun in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doing {
    /// A person is asked.
    Ask,
    /// The effect.
    Do,
    /// A look whether the effect happened.
    Probe,
    /// People are told.
    Tell,
    /// The step is taken back.
    Undo,
    /// Nothing: a dry run says that it would be done.
    Would,
}

impl Doing {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Ask, Self::Do, Self::Probe, Self::Tell, Self::Undo, Self::Would];

    /// As in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Do => "do",
            Self::Probe => "probe",
            Self::Tell => "tell",
            Self::Undo => "undo",
            Self::Would => "would",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// What was begun in a step, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepLine {
    /// Position of the step in the plan.
    pub step: usize,
    /// What was begun.
    pub doing: Doing,
    /// For the how many-th time.
    pub tries: u32,
    /// When.
    pub begun: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What came of it.
    pub result: Option<Arc<str>>,
}

/// An operation with what was begun in it, in order.
pub type WithLog = (Operation, Vec<StepLine>);

/// A step from one state to the next, made durable before anything is done because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The operation.
    pub id: i64,
    /// Who drives it.
    pub owner: Arc<str>,
    /// The version that it goes on from.
    pub version: i64,
    /// Where it stands now.
    pub state: State,
    /// The same for people.
    pub sentence: String,
    /// What is begun: step, what, for the how many-th time.
    pub begun: Vec<(usize, Doing, u32)>,
    /// What came of what was begun before; `None` where that goes on.
    pub result: Option<String>,
    /// The word of a person that was heard.
    pub heard: Option<i64>,
    /// Until when its driver is believed to live.
    pub lease: Timestamp,
}

/// What people may say to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word {
    /// It is to end, and what was done to be taken back.
    Cancel,
    /// Yes.
    Confirm,
    /// No.
    Deny,
}

impl Word {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cancel, Self::Confirm, Self::Deny];

    /// As in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Confirm => "confirm",
            Self::Deny => "deny",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// What it is to the operation.
    pub fn event(self, by: &str) -> Event {
        let by = by.to_owned();
        match self {
            Self::Cancel => Event::Cancel { by },
            Self::Confirm => Event::Confirmed { by },
            Self::Deny => Event::Denied { by },
        }
    }
}

/// A word that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// Rises with every word.
    pub id: i64,
    /// The word.
    pub word: Word,
    /// Who said it.
    pub by: Arc<str>,
}

/// What became of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Whoever drives the operation will hear it.
    Taken,
    /// It changes nothing as the operation stands.
    Refused(Refusal),
    /// There is no such operation.
    Unknown,
}

/// Keeps where operations stand. Several processes may use one store.
pub trait OperationStore: Send + Sync + 'static {
    /// Plans one.
    fn plan<'a>(&'a self, new: &'a NewOperation, now: Timestamp) -> BoxFuture<'a, Result<Planned, StoreError>>;

    /// Those that aren't over, oldest first.
    fn open(&self) -> BoxFuture<'_, Result<Vec<Operation>, StoreError>>;

    /// Takes one that nobody drives, or whose driver is gone: `from` is what was read of it. `false` where somebody was faster.
    fn claim<'a>(
        &'a self,
        from: &'a Operation,
        owner: &'a str,
        lease: Timestamp,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Goes on. `false` when another one drives it now: nothing may be done any more.
    fn advance<'a>(&'a self, advance: &'a Advance, now: Timestamp) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Says that its driver lives. `false` when another one drives it now.
    fn keep<'a>(&'a self, id: i64, owner: &'a str, lease: Timestamp) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Gives it up: the next one may take it at once.
    fn release<'a>(&'a self, id: i64, owner: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// What was said to it and not heard, in order.
    fn words(&self, id: i64) -> BoxFuture<'_, Result<Vec<Spoken>, StoreError>>;

    /// Says something to it.
    fn say<'a>(
        &'a self,
        id: i64,
        word: Word,
        by: &'a Arc<str>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Said, StoreError>>;

    /// Operations, newest first; with `open`, only those that aren't over.
    fn operations(&self, open: bool, page: Page) -> BoxFuture<'_, Result<Vec<Operation>, StoreError>>;

    /// One of them, with what was begun in it, in order.
    fn operation(&self, id: i64) -> BoxFuture<'_, Result<Option<WithLog>, StoreError>>;

    /// Forgets those that ended before `before`. The audit trail stays.
    fn forget_operations(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;
}

/// How far an effect is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// How much is done.
    pub done: u64,
    /// Of how much; `None` where nobody knows.
    pub total: Option<u64>,
    /// What it does right now, in a few words; or what is counted: `bytes`.
    pub words: String,
}

/// What an effect hears, and where it says how far it is.
#[derive(Debug, Clone)]
pub struct Conduct {
    /// Becomes true when it is to end.
    pub stop: watch::Receiver<bool>,
    /// How far it is.
    pub progress: watch::Sender<Progress>,
}

/// Performs the effects of a kind of operations.
///
/// What was ended must not happen any more: when the future of an effect is dropped, the effect has ended with it. What can't be
/// ended like that runs in a process of its own, which is killed; or in short calls, none of which begins after the drop.
pub trait Performer: Send + Sync + 'static {
    /// Does an effect, or what takes one back. An error says why not, in one sentence.
    fn perform<'a>(&'a self, effect: &'a Effect, conduct: Conduct) -> BoxFuture<'a, Result<String, String>>;

    /// Looks whether an effect happened; `None` where that can't be told.
    fn happened<'a>(&'a self, effect: &'a Effect, conduct: Conduct) -> BoxFuture<'a, Result<Option<bool>, String>>;
}
