//! What people are told of actions.

use jiff::Timestamp;

use super::action::Action;
use super::alert::KeptAlert;
use super::decide::Plan;
use super::record::{ActionState, Record};
use super::subject::Refusal;
use crate::domain::notice::digest::cut;
use crate::domain::notice::{Notice, Phase, Topic, Urgency};

/// So much of an alert's own words is repeated.
const LONGEST_TRIGGER: usize = 200;

fn notice(key: String, severity: Urgency, title: String, body: String, at: Timestamp) -> Notice {
    Notice {
        key: key.into(),
        phase: Phase::Event,
        severity,
        topic: Topic::Action,
        source: None,
        item: None,
        environment: None,
        title: title.into(),
        body: body.into(),
        link: None,
        at,
        proposal: None,
        receivers: Vec::new(),
    }
}

fn about(notice: Notice, action: &Action) -> Notice {
    Notice { source: action.source().cloned(), item: action.item().cloned(), ..notice }
}

/// What triggered it, for a person.
fn trigger(alert: &KeptAlert) -> String {
    let name = Some(alert.label("alertname")).filter(|name| !name.is_empty()).unwrap_or("an alert without name");
    // Whoever writes alerts must not write the message: one line, and not much of it.
    let line = |text: &str| cut(&text.split_whitespace().collect::<Vec<_>>().join(" "), LONGEST_TRIGGER);
    match alert.annotations.get("summary") {
        Some(summary) => format!("{}: {}", line(name), line(summary)),
        None => line(name),
    }
}

/// What a person is asked who is to approve an action.
pub fn question(action: &Action) -> String {
    format!("Approve? {action}")
}

/// Of a plan that was kept under this number: only what waits for a person.
pub fn of_plan(id: i64, plan: &Plan, alert: &KeptAlert, now: Timestamp) -> Option<Notice> {
    if plan.state != ActionState::Proposed {
        return None;
    }
    let severity = Urgency::parse(alert.label("severity")).unwrap_or(Urgency::Warning);
    let title = question(&plan.action);
    let body = format!("Action {id}, rule {}: {}\nBecause of {}", plan.rule, plan.reason, trigger(alert));
    let asked = notice(format!("action/{id}/proposed"), severity, title, body, now);
    Some(Notice { proposal: Some(id), ..about(asked, &plan.action) })
}

/// Of an alert that a rule is about and that names what isn't there.
pub fn of_refusal(rule: &str, alert: &KeptAlert, refusal: &Refusal, now: Timestamp) -> Notice {
    let title = format!("Rule {rule} can't act: {refusal}");
    notice(format!("refused/{rule}/{}", alert.fingerprint), Urgency::Warning, title, trigger(alert), now)
}

/// Of an action that is asked about although its rule would have done it, and of one that came to an end.
pub fn of_change(record: &Record, state: ActionState, reason: &str, now: Timestamp) -> Option<Notice> {
    let (severity, title) = match state {
        ActionState::Proposed => (Urgency::Critical, question(&record.action)),
        // That somebody was told shows by itself.
        ActionState::Done if !record.action.kind().sort().acts => return None,
        ActionState::Done => (Urgency::Info, format!("Done: {}", record.action)),
        ActionState::Failed => (Urgency::Warning, format!("Failed: {}", record.action)),
        ActionState::Expired => (Urgency::Warning, format!("Nobody answered: {}", record.action)),
        ActionState::Denied => (Urgency::Info, format!("Not done: {}", record.action)),
        ActionState::Cancelled => (Urgency::Info, format!("Cancelled: {}", record.action)),
        ActionState::Cooldown | ActionState::DryRun | ActionState::Running | ActionState::Scheduled => return None,
    };
    let key = format!("action/{}/{}", record.id, state.as_str());
    let body = format!("{reason}\nRule {}, action {}.", record.rule, record.id);
    let told = about(notice(key, severity, title, body, now), &record.action);
    Some(Notice { proposal: (state == ActionState::Proposed).then_some(record.id), ..told })
}

/// Of an alert that is over, to those who were told that it fires. `None` for an action that told nobody.
pub fn of_recovery(record: &Record, now: Timestamp) -> Option<Notice> {
    let told = record.action.deed().notice(now)?;
    let problem = told.phase == Phase::Problem;
    problem.then(|| Notice { phase: Phase::Recovered, body: format!("{} is over.", told.title).into(), ..told })
}
