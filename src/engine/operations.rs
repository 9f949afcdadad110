//! Drives operations: takes those that nobody drives, and carries each from one state to the next until it is over.
//!
//! ```text
//!   store: planned ──► claim (lease) ──► step (pure) ──► state durable ──► orders carried out ──► event ──► step …
//!                         ▲                                                                         │
//!                         └── owner gone, or its lease over: Restarted ◄── crash, lost lease ◄──────┘
//! ```
//! Nothing is begun before the state that says so is durable, and nobody but the owner makes a state durable: who lost the lease
//! ends what it runs before another one may begin.

mod driver;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::driver::Driver;
use super::ports::ledger::{LEASE, Processes};
use super::ports::operations::{Operation, OperationStore, Performer, Progress};
use super::ports::{Clock, StoreError};
use crate::domain::operation::State;

/// Old operations are forgotten so often.
const HOUSEKEEPING: Duration = Duration::from_secs(60 * 60);

/// How often what is done.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The time is looked at, and what was said is heard.
    pub tick: Duration,
    /// The store is looked at without being woken.
    pub look: Duration,
    /// A driver that isn't heard of for so long is taken for dead.
    pub lease: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { tick: Duration::from_secs(1), look: Duration::from_secs(5), lease: LEASE }
    }
}

impl Pace {
    /// A lease is renewed so often.
    fn keep(self) -> Duration {
        self.lease / 4
    }

    /// One that could not be renewed counts so long at most: until its end all that runs has ended.
    fn sure(self) -> Duration {
        self.lease / 3 * 2
    }

    /// What was told to end, or took too long, gets so long before it is cut off.
    fn grace(self) -> Duration {
        self.lease / 10
    }
}

/// Who performs which kind.
pub type Performers = BTreeMap<&'static str, Arc<dyn Performer>>;

/// The outside, as operations need it.
#[derive(Clone)]
pub struct Outside {
    /// Keeps where they stand.
    pub store: Arc<dyn OperationStore>,
    /// Who performs their effects. Operations of other kinds are left to others.
    pub performers: Arc<Performers>,
    /// Tells processes apart.
    pub processes: Arc<dyn Processes>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Something new is there, or something was said.
    pub wake: Arc<Notify>,
    /// How often what is done.
    pub pace: Pace,
    /// How far what runs here is.
    pub board: Board,
}

/// What runs here, by its number. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<BTreeMap<i64, Post>>>);

#[derive(Debug)]
struct Post {
    title: Arc<str>,
    sentence: String,
    progress: Option<watch::Receiver<Progress>>,
}

/// An operation that runs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub title: Arc<str>,
    /// Where it stands.
    pub sentence: String,
    /// How far its effect is, if one runs.
    pub progress: Option<Progress>,
}

impl Board {
    /// All that run here, by rising number.
    pub fn all(&self) -> Vec<Shown> {
        let show = |(id, post): (&i64, &Post)| {
            let progress = post.progress.as_ref().map(|progress| progress.borrow().clone());
            Shown { id: *id, title: post.title.clone(), sentence: post.sentence.clone(), progress }
        };
        self.lock().iter().map(show).collect()
    }

    /// How far the effect of an operation is, where one runs here.
    pub fn of(&self, operation: i64) -> Option<Progress> {
        self.lock().get(&operation)?.progress.as_ref().map(|progress| progress.borrow().clone())
    }

    /// Says where an operation stands.
    pub fn put(&self, operation: i64, title: Arc<str>, sentence: String) {
        self.lock().insert(operation, Post { title, sentence, progress: None });
    }

    fn follow(&self, operation: i64, progress: watch::Receiver<Progress>) {
        if let Some(post) = self.lock().get_mut(&operation) {
            post.progress = Some(progress);
        }
    }

    fn remove(&self, operation: i64) {
        self.lock().remove(&operation);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i64, Post>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drives all that can be driven until told to stop. What runs then is ended, and whoever comes next goes on. What ended is
/// forgotten after `retention`.
pub async fn run(outside: Outside, retention: Duration, mut stop: watch::Receiver<bool>) {
    let mut drivers: JoinSet<i64> = JoinSet::new();
    let mut here: HashSet<i64> = HashSet::new();
    let mut tidied: Option<Instant> = None;
    let mut told = false;
    loop {
        if tidied.is_none_or(|at| at.elapsed() >= HOUSEKEEPING) {
            tidied = Some(Instant::now());
            tidy_up(&outside, retention).await;
        }
        match take_all(&outside, &here).await {
            Ok(taken) => {
                told = false;
                for driver in taken {
                    here.insert(driver.id());
                    drivers.spawn(driver.drive(stop.clone()));
                }
            }
            // Once: it is looked again every few seconds, and a store that is down is told of elsewhere.
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::warn!("operations can't be looked at: {error}");
            }
            Err(_) => {}
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(ended) = drivers.join_next() => forget(&mut here, ended),
            () = outside.wake.notified() => {}
            () = tokio::time::sleep(outside.pace.look) => {}
        }
    }
    while drivers.join_next().await.is_some() {}
}

async fn tidy_up(outside: &Outside, retention: Duration) {
    let before = outside.clock.now().checked_sub(retention).unwrap_or(Timestamp::MIN);
    match outside.store.forget_operations(before).await {
        Ok(0) => {}
        Ok(forgotten) => tracing::info!(forgotten, "old operations were removed from the store"),
        Err(error) => tracing::warn!("old operations could not be removed: {error}"),
    }
}

fn forget(here: &mut HashSet<i64>, ended: Result<i64, tokio::task::JoinError>) {
    match ended {
        Ok(id) => drop(here.remove(&id)),
        Err(defect) => std::panic::resume_unwind(defect.into_panic()),
    }
}

/// Drives one operation, if nobody else does, until it is over or told to stop: for commands. Where it stands then.
pub async fn run_one(outside: Outside, id: i64, stop: watch::Receiver<bool>) -> Result<Option<State>, StoreError> {
    let find = async || Ok(outside.store.operation(id).await?.map(|(it, _)| it));
    if let Some(it) = find().await?.filter(|it| it.ended.is_none())
        && let Some(driver) = take(&outside, it).await?
    {
        driver.drive(stop).await;
    }
    Ok(find().await?.map(|it| it.state))
}

async fn take_all(outside: &Outside, here: &HashSet<i64>) -> Result<Vec<Driver>, StoreError> {
    let mut taken = Vec::new();
    for it in outside.store.open().await? {
        if !here.contains(&it.id) {
            taken.extend(take(outside, it).await?);
        }
    }
    Ok(taken)
}

/// Takes an operation that nobody drives, this process neither.
async fn take(outside: &Outside, it: Operation) -> Result<Option<Driver>, StoreError> {
    let Some(performer) = outside.performers.get(&*it.kind) else { return Ok(None) };
    let now = outside.clock.now();
    let me = outside.processes.me();
    let free = match &it.owner {
        None => true,
        // What this process drives isn't asked for: here an answer of the store got lost, or the lease was given up. All that
        // ran has ended.
        Some((owner, _)) if *owner == me => true,
        Some((owner, lease)) => *lease <= now || outside.processes.is_gone(owner),
    };
    if !free {
        return Ok(None);
    }
    let asked = Instant::now();
    let lease = now.checked_add(outside.pace.lease).unwrap_or(now);
    if !outside.store.claim(&it, &me, lease).await? {
        return Ok(None);
    }
    Ok(Some(Driver::new(outside.clone(), performer.clone(), it, me, asked)))
}
