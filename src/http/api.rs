//! The API: `/api/v1/…`, its OpenAPI document and the page that shows it.

mod actions;
mod alerts;
mod audit;
mod automation;
mod items;
mod list;
mod me;
mod openapi;
mod query;
mod sources;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{MethodRouter, get, post};

use super::auth::{self, Gate, Viewer};
use super::error::ApiError;
use super::state::AppState;
use crate::engine::ports::automation::ActionStore;

/// A route of the API. Each path has one method.
struct Route {
    path: &'static str,
    handler: MethodRouter<AppState>,
}

/// All of them; a test compares them with the document.
fn routes() -> Vec<Route> {
    let route = |path, handler| Route { path, handler };
    vec![
        route("/api/v1/actions", get(actions::list)),
        route("/api/v1/actions/{id}", get(actions::one)),
        route("/api/v1/actions/{id}/approve", post(actions::approve)),
        route("/api/v1/actions/{id}/deny", post(actions::deny)),
        route("/api/v1/alerts", get(alerts::list)),
        route("/api/v1/audit", get(audit::list)),
        route("/api/v1/automation", get(automation::status)),
        route("/api/v1/automation/pause", post(automation::pause)),
        route("/api/v1/automation/resume", post(automation::resume)),
        route("/api/v1/items", get(items::list)),
        route("/api/v1/me", get(me::me)),
        route("/api/v1/sources", get(sources::list)),
    ]
}

/// The API behind the gate, and beside it what describes the API to everybody: to people, `page`.
pub(super) fn router(gate: Arc<Gate>, page: MethodRouter<AppState>) -> Router<AppState> {
    let all = routes().into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler));
    let guarded = all
        .route("/api/v1/{*rest}", axum::routing::any(unknown))
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(gate, auth::identify));
    let described = Router::new()
        .route("/api", page)
        .route("/api/openapi.json", get(openapi::document))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed());
    guarded.merge(described)
}

async fn unknown(_: Viewer) -> ApiError {
    nothing_there()
}

async fn not_allowed(_: Viewer) -> ApiError {
    ApiError::method_not_allowed()
}

/// For every path under `/api` that nothing answers to.
pub(super) fn nothing_there() -> ApiError {
    ApiError::not_found("the API has no such path; /api lists all")
}

/// The OpenAPI document.
pub(super) fn described() -> serde_json::Value {
    serde_json::to_value(openapi::openapi()).unwrap_or_default()
}

/// Where actions are kept, if they are.
fn kept(state: &AppState) -> Result<&dyn ActionStore, ApiError> {
    state.actions.as_deref().ok_or_else(|| ApiError::unavailable("this daemon keeps no actions"))
}

#[cfg(test)]
mod tests;
