//! `GET /`: what this is, where everything is, and how the sources are at a glance.

use std::fmt::Write as _;

use axum::extract::State;
use axum::response::Html;

use super::state::AppState;
use super::{landing_automation, landing_proofs};
use crate::domain::age;
use crate::domain::html::escaped;
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::item::{Item, Standing};
use crate::domain::labels;
use crate::domain::verdict::{BackupState, by_age, elapsed, explain, judge};
use crate::engine::statuses::Snapshot;

/// More troubled items than this are counted, not listed: the page is for a glance.
const LISTED: usize = 100;

const HEAD: &str = include_str!("landing.head.html");

/// What is wrong with the store: it concerns everything below.
fn store_lines(html: &mut String, statuses: &Snapshot) {
    let Some(store) = &statuses.store else { return };
    if let Some(problem) = &store.problem {
        put(html, format_args!("<p class=\"failed\">{}</p>\n", escaped(&problem.message)));
    }
    if let Some(doubt) = &store.doubt {
        let doubt = escaped(doubt);
        put(html, format_args!("<p class=\"failed\">The store isn't the one that was used before: {doubt}.</p>\n"));
    }
}

pub(super) async fn page(State(state): State<AppState>) -> Html<String> {
    let inventory = state.inventory.borrow().clone();
    let (now, statuses) = (state.clock.now(), state.statuses.now());
    let mut html = HEAD.replace("{version}", env!("CARGO_PKG_VERSION"));
    let mut troubles = Vec::new();
    store_lines(&mut html, &statuses);
    html.push_str("<h2>Sources</h2>\n<table><tr><th>source<th>kind<th>last scan");
    for state in BackupState::ALL {
        put(&mut html, format_args!("<th class=\"n\">{}", state.as_str()));
    }
    html.push_str("<th class=\"n\">not judged</tr>\n");
    for view in &inventory.sources {
        let mut counts = [0u32; BackupState::ALL.len() + 1];
        for item in view.items.iter() {
            let verdict = judge(item, &view.health, &view.spec, now);
            let state = verdict.map(|verdict| verdict.state);
            let slot = state.and_then(|it| labels::place(&BackupState::ALL, &it)).unwrap_or(BackupState::ALL.len());
            counts[slot] += 1;
            if let Some(verdict) = verdict {
                let why = explain(verdict, item, &view.health, now);
                // A backup that is being written makes up for nothing before it has ended.
                let aged = by_age(item, now);
                match verdict.state {
                    BackupState::Ok => {}
                    BackupState::Running if aged.state == BackupState::Ok => {}
                    BackupState::Running => {
                        let why = format!("{why}; {}", explain(aged, item, &view.health, now));
                        troubles.push((view, item, aged.state, why));
                    }
                    state => troubles.push((view, item, state, why)),
                }
            }
        }
        source_row(&mut html, view, &counts, now);
    }
    html.push_str("</table>\n");
    if inventory.sources.is_empty() {
        html.push_str("<p>No source is configured: see <code>config/firedrill.example.toml</code>.</p>\n");
    }
    trouble_table(&mut html, &troubles);
    left_out_table(&mut html, &inventory);
    landing_automation::write(&mut html, &statuses, now);
    landing_proofs::write(&mut html, &inventory, &statuses);
    html.push_str("</main></html>\n");
    Html(html)
}

fn source_row(html: &mut String, view: &SourceView, counts: &[u32], now: jiff::Timestamp) {
    let last = match view.health.last_scan {
        Some(scan) => format!("{} ago", age::words(elapsed(scan, now))),
        None => "not yet".to_owned(),
    };
    put(html, format_args!("<tr><td>{}<td>{}<td>{last}", view.spec.name, view.spec.kind.as_str()));
    for (index, count) in counts.iter().enumerate() {
        let state = BackupState::ALL.get(index).map_or("", |state| state.as_str());
        let class = if *count > 0 { state } else { "none" };
        put(html, format_args!("<td class=\"n {class}\">{count}"));
    }
    html.push_str("</tr>\n");
    for problem in &view.health.problems {
        let text = escaped(&problem.to_string());
        put(html, format_args!("<tr><td class=\"unknown\" colspan=\"11\">could not look: {text}</tr>\n"));
    }
}

fn trouble_table(html: &mut String, troubles: &[(&std::sync::Arc<SourceView>, &Item, BackupState, String)]) {
    if troubles.is_empty() {
        return;
    }
    html.push_str("<h2>Needs attention</h2>\n<table><tr><th>source<th>item<th>name<th>state<th>why</tr>\n");
    for (view, item, state, why) in troubles.iter().take(LISTED) {
        let name = escaped(item.name.as_deref().unwrap_or(""));
        let (source, id, state) = (&view.spec.name, escaped(&item.id.to_string()), state.as_str());
        put(
            html,
            format_args!("<tr><td>{source}<td>{id}<td>{name}<td class=\"{state}\">{state}<td>{}</tr>\n", escaped(why)),
        );
    }
    html.push_str("</table>\n");
    if let Some(more) = troubles.len().checked_sub(LISTED).filter(|more| *more > 0) {
        put(html, format_args!("<p>… and {more} more; see /metrics.</p>\n"));
    }
}

/// What the configuration of guests leaves out of their backups. Nobody should learn it from a restore.
fn left_out_table(html: &mut String, inventory: &Inventory) {
    let mut rows = String::new();
    let mut count = 0;
    for view in &inventory.sources {
        let judged = view.items.iter().filter(|item| item.standing == Standing::Judged);
        for (item, volumes) in judged.filter_map(|item| Some((item, item.left_out.as_ref()?))) {
            for volume in volumes {
                count += 1;
                if count <= LISTED {
                    let (source, id, volume) = (&view.spec.name, item.id.to_string(), volume.to_string());
                    put(&mut rows, format_args!("<tr><td>{source}<td>{}<td>{}</tr>\n", escaped(&id), escaped(&volume)));
                }
            }
        }
    }
    if count > 0 {
        let head = "<h2>Left out of backups by configuration</h2>\n<table><tr><th>source<th>item<th>volume</tr>\n";
        put(html, format_args!("{head}{rows}</table>\n"));
    }
    if count > LISTED {
        put(html, format_args!("<p>… and {} more; see /metrics.</p>\n", count - LISTED));
    }
}

fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _ = html.write_fmt(text);
}
