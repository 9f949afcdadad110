//! The audit trail.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::Viewer;
use super::super::error::ApiError;
use super::super::state::AppState;
use super::failures::Failures;
use super::list::{List, Part};
use super::query::Query;
use crate::domain::automation::record;
use crate::domain::printable::shown;

/// A line of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditLine {
    /// Its number.
    id: i64,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// Who or what: `rule:NAME`, `api:NAME`, `firedrill`.
    actor: String,
    /// The action it is about.
    action: Option<i64>,
    /// What happened, in one word.
    event: String,
    /// The same in a sentence.
    detail: String,
}

impl From<record::AuditLine> for AuditLine {
    fn from(it: record::AuditLine) -> Self {
        Self {
            id: it.id,
            at: it.at.to_string(),
            actor: it.actor.to_string(),
            action: it.action,
            event: it.event.to_string(),
            detail: shown(&it.detail),
        }
    }
}

/// The audit trail, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "automation", params(
    ("action" = Option<i64>, Query, minimum = 1, description = "only about this action"),
    ("limit" = Option<i32>, Query, minimum = 1, maximum = 500, description = "at most so many; 100 by default"),
    ("before" = Option<i64>, Query, minimum = 1, description = "only with smaller numbers: next of the part before"),
), responses((status = 200, description = "what was asked for", body = List<AuditLine>), Failures))]
pub(super) async fn list(
    _: Viewer,
    State(state): State<AppState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(raw.as_deref(), &["action", "limit", "before"])?;
    let part = Part::of(&query)?;
    let action = query.number("action", 1..=i64::MAX)?;
    let rows = super::kept(&state)?.audit(action, part.page()).await?;
    Ok(part.answer(rows, |row| row.id, AuditLine::from))
}
