//! The one owner of what is done: decides on alerts, begins actions, records what came of them.
//!
//! ```text
//!   alerts in the store ──► turn (one transaction): reclaim, decide, expire, begin ──► commit
//!                                                                                       │ the intent is durable
//!                                     turn: record Done or Failed, tell ◄── effects ◄───┘
//! ```
//! A turn holds a lock that no other daemon on the same store can hold at the same time. What runs has an owner with a
//! lease; what an owner that is gone left behind is decided again, but for hooks, of which nobody can know what they did.

mod batch;
mod done;
mod idle;
mod running;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use self::idle::Seen;
use self::running::{Ended, Running};
use super::beat::{BEAT, Beats};
use super::intake::Intake;
use super::ports::ledger::{Effect, LEASE, Ledger, Processes};
use super::ports::{Clock, StoreError};
use super::statuses::{self, Post};
use crate::domain::automation::action::Kind;
use crate::domain::automation::rule::Rules;
use crate::domain::automation::status::{Automation, OpenActions, Tally};
use crate::domain::inventory::Inventory;

/// What runs is said to be alive so often.
const RENEW: Duration = Duration::from_secs(10);

/// What is old is forgotten so often.
const TIDY: Duration = Duration::from_secs(60 * 60);

/// While alerts come in, what they need comes first: the pause after a turn is so many times as long as it,
const SHARE: u32 = 3;

/// and at most this.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A server that went away without a word is waited for so long.
const LONGEST_TURN: Duration = Duration::from_secs(60);

/// A turn that failed is tried again after a second, and after ever longer ones up to this while it goes on failing.
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// At the end, what ended is recorded if it takes no longer than this.
const LAST_TURN: Duration = Duration::from_millis(800);

/// What the reactor goes by.
pub struct Settings {
    /// The rules.
    pub rules: Rules,
    /// Alerts and actions are kept so long.
    pub retention: Duration,
}

/// The outside, as the reactor needs it.
#[derive(Clone)]
pub struct Outside {
    /// Keeps everything.
    pub ledger: Arc<dyn Ledger>,
    /// Does each sort of action.
    pub effects: BTreeMap<Kind, Arc<dyn Effect>>,
    /// Tells processes apart.
    pub processes: Arc<dyn Processes>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the webhook counts.
    pub intake: Intake,
    /// Something happened.
    pub wake: Arc<Notify>,
}

struct Reactor {
    settings: Settings,
    outside: Outside,
    inventories: watch::Receiver<Arc<Inventory>>,
    me: Arc<str>,
    running: Running,
    /// Results that the store didn't take yet.
    unsaved: Vec<Ended>,
    tally: Tally,
    open: Vec<OpenActions>,
    paused: Option<Timestamp>,
    last_turn: Option<Timestamp>,
    problem: Option<Arc<str>>,
    /// Turns that failed one after the other, and when the next one is worth trying.
    failed: u32,
    retry: Instant,
    renewed: Timestamp,
    tidied: Timestamp,
    /// Until then no lease of another daemon is taken for over: while the store was away nobody could renew one.
    trusts_leases: Instant,
    /// When the last turn ended, for that.
    turned: Instant,
    /// Since when the store has been there for what is told: before that an end may have been told to nobody.
    hears_since: Timestamp,
    /// What the webhook had counted after the last turn.
    received: [u64; 2],
    seen: Seen,
}

/// Reacts until told to stop, or until the inventory's owner is gone.
pub fn run(
    settings: Settings,
    outside: Outside,
    inventories: watch::Receiver<Arc<Inventory>>,
    status: Post<Automation>,
    stop: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send {
    // From now on it counts as listening, whenever it comes to its first turn.
    Reactor::new(settings, outside, inventories).live(status, stop)
}

/// Resolves when it was said, or when nobody is left to say it.
async fn told(stop: &mut watch::Receiver<bool>) {
    // The guard that this would return must not live on.
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Reactor {
    fn new(settings: Settings, outside: Outside, inventories: watch::Receiver<Arc<Inventory>>) -> Self {
        let now = outside.clock.now();
        Self {
            me: outside.processes.me(),
            settings,
            outside,
            inventories,
            running: Running::default(),
            unsaved: Vec::new(),
            tally: Tally::default(),
            open: Vec::new(),
            paused: None,
            last_turn: None,
            problem: None,
            failed: 0,
            retry: Instant::now(),
            renewed: now,
            tidied: now,
            trusts_leases: Instant::now(),
            turned: Instant::now(),
            hears_since: now,
            received: [0; 2],
            seen: Seen::default(),
        }
    }

    async fn live(mut self, status: Post<Automation>, mut stop: watch::Receiver<bool>) {
        let wake = self.outside.wake.clone();
        let mut tick = Beats::new();
        loop {
            let mut ticked = false;
            tokio::select! {
                // First: what ends because everything does isn't a failure.
                biased;
                () = told(&mut stop) => break,
                ended = self.running.next() => self.unsaved.push(ended),
                () = wake.notified() => {}
                () = tick.tick() => ticked = true,
            }
            let begun = Instant::now();
            if begun < self.retry {
                if ticked {
                    statuses::say(&status, self.status());
                }
                continue;
            }
            let slow =
                || StoreError { message: format!("the store did not answer within {}s", LONGEST_TURN.as_secs()) };
            let result = timeout(LONGEST_TURN, self.react(ticked)).await.unwrap_or_else(|_| Err(slow()));
            // A full batch, or something that ended: there may be more to do at once.
            if matches!(result, Ok(true)) {
                wake.notify_one();
            }
            self.settle(result.map(drop));
            let received = self.outside.intake.counts().received;
            if std::mem::replace(&mut self.received, received) != received {
                sleep(begun.elapsed().saturating_mul(SHARE).min(LONGEST_PAUSE)).await;
            }
            if ticked {
                statuses::say(&status, self.status());
            }
        }
        if timeout(LAST_TURN, self.stop()).await.is_err() {
            tracing::warn!("the store took no result in time at the end; what ran is decided again at the next start");
        }
    }

    /// Everything that is to be done now; nothing where only time passed. Whether there may be more at once.
    async fn react(&mut self, ticked: bool) -> Result<bool, StoreError> {
        let seen = self.look_around().await;
        if ticked && self.is_idle(&seen) {
            self.skip_turn();
            self.keep_house().await?;
            return Ok(false);
        }
        self.record_ends().await?;
        if self.turned.elapsed() > LEASE / 2 {
            self.trusts_leases = Instant::now() + LEASE;
            self.hears_since = self.outside.clock.now();
        }
        let more = self.take_turn().await?;
        self.turned = Instant::now();
        self.seen = seen;
        self.keep_house().await?;
        self.last_turn = Some(self.outside.clock.now());
        Ok(more)
    }

    async fn keep_house(&mut self) -> Result<(), StoreError> {
        let now = self.outside.clock.now();
        if !self.running.is_empty() && is_due(self.renewed, RENEW, now) {
            self.outside.ledger.renew(&self.me, after(now, LEASE)).await?;
            self.renewed = now;
        }
        if is_due(self.tidied, TIDY, now) {
            let before = now.checked_sub(self.settings.retention).unwrap_or(Timestamp::MIN);
            let forgotten = self.outside.ledger.forget_automation(before).await?;
            self.tidied = now;
            if forgotten > 0 {
                tracing::info!(forgotten, "old actions were removed from the store");
            }
        }
        Ok(())
    }

    fn settle(&mut self, result: Result<(), StoreError>) {
        match result {
            Ok(()) => {
                self.failed = 0;
                if let Some(problem) = self.problem.take() {
                    tracing::info!("the automation can use the store again (before: {problem})");
                }
            }
            Err(error) => {
                if self.problem.as_deref() != Some(&*error.message) {
                    tracing::error!("the automation stands still: {error}");
                }
                self.problem = Some(error.message.into());
                let pause = Duration::from_secs(1 << self.failed.min(4)).min(LONGEST_RETRY);
                // What woke it comes at ticks anyway.
                self.retry = Instant::now() + pause - BEAT / 2;
                self.failed = self.failed.saturating_add(1);
            }
        }
    }

    fn status(&self) -> Automation {
        Automation {
            intake: self.outside.intake.counts(),
            tally: self.tally,
            open: self.open.clone(),
            paused: self.paused,
            last_turn: self.last_turn,
            problem: self.problem.clone(),
        }
    }
}

fn after(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

/// Whether a pause is over; a clock that was set back ends it.
fn is_due(last: Timestamp, pause: Duration, now: Timestamp) -> bool {
    now < last || now >= after(last, pause)
}
