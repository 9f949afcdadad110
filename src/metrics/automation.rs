//! The automation: alerts that came in, what came of them, what is open. Absent where no rule is configured.

use jiff::Timestamp;

use super::family::{Description, Family, seconds};
use crate::domain::automation::action::Kind;
use crate::domain::automation::alert::Status;
use crate::domain::automation::occurrence::Heard;
use crate::domain::automation::record::ActionState;
use crate::domain::automation::status::{Automation, BUCKETS};
use crate::engine::statuses::Snapshot;

static RECEIVED: Description = Description::counter(
    "firedrill_alerts_received_total",
    &["status"],
    "Alerts that came in by the webhook and were kept, repetitions included.",
);
static HEARD: Description = Description::counter(
    "firedrill_alerts_heard_total",
    &["meaning"],
    "What alerts that were kept meant: a beginning, an end, the same again. late: told to fire after the end; reopened: that often or so late that it is believed.",
);
static MALFORMED: Description = Description::counter(
    "firedrill_alerts_malformed_total",
    &[],
    "Alerts that came in by the webhook and could not be read; a notification that was refused whole counts as one.",
);
static TRUNCATED: Description = Description::counter(
    "firedrill_alerts_truncated_total",
    &[],
    "Alerts that Alertmanager left out of its notifications because of max_alerts: nothing is done about them.",
);
static PUT_OFF: Description = Description::counter(
    "firedrill_webhook_put_off_total",
    &[],
    "Notifications that were answered with 503, to be sent again: the store could not keep them, or too many came at once.",
);
static DURATION: Description = Description::histogram(
    "firedrill_webhook_duration_seconds",
    &[],
    "Time from the header of a notification to the answer; with 200, its alerts were durable then.",
);
static ACTIONS: Description = Description::counter(
    "firedrill_actions_total",
    &["action", "result"],
    "What came of alerts and rules in this process. One action may count twice: as awaiting_approval, then as how it ended.",
);
static PENDING: Description = Description::gauge(
    "firedrill_actions_pending",
    &["action", "state"],
    "Actions that wait for a person (proposed), for their time or a free place (scheduled), or run, on all daemons of the store.",
);
static OLDEST: Description = Description::gauge(
    "firedrill_actions_oldest_timestamp_seconds",
    &["state"],
    "When the oldest open action in this state was decided on, as Unix time; absent when there is none.",
);
static PAUSED: Description = Description::gauge(
    "firedrill_automation_paused",
    &[],
    "1 while the automation is paused: no action begins. Absent while that isn't known.",
);
static UP: Description = Description::gauge(
    "firedrill_automation_up",
    &[],
    "1 while the automation can use the store; 0 means that nothing is decided or begun.",
);
static LAST_TURN: Description = Description::gauge(
    "firedrill_automation_last_turn_timestamp_seconds",
    &[],
    "When alerts and open actions were last gone through, as Unix time.",
);

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 12] = [
    &RECEIVED, &HEARD, &MALFORMED, &TRUNCATED, &PUT_OFF, &DURATION, &ACTIONS, &PENDING, &OLDEST, &PAUSED, &UP,
    &LAST_TURN,
];

/// States that are open, in label order.
const OPEN: [ActionState; 3] = [ActionState::Proposed, ActionState::Running, ActionState::Scheduled];

/// Fills the families of this file.
pub fn collect(statuses: &Snapshot, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    let Some(it) = &statuses.automation else { return };
    let mut received = RECEIVED.family();
    for (status, count) in Status::ALL.iter().zip(it.intake.received) {
        received.add(&[status.as_str()], count as f64);
    }
    out(received);
    let mut heard = HEARD.family();
    for (meaning, count) in Heard::ALL.iter().zip(it.intake.heard) {
        heard.add(&[meaning.as_str()], count as f64);
    }
    out(heard);
    let mut duration = DURATION.family();
    duration.add_histogram(&[], &BUCKETS, &it.intake.durations, it.intake.seconds);
    out(duration);
    let mut actions = ACTIONS.family();
    for (kind, result, count) in it.tally.all() {
        actions.add(&[kind.as_str(), result.as_str()], count as f64);
    }
    out(actions);
    open(it, out);
    let mut single = |description: &'static Description, value: Option<f64>| {
        let mut family = description.family();
        if let Some(value) = value {
            family.add(&[], value);
        }
        out(family);
    };
    let flag = |value: bool| Some(f64::from(u8::from(value)));
    single(&MALFORMED, Some(it.intake.malformed as f64));
    single(&TRUNCATED, Some(it.intake.truncated as f64));
    single(&PUT_OFF, Some(it.intake.put_off as f64));
    // What a store that fails would say isn't known.
    single(&PAUSED, flag(it.paused.is_some()).filter(|_| it.problem.is_none() && it.last_turn.is_some()));
    single(&UP, flag(it.problem.is_none()));
    single(&LAST_TURN, it.last_turn.map(seconds));
}

fn open(it: &Automation, out: &mut dyn FnMut(Family)) {
    let (mut pending, mut oldest) = (PENDING.family(), OLDEST.family());
    for state in OPEN {
        let of_state = || it.open.iter().filter(move |open| open.state == state);
        for kind in Kind::ALL {
            let count: i64 = of_state().filter(|open| open.kind == kind).map(|open| open.count).sum();
            pending.add(&[kind.as_str(), state.as_str()], count as f64);
        }
        if let Some(since) = of_state().map(|open| open.oldest).min() {
            oldest.add(&[state.as_str()], seconds(since));
        }
    }
    out(pending);
    out(oldest);
}
