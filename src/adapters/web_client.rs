//! The HTTP client that messengers share: limits, and errors without the URL, which may be a secret.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};

use crate::domain::secret::Secret;
use crate::engine::ports::notices::Sent;

/// To reach the other side.
const CONNECT: Duration = Duration::from_secs(10);

/// For a request with its answer.
const TOTAL: Duration = Duration::from_secs(30);

/// More of an answer than this is not read.
const MOST_BODY: usize = 64 << 10;

/// So much of an answer is shown.
const SHOWN: usize = 200;

/// A client with limits, that follows no redirect: a secret in a URL or body stays with whom it was meant for.
pub(super) fn client() -> Result<Client, String> {
    Client::builder()
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("firedrill/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| format!("the HTTP client can't be made: {}", chain(&error.without_url())))
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: String,
}

/// Sends a request and reads the answer. `limit` overrides the usual time limit.
pub(super) async fn ask(request: RequestBuilder, secret: &Secret) -> Result<Reply, Sent> {
    let failed = |error: reqwest::Error| {
        let unsure = !error.is_connect() && !error.is_builder();
        let what = if error.is_timeout() { "it did not answer in time" } else { "it can't be reached" };
        let why = secret.taken_out_of(&format!("{what}: {}", chain(&error.without_url())));
        Sent::RetryLater { after: None, why: why.into(), unsure }
    };
    let mut answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let header = answer.headers().get(reqwest::header::RETRY_AFTER);
    let retry_after = header.and_then(|value| value.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
    let mut body = Vec::new();
    // With a status the answer is known; what it says beyond that may be cut.
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = MOST_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MOST_BODY {
            break;
        }
    }
    Ok(Reply { status, retry_after, body: secret.taken_out_of(&String::from_utf8_lossy(&body)) })
}

/// What a status means where the other side has no errors of its own.
pub(super) fn outcome(reply: &Reply) -> Sent {
    let said = shown(&reply.body);
    let why = format!("it answered {}: {said}", reply.status);
    if reply.status.is_success() {
        return Sent::Ok { remote_id: None, said: said.into() };
    }
    if reply.status.is_server_error() || [408, 425, 429].contains(&reply.status.as_u16()) {
        return Sent::RetryLater { after: reply.retry_after, why: why.into(), unsure: false };
    }
    Sent::Drop { why: why.into() }
}

/// The beginning of an answer on one line.
pub(super) fn shown(body: &str) -> String {
    let line: String = body.chars().map(|it| if it.is_control() { ' ' } else { it }).take(SHOWN).collect();
    line.trim().to_owned()
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
