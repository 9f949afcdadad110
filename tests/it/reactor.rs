//! The reactor on a real store: one intent, one action, whatever happens in between.

mod decisions;
mod model;
mod occurrences;
mod requests;
mod upgrade;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use firedrill::adapters::store::{Place, Store};
use firedrill::domain::automation::action::{Kind, Template, hook, notify, rescan};
use firedrill::domain::automation::alert::{Alert, KeptAlert, Labels, Status};
use firedrill::domain::automation::decide::{Asked, Past};
use firedrill::domain::automation::matcher::Matcher;
use firedrill::domain::automation::occurrence::{Bounds, Occurrence, Tidings};
use firedrill::domain::automation::record::{ActionState, Record, Ruled, Ruling};
use firedrill::domain::automation::rule::{Cap, Mode, OnResolve, Rule, Rules};
use firedrill::domain::automation::status::OpenActions;
use firedrill::domain::inventory::{Inventory, SourceView};
use firedrill::domain::look::estate::EstateLook;
use firedrill::domain::look::{Look, Medium, PlaceListing, PlaceLook, PlaceSpec, SourceKind, SourceSpec};
use firedrill::domain::notice::Notice;
use firedrill::domain::policy::{Matcher as Exclude, Policy};
use firedrill::engine::effects::notify::Tell;
use firedrill::engine::intake::{self, Outlet};
use firedrill::engine::ports::automation::{ActionFilter, ActionStore as _, Page};
use firedrill::engine::ports::ledger::{
    Change, Due, Effect, EffectFailure, Held, Ledger, New, Outcome, Processes, Received, Turn,
};
use firedrill::engine::ports::{Clock, StoreError};
use firedrill::engine::reactor::{self, Outside, Settings};
use firedrill::engine::statuses::Post;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

use crate::support::{PATIENCE, until};

/// Told to fire so long after its end, an alert does.
const BOUND: Duration = Duration::from_secs(600);

const BOUNDS: Bounds = Bounds { reopen_after: BOUND, lost_after: Duration::from_secs(86_400) };

const ALL: Page = Page { before: None, limit: 500 };

/// A clock that the test moves.
#[derive(Clone, Default)]
struct Hands(Arc<AtomicI64>);

impl Hands {
    fn forward(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        let base = Timestamp::from_second(1_790_000_000).unwrap();
        base + SignedDuration::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A process; all others are gone if it is said so.
struct Process {
    name: Arc<str>,
    alone: bool,
}

impl Processes for Process {
    fn me(&self) -> Arc<str> {
        self.name.clone()
    }

    fn is_gone(&self, owner: &str) -> bool {
        self.alone && owner != &*self.name
    }
}

/// Where the process "dies": after so many steps nothing goes on.
#[derive(Clone)]
struct Cut {
    left: Arc<AtomicI64>,
    died: Arc<Notify>,
}

impl Cut {
    fn after(steps: i64) -> Self {
        Self { left: Arc::new(AtomicI64::new(steps)), died: Arc::default() }
    }

    fn never() -> Self {
        Self::after(i64::MAX)
    }

    async fn step(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// The call may be cut before it, or between what it did and its return.
    async fn around<T>(&self, work: impl Future<Output = T>) -> T {
        self.step().await;
        let done = work.await;
        self.step().await;
        done
    }
}

struct CutLedger(Store, Cut);

struct CutTurn(Box<dyn Turn>, Cut);

impl Ledger for CutLedger {
    fn receive<'a>(
        &'a self,
        alerts: &'a [Received],
        bounds: Bounds,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Tidings, StoreError>> {
        Box::pin(self.1.around(self.0.receive(alerts, bounds, now)))
    }

    fn turn(&self) -> BoxFuture<'_, Result<Box<dyn Turn>, StoreError>> {
        Box::pin(async move {
            let turn = self.1.around(self.0.turn()).await?;
            Ok(Box::new(CutTurn(turn, self.1.clone())) as Box<dyn Turn>)
        })
    }

    fn renew<'a>(&'a self, owner: &'a str, until: Timestamp) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.0.renew(owner, until)
    }

    fn forget_automation(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.0.forget_automation(before)
    }
}

impl Turn for CutTurn {
    fn believe_late(
        &mut self,
        bound: Duration,
        most: u32,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Tidings, StoreError>> {
        self.0.believe_late(bound, most, now)
    }

    fn standing<'a>(
        &'a mut self,
        fingerprints: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<HashMap<String, Occurrence>, StoreError>> {
        self.0.standing(fingerprints)
    }

    fn pending(&mut self, most: u32) -> BoxFuture<'_, Result<Vec<KeptAlert>, StoreError>> {
        self.0.pending(most)
    }

    fn past<'a>(&'a mut self, asked: &'a [Asked]) -> BoxFuture<'a, Result<Vec<Past>, StoreError>> {
        self.0.past(asked)
    }

    fn add<'a>(&'a mut self, new: &'a [New], now: Timestamp) -> BoxFuture<'a, Result<Vec<Option<i64>>, StoreError>> {
        Box::pin(self.1.around(self.0.add(new, now)))
    }

    fn handled<'a>(&'a mut self, alerts: &'a [KeptAlert]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.1.around(self.0.handled(alerts)))
    }

    fn of_alert<'a>(
        &'a mut self,
        alert: i64,
        states: &'a [ActionState],
    ) -> BoxFuture<'a, Result<Vec<Record>, StoreError>> {
        self.0.of_alert(alert, states)
    }

    fn due(&mut self, kind: Kind, now: Timestamp, most: u32) -> BoxFuture<'_, Result<Vec<Due>, StoreError>> {
        self.0.due(kind, now, most)
    }

    fn expired(&mut self, now: Timestamp, most: u32) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        self.0.expired(now, most)
    }

    fn denied(&mut self) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        self.0.denied()
    }

    fn held(&mut self) -> BoxFuture<'_, Result<Vec<Held>, StoreError>> {
        self.0.held()
    }

    fn began<'a>(&'a mut self, rule: Option<&'a str>, since: Timestamp) -> BoxFuture<'a, Result<u32, StoreError>> {
        self.0.began(rule, since)
    }

    fn is_paused(&mut self) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.0.is_paused()
    }

    fn change<'a>(
        &'a mut self,
        change: &'a Change,
        from: &'a [ActionState],
        owner: Option<&'a str>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.1.around(self.0.change(change, from, owner, now)))
    }

    fn note<'a>(
        &'a mut self,
        actor: &'a str,
        action: Option<i64>,
        event: &'a str,
        detail: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.note(actor, action, event, detail, now)
    }

    fn tell<'a>(&'a mut self, notices: &'a [Notice]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.1.around(self.0.tell(notices)))
    }

    fn open(&mut self) -> BoxFuture<'_, Result<Vec<OpenActions>, StoreError>> {
        self.0.open()
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        let Self(turn, cut) = *self;
        Box::pin(async move { cut.around(turn.commit()).await })
    }
}

/// Counts what is done; may take until it is told to end.
#[derive(Clone, Default)]
struct Counted {
    done: Arc<AtomicU32>,
    running: Arc<AtomicU32>,
    most_running: Arc<AtomicU32>,
    hold: Option<Arc<Notify>>,
    cut: Option<Cut>,
    fails: bool,
}

impl Effect for Counted {
    fn perform<'a>(&'a self, _record: &'a Record) -> BoxFuture<'a, Result<Outcome, EffectFailure>> {
        Box::pin(async move {
            if let Some(cut) = &self.cut {
                cut.step().await;
            }
            self.done.fetch_add(1, Ordering::SeqCst);
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_running.fetch_max(running, Ordering::SeqCst);
            if let Some(hold) = &self.hold {
                hold.notified().await;
            }
            self.running.fetch_sub(1, Ordering::SeqCst);
            if let Some(cut) = &self.cut {
                cut.step().await;
            }
            if self.fails {
                Err(EffectFailure::new("in vain"))
            } else {
                Ok(Outcome { result: "done".into(), ..Outcome::default() })
            }
        })
    }
}

fn inventory() -> Arc<Inventory> {
    let spec = Arc::new(SourceSpec {
        name: "s".parse().unwrap(),
        kind: SourceKind::new("vzdump"),
        places: vec![PlaceSpec { path: "/a".into(), medium: Medium::Local, node: None, readable: true }],
        expected: Vec::new(),
        exclude: Exclude::new(&[], &[], &[], &[]).unwrap(),
        scan_interval: Duration::from_secs(60),
        scan_timeout: Duration::from_secs(60),
    });
    let places = vec![PlaceLook { listing: Ok(Arc::new(PlaceListing::default())), capacity: None }];
    let view = SourceView::unseen(spec.clone(), &Policy::default());
    let now = Hands::default().now();
    let view = view.after(Look { places, estate: EstateLook::default() }, Duration::ZERO, &Policy::default(), now);
    Arc::new(Inventory::unseen(&[spec], &Policy::default()).with(view))
}

fn rule(kind: Kind, mode: Mode) -> Rule {
    let template = match kind {
        Kind::Hook => Template::Hook(hook::Template {
            program: "/bin/x".into(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(9),
        }),
        Kind::Notify => Template::Notify(notify::Template { receivers: Vec::new() }),
        _ => Template::Rescan(rescan::Template),
    };
    Rule {
        name: kind.as_str().into(),
        matchers: vec![Matcher::equal("alertname", "A")],
        receiver: None,
        severities: Vec::new(),
        status: Status::Firing,
        template,
        source_label: "source".into(),
        item_label: "item".into(),
        mode,
        patience: Duration::ZERO,
        cooldown: Duration::ZERO,
        rule_cooldown: Duration::ZERO,
        cap: None,
        quiet: None,
        on_resolve: OnResolve::Cancel,
    }
}

fn rules(all: Vec<Rule>) -> Rules {
    let cap = Cap { most: 100, per: Duration::from_secs(3600) };
    let proposals_expire = Duration::from_secs(3600);
    Rules { rules: all, cap, concurrency: [1; Kind::ALL.len()], proposals_expire, bounds: BOUNDS }
}

fn alert(number: u32, status: Status) -> Received {
    let labels: Labels = [("alertname", "A"), ("source", "s")].map(|(name, value)| (name.into(), value.into())).into();
    let alert = Alert {
        status,
        fingerprint: format!("{number:016x}").into(),
        starts_at: Timestamp::from_second(1_789_999_000).unwrap(),
        ends_at: None,
        labels,
        annotations: Labels::new(),
        generator_url: "".into(),
    };
    Received { receiver: "firedrill".into(), alert }
}

/// A store of its own, and reactors on it.
struct World {
    place: TempDir,
    url: String,
    clock: Hands,
    lives: AtomicU32,
}

struct Life {
    store: Store,
    task: tokio::task::JoinHandle<()>,
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    _inventory: watch::Sender<Arc<Inventory>>,
}

impl World {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(place: TempDir) -> Self {
        let url = format!("sqlite://{}/firedrill.db", place.path().display());
        Self { place, url, clock: Hands::default(), lives: AtomicU32::new(0) }
    }

    /// As another process would open it.
    fn store(&self) -> Store {
        Store::new(Place::new(&*self.url))
    }

    fn live(&self, rules: Rules, effect: Counted, cut: Cut, alone: bool) -> Life {
        let effect: Arc<dyn Effect> = Arc::new(effect);
        self.live_with(rules, &[(Kind::Hook, effect.clone()), (Kind::Rescan, effect)], cut, alone)
    }

    fn live_with(&self, rules: Rules, effects: &[(Kind, Arc<dyn Effect>)], cut: Cut, alone: bool) -> Life {
        let mut effects: BTreeMap<Kind, Arc<dyn Effect>> = effects.iter().cloned().collect();
        effects.entry(Kind::Notify).or_insert_with(|| Arc::new(Tell { clock: Arc::new(self.clock.clone()) }));
        let wake = Arc::new(Notify::new());
        let store = self.store();
        let ledger: Arc<dyn Ledger> = Arc::new(CutLedger(store.clone(), cut));
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let outlet = Outlet { ledger: ledger.clone(), clock: clock.clone(), wake: wake.clone(), bounds: BOUNDS };
        let (intake, _writer) = intake::new(outlet);
        let name = format!("life {}", self.lives.fetch_add(1, Ordering::SeqCst));
        let outside = Outside {
            ledger,
            effects,
            processes: Arc::new(Process { name: name.into(), alone }),
            clock,
            intake,
            wake: wake.clone(),
        };
        let (inventory, inventories) = watch::channel(inventory());
        let (stop, stopped) = watch::channel(false);
        let settings = Settings { rules, retention: Duration::from_secs(30 * 86_400) };
        let task = tokio::spawn(reactor::run(settings, outside, inventories, Post::default(), stopped));
        Life { store, task, wake, stop, _inventory: inventory }
    }

    async fn records(&self) -> Vec<Record> {
        self.store().actions(&ActionFilter::default(), ALL).await.unwrap()
    }

    /// Waits until every action is in one of these states, and there are so many.
    async fn settled(&self, count: usize, states: &[ActionState]) -> Vec<Record> {
        let store = self.store();
        until(&format!("{count} actions are {states:?}"), || async {
            let found = store.actions(&ActionFilter::default(), ALL).await.unwrap();
            (found.len() == count && found.iter().all(|it| states.contains(&it.state))).then_some(found)
        })
        .await
    }

    async fn receive(&self, alerts: &[Received]) {
        self.store().receive(alerts, BOUNDS, self.clock.now()).await.unwrap();
    }
}

/// Cuts the reactor at every step, before and after each; starts it again; the result is the same.
async fn cut_everywhere(kind: Kind) {
    let mut steps = 0;
    loop {
        let world = World::new();
        let effect = Counted { cut: Some(Cut::after(steps)), ..Counted::default() };
        let cut = effect.cut.clone().unwrap();
        // The webhook may be cut too: Alertmanager sends again what wasn't answered.
        let sender = CutLedger(world.store(), cut.clone());
        let received = [alert(1, Status::Firing)];
        let sent = tokio::select! {
            result = sender.receive(&received, BOUNDS, world.clock.now()) => result.is_ok(),
            () = cut.died.notified() => false,
        };
        let mut died = !sent;
        if sent {
            let life = world.live(rules(vec![rule(kind, Mode::Execute)]), effect.clone(), cut.clone(), true);
            tokio::select! {
                _ = world.settled(1, &[ActionState::Done]) => {}
                () = cut.died.notified() => died = true,
            }
            life.task.abort();
            assert!(life.task.await.is_err_and(|end| end.is_cancelled()));
        }
        let before = effect.done.load(Ordering::SeqCst);
        // The second life, and the alert once more.
        world.receive(&received).await;
        let again = Counted { cut: None, ..effect.clone() };
        let life = world.live(rules(vec![rule(kind, Mode::Execute)]), again, Cut::never(), true);
        let found = world.settled(1, &[ActionState::Done, ActionState::Failed]).await;
        life.stop.send_replace(true);
        life.task.await.unwrap();
        let done = effect.done.load(Ordering::SeqCst);
        let state = found[0].state;
        match kind {
            // Never twice; and where nobody can know, that is what is said.
            Kind::Hook => {
                assert!(done <= 1, "step {steps}: run {done} times");
                if state == ActionState::Failed {
                    assert!(found[0].reason.contains("isn't known"), "step {steps}: {}", found[0].reason);
                } else {
                    assert_eq!(done, 1, "step {steps}");
                }
            }
            _ => {
                assert_eq!(state, ActionState::Done, "step {steps}: {}", found[0].reason);
                assert!((1..=before + 1).contains(&done), "step {steps}: done {done} times, {before} before the cut");
            }
        }
        let ends = world.store().audit(Some(found[0].id), ALL).await.unwrap();
        let ends = ends.iter().filter(|line| ["done", "failed"].contains(&&*line.event)).count();
        assert!(ends <= 1, "step {steps}: it ended {ends} times");
        if !died {
            assert!(steps > 20, "all steps are cut: {steps}");
            return;
        }
        steps += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_step_an_idempotent_action_is_done() {
    cut_everywhere(Kind::Rescan).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_step_a_hook_never_runs_twice() {
    cut_everywhere(Kind::Hook).await;
}

#[tokio::test]
async fn repetitions_other_receivers_and_late_firings_lead_to_one_action() {
    let world = World::new();
    let effect = Counted::default();
    let other = Received { receiver: "other".into(), ..alert(1, Status::Firing) };
    world.receive(&[alert(1, Status::Firing), alert(1, Status::Firing), other]).await;
    let life = world.live(rules(vec![rule(Kind::Rescan, Mode::Execute)]), effect.clone(), Cut::never(), true);
    world.settled(1, &[ActionState::Done]).await;
    for status in [Status::Firing, Status::Resolved, Status::Firing] {
        world.receive(&[alert(1, status)]).await;
        life.wake.notify_one();
    }
    // One that is over before it was heard of, and then told late by the other member of the pair.
    world.receive(&[alert(2, Status::Resolved)]).await;
    world.receive(&[alert(2, Status::Firing)]).await;
    world.receive(&[alert(3, Status::Firing)]).await;
    life.wake.notify_one();
    world.settled(2, &[ActionState::Done]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 2);
    let alerts = world.store().alerts(None, ALL).await.unwrap();
    let first = alerts.iter().find(|it| it.fingerprint.ends_with('1') && &*it.receiver == "firedrill").unwrap();
    assert_eq!((first.times, first.status()), (5, Status::Resolved));
}

#[tokio::test]
async fn so_many_at_a_time_and_so_many_in_an_hour() {
    let world = World::new();
    let hold = Arc::new(Notify::new());
    let effect = Counted { hold: Some(hold.clone()), ..Counted::default() };
    let limits = Rules {
        cap: Cap { most: 3, per: Duration::from_secs(3600) },
        ..rules(vec![rule(Kind::Rescan, Mode::Execute)])
    };
    let all: Vec<_> = (0..6).map(|number| alert(number, Status::Firing)).collect();
    world.receive(&all).await;
    let life = world.live(limits, effect.clone(), Cut::never(), true);
    until("three are done", || async {
        hold.notify_one();
        let found = world.records().await;
        (found.iter().filter(|it| it.state == ActionState::Done).count() == 3).then_some(())
    })
    .await;
    let found = world.settled(6, &[ActionState::Done, ActionState::Proposed]).await;
    assert_eq!(found.iter().filter(|it| it.state == ActionState::Proposed).count(), 3, "the rest waits for a person");
    assert_eq!((effect.most_running.load(Ordering::SeqCst), effect.done.load(Ordering::SeqCst)), (1, 3));
    // A person may let one more pass.
    let id = found.iter().find(|it| it.state == ActionState::Proposed).unwrap().id;
    let ruling = Ruling { action: id, approve: true, by: "api:anna".into(), at: world.clock.now() };
    assert_eq!(world.store().rule(&ruling).await.unwrap(), Ruled::Taken(ActionState::Scheduled));
    until("it is done", || async {
        hold.notify_one();
        let found = world.store().action(id).await.unwrap().unwrap();
        (found.state == ActionState::Done).then_some(())
    })
    .await;
    life.stop.send_replace(true);
}

#[tokio::test]
async fn a_proposal_is_taken_once_denied_or_expires() {
    let world = World::new();
    let effect = Counted::default();
    world.receive(&[1, 2, 3, 4].map(|number| alert(number, Status::Firing))).await;
    let life = world.live(rules(vec![rule(Kind::Rescan, Mode::Propose)]), effect.clone(), Cut::never(), true);
    let found = world.settled(4, &[ActionState::Proposed]).await;
    let ids: Vec<i64> = found.iter().rev().map(|it| it.id).collect();
    let rule = |id, approve, by: &str| {
        let (store, by) = (world.store(), Arc::from(by));
        let ruling = Ruling { action: id, approve, by, at: world.clock.now() };
        async move { store.rule(&ruling).await.unwrap() }
    };
    // Two at the same time: one counts.
    let both = futures_util::future::join(rule(ids[0], true, "api:anna"), rule(ids[0], true, "telegram:7")).await;
    let taken = [both.0, both.1].iter().filter(|it| matches!(it, Ruled::Taken(_))).count();
    assert_eq!(taken, 1, "{both:?}");
    assert_eq!(rule(ids[1], false, "api:anna").await, Ruled::Taken(ActionState::Denied));
    assert_eq!(rule(ids[1], true, "api:bert").await, Ruled::TooLate(ActionState::Denied));
    assert_eq!(rule(999, true, "api:bert").await, Ruled::Unknown);
    // One alert is over, the last proposal is never answered.
    world.receive(&[alert(3, Status::Resolved)]).await;
    life.wake.notify_one();
    until("the first is done and the third cancelled", || async {
        let found = world.records().await;
        let state = |id| found.iter().find(|it| it.id == id).unwrap().state;
        (state(ids[0]) == ActionState::Done && state(ids[2]) == ActionState::Cancelled).then_some(())
    })
    .await;
    world.clock.forward(Duration::from_secs(3601));
    assert_eq!(rule(ids[3], true, "api:anna").await, Ruled::TooLate(ActionState::Expired), "it is too late at once");
    life.wake.notify_one();
    world.settled(4, &[ActionState::Done, ActionState::Denied, ActionState::Cancelled, ActionState::Expired]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 1);
    let audit = world.store().audit(Some(ids[0]), ALL).await.unwrap();
    let told: Vec<&str> = audit.iter().rev().map(|line| &*line.event).collect();
    assert_eq!(told, ["proposed", "approved", "started", "done"]);
}

#[tokio::test]
async fn paused_nothing_begins_and_what_is_over_by_then_never_does() {
    let world = World::new();
    let effect = Counted::default();
    let by: Arc<str> = "cli:anna".into();
    assert!(world.store().set_paused(true, &by, world.clock.now()).await.unwrap());
    assert!(!world.store().set_paused(true, &by, world.clock.now()).await.unwrap(), "once is enough");
    world.receive(&[alert(1, Status::Firing), alert(2, Status::Firing)]).await;
    let life = world.live(rules(vec![rule(Kind::Rescan, Mode::Execute)]), effect.clone(), Cut::never(), true);
    world.receive(&[alert(2, Status::Resolved)]).await;
    world.receive(&[alert(3, Status::Firing)]).await;
    life.wake.notify_one();
    // A turn that decides would have made rows by the time that this one line stands.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(world.records().await.is_empty());
    assert!(world.store().set_paused(false, &by, world.clock.now()).await.unwrap());
    life.wake.notify_one();
    world.settled(2, &[ActionState::Done]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_runs_is_ended_with_its_alert_if_the_rule_says_so() {
    let world = World::new();
    let effect = Counted { hold: Some(Arc::default()), ..Counted::default() };
    world.receive(&[alert(1, Status::Firing)]).await;
    let kill = Rule { on_resolve: OnResolve::Kill, ..rule(Kind::Hook, Mode::Execute) };
    let life = world.live(rules(vec![kill]), effect.clone(), Cut::never(), true);
    world.settled(1, &[ActionState::Running]).await;
    world.receive(&[alert(1, Status::Resolved)]).await;
    life.wake.notify_one();
    let found = world.settled(1, &[ActionState::Cancelled]).await;
    assert_eq!(&*found[0].reason, "ended while it ran: the alert is over");
}

#[tokio::test]
async fn another_daemon_takes_over_only_when_the_lease_is_over() {
    let world = World::new();
    let hangs = Counted { hold: Some(Arc::default()), ..Counted::default() };
    world.receive(&[alert(1, Status::Firing)]).await;
    let first = world.live(rules(vec![rule(Kind::Rescan, Mode::Execute)]), hangs, Cut::never(), false);
    world.settled(1, &[ActionState::Running]).await;
    // It dies where nobody can see it: another machine.
    first.task.abort();
    let effect = Counted::default();
    let second = world.live(rules(vec![rule(Kind::Rescan, Mode::Execute)]), effect.clone(), Cut::never(), false);
    for _ in 0..3 {
        second.wake.notify_one();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(effect.done.load(Ordering::SeqCst), 0, "the lease holds");
    world.clock.forward(Duration::from_secs(31));
    second.wake.notify_one();
    world.settled(1, &[ActionState::Done]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn failures_are_kept_with_their_reason() {
    let world = World::new();
    world.receive(&[alert(1, Status::Firing)]).await;
    let effect = Counted { fails: true, ..Counted::default() };
    let life = world.live(rules(vec![rule(Kind::Rescan, Mode::Execute)]), effect, Cut::never(), true);
    let found = world.settled(1, &[ActionState::Failed]).await;
    assert_eq!(found[0].result.as_deref(), Some("in vain"));
    life.stop.send_replace(true);
    tokio::time::timeout(PATIENCE, life.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_audit_trail_is_only_added_to() {
    let world = World::new();
    world.store().set_paused(true, &"cli:anna".into(), world.clock.now()).await.unwrap();
    let url = format!("sqlite://{}/firedrill.db", world.place.path().display());
    for statement in ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"] {
        let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url).await.unwrap();
        let error = sqlx::query(statement).execute(&mut connection).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    assert_eq!(world.store().audit(None, ALL).await.unwrap().len(), 1);
}
