//! Reads archives on several threads, with bars on a terminal and a line for each elsewhere.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::verify::{Enough, Memory};
use super::{say, say_error};
use crate::adapters::archive_files::ArchiveFiles;
use crate::adapters::clock::SystemClock;
use crate::domain::proof::{Conclusion, Verification};
use crate::engine::examiner::{Allowance, Control, Examined, Job, examine};
use crate::engine::throttle::Throttle;

/// No archive takes so long that somebody still waits in front of a terminal.
const TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Bars are drawn so often.
const FRAME: Duration = Duration::from_millis(100);

/// How to read.
#[derive(Clone, Copy)]
pub(super) struct How<'a> {
    /// Archives read at the same time.
    pub(super) workers: usize,
    /// Stop at the first damaged one.
    pub(super) fail_fast: bool,
    /// Print a line for each archive.
    pub(super) lines: bool,
    /// What may be unpacked without any structure.
    pub(super) unpack_limit: u64,
    /// From which level on an archive is proven.
    pub(super) enough: &'a Enough,
}

/// What came of it.
pub(super) struct Outcome {
    /// In the order in which they ended.
    pub(super) verifications: Vec<Verification>,
    /// Archives that were not read because an earlier one was damaged.
    pub(super) left_out: usize,
    /// What could not be compared or kept.
    pub(super) store_problem: Option<String>,
}

/// Reads all of them. Each comes with its size.
pub(super) fn run(jobs: Vec<(Job, u64)>, how: How<'_>, memory: Option<&Memory>) -> anyhow::Result<Outcome> {
    let bars = Bars::new(&jobs);
    let queue = Arc::new(Mutex::new(VecDeque::from(jobs)));
    let halt = Arc::new(AtomicBool::new(false));
    let (send, results) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..how.workers {
            let (queue, halt, send, bars) = (queue.clone(), halt.clone(), send.clone(), &bars);
            scope.spawn(move || work(&queue, &halt, (&send, how.unpack_limit), bars));
        }
        drop(send);
        scope.spawn(|| bars.follow());
        let mut outcome = Outcome { verifications: Vec::new(), left_out: 0, store_problem: None };
        for mut verification in results {
            if let Some(memory) = memory
                && let Err(error) = memory.keep(&mut verification)
                && outcome.store_problem.is_none()
            {
                let text = format!("what was read can't be compared with earlier readings, nor kept: {error:#}");
                bars.above(|| say_error(&text));
                outcome.store_problem = Some(text);
            }
            if how.fail_fast && verification.conclusion == Conclusion::Damaged {
                halt.store(true, Ordering::Relaxed);
            }
            if how.lines {
                let line = super::verify_report::line(&verification, how.enough.of(&verification));
                bars.above(|| drop(say(&line)));
            }
            outcome.verifications.push(verification);
        }
        outcome.left_out = queue.lock().unwrap_or_else(PoisonError::into_inner).len();
        bars.clear();
        Ok(outcome)
    })
}

fn work(
    queue: &Mutex<VecDeque<(Job, u64)>>,
    halt: &AtomicBool,
    (results, unpack_limit): (&mpsc::Sender<Verification>, u64),
    bars: &Bars,
) {
    let allowance = Allowance { throttle: Arc::new(Throttle::new(None)), timeout: TIMEOUT, unpack_limit };
    while !halt.load(Ordering::Relaxed) {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((job, size)) = next else { return };
        let control = Arc::new(Control::default());
        bars.begin(&job, size, control.clone());
        let examined = examine(&job, &ArchiveFiles, &allowance, &control, &SystemClock);
        bars.end(&control, size);
        match examined {
            Examined::Ended(verification) | Examined::Gone(verification) => {
                // Nobody listens any more when the output failed.
                let _ = results.send(*verification);
            }
            Examined::Stopped => {}
        }
    }
}

/// The bars: one for all, one for each archive that is being read. Nothing where there is no terminal.
struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    shown: bool,
    running: Mutex<Vec<(ProgressBar, Arc<Control>)>>,
    /// Bytes of archives that were read.
    done: AtomicU64,
    over: AtomicBool,
}

impl Bars {
    fn new(jobs: &[(Job, u64)]) -> Self {
        let shown = std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let all = MultiProgress::with_draw_target(target);
        let total = all.add(bar(jobs.iter().map(|(_, size)| size).sum()));
        total.set_message(format!("{} archive(s)", jobs.len()));
        Self { all, total, shown, running: Mutex::default(), done: AtomicU64::new(0), over: AtomicBool::new(false) }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Vec<(ProgressBar, Arc<Control>)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, job: &Job, size: u64, control: Arc<Control>) {
        if self.shown {
            let bar = self.all.insert_before(&self.total, bar(size));
            bar.set_message(job.item.to_string());
            self.running().push((bar, control));
        }
    }

    fn end(&self, control: &Arc<Control>, size: u64) {
        let mut running = self.running();
        running.iter().filter(|(_, its)| Arc::ptr_eq(its, control)).for_each(|(bar, _)| bar.finish_and_clear());
        running.retain(|(_, its)| !Arc::ptr_eq(its, control));
        self.done.fetch_add(size, Ordering::Relaxed);
    }

    /// Moves the bars along until all is over.
    fn follow(&self) {
        while self.shown && !self.over.load(Ordering::Relaxed) {
            let mut read = self.done.load(Ordering::Relaxed);
            for (bar, control) in &*self.running() {
                let its = control.read.load(Ordering::Relaxed);
                bar.set_position(its);
                read += its;
            }
            self.total.set_position(read);
            std::thread::sleep(FRAME);
        }
    }

    /// Prints something above the bars.
    fn above(&self, print: impl FnOnce()) {
        self.all.suspend(print);
    }

    fn clear(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.total.finish_and_clear();
    }
}

fn bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    match ProgressStyle::with_template("{msg:20!} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
