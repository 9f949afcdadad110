//! Says of a receiver that takes nothing, to another.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::notice::status::NotifierStatus;
use crate::domain::notice::{Notice, Phase, Topic, Urgency};

/// What the keys of these stories begin with.
pub(super) const PREFIX: &str = "receiver/";

/// Key of the story of a receiver that fails.
pub(super) fn key(receiver: &str) -> Arc<str> {
    format!("{PREFIX}{receiver}").into()
}

/// One to tell of it: the first that works, or that nothing is known against. Who fails too would not pass it on.
pub(super) fn another(status: &NotifierStatus, failing: &str) -> Option<Arc<str>> {
    let others = || status.receivers.iter().filter(|it| &*it.name != failing);
    let works =
        others().find(|it| it.up == Some(true) && it.tried()).or_else(|| others().find(|it| it.up != Some(false)));
    works.map(|it| it.name.clone())
}

/// It fails.
pub(super) fn notice(receiver: &str, why: &str, told: Arc<str>, now: Timestamp) -> Notice {
    Notice {
        key: key(receiver),
        phase: Phase::Problem,
        severity: Urgency::Warning,
        topic: Topic::Daemon,
        source: None,
        item: None,
        environment: None,
        title: format!("receiver {receiver} takes no notifications").into(),
        body: format!("{why}\nWhat is meant for it is tried again, less and less often. To see what it says now: firedrill notify test {receiver}").into(),
        link: None,
        at: now,
        proposal: None,
        receivers: vec![told],
    }
}

/// It works again: to whoever was told that it did not.
pub(super) fn over(receiver: &str, now: Timestamp) -> Notice {
    Notice {
        phase: Phase::Recovered,
        title: format!("receiver {receiver} takes notifications again").into(),
        body: "".into(),
        receivers: Vec::new(),
        ..notice(receiver, "", "".into(), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_works_is_told() {
        let names = ["a", "b", "c"].map(Arc::from);
        let mut status = NotifierStatus::of(names);
        assert_eq!(another(&status, "a").as_deref(), Some("b"));
        status.receivers[2].up = Some(true);
        status.receivers[2].sent = 1;
        assert_eq!(another(&status, "a").as_deref(), Some("c"));
        status.receivers[1].up = Some(false);
        status.receivers[2].up = Some(false);
        assert_eq!(another(&status, "a"), None);
    }
}
