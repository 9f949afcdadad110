use std::collections::VecDeque;
use std::sync::Mutex;

use futures_util::future::BoxFuture;

use super::*;
use crate::adapters::machine::clock::SystemClock;
use crate::adapters::store::{Place, Store};
use crate::domain::notice::dedup::Why;
use crate::domain::notice::routes::{Recipient, Routes};
use crate::domain::notice::tests::notice;
use crate::domain::notice::{Message, Notice, Part, Phase, Topic, Urgency};
use crate::engine::ports::notices::{Claim, Claimed, Delivery, FailedTry, Sent, Taken, Tried};

/// A receiver that answers as it was told, then well.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Option<Sent>>>,
    heard: Mutex<Vec<String>>,
    /// It takes no message with this word in it.
    poison: Option<&'static str>,
    /// Headlines of what it did not take for that.
    refused: Mutex<Vec<String>>,
}

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = Option<Sent>>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() })
    }

    fn refusing(poison: &'static str) -> Arc<Self> {
        Arc::new(Self { poison: Some(poison), ..Self::default() })
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Messenger for Scripted {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Sent> {
        Box::pin(async {
            let text = format!("{}\n{}", message.headline(), message.body());
            if self.poison.is_some_and(|word| text.contains(word)) {
                self.refused.lock().unwrap().push(message.headline());
                return Sent::Unfit { why: "400: can't read that".into() };
            }
            let answer = self.answers.lock().unwrap().pop_front();
            match answer {
                // It hangs.
                Some(None) => std::future::pending().await,
                Some(Some(other)) => other,
                None => {
                    self.heard.lock().unwrap().push(message.headline());
                    Sent::Ok { remote_id: Some("7".into()), said: "ok".into(), note: None }
                }
            }
        })
    }
}

fn taken(at: Timestamp) -> Taken {
    Taken { remote_id: None, note: None, at }
}

fn later() -> Option<Sent> {
    Some(Sent::RetryLater { after: Some(Duration::from_millis(1)), why: "refused".into(), unsure: false })
}

struct Bench {
    _place: tempfile::TempDir,
    store: Arc<dyn NoticeStore>,
    settings: Settings,
}

impl Bench {
    async fn new(names: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(Place::new(format!("sqlite://{}/s.db", place.path().display())));
        let recipients = names.iter().map(|name| Recipient { name: (*name).into(), quiet: None }).collect();
        let plan = Routing {
            routes: Routes { recipients, routes: Vec::new() },
            repeat: Duration::from_secs(3600),
            wait: Duration::ZERO,
            too_old: Duration::from_secs(3600),
        };
        let settings = Settings {
            owner: "a".into(),
            plan,
            above: 5,
            give_up_after: Duration::from_secs(3600),
            message_timeout: Duration::from_millis(400),
            slow_retry: Duration::from_millis(300),
            keep: Duration::from_secs(3600),
            backups: false,
        };
        Self { store: Arc::new(store), _place: place, settings }
    }

    fn start(&self, messengers: &[(&str, Arc<Scripted>)]) -> Started {
        let receivers = messengers
            .iter()
            .map(|(name, messenger)| Receiver { name: (*name).into(), messenger: messenger.clone() })
            .collect();
        let outside = Outside { store: self.store.clone(), receivers, clock: Arc::new(SystemClock) };
        let post = Post::default();
        let status = post.subscribe();
        let (_, inventories) = watch::channel(Arc::new(Inventory::default()));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(self.settings.clone(), outside, inventories, post, stopped));
        Started { task, stop, status }
    }
}

struct Started {
    task: tokio::task::JoinHandle<()>,
    stop: watch::Sender<bool>,
    status: watch::Receiver<Option<Arc<NotifierStatus>>>,
}

impl Started {
    fn status(&self) -> NotifierStatus {
        self.status.borrow().as_deref().cloned().unwrap_or_default()
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..6000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn told(key: &str, phase: Phase, severity: Urgency) -> Notice {
    Notice { phase, severity, at: now(), ..notice(key) }
}

fn problem(key: &str) -> Notice {
    told(key, Phase::Problem, Urgency::Warning)
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_in_order_and_one_that_hangs_delays_nobody() {
    let bench = Bench::new(&["bad", "hanging", "good"]).await;
    let bad = Scripted::answering([later(), later()]);
    let hanging = Scripted::answering([None, None]);
    let good = Scripted::answering([]);
    bench.store.post(&[problem("a"), problem("b")]).await.unwrap();
    let begun = std::time::Instant::now();
    let started = bench.start(&[("bad", bad.clone()), ("hanging", hanging.clone()), ("good", good.clone())]);
    let both = ["WARNING: a is late", "WARNING: b is late"];
    until("the good one heard", async || good.heard() == both).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    until("the bad one heard", async || bad.heard() == both).await;
    until("the hanging one heard", async || hanging.heard() == both).await;
    until("the counters show it", async || {
        let status = started.status();
        let of = |name: &str| status.receivers.iter().find(|it| &*it.name == name).cloned().unwrap_or_default();
        of("bad").retried == 2
            && of("bad").sent == 2
            && of("good").sent == 2
            && of("good").up == Some(true)
            && of("hanging").queued == 0
            && of("hanging").retried >= 1
    })
    .await;
    started.stop().await;
}

#[tokio::test]
async fn what_is_over_before_it_was_told_is_told_to_nobody() {
    let bench = Bench::new(&["phone"]).await;
    bench.store.post(&[problem("a"), told("a", Phase::Recovered, Urgency::Warning), problem("b")]).await.unwrap();
    let phone = Scripted::answering([]);
    let started = bench.start(&[("phone", phone.clone())]);
    until("b is told", async || phone.heard() == ["WARNING: b is late"]).await;
    // Told once, whoever says it again; worse is news, and so is the end.
    bench.store.post(&[problem("b")]).await.unwrap();
    bench.store.post(&[told("b", Phase::Problem, Urgency::Critical)]).await.unwrap();
    until("worse", async || phone.heard().len() == 2).await;
    bench.store.post(&[told("b", Phase::Recovered, Urgency::Critical)]).await.unwrap();
    until("over", async || phone.heard().len() == 3).await;
    assert_eq!(phone.heard()[1..], ["CRITICAL: b is late", "RECOVERED: b is late"]);
    // It is heard before it is marked.
    until("all are marked", async || {
        let lines = bench.store.last_deliveries(10).await.unwrap();
        let states: Vec<(&str, &str)> = lines.iter().map(|line| (&*line.why, &*line.state)).collect();
        states == [("recovered", "sent"), ("worse", "sent"), ("first", "sent"), ("first", "superseded")]
    })
    .await;
    started.stop().await;
}

#[tokio::test]
async fn a_restart_loses_nothing_and_a_lease_ends() {
    let mut bench = Bench::new(&["phone"]).await;
    bench.store.post(&[problem("a"), problem("b")]).await.unwrap();
    // It dies in the middle of a message.
    let first = bench.start(&[("phone", Scripted::answering([None]))]);
    until("it is on its way", async || {
        bench.store.last_deliveries(9).await.unwrap().iter().any(|line| &*line.state == "sending")
    })
    .await;
    first.task.abort();
    let _ = first.task.await;
    // Stopped with grace: what was on its way is queued at once.
    bench.settings.owner = "a".into();
    let second = bench.start(&[("phone", Scripted::answering([None]))]);
    until("it is tried again", async || {
        bench.store.last_deliveries(9).await.unwrap().iter().any(|line| line.tries == 2)
    })
    .await;
    second.stop().await;
    assert!(bench.store.last_deliveries(9).await.unwrap().iter().all(|line| &*line.state == "queued"));
    bench.settings.owner = "b".into();
    let phone = Scripted::answering([]);
    let third = bench.start(&[("phone", phone.clone())]);
    until("all is told", async || phone.heard() == ["WARNING: a is late", "WARNING: b is late"]).await;
    third.stop().await;
}

#[tokio::test]
async fn many_at_once_are_one_message() {
    let bench = Bench::new(&["phone"]).await;
    let all: Vec<Notice> = (0..30).map(|index| problem(&format!("item{index}"))).collect();
    bench.store.post(&all).await.unwrap();
    let phone = Scripted::answering([]);
    let started = bench.start(&[("phone", phone.clone())]);
    until("one message", async || phone.heard() == ["WARNING: 30 notices: 30 warning"]).await;
    until("all are sent", async || {
        bench.store.last_deliveries(50).await.unwrap().iter().all(|line| &*line.state == "sent")
    })
    .await;
    started.stop().await;
}

#[tokio::test]
async fn what_nobody_takes_is_given_up_with_the_reason() {
    let mut bench = Bench::new(&["phone"]).await;
    bench.settings.give_up_after = Duration::ZERO;
    let no = Some(Sent::Drop { why: "no such chat".into() });
    bench.store.post(&[problem("a"), problem("b")]).await.unwrap();
    let started = bench.start(&[("phone", Scripted::answering([no, later()]))]);
    until("both are dropped", async || {
        bench.store.last_deliveries(9).await.unwrap().iter().filter(|line| &*line.state == "dropped").count() == 2
    })
    .await;
    let lines = bench.store.last_deliveries(9).await.unwrap();
    assert_eq!(lines[1].last_error.as_deref(), Some("no such chat"));
    assert!(lines[0].last_error.as_deref().unwrap().contains("given up"), "{lines:?}");
    until("counted", async || started.status().receivers[0].dropped == 2).await;
    started.stop().await;
}

#[tokio::test]
async fn quiet_hours_hold_what_is_not_critical_and_end_in_one_message() {
    use crate::domain::notice::routes::Quiet;
    use crate::domain::window::Window;

    let mut bench = Bench::new(&["phone"]).await;
    let hours = Window::parse("22:00-06:00", jiff::tz::TimeZone::UTC).unwrap();
    bench.settings.plan.routes.recipients[0].quiet = Some(Quiet { hours, critical_too: false });
    let (night, morning): (Timestamp, Timestamp) =
        ("2026-11-21T23:00:00Z".parse().unwrap(), "2026-11-22T06:00:00Z".parse().unwrap());
    let of = |key: &str, severity| Notice { severity, at: night, ..notice(key) };
    let all = [of("a", Urgency::Warning), of("b", Urgency::Warning), of("c", Urgency::Critical)];
    bench.store.post(&all).await.unwrap();
    bench.store.route(&bench.settings.plan, night).await.unwrap();
    let claim =
        |now: Timestamp| Claim { owner: "a".into(), now, lease: now + Duration::from_secs(60), above: 5, alone: false };
    let Claimed::Some(critical) = bench.store.claim("phone", &claim(night)).await.unwrap() else { panic!() };
    assert_eq!((critical.len(), &*critical[0].notice.key), (1, "c"));
    bench.store.sent(&critical, "a", &taken(night)).await.unwrap();
    // Nothing waits as far as anybody who watches the queue is concerned.
    let queues = bench.store.queues(night).await.unwrap();
    assert_eq!((queues[0].length, queues[0].oldest), (2, None));
    assert_eq!(bench.store.claim("phone", &claim(night)).await.unwrap(), Claimed::Nothing(Some(morning)));
    let Claimed::Some(held) = bench.store.claim("phone", &claim(morning)).await.unwrap() else { panic!() };
    assert_eq!(held.len(), 2);
    assert_eq!(bench.store.queues(morning).await.unwrap()[0].oldest, Some(morning));
}

#[tokio::test]
async fn what_waited_while_nobody_was_notified_is_told_to_nobody() {
    let bench = Bench::new(&["phone"]).await;
    let old = Notice { at: now() - Duration::from_secs(7200), ..notice("a") };
    bench.store.post(&[old]).await.unwrap();
    let routed = bench.store.route(&bench.settings.plan, now()).await.unwrap();
    assert_eq!((routed.notices, routed.queued), (1, 0));
}

#[tokio::test]
async fn a_refusal_that_a_person_mends_drops_nothing_and_another_is_told_once() {
    let bench = Bench::new(&["phone", "mail"]).await;
    let no = || Some(Sent::Refused { why: "401: Unauthorized".into() });
    let (phone, mail) = (Scripted::answering([no(), no(), no()]), Scripted::answering([]));
    let only = Notice { receivers: vec!["phone".into()], ..problem("a") };
    bench.store.post(&[only]).await.unwrap();
    let started = bench.start(&[("phone", phone.clone()), ("mail", mail.clone())]);
    let said = "WARNING: receiver phone takes no notifications";
    until("the other is told", async || mail.heard() == [said]).await;
    until("it shows", async || started.status().receivers[0].up == Some(false)).await;
    until("mended", async || phone.heard() == ["WARNING: a is late"]).await;
    let over = "RECOVERED: receiver phone takes notifications again";
    until("the other is told of that too", async || mail.heard() == [said, over]).await;
    let status = started.status().receivers[0].clone();
    assert_eq!((status.dropped, status.retried), (0, 3));
    started.stop().await;
}

#[tokio::test]
async fn what_nobody_can_digest_holds_up_nobody() {
    let bench = Bench::new(&["phone"]).await;
    bench.store.post(&[problem("poison"), problem("b"), problem("c")]).await.unwrap();
    let phone = Scripted::refusing("poison");
    let started = bench.start(&[("phone", phone.clone())]);
    until("the others are told", async || phone.heard() == ["WARNING: b is late", "WARNING: c is late"]).await;
    let lines = bench.store.last_deliveries(9).await.unwrap();
    let poison = lines.iter().find(|line| line.title.contains("poison")).unwrap();
    assert_eq!((&*poison.state, poison.last_error.as_deref()), ("queued", Some("400: can't read that")));
    started.stop().await;
}

#[tokio::test]
async fn what_nobody_can_digest_is_found_among_many() {
    let bench = Bench::new(&["phone"]).await;
    let mut all: Vec<Notice> = (0..9).map(|index| problem(&format!("item{index}"))).collect();
    all.push(problem("poison"));
    bench.store.post(&all).await.unwrap();
    let phone = Scripted::refusing("poison");
    let started = bench.start(&[("phone", phone.clone())]);
    until("all others are sent", async || {
        let lines = bench.store.last_deliveries(50).await.unwrap();
        lines.iter().filter(|line| &*line.state == "sent").count() == 9
    })
    .await;
    assert_eq!(phone.refused.lock().unwrap()[0], "WARNING: 10 notices: 10 warning");
    started.stop().await;
}

/// The store alone, at times of our own.
struct Steps {
    bench: Bench,
    now: Timestamp,
}

impl Steps {
    async fn new() -> Self {
        Self { bench: Bench::new(&["phone"]).await, now: now() }
    }

    async fn post(&self, notice: Notice) {
        self.bench.store.post(&[Notice { at: self.now, ..notice }]).await.unwrap();
    }

    /// Routes, and claims what is next.
    async fn next(&mut self) -> Vec<Delivery> {
        self.now += Duration::from_secs(1);
        while self.bench.store.route(&self.bench.settings.plan, self.now).await.unwrap().notices > 0 {}
        let (now, lease) = (self.now, self.now + Duration::from_secs(60));
        let claim = Claim { owner: "a".into(), now, lease, above: 5, alone: false };
        match self.bench.store.claim("phone", &claim).await.unwrap() {
            Claimed::Some(some) => some,
            Claimed::Nothing(_) => Vec::new(),
        }
    }

    async fn sent(&self, deliveries: &[Delivery]) {
        self.bench.store.sent(deliveries, "a", &taken(self.now)).await.unwrap();
    }

    async fn failed(&self, deliveries: &[Delivery], failure: FailedTry) {
        self.bench.store.failed(deliveries, "a", &failure).await.unwrap();
    }

    fn failure(&self, again: Option<u64>) -> FailedTry {
        let again = again.map(|seconds| self.now + Duration::from_secs(seconds));
        FailedTry { again, why: "no".into(), unsure: false, parts: Vec::new(), unfit: 0, at: self.now }
    }
}

#[tokio::test]
async fn an_end_that_was_dropped_makes_the_next_beginning_news() {
    let mut it = Steps::new().await;
    it.post(problem("a")).await;
    let told = it.next().await;
    it.sent(&told).await;
    it.post(self::told("a", Phase::Recovered, Urgency::Warning)).await;
    let over = it.next().await;
    it.failed(&over, it.failure(None)).await;
    it.post(problem("a")).await;
    let again = it.next().await;
    assert_eq!((again.len(), again[0].why), (1, Why::First));
    it.sent(&again).await;
    // One that is too old to be told at all as well.
    let over = self::told("a", Phase::Recovered, Urgency::Warning);
    it.post(over).await;
    it.now += it.bench.settings.plan.too_old + Duration::from_secs(9);
    assert!(it.next().await.is_empty());
    it.post(problem("a")).await;
    assert_eq!(it.next().await[0].why, Why::First);
}

#[tokio::test]
async fn an_alert_that_was_dropped_is_offered_again_while_it_lasts() {
    let mut it = Steps::new().await;
    let repeat = it.bench.settings.plan.repeat;
    let alert = |key: &str| Notice { topic: Topic::Alert, ..problem(key) };
    for key in ["alert/1", "alert/2"] {
        it.post(alert(key)).await;
        let some = it.next().await;
        it.failed(&some, it.failure(None)).await;
    }
    it.post(Notice { phase: Phase::Recovered, ..alert("alert/2") }).await;
    assert!(it.next().await.is_empty());
    assert_eq!(it.bench.store.offer_again(repeat, it.now).await.unwrap(), 0);
    it.now += repeat;
    // What is over meanwhile is offered to nobody, and the other once.
    assert_eq!(it.bench.store.offer_again(repeat, it.now).await.unwrap(), 1);
    assert_eq!(it.bench.store.offer_again(repeat, it.now).await.unwrap(), 0);
    let again = it.next().await;
    assert_eq!((again.len(), &*again[0].notice.key, again[0].why), (1, "alert/1", Why::First));
    it.sent(&again).await;
    it.now += repeat;
    assert_eq!(it.bench.store.offer_again(repeat, it.now).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_decided_of_addresses_is_kept_and_holds_up_nobody() {
    let mut it = Steps::new().await;
    it.post(problem("a")).await;
    let some = it.next().await;
    let part = |to: &str, taken| Part { to: to.into(), taken, said: "".into() };
    let parts = vec![part("b@x.org", true), part("a@x.org", false)];
    it.failed(&some, FailedTry { parts: parts.clone(), unsure: true, ..it.failure(Some(60)) }).await;
    it.post(problem("b")).await;
    let other = it.next().await;
    assert_eq!((other.len(), &*other[0].notice.key, other[0].parts.len()), (1, "b", 0));
    it.sent(&other).await;
    // Another process, later: the same is known.
    it.now += Duration::from_secs(60);
    let rest = it.next().await;
    assert_eq!(rest[0].parts, [parts[1].clone(), parts[0].clone()]);
    // Somebody heard of it, so the end is told.
    it.failed(&rest, it.failure(Some(60))).await;
    it.post(told("a", Phase::Recovered, Urgency::Warning)).await;
    assert_eq!(it.next().await[0].why, Why::Recovered);
}

#[tokio::test]
async fn what_is_refused_for_itself_is_counted_while_others_are_taken() {
    let mut it = Steps::new().await;
    it.post(problem("a")).await;
    let some = it.next().await;
    assert_eq!(worker::refusals(&some), 1);
    it.failed(&some, FailedTry { unfit: 1, ..it.failure(Some(5)) }).await;
    it.now += Duration::from_secs(5);
    let some = it.next().await;
    // Nothing else was taken: it may be the receiver.
    assert_eq!((some[0].unfit, worker::refusals(&some)), (1, 1));
    it.failed(&some, FailedTry { unfit: 1, ..it.failure(Some(5)) }).await;
    it.post(problem("b")).await;
    let other = it.next().await;
    assert_eq!(&*other[0].notice.key, "b");
    it.sent(&other).await;
    it.now += Duration::from_secs(5);
    let some = it.next().await;
    assert_eq!((some[0].unfit, worker::refusals(&some)), (1, 2));
    it.failed(&some, FailedTry { unfit: 2, ..it.failure(Some(0)) }).await;
    // A restart knows it, and it says nothing of the receiver.
    assert_eq!(it.bench.store.last_tries().await.unwrap(), [Tried { receiver: "phone".into(), worked: true }]);
    // By now it goes alone.
    it.post(problem("c")).await;
    assert_eq!(it.next().await.len(), 1);
}

#[tokio::test]
async fn what_is_refused_for_itself_again_and_again_is_given_up() {
    let mut it = Steps::new().await;
    it.post(problem("poison")).await;
    let some = it.next().await;
    it.failed(&some, FailedTry { unfit: 5, ..it.failure(Some(2)) }).await;
    it.post(problem("b")).await;
    let other = it.next().await;
    it.sent(&other).await;
    let started = it.bench.start(&[("phone", Scripted::refusing("poison"))]);
    until("it is dropped", async || {
        it.bench.store.last_deliveries(9).await.unwrap().iter().any(|line| &*line.state == "dropped")
    })
    .await;
    let lines = it.bench.store.last_deliveries(9).await.unwrap();
    let poison = lines.iter().find(|line| line.title.contains("poison")).unwrap();
    assert!(poison.last_error.as_deref().unwrap().contains("refused 6 times while others were taken"), "{poison:?}");
    // It was the message, not the receiver.
    until("counted", async || started.status().receivers[0].dropped == 1).await;
    assert_eq!(started.status().receivers[0].up, Some(true));
    started.stop().await;
}
