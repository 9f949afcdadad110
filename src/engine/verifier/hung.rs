//! Readings that were given up because their thread hangs, and the directories that they hang on.
//!
//! A hanging thread can't be ended. It keeps its memory and a descriptor, so there are few of them at most, and its directory
//! is left alone for a while; then one reading tries whether it answers again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Proving, State};
use crate::domain::ids::SourceName;
use crate::domain::proof::{ArchiveId, Verification};
use crate::engine::provers::{Control, Examined, unchecked};
use crate::engine::watch::Beyond;

/// So many threads may hang at the same time. With as many nothing is begun on a directory that didn't answer, and who hangs
/// beside them keeps its place.
const MOST: usize = 4;

/// A directory that didn't answer is left alone for so long, then twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// And no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// A source's directory.
type Directory = (SourceName, Arc<str>);

/// What hangs.
#[derive(Default)]
pub(super) struct Hung {
    threads: Vec<(ArchiveId, Arc<Control>)>,
    held: BTreeMap<Directory, Hold>,
}

#[derive(Clone, Copy)]
struct Hold {
    times: u32,
    until: Instant,
}

impl Hung {
    pub(super) fn count(&self) -> usize {
        self.threads.len()
    }

    fn is_full(&self) -> bool {
        self.threads.len() >= MOST
    }

    fn add(&mut self, archive: &ArchiveId, control: Arc<Control>, now: Instant) {
        let hold = self.held.entry(directory(archive)).or_insert(Hold { times: 0, until: now });
        let pause = FIRST_PAUSE.saturating_mul(1 << hold.times.min(8)).min(LONGEST_PAUSE);
        *hold = Hold { times: hold.times + 1, until: now + pause };
        self.threads.push((archive.clone(), control));
    }

    /// A thread that was given up came back after all.
    fn release(&mut self, control: &Arc<Control>, now: Instant) -> Option<ArchiveId> {
        let at = self.threads.iter().position(|(_, its)| Arc::ptr_eq(its, control))?;
        let (archive, _) = self.threads.swap_remove(at);
        // Its directory answers again, as far as can be told.
        if let Some(hold) = self.held.get_mut(&directory(&archive)) {
            hold.until = now;
        }
        Some(archive)
    }

    /// A reading ended as it should.
    fn worked(&mut self, archive: &ArchiveId) {
        self.held.remove(&directory(archive));
    }

    /// Whether nothing is to be read there now: it didn't answer a while ago, or somebody tries already whether it does.
    fn is_held(&self, archive: &ArchiveId, running: &[Proving], now: Instant) -> bool {
        let its = directory(archive);
        let Some(hold) = self.held.get(&its) else { return false };
        let tried = || running.iter().any(|it| directory(&it.job.archive) == its);
        now < hold.until || self.is_full() || tried()
    }
}

fn directory(archive: &ArchiveId) -> Directory {
    (archive.source.clone(), archive.root.clone())
}

impl State {
    /// Whether the directory of a file is left alone because it didn't answer.
    pub(super) fn is_held(&self, archive: &ArchiveId) -> bool {
        self.hung.is_held(archive, &self.running, Instant::now())
    }

    /// Gives up readings whose threads hang.
    pub(super) fn give_up_hanging(&mut self) {
        let now = Instant::now();
        let mut given_up = Vec::new();
        for reading in &mut self.running {
            let Some(beyond) = reading.watch.hangs(&reading.control.calls, reading.lane.limits, now) else { continue };
            if self.hung.threads.len() + given_up.len() < MOST {
                given_up.push((reading.control.clone(), beyond));
            } else if !std::mem::replace(&mut reading.told, true) {
                tracing::error!(
                    path = %reading.job.archive,
                    "a reading hangs beside {MOST} others that hang already: it keeps its place until one of them ends"
                );
            }
        }
        for (control, beyond) in given_up {
            self.give_up(&control, beyond, now);
        }
    }

    fn give_up(&mut self, control: &Arc<Control>, beyond: Beyond, now: Instant) {
        let Some(at) = self.running.iter().position(|it| Arc::ptr_eq(&it.control, control)) else { return };
        let reading = self.running.swap_remove(at);
        control.stop();
        self.hung.add(&reading.job.archive, control.clone(), now);
        let took = now.saturating_duration_since(reading.begun);
        let method = reading.lane.prover.method();
        let verification = Verification {
            took,
            reason: Some(beyond.reason(reading.lane.limits).into()),
            ..unchecked(&reading.job, method, control, reading.started)
        };
        tracing::warn!(
            source = reading.job.archive.source.as_str(),
            path = %reading.job.archive,
            hanging = self.hung.count(),
            most = MOST,
            "a reading was given up with its thread, and its directory is left alone for a while"
        );
        if self.hung.is_full() {
            tracing::error!("{MOST} readings hang: nothing is read in directories that did not answer until one ends");
        }
        self.conclude(control, Examined::Ended(Box::new(verification)));
    }

    /// What a thread that was given up says when it is back at last is old, and thrown away.
    pub(super) fn is_from_the_past(&mut self, control: &Arc<Control>) -> bool {
        let Some(archive) = self.hung.release(control, Instant::now()) else { return false };
        self.stale = true;
        tracing::info!(path = %archive, hanging = self.hung.count(), "a reading that was given up has ended after all");
        true
    }

    /// Notes that a directory answers.
    pub(super) fn answers(&mut self, control: &Arc<Control>) {
        if let Some(reading) = self.running.iter().find(|it| Arc::ptr_eq(&it.control, control)) {
            self.hung.worked(&reading.job.archive);
        }
    }
}
