//! The API: `/api/v1/…`, its OpenAPI document and the page that shows it.

mod actions;
mod alerts;
mod audit;
mod automation;
mod failures;
mod items;
mod list;
mod me;
mod openapi;
mod operations;
mod query;
mod requests;
mod sources;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{self, Gate, Viewer};
use super::error::ApiError;
use super::state::AppState;
use crate::engine::ports::automation::ActionStore;
use crate::engine::ports::operations::OperationStore;

/// The list: each route with what the document says of it. Each path has one method.
fn listed() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(actions::list))
        .routes(routes!(actions::one))
        .routes(routes!(actions::approve))
        .routes(routes!(actions::deny))
        .routes(routes!(alerts::list))
        .routes(routes!(audit::list))
        .routes(routes!(automation::status))
        .routes(routes!(automation::pause))
        .routes(routes!(automation::resume))
        .routes(routes!(items::list))
        .routes(routes!(me::me))
        .routes(routes!(operations::list))
        .routes(routes!(operations::one))
        .routes(routes!(operations::cancel))
        .routes(routes!(operations::confirm))
        .routes(routes!(operations::deny))
        .routes(routes!(requests::rescan))
        .routes(routes!(requests::reverify))
        .routes(routes!(sources::list))
}

/// The OpenAPI document.
pub(super) fn document() -> OpenApi {
    listed().into_openapi()
}

static TEXT: LazyLock<String> = LazyLock::new(|| document().to_pretty_json().unwrap_or_default());

async fn described() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], TEXT.as_str())
}

/// The API behind the gate, and beside it what describes the API to everybody: to people, `page`.
pub(super) fn router(gate: Arc<Gate>, page: MethodRouter<AppState>) -> Router<AppState> {
    let (all, _) = listed().split_for_parts();
    let guarded = all
        .route("/api/v1/{*rest}", axum::routing::any(unknown))
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(gate, auth::identify));
    let described = Router::new()
        .route("/api", page)
        .route("/api/openapi.json", get(described))
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

/// Where actions are kept, if they are.
fn kept(state: &AppState) -> Result<&dyn ActionStore, ApiError> {
    state.actions.as_deref().ok_or_else(|| ApiError::unavailable("this daemon keeps no actions"))
}

/// Where operations are kept, if they are.
fn operations_of(state: &AppState) -> Result<&dyn OperationStore, ApiError> {
    state.operations.store.as_deref().ok_or_else(|| ApiError::unavailable("this daemon keeps no operations"))
}

/// The number of one of many, from the path.
fn number(id: Result<Path<String>, PathRejection>) -> Result<i64, ApiError> {
    let text = id.map(|Path(text)| text).unwrap_or_default();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let id = text.parse().ok().filter(|id| digits && *id > 0);
    id.ok_or_else(|| ApiError::bad("id", "must be a number from 1 to 9223372036854775807"))
}

#[cfg(test)]
mod tests;
