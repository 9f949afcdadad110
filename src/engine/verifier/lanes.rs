//! Each kind of proof has a lane of its own: how many at a time, when, how often; and what comes next in it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{Ended, Proving, State, same_files};
use crate::domain::candidates::{Candidate, Rules, candidates};
use crate::domain::item::Item;
use crate::domain::proof::{ArchiveId, Level};
use crate::domain::window::Window;
use crate::engine::provers::{Control, Job, Prover, prove};
use crate::engine::watch::{Limits, Watch};

/// So many candidates of a lane are kept between two plans.
const PLANNED: usize = 256;

/// A kind of proof.
pub struct Lane {
    /// What proves.
    pub prover: Arc<dyn Prover>,
    /// How much to prove.
    pub level: Level,
    /// Archives at the same time.
    pub workers: usize,
    /// When; always where nothing is said.
    pub window: Option<Window>,
    /// A proof that is older is renewed.
    pub again_after: Duration,
    /// What stands still for so long, or takes longer altogether, is given up with its thread.
    pub limits: Limits,
}

impl Lane {
    fn rules(&self) -> Rules {
        Rules { method: self.prover.method(), again_after: self.again_after, level: self.level }
    }

    fn is_open(&self, now: Timestamp) -> bool {
        self.window.as_ref().is_none_or(|window| window.contains(now))
    }
}

/// A lane, and what waits in it.
pub(super) struct Track {
    pub(super) lane: Arc<Lane>,
    /// Most important last.
    planned: Vec<Candidate>,
    pub(super) waiting: usize,
}

impl Track {
    pub(super) fn of(lane: Lane) -> Self {
        Self { lane: Arc::new(lane), planned: Vec::new(), waiting: 0 }
    }

    /// Whether something waits and nothing keeps it from being begun.
    pub(super) fn has_work(&self, now: Timestamp) -> bool {
        self.waiting > 0 && self.lane.is_open(now)
    }
}

impl State {
    /// Whether anything may be proven now.
    pub(super) fn is_open(&self) -> bool {
        let now = self.outside.clock.now();
        self.tracks.iter().any(|track| track.lane.is_open(now))
    }

    /// The lane that proves a level of an item.
    pub(super) fn lane_for(&self, level: Level, item: &Item) -> Option<Arc<Lane>> {
        let fits = |lane: &&Arc<Lane>| lane.prover.levels().contains(level) && lane.prover.suits(item);
        self.tracks.iter().map(|track| &track.lane).find(fits).cloned()
    }

    /// How many run in a lane.
    pub(super) fn running_in(&self, lane: &Arc<Lane>) -> usize {
        self.running.iter().filter(|it| Arc::ptr_eq(&it.lane, lane)).count()
    }

    /// Whether somebody works on a file. Two methods at once would only read it twice.
    pub(super) fn is_busy(&self, archive: &ArchiveId) -> bool {
        self.running.iter().any(|it| it.job.archive == *archive)
    }

    /// Begins proofs as long as there is something to prove and somebody to prove it.
    pub(super) async fn begin(&mut self, ended: &mpsc::Sender<Ended>) {
        self.begin_ordered(ended);
        for index in 0..self.tracks.len() {
            self.begin_in(index, ended).await;
        }
    }

    async fn begin_in(&mut self, index: usize, ended: &mpsc::Sender<Ended>) {
        let lane = self.tracks[index].lane.clone();
        let open = lane.is_open(self.outside.clock.now());
        while open && self.proof_log.is_ready() && self.running_in(&lane) < lane.workers {
            if self.stale || self.tracks[index].planned.is_empty() && self.tracks[index].waiting > 0 {
                self.plan().await;
            }
            let track = &mut self.tracks[index];
            let Some(next) = track.planned.pop() else { break };
            track.waiting = track.waiting.saturating_sub(1);
            if self.is_held(&next.archive) || self.is_busy(&next.archive) {
                continue;
            }
            let job = Job { archive: next.archive, item: next.item, level: lane.level };
            if self.start(lane.clone(), job, ended).is_none() {
                break;
            }
        }
    }

    /// Makes the plan anew, off the threads that answer: a hundred thousand archives take a moment.
    pub(super) async fn plan(&mut self) {
        let inventory = self.inventories.borrow().clone();
        if !same_files(&self.planned_from, &inventory) {
            self.gone.clear();
        }
        self.planned_from = inventory.clone();
        let (books, now) = (self.books.shared(), self.outside.clock.now());
        let lanes: Vec<Arc<Lane>> = self.tracks.iter().map(|track| track.lane.clone()).collect();
        let work = move || {
            let of = |lane: &Arc<Lane>| {
                let (rules, mut all) = (lane.rules(), Vec::new());
                for view in &inventory.sources {
                    if let Some(proofs) = books.get(&view.spec.name) {
                        all.extend(candidates(view, proofs, &rules, |item| lane.prover.suits(item), now));
                    }
                }
                all.sort_by(|a: &Candidate, b| a.rank().cmp(&b.rank()));
                all
            };
            lanes.iter().map(of).collect::<Vec<_>>()
        };
        let plans = match tokio::task::spawn_blocking(work).await {
            Ok(plans) => plans,
            Err(defect) => std::panic::resume_unwind(defect.into_panic()),
        };
        for (index, mut all) in plans.into_iter().enumerate() {
            all.retain(|it| {
                !self.is_busy(&it.archive)
                    && !self.proof_log.holds(&it.archive)
                    && !self.gone.contains(&it.archive)
                    && !self.is_held(&it.archive)
            });
            let track = &mut self.tracks[index];
            track.waiting = all.len();
            all.truncate(PLANNED);
            all.reverse();
            track.planned = all;
        }
        self.stale = false;
    }

    /// Proves on a thread of its own. It isn't a task of the runtime: nothing waits for it at the end.
    pub(super) fn start(&mut self, lane: Arc<Lane>, job: Job, ended: &mpsc::Sender<Ended>) -> Option<Arc<Control>> {
        let control = Arc::new(Control::default());
        let (clock, ended) = (self.outside.clock.clone(), ended.clone());
        let (work, watched, prover) = (job.clone(), control.clone(), lane.prover.clone());
        let begins = self.threads.run(move || {
            let examined = prove(&*prover, &work, &watched, &*clock);
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
        self.running.push(Proving { lane, job, control: control.clone(), watch, begun, started, told: false });
        self.books.set_running(self.running.iter().map(|it| &it.job.archive));
        Some(control)
    }

    /// Bytes that were read of what is being proven.
    pub(super) fn read_so_far(&self) -> u64 {
        self.running.iter().map(|it| it.control.read.load(Ordering::Relaxed)).sum()
    }
}
