//! What `firedrill scan` prints: a table for people, JSON for programs.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::age;
use crate::domain::attempt::{Partial, Sidecar};
use crate::domain::attention::{Trouble, shows_other_than_backups, troubles};
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::item::{Item, Newest, Standing};
use crate::domain::look::Medium;
use crate::domain::verdict::{BackupState, elapsed, explain, judge, unprotected};

/// The table, with what could not be looked at below it.
pub(super) fn table(inventory: &Inventory, now: Timestamp) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // Wrapped for a terminal; one line per item for everything else, so that it can be searched.
    if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stdout()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(size.ws_col.max(60));
    }
    table.set_header(["SOURCE", "ITEM", "NAME", "STATE", "AGE", "SIZE", "COPIES", "WHY"]);
    for column in [4, 5, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for view in &inventory.sources {
        for item in view.items.iter() {
            table.add_row(row(view, item, now));
        }
    }
    if table.row_count() > 0 {
        text = format!("{table}\n");
    }
    for view in &inventory.sources {
        after_table(&mut text, view, now);
    }
    // Could-not-look is no "nothing there".
    let looked = inventory.sources.iter().all(|view| view.health.up());
    let others = inventory.sources.iter().any(|view| shows_other_than_backups(view));
    if table.row_count() == 0 && looked && !others {
        text.push_str(
            "No backup was found. For database dumps give --dump-pattern '{db}_{time}.sql.gz' or the like.\n",
        );
    }
    text
}

fn row(view: &SourceView, item: &Item, now: Timestamp) -> [String; 8] {
    let verdict = judge(item, &view.health, &view.spec, now);
    let state = verdict.map_or(standing(item.standing), |verdict| verdict.state.as_str());
    let mut why = match verdict {
        Some(verdict) if verdict.state != BackupState::Ok => explain(verdict, item, &view.health, now),
        _ => String::new(),
    };
    for note in &item.notes {
        let _ = write!(why, "{}{note}", if why.is_empty() { "" } else { "; " });
    }
    let newest = item.newest.as_ref();
    [
        view.spec.name.to_string(),
        item.id.to_string(),
        item.name.as_deref().unwrap_or("").to_owned(),
        state.to_owned(),
        newest.map_or("-".to_owned(), |newest| age::words(elapsed(newest.started, now))),
        newest.map_or("-".to_owned(), |newest| age::bytes(newest.size)),
        item.copies.to_string(),
        why,
    ]
}

const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Judged => "judged",
        Standing::Excluded => "(excluded)",
        Standing::Template => "(template)",
        Standing::Retired => "(removed)",
    }
}

fn after_table(text: &mut String, view: &SourceView, now: Timestamp) {
    // Writing to a string can't fail.
    for problem in &view.health.problems {
        let _ = writeln!(text, "{}: could not look: {problem}", view.spec.name);
    }
    for Trouble { what, why } in troubles(view, now) {
        let _ = writeln!(text, "{}: {what}: {why}", view.spec.name);
    }
    for (root, listing) in view.spec.places.iter().zip(&view.listings) {
        let Some(listing) = listing else { continue };
        for partial in &listing.partials {
            let (size, idle) = (age::bytes(partial.size), age::words(elapsed(partial.last_write, now)));
            let (source, path, file) = (&view.spec.name, &root.path, &partial.file);
            let _ = writeln!(text, "{source}: temporary file {path}/{file}: {size}, last written {idle} ago");
        }
        for name in &listing.unread_names {
            let _ = writeln!(text, "{}: could not look: {}/{name}", view.spec.name, root.path);
        }
        let more = (listing.unreadable as usize).checked_sub(listing.unread_names.len()).filter(|more| *more > 0);
        if let Some(more) = more {
            let _ = writeln!(text, "{}: {more} more file(s) in {} could not be examined", view.spec.name, root.path);
        }
        for name in &listing.odd_names {
            let _ = writeln!(text, "{}: passed over in {}: {name}", view.spec.name, root.path);
        }
        if let Some(more) = (listing.oddities as usize).checked_sub(listing.odd_names.len()).filter(|more| *more > 0) {
            let _ = writeln!(text, "{}: passed over in {}: {more} more", view.spec.name, root.path);
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    now: String,
    sources: Vec<SourceReport<'a>>,
}

#[derive(Serialize)]
struct SourceReport<'a> {
    name: &'a str,
    kind: &'a str,
    up: bool,
    problems: Vec<String>,
    /// What is wrong beside backups: containers, nodes, hosts.
    troubles: Vec<TroubleReport>,
    directories: Vec<Directory<'a>>,
    items: Vec<ItemReport<'a>>,
}

#[derive(Serialize)]
struct TroubleReport {
    what: String,
    why: String,
}

#[derive(Serialize)]
struct Directory<'a> {
    path: &'a str,
    medium: &'a str,
    size_bytes: Option<u64>,
    free_bytes: Option<u64>,
    temporary_files: Vec<TemporaryFile<'a>>,
    odd_names: &'a [String],
    /// How many there are of those.
    odd_count: u32,
    /// Files that could not be examined, the first few of them.
    unread_names: &'a [String],
    unread_count: u32,
}

#[derive(Serialize)]
struct TemporaryFile<'a> {
    file: &'a str,
    size_bytes: u64,
    last_write: String,
}

impl<'a> From<&'a Partial> for TemporaryFile<'a> {
    fn from(it: &'a Partial) -> Self {
        Self { file: &it.file, size_bytes: it.size, last_write: it.last_write.to_string() }
    }
}

#[derive(Serialize)]
struct ItemReport<'a> {
    item: String,
    kind: &'a str,
    name: Option<&'a str>,
    environment: Option<&'a str>,
    node: Option<&'a str>,
    /// Absent for what isn't judged.
    state: Option<BackupState>,
    reason: Option<String>,
    standing: &'a str,
    unprotected: Option<bool>,
    expected_interval_seconds: Option<u64>,
    last_success: Option<String>,
    last_attempt: Option<String>,
    newest_file: Option<&'a str>,
    size_bytes: Option<u64>,
    duration_seconds: Option<u64>,
    size_deviation_ratio: Option<f64>,
    checksum_file: Option<&'a str>,
    onboot: Option<bool>,
    copies: u32,
    protected_copies: u32,
    stored_bytes: u64,
    media: std::collections::BTreeMap<&'a str, u32>,
    /// Volumes of the guest that the newest backup doesn't hold; null where nothing tells.
    left_out_volumes: Option<Vec<String>>,
    /// Warnings and errors in the log of the newest backup that did not fail it; see log_complaint_count.
    log_complaints: Vec<&'a str>,
    log_complaint_count: u32,
    notes: Vec<String>,
}

/// The same as JSON. Times are RFC 3339.
pub(super) fn json(inventory: &Inventory, now: Timestamp) -> anyhow::Result<String> {
    let sources = inventory.sources.iter().map(|view| source(view, now)).collect();
    Ok(serde_json::to_string_pretty(&Report { now: now.to_string(), sources })? + "\n")
}

fn source(view: &SourceView, now: Timestamp) -> SourceReport<'_> {
    let directories = view.spec.places.iter().zip(view.listings.iter().zip(&view.capacities));
    SourceReport {
        name: view.spec.name.as_str(),
        kind: view.spec.kind.as_str(),
        up: view.health.up(),
        problems: view.health.problems.iter().map(ToString::to_string).collect(),
        troubles: troubles(view, now).into_iter().map(|Trouble { what, why }| TroubleReport { what, why }).collect(),
        directories: directories
            .map(|(root, (listing, capacity))| Directory {
                path: &root.path,
                medium: root.medium.as_str(),
                size_bytes: capacity.map(|capacity| capacity.size),
                free_bytes: capacity.map(|capacity| capacity.free),
                temporary_files: listing.iter().flat_map(|it| &it.partials).map(Into::into).collect(),
                odd_names: listing.as_ref().map_or(&[], |listing| &listing.odd_names),
                odd_count: listing.as_ref().map_or(0, |listing| listing.oddities),
                unread_names: listing.as_ref().map_or(&[], |listing| &listing.unread_names),
                unread_count: listing.as_ref().map_or(0, |listing| listing.unreadable),
            })
            .collect(),
        items: view.items.iter().map(|item| item_report(view, item, now)).collect(),
    }
}

fn item_report<'a>(view: &SourceView, item: &'a Item, now: Timestamp) -> ItemReport<'a> {
    let verdict = judge(item, &view.health, &view.spec, now);
    let newest = item.newest.as_ref();
    ItemReport {
        item: item.id.to_string(),
        kind: item.id.kind(),
        name: item.name.as_deref(),
        environment: item.environment.as_deref(),
        node: item.node.as_deref(),
        state: verdict.map(|verdict| verdict.state),
        reason: verdict.map(|verdict| explain(verdict, item, &view.health, now)),
        standing: standing(item.standing).trim_matches(['(', ')']),
        unprotected: unprotected(item, &view.health),
        expected_interval_seconds: item.expectation.interval.map(|it| it.as_secs()),
        last_success: newest.map(|newest| newest.started.to_string()),
        last_attempt: item.last_attempt.map(|time| time.to_string()),
        newest_file: newest.map(|newest| &*newest.file),
        size_bytes: newest.map(|newest| newest.size),
        duration_seconds: newest.and_then(|newest| Some(newest.duration?.as_secs())),
        size_deviation_ratio: item.size_deviation,
        checksum_file: newest.and_then(|newest| newest.sidecar).map(Sidecar::as_str),
        onboot: item.onboot,
        copies: item.copies,
        protected_copies: item.protected_copies,
        stored_bytes: item.stored_bytes,
        media: Medium::ALL.into_iter().map(Medium::as_str).zip(item.media).collect(),
        left_out_volumes: item.left_out.as_ref().map(|all| all.iter().map(ToString::to_string).collect()),
        log_complaints: newest.map(Newest::complaints).unwrap_or_default(),
        log_complaint_count: newest.and_then(|newest| newest.log.as_ref()).map_or(0, |log| log.complaint_count),
        notes: item.notes.iter().map(ToString::to_string).collect(),
    }
}
