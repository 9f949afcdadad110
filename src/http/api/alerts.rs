//! Alerts that were received.

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::Viewer;
use super::super::error::ApiError;
use super::super::state::AppState;
use super::failures::Failures;
use super::list::{List, Part};
use super::query::{Query, word};
use crate::domain::automation::alert::{KeptAlert, Labels, Status};

/// An occurrence of an alert for a receiver, however often and with whatever starts it was told.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alert {
    /// Its number.
    id: i64,
    /// firing or resolved, as far as was told.
    status: &'static str,
    /// Hash of its labels, by Alertmanager.
    fingerprint: String,
    /// Counts the occurrences of this alert.
    occurrence: i64,
    /// It had been told to be over, and fires on.
    reopened: bool,
    /// When it began to fire: the start that was told first.
    #[schema(format = DateTime)]
    starts_at: String,
    /// The start that was told last.
    #[schema(format = DateTime)]
    last_start: String,
    /// When it was told to be over.
    #[schema(format = DateTime)]
    resolved_at: Option<String>,
    /// The receiver it was last told for.
    receiver: String,
    /// Labels.
    labels: BTreeMap<String, String>,
    /// Annotations.
    annotations: BTreeMap<String, String>,
    /// Where it comes from.
    generator_url: String,
    /// When it was heard of first.
    #[schema(format = DateTime)]
    first_received: String,
    /// When it was heard of last.
    #[schema(format = DateTime)]
    last_received: String,
    /// How often.
    times: i64,
    /// How often it was told to fire after it was over.
    late: i64,
}

fn texts(labels: Labels) -> BTreeMap<String, String> {
    labels.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

impl From<KeptAlert> for Alert {
    fn from(it: KeptAlert) -> Self {
        Self {
            id: it.id,
            status: it.status().as_str(),
            fingerprint: it.fingerprint.to_string(),
            occurrence: it.occurrence,
            reopened: it.reopened,
            starts_at: it.starts_at.to_string(),
            last_start: it.last_start.to_string(),
            resolved_at: it.resolved_at.map(|time| time.to_string()),
            receiver: it.receiver.to_string(),
            labels: texts(it.labels),
            annotations: texts(it.annotations),
            generator_url: it.generator_url.to_string(),
            first_received: it.first_received.to_string(),
            last_received: it.last_received.to_string(),
            times: it.times,
            late: it.late,
        }
    }
}

/// Alerts that were received, newest first.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "automation", params(
    ("status" = Option<String>, Query, description = "firing or resolved"),
    ("limit" = Option<i32>, Query, minimum = 1, maximum = 500, description = "at most so many; 100 by default"),
    ("before" = Option<i64>, Query, minimum = 1, description = "only with smaller numbers: next of the part before"),
), responses((status = 200, description = "what was asked for", body = List<Alert>), Failures))]
pub(super) async fn list(
    _: Viewer,
    State(state): State<AppState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(raw.as_deref(), &["status", "limit", "before"])?;
    let part = Part::of(&query)?;
    let status = query.one("status")?.map(|text| word("status", text, &Status::ALL, Status::as_str)).transpose()?;
    let rows = super::kept(&state)?.alerts(status, part.page()).await?;
    Ok(part.answer(rows, |row| row.id, Alert::from))
}
