//! Reads archives on several threads, with bars on a terminal and a line for each elsewhere.

use std::collections::{BTreeSet, VecDeque};
use std::io::IsTerminal as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::outcome::Outcome;
use super::{Enough, Memory};
use crate::adapters::machine::clock::SystemClock;
use crate::cli::{say, say_error};
use crate::domain::proof::{Conclusion, Method, Verification};
use crate::engine::ports::{Archives, Clock as _};
use crate::engine::provers::reading::{Allowance, Reading};
use crate::engine::provers::{Control, Examined, Job, prove, unchecked};
use crate::engine::throttle::Throttle;
use crate::engine::watch::{Limits, Watch};

/// No archive takes so long that somebody still waits in front of a terminal.
const TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Bars are drawn, and threads looked after, so often.
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
    /// What opens the archives.
    pub(super) archives: &'a Arc<dyn Archives>,
    /// A reading that stands still for so long is given up, and nothing else is read in its directory.
    pub(super) stall: Duration,
}

/// Reads all of them. Each comes with its size. A thread that hangs is left behind: the end of the process ends it.
pub(super) fn run(jobs: Vec<(Job, u64)>, how: How<'_>, memory: Option<&Memory>) -> anyhow::Result<Outcome> {
    let (ended, results) = mpsc::channel();
    let mut run = Run {
        bars: Bars::new(&jobs),
        queue: jobs.into(),
        how,
        memory,
        ended,
        running: Vec::new(),
        dead: BTreeSet::new(),
        halted: false,
        outcome: Outcome { verifications: Vec::new(), left_out: 0, store_problem: None },
    };
    while run.begin()? {
        if let Ok((control, examined)) = results.recv_timeout(FRAME) {
            run.take(&control, examined);
        }
        run.give_up_hanging();
        run.bars.follow(&run.running);
    }
    run.outcome.left_out = run.queue.len();
    run.bars.clear();
    Ok(run.outcome)
}

/// A result, with the control of its reading.
type Ended = (Arc<Control>, Examined);

/// An archive that is being read.
struct Running {
    job: Job,
    size: u64,
    control: Arc<Control>,
    watch: Watch,
    begun: Instant,
    started: Timestamp,
    bar: Option<ProgressBar>,
}

struct Run<'a> {
    queue: VecDeque<(Job, u64)>,
    how: How<'a>,
    memory: Option<&'a Memory>,
    ended: mpsc::Sender<Ended>,
    running: Vec<Running>,
    /// Directories that don't answer.
    dead: BTreeSet<Arc<str>>,
    /// Nothing further is begun.
    halted: bool,
    bars: Bars,
    outcome: Outcome,
}

impl Run<'_> {
    /// Begins what there is room for. `false` when all is done.
    fn begin(&mut self) -> anyhow::Result<bool> {
        while self.running.len() < self.how.workers && !self.halted {
            let Some((job, size)) = self.queue.pop_front() else { break };
            let control = Arc::new(Control::default());
            if self.dead.contains(&job.archive.root) {
                let reason = "it was not tried: another reading in its directory stood still";
                let verification = unchecked(&job, Method::READING, &control, SystemClock.now());
                self.bars.done(size);
                self.keep(Verification { reason: Some(reason.into()), ..verification });
                continue;
            }
            self.start(job, size, control)?;
        }
        Ok(!self.running.is_empty())
    }

    fn start(&mut self, job: Job, size: u64, control: Arc<Control>) -> anyhow::Result<()> {
        let (work, watched, ended) = (job.clone(), control.clone(), self.ended.clone());
        let (unpack_limit, archives) = (self.how.unpack_limit, self.how.archives.clone());
        std::thread::Builder::new().name("verify".to_owned()).spawn(move || {
            let allowance = Allowance { throttle: Arc::new(Throttle::new(None)), timeout: TIMEOUT, unpack_limit };
            let prover = Reading { archives, allowance, clock: Arc::new(SystemClock) };
            let examined = prove(&prover, &work, &watched, &SystemClock);
            // Nobody listens any more at the end.
            let _ = ended.send((watched, examined));
        })?;
        let (begun, started) = (Instant::now(), SystemClock.now());
        let bar = self.bars.begin(&job, size);
        self.running.push(Running { job, size, control, watch: Watch::new(begun), begun, started, bar });
        Ok(())
    }

    /// A thread came to its end. What was given up before is not heard any more.
    fn take(&mut self, control: &Arc<Control>, examined: Examined) {
        let Some(reading) = self.remove(control) else { return };
        self.bars.done(reading.size);
        match examined {
            Examined::Ended(verification) | Examined::Gone(verification) => self.keep(*verification),
            Examined::Stopped => {}
        }
    }

    fn remove(&mut self, control: &Arc<Control>) -> Option<Running> {
        let at = self.running.iter().position(|it| Arc::ptr_eq(&it.control, control))?;
        let reading = self.running.remove(at);
        reading.bar.iter().for_each(ProgressBar::finish_and_clear);
        Some(reading)
    }

    fn give_up_hanging(&mut self) {
        let limits = Limits { stall: self.how.stall, whole: TIMEOUT };
        let now = Instant::now();
        let hang = |reading: &mut Running| {
            Some((reading.control.clone(), reading.watch.hangs(&reading.control.calls, limits, now)?))
        };
        let hanging: Vec<_> = self.running.iter_mut().filter_map(hang).collect();
        for (control, beyond) in hanging {
            let Some(reading) = self.remove(&control) else { continue };
            control.stop();
            self.dead.insert(reading.job.archive.root.clone());
            self.bars.done(reading.size);
            self.keep(Verification {
                reason: Some(beyond.reason(limits).into()),
                took: now.saturating_duration_since(reading.begun),
                ..unchecked(&reading.job, Method::READING, &control, reading.started)
            });
        }
    }

    /// Compares with the store, tells, and keeps.
    fn keep(&mut self, mut verification: Verification) {
        if let Some(memory) = self.memory
            && let Err(error) = memory.keep(&mut verification)
            && self.outcome.store_problem.is_none()
        {
            let text = format!("what was read can't be compared with earlier readings, nor kept: {error:#}");
            self.bars.above(|| say_error(&text));
            self.outcome.store_problem = Some(text);
        }
        self.halted |= self.how.fail_fast && verification.conclusion == Conclusion::Damaged;
        if self.how.lines {
            let line = super::report::line(&verification, self.how.enough.of(&verification));
            self.bars.above(|| drop(say(&line)));
        }
        self.outcome.verifications.push(verification);
    }
}

/// The bars: one for all, one for each archive that is being read. Nothing where there is no terminal.
struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    shown: bool,
    /// Bytes of archives that were read.
    done: u64,
}

impl Bars {
    fn new(jobs: &[(Job, u64)]) -> Self {
        let shown = std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let all = MultiProgress::with_draw_target(target);
        let total = all.add(bar(jobs.iter().map(|(_, size)| size).sum()));
        total.set_message(format!("{} archive(s)", jobs.len()));
        Self { all, total, shown, done: 0 }
    }

    fn begin(&self, job: &Job, size: u64) -> Option<ProgressBar> {
        self.shown.then(|| {
            let bar = self.all.insert_before(&self.total, bar(size));
            bar.set_message(job.item.to_string());
            bar
        })
    }

    fn done(&mut self, size: u64) {
        self.done += size;
    }

    /// Moves the bars along.
    fn follow(&self, running: &[Running]) {
        if !self.shown {
            return;
        }
        let mut read = self.done;
        for reading in running {
            let its = reading.control.read.load(Ordering::Relaxed);
            reading.bar.iter().for_each(|bar| bar.set_position(its));
            read += its;
        }
        self.total.set_position(read);
    }

    /// Prints something above the bars.
    fn above(&self, print: impl FnOnce()) {
        self.all.suspend(print);
    }

    fn clear(&self) {
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
