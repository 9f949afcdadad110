//! Whether the daemon lives, whether it knows anything yet, and how the sources are.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::state::AppState;
use crate::domain::age;
use crate::domain::inventory::SourceView;
use crate::domain::verdict::elapsed;

pub(super) async fn healthy() -> &'static str {
    "firedrill is healthy.\n"
}

/// Ready once every source was looked at, well or not.
pub(super) async fn ready(State(state): State<AppState>) -> Response {
    if state.inventory.borrow().is_complete() {
        return "firedrill is ready.\n".into_response();
    }
    let reason = "The first scan has not ended.\n";
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], reason).into_response()
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    version: &'static str,
    sources: Vec<Source>,
    verifier: Option<Reading>,
    store: Option<Store>,
}

#[derive(Serialize)]
struct Store {
    up: bool,
    problem: Option<String>,
    replaced: Option<String>,
}

#[derive(Serialize)]
struct Reading {
    running: usize,
    waiting: usize,
    hanging: usize,
    store_problem: Option<String>,
}

#[derive(Serialize)]
struct Source {
    name: String,
    kind: &'static str,
    up: bool,
    last_scan: Option<String>,
    items: usize,
    problems: Vec<String>,
}

/// The state of the daemon as JSON: `ok`, `starting`, or `degraded`.
///
/// Degraded is when a source can't be looked at, a reading hangs, or the store can't be used or isn't the one of before. Always 200: the daemon itself is well enough
/// to answer.
pub(super) async fn report(State(state): State<AppState>) -> Response {
    let inventory = state.inventory.borrow().clone();
    let (now, statuses) = (state.clock.now(), state.statuses.now());
    let sources: Vec<Source> = inventory.sources.iter().map(|view| source(view, now)).collect();
    let verifier = statuses.verifier.as_ref().map(|it| Reading {
        running: it.running,
        waiting: it.waiting,
        hanging: it.hanging,
        store_problem: it.store_problem.as_deref().map(ToOwned::to_owned),
    });
    let store = statuses.store.as_ref().map(|it| Store {
        up: it.up(),
        problem: it.problem.as_ref().map(|problem| problem.message.to_string()),
        replaced: it.doubt.as_deref().map(ToOwned::to_owned),
    });
    let reads = verifier.as_ref().is_none_or(|verifier| verifier.store_problem.is_none() && verifier.hanging == 0);
    let stored = reads && store.as_ref().is_none_or(|store| store.up && store.replaced.is_none());
    let status = match (inventory.is_complete(), stored && sources.iter().all(|source| source.up)) {
        (false, _) => "starting",
        (true, true) => "ok",
        (true, false) => "degraded",
    };
    let report = Report { status, version: env!("CARGO_PKG_VERSION"), sources, verifier, store };
    match serde_json::to_string_pretty(&report) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn source(view: &SourceView, now: jiff::Timestamp) -> Source {
    // After a sleep of the machine, or when scans don't come any more.
    let age = view.health.last_scan.map(|scan| elapsed(scan, now)).filter(|age| *age > view.spec.stale_after());
    let old = age.map(|age| format!("the last scan ended {} ago", age::words(age)));
    Source {
        name: view.spec.name.to_string(),
        kind: view.spec.kind.as_str(),
        up: view.health.up() && old.is_none(),
        last_scan: view.health.last_scan.map(|time| time.to_string()),
        items: view.items.len(),
        problems: view.health.problems.iter().map(ToString::to_string).chain(old).collect(),
    }
}
