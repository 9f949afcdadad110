//! The daemon's verifier: proves what is new or unproven first, what was proven longest ago next, within limits.
//!
//! ```text
//!            inventory ──► candidates (pure) ──► threads: prove ────► results
//!                                                                      │ compare with the first sight, store
//!                 keeper ◄── proofs, status ◄──────────────────────────┘
//! ```
//! Each kind of proof has a lane: its prover, its workers, its window. One task owns what is known; threads only prove. Results that the store doesn't take wait and nothing new is begun
//! meanwhile, so that a full disk loses nothing. What was interrupted is simply unproven still, and is read again.

mod books;
mod hung;
mod lanes;
mod orders;
mod proof_log;
mod threads;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use self::books::Books;
use self::hung::Hung;
pub use self::lanes::Lane;
use self::lanes::Track;
use self::orders::Orders;
pub use self::orders::{Order, Unfulfilled};
use self::proof_log::ProofLog;
use self::threads::Threads;
use super::beat::Beats;
use super::keeper::News;
use super::ports::{Clock, ProofStore};
use super::provers::{Control, Examined, Job};
use super::statuses::{self, Post};
use super::watch::Watch;
use crate::domain::ids::SourceName;
use crate::domain::inventory::Inventory;
use crate::domain::look::PlaceListing;
use crate::domain::proof::{ArchiveId, Conclusion, Level, Verification};
use crate::domain::store::Standing;
use crate::domain::verification::{Counts, Verifier};

/// At the end, what was read is stored if it takes no longer than this.
const LAST_SAVE: Duration = Duration::from_millis(800);

/// Proofs grow old so slowly that a plan need not be made more often for that.
const REPLAN: Duration = Duration::from_secs(5 * 60);

/// What the verifier may and should do.
pub struct Settings {
    /// Sources to verify.
    pub sources: Vec<SourceName>,
    /// The kinds of proof. Where several prove a level, the first of them is asked for it.
    pub lanes: Vec<Lane>,
    /// From which level on a backup is proven.
    pub enough: Level,
    /// The same for sources that have their own.
    pub accepted: BTreeMap<SourceName, Level>,
    /// Verifications are kept so long.
    pub retention: Duration,
    /// Called first by the thread that all proving threads come from: takes it into the background.
    pub prepare: Arc<dyn Fn() + Send + Sync>,
}

/// The outside, as the verifier needs it.
#[derive(Clone)]
pub struct Outside {
    /// Keeps what was proven.
    pub store: Arc<dyn ProofStore>,
    /// How the store stands.
    pub standing: watch::Receiver<Standing>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Who hears of it.
pub struct Told {
    /// The keeper of the inventory: what is proven.
    pub news: mpsc::Sender<News>,
    /// How the verifier stands.
    pub status: Post<Verifier>,
}

/// A proof that is being made.
struct Proving {
    lane: Arc<Lane>,
    job: Job,
    control: Arc<Control>,
    watch: Watch,
    begun: std::time::Instant,
    started: Timestamp,
    /// Whether it was told that it hangs and can't be given up.
    told: bool,
}

struct State {
    outside: Outside,
    inventories: watch::Receiver<Arc<Inventory>>,
    books: Books,
    proof_log: ProofLog,
    orders: Orders,
    tracks: Vec<Track>,
    running: Vec<Proving>,
    threads: Threads,
    hung: Hung,
    /// Files that were listed and weren't there: pruned since the scan. The next one will tell.
    gone: HashSet<ArchiveId>,
    /// What the plan was made from.
    planned_from: Arc<Inventory>,
    stale: bool,
    replan: Pace,
    counts: Counts,
    /// Bytes of files that were read to their end or given up.
    read: u64,
    /// Bytes when progress was last seen, and when that was.
    progress: (u64, Option<Timestamp>),
}

/// Verifies until told to stop, or until the inventory's owner is gone.
pub async fn run(
    settings: Settings,
    outside: Outside,
    inventories: watch::Receiver<Arc<Inventory>>,
    told: Told,
    mut orders: mpsc::Receiver<Order>,
    mut stop: watch::Receiver<bool>,
) {
    let (ended, mut results) = mpsc::channel(settings.lanes.iter().map(|lane| lane.workers).sum::<usize>().max(1));
    let mut state = State::new(settings, outside, inventories.clone());
    let mut inventories = inventories;
    let mut tick = Beats::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(order) = orders.recv() => state.accept(order),
            Some((control, examined)) = results.recv() => state.take(control, examined),
            changed = inventories.changed() => match changed {
                Ok(()) => state.stale |= !same_files(&state.planned_from, &inventories.borrow()),
                Err(_) => break,
            },
            () = tick.tick() => {
                state.give_up_unwanted();
                state.give_up_hanging();
                state.proof_log.keep_open(&mut state.books).await;
                if !state.publish(&told).await {
                    break;
                }
            }
        }
        state.proof_log.save(&mut state.books).await;
        state.begin(&ended).await;
    }
    state.running.iter().for_each(|it| it.control.stop());
    // What was read to its end is worth a moment.
    if timeout(LAST_SAVE, state.proof_log.save(&mut state.books)).await.is_err() {
        tracing::warn!("the store took no result in time at the end; what it misses is read again");
    }
}

/// Resolves when it was said, or when nobody is left to say it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The guard that this would return must not live on.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A result, with the control of its work.
type Ended = (Arc<Control>, Examined);

impl State {
    fn new(settings: Settings, outside: Outside, inventories: watch::Receiver<Arc<Inventory>>) -> Self {
        let Settings { sources, lanes, enough, accepted, retention, prepare } = settings;
        let enough = |source: &SourceName| accepted.get(source).copied().unwrap_or(enough);
        Self {
            books: Books::new(&sources, enough),
            proof_log: ProofLog::new(outside.clone(), sources, retention, inventories.clone()),
            orders: Orders::default(),
            outside,
            inventories,
            tracks: lanes.into_iter().map(Track::of).collect(),
            running: Vec::new(),
            threads: Threads::new(prepare),
            hung: Hung::default(),
            gone: HashSet::new(),
            planned_from: Arc::default(),
            stale: true,
            replan: Pace::every(REPLAN),
            counts: Counts::default(),
            read: 0,
            progress: (0, None),
        }
    }

    /// A thread came to its end.
    fn take(&mut self, control: Arc<Control>, examined: Examined) {
        if self.is_from_the_past(&control) {
            return;
        }
        self.answers(&control);
        self.running.retain(|it| !Arc::ptr_eq(&it.control, &control));
        self.conclude(&control, examined);
    }

    /// A proof came to an end, or was given up.
    fn conclude(&mut self, control: &Arc<Control>, examined: Examined) {
        self.books.set_running(self.running.iter().map(|it| &it.job.archive));
        self.read += control.read.load(Ordering::Relaxed);
        self.orders.answer(control, &examined);
        match examined {
            Examined::Gone(verification) => {
                self.gone.insert(verification.archive.clone());
            }
            Examined::Stopped => {}
            Examined::Ended(verification) => {
                self.count(&verification);
                log(&verification);
                // Damage is known without the store; that nothing rotted isn't.
                if verification.conclusion == Conclusion::Damaged {
                    self.books.add(&verification);
                }
                self.proof_log.hand_in(*verification);
            }
        }
    }

    fn count(&mut self, verification: &Verification) {
        if let Some(conclusion) = Conclusion::ALL.iter().position(|it| *it == verification.conclusion) {
            self.counts[verification.wanted.position()][conclusion] += 1;
        }
    }

    /// Tells the keeper what changed. `false` when it is gone.
    async fn publish(&mut self, told: &Told) -> bool {
        // Archives become due by time alone.
        if self.stale || self.replan.due() {
            self.plan().await;
        }
        for (source, proofs) in self.books.changes(self.proof_log.trouble()) {
            if told.news.send(News(source, proofs)).await.is_err() {
                return false;
            }
        }
        statuses::say(&told.status, self.status());
        true
    }

    fn status(&mut self) -> Verifier {
        let now = self.outside.clock.now();
        let read = self.read + self.read_so_far();
        let idle = self.running.is_empty() && !self.tracks.iter().any(|track| track.has_work(now));
        if idle || read != self.progress.0 || self.progress.1.is_none() {
            self.progress = (read, Some(now));
        }
        Verifier {
            running: self.running.len(),
            hanging: self.hung.count(),
            waiting: self.tracks.iter().map(|track| track.waiting).sum(),
            unsaved: self.proof_log.unsaved(),
            open: self.is_open(),
            store_problem: self.proof_log.problem(),
            counts: self.counts,
            read,
            progress: self.progress.1,
            again_after: self.tracks.first().map_or(Duration::MAX, |track| track.lane.again_after),
        }
    }
}

/// Whether two snapshots show the same files; all else in them is no reason for another plan.
fn same_files(old: &Inventory, new: &Inventory) -> bool {
    let same_listing = |old: &Option<Arc<PlaceListing>>, new: &Option<Arc<PlaceListing>>| match (old, new) {
        (Some(old), Some(new)) => Arc::ptr_eq(old, new),
        (None, None) => true,
        _ => false,
    };
    old.sources.len() == new.sources.len()
        && old.sources.iter().zip(&new.sources).all(|(old, new)| {
            old.health.blind == new.health.blind
                && old.listings.len() == new.listings.len()
                && old.listings.iter().zip(&new.listings).all(|(old, new)| same_listing(old, new))
        })
}

fn log(it: &Verification) {
    let (source, item, path) = (it.archive.source.as_str(), it.item.to_string(), it.archive.to_string());
    let seconds = it.took.as_secs_f64();
    let headline = it.headline().unwrap_or_default();
    match it.conclusion {
        Conclusion::Intact => match it.shortfall() {
            Some(why) => tracing::info!(source, item, path, seconds, bytes = it.read, "{item} verified: {why}"),
            None => tracing::info!(source, item, path, seconds, bytes = it.read, "{item} verified: intact"),
        },
        Conclusion::Damaged => tracing::error!(source, item, path, seconds, "{item} is damaged: {headline}"),
        Conclusion::Unchecked => tracing::warn!(source, item, path, seconds, "{item} could not be checked: {headline}"),
    }
}

/// When something was last tried, to try it again after a pause.
struct Pace {
    pause: Duration,
    last: Option<Instant>,
}

impl Pace {
    const fn every(pause: Duration) -> Self {
        Self { pause, last: None }
    }

    /// Whether it is time again; if so, the pause begins anew.
    fn due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= self.pause);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests;
