//! The switch of the automation.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::{Identity, Operator, Viewer};
use super::super::error::{ApiError, json};
use super::super::state::AppState;
use super::failures::{Failures, Writes};
use super::query::Query;

/// Whether the automation is paused.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Automation {
    /// While it is, no action begins.
    paused: bool,
    /// Since when.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// By whom.
    by: Option<String>,
}

/// Whether the automation is paused.
#[utoipa::path(get, path = "/api/v1/automation", tag = "automation",
    responses((status = 200, description = "what was asked for", body = Automation), Failures))]
pub(super) async fn status(
    _: Viewer,
    State(state): State<AppState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(raw.as_deref(), &[])?;
    answer(&state).await
}

/// Pause the automation: no action begins until it is resumed.
#[utoipa::path(post, path = "/api/v1/automation/pause", tag = "automation",
    responses((status = 200, description = "what was asked for", body = Automation), Failures, Writes))]
pub(super) async fn pause(
    Operator(who): Operator,
    State(state): State<AppState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(raw.as_deref(), &[])?;
    switch(&state, &who, true).await
}

/// Resume the automation.
#[utoipa::path(post, path = "/api/v1/automation/resume", tag = "automation",
    responses((status = 200, description = "what was asked for", body = Automation), Failures, Writes))]
pub(super) async fn resume(
    Operator(who): Operator,
    State(state): State<AppState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(raw.as_deref(), &[])?;
    switch(&state, &who, false).await
}

async fn switch(state: &AppState, who: &Identity, paused: bool) -> Result<Response, ApiError> {
    super::kept(state)?.set_paused(paused, &who.actor(), state.clock.now()).await?;
    answer(state).await
}

async fn answer(state: &AppState) -> Result<Response, ApiError> {
    let pause = super::kept(state)?.paused().await?;
    let (since, by) = pause.map(|pause| (pause.since.to_string(), pause.by.to_string())).unzip();
    Ok(json(StatusCode::OK, &Automation { paused: since.is_some(), since, by }))
}
