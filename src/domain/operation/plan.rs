//! What an operation is going to do: steps in order, as data that can be printed, stored and compared.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// More steps than this are no plan that a person could read.
pub const MOST_STEPS: usize = 64;

/// What may be done with an effect of which nobody knows whether it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// Done twice is the same as done once: it is done again.
    Safe,
    /// Its performer can look whether it happened: it is done again only when that says no.
    Probe,
}

/// Something done to the world outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// What its performer knows it by.
    pub name: String,
    /// What it is done with. Never a secret: this is stored and shown.
    pub parameters: BTreeMap<String, String>,
    /// It has failed when it takes longer; to look whether it happened may take as long.
    pub timeout: Duration,
    /// What may be done when nobody knows whether it happened.
    pub repeat: Repeat,
}

/// What one step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// An effect.
    Do {
        /// What is done.
        effect: Effect,
        /// What takes it back. It has to be safe to repeat, and to do nothing where the effect didn't happen: a step that
        /// failed may have happened in part.
        undo: Option<Effect>,
    },
    /// Waits for so long.
    Wait(Duration),
    /// Asks a person, who has so long to answer.
    Ask {
        /// What is asked.
        question: String,
        /// No answer in this time ends the operation.
        within: Duration,
    },
    /// Says something to people, in the log of the operation.
    Tell(String),
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it does, in a few words for a person: `stop the source`.
    pub title: String,
    /// What it does.
    pub task: Task,
}

/// Why a plan is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanRefusal {
    /// Nothing would be done.
    #[error("a plan without steps")]
    Empty,
    /// See [`MOST_STEPS`].
    #[error("a plan of {0} steps, more than {MOST_STEPS}")]
    TooLong(usize),
    /// After a crash it couldn't be known whether it has to be done.
    #[error("what undoes the step {0:?} is not safe to repeat")]
    UndoNotSafe(String),
    /// It would fail at once, or never end.
    #[error("the step {0:?} has no time to run")]
    NoTime(String),
}

/// Steps in the order in which they are done. Checked: see [`Plan::new`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Step>", into = "Vec<Step>")]
pub struct Plan(Vec<Step>);

impl Plan {
    /// A plan, if these steps are one.
    pub fn new(steps: Vec<Step>) -> Result<Self, PlanRefusal> {
        match steps.len() {
            0 => return Err(PlanRefusal::Empty),
            many if many > MOST_STEPS => return Err(PlanRefusal::TooLong(many)),
            _ => {}
        }
        for step in &steps {
            let times = match &step.task {
                Task::Do { undo: Some(undo), .. } if undo.repeat != Repeat::Safe => {
                    return Err(PlanRefusal::UndoNotSafe(step.title.clone()));
                }
                Task::Do { effect, undo } => {
                    vec![effect.timeout, undo.as_ref().map_or(effect.timeout, |it| it.timeout)]
                }
                Task::Ask { within, .. } => vec![*within],
                Task::Wait(_) | Task::Tell(_) => Vec::new(),
            };
            if times.iter().any(Duration::is_zero) {
                return Err(PlanRefusal::NoTime(step.title.clone()));
            }
        }
        Ok(Self(steps))
    }

    /// Its steps.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// A step by its position.
    pub fn get(&self, at: usize) -> Option<&Step> {
        self.0.get(at)
    }

    /// The effect of a step, if it has one.
    pub fn effect(&self, at: usize) -> Option<&Effect> {
        match &self.get(at)?.task {
            Task::Do { effect, .. } => Some(effect),
            _ => None,
        }
    }

    /// What takes a step back, if anything does.
    pub fn undo(&self, at: usize) -> Option<&Effect> {
        match &self.get(at)?.task {
            Task::Do { undo, .. } => undo.as_ref(),
            _ => None,
        }
    }
}

impl TryFrom<Vec<Step>> for Plan {
    type Error = PlanRefusal;

    fn try_from(steps: Vec<Step>) -> Result<Self, PlanRefusal> {
        Self::new(steps)
    }
}

impl From<Plan> for Vec<Step> {
    fn from(plan: Plan) -> Self {
        plan.0
    }
}
