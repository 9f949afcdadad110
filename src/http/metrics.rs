//! `GET /metrics`, and `GET /api/metrics` for dashboards of the ESXi Backup Manager.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use jiff::Timestamp;

use super::state::AppState;
use crate::metrics::exposition::{CONTENT_TYPE, Exposition};

pub(super) async fn metrics(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let (now, statuses, compat) = (state.clock.now(), state.statuses.now(), state.esxi_compat);
    let exposition = current(&state, now).await;
    let fixed = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::VARY, "accept-encoding")];
    if !accepts_gzip(&headers) {
        return (fixed, in_parts(exposition.plain(&statuses, compat, now))).into_response();
    }
    (fixed, [(header::CONTENT_ENCODING, "gzip")], in_parts(exposition.gzipped(&statuses, compat, now))).into_response()
}

/// The names of the ESXi Backup Manager alone; without a slash at the end, as it served them.
pub(super) async fn compat(State(state): State<AppState>) -> Response {
    let now = state.clock.now();
    let exposition = current(&state, now).await;
    let rendered = blocking(move || exposition.compat(now)).await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], rendered).into_response()
}

/// What is shown now.
async fn current(state: &AppState, now: Timestamp) -> Arc<Exposition> {
    let exposition = state.exposition.borrow().clone();
    match exposition.is_overdue(now) {
        true => blocking(move || exposition.anew(now)).await.into(),
        false => exposition,
    }
}

/// Off the threads that answer.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(defect) => std::panic::resume_unwind(defect.into_panic()),
    }
}

/// Sends parts one after the other without copying them together.
fn in_parts<const N: usize>(parts: [Bytes; N]) -> Response {
    let length = parts.iter().map(Bytes::len).sum::<usize>();
    let frames = parts.into_iter().map(|part| Ok::<_, std::convert::Infallible>(Frame::data(part)));
    let mut response = Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// RFC 9110, section 12.5.3: `gzip` or `*`, unless its weight is 0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::ACCEPT_ENCODING);
    let mut any = None;
    for coding in codings.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|part| {
            part.strip_prefix("q=")
                .and_then(|weight| weight.trim().parse::<f32>().ok())
                .is_some_and(|weight| weight <= 0.0)
        });
        if name.eq_ignore_ascii_case("gzip") {
            return !refused;
        }
        if name == "*" {
            any = Some(!refused);
        }
    }
    any.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_only_for_who_takes_it() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            accepts_gzip(&headers)
        };
        assert!(!accepts_gzip(&HeaderMap::new()));
        for yes in ["gzip", "GZIP", "deflate, gzip;q=0.5", "*", "br, *;q=0.1"] {
            assert!(accepts(yes), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "*;q=0", "*, gzip;q=0.0", "xgzip"] {
            assert!(!accepts(no), "{no}");
        }
    }
}
