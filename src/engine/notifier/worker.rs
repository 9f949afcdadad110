//! Delivers to one receiver, in order.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Receiver, Shared, backoff};
use crate::domain::notice::Message;
use crate::domain::notice::digest::digest;
use crate::domain::notice::status::ReceiverStatus;
use crate::domain::verdict::elapsed;
use crate::engine::ports::notices::{Claim, Claimed, Delivery, Failure, Sent};

/// A worker that knows of nothing to come looks again after this.
const IDLE: Duration = Duration::from_secs(30);

/// Pause after an error of the store.
const STORE_PAUSE: Duration = Duration::from_secs(3);

/// A lease lasts longer than a message may take, so that nobody sends again what is still on its way.
const LEASE_BEYOND: Duration = Duration::from_secs(20);

struct Worker {
    receiver: Receiver,
    shared: Shared,
    stopped: watch::Receiver<bool>,
    /// Whether it was said that the receiver can't be reached.
    down: bool,
}

/// Delivers until it is stopped.
pub(super) async fn run(receiver: Receiver, shared: Shared, stopped: watch::Receiver<bool>) {
    let mut queued = shared.queued.subscribe();
    let mut worker = Worker { receiver, shared, stopped, down: false };
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
    /// Delivers the next message, if there is one.
    async fn step(&mut self) -> Next {
        let now = self.shared.clock.now();
        let lease = now + self.shared.settings.message_timeout + LEASE_BEYOND;
        let claim = Claim { owner: self.shared.settings.owner.clone(), now, lease, above: self.shared.settings.above };
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

    async fn deliver(&mut self, deliveries: &[Delivery]) -> Duration {
        let message = message(deliveries, self.shared.clock.now());
        let messenger = self.receiver.messenger.clone();
        let limit = self.shared.settings.message_timeout;
        let mut stopped = self.stopped.clone();
        let sent = tokio::select! {
            sent = tokio::time::timeout(limit, messenger.send(&message)) => sent.unwrap_or_else(|_| later("it did not answer in time")),
            _ = stopped.wait_for(|stop| *stop) => later("firedrill was stopped while it was sent"),
        };
        let now = self.shared.clock.now();
        match sent {
            Sent::Ok { remote_id, .. } => {
                self.note_sent(deliveries, remote_id, now).await;
                messenger.pause()
            }
            Sent::RetryLater { after, why, unsure } => self.retry(deliveries, after, why, unsure, now).await,
            Sent::Drop { why } => {
                self.count(|it| it.up = Some(false));
                self.give_up(deliveries, why, false).await;
                messenger.pause()
            }
        }
    }

    async fn note_sent(&mut self, deliveries: &[Delivery], remote_id: Option<Arc<str>>, now: Timestamp) {
        if std::mem::take(&mut self.down) {
            tracing::info!(receiver = &*self.receiver.name, "the receiver can be reached again");
        }
        self.count(|it| {
            it.sent += deliveries.len() as u64;
            it.up = Some(true);
        });
        // What can't be noted now would be sent again after the lease: better to wait here.
        let owner = self.shared.settings.owner.clone();
        while let Err(error) = self.shared.store.sent(deliveries, &owner, remote_id.clone(), now).await {
            tracing::warn!(receiver = &*self.receiver.name, "that it was notified can't be noted: {error}");
            if self.pause_or_stop(STORE_PAUSE).await {
                return;
            }
        }
    }

    async fn retry(
        &mut self,
        deliveries: &[Delivery],
        after: Option<Duration>,
        why: Arc<str>,
        unsure: bool,
        now: Timestamp,
    ) -> Duration {
        let tries = deliveries.iter().map(|it| it.tries).max().unwrap_or(1);
        let stopping = *self.stopped.borrow();
        let pause = if stopping { Duration::ZERO } else { backoff::pause(tries, after, backoff::random()) };
        if !stopping {
            self.count(|it| {
                it.retried += 1;
                it.up = Some(false);
            });
            if !std::mem::replace(&mut self.down, true) {
                tracing::warn!(
                    receiver = &*self.receiver.name,
                    "the receiver could not be notified, it is tried again: {why}"
                );
            }
        }
        let limit = self.shared.settings.give_up_after;
        // However long it is asked to wait, there is a last try when the time is over.
        let left = deliveries.iter().map(|it| limit.saturating_sub(elapsed(it.since, now))).max().unwrap_or_default();
        let pause = pause.min(left);
        let old = |it: &&Delivery| elapsed(it.since, now) >= limit;
        let (expired, kept): (Vec<&Delivery>, Vec<&Delivery>) = deliveries.iter().partition(old);
        let expired: Vec<Delivery> = expired.into_iter().cloned().collect();
        let kept: Vec<Delivery> = kept.into_iter().cloned().collect();
        if !expired.is_empty() {
            self.give_up(&expired, format!("given up, nobody took it in time; last: {why}").into(), unsure).await;
        }
        if !kept.is_empty() {
            let failure = Failure { again: Some(now + pause), why, unsure };
            self.note_failed(&kept, &failure).await;
        }
        pause
    }

    async fn give_up(&mut self, deliveries: &[Delivery], why: Arc<str>, unsure: bool) {
        let first = deliveries.first().map_or("", |it| &*it.notice.title);
        tracing::error!(
            receiver = &*self.receiver.name,
            notices = deliveries.len(),
            title = first,
            "not delivered: {why}"
        );
        self.count(|it| it.dropped += deliveries.len() as u64);
        self.note_failed(deliveries, &Failure { again: None, why, unsure }).await;
    }

    async fn note_failed(&mut self, deliveries: &[Delivery], failure: &Failure) {
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

fn later(why: &str) -> Sent {
    Sent::RetryLater { after: None, why: why.into(), unsure: true }
}

fn message(deliveries: &[Delivery], now: Timestamp) -> Message {
    if let [one] = deliveries {
        return Message { notice: one.notice.clone(), why: one.why, reply_to: one.reply_to.clone() };
    }
    let all: Vec<_> = deliveries.iter().map(|it| (it.notice.clone(), it.why)).collect();
    Message { notice: digest(&all, now), why: crate::domain::notice::dedup::Why::Event, reply_to: None }
}
