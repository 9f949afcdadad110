//! The one who knows how the store stands: whatever fails or works anywhere is told here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::store::{Problem, Standing, Trouble};

/// What fails now and then and works in between isn't well: an error counts for so long at least. Whoever goes on trying tries
/// more often.
const CALM: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
struct Last {
    write: Option<Instant>,
    error: Option<Instant>,
}

/// How the store stands, for all who use it.
#[derive(Debug)]
pub(super) struct Pulse {
    standing: watch::Sender<Standing>,
    last: Mutex<Last>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { standing: watch::Sender::new(Standing::default()), last: Mutex::default() }
    }
}

impl Pulse {
    pub(super) fn watch(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    pub(super) fn now(&self) -> Standing {
        self.standing.borrow().clone()
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something failed. Worse trouble is not made lighter by it.
    pub(super) fn failed(&self, kind: Trouble, message: &str) {
        self.last().error = Some(Instant::now());
        self.standing.send_if_modified(|standing| {
            let same = |it: &Problem| it.kind > kind || (it.kind == kind && *it.message == *message);
            if standing.tried && standing.problem.as_ref().is_some_and(same) {
                return false;
            }
            standing.tried = true;
            standing.problem = Some(Problem { kind, message: message.into() });
            true
        });
    }

    /// Something was written, and is durable. What passes by itself has passed then, if nothing failed just before.
    pub(super) fn wrote(&self) {
        let calm = {
            let mut last = self.last();
            last.write = Some(Instant::now());
            last.error.is_none_or(|at| at.elapsed() >= CALM)
        };
        self.clear(|kind| kind == Trouble::Passing && calm);
    }

    /// It was gone through and found sound.
    pub(super) fn sound(&self, now: Timestamp) {
        self.clear(|kind| kind == Trouble::Damaged);
        self.standing.send_modify(|standing| standing.checked = Some(now));
    }

    fn clear(&self, passes: impl Fn(Trouble) -> bool) {
        self.standing.send_if_modified(|standing| {
            let passed = standing.problem.as_ref().is_some_and(|it| passes(it.kind));
            if passed {
                standing.problem = None;
            }
            let first = !std::mem::replace(&mut standing.tried, true);
            passed || first
        });
    }

    /// Another store was accepted in the place of one that was lost.
    pub(super) fn accepted(&self) {
        self.standing.send_modify(|standing| {
            (standing.problem, standing.doubt) = (None, None);
            standing.accepted += 1;
        });
    }

    /// Why it isn't the store of before, if it isn't.
    pub(super) fn doubt(&self, doubt: Option<&str>) {
        self.standing.send_if_modified(|standing| {
            let changed = standing.doubt.as_deref() != doubt;
            if changed {
                standing.doubt = doubt.map(Arc::from);
            }
            changed
        });
    }

    /// How long ago something was last written.
    pub(super) fn quiet(&self) -> Option<Duration> {
        self.last().write.map(|at| at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn light_trouble_passes_with_a_write_and_heavy_trouble_does_not() {
        let pulse = Pulse::default();
        assert!(!pulse.now().up(), "nothing was tried");
        pulse.wrote();
        assert!(pulse.now().up());
        pulse.failed(Trouble::Passing, "full");
        pulse.wrote();
        assert!(!pulse.now().up(), "one that works beside others that fail");
        tokio::time::advance(CALM).await;
        pulse.wrote();
        assert!(pulse.now().up());
        pulse.failed(Trouble::Damaged, "malformed");
        pulse.failed(Trouble::Passing, "full");
        tokio::time::advance(CALM).await;
        pulse.wrote();
        assert_eq!(pulse.now().unknown().as_deref(), Some("malformed"));
        pulse.sound(Timestamp::UNIX_EPOCH);
        assert!(pulse.now().up() && pulse.now().checked.is_some());
        pulse.failed(Trouble::Lost, "gone");
        pulse.wrote();
        pulse.sound(Timestamp::UNIX_EPOCH);
        assert!(pulse.now().is_lost());
        pulse.accepted();
        assert!(pulse.now().up() && pulse.now().accepted == 1);
    }
}
