//! Operations on real stores: cut at every step, taken over, cancelled; nothing that must happen once happens twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::adapters::store::{Place, Store};
use firedrill::domain::operation::plan::{Effect, Plan, Repeat, Step, Task};
use firedrill::domain::operation::{Ending, Frame, State};
use firedrill::engine::operations::{Board, Outside, Pace, Performers, run, run_one};
use firedrill::engine::ports::automation::{ActionStore as _, Page};
use firedrill::engine::ports::ledger::Processes;
use firedrill::engine::ports::operations::{
    Advance, Conduct, Doing, NewOperation, Operation, OperationStore, Performer, Planned, Progress, Said, Spoken,
    StepLine, WithLog, Word,
};
use firedrill::engine::ports::{Clock as _, StoreError};
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::store::Where;

/// Nothing here takes so long, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process by its name; it knows which others are gone.
struct Named(&'static str, &'static [&'static str]);

impl Processes for Named {
    fn me(&self) -> Arc<str> {
        self.0.into()
    }

    fn is_gone(&self, owner: &str) -> bool {
        self.1.contains(&owner)
    }
}

/// Ends a process at its nth step: it does nothing more, and whoever watches hears of it.
#[derive(Default)]
struct Cut {
    left: AtomicI64,
    dead: Notify,
}

impl Cut {
    fn at(point: i64) -> Arc<Self> {
        Arc::new(Self { left: AtomicI64::new(point), dead: Notify::new() })
    }

    fn never() -> Arc<Self> {
        Self::at(i64::MAX)
    }

    async fn point(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 1 {
            self.dead.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// The store, as a process sees it that is cut before or after what it writes, or loses the store.
struct Seen {
    store: Store,
    cut: Arc<Cut>,
    unreachable: Arc<AtomicBool>,
}

impl Seen {
    fn check(&self) -> Result<(), StoreError> {
        let gone = self.unreachable.load(Ordering::SeqCst);
        if gone { Err(StoreError { message: "the network is cut".to_owned() }) } else { Ok(()) }
    }
}

impl OperationStore for Seen {
    fn plan<'a>(&'a self, new: &'a NewOperation, now: Timestamp) -> BoxFuture<'a, Result<Planned, StoreError>> {
        self.store.plan(new, now)
    }

    fn open(&self) -> BoxFuture<'_, Result<Vec<Operation>, StoreError>> {
        Box::pin(async {
            self.check()?;
            self.store.open().await
        })
    }

    fn claim<'a>(
        &'a self,
        from: &'a Operation,
        owner: &'a str,
        lease: Timestamp,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            self.cut.point().await;
            self.check()?;
            let done = self.store.claim(from, owner, lease).await;
            self.cut.point().await;
            done
        })
    }

    fn advance<'a>(&'a self, advance: &'a Advance, now: Timestamp) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            self.cut.point().await;
            self.check()?;
            let done = self.store.advance(advance, now).await;
            self.cut.point().await;
            done
        })
    }

    fn keep<'a>(&'a self, id: i64, owner: &'a str, lease: Timestamp) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            self.check()?;
            self.store.keep(id, owner, lease).await
        })
    }

    fn release<'a>(&'a self, id: i64, owner: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.check()?;
            self.store.release(id, owner).await
        })
    }

    fn words(&self, id: i64) -> BoxFuture<'_, Result<Vec<Spoken>, StoreError>> {
        Box::pin(async move {
            self.check()?;
            self.store.words(id).await
        })
    }

    fn say<'a>(
        &'a self,
        id: i64,
        word: Word,
        by: &'a Arc<str>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Said, StoreError>> {
        self.store.say(id, word, by, now)
    }

    fn operations(&self, open: bool, page: Page) -> BoxFuture<'_, Result<Vec<Operation>, StoreError>> {
        self.store.operations(open, page)
    }

    fn operation(&self, id: i64) -> BoxFuture<'_, Result<Option<WithLog>, StoreError>> {
        Box::pin(async move {
            self.check()?;
            self.store.operation(id).await
        })
    }

    fn forget_operations(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.forget_operations(before)
    }
}

/// What happened outside. Fencing twice, or promoting twice, is what must never be.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct World {
    copied: bool,
    fenced: bool,
    promoted: bool,
    wrong: Vec<String>,
}

/// How the effects behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All go well.
    Well,
    /// The last one fails.
    PromoteFails,
    /// The second goes on until it is told to end.
    FenceGoesOn,
    /// The first one never ends, whatever it is told.
    CopyHangs,
}

struct Hands {
    world: Arc<Mutex<World>>,
    way: Way,
    cut: Arc<Cut>,
    /// Effects that are under way, in all processes.
    alive: Arc<AtomicUsize>,
}

/// Counts an effect for as long as it is under way.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Hands {
    fn apply(&self, name: &str) {
        let mut world = self.world.lock().unwrap();
        let once = |thing: &mut bool, wrong: &mut Vec<String>| {
            if std::mem::replace(thing, true) {
                wrong.push(format!("{name} twice"));
            }
        };
        let World { copied, fenced, promoted, wrong } = &mut *world;
        match name {
            "copy" => *copied = true,
            "drop the copy" => *copied = false,
            "fence" => once(fenced, wrong),
            "unfence" => *fenced = false,
            "promote" => once(promoted, wrong),
            other => wrong.push(other.to_owned()),
        }
    }
}

impl Performer for Hands {
    fn perform<'a>(&'a self, effect: &'a Effect, mut conduct: Conduct) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let _alive = Alive::new(&self.alive);
            let name = effect.name.as_str();
            conduct.progress.send_replace(Progress { done: 1, total: Some(2), words: name.to_owned() });
            self.cut.point().await;
            match (name, self.way) {
                ("promote", Way::PromoteFails) => return Err("it does not want to".to_owned()),
                ("copy", Way::CopyHangs) => std::future::pending().await,
                ("fence", Way::FenceGoesOn) => {
                    let _ = conduct.stop.wait_for(|stop| *stop).await;
                    return Err("told to end".to_owned());
                }
                _ => self.apply(name),
            }
            self.cut.point().await;
            Ok(String::new())
        })
    }

    fn happened<'a>(&'a self, effect: &'a Effect, _: Conduct) -> BoxFuture<'a, Result<Option<bool>, String>> {
        Box::pin(async move {
            self.cut.point().await;
            let mut world = self.world.lock().unwrap();
            if self.alive.load(Ordering::SeqCst) > 0 {
                world.wrong.push(format!("{} is looked at while it may still happen", effect.name));
            }
            Ok(Some(match effect.name.as_str() {
                "fence" => world.fenced,
                "promote" => world.promoted,
                other => panic!("{other} needs no look"),
            }))
        })
    }
}

/// An operation's whole surroundings.
struct Stage {
    place: Where,
    world: Arc<Mutex<World>>,
    way: Way,
    alive: Arc<AtomicUsize>,
    pace: Pace,
}

struct Process {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    outside: Outside,
    /// Effects that are being done.
    alive: Arc<AtomicUsize>,
}

impl Stage {
    fn new(place: Where, way: Way) -> Self {
        let tick = Duration::from_millis(3);
        let pace = Pace { tick, look: tick, lease: Duration::from_secs(30) };
        Self { place, world: Arc::default(), way, alive: Arc::default(), pace }
    }

    async fn store(&self) -> Store {
        let store = Store::new(Place::new(self.place.url()));
        store.ready().await.map(|()| store).unwrap()
    }

    fn outside(&self, store: &Store, named: Named, cut: &Arc<Cut>, unreachable: &Arc<AtomicBool>) -> Outside {
        let hands = Hands { world: self.world.clone(), way: self.way, cut: cut.clone(), alive: self.alive.clone() };
        let mut performers: Performers = BTreeMap::new();
        performers.insert("test", Arc::new(hands));
        Outside {
            store: Arc::new(Seen { store: store.clone(), cut: cut.clone(), unreachable: unreachable.clone() }),
            performers: Arc::new(performers),
            processes: Arc::new(named),
            clock: Arc::new(SystemClock),
            wake: Arc::default(),
            pace: self.pace,
            board: Board::default(),
        }
    }

    fn process(&self, store: &Store, named: Named, cut: &Arc<Cut>) -> Process {
        self.process_that(store, named, cut, &Arc::default())
    }

    fn process_that(&self, store: &Store, named: Named, cut: &Arc<Cut>, unreachable: &Arc<AtomicBool>) -> Process {
        let outside = self.outside(store, named, cut, unreachable);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(outside.clone(), Duration::from_secs(3600), stopped));
        Process { task, stop, outside, alive: self.alive.clone() }
    }

    fn world(&self) -> World {
        self.world.lock().unwrap().clone()
    }
}

impl Process {
    /// As `kill -9` does.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        // Its threads and effects are gone with it: what was aborted may still be at its last words on another thread here.
        drop(self.stop);
        let gone = async {
            while self.alive.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("its effects are gone with it");
    }

    async fn end(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends").expect("without a panic");
    }
}

fn effect(name: &str, repeat: Repeat) -> Effect {
    Effect { name: name.into(), parameters: [].into(), timeout: Duration::from_secs(40), repeat }
}

fn steps() -> Vec<Step> {
    let undo = |name| Some(effect(name, Repeat::Safe));
    let tasks = [
        ("copy it", Task::Do { effect: effect("copy", Repeat::Safe), undo: undo("drop the copy") }),
        ("fence the source", Task::Do { effect: effect("fence", Repeat::Probe), undo: undo("unfence") }),
        ("tell", Task::Tell("it is fenced".into())),
        ("ask", Task::Ask { question: "promote it?".into(), within: Duration::from_secs(600) }),
        ("promote the copy", Task::Do { effect: effect("promote", Repeat::Probe), undo: None }),
    ];
    tasks.into_iter().map(|(title, task)| Step { title: title.into(), task }).collect()
}

fn wanted(request: &str, dry_run: bool) -> NewOperation {
    wanted_of(request, dry_run, steps())
}

fn wanted_of(request: &str, dry_run: bool, steps: Vec<Step>) -> NewOperation {
    let deadline = SystemClock.now() + SignedDuration::from_hours(1);
    NewOperation {
        request: request.into(),
        kind: "test".into(),
        subject: "vm/100".into(),
        title: "move it".into(),
        by: "cli:me".into(),
        frame: Frame { plan: Plan::new(steps).unwrap(), dry_run, deadline },
    }
}

async fn planned(store: &Store, new: &NewOperation) -> i64 {
    match store.plan(new, SystemClock.now()).await.unwrap() {
        Planned::New(id) => id,
        other => panic!("{other:?}"),
    }
}

/// Waits until it is over, answering what is asked.
async fn until_over(store: &Store, id: i64, way: Way) -> (Operation, Vec<StepLine>) {
    let wait = async {
        loop {
            let (it, lines) = store.operation(id).await.unwrap().unwrap();
            let word = match &it.state {
                State::Finished { .. } => return (it, lines),
                State::Asking { .. } => Some(Word::Confirm),
                State::Running { at: 1, .. } if way == Way::FenceGoesOn => Some(Word::Cancel),
                _ => None,
            };
            if let Some(word) = word {
                store.say(id, word, &"cli:me".into(), SystemClock.now()).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the operation comes to an end")
}

/// One way through, with the first process cut at a point. Whether it came so far.
async fn cut_at(place: Where, way: Way, point: i64) -> (bool, Where) {
    let stage = Stage::new(place, way);
    let store = stage.store().await;
    let id = planned(&store, &wanted(&format!("{way:?} {point}"), false)).await;
    let cut = Cut::at(point);
    let first = stage.process(&store, Named("first", &[]), &cut);
    let over = until_over(&store, id, way);
    tokio::pin!(over);
    let (mut was_cut, mut second) = (false, None);
    let (it, lines) = tokio::select! {
        over = &mut over => {
            first.end().await;
            over
        }
        () = cut.dead.notified() => {
            was_cut = true;
            first.kill().await;
            second = Some(stage.process(&store, Named("second", &["first"]), &Cut::never()));
            over.await
        }
    };
    if let Some(second) = second {
        second.end().await;
    }
    let told = format!("{way:?} cut at {point}: {it:#?} {lines:#?}");
    let world = stage.world();
    assert_eq!(world.wrong, [] as [String; 0], "{told}");
    let State::Finished { ending, left } = &it.state else { unreachable!() };
    assert_eq!(left, &[] as &[String], "{told}");
    match way {
        Way::Well => {
            assert_eq!(*ending, Ending::Done, "{told}");
            assert_eq!(world, World { copied: true, fenced: true, promoted: true, wrong: Vec::new() }, "{told}");
        }
        Way::PromoteFails => {
            assert_eq!(*ending, Ending::Failed { reason: "promote the copy: it does not want to".into() }, "{told}");
            assert_eq!(world, World::default(), "{told}");
        }
        Way::FenceGoesOn => {
            assert_eq!(*ending, Ending::Cancelled { by: "cli:me".into() }, "{told}");
            assert_eq!(world, World::default(), "{told}");
        }
        Way::CopyHangs => unreachable!(),
    }
    // What was begun stands there, and what came of it.
    assert!(lines.iter().all(|line| line.ended.is_some()), "{told}");
    assert_eq!((it.owner.is_none(), it.ended.is_some()), (true, true), "{told}");
    (was_cut, stage.place)
}

async fn cut_everywhere(mut place: Where) {
    for way in [Way::Well, Way::PromoteFails, Way::FenceGoesOn] {
        let mut point = 1;
        loop {
            let was_cut;
            (was_cut, place) = cut_at(place, way, point).await;
            if !was_cut {
                break;
            }
            point += 1;
        }
        assert!(point > 15, "{way:?} has only {point} points");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_step_on_sqlite_it_comes_to_its_end_and_nothing_happens_twice() {
    cut_everywhere(Where::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_step_on_postgresql_it_comes_to_its_end_and_nothing_happens_twice() {
    cut_everywhere(Where::postgres()).await;
}

async fn two_daemons(place: Where) {
    let stage = Stage::new(place, Way::Well);
    let store = stage.store().await;
    let both = [Named("first", &[]), Named("second", &[])].map(|named| stage.process(&store, named, &Cut::never()));
    for round in 0..5 {
        *stage.world.lock().unwrap() = World::default();
        let id = planned(&store, &wanted(&format!("round {round}"), false)).await;
        let (it, _) = until_over(&store, id, Way::Well).await;
        assert_eq!(it.state, State::Finished { ending: Ending::Done, left: Vec::new() });
        assert_eq!(stage.world(), World { copied: true, fenced: true, promoted: true, wrong: Vec::new() });
    }
    for process in both {
        process.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_daemons_on_one_store_do_it_once() {
    two_daemons(Where::sqlite()).await;
    two_daemons(Where::postgres()).await;
}

/// Who can't reach the store any more ends what it does before its lease is over; only then does another one look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_the_store_stops_before_another_goes_on() {
    let mut stage = Stage::new(Where::sqlite(), Way::FenceGoesOn);
    stage.pace.lease = Duration::from_secs(3);
    let store = stage.store().await;
    let unreachable = Arc::new(AtomicBool::new(false));
    let first = stage.process_that(&store, Named("first", &[]), &Cut::never(), &unreachable);
    let id = planned(&store, &wanted("cut off", false)).await;
    let fencing = async || loop {
        let (it, _) = store.operation(id).await.unwrap().unwrap();
        if matches!(it.state, State::Running { at: 1, .. }) && stage.alive.load(Ordering::SeqCst) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    tokio::time::timeout(PATIENCE, fencing()).await.unwrap();
    assert_eq!(first.outside.board.of(id).unwrap().words, "fence");
    unreachable.store(true, Ordering::SeqCst);
    let second = stage.process(&store, Named("second", &[]), &Cut::never());
    // The second one looks, finds that it didn't happen, does it again, and is told to end.
    let (it, lines) = until_over(&store, id, Way::FenceGoesOn).await;
    assert_eq!(stage.world(), World::default());
    assert!(matches!(it.state, State::Finished { ending: Ending::Cancelled { .. }, .. }));
    let probed = lines.iter().find(|line| line.doing == Doing::Probe).expect("it was looked at");
    assert_eq!(probed.result.as_deref(), Some("it did not happen"));
    second.end().await;
    first.end().await;
}

/// The only daemon there is: after an outage that was longer than its lease it goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_alone_goes_on_when_the_store_is_back() {
    let mut stage = Stage::new(Where::sqlite(), Way::FenceGoesOn);
    stage.pace.lease = Duration::from_secs(2);
    let store = stage.store().await;
    let unreachable = Arc::new(AtomicBool::new(false));
    let process = stage.process_that(&store, Named("first", &[]), &Cut::never(), &unreachable);
    let id = planned(&store, &wanted("outage", false)).await;
    let fencing = async |under_way: usize| {
        while !matches!(store.operation(id).await.unwrap().unwrap().0.state, State::Running { at: 1, .. })
            || stage.alive.load(Ordering::SeqCst) != under_way
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, fencing(1)).await.unwrap();
    unreachable.store(true, Ordering::SeqCst);
    tokio::time::timeout(PATIENCE, fencing(0)).await.expect("it ends what it does");
    unreachable.store(false, Ordering::SeqCst);
    let (it, _) = until_over(&store, id, Way::FenceGoesOn).await;
    assert!(matches!(it.state, State::Finished { ending: Ending::Cancelled { .. }, .. }), "{it:?}");
    assert_eq!(stage.world(), World::default());
    process.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_gives_it_to_the_next_at_once() {
    let stage = Stage::new(Where::sqlite(), Way::FenceGoesOn);
    let store = stage.store().await;
    let first = stage.process(&store, Named("first", &[]), &Cut::never());
    let id = planned(&store, &wanted("stop", false)).await;
    let wait = async || {
        while stage.alive.load(Ordering::SeqCst) == 0 || store.operation(id).await.unwrap().unwrap().1.len() < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait()).await.unwrap();
    first.end().await;
    assert_eq!(stage.alive.load(Ordering::SeqCst), 0, "what runs ends with it");
    assert_eq!(store.operation(id).await.unwrap().unwrap().0.owner, None);
    // Another one, that knows nothing of the first, needn't wait for its lease.
    let second = stage.process(&store, Named("second", &[]), &Cut::never());
    let (it, _) = until_over(&store, id, Way::FenceGoesOn).await;
    assert!(matches!(it.state, State::Finished { ending: Ending::Cancelled { .. }, .. }));
    assert_eq!(stage.world(), World::default());
    second.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_drives_one_and_a_dry_run_does_nothing() {
    let stage = Stage::new(Where::sqlite(), Way::Well);
    let store = stage.store().await;
    let outside = stage.outside(&store, Named("command", &[]), &Cut::never(), &Arc::default());
    let (_stop, stopped) = watch::channel(false);
    let id = planned(&store, &wanted("dry", true)).await;
    let state = run_one(outside.clone(), id, stopped.clone()).await.unwrap();
    assert_eq!(state, Some(State::Finished { ending: Ending::Done, left: Vec::new() }));
    let (it, lines) = store.operation(id).await.unwrap().unwrap();
    assert_eq!(&*it.sentence, "Over: it was a dry run, nothing was done.");
    assert!(lines.len() == steps().len() && lines.iter().all(|line| line.doing == Doing::Would), "{lines:?}");
    assert_eq!(stage.world(), World::default());
    assert_eq!(run_one(outside.clone(), 4711, stopped.clone()).await.unwrap(), None);
    // For real, with a person who answers.
    let id = planned(&store, &wanted("real", false)).await;
    let (state, _) = tokio::join!(run_one(outside, id, stopped), until_over(&store, id, Way::Well));
    assert_eq!(state.unwrap(), Some(State::Finished { ending: Ending::Done, left: Vec::new() }));
    assert!(stage.world().promoted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_ended_and_taken_back() {
    let mut stage = Stage::new(Where::sqlite(), Way::CopyHangs);
    stage.pace.lease = Duration::from_secs(2);
    let store = stage.store().await;
    let mut steps = steps();
    let Task::Do { effect, .. } = &mut steps[0].task else { unreachable!() };
    effect.timeout = Duration::from_millis(50);
    let id = planned(&store, &wanted_of("hangs", false, steps)).await;
    let process = stage.process(&store, Named("first", &[]), &Cut::never());
    let (it, _) = until_over(&store, id, Way::CopyHangs).await;
    let ending = Ending::Failed { reason: "copy it: took too long".into() };
    assert_eq!(it.state, State::Finished { ending, left: Vec::new() });
    assert_eq!(stage.alive.load(Ordering::SeqCst), 0);
    process.end().await;
}

async fn what_the_store_keeps(place: Where) {
    let stage = Stage::new(place, Way::Well);
    let store = stage.store().await;
    let now = SystemClock.now();
    let id = planned(&store, &wanted("once", false)).await;
    assert_eq!(store.plan(&wanted("once", false), now).await.unwrap(), Planned::Same(id));
    assert_eq!(store.plan(&wanted("another", false), now).await.unwrap(), Planned::Busy(id));
    let say = async |id, word| store.say(id, word, &"api:eve".into(), SystemClock.now()).await.unwrap();
    assert_eq!(say(4711, Word::Cancel).await, Said::Unknown);
    assert!(matches!(say(id, Word::Confirm).await, Said::Refused(_)), "nobody asked");
    // Of many who speak at once one is the first.
    let all = futures_util::future::join_all((0..8).map(|_| say(id, Word::Cancel))).await;
    assert_eq!(all.iter().filter(|it| **it == Said::Taken).count(), 1, "{all:?}");
    let process = stage.process(&store, Named("first", &[]), &Cut::never());
    let (it, _) = until_over(&store, id, Way::Well).await;
    assert!(matches!(&it.state, State::Finished { ending: Ending::Cancelled { by }, .. } if by == "api:eve"), "{it:?}");
    process.end().await;
    assert!(matches!(say(id, Word::Cancel).await, Said::Refused(_)), "it is over");
    // The subject is free again; a driver of before, or of another name, changes nothing.
    let id = planned(&store, &wanted("another", false)).await;
    let it = store.operation(id).await.unwrap().unwrap().0;
    assert!(store.claim(&it, "a", now).await.unwrap() && !store.claim(&it, "b", now).await.unwrap());
    let advance = |owner: &str, version| Advance {
        id,
        owner: owner.into(),
        version,
        state: it.state.clone(),
        sentence: "x".into(),
        begun: Vec::new(),
        result: None,
        heard: None,
        lease: now,
    };
    for (owner, version) in [("b", 1), ("a", 0), ("a", 2)] {
        assert!(!store.advance(&advance(owner, version), now).await.unwrap(), "{owner} {version}");
    }
    assert!(store.advance(&advance("a", 1), now).await.unwrap());
    assert!(!store.keep(id, "b", now).await.unwrap() && store.keep(id, "a", now).await.unwrap());
    let page = Page { before: None, limit: 10 };
    assert_eq!(store.operations(true, page).await.unwrap().len(), 1);
    assert_eq!(store.operations(false, page).await.unwrap().len(), 2);
    assert_eq!(store.forget_operations(SystemClock.now() + SignedDuration::from_hours(1)).await.unwrap(), 1);
    // The audit trail stays, and tells who said what.
    let trail = store.audit(None, Page { before: None, limit: 500 }).await.unwrap();
    let said: Vec<_> = trail.iter().filter(|line| line.event.starts_with("operation_told")).collect();
    assert_eq!((said.len(), &*said[0].actor), (1, "api:eve"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_say_counts_once_and_only_the_driver_goes_on() {
    what_the_store_keeps(Where::sqlite()).await;
    what_the_store_keeps(Where::postgres()).await;
}
