//! The part of the page that says what waits for a person, and whether people are told.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::domain::age;
use crate::domain::automation::record::ActionState;
use crate::domain::automation::status::Automation;
use crate::domain::html::escaped;
use crate::domain::notice::status::NotifierStatus;
use crate::domain::verdict::elapsed;
use crate::engine::statuses::Snapshot;

/// Appends the part; nothing where no rule and no receiver is configured.
pub(super) fn write(html: &mut String, statuses: &Snapshot, now: Timestamp) {
    if statuses.automation.is_none() && statuses.notifier.is_none() {
        return;
    }
    html.push_str("<h2>Automation</h2>\n");
    if let Some(automation) = &statuses.automation {
        automation_lines(html, automation);
    }
    if let Some(notifier) = &statuses.notifier {
        receiver_lines(html, notifier, now);
    }
}

fn automation_lines(html: &mut String, automation: &Automation) {
    if automation.paused.is_some() {
        html.push_str("<p class=\"late\">Paused: no action begins.</p>\n");
    }
    if let Some(problem) = &automation.problem {
        put(html, format_args!("<p class=\"failed\">{}</p>\n", escaped(problem)));
    }
    let count = |state| -> i64 { automation.open.iter().filter(|it| it.state == state).map(|it| it.count).sum() };
    let (proposed, running, scheduled) =
        (count(ActionState::Proposed), count(ActionState::Running), count(ActionState::Scheduled));
    if proposed > 0 {
        put(html, format_args!("<p class=\"late\"><a href=\"/actions\">{proposed} waiting for approval</a></p>\n"));
    }
    put(html, format_args!("<p>{running} running, {scheduled} scheduled.</p>\n"));
}

fn receiver_lines(html: &mut String, notifier: &NotifierStatus, now: Timestamp) {
    for receiver in &notifier.receivers {
        let name = escaped(&receiver.name);
        if receiver.up == Some(false) {
            let waits = receiver.oldest.map(|since| format!(", the oldest for {}", age::words(elapsed(since, now))));
            let (queued, waits) = (receiver.queued, waits.unwrap_or_default());
            put(html, format_args!("<p class=\"failed\">Receiver {name} fails; {queued} waiting{waits}.</p>\n"));
        }
    }
}

fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _ = html.write_fmt(text);
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
        let mut html = String::new();
        write(&mut html, &statuses, now);
        assert_eq!(html, "");
        let open = OpenActions { kind: Kind::Hook, state: ActionState::Proposed, count: 3, oldest: before };
        statuses.automation = Some(Arc::new(Automation {
            intake: Intake::default(),
            tally: Tally::default(),
            open: vec![open],
            paused: Some(before),
            last_turn: None,
            problem: Some("<disk full>".into()),
        }));
        let down = ReceiverStatus { name: "phone".into(), up: Some(false), queued: 2, ..ReceiverStatus::default() };
        statuses.notifier = Some(Arc::new(NotifierStatus { receivers: vec![down, ReceiverStatus::default()] }));
        write(&mut html, &statuses, now);
        for part in [
            "Paused: no action begins",
            "&lt;disk full&gt;",
            "3 waiting for approval",
            "Receiver phone fails; 2 waiting",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert_eq!(html.matches("Receiver").count(), 1);
    }
}
