//! What runs at this moment, in this process.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::timeout;

use crate::domain::age;
use crate::domain::automation::record::{ActionState, Record};
use crate::domain::printable;
use crate::engine::ports::ledger::{Effect, EffectFailure, Outcome};

/// How an action ended.
pub(super) struct Ended {
    pub(super) record: Record,
    pub(super) result: Result<Outcome, EffectFailure>,
    /// It was ended because that is what its rule says.
    pub(super) cancelled: bool,
}

/// Lines of a program's output that a log shows, from its end.
const LAST_LINES: usize = 3;

/// Characters of each.
const LINE: usize = 200;

impl Ended {
    /// Says in the log how it ended. Whoever reads only that must see what went wrong.
    pub(super) fn log(&self, state: ActionState, reason: &str) {
        let Record { id: action, action: what, origin, .. } = &self.record;
        match &self.result {
            Ok(_) => tracing::info!(action, state = state.as_str(), "{what}: {reason}"),
            Err(failure) => {
                let output = last_lines(failure.output.as_deref().unwrap_or_default());
                tracing::warn!(action, rule = origin.rule(), state = state.as_str(), output, "{what}: {reason}");
            }
        }
    }
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    let shown: Vec<String> =
        last.iter().map(|line| printable::shown(&line.chars().take(LINE).collect::<String>())).collect();
    shown.join(" | ")
}

/// Effects that run, each a task of its own.
#[derive(Default)]
pub(super) struct Running {
    tasks: JoinSet<Result<Outcome, EffectFailure>>,
    records: HashMap<Id, (Record, AbortHandle, Option<Arc<str>>)>,
}

impl Running {
    /// Begins an effect. Its time is limited, and a defect in it is a failure of the action.
    pub(super) fn begin(&mut self, record: Record, effect: Option<Arc<dyn Effect>>) {
        let work = record.clone();
        let handle = self.tasks.spawn(async move {
            let Some(effect) = effect else {
                return Err(EffectFailure::new(format!("{} isn't possible in this configuration", work.action.kind())));
            };
            let limit = work.action.timeout();
            let late = || EffectFailure::new(format!("it took longer than {}", age::words(limit)));
            // A hook has a limit of its own, and says more when it is over.
            let grace = std::time::Duration::from_secs(10);
            timeout(limit.saturating_add(grace), effect.perform(&work)).await.unwrap_or_else(|_| Err(late()))
        });
        self.records.insert(handle.id(), (record, handle, None));
    }

    /// The next one that ends; never, when none runs.
    pub(super) async fn next(&mut self) -> Ended {
        loop {
            let Some(ended) = self.tasks.join_next_with_id().await else {
                return std::future::pending().await;
            };
            let (id, result) = match ended {
                Ok((id, result)) => (id, result),
                Err(error) => (error.id(), Err(EffectFailure::new("a defect in firedrill: please report it"))),
            };
            if let Some((record, _, killed)) = self.records.remove(&id) {
                // One that had ended by itself before it could be ended did what it did.
                return match killed {
                    Some(why) if result.is_err() => {
                        Ended { record, result: Err(EffectFailure::new(&*why)), cancelled: true }
                    }
                    _ => Ended { record, result, cancelled: false },
                };
            }
        }
    }

    /// Ends an effect, and with it what it began.
    pub(super) fn kill(&mut self, action: i64, why: &str) {
        for (record, handle, killed) in self.records.values_mut() {
            if record.id == action {
                *killed = Some(why.into());
                handle.abort();
            }
        }
    }

    /// Whether this process runs the action.
    pub(super) fn hold(&self, action: i64) -> bool {
        self.records.values().any(|(record, ..)| record.id == action)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Ends everything. What was running.
    pub(super) async fn drop_all(&mut self) -> Vec<Record> {
        self.tasks.shutdown().await;
        self.records.drain().map(|(_, (record, ..))| record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_end_of_an_output_is_shown_in_one_line() {
        assert_eq!(last_lines(""), "");
        assert_eq!(last_lines("one\n\ntwo\nthree\nfour\n \n"), "two | three | four");
        assert_eq!(last_lines("a\u{1b}[2J\u{202e}b\tc"), "a\\u{1b}[2J\\u{202e}b\\tc");
        assert_eq!(last_lines(&"x".repeat(10_000)).len(), super::LINE);
    }
}
