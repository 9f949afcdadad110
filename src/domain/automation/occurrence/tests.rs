use std::collections::BTreeSet;

use super::*;

const BOUND: Duration = Duration::from_secs(600);

const BOUNDS: Bounds = Bounds { reopen_after: BOUND, lost_after: Duration::from_secs(86_400) };

/// Seconds after some moment.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn receiver() -> Arc<str> {
    "firedrill".into()
}

fn fires(start: i64) -> Event {
    Event::Firing { start: at(start) }
}

fn over(start: i64, end: i64) -> Event {
    Event::Resolved { start: at(start), end: Some(at(end)) }
}

/// Hears all this, each at its time; what each meant.
fn hear(told: &[(i64, Event)]) -> (Occurrence, Vec<Heard>) {
    let (mut state, mut meant) = (None, Vec::new());
    for (now, event) in told {
        let (after, heard) = step(state.as_ref(), *event, &receiver(), BOUNDS, at(*now));
        state = Some(after);
        meant.push(heard);
    }
    (state.unwrap(), meant)
}

#[test]
fn the_end_of_any_start_is_the_end() {
    use Heard::{Began, Ended, Late, Moved, Repeated, StillOver};
    for (told, meant) in [
        // Both servers were started anew; only the end was told.
        (vec![(100, fires(10)), (200, fires(90)), (300, over(90, 290))], vec![Began, Moved, Ended]),
        (vec![(100, fires(10)), (300, over(90, 290))], vec![Began, Ended]),
        (vec![(100, fires(90)), (300, over(10, 290))], vec![Began, Ended]),
        // A pair of servers with starts of their own: one occurrence, for hours.
        (
            vec![(100, fires(10)), (101, fires(50)), (9_000, fires(10)), (9_001, fires(50)), (9_500, over(10, 9_490))],
            vec![Began, Moved, Repeated, Repeated, Ended],
        ),
        // The earlier start comes after the end, and so does the other's end.
        (
            vec![(100, fires(50)), (300, over(50, 290)), (301, fires(10)), (302, over(10, 295))],
            vec![Began, Ended, Late, StillOver],
        ),
        // Another start of the same: it began before the end.
        (vec![(100, fires(10)), (300, over(10, 290)), (310, fires(200))], vec![Began, Ended, Late]),
        // It has begun again since.
        (vec![(100, fires(10)), (300, over(10, 200)), (310, fires(295))], vec![Began, Ended, Began]),
    ] {
        assert_eq!(hear(&told).1, meant, "{told:?}");
    }
}

#[test]
fn one_late_word_changes_nothing_and_one_that_stands_reopens() {
    let ended = [(100, fires(10)), (300, over(10, 290))];
    let after = |more: &[(i64, Event)]| hear(&[&ended[..], more].concat());
    let (state, meant) = after(&[(310, fires(10))]);
    assert_eq!((meant[2], state.is_open(), state.late()), (Heard::Late, false, 1));
    // Three times.
    let (state, meant) = after(&[(310, fires(10)), (311, fires(10)), (312, fires(10))]);
    assert_eq!((meant[4], state.is_open(), state.number, state.reopened), (Heard::Reopened, true, 2, true));
    // Later than the bound.
    assert_eq!(after(&[(899, fires(10))]).1[2], Heard::Late);
    assert_eq!(after(&[(900, fires(10))]).1[2], Heard::Reopened);
    // Nobody takes it back.
    let (state, _) = after(&[(400, fires(10))]);
    assert_eq!(believe(&state, BOUND, at(999)), None);
    let believed = believe(&state, BOUND, at(1_000)).unwrap();
    assert_eq!((believed.is_open(), believed.number, believed.starts_at), (true, 2, at(10)));
    // Somebody does: the other member of a pair, whose copy it was.
    let (state, meant) = after(&[(310, fires(10)), (311, fires(10)), (600, over(10, 290)), (601, fires(10))]);
    assert_eq!(meant[4..], [Heard::StillOver, Heard::Late]);
    assert_eq!(believe(&state, BOUND, at(1_000)), None);
    assert_eq!(believe(&hear(&ended).0, BOUND, at(99_999)), None, "nobody said so");
}

#[test]
fn copies_for_several_receivers_are_one_word() {
    let (mut state, _) = hear(&[(100, fires(10)), (300, over(10, 290))]);
    for name in 0..40 {
        let (after, heard) = step(Some(&state), fires(10), &format!("r{name}").into(), BOUNDS, at(310));
        assert_eq!(heard, Heard::Late);
        state = after;
    }
    assert_eq!(state.late(), 1);
    assert!(state.over.unwrap().doubt.unwrap().told.len() <= MOST_RECEIVERS);
}

#[test]
fn an_end_of_before_does_not_end_what_began_since() {
    let again = [(100, fires(10)), (300, over(10, 200)), (310, fires(295))];
    let told = |last: (i64, Event)| hear(&[&again[..], &[last]].concat()).1[3];
    assert_eq!(told((320, over(10, 200))), Heard::Outdated);
    assert_eq!(told((320, over(10, 201))), Heard::Outdated, "the other member has it a bit later");
    // In doubt an end is one.
    assert_eq!(told((320, over(10, 319))), Heard::Ended);
    assert_eq!(told((320, over(295, 296))), Heard::Ended);
    assert_eq!(told((320, Event::Resolved { start: at(10), end: None })), Heard::Ended);
    assert_eq!(told((320, over(10, 5))), Heard::Ended, "an end before its start says nothing");
    // What was reopened has the same start: an end is one.
    let reopened = [(100, fires(10)), (300, over(10, 290)), (900, fires(10)), (901, over(10, 290))];
    assert_eq!(hear(&reopened).1[2..], [Heard::Reopened, Heard::Ended]);
}

#[test]
fn an_end_that_nobody_told_is_known_by_the_silence() {
    const DAY: i64 = 86_400;
    // Told every four hours it goes on, also when its start moves; a day after the last word it is another one.
    let mut told: Vec<(i64, Event)> = (0..12).map(|it| (it * 4 * 3_600, fires(-10))).collect();
    told.push((2 * DAY, fires(2 * DAY - 60)));
    assert_eq!(hear(&told).1[12], Heard::Moved);
    told[12] = (3 * DAY, fires(3 * DAY - 60));
    let (state, meant) = hear(&told);
    assert_eq!((meant[12], state.number, state.reopened, state.is_open()), (Heard::Began, 2, false, true));
    // With the start that it has it is the same.
    told[12] = (3 * DAY, fires(-10));
    assert_eq!(hear(&told).1[12], Heard::Repeated);
    // Who repeats once a week says so.
    let weekly = Bounds { lost_after: Duration::from_secs(14 * 86_400), ..BOUNDS };
    let first = step(None, fires(-10), &receiver(), weekly, at(0)).0;
    let (week, heard) = step(Some(&first), fires(7 * DAY - 60), &receiver(), weekly, at(7 * DAY));
    assert_eq!((heard, week.number), (Heard::Moved, 1));
    assert_eq!(step(Some(&week), fires(21 * DAY), &receiver(), weekly, at(21 * DAY + 1)).1, Heard::Began);
}

#[test]
fn what_ended_before_it_was_heard_of_and_clocks_that_are_wrong() {
    assert_eq!(hear(&[(300, over(10, 290)), (301, fires(10))]).1, [Heard::Missed, Heard::Late]);
    assert_eq!(
        hear(&[(300, over(10, 290)), (301, over(10, 290)), (400, over(310, 390))]).1,
        [Heard::Missed, Heard::StillOver, Heard::Missed]
    );
    // An end in the far future doesn't stand in the way of what begins.
    let told = [(100, fires(10)), (300, over(10, 999_999_999)), (400, fires(390))];
    assert_eq!(hear(&told).1[2], Heard::Began);
    // Our clock is set back: the bound isn't over.
    assert_eq!(hear(&[(100, fires(10)), (3_000, over(10, 290)), (0, fires(10))]).1[2], Heard::Late);
    // The sender's is ahead.
    let told = [(100, fires(4_000)), (300, over(4_000, 4_200)), (400, fires(4_300))];
    assert_eq!(hear(&told).1, [Heard::Began, Heard::Ended, Heard::Began]);
}

#[test]
fn a_notification_is_heard_in_order() {
    let mut told = [over(10, 290), fires(295), fires(10), over(295, 299)];
    told.sort_by_key(|event| order(*event));
    assert_eq!(told, [fires(10), over(10, 290), fires(295), over(295, 299)]);
}

/// What people and actions know of an alert, by what was heard; and what was told, as it was told.
#[derive(Clone, Default)]
struct Model {
    now: i64,
    state: Option<Occurrence>,
    /// Instances that were decided on.
    acted: BTreeSet<(Timestamp, bool, i64)>,
    /// Whether people were last told that it fires.
    known_to_fire: bool,
    starts: Vec<i64>,
    /// When the last end was told, and when that end was.
    ended: Option<(i64, i64)>,
    /// Tellings since, and when the first of them was.
    late: Vec<i64>,
}

impl Model {
    fn is_open(&self) -> bool {
        self.state.as_ref().is_some_and(Occurrence::is_open)
    }

    /// Takes a new state; what begins is acted on and told, what ends is told.
    fn take(&mut self, state: Occurrence) {
        let number = self.state.as_ref().map_or(0, |it| it.number);
        let began = !self.is_open() && state.is_open();
        assert!(state.number == number || state.number == number + 1);
        assert!(!began || state.number == number + 1, "what begins is a new occurrence");
        assert!(began || !state.is_open() || state.number == number, "what is open stays the same occurrence");
        if began {
            let number = if state.reopened { state.number } else { 0 };
            assert!(self.acted.insert((state.starts_at, state.reopened, number)), "one action for each occurrence");
        }
        self.known_to_fire = state.is_open();
        self.state = Some(state);
    }

    /// As the reactor does when time has passed.
    fn wait(&mut self, seconds: i64) {
        self.now += seconds;
        let believed = self.state.as_ref().and_then(|state| believe(state, BOUND, at(self.now)));
        let stands = self.late.first().is_some_and(|first| self.now - first >= 600);
        assert_eq!(believed.is_some(), stands, "late words that nobody took back");
        if let Some(state) = believed {
            self.late.clear();
            self.take(state);
        }
    }

    fn fires(&mut self, start: i64) {
        let was_open = self.is_open();
        let (state, heard) = step(self.state.as_ref(), fires(start), &receiver(), BOUNDS, at(self.now));
        let newer = self.starts.iter().all(|it| *it < start);
        let begins = self.ended.is_none_or(|(_, end)| newer && start > end);
        let later = self.ended.is_some_and(|(told, _)| self.now - told >= 600);
        let believed = later || self.late.len() >= 2;
        assert_eq!(state.is_open(), was_open || begins || believed, "{heard:?}");
        if state.is_open() {
            self.late.clear();
        } else {
            self.late.push(self.now);
        }
        self.starts.push(start);
        self.take(state);
    }

    fn over(&mut self, start: i64, end: i64) {
        let began = self.state.as_ref().filter(|it| it.is_open()).map(|it| it.earliest);
        let (state, heard) = step(self.state.as_ref(), over(start, end), &receiver(), BOUNDS, at(self.now));
        if heard == Heard::Outdated {
            // It is the end of something that ended before this began.
            assert!(self.ended.is_some() && began.is_some_and(|began| began > at(end)));
            return;
        }
        assert!(!state.is_open(), "an end is the end");
        // What was open since an end has shown that it was none.
        let before = self.ended.filter(|_| began.is_none());
        let end = before.map_or(end, |(_, before)| before.max(end));
        self.ended = Some((self.now, end));
        self.late.clear();
        self.starts.push(start);
        self.take(state);
    }

    fn check(&self) {
        assert_eq!(self.known_to_fire, self.is_open(), "the last word is the truth");
    }

    /// Goes through everything that can follow. How many sequences.
    fn explore(&self, depth: u32, path: &mut Vec<u8>) -> u64 {
        self.check();
        if depth == 0 {
            return 1;
        }
        let mut count = 0;
        for event in 0..12 {
            path.push(event);
            let mut next = self.clone();
            // Soon after the word before, or later than the bound.
            next.wait(if event < 6 { 60 } else { 660 });
            match event % 6 {
                0 => next.fires(T1),
                1 => next.fires(T2),
                2 => next.over(T1, T1 + 50),
                3 => next.over(T2, T2 + 50),
                // It fired on until now.
                4 => next.over(T1, next.now),
                _ => next.over(T2, next.now),
            }
            count += next.explore(depth - 1, path);
            path.pop();
        }
        count
    }
}

/// Two starts, the second after an end of the first.
const T1: i64 = 0;
const T2: i64 = 100;

#[test]
fn all_sequences_of_six_words() {
    let mut path = Vec::new();
    let model = Model { now: 1_000, ..Model::default() };
    let count = model.explore(DEPTH, &mut path);
    assert_eq!(count, 12_u64.pow(DEPTH));
}

/// Words of a sequence.
const DEPTH: u32 = 6;
