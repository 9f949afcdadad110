//! Decisions over many alerts at once, and while the clock is set.

use super::*;

fn cooling(hours: u64) -> Rules {
    let cooldown = Duration::from_secs(hours * 3600);
    rules(vec![Rule { cooldown, ..rule(Kind::Rescan, Mode::Execute) }])
}

async fn in_state(world: &World, state: ActionState) -> usize {
    world.records().await.iter().filter(|it| it.state == state).count()
}

#[tokio::test]
async fn alerts_that_come_together_are_decided_as_if_one_by_one() {
    let world = World::new();
    let effect = Counted::default();
    // One target, so that the first begins the cooldown of the others; and the second twice, by two receivers.
    let other = Received { receiver: "other".into(), ..alert(2, Status::Firing) };
    let all: Vec<Received> = (1..=200).map(|it| alert(it, Status::Firing)).chain([other]).collect();
    world.receive(&all).await;
    let life = world.live(cooling(1), effect.clone(), Cut::never(), true);
    world.settled(200, &[ActionState::Done, ActionState::Cooldown]).await;
    life.wake.notify_one();
    world.settled(200, &[ActionState::Done, ActionState::Cooldown]).await;
    assert_eq!((in_state(&world, ActionState::Done).await, in_state(&world, ActionState::Cooldown).await), (1, 199));
    assert_eq!(effect.done.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_clock_that_is_set_back_repeats_nothing_and_opens_no_cooldown() {
    let world = World::new();
    let effect = Counted::default();
    world.clock.forward(Duration::from_secs(5 * 3600));
    world.receive(&[alert(1, Status::Firing)]).await;
    let life = world.live(cooling(1), effect.clone(), Cut::never(), true);
    world.settled(1, &[ActionState::Done]).await;
    world.clock.0.store(0, Ordering::SeqCst);
    world.receive(&[alert(1, Status::Firing), alert(2, Status::Firing)]).await;
    life.wake.notify_one();
    world.settled(2, &[ActionState::Done, ActionState::Cooldown]).await;
    assert_eq!((in_state(&world, ActionState::Done).await, in_state(&world, ActionState::Cooldown).await), (1, 1));
    // And ahead.
    world.clock.forward(Duration::from_secs(12 * 3600));
    world.receive(&[alert(3, Status::Firing)]).await;
    life.wake.notify_one();
    world.settled(3, &[ActionState::Done, ActionState::Cooldown]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 2);
}

fn hook(name: &str, argument: &str) -> Rule {
    let template = Template::Hook(hook::Template {
        program: "/bin/x".into(),
        arguments: vec![argument.into()],
        timeout: Duration::from_secs(9),
    });
    let cooldown = Duration::from_secs(3600);
    Rule { name: name.into(), template, cooldown, ..rule(Kind::Hook, Mode::Execute) }
}

#[tokio::test]
async fn the_end_of_an_alert_may_ask_for_its_own_and_two_rules_for_two_things() {
    let world = World::new();
    let effect = Counted::default();
    let close = Rule { status: Status::Resolved, ..hook("close", "ticket") };
    let all = rules(vec![hook("open", "ticket"), hook("page", "phone"), close]);
    let life = world.live(all, effect.clone(), Cut::never(), true);
    world.receive(&[alert(1, Status::Firing)]).await;
    life.wake.notify_one();
    world.settled(2, &[ActionState::Done]).await;
    world.receive(&[alert(1, Status::Resolved)]).await;
    life.wake.notify_one();
    let found = world.settled(3, &[ActionState::Done]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 3, "{found:?}");
}

#[tokio::test]
async fn nobody_is_asked_before_the_alert_has_lasted() {
    let world = World::new();
    let effect = Counted::default();
    let patient = Rule { patience: Duration::from_secs(300), ..rule(Kind::Rescan, Mode::Propose) };
    let life = world.live(rules(vec![patient]), effect.clone(), Cut::never(), true);
    world.receive(&[alert(1, Status::Firing), alert(2, Status::Firing)]).await;
    life.wake.notify_one();
    world.settled(2, &[ActionState::Scheduled]).await;
    world.receive(&[alert(2, Status::Resolved)]).await;
    world.clock.forward(Duration::from_secs(299));
    life.wake.notify_one();
    world.settled(2, &[ActionState::Scheduled, ActionState::Cancelled]).await;
    world.clock.forward(Duration::from_secs(2));
    life.wake.notify_one();
    world.settled(2, &[ActionState::Proposed, ActionState::Cancelled]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_alert_is_over_for_every_receiver_it_is_told_for() {
    let world = World::new();
    let effect = Counted::default();
    let to = |receiver: &str, number, status| Received { receiver: receiver.into(), ..alert(number, status) };
    // Over for one, and late for the other.
    world.receive(&[to("b", 1, Status::Resolved)]).await;
    world.receive(&[to("a", 1, Status::Firing)]).await;
    // Asked about because of one, over for the other.
    world.receive(&[to("a", 2, Status::Firing), to("b", 2, Status::Firing)]).await;
    let life = world.live(rules(vec![rule(Kind::Rescan, Mode::Propose)]), effect.clone(), Cut::never(), true);
    world.settled(1, &[ActionState::Proposed]).await;
    world.receive(&[to("b", 2, Status::Resolved)]).await;
    life.wake.notify_one();
    world.settled(1, &[ActionState::Cancelled]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 0);
}
