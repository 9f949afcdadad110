//! Where an operation stands, in words for a person.

use super::plan::Task;
use super::{Ending, Frame, State};

impl Frame {
    /// Where it stands, in one sentence for a person.
    pub fn sentence(&self, state: &State) -> String {
        let many = self.plan.steps().len();
        let place = |at: usize| format!("step {} of {many}, {}", at + 1, self.title(at));
        match state {
            State::Finished { ending: Ending::Done, .. } if self.dry_run => {
                "Over: it was a dry run, nothing was done.".to_owned()
            }
            State::Planned => format!("Planned: {many} steps, none begun."),
            State::Running { at, tries: 1 } => format!("Running {}.", place(*at)),
            State::Running { at, tries } => format!("Running {}, for the {tries}. time.", place(*at)),
            State::Probing { at, .. } => format!("Looking whether it happened: {}.", place(*at)),
            State::Waiting { at, until } => format!("Waiting until {until}: {}.", place(*at)),
            State::Asking { at, until } => format!("Waiting for a person until {until}: {}.", place(*at)),
            State::Stopping { at, ending, .. } => format!("Ending {}; {}.", place(*at), ending.words()),
            State::Undoing { at, ending, .. } => format!("Taking back {}; {}.", place(*at), ending.words()),
            State::Finished { ending, left } if left.is_empty() => format!("Over: {}.", ending.words()),
            State::Finished { ending, left } => {
                format!("Over: {}; a person has to take back: {}.", ending.words(), left.join(", "))
            }
        }
    }

    /// What a person is asked now.
    pub fn asked(&self, state: &State) -> Option<&str> {
        match state {
            State::Asking { at, .. } => self.text(*at),
            _ => None,
        }
    }

    /// What a step asks or says.
    pub fn text(&self, at: usize) -> Option<&str> {
        match &self.plan.get(at)?.task {
            Task::Ask { question: text, .. } | Task::Tell(text) => Some(text),
            Task::Do { .. } | Task::Wait(_) => None,
        }
    }
}

impl Ending {
    fn words(&self) -> String {
        match self {
            Self::Done => "done".to_owned(),
            Self::Failed { reason } => format!("failed: {reason}"),
            Self::Cancelled { by } => format!("cancelled by {by}"),
        }
    }
}
