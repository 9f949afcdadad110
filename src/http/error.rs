//! Errors of the API: one shape for all of them.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::ports::StoreError;

/// The store is asked again after so many seconds.
const RETRY_AFTER: &str = "5";

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What went wrong.
    pub(super) error: Problem,
}

/// An error in one word and in a sentence.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// One word, for programs.
    #[schema(example = "bad_value")]
    pub(super) code: &'static str,
    /// A sentence, for people.
    #[schema(example = "limit: must be a number from 1 to 500")]
    pub(super) message: String,
    /// Where the action stands; with the code too_late only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "done", nullable = false)]
    pub(super) state: Option<&'static str>,
}

/// An answer that says what went wrong.
#[derive(Debug)]
pub(super) struct ApiError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    problem: Problem,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let problem = Problem { code, message: message.into(), state: None };
        Self(Box::new(Inner { status, problem, headers: Vec::new() }))
    }

    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.0.headers.push((name, HeaderValue::from_static(value)));
        self
    }

    /// A value that can't be used.
    pub(super) fn bad(parameter: &str, what: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_value", format!("{parameter}: {what}"))
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "this path has no such method; the header Allow lists those it has";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(super) fn too_late(state: &'static str) -> Self {
        let message = format!("the action waits for nobody any more: it is {state}");
        let mut error = Self::new(StatusCode::CONFLICT, "too_late", message);
        error.0.problem.state = Some(state);
        error
    }

    /// What was asked for doesn't go with how things stand.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message);
        error.with(header::RETRY_AFTER, RETRY_AFTER)
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.0.status
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::unavailable(error.message)
    }
}

/// JSON that nobody may keep: it is as of now, and for who asked.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let fixed = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    match serde_json::to_vec(body) {
        Ok(text) => (status, fixed, text).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            let text = r#"{"error":{"code":"internal","message":"the answer could not be written"}}"#;
            (StatusCode::INTERNAL_SERVER_ERROR, fixed, text).into_response()
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Inner { status, problem, headers } = *self.0;
        let mut response = json(status, &ErrorBody { error: problem });
        for (name, value) in headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}
