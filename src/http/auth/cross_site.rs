//! Keeps other sites' pages from acting with what a browser sends by itself.

use axum::http::{HeaderMap, Method, StatusCode, header};

use super::super::error::ApiError;

/// Whether a request that changes something may come with ambient credentials: a form of another site can't send JSON,
/// and what can is asked where it comes from.
pub(super) fn check(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    if method.is_safe() {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let sort = text("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !sort.eq_ignore_ascii_case("application/json") {
        let message = "with basic auth or a client certificate this needs the header Content-Type: application/json";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let same_site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    // Behind a proxy that ends TLS the scheme isn't known here; host and port are.
    let authority = |origin: &str| origin.split_once("://").map(|(_, rest)| rest.to_ascii_lowercase());
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_ascii_lowercase);
    let same_origin = text("origin").is_none_or(|origin| host.is_some() && authority(origin) == host);
    if same_site && same_origin {
        return Ok(());
    }
    let message = "a page of another origin may not do this with the browser's credentials";
    Err(ApiError::new(StatusCode::FORBIDDEN, "cross_origin", message))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn status(method: Method, with: &[(&str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("drill.example:10042"));
        for (name, value) in with {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        check(&method, &headers).err().map_or(200, |error| error.status().as_u16())
    }

    #[test]
    fn only_json_of_the_same_origin_may_change_something() {
        let json = ("content-type", "application/json; charset=utf-8");
        assert_eq!(status(Method::GET, &[("origin", "https://evil.example")]), 200);
        assert_eq!(status(Method::POST, &[]), 415);
        assert_eq!(status(Method::POST, &[("content-type", "text/plain;application/json")]), 415);
        assert_eq!(status(Method::POST, &[json]), 200, "no browser");
        assert_eq!(status(Method::POST, &[json, ("origin", "https://Drill.example:10042")]), 200);
        assert_eq!(status(Method::POST, &[json, ("sec-fetch-site", "same-origin")]), 200);
        for origin in ["https://evil.example", "null", "", "https://drill.example", "drill.example:10042"] {
            assert_eq!(status(Method::POST, &[json, ("origin", origin)]), 403, "{origin:?}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert_eq!(status(Method::DELETE, &[json, ("sec-fetch-site", site)]), 403, "{site:?}");
        }
    }
}
