//! The web server's connections.

use jiff::Timestamp;

use super::family::{Description, Family};
use crate::domain::connections::Dropped;
use crate::engine::statuses::Snapshot;

static DROPPED: Description = Description::counter(
    "firedrill_http_connections_dropped_total",
    &["reason"],
    "Connections that were closed unanswered: made_room (gave way to another), no_request (asked nothing in time), not_accepted (no file descriptor), not_reading (took nothing of the answer).",
);

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 1] = [&DROPPED];

/// Fills the families of this file.
pub fn collect(statuses: &Snapshot, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    let Some(connections) = &statuses.connections else { return };
    let mut family = DROPPED.family();
    for (reason, count) in Dropped::ALL.iter().zip(connections.counts()) {
        family.add(&[reason.as_str()], count as f64);
    }
    out(family);
}
