//! The routes, each behind the gate that fits it.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};

use super::auth::{self, Gate};
use super::error::ApiError;
use super::state::AppState;
use super::{api, health, metrics, pages};

/// Nothing here takes a body; what is announced as larger is refused unread.
const MAX_BODY: u64 = 64 << 10;

/// All routes. `webhook` is whatever receives alerts: it is reached only by who may deliver them, finds who that is among
/// the extensions of the request, and bounds its bodies by itself.
pub fn router(state: AppState, gate: Arc<Gate>, webhook: Router) -> Router {
    let pages = Router::new()
        .route("/", get(pages::overview::page))
        .route("/metrics", get(metrics::metrics))
        .route("/api/metrics", get(metrics::compat))
        .route("/-/healthy", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .route("/health", get(health::report))
        .fallback(async || (StatusCode::NOT_FOUND, "There is no such page; / lists all.\n"))
        .layer(middleware::from_fn_with_state(gate.clone(), auth::pages));
    // It holds no data; whoever has no password but a token must get it too.
    let actions = Router::new().route("/actions", get(pages::actions::page));
    let nowhere = || any(async || api::nothing_there());
    let nowhere = Router::new().route("/api/", nowhere()).route("/api/{*rest}", nowhere());
    let own = pages.merge(actions).merge(nowhere).merge(api::router(gate.clone(), get(pages::api::page)));
    let webhook = if webhook.has_routes() {
        webhook.route_layer(middleware::from_fn_with_state(gate, auth::deliver))
    } else {
        webhook
    };
    own.with_state(state).layer(middleware::from_fn(refuse_bodies)).merge(webhook)
}

async fn refuse_bodies(uri: Uri, request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse::<u64>().ok());
    if length.is_none_or(|length| length <= MAX_BODY) {
        return next.run(request).await;
    }
    let what = "Nothing here takes a body.";
    if uri.path().starts_with("/api") {
        let error = ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", what);
        return error.with(header::CONNECTION, "close").into_response();
    }
    (StatusCode::PAYLOAD_TOO_LARGE, [(header::CONNECTION, "close")], format!("{what}\n")).into_response()
}
