//! What a person or a schedule asks for goes the way of everything else.

use firedrill::domain::automation::action::rescan::Rescan;
use firedrill::domain::automation::decide::asked_for;
use firedrill::domain::automation::origin::Origin;
use firedrill::engine::ports::automation::Asked;

use super::*;

fn person(request: &str) -> Origin {
    Origin::Person { by: "cli:anna".into(), request: request.into() }
}

async fn ask(world: &World, origin: Origin) -> Asked {
    let action = Rescan { source: "s".parse().unwrap() }.into();
    let now = world.clock.now();
    world.store().ask(&asked_for(origin, action, now), now).await.unwrap()
}

#[tokio::test]
async fn a_request_is_done_once_without_any_rule_and_its_trail_says_who_asked() {
    let world = World::new();
    let effect = Counted::default();
    let asked = ask(&world, person("1")).await;
    assert!(asked.new);
    assert_eq!(ask(&world, person("1")).await, Asked { new: false, ..asked }, "the same request");
    let life = world.live(rules(vec![]), effect.clone(), Cut::never(), true);
    let found = world.settled(1, &[ActionState::Done]).await;
    assert_eq!((&found[0].origin, found[0].decided_by.as_deref()), (&person("1"), Some("cli:anna")));
    assert_eq!(ask(&world, person("1")).await, Asked { new: false, ..asked }, "also when it is done");
    // The clock asks, once for each time.
    let nightly = |due| Origin::Schedule { name: "nightly".into(), due: Timestamp::from_second(due).unwrap() };
    for due in [1, 1, 2] {
        ask(&world, nightly(due)).await;
    }
    life.wake.notify_one();
    let found = world.settled(3, &[ActionState::Done]).await;
    assert!(found.iter().any(|it| it.origin == nightly(2)), "{found:?}");
    assert_eq!(effect.done.load(Ordering::SeqCst), 3);
    let trail = world.store().audit(Some(asked.id), ALL).await.unwrap();
    let words: Vec<(&str, &str)> = trail.iter().rev().map(|line| (&*line.actor, &*line.event)).collect();
    assert_eq!(words, [("cli:anna", "scheduled"), ("firedrill", "started"), ("firedrill", "done")]);
}

#[tokio::test]
async fn a_pause_holds_back_what_people_ask_for_too() {
    let world = World::new();
    let effect = Counted::default();
    world.store().set_paused(true, &"cli:bert".into(), world.clock.now()).await.unwrap();
    ask(&world, person("1")).await;
    let life = world.live(rules(vec![]), effect.clone(), Cut::never(), true);
    let (store, wake) = (world.store(), life.wake.clone());
    // An alert that is kept and left alone says that turns were taken.
    world.receive(&[alert(1, Status::Firing)]).await;
    wake.notify_one();
    tokio::time::timeout(Duration::from_millis(1_500), world.settled(1, &[ActionState::Done])).await.unwrap_err();
    assert_eq!(effect.done.load(Ordering::SeqCst), 0);
    store.set_paused(false, &"cli:bert".into(), world.clock.now()).await.unwrap();
    wake.notify_one();
    world.settled(1, &[ActionState::Done]).await;
}

/// Cuts the life of the process at every step, before and after each, and starts it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_step_what_was_asked_for_is_done_and_ends_once() {
    let mut steps = 0;
    loop {
        let world = World::new();
        let effect = Counted { cut: Some(Cut::after(steps)), ..Counted::default() };
        let cut = effect.cut.clone().unwrap();
        let asked = ask(&world, person("1")).await;
        let life = world.live(rules(vec![]), effect.clone(), cut.clone(), true);
        let died = tokio::select! {
            _ = world.settled(1, &[ActionState::Done]) => false,
            () = cut.died.notified() => true,
        };
        life.task.abort();
        assert!(life.task.await.is_err_and(|end| end.is_cancelled()));
        assert!(!ask(&world, person("1")).await.new, "step {steps}: it is known");
        let again = Counted { cut: None, ..effect.clone() };
        let life = world.live(rules(vec![]), again, Cut::never(), true);
        world.settled(1, &[ActionState::Done]).await;
        life.stop.send_replace(true);
        life.task.await.unwrap();
        let trail = world.store().audit(Some(asked.id), ALL).await.unwrap();
        assert_eq!(trail.iter().filter(|line| &*line.event == "done").count(), 1, "step {steps}");
        if !died {
            assert!(steps > 10, "all steps are cut: {steps}");
            return;
        }
        steps += 1;
    }
}

#[tokio::test]
async fn two_daemons_on_one_store_do_what_is_asked_once() {
    let world = World::new();
    let effect = Counted::default();
    let first = world.live(rules(vec![]), effect.clone(), Cut::never(), false);
    let second = world.live(rules(vec![]), effect.clone(), Cut::never(), false);
    for request in 0..20 {
        ask(&world, person(&request.to_string())).await;
    }
    first.wake.notify_one();
    second.wake.notify_one();
    world.settled(20, &[ActionState::Done]).await;
    assert_eq!(effect.done.load(Ordering::SeqCst), 20);
}
