//! An alert's end reaches its actions, whatever happened to its start.

use firedrill::domain::notice::Phase;
use firedrill::engine::ports::notices::NoticeStore as _;
use sqlx::{Connection as _, Row as _};

use super::*;

/// An alert with a start, so many seconds after some moment.
fn told(number: u32, status: Status, start: i64) -> Received {
    let mut received = alert(number, status);
    received.alert.starts_at = Timestamp::from_second(1_789_990_000 + start).unwrap();
    received
}

fn fires(start: i64) -> Received {
    told(1, Status::Firing, start)
}

fn over(start: i64, end: i64) -> Received {
    let mut received = told(1, Status::Resolved, start);
    received.alert.ends_at = Some(Timestamp::from_second(1_789_990_000 + end).unwrap());
    received
}

fn for_receiver(receiver: &str, received: Received) -> Received {
    Received { receiver: receiver.into(), ..received }
}

/// What was told of alerts, in order, with its phase.
async fn notices(world: &World) -> Vec<String> {
    let url = format!("sqlite://{}/firedrill.db", world.place.path().display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let rows = sqlx::query("SELECT phase FROM notices WHERE topic = 'alert' ORDER BY id").fetch_all(&mut connection);
    rows.await.unwrap().iter().map(|row| row.try_get("phase").unwrap()).collect()
}

async fn until_told(world: &World, wanted: &[Phase]) {
    let wanted: Vec<&str> = wanted.iter().map(|it| it.as_str()).collect();
    until(&format!("{wanted:?} is told"), || async { (notices(world).await == wanted).then_some(()) }).await;
}

async fn tell(world: &World, life: &Life, received: Received) {
    world.receive(&[received]).await;
    life.wake.notify_one();
}

#[tokio::test]
async fn a_start_that_moves_is_the_same_intent_and_its_end_takes_all_back() {
    let world = World::new();
    let effect = Counted { hold: Some(Arc::default()), ..Counted::default() };
    let kill = Rule { on_resolve: OnResolve::Kill, ..rule(Kind::Hook, Mode::Execute) };
    let patient = Rule { patience: Duration::from_secs(3600), ..rule(Kind::Rescan, Mode::Execute) };
    let asks = Rule { name: "asks".into(), ..rule(Kind::Rescan, Mode::Propose) };
    let template = Template::Hook(hook::Template {
        program: "/bin/y".into(),
        arguments: Vec::new(),
        timeout: Duration::from_secs(9),
    });
    let asks = Rule { template, ..asks };
    let all = rules(vec![kill, patient, asks, rule(Kind::Notify, Mode::Execute)]);
    let life = world.live(all, effect, Cut::never(), true);
    tell(&world, &life, fires(10)).await;
    let states = [ActionState::Running, ActionState::Scheduled, ActionState::Proposed, ActionState::Done];
    world.settled(4, &states).await;
    until_told(&world, &[Phase::Problem]).await;
    let before = until("that it was told is known", || async {
        let found = world.records().await;
        let told = found.iter().any(|it| it.action.kind() == Kind::Notify && it.state == ActionState::Done);
        told.then_some(found)
    })
    .await;
    // Later, earlier, for another receiver: nothing new.
    tell(&world, &life, fires(500)).await;
    tell(&world, &life, fires(5)).await;
    tell(&world, &life, for_receiver("other", fires(600))).await;
    until("all of it is dealt with", || async {
        let store = world.store();
        let waits = store.turn().await.unwrap().pending(1).await.unwrap();
        waits.is_empty().then_some(())
    })
    .await;
    assert_eq!(world.settled(4, &states).await, before);
    let alerts = world.store().alerts(Some(Status::Firing), ALL).await.unwrap();
    assert_eq!(alerts.iter().map(|it| it.times).collect::<Vec<_>>(), [1, 3], "one occurrence for each receiver");
    assert!(alerts.iter().all(|it| it.occurrence == 1 && it.starts_at == fires(10).alert.starts_at));
    // The end has the start that was told last, and reaches what was asked for with the first.
    let asked = before.iter().find(|it| it.state == ActionState::Proposed).unwrap().id;
    tell(&world, &life, over(500, 900)).await;
    world.settled(4, &[ActionState::Cancelled, ActionState::Done]).await;
    let ruling = Ruling { action: asked, approve: true, by: "api:anna".into(), at: world.clock.now() };
    assert_eq!(world.store().rule(&ruling).await.unwrap(), Ruled::TooLate(ActionState::Cancelled));
    until_told(&world, &[Phase::Problem, Phase::Recovered]).await;
    assert!(world.store().alerts(Some(Status::Firing), ALL).await.unwrap().is_empty());
    assert!(world.store().stories("alert/").await.unwrap().is_empty());
    // The other member of the pair says so too, with its own start.
    tell(&world, &life, over(10, 905)).await;
    world.clock.forward(Duration::from_secs(4_000));
    tell(&world, &life, told(2, Status::Resolved, 10)).await;
    until("it is dealt with", || async {
        let waits = world.store().turn().await.unwrap().pending(1).await.unwrap();
        waits.is_empty().then_some(())
    })
    .await;
    world.settled(4, &[ActionState::Cancelled, ActionState::Done]).await;
    until_told(&world, &[Phase::Problem, Phase::Recovered]).await;
}

#[tokio::test]
async fn an_earlier_start_after_the_end_does_nothing() {
    let world = World::new();
    let effect = Counted::default();
    let life = world.live(rules(vec![rule(Kind::Hook, Mode::Execute)]), effect.clone(), Cut::never(), true);
    tell(&world, &life, fires(500)).await;
    world.settled(1, &[ActionState::Done]).await;
    tell(&world, &life, over(500, 900)).await;
    tell(&world, &life, fires(10)).await;
    // Something that is decided on afterwards.
    tell(&world, &life, told(2, Status::Firing, 10)).await;
    world.settled(2, &[ActionState::Done]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn fired_again_after_a_false_end_it_is_told_and_decided_anew_under_cooldown() {
    let world = World::new();
    let effect = Counted::default();
    let cooling = Rule { cooldown: Duration::from_secs(3600), ..rule(Kind::Rescan, Mode::Execute) };
    let all = || rules(vec![cooling.clone(), rule(Kind::Hook, Mode::Execute), rule(Kind::Notify, Mode::Execute)]);
    let life = world.live(all(), effect.clone(), Cut::never(), true);
    tell(&world, &life, fires(10)).await;
    until_told(&world, &[Phase::Problem]).await;
    world.settled(3, &[ActionState::Done]).await;
    tell(&world, &life, over(10, 900)).await;
    until_told(&world, &[Phase::Problem, Phase::Recovered]).await;
    // One late word, whose end isn't told again: for as long as the bound it may be an old one.
    tell(&world, &life, fires(10)).await;
    world.clock.forward(BOUND - Duration::from_secs(1));
    tell(&world, &life, told(2, Status::Resolved, 10)).await;
    until("it is dealt with", || async {
        let waits = world.store().turn().await.unwrap().pending(1).await.unwrap();
        waits.is_empty().then_some(())
    })
    .await;
    world.settled(3, &[ActionState::Done]).await;
    // The process may die in between.
    life.task.abort();
    let life = world.live(all(), effect.clone(), Cut::never(), true);
    world.clock.forward(BOUND);
    life.wake.notify_one();
    until_told(&world, &[Phase::Problem, Phase::Recovered, Phase::Problem]).await;
    let found = world.settled(6, &[ActionState::Done, ActionState::Cooldown]).await;
    assert_eq!(found.iter().filter(|it| it.state == ActionState::Cooldown).count(), 1, "the rescan cools down");
    assert_eq!(effect.done.load(Ordering::SeqCst), 3, "the hook ran for each occurrence");
    let alerts = world.store().alerts(Some(Status::Firing), ALL).await.unwrap();
    assert_eq!((alerts.len(), alerts[0].occurrence, alerts[0].reopened), (1, 2, true));
    let ended = world.store().alerts(Some(Status::Resolved), ALL).await.unwrap();
    assert_eq!(ended.iter().map(|it| it.late).max(), Some(1));
    // The end of this one is told as well; and then three late words at once.
    tell(&world, &life, over(10, 2_000)).await;
    for _ in 0..3 {
        tell(&world, &life, fires(10)).await;
    }
    use Phase::{Problem, Recovered};
    until_told(&world, &[Problem, Recovered, Problem, Recovered, Problem]).await;
    world.settled(9, &[ActionState::Done, ActionState::Cooldown]).await;
}

#[tokio::test]
async fn a_late_word_does_not_stand_while_nobody_listens() {
    let world = World::new();
    let effect = Counted::default();
    let all = || rules(vec![rule(Kind::Hook, Mode::Execute)]);
    let life = world.live(all(), effect.clone(), Cut::never(), true);
    tell(&world, &life, fires(10)).await;
    world.settled(1, &[ActionState::Done]).await;
    tell(&world, &life, over(10, 900)).await;
    tell(&world, &life, fires(10)).await;
    life.task.abort();
    // The member whose copy that was tells the end once more, and finds nobody.
    world.clock.forward(3 * BOUND);
    let life = world.live(all(), effect.clone(), Cut::never(), true);
    tell(&world, &life, told(2, Status::Firing, 10)).await;
    world.settled(2, &[ActionState::Done]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 2, "nothing is done about what is over");
    tell(&world, &life, over(10, 900)).await;
    world.clock.forward(3 * BOUND);
    tell(&world, &life, told(3, Status::Firing, 10)).await;
    world.settled(3, &[ActionState::Done]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_day_of_silence_and_a_later_start_end_what_nobody_ended() {
    let world = World::new();
    let effect = Counted::default();
    let asks = Rule { name: "asks".into(), ..rule(Kind::Rescan, Mode::Propose) };
    let all = rules(vec![rule(Kind::Hook, Mode::Execute), asks, rule(Kind::Notify, Mode::Execute)]);
    let long = Duration::from_secs(30 * 86_400);
    let life = world.live(Rules { proposals_expire: long, ..all }, effect.clone(), Cut::never(), true);
    tell(&world, &life, fires(10)).await;
    world.settled(3, &[ActionState::Done, ActionState::Proposed]).await;
    world.clock.forward(Duration::from_secs(86_401));
    tell(&world, &life, fires(90_000)).await;
    let found = world.settled(6, &[ActionState::Done, ActionState::Proposed, ActionState::Cancelled]).await;
    let of = |state| found.iter().filter(|it| it.state == state).count();
    assert_eq!((of(ActionState::Cancelled), of(ActionState::Proposed), effect.done.load(Ordering::SeqCst)), (1, 1, 2));
    until_told(&world, &[Phase::Problem, Phase::Recovered, Phase::Problem]).await;
    assert_eq!(world.store().alerts(Some(Status::Firing), ALL).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_alert_that_fires_again_before_people_were_told_of_it_is_not_told_to_be_over() {
    let world = World::new();
    // The end comes while it is being told.
    let hold = Arc::new(Notify::new());
    let slow = Counted { hold: Some(hold.clone()), ..Counted::default() };
    struct Slow(Counted, Tell);
    impl Effect for Slow {
        fn perform<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<Outcome, EffectFailure>> {
            Box::pin(async move {
                self.0.perform(record).await?;
                self.1.perform(record).await
            })
        }
    }
    let tell_slowly: Arc<dyn Effect> = Arc::new(Slow(slow, Tell { clock: Arc::new(world.clock.clone()) }));
    let limits = Rules { concurrency: [1; Kind::ALL.len()], ..rules(vec![rule(Kind::Notify, Mode::Execute)]) };
    let life = world.live_with(limits, &[(Kind::Notify, tell_slowly)], Cut::never(), true);
    tell(&world, &life, fires(10)).await;
    world.settled(1, &[ActionState::Running]).await;
    tell(&world, &life, over(10, 900)).await;
    tell(&world, &life, fires(1_000)).await;
    let found = world.settled(2, &[ActionState::Running, ActionState::Scheduled]).await;
    assert_eq!(found.len(), 2);
    until("both are told", || async {
        hold.notify_one();
        world.records().await.iter().all(|it| it.state == ActionState::Done).then_some(())
    })
    .await;
    assert_eq!(notices(&world).await.last().map(String::as_str), Some("problem"));
    assert_eq!(world.store().stories("alert/").await.unwrap().len(), 1);
}

#[tokio::test]
async fn rules_of_several_receivers_hear_of_one_occurrence() {
    let world = World::new();
    let effect = Counted::default();
    let of = |receiver: &str, program: &str| {
        let template = Template::Hook(hook::Template {
            program: program.into(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(9),
        });
        let receiver = Some(receiver.into());
        Rule { name: program.into(), receiver, template, ..rule(Kind::Hook, Mode::Propose) }
    };
    let life = world.live(rules(vec![of("a", "/x"), of("b", "/y")]), effect, Cut::never(), true);
    tell(&world, &life, for_receiver("a", fires(10))).await;
    world.settled(1, &[ActionState::Proposed]).await;
    // The other one is told by another member, with another start.
    tell(&world, &life, for_receiver("b", fires(500))).await;
    world.settled(2, &[ActionState::Proposed]).await;
    tell(&world, &life, for_receiver("a", over(10, 900))).await;
    world.settled(2, &[ActionState::Cancelled]).await;
    tell(&world, &life, for_receiver("b", over(500, 905))).await;
    tell(&world, &life, for_receiver("b", fires(950))).await;
    let found = world.settled(3, &[ActionState::Cancelled, ActionState::Proposed]).await;
    assert_eq!(found.iter().filter(|it| it.state == ActionState::Proposed).count(), 1);
}

#[tokio::test]
async fn many_words_in_one_commit_are_heard_in_their_order() {
    let world = World::new();
    let effect = Counted::default();
    // Firing, over, begun again; and over in the end, for the other.
    let mut all = vec![fires(10), fires(500), over(500, 900), fires(950)];
    for it in [fires(10), over(10, 900), fires(950), over(950, 960), fires(500)] {
        let mut it = it;
        it.alert.fingerprint = "2".into();
        all.push(it);
    }
    world.receive(&all).await;
    let life = world.live(rules(vec![rule(Kind::Hook, Mode::Execute)]), effect.clone(), Cut::never(), true);
    world.settled(1, &[ActionState::Done]).await;
    let open = world.store().alerts(Some(Status::Firing), ALL).await.unwrap();
    assert_eq!(open.iter().map(|it| (it.occurrence, it.times)).collect::<Vec<_>>(), [(2, 1)]);
    let ended = world.store().alerts(Some(Status::Resolved), ALL).await.unwrap();
    assert_eq!(ended.len(), 3);
    life.stop.send_replace(true);
}

#[tokio::test]
async fn what_follows_an_end_waits_until_that_has_lasted() {
    let world = World::new();
    let effect = Counted::default();
    let patience = Duration::from_secs(600);
    let ends = Rule { status: Status::Resolved, patience, ..rule(Kind::Hook, Mode::Execute) };
    let life = world.live(rules(vec![ends]), effect.clone(), Cut::never(), true);
    tell(&world, &life, fires(10)).await;
    // It fired for much longer than that: what counts is how long it is over.
    world.clock.forward(10 * patience);
    tell(&world, &life, over(10, 900)).await;
    let found = world.settled(1, &[ActionState::Scheduled]).await;
    assert!(found[0].not_before > world.clock.now() && found[0].reason.contains("if the alert is still over"));
    tell(&world, &life, fires(1_000)).await;
    world.clock.forward(patience);
    life.wake.notify_one();
    let found = world.settled(1, &[ActionState::Cancelled]).await;
    assert_eq!(&*found[0].reason, "cancelled: the alert fires again");
    tell(&world, &life, over(1_000, 1_200)).await;
    world.settled(2, &[ActionState::Cancelled, ActionState::Scheduled]).await;
    world.clock.forward(patience);
    life.wake.notify_one();
    world.settled(2, &[ActionState::Cancelled, ActionState::Done]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 1);
}
