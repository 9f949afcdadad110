//! The daemon's verifier: reads what is new or unproven first, the oldest proof next, within limits.
//!
//! ```text
//!            inventory ──► candidates (pure) ──► threads: examine ──► results
//!                                                                      │ compare with the first sight, store
//!                 keeper ◄── proofs, status ◄──────────────────────────┘
//! ```
//! One task owns what is known; threads only read. Results that the store doesn't take wait and nothing new is begun
//! meanwhile, so that a full disk loses nothing. What was interrupted is simply unproven still, and is read again.

mod books;
mod hung;
mod orders;
mod proof_log;
mod threads;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use self::books::Books;
use self::hung::Hung;
use self::orders::Orders;
pub use self::orders::{Order, Unfulfilled};
use self::proof_log::ProofLog;
use self::threads::Threads;
use super::examiner::{Allowance, Control, Examined, Job, examine};
use super::keeper::News;
use super::ports::{Archives, Clock, ProofStore};
use super::statuses::{self, Post};
use super::watch::Watch;
use crate::domain::candidates::{Candidate, Rules, candidates};
use crate::domain::ids::SourceName;
use crate::domain::inventory::Inventory;
use crate::domain::look::RootListing;
use crate::domain::proof::{ArchiveId, Conclusion, Level, Verification};
use crate::domain::store::Standing;
use crate::domain::verification::{Counts, Verifier};
use crate::domain::window::Window;

/// What is known, and how far the verifier is, is told so often at most.
const TICK: Duration = Duration::from_secs(1);

/// At the end, what was read is stored if it takes no longer than this.
const LAST_SAVE: Duration = Duration::from_millis(800);

/// Proofs grow old so slowly that a plan need not be made more often for that.
const REPLAN: Duration = Duration::from_secs(60);

/// So many candidates are kept between two plans.
const PLANNED: usize = 256;

/// What the verifier may and should do.
pub struct Settings {
    /// Sources to verify.
    pub sources: Vec<SourceName>,
    /// How much to prove.
    pub level: Level,
    /// Less is enough for these sources; for the others it is `level`.
    pub accepted: BTreeMap<SourceName, Level>,
    /// Archives read at the same time.
    pub workers: usize,
    /// Speed and time.
    pub allowance: Allowance,
    /// A reading that stands still for so long is given up with its thread.
    pub stall: Duration,
    /// When archives may be read.
    pub window: Option<Window>,
    /// A proof that is older is renewed.
    pub again_after: Duration,
    /// Verifications are kept so long.
    pub retention: Duration,
    /// Called first by the thread that all reading threads come from: takes it into the background.
    pub prepare: Arc<dyn Fn() + Send + Sync>,
}

impl Settings {
    fn enough(&self, source: &SourceName) -> Level {
        self.accepted.get(source).copied().unwrap_or(self.level.max(Level::Decodes))
    }
}

/// The outside, as the verifier needs it.
#[derive(Clone)]
pub struct Outside {
    /// Keeps what was proven.
    pub store: Arc<dyn ProofStore>,
    /// How the store stands.
    pub standing: watch::Receiver<Standing>,
    /// Opens archives.
    pub archives: Arc<dyn Archives>,
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

/// A file that is being read.
struct Reading {
    job: Job,
    control: Arc<Control>,
    watch: Watch,
    begun: std::time::Instant,
    started: Timestamp,
    /// Whether it was told that it hangs and can't be given up.
    told: bool,
}

struct State {
    settings: Arc<Settings>,
    outside: Outside,
    inventories: watch::Receiver<Arc<Inventory>>,
    books: Books,
    proof_log: ProofLog,
    orders: Orders,
    readings: Vec<Reading>,
    threads: Threads,
    hung: Hung,
    /// Most important last.
    planned: Vec<Candidate>,
    waiting: usize,
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
    let (ended, mut results) = mpsc::channel(settings.workers.max(1));
    let mut state = State::new(settings, outside, inventories.clone());
    let mut inventories = inventories;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(order) = orders.recv() => state.accept(order),
            Some((control, examined)) = results.recv() => state.take(control, examined),
            changed = inventories.changed() => match changed {
                Ok(()) => state.stale |= !same_files(&state.planned_from, &inventories.borrow()),
                Err(_) => break,
            },
            _ = tick.tick() => {
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
    state.readings.iter().for_each(|reading| reading.control.stop());
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

/// A result, with the control of its reading.
type Ended = (Arc<Control>, Examined);

impl State {
    fn new(settings: Settings, outside: Outside, inventories: watch::Receiver<Arc<Inventory>>) -> Self {
        let proof_log =
            ProofLog::new(outside.clone(), settings.sources.clone(), settings.retention, inventories.clone());
        Self {
            books: Books::new(&settings.sources, |source| settings.enough(source)),
            proof_log,
            orders: Orders::default(),
            outside,
            inventories,
            readings: Vec::new(),
            threads: Threads::new(settings.prepare.clone()),
            settings: Arc::new(settings),
            hung: Hung::default(),
            planned: Vec::new(),
            waiting: 0,
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
        self.readings.retain(|reading| !Arc::ptr_eq(&reading.control, &control));
        self.conclude(&control, examined);
    }

    /// A reading ended, or was given up.
    fn conclude(&mut self, control: &Arc<Control>, examined: Examined) {
        self.books.set_running(self.readings.iter().map(|reading| &reading.job.archive));
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
        let level = Level::ALL.iter().position(|level| *level == verification.wanted);
        let conclusion = Conclusion::ALL.iter().position(|it| *it == verification.conclusion);
        if let (Some(level), Some(conclusion)) = (level, conclusion) {
            self.counts[level][conclusion] += 1;
        }
    }

    /// Begins readings as long as there is something to read and somebody to read it.
    async fn begin(&mut self, ended: &mpsc::Sender<Ended>) {
        self.begin_ordered(ended);
        let open = self.is_open();
        while open && self.proof_log.is_ready() && self.readings.len() < self.settings.workers {
            if self.stale || self.planned.is_empty() && self.waiting > 0 {
                self.plan().await;
            }
            let Some(next) = self.planned.pop() else { break };
            self.waiting = self.waiting.saturating_sub(1);
            if self.is_held(&next.archive) {
                continue;
            }
            let job = Job { archive: next.archive, item: next.item, level: self.settings.level };
            if self.start(job, ended).is_none() {
                break;
            }
        }
    }

    fn rules(&self) -> Rules {
        Rules { again_after: self.settings.again_after, level: self.settings.level }
    }

    fn is_open(&self) -> bool {
        let now = self.outside.clock.now();
        self.settings.window.as_ref().is_none_or(|window| window.contains(now))
    }

    /// Makes the plan anew, off the threads that answer: a hundred thousand archives take a moment.
    async fn plan(&mut self) {
        let inventory = self.inventories.borrow().clone();
        if !same_files(&self.planned_from, &inventory) {
            self.gone.clear();
        }
        self.planned_from = inventory.clone();
        let (books, rules, now) = (self.books.shared(), self.rules(), self.outside.clock.now());
        let work = move || {
            let mut all: Vec<Candidate> = Vec::new();
            for view in &inventory.sources {
                if let Some(proofs) = books.get(&view.spec.name) {
                    all.extend(candidates(view, proofs, rules, now));
                }
            }
            all.sort_by(|a, b| a.rank().cmp(&b.rank()));
            all
        };
        let mut all = match tokio::task::spawn_blocking(work).await {
            Ok(all) => all,
            Err(defect) => std::panic::resume_unwind(defect.into_panic()),
        };
        let busy = |it: &Candidate| {
            self.readings.iter().any(|reading| reading.job.archive == it.archive)
                || self.proof_log.holds(&it.archive)
                || self.gone.contains(&it.archive)
                || self.is_held(&it.archive)
        };
        all.retain(|it| !busy(it));
        self.waiting = all.len();
        all.truncate(PLANNED);
        all.reverse();
        self.planned = all;
        self.stale = false;
    }

    /// Reads a file on a thread of its own. It isn't a task of the runtime: nothing waits for it at the end.
    fn start(&mut self, job: Job, ended: &mpsc::Sender<Ended>) -> Option<Arc<Control>> {
        let control = Arc::new(Control::default());
        let (settings, outside, ended) = (self.settings.clone(), self.outside.clone(), ended.clone());
        let (work, watched) = (job.clone(), control.clone());
        let begins = self.threads.run(move || {
            let examined = examine(&work, &*outside.archives, &settings.allowance, &watched, &*outside.clock);
            // Nobody listens any more at the end.
            let _ = ended.blocking_send((watched, examined));
        });
        if !begins {
            return None;
        }
        tracing::debug!(source = job.archive.source.as_str(), item = %job.item, path = %job.archive, "verifying");
        let begun = std::time::Instant::now();
        let started = self.outside.clock.now();
        let watch = Watch::new(begun);
        self.readings.push(Reading { job, control: control.clone(), watch, begun, started, told: false });
        self.books.set_running(self.readings.iter().map(|reading| &reading.job.archive));
        Some(control)
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
        let reading: u64 = self.readings.iter().map(|reading| reading.control.read.load(Ordering::Relaxed)).sum();
        let read = self.read + reading;
        let open = self.is_open();
        let idle = self.readings.is_empty() && (self.waiting == 0 || !open);
        if idle || read != self.progress.0 || self.progress.1.is_none() {
            self.progress = (read, Some(now));
        }
        Verifier {
            running: self.readings.len(),
            hanging: self.hung.count(),
            waiting: self.waiting,
            unsaved: self.proof_log.unsaved(),
            open,
            store_problem: self.proof_log.problem(),
            counts: self.counts,
            read,
            progress: self.progress.1,
            again_after: self.settings.again_after,
        }
    }
}

/// Whether two snapshots show the same files; all else in them is no reason for another plan.
fn same_files(old: &Inventory, new: &Inventory) -> bool {
    let same_listing = |old: &Option<Arc<RootListing>>, new: &Option<Arc<RootListing>>| match (old, new) {
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
