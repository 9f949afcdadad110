//! `GET /metrics`.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;

use super::state::AppState;
use crate::metrics::exposition::CONTENT_TYPE;

pub(super) async fn metrics(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let mut exposition = state.exposition.borrow().clone();
    let (now, statuses) = (state.clock.now(), state.statuses.now());
    if exposition.is_overdue(now) {
        let old = exposition.clone();
        match tokio::task::spawn_blocking(move || old.anew(now)).await {
            Ok(anew) => exposition = anew.into(),
            Err(defect) => std::panic::resume_unwind(defect.into_panic()),
        }
    }
    let fixed = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::VARY, "accept-encoding")];
    if !accepts_gzip(&headers) {
        return (fixed, in_parts(exposition.plain(&statuses, now))).into_response();
    }
    (fixed, [(header::CONTENT_ENCODING, "gzip")], in_parts(exposition.gzipped(&statuses, now))).into_response()
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
