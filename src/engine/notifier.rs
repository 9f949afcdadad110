//! Tells people: routes notices, and delivers them.
//!
//! ```text
//!   posted by anybody ──► store ──► router: who, why ──► store ──► worker (one per receiver) ──► messenger
//!                           ▲                                         │ sent, again later, given up
//!   watcher (items) ────────┘                                         └──► store
//! ```
//! All state is in the store, so that a restart loses nothing: what was on its way is sent again when its lease is over. A
//! notice is delivered at least once. Each receiver has a worker of its own: one that is down or hangs delays nobody else.

pub mod backoff;
mod failing;
pub mod watch_items;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::beat::beat;
use super::ports::Clock;
use super::ports::notices::{Messenger, NoticeStore, Routing};
use super::statuses::{self, Post};
use crate::domain::inventory::Inventory;
use crate::domain::notice::status::NotifierStatus;

/// Where nobody wrote anything it is looked at all the same after this: quiet hours end by themselves.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Old notices are forgotten this often.
const FORGET: Duration = Duration::from_secs(60 * 60);

/// Pause between two tries to open the store.
const REOPEN: Duration = Duration::from_secs(10);

/// How to notify.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Names this process among those that use the store.
    pub owner: Arc<str>,
    /// Who is told of what.
    pub plan: Routing,
    /// More waiting notices than this go into one message.
    pub above: usize,
    /// What could not be delivered for so long is dropped.
    pub give_up_after: Duration,
    /// A message that takes longer has failed.
    pub message_timeout: Duration,
    /// The first pause after a refusal that only a person can end.
    pub slow_retry: Duration,
    /// Sent notices are kept so long.
    pub keep: Duration,
    /// Whether the state of backups is told.
    pub backups: bool,
}

/// One who can be told.
#[derive(Clone)]
pub struct Receiver {
    /// As configured.
    pub name: Arc<str>,
    /// The way there.
    pub messenger: Arc<dyn Messenger>,
}

/// What the notifier needs of the outside.
#[derive(Clone)]
pub struct Outside {
    /// Keeps the notices.
    pub store: Arc<dyn NoticeStore>,
    /// Everybody who can be told.
    pub receivers: Vec<Receiver>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

/// What the loops share.
#[derive(Clone)]
struct Shared {
    settings: Arc<Settings>,
    store: Arc<dyn NoticeStore>,
    clock: Arc<dyn Clock>,
    status: watch::Sender<NotifierStatus>,
    /// Changes when the router queued something.
    queued: watch::Sender<u64>,
}

/// Notifies until it is stopped. Returns early only when a loop of its own failed.
pub async fn run(
    settings: Settings,
    outside: Outside,
    inventories: watch::Receiver<Arc<Inventory>>,
    post: Post<NotifierStatus>,
    mut stopped: watch::Receiver<bool>,
) {
    let names = outside.receivers.iter().map(|it| it.name.clone());
    let status = watch::Sender::new(NotifierStatus::of(names));
    let mut loops = JoinSet::new();
    // The families of metrics exist from the start, whether or not the store can be opened.
    loops.spawn(publish(status.subscribe(), post));
    let store = outside.store;
    tokio::select! {
        () = open(&*store) => {}
        _ = stopped.wait_for(|stop| *stop) => return,
    }
    remember(&*store, &status).await;
    let settings = Arc::new(settings);
    let shared = Shared { settings, store, clock: outside.clock, status, queued: watch::Sender::new(0) };
    let mut workers = JoinSet::new();
    for receiver in outside.receivers {
        workers.spawn(worker::run(receiver, shared.clone(), stopped.clone()));
    }
    if shared.settings.backups {
        let (store, clock) = (shared.store.clone(), shared.clock.clone());
        loops.spawn(watch_items::run(store, clock, inventories, shared.settings.plan.repeat));
    }
    loops.spawn(route(shared));
    tokio::select! {
        _ = stopped.wait_for(|stop| *stop) => {}
        ended = loops.join_next() => resume(ended),
        ended = workers.join_next(), if !workers.is_empty() => resume(ended),
    }
    // Workers say in the store what they leave undone.
    while *stopped.borrow() && workers.join_next().await.is_some() {}
}

/// A loop that panicked is a defect of this task.
fn resume(ended: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(defect)) = ended
        && defect.is_panic()
    {
        std::panic::resume_unwind(defect.into_panic());
    }
}

/// Returns once the store could be opened.
async fn open(store: &dyn NoticeStore) {
    let mut told = false;
    loop {
        match store.ready().await {
            Ok(()) => return,
            Err(error) if !told => {
                tracing::error!("nobody can be notified: {error}");
                told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(REOPEN).await;
    }
}

/// A receiver that failed before a restart fails until it is known better.
async fn remember(store: &dyn NoticeStore, status: &watch::Sender<NotifierStatus>) {
    // An error is one of the store, which its other users tell of.
    let Ok(known) = store.last_tries().await else { return };
    status.send_modify(|status| {
        for tried in known {
            if let Some(it) = status.receiver(&tried.receiver) {
                it.up = Some(tried.worked);
            }
        }
    });
}

/// Says how it stands, at most once per second.
async fn publish(mut status: watch::Receiver<NotifierStatus>, post: Post<NotifierStatus>) {
    loop {
        let current = status.borrow_and_update().clone();
        statuses::say(&post, current);
        beat().await;
        if status.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Routes what was posted, counts what waits, forgets what is old.
async fn route(shared: Shared) {
    let mut forgot: Option<Timestamp> = None;
    let mut trouble = false;
    let (mut seen, mut looked): (Option<i64>, Option<Instant>) = (None, None);
    loop {
        let version = shared.store.version().await;
        let lately = looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN);
        if version.is_some() && version == seen && lately && !trouble {
            beat().await;
            continue;
        }
        (seen, looked) = (version, Some(Instant::now()));
        let now = shared.clock.now();
        let done = async {
            route_all(&shared, now).await?;
            count(&shared, now).await?;
            if forgot.is_none_or(|then| crate::domain::verdict::elapsed(then, now) >= FORGET) {
                let before = now.checked_sub(shared.settings.keep).unwrap_or(Timestamp::MIN);
                shared.store.forget_notices(before).await?;
                shared.store.offer_again(shared.settings.plan.repeat, now).await?;
                forgot = Some(now);
            }
            Ok::<(), super::ports::StoreError>(())
        };
        match done.await {
            Ok(()) if trouble => {
                tracing::info!("the store of notices works again");
                trouble = false;
            }
            Ok(()) => {}
            Err(error) if !trouble => {
                tracing::error!("nobody can be notified: {error}");
                trouble = true;
            }
            Err(_) => {}
        }
        beat().await;
    }
}

async fn route_all(shared: &Shared, now: Timestamp) -> Result<(), super::ports::StoreError> {
    loop {
        let routed = shared.store.route(&shared.settings.plan, now).await?;
        if routed.queued > 0 {
            shared.queued.send_modify(|rounds| *rounds += 1);
        }
        if routed.notices == 0 {
            return Ok(());
        }
        shared.status.send_if_modified(|status| {
            for name in &routed.suppressed {
                if let Some(it) = status.receiver(name) {
                    it.suppressed += 1;
                }
            }
            !routed.suppressed.is_empty()
        });
    }
}

async fn count(shared: &Shared, now: Timestamp) -> Result<(), super::ports::StoreError> {
    let queues = shared.store.queues(now).await?;
    shared.status.send_if_modified(|status| {
        let before = status.clone();
        for it in &mut status.receivers {
            let queue = queues.iter().find(|queue| queue.receiver == it.name);
            it.queued = queue.map_or(0, |queue| queue.length);
            it.oldest = queue.and_then(|queue| queue.oldest);
        }
        *status != before
    });
    Ok(())
}

#[cfg(test)]
mod tests;
