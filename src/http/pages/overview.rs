//! `GET /`: what this is, where everything is, and how the sources are at a glance.

mod automation;
mod estate;
mod operations;
mod proofs;

use axum::extract::State;
use axum::response::Html;
use maud::{Markup, html};

use super::{STYLE, document, head, navigation};
use crate::domain::age;
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::item::{Item, Standing};
use crate::domain::labels;
use crate::domain::verdict::{BackupState, by_age, elapsed, explain, judge};
use crate::engine::statuses::Snapshot;
use crate::http::state::AppState;

/// More troubled items than this are counted, not listed: the page is for a glance.
const LISTED: usize = 100;

const PLACES: [(&str, &str); 6] = [
    ("/actions", "actions"),
    ("/api", "API"),
    ("/metrics", "metrics"),
    ("/-/healthy", "healthy"),
    ("/-/ready", "ready"),
    ("/health", "health"),
];

pub(in crate::http) async fn page(State(state): State<AppState>) -> Html<String> {
    let inventory = state.inventory.borrow().clone();
    let operations = operations::view(&state.operations.board);
    Html(view(&inventory, &state.statuses.now(), &operations, state.clock.now()).into_string())
}

fn view(inventory: &Inventory, statuses: &Snapshot, operations: &Markup, now: jiff::Timestamp) -> Markup {
    let rows: Vec<Row<'_>> = inventory.sources.iter().map(|view| Row::of(view, now)).collect();
    let body = html! {
        main {
            h1 { "firedrill " small { (env!("CARGO_PKG_VERSION")) } }
            p { "Would every backup restore right now?" }
            (navigation(&PLACES))
            (store(statuses))
            (sources(&rows, now))
            (troubles(&rows))
            (estate::view(inventory, now))
            (left_out(inventory))
            (operations)
            (automation::view(statuses, now))
            (proofs::view(inventory, statuses))
        }
    };
    document(&head("firedrill", STYLE, &html! { meta http-equiv="refresh" content="60"; }), &body)
}

/// What is wrong with the store: it concerns everything below.
fn store(statuses: &Snapshot) -> Markup {
    let Some(store) = &statuses.store else { return html! {} };
    html! {
        @if let Some(problem) = &store.problem {
            p class="failed" { (problem.message) }
        }
        @if let Some(doubt) = &store.doubt {
            p class="failed" { "The store isn't the one that was used before: " (doubt) "." }
        }
    }
}

/// A source: how many of its items are in each state, the last of those that aren't judged; and what needs attention.
struct Row<'a> {
    view: &'a SourceView,
    counts: [u32; BackupState::ALL.len() + 1],
    troubles: Vec<(&'a Item, BackupState, String)>,
}

impl<'a> Row<'a> {
    fn of(view: &'a SourceView, now: jiff::Timestamp) -> Self {
        let mut row = Self { view, counts: [0; BackupState::ALL.len() + 1], troubles: Vec::new() };
        for item in view.items.iter() {
            let verdict = judge(item, &view.health, &view.spec, now);
            let slot = verdict.and_then(|verdict| labels::place(&BackupState::ALL, &verdict.state));
            row.counts[slot.unwrap_or(BackupState::ALL.len())] += 1;
            let Some(verdict) = verdict else { continue };
            let why = explain(verdict, item, &view.health, now);
            // A backup that is being written makes up for nothing before it has ended.
            let aged = by_age(item, now);
            match verdict.state {
                BackupState::Ok => {}
                BackupState::Running if aged.state == BackupState::Ok => {}
                BackupState::Running => {
                    let why = format!("{why}; {}", explain(aged, item, &view.health, now));
                    row.troubles.push((item, aged.state, why));
                }
                state => row.troubles.push((item, state, why)),
            }
        }
        row
    }
}

fn sources(rows: &[Row<'_>], now: jiff::Timestamp) -> Markup {
    html! {
        h2 { "Sources" }
        table {
            tr {
                th { "source" } th { "kind" } th { "last scan" }
                @for state in BackupState::ALL { th class="n" { (state.as_str()) } }
                th class="n" { "not judged" }
            }
            @for Row { view, counts, .. } in rows {
                tr {
                    td { (view.spec.name) }
                    td { (view.spec.kind.as_str()) }
                    td {
                        @match view.health.last_scan {
                            Some(scan) => { (age::words(elapsed(scan, now))) " ago" }
                            None => { "not yet" }
                        }
                    }
                    @for (index, count) in counts.iter().enumerate() {
                        @let state = BackupState::ALL.get(index).map_or("", |state| state.as_str());
                        td class={ "n " (if *count > 0 { state } else { "none" }) } { (count) }
                    }
                }
                @for problem in &view.health.problems {
                    tr { td class="unknown" colspan="11" { "could not look: " (problem) } }
                }
            }
        }
        @if rows.is_empty() {
            p { "No source is configured: see " code { "config/firedrill.example.toml" } "." }
        }
    }
}

fn troubles(rows: &[Row<'_>]) -> Markup {
    let all = || rows.iter().flat_map(|row| row.troubles.iter().map(move |it| (row.view, it)));
    let count = all().count();
    if count == 0 {
        return html! {};
    }
    html! {
        h2 { "Needs attention" }
        table {
            tr { th { "source" } th { "item" } th { "name" } th { "state" } th { "why" } }
            @for (view, (item, state, why)) in all().take(LISTED) {
                tr {
                    td { (view.spec.name) }
                    td { (item.id) }
                    td { (item.name.as_deref().unwrap_or("")) }
                    td class=(state.as_str()) { (state.as_str()) }
                    td { (why) }
                }
            }
        }
        (more(count))
    }
}

/// What the configuration of guests leaves out of their backups. Nobody should learn it from a restore.
fn left_out(inventory: &Inventory) -> Markup {
    let judged = |item: &&Item| item.standing == Standing::Judged;
    let all: Vec<_> = inventory
        .sources
        .iter()
        .flat_map(|view| view.items.iter().filter(judged).map(move |item| (view, item)))
        .flat_map(|(view, item)| item.left_out.iter().flatten().map(move |volume| (view, item, volume)))
        .collect();
    if all.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Left out of backups by configuration" }
        table {
            tr { th { "source" } th { "item" } th { "volume" } }
            @for (view, item, volume) in all.iter().take(LISTED) {
                tr { td { (view.spec.name) } td { (item.id) } td { (volume) } }
            }
        }
        (more(all.len()))
    }
}

/// What isn't listed is counted.
fn more(count: usize) -> Markup {
    html! {
        @if count > LISTED { p { "… and " (count - LISTED) " more; see /metrics." } }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::store::{Problem, Standing, Trouble};

    #[test]
    fn without_anything_it_says_what_to_do_and_text_from_outside_stays_text() {
        let now: jiff::Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let problem = Problem { kind: Trouble::Passing, message: "<script>alert(1)</script>".into() };
        let standing = Standing { tried: true, problem: Some(problem), ..Standing::default() };
        let statuses = Snapshot { store: Some(Arc::new(standing)), ..Snapshot::default() };
        let html = view(&Inventory::default(), &statuses, &html! {}, now).into_string();
        assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{html}");
        assert!(html.contains("No source is configured") && html.contains("&lt;script&gt;alert(1)"), "{html}");
        assert!(!html.contains("<script"), "{html}");
    }
}
