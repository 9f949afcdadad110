//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::auth::{self, Gate};
use super::state::State;
use super::{health, landing, metrics, webhook};
use crate::engine::intake::Intake;

/// Nothing here takes a body; what is announced as larger is refused unread.
const MAX_BODY: u64 = 64 << 10;

/// All routes behind the gate.
pub fn router(state: State, gate: Arc<Gate>, intake: Option<Intake>) -> Router {
    let pages = Router::new()
        .route("/", get(landing::page))
        .route("/metrics", get(metrics::metrics))
        .route("/-/healthy", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .route("/health", get(health::report))
        .fallback(async || (StatusCode::NOT_FOUND, "There is no such page; / lists all.\n"))
        .with_state(state)
        .layer(middleware::from_fn(refuse_bodies));
    let webhook = match intake {
        Some(intake) => webhook::router(intake),
        None => Router::new().route("/webhook/alertmanager", post(no_rules)),
    };
    webhook.fallback_service(pages).layer(middleware::from_fn_with_state(gate, auth::check))
}

async fn no_rules() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "No rule is configured: see [[automation.rules]] in config/firedrill.example.toml.\n")
}

async fn refuse_bodies(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_BODY) {
        return (StatusCode::PAYLOAD_TOO_LARGE, [(header::CONNECTION, "close")], "Nothing here takes a body.\n")
            .into_response();
    }
    next.run(request).await
}
