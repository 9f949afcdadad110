use std::collections::VecDeque;
use std::sync::Mutex;

use futures_util::future::BoxFuture;

use super::*;
use crate::adapters::clock::SystemClock;
use crate::adapters::store::{Place, Shared};
use crate::domain::notice::routes::{Recipient, Routes};
use crate::domain::notice::tests::notice;
use crate::domain::notice::{Message, Notice, Phase, Severity};
use crate::engine::ports::notices::Sent;

/// A receiver that answers as it was told, then well.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Option<Sent>>>,
    heard: Mutex<Vec<String>>,
}

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = Option<Sent>>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), heard: Mutex::default() })
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Messenger for Scripted {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Sent> {
        Box::pin(async {
            let answer = self.answers.lock().unwrap().pop_front();
            match answer {
                // It hangs.
                Some(None) => std::future::pending().await,
                Some(Some(other)) => other,
                None => {
                    self.heard.lock().unwrap().push(message.headline());
                    Sent::Ok { remote_id: Some("7".into()), said: "ok".into() }
                }
            }
        })
    }
}

fn later() -> Option<Sent> {
    Some(Sent::RetryLater { after: Some(Duration::from_millis(1)), why: "refused".into(), unsure: false })
}

struct Bench {
    _place: tempfile::TempDir,
    opener: Shared,
    store: Arc<dyn NoticeStore>,
    settings: Settings,
}

impl Bench {
    async fn new(names: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let opener = Shared::new(Place::new(format!("sqlite://{}/s.db", place.path().display())));
        let recipients = names.iter().map(|name| Recipient { name: (*name).into(), quiet: None }).collect();
        let plan = Plan {
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
            keep: Duration::from_secs(3600),
            backups: false,
        };
        Self { store: opener.open_notices().await.unwrap(), _place: place, opener, settings }
    }

    fn start(&self, messengers: &[(&str, Arc<Scripted>)]) -> Started {
        let receivers = messengers
            .iter()
            .map(|(name, messenger)| Receiver { name: (*name).into(), messenger: messenger.clone() })
            .collect();
        let outside = Outside { stores: Arc::new(self.opener.clone()), receivers, clock: Arc::new(SystemClock) };
        let (news, mut received) = mpsc::channel(1);
        let status: Arc<Mutex<NotifierStatus>> = Arc::default();
        let sink = status.clone();
        tokio::spawn(async move {
            while let Some(News::Notifier(status)) = received.recv().await {
                *sink.lock().unwrap() = (*status).clone();
            }
        });
        let (_, inventories) = watch::channel(Arc::new(Inventory::default()));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(self.settings.clone(), outside, inventories, news, stopped));
        Started { task, stop, status }
    }
}

struct Started {
    task: tokio::task::JoinHandle<()>,
    stop: watch::Sender<bool>,
    status: Arc<Mutex<NotifierStatus>>,
}

impl Started {
    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1500 {
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

fn told(key: &str, phase: Phase, severity: Severity) -> Notice {
    Notice { phase, severity, at: now(), ..notice(key) }
}

fn problem(key: &str) -> Notice {
    told(key, Phase::Problem, Severity::Warning)
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
        let status = started.status.lock().unwrap().clone();
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
    bench.store.post(&[problem("a"), told("a", Phase::Recovered, Severity::Warning), problem("b")]).await.unwrap();
    let phone = Scripted::answering([]);
    let started = bench.start(&[("phone", phone.clone())]);
    until("b is told", async || phone.heard() == ["WARNING: b is late"]).await;
    // Told once, whoever says it again; worse is news, and so is the end.
    bench.store.post(&[problem("b")]).await.unwrap();
    bench.store.post(&[told("b", Phase::Problem, Severity::Critical)]).await.unwrap();
    until("worse", async || phone.heard().len() == 2).await;
    bench.store.post(&[told("b", Phase::Recovered, Severity::Critical)]).await.unwrap();
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
    until("counted", async || started.status.lock().unwrap().receivers[0].dropped == 2).await;
    started.stop().await;
}

#[tokio::test]
async fn quiet_hours_hold_what_is_not_critical_and_end_in_one_message() {
    use crate::domain::notice::routes::Quiet;
    use crate::domain::window::Window;
    use crate::engine::ports::notices::{Claim, Claimed};

    let mut bench = Bench::new(&["phone"]).await;
    let hours = Window::parse("22:00-06:00", jiff::tz::TimeZone::UTC).unwrap();
    bench.settings.plan.routes.recipients[0].quiet = Some(Quiet { hours, critical_too: false });
    let (night, morning): (Timestamp, Timestamp) =
        ("2026-11-21T23:00:00Z".parse().unwrap(), "2026-11-22T06:00:00Z".parse().unwrap());
    let of = |key: &str, severity| Notice { severity, at: night, ..notice(key) };
    let all = [of("a", Severity::Warning), of("b", Severity::Warning), of("c", Severity::Critical)];
    bench.store.post(&all).await.unwrap();
    bench.store.route(&bench.settings.plan, night).await.unwrap();
    let claim = |now: Timestamp| Claim { owner: "a".into(), now, lease: now + Duration::from_secs(60), above: 5 };
    let Claimed::Some(critical) = bench.store.claim("phone", &claim(night)).await.unwrap() else { panic!() };
    assert_eq!((critical.len(), &*critical[0].notice.key), (1, "c"));
    bench.store.sent(&critical, "a", None, night).await.unwrap();
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
