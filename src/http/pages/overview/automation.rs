//! The part of the page that says what waits for a person, and whether people are told.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::domain::age;
use crate::domain::automation::record::ActionState;
use crate::domain::automation::status::Automation;
use crate::domain::notice::status::NotifierStatus;
use crate::domain::verdict::elapsed;
use crate::engine::statuses::Snapshot;

/// The part; nothing where no rule and no receiver is configured.
pub(super) fn view(statuses: &Snapshot, now: Timestamp) -> Markup {
    if statuses.automation.is_none() && statuses.notifier.is_none() {
        return html! {};
    }
    html! {
        h2 { "Automation" }
        @if let Some(automation) = &statuses.automation { (actions(automation)) }
        @if let Some(notifier) = &statuses.notifier { (receivers(notifier, now)) }
    }
}

fn actions(automation: &Automation) -> Markup {
    let count = |state| -> i64 { automation.open.iter().filter(|it| it.state == state).map(|it| it.count).sum() };
    let proposed = count(ActionState::Proposed);
    html! {
        @if automation.paused.is_some() {
            p class="late" { "Paused: no action begins." }
        }
        @if let Some(problem) = &automation.problem {
            p class="failed" { (problem) }
        }
        @if proposed > 0 {
            p class="late" { a href="/actions" { (proposed) " waiting for approval" } }
        }
        p { (count(ActionState::Running)) " running, " (count(ActionState::Scheduled)) " scheduled." }
    }
}

fn receivers(notifier: &NotifierStatus, now: Timestamp) -> Markup {
    html! {
        @for receiver in notifier.receivers.iter().filter(|it| it.up == Some(false)) {
            p class="failed" {
                "Receiver " (receiver.name) " fails; " (receiver.queued) " waiting"
                @if let Some(since) = receiver.oldest { ", the oldest for " (age::words(elapsed(since, now))) }
                "."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::automation::action::Kind;
    use crate::domain::automation::status::{Intake, OpenActions, Tally};
    use crate::domain::notice::status::ReceiverStatus;

    #[test]
    fn what_waits_is_paused_or_fails_is_said() {
        let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let before: Timestamp = "2026-11-21T06:00:00Z".parse().unwrap();
        let mut statuses = Snapshot::default();
        assert_eq!(view(&statuses, now).into_string(), "");
        let open = OpenActions { kind: Kind::Hook, state: ActionState::Proposed, count: 3, oldest: before };
        statuses.automation = Some(Arc::new(Automation {
            intake: Intake::default(),
            tally: Tally::default(),
            open: vec![open],
            paused: Some(before),
            last_turn: None,
            problem: Some("<disk full>".into()),
        }));
        let down = ReceiverStatus {
            name: "phone".into(),
            up: Some(false),
            queued: 2,
            oldest: Some(before),
            ..ReceiverStatus::default()
        };
        statuses.notifier = Some(Arc::new(NotifierStatus { receivers: vec![down, ReceiverStatus::default()] }));
        let html = view(&statuses, now).into_string();
        for part in [
            "Paused: no action begins",
            "&lt;disk full&gt;",
            "3 waiting for approval",
            "Receiver phone fails; 2 waiting, the oldest for 2h.",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert_eq!(html.matches("Receiver").count(), 1);
    }
}
