//! What the webhook writes and the reactor works on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::automation::action::Kind;
use crate::domain::automation::alert::{Alert, KeptAlert, Status};
use crate::domain::automation::decide::{Asked, Past};
use crate::domain::automation::occurrence::{Bounds, Occurrence, Tidings};
use crate::domain::automation::plan::Plan;
use crate::domain::automation::record::{ActionState, Record};
use crate::domain::automation::status::OpenActions;
use crate::domain::notice::Notice;

/// An alert with the receiver that it was told for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Name of the receiver in Alertmanager's configuration.
    pub receiver: Arc<str>,
    /// The alert.
    pub alert: Alert,
}

/// A scheduled action whose time has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// The action.
    pub record: Record,
    /// How its alert stands, if that is still kept.
    pub alert: Option<Status>,
    /// The alert has ended, and fires again.
    pub again: bool,
}

/// An action to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// What was decided.
    pub plan: Plan,
    /// What makes it the same intent as another.
    pub identity: Vec<String>,
}

/// Keeps alerts, and lends itself to one turn at a time.
pub trait Ledger: Send + Sync + 'static {
    /// Another number once anybody has written anything; `None` where that isn't cheap to know, or the store is in trouble.
    fn version(&self) -> BoxFuture<'_, Option<i64>> {
        Box::pin(async { None })
    }

    /// Keeps alerts in the order in which they were told, all or none; what they mean. When it returns they survive a power
    /// cut.
    fn receive<'a>(
        &'a self,
        alerts: &'a [Received],
        bounds: Bounds,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Tidings, StoreError>>;

    /// Begins a turn. Nobody else has one on the same store until it ends, in whatever process.
    fn turn(&self) -> BoxFuture<'_, Result<Box<dyn Turn>, StoreError>>;

    /// Says that `owner` lives and what it runs is in good hands until `until`. So many actions.
    fn renew<'a>(&'a self, owner: &'a str, until: Timestamp) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Forgets alerts and actions that ended before `before`. The audit trail stays.
    fn forget_automation(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;
}

/// An action that some process runs, or ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The action.
    pub record: Record,
    /// How the occurrence stands that asked for it, if that is still kept.
    pub alert: Option<Status>,
    /// How the alert stands, in whatever occurrence.
    pub by_now: Option<Status>,
    /// The process.
    pub owner: Arc<str>,
    /// Until when it is believed to live.
    pub lease: Timestamp,
    /// How often it was begun.
    pub tries: u32,
}

/// A change of an action, with what the audit trail says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The action.
    pub action: i64,
    /// Its new state.
    pub state: ActionState,
    /// Why.
    pub reason: Arc<str>,
    /// Not before this, for what waits.
    pub not_before: Option<Timestamp>,
    /// Nobody can approve it after, for what is proposed.
    pub expires: Option<Timestamp>,
    /// The process that runs it, with its lease, for what begins.
    pub owner: Option<(Arc<str>, Timestamp)>,
    /// What came of it, and what a program wrote.
    pub result: Option<(Arc<str>, Option<Arc<str>>)>,
    /// What happened, in one word, for the audit trail.
    pub event: &'static str,
}

/// One turn: a transaction. Dropped without [`commit`](Turn::commit), nothing has happened.
pub trait Turn: Send {
    /// Lets alerts fire again that were told so after their end and not told to be over for so long. At most so many.
    fn believe_late(
        &mut self,
        bound: Duration,
        most: u32,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Tidings, StoreError>>;

    /// How each of these alerts stands, by fingerprint; nothing of those that were never heard of.
    fn standing<'a>(
        &'a mut self,
        fingerprints: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<HashMap<String, Occurrence>, StoreError>>;

    /// Alerts that changed and were not dealt with, by rising id.
    fn pending(&mut self, most: u32) -> BoxFuture<'_, Result<Vec<KeptAlert>, StoreError>>;

    /// What is known of the past of each wish.
    fn past<'a>(&'a mut self, asked: &'a [Asked]) -> BoxFuture<'a, Result<Vec<Past>, StoreError>>;

    /// Adds actions. The id of each; `None` when the same intent is there already.
    fn add<'a>(&'a mut self, new: &'a [New], now: Timestamp) -> BoxFuture<'a, Result<Vec<Option<i64>>, StoreError>>;

    /// Notes that these alerts, as they were read, are dealt with.
    fn handled<'a>(&'a mut self, alerts: &'a [KeptAlert]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Actions of an alert in these states.
    fn of_alert<'a>(
        &'a mut self,
        alert: i64,
        states: &'a [ActionState],
    ) -> BoxFuture<'a, Result<Vec<Record>, StoreError>>;

    /// Scheduled actions of a sort whose time has come, oldest first.
    fn due(&mut self, kind: Kind, now: Timestamp, most: u32) -> BoxFuture<'_, Result<Vec<Due>, StoreError>>;

    /// Proposals that expired.
    fn expired(&mut self, now: Timestamp, most: u32) -> BoxFuture<'_, Result<Vec<Record>, StoreError>>;

    /// Actions that a person denied, each once.
    fn denied(&mut self) -> BoxFuture<'_, Result<Vec<Record>, StoreError>>;

    /// Actions that are being run, by anybody.
    fn held(&mut self) -> BoxFuture<'_, Result<Vec<Held>, StoreError>>;

    /// So many actions, other than notifications, began since then; with `rule`, by that rule.
    fn began<'a>(&'a mut self, rule: Option<&'a str>, since: Timestamp) -> BoxFuture<'a, Result<u32, StoreError>>;

    /// Whether the automation is paused.
    fn is_paused(&mut self) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// Changes an action. `false` when it isn't in any of the states `from` any more, or with `owner`, not held by it.
    fn change<'a>(
        &'a mut self,
        change: &'a Change,
        from: &'a [ActionState],
        owner: Option<&'a str>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Adds a line to the audit trail.
    fn note<'a>(
        &'a mut self,
        actor: &'a str,
        action: Option<i64>,
        event: &'a str,
        detail: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Hands notices to the notifier.
    fn tell<'a>(&'a mut self, notices: &'a [Notice]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Open actions by sort and state.
    fn open(&mut self) -> BoxFuture<'_, Result<Vec<OpenActions>, StoreError>>;

    /// Makes everything of this turn durable.
    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>>;
}

/// What came of an action.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// In one sentence.
    pub result: String,
    /// What a program wrote, capped.
    pub output: Option<String>,
    /// To be told together with the result.
    pub notices: Vec<Notice>,
}

/// Why an action failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct EffectFailure {
    /// In one sentence.
    pub reason: String,
    /// What a program wrote, capped.
    pub output: Option<String>,
}

impl EffectFailure {
    /// A failure without output.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), output: None }
    }
}

/// Does one sort of action. To drop the future ends what it does, with everything that it began.
pub trait Effect: Send + Sync + 'static {
    /// Does it.
    fn perform<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<Outcome, EffectFailure>>;
}

/// Tells processes apart, and whether one is gone.
pub trait Processes: Send + Sync + 'static {
    /// This process; another one never has the same name.
    fn me(&self) -> Arc<str>;

    /// Whether it is known that this process has ended. `false` when in doubt.
    fn is_gone(&self, owner: &str) -> bool;
}

/// An owner that isn't heard of for so long is taken for dead.
pub const LEASE: Duration = Duration::from_secs(30);
