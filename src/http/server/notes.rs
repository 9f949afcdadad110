//! Counts connections that were closed unanswered, and says so in the log once a minute at most.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::neighbourhood::Neighbourhood;
use crate::domain::connections::{Connections, Dropped};
use crate::domain::labels;

/// Lines in the log are so far apart.
pub(super) const PAUSE: Duration = Duration::from_secs(60);

/// What was closed and not told yet.
pub(super) struct Notes {
    counts: Arc<Connections>,
    untold: Mutex<Untold>,
}

#[derive(Default)]
struct Untold {
    counts: [u64; Dropped::ALL.len()],
    /// Whose the last one was.
    whose: Option<Neighbourhood>,
    error: Option<String>,
    told: Option<Instant>,
}

impl Notes {
    pub(super) fn new(counts: Arc<Connections>) -> Self {
        Self { counts, untold: Mutex::default() }
    }

    /// One more was closed.
    pub(super) fn note(&self, why: Dropped, whose: Option<Neighbourhood>) {
        self.add(why, |untold| untold.whose = whose.or(untold.whose));
    }

    /// One could not be accepted.
    pub(super) fn not_accepted(&self, error: &std::io::Error) {
        self.add(Dropped::NotAccepted, |untold| untold.error = Some(error.to_string()));
    }

    fn add(&self, why: Dropped, also: impl FnOnce(&mut Untold)) {
        self.counts.add(why);
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        labels::count(&mut untold.counts, &Dropped::ALL, &why);
        also(&mut untold);
        untold.tell();
    }

    /// Tells what waits, if it is time.
    pub(super) fn tell(&self) {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner).tell();
    }
}

impl Untold {
    fn tell(&mut self) {
        if self.counts == [0; Dropped::ALL.len()] || self.told.is_some_and(|told| told.elapsed() < PAUSE) {
            return;
        }
        let Self { counts: [made_room, no_request, not_accepted, not_reading], whose, error, .. } =
            std::mem::take(self);
        let last = whose.map(|whose| whose.to_string()).unwrap_or_default();
        let error = error.unwrap_or_default();
        if made_room + not_accepted + not_reading > 0 {
            tracing::warn!(
                made_room,
                no_request,
                not_accepted,
                not_reading,
                last,
                error,
                "connections were closed unanswered: somebody opens many, or takes no answer"
            );
        } else {
            tracing::info!(no_request, last, "connections were closed that asked nothing in time");
        }
        self.told = Some(Instant::now());
    }
}
