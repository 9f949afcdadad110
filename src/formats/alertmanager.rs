//! The webhook payload of Alertmanager, version 4.
//!
//! Source: prometheus/alertmanager `notify/webhook/webhook.go`, `template/template.go` (0.34). Fields that aren't known are
//! passed over: newer versions add some. A custom `payload` of Alertmanager 0.32 isn't this format and is refused.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::automation::alert::{Alert, Labels, Notification, Status};

/// Alerts of one payload.
const MOST_ALERTS: usize = 20_000;

/// Labels of an alert, and annotations.
const MOST_LABELS: usize = 256;

/// Bytes of all labels and annotations of an alert together.
const MOST_TEXT: usize = 256 << 10;

/// Bytes of the name of a group or receiver.
const MOST_NAME: usize = 64 << 10;

/// Why a payload is none. To send it again would not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not JSON, or not of this shape.
    #[error("this is no notification of Alertmanager: {0}")]
    Shape(String),
    /// Another version of the format.
    #[error(
        "version {0:?} of the payload is not known; firedrill reads version \"4\", as Alertmanager 0.6 and newer send it without `payload`"
    )]
    Version(String),
    /// More alerts than anybody sends.
    #[error("{0} alerts are more than {MOST_ALERTS}; set max_alerts in Alertmanager's webhook_configs")]
    TooMany(usize),
    /// A name that is too long.
    #[error("the {0} has more than {MOST_NAME} bytes")]
    TooLong(&'static str),
}

/// Why an alert of a good payload is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("alert {index}: {reason}")]
pub struct Malformed {
    /// Its place in the list, from 0.
    pub index: usize,
    /// What is wrong.
    pub reason: String,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    version: Option<serde_json::Value>,
    #[serde(default, rename = "groupKey")]
    group_key: String,
    #[serde(default, rename = "truncatedAlerts")]
    truncated: u64,
    #[serde(default)]
    receiver: String,
    alerts: Vec<Entry>,
}

/// Any version.
#[derive(Deserialize)]
struct Versioned {
    version: serde_json::Value,
}

#[derive(Deserialize)]
struct Entry {
    status: Status,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(default, rename = "endsAt")]
    ends_at: Option<serde_json::Value>,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
    #[serde(default)]
    fingerprint: String,
}

/// Reads a payload. Alerts that can't be kept are told apart; the others count.
pub fn parse(body: &[u8]) -> Result<(Notification, Vec<Malformed>), PayloadError> {
    let shape = |error: serde_json::Error| PayloadError::Shape(error.to_string());
    let payload: Payload = match serde_json::from_slice(body) {
        Ok(payload) => payload,
        Err(error) => {
            // What another version looks like isn't known; that it is another one is the better answer.
            return Err(match serde_json::from_slice::<Versioned>(body) {
                Ok(Versioned { version }) if version != "4" => PayloadError::Version(short(&version)),
                _ => shape(error),
            });
        }
    };
    match &payload.version {
        Some(version) if version == "4" => {}
        Some(version) => return Err(PayloadError::Version(short(version))),
        None => return Err(PayloadError::Shape("there is no version".to_owned())),
    }
    if payload.alerts.len() > MOST_ALERTS {
        return Err(PayloadError::TooMany(payload.alerts.len()));
    }
    for (what, text) in [("receiver", &payload.receiver), ("groupKey", &payload.group_key)] {
        if text.len() > MOST_NAME {
            return Err(PayloadError::TooLong(what));
        }
    }
    let mut malformed = Vec::new();
    let mut alerts = Vec::with_capacity(payload.alerts.len());
    for (index, entry) in payload.alerts.into_iter().enumerate() {
        match alert(entry) {
            Ok(alert) => alerts.push(alert),
            Err(reason) => malformed.push(Malformed { index, reason }),
        }
    }
    let notification = Notification {
        receiver: unquoted(&payload.receiver).into(),
        group_key: payload.group_key.into(),
        truncated: payload.truncated,
        alerts,
    };
    Ok((notification, malformed))
}

fn short(value: &serde_json::Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    text.chars().take(40).collect()
}

fn alert(entry: Entry) -> Result<Alert, String> {
    let fingerprint = entry.fingerprint;
    if !(1..=64).contains(&fingerprint.len()) || !fingerprint.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Err("its fingerprint isn't of hexadecimal digits".to_owned());
    }
    let starts_at: Timestamp = entry.starts_at.parse().map_err(|_| "its startsAt is no time of RFC 3339".to_owned())?;
    for (what, labels) in [("labels", &entry.labels), ("annotations", &entry.annotations)] {
        if labels.len() > MOST_LABELS {
            return Err(format!("it has {} {what}, and {MOST_LABELS} is the most", labels.len()));
        }
    }
    let text: usize = entry.labels.iter().chain(&entry.annotations).map(|(name, value)| name.len() + value.len()).sum();
    if text + entry.generator_url.len() > MOST_TEXT {
        return Err(format!("its labels and annotations have {text} bytes, and {MOST_TEXT} is the most"));
    }
    // What fires has none: year 1, or when it would be over if nobody told of it again.
    let ends_at = entry.ends_at.filter(|_| entry.status == Status::Resolved);
    let ends_at = ends_at.and_then(|end| end.as_str()?.parse().ok()).filter(|end| *end >= starts_at);
    Ok(Alert {
        status: entry.status,
        fingerprint: fingerprint.to_ascii_lowercase().into(),
        starts_at,
        ends_at,
        labels: without_zeros(entry.labels),
        annotations: without_zeros(entry.annotations),
        generator_url: entry.generator_url.replace('\0', "\u{fffd}").into(),
    })
}

/// No store keeps them, and no label of Prometheus has them.
fn without_zeros(labels: Labels) -> Labels {
    let clean = |text: Arc<str>| if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text };
    labels.into_iter().map(|(name, value)| (clean(name), clean(value))).collect()
}

/// Alertmanager quotes the receiver for regular expressions: `a\.b` is called `a.b`.
fn unquoted(receiver: &str) -> String {
    let mut name = String::with_capacity(receiver.len());
    let mut characters = receiver.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => name.extend(characters.next()),
            other => name.push(other),
        }
    }
    name.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests;
