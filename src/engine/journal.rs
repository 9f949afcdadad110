//! Says in the log what a scan changed: a source that can't be looked at, items that turned bad or good, odd files.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::age;
use crate::domain::ids::ItemId;
use crate::domain::inventory::SourceView;
use crate::domain::item::Item;
use crate::domain::look::{ErrorKind, LookError};
use crate::domain::verdict::{BackupState, Cause, Verdict, explain, judge};

/// No more lines than this about items in one scan; a thousand guests that turn bad at once are one event.
const MAX_LINES: usize = 50;

/// Writes the difference between two views of one source.
pub fn write(before: &SourceView, after: &SourceView, now: Timestamp) {
    let source = after.spec.name.as_str();
    tracing::debug!(
        source,
        duration_ms = after.health.duration.as_millis() as u64,
        items = after.items.len(),
        "scanned"
    );
    health(before, after);
    oddities(before, after);
    write_verdicts(before, after, now);
}

/// Writes which items turned bad or good.
pub fn write_verdicts(before: &SourceView, after: &SourceView, now: Timestamp) {
    let source = after.spec.name.as_str();
    let mut left = MAX_LINES;
    let old: BTreeMap<&ItemId, &Item> = before.items.iter().map(|item| (&item.id, item)).collect();
    for item in after.items.iter() {
        let known = old.get(&item.id).copied();
        left = notes(source, known, item, left);
        // As it was said after the scan before; by now time alone may have turned it.
        let then = before.health.last_scan.unwrap_or(now);
        let was = known.and_then(|item| judge(item, &before.health, &before.spec, then));
        let is = judge(item, &after.health, &after.spec, now);
        if let Some(is) = is.filter(|is| is_news(was, *is)) {
            left = transition(source, item, was, is, &explain(is, item, &after.health, now), left);
        }
    }
    for gone in before.items.iter().filter(|item| after.items.binary_search_by(|it| it.id.cmp(&item.id)).is_err()) {
        tracing::info!(source, item = %gone.id, "no trace is left of this item; its series end");
    }
    if left == 0 {
        tracing::warn!(source, "more changed than is written here; see `firedrill scan` or the metrics");
    }
}

fn health(before: &SourceView, after: &SourceView) {
    let source = after.spec.name.as_str();
    for problem in &after.health.problems {
        // How long a scan hangs is part of its message.
        let same = |old: &LookError| {
            old.kind == problem.kind && (old.kind == ErrorKind::Timeout || old.message == problem.message)
        };
        let again = before.health.problems.iter().any(same);
        if !again {
            tracing::error!(source, error_kind = problem.kind.as_str(), "could not look: {problem}");
        }
    }
    if after.health.up() && !before.health.problems.is_empty() {
        tracing::info!(source, "can look at everything again");
    }
}

fn oddities(before: &SourceView, after: &SourceView) {
    let source = after.spec.name.as_str();
    for (root, (old, new)) in after.spec.places.iter().zip(before.listings.iter().zip(&after.listings)) {
        let Some(new) = new else { continue };
        let known = old.as_ref().map_or(&[][..], |old| &old.odd_names);
        for name in new.odd_names.iter().filter(|name| !known.contains(name)) {
            tracing::warn!(source, path = %root.path, "passed over {name}");
        }
        if new.unreadable > old.as_ref().map_or(0, |old| old.unreadable) {
            tracing::warn!(source, path = %root.path, files = new.unreadable, "could not examine some files");
        }
    }
}

fn notes(source: &str, before: Option<&Item>, after: &Item, mut left: usize) -> usize {
    for note in &after.notes {
        let known = before.is_some_and(|item| item.notes.contains(note));
        if !known && left > 0 {
            left -= 1;
            tracing::warn!(source, item = %after.id, name = after.name.as_deref(), "{note}");
        }
    }
    left
}

/// Whether a verdict is worth a line. That a whole source went blind is said once, by [`health`].
fn is_news(was: Option<Verdict>, is: Verdict) -> bool {
    let known = |verdict: Verdict| {
        !matches!(
            verdict.cause,
            Cause::CannotLook | Cause::GuestsUnknown | Cause::NotScanned | Cause::ProofsUnknown | Cause::ScanStale
        )
    };
    match was.filter(|was| known(*was)) {
        _ if !known(is) => false,
        Some(was) => was.state != is.state,
        None => matches!(
            is.state,
            BackupState::Corrupt
                | BackupState::Failed
                | BackupState::Missing
                | BackupState::Late
                | BackupState::Unknown
        ),
    }
}

fn transition(source: &str, item: &Item, was: Option<Verdict>, is: Verdict, why: &str, left: usize) -> usize {
    if left == 0 {
        return 0;
    }
    let (id, name) = (item.id.to_string(), item.name.as_deref());
    let (before, state) = (was.map(|was| was.state.as_str()), is.state.as_str());
    let interval = item.expectation.interval.map(age::words);
    match is.state {
        BackupState::Ok | BackupState::Running => {
            tracing::info!(source, item = id, name, before, state, "{id} is {state}: {why}")
        }
        _ => tracing::warn!(source, item = id, name, before, state, interval, "{id} is {state}: {why}"),
    }
    left - 1
}
