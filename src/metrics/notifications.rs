//! How notifying goes, per receiver.

use jiff::Timestamp;

use super::family::{Description, Family, seconds};
use crate::engine::statuses::Snapshot;

const RECEIVER: &[&str] = &["receiver"];

static TOTAL: Description = Description::counter(
    "firedrill_notifications_total",
    &["receiver", "result"],
    "Notifications: sent, retried (a try that is made again), dropped (given up), suppressed (no news to the receiver).",
);
static QUEUED: Description =
    Description::gauge("firedrill_notifications_queued", RECEIVER, "Notifications that wait to be sent.");
static OLDEST: Description = Description::gauge(
    "firedrill_notifications_oldest_queued_timestamp_seconds",
    RECEIVER,
    "Since when the oldest waits, quiet hours aside, as Unix time; absent while none does.",
);
static UP: Description = Description::gauge(
    "firedrill_receiver_up",
    RECEIVER,
    "0 while the receiver takes nothing: the last try failed, also one before a restart, or it refuses to be asked at the start; else 1.",
);

/// The families.
pub const DESCRIPTIONS: [&Description; 4] = [&TOTAL, &QUEUED, &OLDEST, &UP];

/// Fills them. Without receivers there are none.
pub fn collect(statuses: &Snapshot, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    let Some(notifier) = &statuses.notifier else { return };
    let (mut total, mut queued) = (TOTAL.family(), QUEUED.family());
    let (mut oldest, mut up) = (OLDEST.family(), UP.family());
    for it in &notifier.receivers {
        let counts =
            [("dropped", it.dropped), ("retried", it.retried), ("sent", it.sent), ("suppressed", it.suppressed)];
        for (result, count) in counts {
            total.add(&[&it.name, result], count as f64);
        }
        queued.add(&[&it.name], it.queued as f64);
        if let Some(since) = it.oldest {
            oldest.add(&[&it.name], seconds(since));
        }
        up.add(&[&it.name], f64::from(u8::from(it.up != Some(false))));
    }
    for family in [total, queued, oldest, up] {
        out(family);
    }
}
