//! The sources, from the snapshot.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::Viewer;
use super::super::error::ApiError;
use super::super::state::AppState;
use super::failures::Failures;
use super::list::{self, List};
use super::query::Query;

/// A source.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Source {
    /// Its name.
    name: String,
    /// vzdump or dump.
    kind: &'static str,
    /// Whether the last scan saw everything.
    up: bool,
    /// End of the last scan.
    #[schema(format = DateTime)]
    last_scan: Option<String>,
    /// How many items it has.
    items: i64,
    /// What the last scan could not see.
    problems: Vec<String>,
}

/// The sources, in the order of the configuration.
#[utoipa::path(get, path = "/api/v1/sources", tag = "backups",
    responses((status = 200, description = "what was asked for", body = List<Source>), Failures))]
pub(super) async fn list(
    _: Viewer,
    State(state): State<AppState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(raw.as_deref(), &[])?;
    let inventory = state.inventory.borrow().clone();
    let source = |view: &std::sync::Arc<crate::domain::inventory::SourceView>| Source {
        name: view.spec.name.to_string(),
        kind: view.spec.kind.as_str(),
        up: view.health.up(),
        last_scan: view.health.last_scan.map(|time| time.to_string()),
        items: view.items.len() as i64,
        problems: view.health.problems.iter().map(ToString::to_string).collect(),
    };
    Ok(list::all(inventory.sources.iter().map(source).collect()))
}
