//! The HTTP client that messengers share: limits, and errors without the URL, which may be a secret.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};

use crate::domain::printable;
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
pub(super) async fn ask(request: RequestBuilder, secrets: &[&Secret]) -> Result<Reply, Sent> {
    let clean = |text: &str| secrets.iter().fold(text.to_owned(), |text, secret| secret.taken_out_of(&text));
    let failed = |error: reqwest::Error| {
        let unsure = !error.is_connect() && !error.is_builder();
        let what = if error.is_timeout() { "it did not answer in time" } else { "it can't be reached" };
        let why = clean(&format!("{what}: {}", chain(&error.without_url())));
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
    Ok(Reply { status, retry_after, body: clean(&String::from_utf8_lossy(&body)) })
}

/// What an answer means where the other side has no errors of its own.
pub(super) fn outcome(reply: &Reply) -> Sent {
    let said = shown(&reply.body);
    if !reply.status.is_success() {
        return judged(reply.status, reply.retry_after, format!("it answered {}: {said}", reply.status).into());
    }
    if is_page(&reply.body) {
        let why = format!("it answered {} with a page for people, so something in between did: {said}", reply.status);
        return Sent::Refused { why: why.into() };
    }
    Sent::Ok { remote_id: None, said: said.into(), note: None }
}

/// What a status that is no success means.
pub(super) fn judged(status: StatusCode, after: Option<Duration>, why: Arc<str>) -> Sent {
    match status.as_u16() {
        // The message may be what it can't digest; whether it is shows when others are taken.
        400 | 406 | 411 | 413 | 414 | 415 | 422 | 431 | 500 | 501 => Sent::Unfit { why },
        408 | 423 | 425 | 429 | 502..=510 | 520..=599 => Sent::RetryLater { after, why, unsure: false },
        // A token, an address, a proxy: a person mends it, or it was never meant for us.
        _ => Sent::Refused { why },
    }
}

/// A login page of a proxy or of a guest network says 200 and has taken nothing.
fn is_page(body: &str) -> bool {
    let start: String = body.trim_start_matches('\u{feff}').trim_start().chars().take(14).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

/// The beginning of an answer on one line.
pub(super) fn shown(body: &str) -> String {
    let line: String = body.chars().map(|it| if it.is_whitespace() { ' ' } else { it }).take(SHOWN).collect();
    printable::shown(line.trim())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status: StatusCode::from_u16(status).unwrap(), retry_after: None, body: body.to_owned() }
    }

    #[test]
    fn a_page_for_people_is_no_success() {
        for page in ["<!DOCTYPE html><title>Log in</title>", " \n<html lang=\"en\">", "\u{feff}<HTML>"] {
            assert!(matches!(outcome(&reply(200, page)), Sent::Refused { .. }), "{page}");
        }
        for body in ["ok", "", "{\"a\":\"<html>\"}", "1"] {
            assert!(matches!(outcome(&reply(200, body)), Sent::Ok { .. }), "{body}");
        }
    }

    #[test]
    fn every_status_is_tried_again() {
        for status in 300..600 {
            assert!(!matches!(outcome(&reply(status, "")), Sent::Drop { .. } | Sent::Ok { .. }), "{status}");
        }
        for status in [301, 302, 307, 401, 402, 403, 404, 407, 410, 451, 511] {
            assert!(matches!(outcome(&reply(status, "")), Sent::Refused { .. }), "{status}");
        }
        for status in [408, 425, 429, 502, 503, 504, 524] {
            assert!(matches!(outcome(&reply(status, "")), Sent::RetryLater { .. }), "{status}");
        }
        for status in [400, 413, 422, 500] {
            assert!(matches!(outcome(&reply(status, "")), Sent::Unfit { .. }), "{status}");
        }
    }

    #[test]
    fn what_is_shown_of_an_answer_is_printable() {
        assert_eq!(shown(" a\r\nb\u{202e}c\u{1b}[2J "), "a  b\\u{202e}c\\u{1b}[2J");
    }
}
