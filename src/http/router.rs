//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use super::auth::{self, Gate};
use super::{health, landing, metrics};
use crate::domain::inventory::Inventory;
use crate::engine::ports::Clock;
use crate::metrics::exposition::Exposition;

/// Nothing here takes a body; what is announced as larger is refused unread.
const MAX_BODY: u64 = 64 << 10;

/// What the handlers read.
#[derive(Clone)]
pub struct State {
    /// The snapshot of all sources.
    pub inventory: watch::Receiver<Arc<Inventory>>,
    /// The rendered metrics.
    pub exposition: watch::Receiver<Arc<Exposition>>,
    /// For ages on pages.
    pub clock: Arc<dyn Clock>,
}

/// All routes behind the gate.
pub fn router(state: State, gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/", get(landing::page))
        .route("/metrics", get(metrics::metrics))
        .route("/-/healthy", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .route("/health", get(health::report))
        .fallback(async || (StatusCode::NOT_FOUND, "There is no such page; / lists all.\n"))
        .with_state(state)
        .layer(middleware::from_fn(refuse_bodies))
        .layer(middleware::from_fn_with_state(gate, auth::check))
}

async fn refuse_bodies(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_BODY) {
        return (StatusCode::PAYLOAD_TOO_LARGE, [(header::CONNECTION, "close")], "Nothing here takes a body.\n")
            .into_response();
    }
    next.run(request).await
}
