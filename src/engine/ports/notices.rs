//! What is to be told: kept by the store, carried by messengers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::notice::dedup::Why;
use crate::domain::notice::routes::Routes;
use crate::domain::notice::{Message, Notice, Part, Urgency};

/// What routing needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Routing {
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
    /// One at a time: one of those that were sent together may be what was refused.
    pub alone: bool,
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
    /// What is decided of several addresses. All deliveries of one message have the same.
    pub parts: Vec<Part>,
    /// How often it was refused while others were taken; 0 when it was never refused for itself.
    pub unfit: u32,
    /// Whether the receiver took another since it was refused last.
    pub others_taken: bool,
}

/// What a claim brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// These, to be sent in one message.
    Some(Vec<Delivery>),
    /// Nothing now; something at this time, if anything is known to come.
    Nothing(Option<Timestamp>),
}

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What the other side calls it.
    pub remote_id: Option<Arc<str>>,
    /// What a person should know about it.
    pub note: Option<Arc<str>>,
    /// When.
    pub at: Timestamp,
}

/// A try that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTry {
    /// When to try again; never when `None`.
    pub again: Option<Timestamp>,
    /// Why it failed.
    pub why: Arc<str>,
    /// It may have arrived all the same.
    pub unsure: bool,
    /// What is decided of several addresses now; nothing new when empty.
    pub parts: Vec<Part>,
    /// It is refused for itself, so many times while others were taken. It holds up nobody.
    pub unfit: u32,
    /// When it failed.
    pub at: Timestamp,
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

/// What came of the last try to reach a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The receiver.
    pub receiver: Arc<str>,
    /// Whether it took it.
    pub worked: bool,
}

/// A problem that, as far as the store knows, lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// Its key.
    pub key: Arc<str>,
    /// How urgent it was last.
    pub severity: Urgency,
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
    /// Opens it where that wasn't done yet; creates and migrates where needed. An error says why it can't be used.
    fn ready(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Another number once anybody has written anything; `None` where that isn't cheap to know, or the store is in trouble.
    fn version(&self) -> BoxFuture<'_, Option<i64>> {
        Box::pin(async { None })
    }

    /// Keeps notices, to be routed. All or nothing.
    fn post<'a>(&'a self, notices: &'a [Notice]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Queues what was posted for those who are to be told. A bounded number per call: call it until nothing is left.
    fn route<'a>(&'a self, plan: &'a Routing, now: Timestamp) -> BoxFuture<'a, Result<Routed, StoreError>>;

    /// Takes what is next for a receiver, oldest first; nothing while another process sends to it.
    fn claim<'a>(&'a self, receiver: &'a str, claim: &'a Claim) -> BoxFuture<'a, Result<Claimed, StoreError>>;

    /// Notes that deliveries claimed by `owner` were sent in one message, and what the receiver knows now.
    fn sent<'a>(
        &'a self,
        deliveries: &'a [Delivery],
        owner: &'a str,
        taken: &'a Taken,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Notes that deliveries claimed by `owner` were not sent: they are queued again, or dropped.
    fn failed<'a>(
        &'a self,
        deliveries: &'a [Delivery],
        owner: &'a str,
        failure: &'a FailedTry,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Posts once more what was dropped `repeat` ago and lasts, where nobody else does: of alerts. How many notices.
    fn offer_again(&self, repeat: Duration, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// What came of the last try, for each receiver that was ever tried.
    fn last_tries(&self) -> BoxFuture<'_, Result<Vec<Tried>, StoreError>>;

    /// What waits, for each receiver for which something does.
    fn queues(&self, now: Timestamp) -> BoxFuture<'_, Result<Vec<Queue>, StoreError>>;

    /// Problems that last, whose key begins with `prefix` (letters and slashes).
    fn stories<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Story>, StoreError>>;

    /// The last deliveries, newest first.
    fn last_deliveries(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Line>, StoreError>>;

    /// Forgets what was posted before `before`, but for what is still to be sent and problems that last.
    fn forget_notices(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;
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
        /// What a person should know though it was taken: who of several does not have it.
        note: Option<Arc<str>>,
    },
    /// Some of several addresses have it; others may later. The same message is to be sent again, with these parts.
    Partly {
        /// What is decided; who is missing is still to be tried.
        parts: Vec<Part>,
        /// Why the others don't have it yet; without secrets.
        why: Arc<str>,
    },
    /// It did not, and may later: what is wrong passes by itself.
    RetryLater {
        /// Not before this has passed, if it said so.
        after: Option<Duration>,
        /// Why; without secrets.
        why: Arc<str>,
        /// It may have taken the message all the same: the answer got lost.
        unsure: bool,
    },
    /// It takes nothing until a person mends something: a token, an address, a proxy. Tried again, slowly.
    Refused {
        /// Why; without secrets.
        why: Arc<str>,
    },
    /// It does not take this message, as far as can be seen. Tried again without holding up others, and given up when others
    /// are taken and it is not.
    Unfit {
        /// Why; without secrets.
        why: Arc<str>,
    },
    /// It can't be sent at all.
    Drop {
        /// Why; without secrets.
        why: Arc<str>,
    },
}

impl Sent {
    /// What was said.
    pub fn why(self) -> Arc<str> {
        match self {
            Self::Ok { said, .. } => said,
            Self::Partly { why, .. }
            | Self::RetryLater { why, .. }
            | Self::Refused { why }
            | Self::Unfit { why }
            | Self::Drop { why } => why,
        }
    }
}

/// A way to a receiver.
pub trait Messenger: Send + Sync + 'static {
    /// Delivers one message. May take as long as the other side takes; the caller limits it.
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Sent>;

    /// Asks whether messages would be taken, without sending one; `None` where that can't be asked.
    fn check(&self) -> BoxFuture<'_, Option<Sent>> {
        Box::pin(async { None })
    }

    /// How long to wait between two messages.
    fn pause(&self) -> Duration {
        Duration::ZERO
    }

    /// Within this it ends by itself, where that is longer than the usual limit for a message.
    fn limit(&self) -> Duration {
        Duration::ZERO
    }
}
