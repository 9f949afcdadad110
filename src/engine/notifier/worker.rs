//! Delivers to one receiver, in order.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Receiver, Shared, backoff, failing};
use crate::domain::notice::digest::digest;
use crate::domain::notice::status::ReceiverStatus;
use crate::domain::notice::{Message, Notice, Part};
use crate::domain::printable::shown;
use crate::domain::verdict::elapsed;
use crate::engine::ports::notices::{Claim, Claimed, Delivery, FailedTry, Sent, Taken};

/// A worker that knows of nothing to come looks again after this.
const IDLE: Duration = Duration::from_secs(30);

/// Pause after an error of the store.
const STORE_PAUSE: Duration = Duration::from_secs(3);

/// A lease lasts longer than a message may take, so that nobody sends again what is still on its way.
const LEASE_BEYOND: Duration = Duration::from_secs(20);

/// What was refused for itself so often while others were taken is given up.
const MOST_REFUSALS: u32 = 6;

/// A receiver that nobody could reach for so long is said to fail.
const FAILING_FOR: Duration = Duration::from_secs(15 * 60);

struct Worker {
    receiver: Receiver,
    shared: Shared,
    stopped: watch::Receiver<bool>,
    /// Tries in a row that failed, and since when.
    failures: u32,
    failing_since: Option<Timestamp>,
    /// Whether it was said in the log that the receiver can't be reached.
    down: bool,
    /// Whether another receiver was told that this one fails.
    told_of: bool,
    /// Several together were refused: so many go one at a time now.
    alone: usize,
    /// Several together were refused, though one alone was taken since.
    suspicious: bool,
}

/// How a try failed.
struct Trouble {
    after: Option<Duration>,
    why: Arc<str>,
    unsure: bool,
    sort: Sort,
}

enum Sort {
    /// It passes by itself.
    Passing,
    /// A person has to mend it.
    Refused,
    /// Only this message, as far as can be seen.
    Unfit,
    /// Some addresses have it.
    Partly(Vec<Part>),
}

impl Trouble {
    fn passing(why: &str) -> Self {
        Self { after: None, why: why.into(), unsure: true, sort: Sort::Passing }
    }

    fn of(sent: Sent) -> Self {
        let (after, why, unsure, sort) = match sent {
            Sent::RetryLater { after, why, unsure } => (after, why, unsure, Sort::Passing),
            Sent::Refused { why } => (None, why, false, Sort::Refused),
            Sent::Partly { parts, why } => (None, why, true, Sort::Partly(parts)),
            Sent::Unfit { why } | Sent::Drop { why } | Sent::Ok { said: why, .. } => (None, why, false, Sort::Unfit),
        };
        Self { after, why, unsure, sort }
    }
}

/// Delivers until it is stopped.
pub(super) async fn run(receiver: Receiver, shared: Shared, stopped: watch::Receiver<bool>) {
    let mut queued = shared.queued.subscribe();
    let mut worker = Worker::of(receiver, shared, stopped);
    worker.prepare().await;
    while !*worker.stopped.borrow() {
        queued.mark_unchanged();
        match worker.step().await {
            Next::At(wait) => {
                let mut stopped = worker.stopped.clone();
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = queued.changed() => {}
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
            }
            Next::NotBefore(pause) => {
                worker.pause_or_stop(pause).await;
            }
        }
    }
}

/// When to look again.
enum Next {
    /// After this, or when something was queued.
    At(Duration),
    /// After this, whatever was queued: the other side wants to be left alone.
    NotBefore(Duration),
}

impl Worker {
    fn of(receiver: Receiver, shared: Shared, stopped: watch::Receiver<bool>) -> Self {
        Self {
            receiver,
            shared,
            stopped,
            failures: 0,
            failing_since: None,
            down: false,
            told_of: false,
            alone: 0,
            suspicious: false,
        }
    }

    /// Learns what was known before the start, and asks the receiver whether it would take anything.
    async fn prepare(&mut self) {
        let mut stopped = self.stopped.clone();
        let key = failing::key(&self.receiver.name);
        let learn = async {
            let lasting = self.shared.store.stories(failing::PREFIX).await;
            let messenger = self.receiver.messenger.clone();
            let limit = self.shared.settings.message_timeout;
            let asked = tokio::time::timeout(limit, messenger.check()).await;
            (lasting.is_ok_and(|all| all.iter().any(|it| it.key == key)), asked)
        };
        let (lasting, asked) = tokio::select! {
            learned = learn => learned,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        self.told_of = lasting;
        let now = self.shared.clock.now();
        match asked {
            Ok(Some(Sent::Ok { .. })) => self.works(now).await,
            Ok(Some(sent)) => self.fails(&Trouble::of(sent), now).await,
            Err(_) => self.fails(&Trouble::passing("it did not answer in time"), now).await,
            Ok(None) => {}
        }
        // What was asked was no message: the first of those isn't late because of it.
        self.failures = 0;
    }

    /// Delivers the next message, if there is one.
    async fn step(&mut self) -> Next {
        let now = self.shared.clock.now();
        let lease = now + self.limit() + LEASE_BEYOND;
        let (owner, above) = (self.shared.settings.owner.clone(), self.shared.settings.above);
        let claim = Claim { owner, now, lease, above, alone: self.alone > 0 };
        match self.shared.store.claim(&self.receiver.name, &claim).await {
            Ok(Claimed::Some(deliveries)) => Next::NotBefore(self.deliver(&deliveries).await),
            Ok(Claimed::Nothing(next)) => {
                // A little late, so that a time that was rounded down has passed.
                let until = next.map(|next| elapsed(now, next) + Duration::from_millis(20));
                Next::At(until.map_or(IDLE, |until| until.min(IDLE)))
            }
            // The router says so in the log.
            Err(_) => Next::NotBefore(STORE_PAUSE),
        }
    }

    /// A message takes no longer.
    fn limit(&self) -> Duration {
        self.shared.settings.message_timeout.max(self.receiver.messenger.limit())
    }

    async fn deliver(&mut self, deliveries: &[Delivery]) -> Duration {
        let message = message(deliveries, self.shared.clock.now());
        let messenger = self.receiver.messenger.clone();
        let limit = self.limit();
        let mut stopped = self.stopped.clone();
        let sent = tokio::select! {
            sent = tokio::time::timeout(limit, messenger.send(&message)) => {
                sent.map_err(|_| Trouble::passing("it did not answer in time"))
            }
            _ = stopped.wait_for(|stop| *stop) => Err(Trouble::passing("firedrill was stopped while it was sent")),
        };
        let now = self.shared.clock.now();
        match sent {
            Ok(Sent::Ok { remote_id, note, .. }) => {
                self.suspicious &= deliveries.len() == 1;
                self.works(now).await;
                self.note_sent(deliveries, &Taken { remote_id, note, at: now }).await;
                messenger.pause()
            }
            Ok(Sent::Drop { why }) => {
                self.give_up(deliveries, why, false).await;
                messenger.pause()
            }
            Ok(sent) => self.again(deliveries, Trouble::of(sent), now).await,
            Err(trouble) => self.again(deliveries, trouble, now).await,
        }
    }

    async fn note_sent(&mut self, deliveries: &[Delivery], taken: &Taken) {
        self.count(|it| it.sent += deliveries.len() as u64);
        if let Some(note) = &taken.note {
            tracing::warn!(receiver = &*self.receiver.name, "not everybody has it: {note}");
        }
        // What can't be noted now would be sent again after the lease: better to wait here.
        let owner = self.shared.settings.owner.clone();
        let mut said = false;
        while let Err(error) = self.shared.store.sent(deliveries, &owner, taken).await {
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(receiver = &*self.receiver.name, "that it was notified can't be noted: {error}");
            }
            if self.pause_or_stop(STORE_PAUSE).await {
                return;
            }
        }
    }

    /// The receiver took something.
    async fn works(&mut self, now: Timestamp) {
        if std::mem::take(&mut self.down) {
            tracing::info!(receiver = &*self.receiver.name, "the receiver can be reached again");
        }
        (self.failures, self.failing_since, self.alone) = (0, None, self.alone.saturating_sub(1));
        self.count(|it| it.up = Some(true));
        if std::mem::take(&mut self.told_of) {
            self.post(failing::over(&self.receiver.name, now)).await;
        }
    }

    /// The receiver took nothing.
    async fn fails(&mut self, trouble: &Trouble, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let since = *self.failing_since.get_or_insert(now);
        self.count(|it| it.up = Some(false));
        if !std::mem::replace(&mut self.down, true) {
            let why = &trouble.why;
            tracing::warn!(
                receiver = &*self.receiver.name,
                "the receiver could not be notified, it is tried again: {why}"
            );
        }
        let refused = matches!(trouble.sort, Sort::Refused);
        if self.told_of || !(refused || elapsed(since, now) >= FAILING_FOR) {
            return;
        }
        let status = self.shared.status.borrow().clone();
        if let Some(other) = failing::another(&status, &self.receiver.name) {
            self.told_of = true;
            self.post(failing::notice(&self.receiver.name, &trouble.why, other, now)).await;
        }
    }

    async fn post(&self, notice: Notice) {
        if let Err(error) = self.shared.store.post(&[notice]).await {
            tracing::warn!(receiver = &*self.receiver.name, "another receiver can't be told of it: {error}");
        }
    }

    /// Has it tried again, or gives it up when its time is over. How long to leave the receiver alone.
    async fn again(&mut self, deliveries: &[Delivery], trouble: Trouble, now: Timestamp) -> Duration {
        let stopping = *self.stopped.borrow();
        if !stopping {
            self.note_trouble(deliveries, &trouble, now).await;
        }
        let limit = self.shared.settings.give_up_after;
        // However long it is asked to wait, there is a last try when the time is over.
        let left = deliveries.iter().map(|it| limit.saturating_sub(elapsed(it.since, now))).max().unwrap_or_default();
        let (pause, due) = if stopping { Default::default() } else { self.pauses(deliveries, &trouble) };
        let (expired, kept): (Vec<Delivery>, Vec<Delivery>) =
            deliveries.iter().cloned().partition(|it| elapsed(it.since, now) >= limit);
        if !expired.is_empty() {
            self.expire(&expired, &trouble, now).await;
        }
        let Trouble { why, unsure, sort, .. } = trouble;
        let unfit = if matches!(sort, Sort::Unfit) { refusals(&kept) } else { 0 };
        if unfit >= MOST_REFUSALS {
            let why = format!("given up: refused {unfit} times while others were taken; last: {why}");
            self.give_up(&kept, why.into(), false).await;
        } else if !kept.is_empty() {
            let parts = if let Sort::Partly(parts) = sort { parts } else { Vec::new() };
            let again = Some(now + due.min(left));
            self.note_failed(&kept, &FailedTry { again, why, unsure, parts, unfit, at: now }).await;
        }
        pause.min(left)
    }

    /// What a failure says of the receiver.
    async fn note_trouble(&mut self, deliveries: &[Delivery], trouble: &Trouble, now: Timestamp) {
        self.count(|it| it.retried += 1);
        match (&trouble.sort, deliveries) {
            (Sort::Partly(_), _) => self.works(now).await,
            // It is this one: the receiver takes others.
            (Sort::Unfit, [one]) if one.others_taken => {}
            _ => self.fails(trouble, now).await,
        }
        if deliveries.len() > 1 && matches!(trouble.sort, Sort::Unfit) {
            // The receiver may be out of order as a whole: one shows it. If not, the bad one is found one by one.
            self.alone = if std::mem::replace(&mut self.suspicious, true) { deliveries.len() } else { 1 };
        }
    }

    /// How long to leave the receiver alone, and when to try these again.
    fn pauses(&self, deliveries: &[Delivery], trouble: &Trouble) -> (Duration, Duration) {
        let tries = deliveries.iter().map(|it| it.tries).max().unwrap_or(1);
        let random = backoff::random();
        let slow = |tries| backoff::slow(tries, self.shared.settings.slow_retry, random);
        let between = self.receiver.messenger.pause();
        match (&trouble.sort, deliveries) {
            (Sort::Refused, _) => (slow(self.failures.max(1)), slow(self.failures.max(1))),
            (Sort::Partly(_), _) => (between, backoff::pause(tries, None, random)),
            (Sort::Unfit, [one]) if one.others_taken => (between, slow(refusals(deliveries).saturating_sub(1))),
            (sort, _) => {
                let pause = backoff::pause(tries.max(self.failures), trouble.after, random);
                // What holds up nobody comes after one of those behind it.
                let aside = matches!(sort, Sort::Unfit) && deliveries.len() == 1;
                (pause, if aside { 2 * pause + Duration::from_millis(100) } else { pause })
            }
        }
    }

    /// Its time is over. Where some addresses have it, it was told.
    async fn expire(&mut self, expired: &[Delivery], trouble: &Trouble, now: Timestamp) {
        let parts = match &trouble.sort {
            Sort::Partly(parts) => parts.as_slice(),
            _ => expired.first().map_or(&[][..], |it| it.parts.as_slice()),
        };
        let why = &trouble.why;
        if parts.iter().any(|part| part.taken) {
            let note = format!("the rest was given up, last: {why}");
            return self.note_sent(expired, &Taken { remote_id: None, note: Some(note.into()), at: now }).await;
        }
        let why = format!("given up, nobody took it in time; last: {why}");
        self.give_up(expired, why.into(), trouble.unsure).await;
    }

    async fn give_up(&mut self, deliveries: &[Delivery], why: Arc<str>, unsure: bool) {
        let first = deliveries.first().map_or_else(String::new, |it| shown(&it.notice.title));
        tracing::error!(
            receiver = &*self.receiver.name,
            notices = deliveries.len(),
            title = first,
            "not delivered: {why}"
        );
        self.count(|it| it.dropped += deliveries.len() as u64);
        let at = self.shared.clock.now();
        let unfit = deliveries.iter().map(|it| it.unfit).max().unwrap_or(0);
        self.note_failed(deliveries, &FailedTry { again: None, why, unsure, parts: Vec::new(), unfit, at }).await;
    }

    async fn note_failed(&mut self, deliveries: &[Delivery], failure: &FailedTry) {
        let owner = self.shared.settings.owner.clone();
        while self.shared.store.failed(deliveries, &owner, failure).await.is_err() {
            // When it can't be noted the lease ends, and it is tried again.
            if self.pause_or_stop(STORE_PAUSE).await {
                return;
            }
        }
    }

    /// Waits. Whether it is to stop.
    async fn pause_or_stop(&mut self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.stopped.wait_for(|stop| *stop)).await.is_ok()
    }

    fn count(&self, change: impl FnOnce(&mut ReceiverStatus)) {
        self.shared.status.send_modify(|status| {
            if let Some(it) = status.receiver(&self.receiver.name) {
                change(it);
            }
        });
    }
}

/// How often they were refused for themselves, this time included. What is refused together, or while nothing else is taken
/// either, may be as good as any.
pub(super) fn refusals(deliveries: &[Delivery]) -> u32 {
    match deliveries {
        [one] if one.others_taken && one.unfit > 0 => one.unfit + 1,
        all => all.iter().map(|it| it.unfit).max().unwrap_or(0).max(1),
    }
}

fn message(deliveries: &[Delivery], now: Timestamp) -> Message {
    let parts = deliveries.first().map_or_else(Vec::new, |it| it.parts.clone());
    if let [one] = deliveries {
        return Message { notice: one.notice.clone(), why: one.why, reply_to: one.reply_to.clone(), parts };
    }
    let all: Vec<_> = deliveries.iter().map(|it| (it.notice.clone(), it.why)).collect();
    Message { notice: digest(&all, now), why: crate::domain::notice::dedup::Why::Event, reply_to: None, parts }
}
