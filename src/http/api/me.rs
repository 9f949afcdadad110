//! Who asks.

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::Viewer;
use super::super::error::{ApiError, json};
use super::failures::Failures;
use super::query::Query;

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// Name of the token or user.
    name: String,
    /// viewer, operator or admin.
    role: &'static str,
    /// Whether they may deliver alerts.
    may_deliver_alerts: bool,
}

/// Who I am here.
#[utoipa::path(get, path = "/api/v1/me", tag = "access", responses((status = 200, description = "what was asked for", body = Me), Failures))]
pub(super) async fn me(Viewer(who): Viewer, RawQuery(raw): RawQuery) -> Result<Response, ApiError> {
    Query::parse(raw.as_deref(), &[])?;
    let role = who.role.as_str();
    Ok(json(StatusCode::OK, &Me { name: who.name.to_string(), role, may_deliver_alerts: who.may_deliver_alerts }))
}
