//! `POST /webhook/alertmanager`: takes alerts in.
//!
//! Alertmanager tries again after 5xx and network errors only, so the answer says whether that would help: 503 when the
//! alerts could not be kept, 4xx when they never will be, 200 when they are durable. 429 would be final, and is not used.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::domain::automation::alert::Status;
use crate::domain::automation::occurrence::order;
use crate::engine::intake::{Intake, NotKept};
use crate::engine::ports::ledger::Received;
use crate::formats::alertmanager;

/// Largest payload. Alertmanager sends megabytes where groups are large; `max_alerts` there limits them.
const MOST_BYTES: usize = 8 << 20;

/// So much of a larger one is read and thrown away.
const MOST_DISCARDED: usize = 64 << 20;

/// Payloads that are in memory at the same time, in units of [`UNIT`].
const UNITS: u32 = 64;

/// A payload takes its size in such units, at least one.
const UNIT: usize = 512 << 10;

/// The body must have come after this.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// That alerts can't be kept is said again after this: whoever sends them tries again every few seconds.
const SAY_AGAIN: std::time::Duration = std::time::Duration::from_secs(60);

/// Told to whoever is put off, in seconds.
const RETRY_AFTER: &str = "5";

#[derive(Clone)]
struct Hook {
    intake: Intake,
    /// Bounds the memory of all payloads together.
    memory: Arc<Semaphore>,
    /// When it was last said that alerts could not be kept.
    said: Arc<Mutex<Option<Instant>>>,
}

/// The route. Without an intake, which is without a rule, it says so.
pub fn router(intake: Option<Intake>) -> Router {
    let Some(intake) = intake else {
        return Router::new().route("/webhook/alertmanager", post(no_rules));
    };
    let hook = Hook { intake, memory: Arc::new(Semaphore::new(UNITS as usize)), said: Arc::default() };
    Router::new().route("/webhook/alertmanager", post(receive)).with_state(hook)
}

async fn no_rules() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "No rule is configured: see [[automation.rules]] in config/firedrill.example.toml.\n")
}

async fn receive(State(hook): State<Hook>, request: Request) -> Response {
    let begun = Instant::now();
    let answer = take(&hook, request).await;
    let put_off = answer.status() == StatusCode::SERVICE_UNAVAILABLE;
    hook.intake.count(|counts| {
        counts.took(begun.elapsed().as_secs_f64());
        counts.put_off += u64::from(put_off);
    });
    answer
}

async fn take(hook: &Hook, request: Request) -> Response {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MOST_BYTES) {
        return too_large(hook, request.into_body()).await;
    }
    // What doesn't say its length may have any.
    let units = u32::try_from(announced.unwrap_or(MOST_BYTES).div_ceil(UNIT).max(1)).unwrap_or(UNITS);
    let Ok(_memory) = hook.memory.try_acquire_many(units) else {
        return later("too many notifications are being read");
    };
    let body = match body(hook, request.into_body()).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let (notification, malformed) = match alertmanager::parse(&body) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Alertmanager doesn't send it again, and says no more than the status in its log.
            tracing::warn!("a notification was refused: {error}");
            hook.intake.count(|counts| counts.malformed += 1);
            return refused(StatusCode::BAD_REQUEST, &error.to_string());
        }
    };
    drop(body);
    if let Some(first) = malformed.first() {
        tracing::warn!(
            receiver = &*notification.receiver,
            malformed = malformed.len(),
            "alerts were left out: {first}"
        );
    }
    if notification.truncated > 0 {
        tracing::warn!(
            receiver = &*notification.receiver,
            truncated = notification.truncated,
            "Alertmanager left out alerts: raise max_alerts in its webhook_configs"
        );
    }
    if notification.alerts.is_empty() && !malformed.is_empty() {
        hook.intake.count(|counts| counts.malformed += malformed.len() as u64);
        return refused(StatusCode::BAD_REQUEST, &malformed[0].to_string());
    }
    let mut received = [0; 2];
    for alert in &notification.alerts {
        received[usize::from(alert.status == Status::Resolved)] += 1;
    }
    let (receiver, truncated) = (notification.receiver, notification.truncated);
    let mut alerts: Vec<Received> =
        notification.alerts.into_iter().map(|alert| Received { receiver: receiver.clone(), alert }).collect();
    alerts.sort_by_key(|received| order(received.alert.event()));
    if !alerts.is_empty()
        && let Err(error) = hook.intake.keep(alerts).await
    {
        return not_kept(hook, &error);
    }
    hook.intake.count(|counts| {
        counts.malformed += malformed.len() as u64;
        counts.truncated = counts.truncated.saturating_add(truncated);
        counts.received.iter_mut().zip(received).for_each(|(count, more)| *count += more);
    });
    (StatusCode::OK, "kept\n").into_response()
}

async fn body(hook: &Hook, mut body: Body) -> Result<Bytes, Response> {
    match timeout(BODY_TIMEOUT, Limited::new(&mut body, MOST_BYTES).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(hook, body).await),
        Ok(Err(_)) => Err(refused(StatusCode::BAD_REQUEST, "the body ended early")),
        Err(_) => Err(later("the body did not come in time")),
    }
}

/// Says so after some more of it was read: a sender that is cut off while it writes sees a broken connection instead of
/// the answer, and would try again without end.
async fn too_large(hook: &Hook, mut body: Body) -> Response {
    tracing::warn!("a notification of more than 8 MiB was refused");
    hook.intake.count(|counts| counts.malformed += 1);
    let mut left = MOST_DISCARDED;
    let discard = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // Whether it ended or not, the answer is the same.
    let _ = timeout(BODY_TIMEOUT, discard).await;
    let text = "the notification has more than 8 MiB; set max_alerts in Alertmanager's webhook_configs";
    refused(StatusCode::PAYLOAD_TOO_LARGE, text)
}

fn not_kept(hook: &Hook, error: &NotKept) -> Response {
    if let NotKept::Store(error) = error {
        let mut said = hook.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
            tracing::warn!("alerts could not be kept: {error}");
            *said = Some(Instant::now());
        }
    }
    later(match error {
        NotKept::Busy => "too many notifications wait already",
        NotKept::Slow => "the store did not answer in time",
        NotKept::Store(_) => "the store can't keep them now; the daemon's log says why",
    })
}

fn later(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], format!("try again: {why}\n"))
        .into_response()
}

fn refused(status: StatusCode, why: &str) -> Response {
    // The rest of a body that isn't read would be taken for the next request.
    (status, [(header::CONNECTION, "close")], format!("{why}\n")).into_response()
}
