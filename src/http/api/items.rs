//! The items, judged as of now, from the snapshot.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::Viewer;
use super::super::error::ApiError;
use super::super::state::AppState;
use super::failures::Failures;
use super::list::{List, Part};
use super::query::{Query, word};
use crate::domain::ids::SourceName;
use crate::domain::inventory::SourceView;
use crate::domain::item::{self, Standing};
use crate::domain::proof::book::ItemProof;
use crate::domain::verdict::{BackupState, explain, judge};

/// An item.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Item {
    /// Its place in the list, for `before`; it changes when items come or go.
    position: i64,
    /// Its source.
    source: String,
    /// Its id within the source, such as qemu/100.
    item: String,
    /// Name of the guest.
    name: Option<String>,
    /// Its environment.
    environment: Option<String>,
    /// qemu, lxc, openvz or dump.
    kind: &'static str,
    /// corrupt, failed, late, missing, ok, running or unknown; null when it isn't judged.
    state: Option<&'static str>,
    /// Why, in a sentence.
    why: String,
    /// Start of the newest complete backup.
    #[schema(format = DateTime)]
    newest_backup: Option<String>,
    /// Its bytes.
    newest_size: Option<u64>,
    /// Volumes of the guest that the newest backup doesn't hold, such as mp0 (/data); null where nothing tells.
    left_out_volumes: Option<Vec<String>>,
    /// Warnings and errors in the log of the newest backup that did not fail it: the first 20, an error among them if there
    /// is one.
    log_complaints: Vec<String>,
    /// How many there are of those.
    log_complaint_count: u32,
    /// What a person should know beside the state.
    notes: Vec<String>,
    /// What is proven of it; null where nothing is verified.
    proof: Option<Proof>,
}

/// What is proven of the newest backup.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Proof {
    /// failed, insufficient, passed, running, unproven, warning, or unknown while the store can't be read.
    state: &'static str,
    /// 1: present, 2: decodes to its end, 3: complete.
    level: Option<u8>,
    /// Why less is proven than asked, where the state is insufficient.
    shortfall: Option<String>,
}

/// The items of all sources, judged as of now.
#[utoipa::path(get, path = "/api/v1/items", tag = "backups", params(
    ("source" = Option<String>, Query, description = "of this source"),
    ("state" = Option<String>, Query, description = "in this state"),
    ("limit" = Option<i32>, Query, minimum = 1, maximum = 500, description = "at most so many; 100 by default"),
    ("before" = Option<i64>, Query, minimum = 1, description = "only with smaller positions: next of the part before"),
), responses((status = 200, description = "what was asked for", body = List<Item>), Failures))]
pub(super) async fn list(
    _: Viewer,
    State(state): State<AppState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(raw.as_deref(), &["source", "state", "limit", "before"])?;
    let part = Part::of(&query)?;
    let source = query.parsed::<SourceName>("source")?;
    let wanted =
        query.one("state")?.map(|text| word("state", text, &BackupState::ALL, BackupState::as_str)).transpose()?;
    let inventory = state.inventory.borrow().clone();
    let now = state.clock.now();
    let count: usize = inventory.sources.iter().map(|view| view.items.len()).sum();
    // Falling from the first to the last: lists are read the same way everywhere.
    let positions = (1..=count as i64).rev();
    let items = inventory.sources.iter().flat_map(|view| view.items.iter().map(move |item| (view, item)));
    let rows: Vec<Item> = positions
        .zip(items)
        .filter(|(position, _)| part.before.is_none_or(|before| *position < before))
        .filter(|(_, (view, _))| source.as_ref().is_none_or(|source| view.spec.name == *source))
        .map(|(position, (view, item))| show(position, view, item, now))
        .filter(|item| wanted.is_none_or(|wanted| item.state == Some(wanted.as_str())))
        .take(part.limit + 1)
        .collect();
    Ok(part.answer(rows, |row| row.position, |row| row))
}

fn show(position: i64, view: &SourceView, item: &item::Item, now: Timestamp) -> Item {
    let verdict = judge(item, &view.health, &view.spec, now);
    let why = match (verdict, item.standing) {
        (Some(verdict), _) => explain(verdict, item, &view.health, now),
        (None, Standing::Template) => "it is a template".to_owned(),
        (None, Standing::Retired) => "its guest no longer exists; its backups are only kept".to_owned(),
        (None, Standing::Excluded | Standing::Judged) => "the configuration excludes it".to_owned(),
    };
    let proof = match &item.proof {
        ItemProof::Off => None,
        ItemProof::Unknown(_) => Some(Proof { state: "unknown", level: None, shortfall: None }),
        ItemProof::Known(proven) => {
            let level = proven.level().map(crate::domain::proof::Level::number);
            let shortfall = proven.shortfall().map(ToOwned::to_owned);
            Some(Proof { state: proven.state().as_str(), level, shortfall })
        }
    };
    let newest = item.newest.as_ref();
    Item {
        position,
        source: view.spec.name.to_string(),
        item: item.id.to_string(),
        name: item.name.as_deref().map(ToOwned::to_owned),
        environment: item.environment.as_deref().map(ToOwned::to_owned),
        kind: item.id.kind(),
        state: verdict.map(|verdict| verdict.state.as_str()),
        why,
        newest_backup: newest.map(|newest| newest.started.to_string()),
        newest_size: newest.map(|newest| newest.size),
        left_out_volumes: item.left_out.as_ref().map(|all| all.iter().map(ToString::to_string).collect()),
        log_complaints: newest.iter().flat_map(|it| it.complaints()).map(ToOwned::to_owned).collect(),
        log_complaint_count: newest.and_then(|it| it.log.as_ref()).map_or(0, |log| log.complaint_count),
        notes: item.notes.iter().map(ToString::to_string).collect(),
        proof,
    }
}
