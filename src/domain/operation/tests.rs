//! Every short list of events, and random long ones: what holds whatever happens.

use std::collections::HashSet;

use proptest::prelude::*;

use super::plan::{PlanRefusal, Step};
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn effect(name: &str, repeat: Repeat) -> Effect {
    Effect { name: name.into(), parameters: [].into(), timeout: Duration::from_secs(10), repeat }
}

fn steps() -> Vec<Step> {
    let undo = |name| Some(effect(name, Repeat::Safe));
    let tasks = [
        Task::Do { effect: effect("copy", Repeat::Safe), undo: undo("drop the copy") },
        Task::Do { effect: effect("fence", Repeat::Probe), undo: undo("unfence") },
        Task::Tell("fenced".into()),
        Task::Wait(Duration::from_secs(5)),
        Task::Ask { question: "go on?".into(), within: Duration::from_secs(60) },
        Task::Do { effect: effect("promote", Repeat::Probe), undo: None },
    ];
    tasks.into_iter().enumerate().map(|(at, task)| Step { title: format!("s{at}"), task }).collect()
}

fn frame() -> Frame {
    Frame { plan: Plan::new(steps()).unwrap(), dry_run: false, deadline: at(1000) }
}

/// All that can happen to a state; what belongs to an effect also late and of another step.
fn events(state: &State) -> Vec<Event> {
    let by = || "cli:me".to_owned();
    let mut events = vec![
        Event::Begin,
        Event::Cancel { by: by() },
        Event::Confirmed { by: by() },
        Event::Denied { by: by() },
        Event::Tick,
        Event::Restarted,
    ];
    let here = match state {
        State::Running { at, tries }
        | State::Probing { at, tries }
        | State::Stopping { at, tries, .. }
        | State::Undoing { at, tries, .. } => (*at, *tries),
        _ => (0, 1),
    };
    for (at, tries) in [here, (here.0 + 1, here.1), (here.0, here.1 + 1)] {
        events.extend([
            Event::Done { at, tries },
            Event::Failed { at, tries, reason: "no".into() },
            Event::TimedOut { at, tries },
            Event::Undone { at, tries },
            Event::NotUndone { at, tries },
        ]);
        events.extend([None, Some(true), Some(false)].map(|happened| Event::Probed { at, tries, happened }));
    }
    events
}

/// What has to hold of each step from one state to the next.
fn check(frame: &Frame, before: &State, event: &Event, after: &State, orders: &[Order]) {
    let told = format!("{before:?} + {event:?} = {after:?}, {orders:?}");
    assert!(!frame.sentence(after).is_empty());
    assert!(!matches!(before, State::Finished { .. }), "after the end: {told}");
    let backward = matches!(before, State::Stopping { .. } | State::Undoing { .. });
    for order in orders {
        match order {
            Order::Do { at, tries, effect } => {
                assert_eq!(*after, State::Running { at: *at, tries: *tries }, "no intent: {told}");
                assert!(!backward && !frame.dry_run, "{told}");
                if *tries > 1 && effect.repeat == Repeat::Probe {
                    let looked = matches!(event, Event::Probed { happened: Some(false), .. });
                    assert!(looked && matches!(before, State::Probing { .. }), "not looked first: {told}");
                }
            }
            Order::Undo { at, tries, .. } => {
                let intent = matches!(after, State::Undoing { at: a, tries: t, .. } if (a, t) == (at, tries));
                assert!(intent && !frame.dry_run, "no intent: {told}");
            }
            Order::Probe { at, tries, .. } => assert_eq!(*after, State::Probing { at: *at, tries: *tries }, "{told}"),
            Order::Finish(ending) => assert!(
                matches!(after, State::Finished { ending: it, .. } if it == ending),
                "the order and the state differ: {told}"
            ),
            _ => {}
        }
    }
    let over = matches!(after, State::Finished { .. });
    assert_eq!(over, orders.iter().any(|order| matches!(order, Order::Finish(_))), "{told}");
    if let (true, State::Finished { ending, .. }) = (backward, after) {
        assert_ne!(*ending, Ending::Done, "{told}");
    }
}

/// Lets all that was ordered end, and nothing else happen.
fn run_out(frame: &Frame, mut state: State) -> State {
    for _ in 0..50 {
        let event = match &state {
            State::Finished { .. } => return state,
            State::Stopping { at, tries, .. } => Event::TimedOut { at: *at, tries: *tries },
            State::Undoing { at, tries, .. } => Event::Undone { at: *at, tries: *tries },
            other => panic!("still going on: {other:?}"),
        };
        state = step(frame, &state, event, at(0)).unwrap().0;
    }
    panic!("never ends");
}

/// Every state that any list of events leads to, from the beginning and at three times.
fn reachable(frame: &Frame) -> Vec<State> {
    let mut all = vec![State::Planned];
    let mut seen: HashSet<String> = HashSet::new();
    let mut next = 0;
    while next < all.len() {
        let state = all[next].clone();
        next += 1;
        for event in events(&state) {
            for now in [at(0), at(100), at(2000)] {
                let Ok((after, orders)) = step(frame, &state, event.clone(), now) else { continue };
                check(frame, &state, &event, &after, &orders);
                if seen.insert(format!("{after:?}")) {
                    all.push(after);
                }
            }
        }
    }
    all
}

#[test]
fn every_state_keeps_what_is_promised() {
    let frame = frame();
    let all = reachable(&frame);
    assert!(all.len() > 100, "{}", all.len());
    for state in &all {
        let text = serde_json::to_string(state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), *state);
        if let Ok((after, _)) = step(&frame, state, Event::Cancel { by: "cli:me".into() }, at(0)) {
            assert!(matches!(run_out(&frame, after), State::Finished { ending: Ending::Cancelled { .. }, .. }));
        }
        for event in events(state) {
            if matches!(state, State::Finished { .. }) {
                assert_eq!(step(&frame, state, event, at(0)), Err(Refusal::Over));
            }
        }
    }
}

/// Plays one way through; the effects, undos and looks that were ordered.
fn play(frame: &Frame, events: &[Event]) -> (State, Vec<String>) {
    let (mut state, mut all) = (State::Planned, Vec::new());
    for (nth, event) in events.iter().enumerate() {
        let (next, orders) = step(frame, &state, event.clone(), at(10 * nth as i64)).unwrap();
        all.extend(orders.into_iter().filter_map(|order| match order {
            Order::Do { effect, .. } | Order::Undo { effect, .. } => Some(effect.name),
            Order::Probe { effect, .. } => Some(format!("{}?", effect.name)),
            _ => None,
        }));
        state = next;
    }
    (state, all)
}

fn done(at: usize) -> Event {
    Event::Done { at, tries: 1 }
}

#[test]
fn all_goes_well() {
    let yes = Event::Confirmed { by: "cli:me".into() };
    let (state, all) = play(&frame(), &[Event::Begin, done(0), done(1), Event::Tick, yes, done(5)]);
    assert_eq!(state, State::Finished { ending: Ending::Done, left: Vec::new() });
    assert_eq!(all, ["copy", "fence", "promote"]);
}

#[test]
fn after_a_crash_what_is_safe_is_repeated_and_all_else_looked_at() {
    let (_, all) = play(&frame(), &[Event::Begin, Event::Restarted]);
    assert_eq!(all, ["copy", "copy"]);
    let crash = [Event::Begin, done(0), Event::Restarted];
    let found = |happened| [&crash[..], &[Event::Probed { at: 1, tries: 1, happened }]].concat();
    let (state, all) = play(&frame(), &found(Some(true)));
    assert_eq!(all, ["copy", "fence", "fence?"]);
    assert!(matches!(state, State::Waiting { at: 3, .. }));
    assert_eq!(play(&frame(), &found(Some(false))).1, ["copy", "fence", "fence?", "fence"]);
    assert_eq!(play(&frame(), &found(None)).1, ["copy", "fence", "fence?", "unfence"]);
}

#[test]
fn what_took_too_long_is_looked_at_unless_it_is_safe() {
    let late = Event::TimedOut { at: 1, tries: 1 };
    assert_eq!(play(&frame(), &[Event::Begin, done(0), late]).1, ["copy", "fence", "fence?"]);
    assert_eq!(play(&frame(), &[Event::Begin, Event::TimedOut { at: 0, tries: 1 }]).1, ["copy", "drop the copy"]);
}

#[test]
fn what_is_told_of_another_step_or_try_is_refused() {
    let (state, _) = play(&frame(), &[Event::Begin, Event::Restarted]);
    assert_eq!(state, State::Running { at: 0, tries: 2 });
    for event in [done(0), done(1), Event::Failed { at: 0, tries: 1, reason: "no".into() }] {
        assert_eq!(step(&frame(), &state, event, at(0)), Err(Refusal::NotAwaited));
    }
}

#[test]
fn what_fails_is_taken_back_from_there_to_the_first() {
    let failed = Event::Failed { at: 1, tries: 1, reason: "no answer".into() };
    let events =
        [Event::Begin, done(0), failed, Event::NotUndone { at: 1, tries: 1 }, Event::Undone { at: 0, tries: 1 }];
    let (state, all) = play(&frame(), &events);
    assert_eq!(all, ["copy", "fence", "unfence", "drop the copy"]);
    assert_eq!(frame().sentence(&state), "Over: failed: s1: no answer; a person has to take back: s1.");
}

#[test]
fn the_late_end_of_an_effect_is_not_the_end_of_its_undo() {
    let (state, _) = play(&frame(), &[Event::Begin, Event::TimedOut { at: 0, tries: 1 }]);
    assert!(matches!(state, State::Undoing { at: 0, tries: 1, .. }));
    assert_eq!(step(&frame(), &state, done(0), at(0)), Err(Refusal::NotAwaited));
}

#[test]
fn a_dry_run_has_the_same_plan_and_no_effect() {
    let dry = Frame { dry_run: true, ..frame() };
    let (_, orders) = step(&dry, &State::Planned, Event::Begin, at(0)).unwrap();
    let would = orders.iter().filter(|order| matches!(order, Order::Would { .. })).count();
    assert_eq!(would, dry.plan.steps().len());
    assert_eq!(reachable(&dry).into_iter().filter(|it| matches!(it, State::Running { .. })).count(), 0);
}

#[test]
fn what_ends_the_process_each_time_is_not_begun_for_ever() {
    let events = [vec![Event::Begin], vec![Event::Restarted; MOST_TRIES as usize]].concat();
    let (state, all) = play(&frame(), &events);
    assert_eq!(all.iter().filter(|name| *name == "copy").count(), MOST_TRIES as usize);
    assert!(matches!(state, State::Undoing { at: 0, .. }));
}

#[test]
fn plans_that_are_none() {
    assert_eq!(Plan::new(Vec::new()), Err(PlanRefusal::Empty));
    let one = |task| Plan::new(vec![Step { title: "s".into(), task }]);
    let undo = Some(effect("u", Repeat::Probe));
    let task = Task::Do { effect: effect("e", Repeat::Safe), undo };
    assert_eq!(one(task), Err(PlanRefusal::UndoNotSafe("s".into())));
    let task = Task::Ask { question: "?".into(), within: Duration::ZERO };
    assert_eq!(one(task), Err(PlanRefusal::NoTime("s".into())));
    assert!(serde_json::from_str::<Plan>("[]").is_err());
}

/// A world in which effects happen, and a process that may be lost before and after each.
fn live(frame: &Frame, fates: &[u8]) -> (State, Vec<String>) {
    let (mut happened, mut state, mut event) = (Vec::new(), State::Planned, Event::Begin);
    let mut fates = fates.iter().copied();
    for second in 0..1000 {
        let now = at(second);
        let (next, orders) = step(frame, &state, event, now).unwrap();
        state = next;
        event = match &orders.iter().find(|it| !matches!(it, Order::Tell { .. } | Order::WaitUntil(_))) {
            Some(Order::Finish(_)) => return (state, happened),
            Some(Order::Do { at, tries, effect }) => {
                let (at, tries, fate) = (*at, *tries, fates.next().unwrap_or(0) % 6);
                if fate % 2 == 0 {
                    happened.push(effect.name.clone());
                }
                match fate {
                    0 => Event::Done { at, tries },
                    1 => Event::Failed { at, tries, reason: "no".into() },
                    2 | 3 => Event::TimedOut { at, tries },
                    _ => Event::Restarted,
                }
            }
            Some(Order::Probe { at, tries, effect }) => match fates.next().unwrap_or(0) % 6 {
                1 => Event::Restarted,
                2 => Event::Probed { at: *at, tries: *tries, happened: None },
                _ => Event::Probed { at: *at, tries: *tries, happened: Some(happened.contains(&effect.name)) },
            },
            Some(Order::Undo { at, tries, .. }) => match fates.next().unwrap_or(0) % 6 {
                1 => Event::Restarted,
                2 => Event::NotUndone { at: *at, tries: *tries },
                _ => Event::Undone { at: *at, tries: *tries },
            },
            Some(Order::Ask { .. }) => match fates.next().unwrap_or(0) % 6 {
                1 => Event::Restarted,
                2 => Event::Denied { by: "cli:me".into() },
                _ => Event::Confirmed { by: "cli:me".into() },
            },
            _ => Event::Tick,
        };
    }
    panic!("never ends: {state:?}");
}

/// That it ends, and what is not safe to repeat happened once at most, and once if it is done.
fn check_life(frame: &Frame, fates: &[u8]) {
    let (state, happened) = live(frame, fates);
    let count = |name: &str| happened.iter().filter(|it| *it == name).count();
    assert!(count("fence") <= 1 && count("promote") <= 1, "{fates:?}: {happened:?}");
    if matches!(state, State::Finished { ending: Ending::Done, .. }) {
        assert!(count("copy") >= 1 && count("fence") == 1 && count("promote") == 1, "{fates:?}: {happened:?}");
    }
}

#[test]
fn lost_at_every_point_it_ends_and_nothing_happens_twice() {
    let frame = frame();
    for number in 0..6_u32.pow(6) {
        let fates: Vec<u8> = (0..6).map(|digit| (number / 6_u32.pow(digit) % 6) as u8).collect();
        check_life(&frame, &fates);
    }
}

proptest! {
    #[test]
    fn whatever_is_lost_it_ends_and_nothing_happens_twice(fates in prop::collection::vec(0..6_u8, 0..40)) {
        check_life(&frame(), &fates);
    }

    #[test]
    fn whatever_happens_in_whatever_order(choices in prop::collection::vec((any::<prop::sample::Index>(), 0..1200_i64), 0..60)) {
        let frame = frame();
        let mut state = State::Planned;
        for (choice, now) in choices {
            let all = events(&state);
            let event = all[choice.index(all.len())].clone();
            if let Ok((after, orders)) = step(&frame, &state, event.clone(), at(now)) {
                check(&frame, &state, &event, &after, &orders);
                state = after;
            }
        }
    }
}

#[test]
fn a_person_reads_what_is_asked_and_that_a_dry_run_did_nothing() {
    let mut frame = frame();
    assert_eq!(frame.asked(&State::Asking { at: 4, until: at(9) }), Some("go on?"));
    assert_eq!((frame.asked(&State::Planned), frame.text(2), frame.text(0)), (None, Some("fenced"), None));
    let done = State::Finished { ending: Ending::Done, left: Vec::new() };
    assert_eq!(frame.sentence(&done), "Over: done.");
    frame.dry_run = true;
    assert_eq!(frame.sentence(&done), "Over: it was a dry run, nothing was done.");
}
