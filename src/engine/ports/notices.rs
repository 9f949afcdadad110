//! What is to be told: kept by the store, carried by messengers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::notice::dedup::Why;
use crate::domain::notice::routes::Routes;
use crate::domain::notice::{Message, Notice, Severity};

/// What routing needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Who is told of what.
    pub routes: Routes,
    /// A problem that lasts is told again after this.
    pub repeat: Duration,
    /// What was just queued waits so long, so that many at once become one message.
    pub wait: Duration,
    /// What happened longer ago is told to nobody: it waited while nobody was notified at all.
    pub too_old: Duration,
}

/// What one step of routing did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routed {
    /// Notices that were looked at. When zero, nothing is left to route.
    pub notices: usize,
    /// Receivers that are not told, one entry per notice, because it would be no news to them or is over already.
    pub suppressed: Vec<Arc<str>>,
    /// Deliveries that were queued.
    pub queued: usize,
}

/// Who claims deliveries, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// This process.
    pub owner: Arc<str>,
    /// Now.
    pub now: Timestamp,
    /// Until when others believe that this process is sending.
    pub lease: Timestamp,
    /// More than so many go into one message.
    pub above: usize,
}

/// Something to be delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its number.
    pub id: i64,
    /// What to tell.
    pub notice: Notice,
    /// Why.
    pub why: Why,
    /// How often it was tried, this time included.
    pub tries: u32,
    /// When it was queued, or might have been sent after quiet hours.
    pub since: Timestamp,
    /// What the other side called the message that told of the problem.
    pub reply_to: Option<Arc<str>>,
}

/// What a claim brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// These, to be sent in one message.
    Some(Vec<Delivery>),
    /// Nothing now; something at this time, if anything is known to come.
    Nothing(Option<Timestamp>),
}

/// A try that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When to try again; never when `None`.
    pub again: Option<Timestamp>,
    /// Why it failed.
    pub why: Arc<str>,
    /// It may have arrived all the same.
    pub unsure: bool,
}

/// What waits for one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The receiver.
    pub receiver: Arc<str>,
    /// How many.
    pub length: u64,
    /// Since when the oldest waits, quiet hours aside.
    pub oldest: Option<Timestamp>,
}

/// A problem that, as far as the store knows, lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// Its key.
    pub key: Arc<str>,
    /// How urgent it was last.
    pub severity: Severity,
    /// When that was posted.
    pub at: Timestamp,
}

/// A delivery as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was queued.
    pub queued_at: Timestamp,
    /// Who is told.
    pub receiver: Arc<str>,
    /// `queued`, `sending`, `sent`, `dropped` or `superseded`.
    pub state: Arc<str>,
    /// Why it is sent.
    pub why: Arc<str>,
    /// How often it was tried.
    pub tries: u32,
    /// What it says.
    pub title: Arc<str>,
    /// What went wrong last, or why it isn't sent.
    pub last_error: Option<Arc<str>>,
}

/// Keeps notices and their deliveries. Several processes may use one store; nothing is routed or claimed twice.
pub trait NoticeStore: Send + Sync + 'static {
    /// Keeps notices, to be routed. All or nothing.
    fn post<'a>(&'a self, notices: &'a [Notice]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Queues what was posted for those who are to be told. A bounded number per call: call it until nothing is left.
    fn route<'a>(&'a self, plan: &'a Plan, now: Timestamp) -> BoxFuture<'a, Result<Routed, StoreError>>;

    /// Takes what is next for a receiver, oldest first; nothing while another process sends to it.
    fn claim<'a>(&'a self, receiver: &'a str, claim: &'a Claim) -> BoxFuture<'a, Result<Claimed, StoreError>>;

    /// Notes that deliveries claimed by `owner` were sent in one message, and what the receiver knows now.
    fn sent<'a>(
        &'a self,
        deliveries: &'a [Delivery],
        owner: &'a str,
        remote_id: Option<Arc<str>>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Notes that deliveries claimed by `owner` were not sent: they are queued again, or dropped.
    fn failed<'a>(
        &'a self,
        deliveries: &'a [Delivery],
        owner: &'a str,
        failure: &'a Failure,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// What waits, for each receiver for which something does.
    fn queues(&self, now: Timestamp) -> BoxFuture<'_, Result<Vec<Queue>, StoreError>>;

    /// Problems that last, whose key begins with `prefix` (letters and slashes).
    fn stories<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Story>, StoreError>>;

    /// The last deliveries, newest first.
    fn last_deliveries(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Line>, StoreError>>;

    /// Forgets what was posted before `before`, but for what is still to be sent and problems that last.
    fn forget_notices(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;
}

/// Opens the store of notices.
pub trait NoticeStores: Send + Sync + 'static {
    /// Opens it; creates and migrates where needed.
    fn open_notices(&self) -> BoxFuture<'_, Result<Arc<dyn NoticeStore>, StoreError>>;
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The other side took it.
    Ok {
        /// What it calls the message.
        remote_id: Option<Arc<str>>,
        /// What it said, for a person who asks.
        said: Arc<str>,
    },
    /// It did not, and may later.
    RetryLater {
        /// Not before this has passed, if it said so.
        after: Option<Duration>,
        /// Why; without secrets.
        why: Arc<str>,
        /// It may have taken the message all the same: the answer got lost.
        unsure: bool,
    },
    /// It did not, and won't.
    Drop {
        /// Why; without secrets.
        why: Arc<str>,
    },
}

/// A way to a receiver.
pub trait Messenger: Send + Sync + 'static {
    /// Delivers one message. May take as long as the other side takes; the caller limits it.
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Sent>;

    /// How long to wait between two messages.
    fn pause(&self) -> Duration {
        Duration::ZERO
    }
}
