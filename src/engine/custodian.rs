//! Looks after the store: whether it takes what is written is known within seconds, also while nobody has anything to write.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::beat::{BEAT, Beats};
use super::ports::Clock;
use super::ports::custody::Custody;
use super::statuses::{self, Post};
use crate::domain::store::{Standing, Trouble};

/// Whether a person asked for something is looked for so often: two calls to a disk each time.
const HEAR: Duration = Duration::from_secs(2);

/// A store that works is written to at least so often, one that doesn't is tried again after
const PROBE: Duration = Duration::from_secs(10);

/// so long.
const RETRY: Duration = BEAT;

/// The file alone is made whole so often.
const FOLD: Duration = Duration::from_secs(60);

/// All of it is gone through so often,
const CHECK: Duration = Duration::from_secs(24 * 60 * 60);

/// and while it is said to be damaged, so often.
const CHECK_AGAIN: Duration = Duration::from_secs(60);

/// Looks after the store for as long as it is run.
pub async fn run(custody: Arc<dyn Custody>, clock: Arc<dyn Clock>, post: Post<Standing>) {
    tokio::join!(publish(custody.standing(), post), tend(custody, clock));
}

/// What is known is told at once, whatever a probe is waiting for.
async fn publish(mut standing: watch::Receiver<Standing>, post: Post<Standing>) {
    let mut told = None;
    loop {
        let now = standing.borrow_and_update().clone();
        log(told.as_ref(), &now);
        if now.tried {
            statuses::say(&post, now.clone());
        }
        told = Some(now);
        if standing.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

fn log(before: Option<&Standing>, now: &Standing) {
    let kind = |it: Option<&Standing>| it.and_then(|it| it.problem.as_ref()).map(|it| it.kind);
    match (kind(before), &now.problem) {
        // What sort of trouble it is says enough: with each reader that fails the words are others.
        (before, Some(problem)) if before != Some(problem.kind) => match problem.kind {
            Trouble::Passing => tracing::error!("the store fails: {}", problem.message),
            Trouble::Damaged => {
                tracing::error!("the store is damaged, what it says isn't relied on: {}", problem.message);
            }
            Trouble::Lost => {
                tracing::error!("the store is lost, nothing is done until a person says so: {}", problem.message)
            }
        },
        (Some(_), None) => tracing::info!("the store works again"),
        _ => {}
    }
    match (before.and_then(|it| it.doubt.as_ref()), &now.doubt) {
        (None, Some(why)) => tracing::error!(
            "the store isn't the one that was used before: {why}. The automation is paused; see docs/store.md, and `firedrill store accept-new`"
        ),
        (Some(_), None) => tracing::info!("the store was accepted"),
        _ => {}
    }
}

async fn tend(custody: Arc<dyn Custody>, clock: Arc<dyn Clock>) {
    let standing = custody.standing();
    let mut tick = Beats::new();
    let (mut heard, mut probed, mut folded, mut checked) = (None, None, None, None);
    // One that goes on for long must not keep the probes waiting.
    let mut checking: JoinSet<()> = JoinSet::new();
    loop {
        tick.tick().await;
        while checking.try_join_next().is_some() {}
        if due(&mut heard, HEAR) {
            custody.hear(clock.now()).await;
        }
        let now = standing.borrow().clone();
        let kind = now.problem.as_ref().map(|it| it.kind);
        if due(&mut probed, if kind.is_some() { RETRY } else { PROBE }) {
            // How it went is known to who asks how the store stands.
            let _ = custody.probe(clock.now()).await;
        }
        let pause = if kind == Some(Trouble::Damaged) { CHECK_AGAIN } else { CHECK };
        let usable = kind.is_none_or(|kind| kind == Trouble::Damaged);
        if usable && checking.is_empty() && due(&mut checked, pause) {
            let (custody, clock) = (custody.clone(), clock.clone());
            checking.spawn(async move {
                if let Err(error) = custody.check(clock.now()).await {
                    tracing::warn!("the store was not gone through to its end: {error}");
                }
            });
        }
        if kind.is_none() && due(&mut folded, FOLD) {
            let _ = custody.fold().await;
        }
    }
}

/// Whether a pause is over; if so it begins anew.
fn due(last: &mut Option<Instant>, pause: Duration) -> bool {
    // A beat is never exactly a second after the one before.
    let due = last.is_none_or(|last| last.elapsed() + BEAT / 2 >= pause);
    if due {
        *last = Some(Instant::now());
    }
    due
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::future::BoxFuture;
    use jiff::Timestamp;

    use super::*;
    use crate::domain::store::Problem;
    use crate::engine::ports::StoreError;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    /// What was asked of it, and how it stands.
    struct Watched {
        asked: Mutex<Vec<&'static str>>,
        standing: watch::Sender<Standing>,
        /// A probe or a check that never comes back.
        hangs: &'static str,
    }

    impl Watched {
        fn new(hangs: &'static str) -> Arc<Self> {
            let standing = watch::Sender::new(Standing { tried: true, ..Standing::default() });
            Arc::new(Self { asked: Mutex::default(), standing, hangs })
        }

        fn ask(&self, what: &'static str) -> BoxFuture<'_, Result<(), StoreError>> {
            self.asked.lock().unwrap().push(what);
            let hangs = self.hangs == what;
            Box::pin(async move { if hangs { std::future::pending().await } else { Ok(()) } })
        }

        fn count(&self, what: &str) -> usize {
            self.asked.lock().unwrap().iter().filter(|it| **it == what).count()
        }

        fn set(&self, kind: Option<Trouble>) {
            let problem = kind.map(|kind| Problem { kind, message: "it is a test".into() });
            self.standing.send_modify(|standing| standing.problem = problem);
        }
    }

    impl Custody for Watched {
        fn standing(&self) -> watch::Receiver<Standing> {
            self.standing.subscribe()
        }

        fn probe(&self, _: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
            self.ask("probe")
        }

        fn check(&self, _: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
            self.ask("check")
        }

        fn fold(&self) -> BoxFuture<'_, Result<(), StoreError>> {
            self.ask("fold")
        }

        fn hear(&self, _: Timestamp) -> BoxFuture<'_, ()> {
            Box::pin(async {
                let _ = self.ask("hear").await;
            })
        }

        fn close(&self) -> BoxFuture<'_, ()> {
            Box::pin(async {})
        }
    }

    type Told = watch::Receiver<Option<Arc<Standing>>>;

    fn looked_after(store: &Arc<Watched>) -> (Told, tokio::task::JoinHandle<()>) {
        let post = Post::default();
        (post.subscribe(), tokio::spawn(run(store.clone(), Arc::new(Fixed), post)))
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_probed_checked_and_folded_in_its_time() {
        let store = Watched::new("");
        let (_told, task) = looked_after(&store);
        tokio::time::sleep(Duration::from_millis(60_500)).await;
        assert_eq!((store.count("probe"), store.count("check"), store.count("fold")), (7, 1, 2));
        store.set(Some(Trouble::Passing));
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!((21..=23).contains(&store.count("probe")), "{}", store.count("probe"));
        assert_eq!((store.count("check"), store.count("fold")), (1, 2), "not while it fails");
        store.set(Some(Trouble::Damaged));
        tokio::time::sleep(Duration::from_secs(121)).await;
        assert!((3..=4).contains(&store.count("check")), "again and again until it is sound");
        store.set(Some(Trouble::Lost));
        let checked = store.count("check");
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(store.count("check"), checked, "there is nothing to go through");
        store.set(None);
        tokio::time::sleep(CHECK).await;
        assert_eq!(store.count("check"), checked + 1);
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_is_told_at_once_whatever_hangs() {
        for hangs in ["probe", "check"] {
            let store = Watched::new(hangs);
            let (mut told, task) = looked_after(&store);
            tokio::time::sleep(Duration::from_secs(5)).await;
            told.mark_unchanged();
            store.set(Some(Trouble::Lost));
            told.changed().await.unwrap();
            assert!(told.borrow().as_ref().unwrap().is_lost());
            task.abort();
        }
        let store = Watched::new("check");
        let (_told, task) = looked_after(&store);
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(store.count("probe") > 8, "a check that hangs doesn't keep the probes waiting");
        assert_eq!(store.count("check"), 1);
        task.abort();
    }
}
