//! Something of several steps that survives a crash between any two: what is to be done next, by what happened.
//!
//! ```text
//!   planned ──► running ⇄ probing ──► (next step) ──► … ──► finished: done
//!      │         waiting, asking  ──►      │
//!      │            │ cancelled, deadline  │ failed, denied, unanswered
//!      │            ▼                      ▼
//!      │         stopping ───────────► undoing ──► … ──► finished: failed, cancelled
//!      └──────────────────────────────────────────────────────▲  (dry run: planned ──► finished: done)
//! ```
//! Whoever drives an operation makes the new state durable *before* it carries out the orders: so the state says what may
//! have begun. After a crash it tells [`Event::Restarted`]: what is safe to repeat is repeated, and for all else the
//! performer looks first.
//!
//! Undo goes back from the step that was reached, that one included, to the first. It can't be cancelled and has no deadline;
//! an undo that fails is named in the end, and the others are still done.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub mod plan;
mod words;

use self::plan::{Effect, Plan, Repeat, Task};

/// An effect is begun so often at most, and so is an undo: something that ends the process each time must not do so for ever.
pub const MOST_TRIES: u32 = 5;

/// How it ended, or is going to end once all is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All steps were done; in a dry run, none had to be.
    Done,
    /// A step could not be done.
    Failed {
        /// Why, in one sentence.
        reason: String,
    },
    /// A person did not want it.
    Cancelled {
        /// Who: `api:NAME`, `cli:USER`.
        by: String,
    },
}

/// Where an operation stands. `at` is the position of a step in its plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "of the fields: the doc of each variant names them")]
pub enum State {
    /// Nothing was begun.
    Planned,
    /// An effect may have begun, for the `tries`th time.
    Running { at: usize, tries: u32 },
    /// It is being looked at whether the effect happened. What was ended or lost must not happen any more after the look.
    Probing { at: usize, tries: u32 },
    /// Until a time.
    Waiting { at: usize, until: Timestamp },
    /// A person has to answer.
    Asking { at: usize, until: Timestamp },
    /// A running effect was told to end.
    Stopping { at: usize, tries: u32, ending: Ending },
    /// Steps are taken back; `left` names those that couldn't be.
    Undoing { at: usize, tries: u32, ending: Ending, left: Vec<String> },
    /// Nothing follows.
    Finished { ending: Ending, left: Vec<String> },
}

/// What happened. Those of an effect name the step and the try that they belong to: late ones are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "of the fields: the doc of each variant names them")]
pub enum Event {
    /// It is to begin.
    Begin,
    /// The effect is done.
    Done { at: usize, tries: u32 },
    /// It failed.
    Failed { at: usize, tries: u32, reason: String },
    /// The effect took too long and was ended.
    TimedOut { at: usize, tries: u32 },
    /// What a look found: whether the effect happened; `None` when that can't be known, or the look failed or took too long.
    Probed { at: usize, tries: u32, happened: Option<bool> },
    /// The step is taken back.
    Undone { at: usize, tries: u32 },
    /// It could not be taken back, or not in time.
    NotUndone { at: usize, tries: u32 },
    /// A person wants it to end.
    Cancel { by: String },
    /// A person said yes.
    Confirmed { by: String },
    /// A person said no.
    Denied { by: String },
    /// Time passed.
    Tick,
    /// Whoever drove it is gone, and somebody goes on.
    Restarted,
}

/// What is to be done, once the state that it came with is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "of the fields: the doc of each variant names them")]
pub enum Order {
    /// Do this effect.
    Do { at: usize, tries: u32, effect: Effect },
    /// Look whether this effect happened.
    Probe { at: usize, tries: u32, effect: Effect },
    /// Tell the running effect to end; its end is still to be told.
    Stop { at: usize },
    /// Take a step back.
    Undo { at: usize, tries: u32, effect: Effect },
    /// Tell [`Event::Tick`] then.
    WaitUntil(Timestamp),
    /// Ask a person. Once more after a crash.
    Ask { at: usize, question: String, until: Timestamp },
    /// Tell people. Once more, or not at all, after a crash.
    Tell { at: usize, text: String },
    /// Say that this step would be done: a dry run.
    Would { at: usize },
    /// It is over.
    Finish(Ending),
}

/// Why an event changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing follows an end.
    #[error("the operation is over")]
    Over,
    /// It was begun before.
    #[error("the operation has begun already")]
    Begun,
    /// It waits to be begun.
    #[error("the operation has not begun")]
    NotBegun,
    /// It is of another step or an earlier try.
    #[error("that is not what the operation waits for")]
    NotAwaited,
    /// Nobody was asked.
    #[error("the operation waits for no answer")]
    NotAsked,
    /// It ends already.
    #[error("the operation is being ended already")]
    Ending,
}

/// What [`step`] needs to know and never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// What is to be done.
    pub plan: Plan,
    /// The same plan, and no effect.
    pub dry_run: bool,
    /// What isn't done by then is taken back.
    pub deadline: Timestamp,
}

/// How an operation stands after an event, and what is to be done about it.
pub fn step(frame: &Frame, state: &State, event: Event, now: Timestamp) -> Result<(State, Vec<Order>), Refusal> {
    let mut orders = Vec::new();
    let next = frame.next(state, event, now, &mut orders)?;
    Ok((next, orders))
}

impl Frame {
    fn next(&self, state: &State, event: Event, now: Timestamp, orders: &mut Vec<Order>) -> Result<State, Refusal> {
        match (state, event) {
            (State::Finished { .. }, _) => Err(Refusal::Over),
            (State::Planned, Event::Begin) if self.dry_run => {
                orders.extend((0..self.plan.steps().len()).map(|at| Order::Would { at }));
                Ok(finish(Ending::Done, Vec::new(), orders))
            }
            (State::Planned, Event::Begin) if now >= self.deadline => Ok(finish(self.too_late(), Vec::new(), orders)),
            (State::Planned, Event::Begin) => Ok(self.enter(0, now, orders)),
            (State::Planned, Event::Cancel { by }) => Ok(finish(Ending::Cancelled { by }, Vec::new(), orders)),
            (State::Planned, Event::Restarted | Event::Tick) => Ok(State::Planned),
            (State::Planned, _) => Err(Refusal::NotBegun),
            (_, Event::Begin) => Err(Refusal::Begun),
            (State::Running { at, tries } | State::Probing { at, tries }, event) => {
                let probing = matches!(state, State::Probing { .. });
                self.at_work(state, (*at, *tries, probing), event, now, orders)
            }
            (State::Waiting { at, until } | State::Asking { at, until }, event) => {
                self.at_rest(state, *at, *until, event, now, orders)
            }
            (State::Stopping { at, tries, ending }, event) => match event {
                Event::Tick => Ok(state.clone()),
                Event::Restarted => Ok(self.undo_from(Some(*at), ending.clone(), Vec::new(), orders)),
                Event::Done { .. } | Event::Failed { .. } | Event::TimedOut { .. } | Event::Probed { .. } => {
                    awaited(&event, *at, *tries)?;
                    Ok(self.undo_from(Some(*at), ending.clone(), Vec::new(), orders))
                }
                Event::Cancel { .. } => Err(Refusal::Ending),
                Event::Confirmed { .. } | Event::Denied { .. } => Err(Refusal::NotAsked),
                _ => Err(Refusal::NotAwaited),
            },
            (State::Undoing { at, tries, ending, left }, event) => {
                self.undoing((*at, *tries), ending, left, state, event, orders)
            }
        }
    }

    /// An effect runs, or is looked at.
    fn at_work(
        &self,
        state: &State,
        (at, tries, probing): (usize, u32, bool),
        event: Event,
        now: Timestamp,
        orders: &mut Vec<Order>,
    ) -> Result<State, Refusal> {
        awaited(&event, at, tries)?;
        let safe = self.plan.effect(at).is_none_or(|effect| effect.repeat == Repeat::Safe);
        let title = self.title(at);
        let fail = |reason: String, orders: &mut Vec<Order>| {
            Ok(self.undo_from(Some(at), Ending::Failed { reason }, Vec::new(), orders))
        };
        match event {
            Event::Done { .. } if !probing => Ok(self.enter(at + 1, now, orders)),
            Event::Failed { reason, .. } if !probing => fail(format!("{title}: {reason}"), orders),
            // It may have happened all the same.
            Event::TimedOut { .. } if !probing && !safe => Ok(self.probe(at, tries, orders)),
            Event::TimedOut { .. } if !probing => fail(format!("{title}: took too long"), orders),
            Event::Probed { happened: Some(true), .. } if probing => Ok(self.enter(at + 1, now, orders)),
            Event::Probed { happened: Some(false), .. } if probing => Ok(self.again(at, tries, orders)),
            Event::Probed { .. } if probing => fail(format!("{title}: nobody can tell whether that happened"), orders),
            Event::Restarted if probing || !safe => Ok(self.probe(at, tries, orders)),
            Event::Restarted => Ok(self.again(at, tries, orders)),
            Event::Cancel { by } => Ok(stop(at, tries, Ending::Cancelled { by }, orders)),
            Event::Tick if now >= self.deadline => Ok(stop(at, tries, self.too_late(), orders)),
            Event::Tick => Ok(state.clone()),
            Event::Confirmed { .. } | Event::Denied { .. } => Err(Refusal::NotAsked),
            _ => Err(Refusal::NotAwaited),
        }
    }

    /// Nothing runs: time or a person decides.
    fn at_rest(
        &self,
        state: &State,
        at: usize,
        until: Timestamp,
        event: Event,
        now: Timestamp,
        orders: &mut Vec<Order>,
    ) -> Result<State, Refusal> {
        let asking = matches!(state, State::Asking { .. });
        let end = |ending, orders: &mut Vec<Order>| Ok(self.undo_from(Some(at), ending, Vec::new(), orders));
        match event {
            Event::Cancel { by } => end(Ending::Cancelled { by }, orders),
            Event::Tick | Event::Restarted | Event::Confirmed { .. } if now >= self.deadline => {
                end(self.too_late(), orders)
            }
            Event::Tick | Event::Restarted | Event::Confirmed { .. } if asking && now >= until => {
                end(Ending::Failed { reason: format!("{}: nobody answered in time", self.title(at)) }, orders)
            }
            Event::Tick | Event::Restarted if now >= until => Ok(self.enter(at + 1, now, orders)),
            Event::Tick => Ok(state.clone()),
            Event::Restarted => {
                orders.extend(self.question(at, until));
                orders.push(Order::WaitUntil(until.min(self.deadline)));
                Ok(state.clone())
            }
            Event::Confirmed { .. } if asking => Ok(self.enter(at + 1, now, orders)),
            Event::Denied { by } if asking => end(Ending::Cancelled { by }, orders),
            Event::Confirmed { .. } | Event::Denied { .. } => Err(Refusal::NotAsked),
            _ => Err(Refusal::NotAwaited),
        }
    }

    fn undoing(
        &self,
        (at, tries): (usize, u32),
        ending: &Ending,
        left: &[String],
        state: &State,
        event: Event,
        orders: &mut Vec<Order>,
    ) -> Result<State, Refusal> {
        awaited(&event, at, tries)?;
        let mut left = left.to_vec();
        match event {
            Event::Tick => return Ok(state.clone()),
            Event::Restarted if tries < MOST_TRIES => {
                let tries = tries + 1;
                orders.extend(self.plan.undo(at).map(|effect| Order::Undo { at, tries, effect: effect.clone() }));
                return Ok(State::Undoing { at, tries, ending: ending.clone(), left });
            }
            Event::Undone { .. } => {}
            Event::NotUndone { .. } | Event::Restarted => left.push(self.title(at).to_owned()),
            Event::Cancel { .. } => return Err(Refusal::Ending),
            Event::Confirmed { .. } | Event::Denied { .. } => return Err(Refusal::NotAsked),
            _ => return Err(Refusal::NotAwaited),
        }
        Ok(self.undo_from(at.checked_sub(1), ending.clone(), left, orders))
    }

    /// Begins a step, and those after it that need no waiting.
    fn enter(&self, mut at: usize, now: Timestamp, orders: &mut Vec<Order>) -> State {
        if at < self.plan.steps().len() && now >= self.deadline {
            return self.undo_from(at.checked_sub(1), self.too_late(), Vec::new(), orders);
        }
        while let Some(step) = self.plan.get(at) {
            match &step.task {
                Task::Tell(text) => orders.push(Order::Tell { at, text: text.clone() }),
                Task::Do { effect, .. } => {
                    orders.push(Order::Do { at, tries: 1, effect: effect.clone() });
                    return State::Running { at, tries: 1 };
                }
                Task::Wait(time) => {
                    let until = after(now, *time);
                    orders.push(Order::WaitUntil(until.min(self.deadline)));
                    return State::Waiting { at, until };
                }
                Task::Ask { within, .. } => {
                    let until = after(now, *within);
                    orders.extend(self.question(at, until));
                    orders.push(Order::WaitUntil(until.min(self.deadline)));
                    return State::Asking { at, until };
                }
            }
            at += 1;
        }
        finish(Ending::Done, Vec::new(), orders)
    }

    fn again(&self, at: usize, tries: u32, orders: &mut Vec<Order>) -> State {
        if tries >= MOST_TRIES {
            let reason = format!("{}: begun {tries} times and never ended", self.title(at));
            return self.undo_from(Some(at), Ending::Failed { reason }, Vec::new(), orders);
        }
        let tries = tries + 1;
        orders.extend(self.plan.effect(at).map(|effect| Order::Do { at, tries, effect: effect.clone() }));
        State::Running { at, tries }
    }

    fn probe(&self, at: usize, tries: u32, orders: &mut Vec<Order>) -> State {
        orders.extend(self.plan.effect(at).map(|effect| Order::Probe { at, tries, effect: effect.clone() }));
        State::Probing { at, tries }
    }

    /// Takes back the last step up to `at` that can be.
    fn undo_from(&self, at: Option<usize>, ending: Ending, left: Vec<String>, orders: &mut Vec<Order>) -> State {
        let last = at.and_then(|at| (0..=at).rev().find_map(|at| Some((at, self.plan.undo(at)?))));
        let Some((at, effect)) = last else { return finish(ending, left, orders) };
        orders.push(Order::Undo { at, tries: 1, effect: effect.clone() });
        State::Undoing { at, tries: 1, ending, left }
    }

    fn question(&self, at: usize, until: Timestamp) -> Option<Order> {
        match &self.plan.get(at)?.task {
            Task::Ask { question, .. } => Some(Order::Ask { at, question: question.clone(), until }),
            _ => None,
        }
    }

    fn title(&self, at: usize) -> &str {
        self.plan.get(at).map_or("a step that is not in the plan", |step| step.title.as_str())
    }

    fn too_late(&self) -> Ending {
        Ending::Failed { reason: format!("not done by its deadline {}", self.deadline) }
    }
}

/// Refuses what is told of another step or an earlier try.
fn awaited(event: &Event, here: usize, now_at: u32) -> Result<(), Refusal> {
    match event {
        Event::Done { at, tries }
        | Event::Failed { at, tries, .. }
        | Event::TimedOut { at, tries }
        | Event::Probed { at, tries, .. }
        | Event::Undone { at, tries }
        | Event::NotUndone { at, tries }
            if (*at, *tries) != (here, now_at) =>
        {
            Err(Refusal::NotAwaited)
        }
        _ => Ok(()),
    }
}

fn stop(at: usize, tries: u32, ending: Ending, orders: &mut Vec<Order>) -> State {
    orders.push(Order::Stop { at });
    State::Stopping { at, tries, ending }
}

fn finish(ending: Ending, left: Vec<String>, orders: &mut Vec<Order>) -> State {
    orders.push(Order::Finish(ending.clone()));
    State::Finished { ending, left }
}

fn after(now: Timestamp, time: Duration) -> Timestamp {
    now.checked_add(time).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
