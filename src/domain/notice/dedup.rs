//! Whether a receiver is to be told, and why.
//!
//! Decided from what it was told last of the story and what still waits to be told. A newer notice takes the place of
//! those of its story that wait: what is over before anybody heard of it is told to nobody.

use std::time::Duration;

use jiff::Timestamp;

use super::{Notice, Phase, Urgency};
use crate::domain::verdict::elapsed;

/// Why a notice is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The problem is new to the receiver.
    First,
    /// It is more severe than what the receiver was told.
    Worse,
    /// It lasts, and was told longer ago than the configured pause.
    RepeatDue,
    /// It is over, and the receiver was told of it.
    Recovered,
    /// It happened once.
    Event,
}

impl Why {
    /// As it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Worse => "worse",
            Self::RepeatDue => "repeat",
            Self::Recovered => "recovered",
            Self::Event => "event",
        }
    }

    /// Reads what [`as_str`](Self::as_str) writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::First, Self::Worse, Self::RepeatDue, Self::Recovered, Self::Event]
            .into_iter()
            .find(|why| why.as_str() == text)
    }
}

/// Why a notice is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNot {
    /// The receiver knows.
    AlreadyTold,
    /// It is over, and the receiver never heard that it began.
    NeverTold,
}

/// What a receiver was told last of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Whether it lasts, as far as the receiver knows.
    pub phase: Phase,
    /// How urgent it was.
    pub severity: Urgency,
    /// When what was told happened.
    pub at: Timestamp,
}

/// A notice of the same story and receiver that isn't delivered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// What it says.
    pub says: Told,
    /// It is on its way right now, and can't be held back.
    pub sending: bool,
    /// A try may have arrived though nobody said so.
    pub unsure: bool,
}

/// Decides about one notice for one receiver. `open` by rising age of arrival; all of them that aren't on their way are
/// superseded by this notice, unless it is an event.
pub fn decide(notice: &Notice, told: Option<Told>, open: &[Open], repeat: Duration) -> Result<Why, WhyNot> {
    // What may have been heard counts as heard where one word too many is better than one too few: of what is over, and of
    // what begins again though the end may have been heard.
    let heard = |it: &&Open| it.sending || (it.unsure && it.says.phase != notice.phase);
    let told = open.iter().rev().find(heard).map(|it| it.says).or(told);
    let problem = told.filter(|told| told.phase == Phase::Problem);
    match (notice.phase, problem) {
        (Phase::Event, _) => Ok(Why::Event),
        (Phase::Recovered, Some(_)) => Ok(Why::Recovered),
        (Phase::Recovered, None) => Err(WhyNot::NeverTold),
        (Phase::Problem, None) => Ok(Why::First),
        (Phase::Problem, Some(told)) if notice.severity > told.severity => Ok(Why::Worse),
        (Phase::Problem, Some(told)) if elapsed(told.at, notice.at) >= repeat => Ok(Why::RepeatDue),
        (Phase::Problem, Some(_)) => Err(WhyNot::AlreadyTold),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::notice;
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn told(phase: Phase, severity: Urgency) -> Told {
        Told { phase, severity, at: "2026-11-21T08:00:00Z".parse().unwrap() }
    }

    fn of(phase: Phase, severity: Urgency) -> Notice {
        Notice { phase, severity, at: "2026-11-21T09:00:00Z".parse().unwrap(), ..notice("backup/a/qemu/100") }
    }

    #[test]
    fn a_problem_is_told_once_then_when_it_worsens_or_lasts() {
        let warning = of(Phase::Problem, Urgency::Warning);
        let knows = Some(told(Phase::Problem, Urgency::Warning));
        assert_eq!(decide(&warning, None, &[], DAY), Ok(Why::First));
        assert_eq!(decide(&warning, knows, &[], DAY), Err(WhyNot::AlreadyTold));
        assert_eq!(decide(&warning, Some(told(Phase::Recovered, Urgency::Critical)), &[], DAY), Ok(Why::First));
        assert_eq!(decide(&of(Phase::Problem, Urgency::Critical), knows, &[], DAY), Ok(Why::Worse));
        assert_eq!(decide(&warning, knows, &[], Duration::from_secs(3600)), Ok(Why::RepeatDue));
        let milder = Some(told(Phase::Problem, Urgency::Critical));
        assert_eq!(decide(&warning, milder, &[], DAY), Err(WhyNot::AlreadyTold));
    }

    #[test]
    fn an_end_is_told_to_those_who_heard_of_the_beginning() {
        let over = of(Phase::Recovered, Urgency::Warning);
        assert_eq!(decide(&over, None, &[], DAY), Err(WhyNot::NeverTold));
        assert_eq!(decide(&over, Some(told(Phase::Problem, Urgency::Warning)), &[], DAY), Ok(Why::Recovered));
        assert_eq!(decide(&over, Some(told(Phase::Recovered, Urgency::Warning)), &[], DAY), Err(WhyNot::NeverTold));
        assert_eq!(decide(&of(Phase::Event, Urgency::Info), None, &[], DAY), Ok(Why::Event));
    }

    #[test]
    fn what_waits_was_not_heard_and_what_is_on_its_way_was() {
        let over = of(Phase::Recovered, Urgency::Warning);
        let open = Open { says: told(Phase::Problem, Urgency::Warning), sending: false, unsure: false };
        assert_eq!(decide(&over, None, &[open], DAY), Err(WhyNot::NeverTold));
        assert_eq!(decide(&over, None, &[Open { sending: true, ..open }], DAY), Ok(Why::Recovered));
        let unsure = Open { unsure: true, ..open };
        assert_eq!(decide(&over, None, &[unsure], DAY), Ok(Why::Recovered));
        // An end that may have been heard makes the next beginning news.
        let told_of = Some(told(Phase::Problem, Urgency::Warning));
        let end = Open { says: told(Phase::Recovered, Urgency::Warning), ..unsure };
        assert_eq!(decide(&of(Phase::Problem, Urgency::Warning), told_of, &[end], DAY), Ok(Why::First));
        let unheard = Open { unsure: false, ..end };
        assert_eq!(decide(&of(Phase::Problem, Urgency::Warning), told_of, &[unheard], DAY), Err(WhyNot::AlreadyTold));
        // A try that may have failed must not stop the next one.
        assert_eq!(decide(&of(Phase::Problem, Urgency::Warning), None, &[unsure], DAY), Ok(Why::First));
    }
}
