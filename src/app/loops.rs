//! The loops of the daemon: each has a name, none may end by itself, and all end when it is time.
//!
//! ```text
//!   shutdown, or the first that ended ──► who serves stops ──► who writes has its last words ──► the rest is cut off
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

/// Who writes gets so long to store what it did.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Who is cut off ends at its next step; nobody waits longer for one that has none.
const CUT_OFF: Duration = Duration::from_secs(1);

/// How a loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is told, and waited for before anything else ends: what it answers must be true to its last answer.
    First,
    /// It is told, and waited for a moment.
    LastWords,
    /// It is cut off.
    CutOff,
}

/// The loops that run.
pub(super) struct Loops {
    stop: watch::Sender<bool>,
    tasks: JoinSet<anyhow::Result<()>>,
    known: HashMap<Id, (&'static str, End)>,
}

impl Loops {
    pub(super) fn new() -> Self {
        Self { stop: watch::Sender::new(false), tasks: JoinSet::new(), known: HashMap::new() }
    }

    /// Becomes true when it is time to end.
    pub(super) fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Runs one more loop.
    pub(super) fn add(&mut self, name: &'static str, end: End, work: impl Future<Output = ()> + Send + 'static) {
        self.try_add(name, end, async move {
            work.await;
            Ok(())
        });
    }

    /// The same for one that can say why it failed.
    pub(super) fn try_add(
        &mut self,
        name: &'static str,
        end: End,
        work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let task = self.tasks.spawn(work);
        self.known.insert(task.id(), (name, end));
    }

    /// Runs until `shutdown` resolves; fails when a loop ends by itself before.
    pub(super) async fn run(mut self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let failed = tokio::select! {
            () = shutdown => None,
            ended = self.tasks.join_next_with_id() => ended,
        };
        let failure = failed.map(|ended| self.failure(ended));
        self.stop.send_replace(true);
        self.wait_for(End::First, None).await;
        self.wait_for(End::LastWords, Some(Instant::now() + LAST_WORDS)).await;
        self.tasks.abort_all();
        // What hangs in a call to the system is left behind: the end of the process ends it.
        self.known.values_mut().for_each(|(_, end)| *end = End::CutOff);
        self.wait_for(End::CutOff, Some(Instant::now() + CUT_OFF)).await;
        self.tasks.detach_all();
        failure.map_or(Ok(()), Err)
    }

    /// Why a loop that should have gone on did not.
    fn failure(&mut self, ended: Result<(Id, anyhow::Result<()>), JoinError>) -> anyhow::Error {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(defect) => defect.id(),
        };
        let name = self.known.remove(&id).map_or("loop", |(name, _)| name);
        match ended {
            Ok((_, Ok(()))) => anyhow!("the {name} ended by itself"),
            Ok((_, Err(error))) => error,
            Err(defect) => anyhow::Error::new(defect).context(format!("the {name} failed")),
        }
    }

    /// Waits until none is left that ends so; until `deadline` at most.
    async fn wait_for(&mut self, end: End, deadline: Option<Instant>) {
        while self.known.values().any(|(_, its)| *its == end) {
            let next = self.tasks.join_next_with_id();
            let ended = match deadline {
                Some(deadline) => timeout_at(deadline, next).await.context("not in time"),
                None => Ok(next.await),
            };
            match ended {
                Ok(Some(Ok((id, _)))) => drop(self.known.remove(&id)),
                Ok(Some(Err(defect))) => drop(self.known.remove(&defect.id())),
                Ok(None) | Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn forever() {
        std::future::pending().await
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_ends_by_itself_ends_all_by_its_name() {
        let mut loops = Loops::new();
        loops.add("renderer", End::CutOff, forever());
        loops.add("keeper", End::CutOff, async {});
        assert_eq!(loops.run(forever()).await.unwrap_err().to_string(), "the keeper ended by itself");
        let mut loops = Loops::new();
        loops.add("reactor", End::LastWords, async { panic!("a defect") });
        let error = loops.run(forever()).await.unwrap_err();
        assert!(format!("{error:#}").starts_with("the reactor failed: "), "{error:#}");
        let mut loops = Loops::new();
        loops.try_add("scanner", End::CutOff, async { Err(anyhow!("no thread")) });
        assert_eq!(loops.run(forever()).await.unwrap_err().to_string(), "no thread");
    }

    #[tokio::test(start_paused = true)]
    async fn who_serves_ends_first_and_who_writes_is_heard() {
        let mut loops = Loops::new();
        let turn = Arc::new(AtomicU32::new(0));
        let (mut stopped, mine) = (loops.stopped(), turn.clone());
        loops.add("server", End::First, async move {
            let _ = stopped.wait_for(|stop| *stop).await;
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert_eq!(mine.fetch_add(1, Ordering::SeqCst), 0);
        });
        let (mut stopped, mine) = (loops.stopped(), turn.clone());
        loops.add("writer", End::LastWords, async move {
            let _ = stopped.wait_for(|stop| *stop).await;
            tokio::time::sleep(Duration::from_secs(22)).await;
            assert_eq!(mine.fetch_add(1, Ordering::SeqCst), 1);
        });
        loops.run(async {}).await.unwrap();
        assert_eq!(turn.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_end_is_left_behind() {
        let mut loops = Loops::new();
        loops.add("writer", End::LastWords, forever());
        loops.add("renderer", End::CutOff, forever());
        let begun = Instant::now();
        loops.run(async {}).await.unwrap();
        assert!(begun.elapsed() <= LAST_WORDS + CUT_OFF, "{:?}", begun.elapsed());
    }
}
