//! A webhook of one's own: JSON that a program, or the workflow of a Teams channel, can read; signed.
//!
//! `X-Firedrill-Signature: v1=HEX` is HMAC-SHA256 of `TIMESTAMP.BODY` with the secret, `X-Firedrill-Timestamp` that Unix
//! time. A receiver compares in constant time and refuses old times.

use std::fmt::Write as _;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hmac::{Hmac, Mac as _};
use reqwest::Client;
use serde_json::{Value, json};
use sha2::Sha256;

use super::web_client;
use crate::domain::notice::digest::cut;
use crate::domain::notice::{Message, Phase, Urgency};
use crate::domain::secret::Secret;
use crate::engine::ports::Clock;
use crate::engine::ports::notices::{Messenger, Sent};

/// A message of Teams has 28 KiB; the text stands in it twice.
const LONGEST_TEXT: usize = 3_000;

/// So many lines of a text are lines of the card; a digest has no more.
const MOST_LINES: usize = 50;

/// A webhook.
pub struct Webhook {
    client: Client,
    url: Secret,
    secret: Option<Secret>,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    /// By its URL; signs where a secret is given.
    pub fn new(url: Secret, secret: Option<Secret>, clock: Arc<dyn Clock>) -> Result<Self, String> {
        Ok(Self { client: web_client::client()?, url, secret, clock })
    }

    async fn deliver(&self, message: &Message) -> Sent {
        let body = payload(message).to_string();
        let mut request = self.client.post(self.url.expose()).header("content-type", "application/json");
        if let Some(secret) = &self.secret {
            let time = self.clock.now().as_second();
            request = request
                .header("x-firedrill-timestamp", time)
                .header("x-firedrill-signature", signature(secret, time, &body));
        }
        let secrets: Vec<&Secret> = std::iter::once(&self.url).chain(&self.secret).collect();
        match web_client::ask(request.body(body), &secrets).await {
            Ok(reply) => web_client::outcome(&reply),
            Err(failed) => failed,
        }
    }
}

fn signature(secret: &Secret, time: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{time}.{body}").as_bytes());
    let mut text = String::from("v1=");
    for byte in mac.finalize().into_bytes() {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn payload(message: &Message) -> Value {
    let notice = &message.notice;
    let (headline, text) = (message.headline(), cut(&message.body(), LONGEST_TEXT));
    let color = match (notice.phase, notice.severity) {
        (Phase::Recovered, _) => "good",
        (_, Urgency::Critical) => "attention",
        (_, Urgency::Warning) => "warning",
        (_, Urgency::Info) => "default",
    };
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [plain(&headline, json!({ "weight": "bolder", "color": color }))],
    });
    if let Some(body) = card["body"].as_array_mut() {
        // Some clients show no end of line within one run.
        let (lines, rest) = split(&text);
        body.extend(lines.into_iter().map(|line| plain(line, json!({}))));
        body.extend((!rest.is_empty()).then(|| plain(rest, json!({}))));
    }
    if let Some(link) = message.link() {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "More", "url": link }]);
    }
    json!({
        "version": "1",
        "type": "message",
        "title": headline,
        "text": text,
        "severity": notice.severity.as_str(),
        "phase": notice.phase.as_str(),
        "topic": notice.topic.as_str(),
        "reason": message.why.as_str(),
        "source": notice.source.as_ref().map(ToString::to_string),
        "item": notice.item.as_ref().map(ToString::to_string),
        "environment": notice.environment.as_deref(),
        "key": &*notice.key,
        "at": notice.at.to_string(),
        "link": message.link(),
        "proposal": notice.proposal,
        "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive", "content": card }],
    })
}

/// A text of a card. Unlike a `TextBlock` a `TextRun` knows no markup: no link, no list, nobody mentioned.
fn plain(text: &str, look: Value) -> Value {
    let mut run = json!({ "type": "TextRun", "text": text });
    if let (Some(run), Value::Object(look)) = (run.as_object_mut(), look) {
        run.extend(look);
    }
    json!({ "type": "RichTextBlock", "inlines": [run] })
}

/// The first lines that aren't empty, and what is left of the text.
fn split(text: &str) -> (Vec<&str>, &str) {
    let mut rest = text;
    let mut lines = Vec::new();
    while lines.len() < MOST_LINES && !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        lines.extend((!line.is_empty()).then_some(line));
        rest = after;
    }
    (lines, rest)
}

impl Messenger for Webhook {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Sent> {
        Box::pin(self.deliver(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notice::Notice;
    use crate::domain::notice::dedup::Why;
    use crate::domain::notice::tests::notice;

    #[test]
    fn hostile_text_is_text_in_a_card() {
        let notice = Notice {
            title: "<at>all</at> [x](https://evil)".into(),
            body: "_a_ **b**\n\n- c\u{202e}".into(),
            link: Some("javascript:alert(1)".into()),
            ..notice("a")
        };
        let payload = payload(&Message { notice, why: Why::First, reply_to: None, parts: Vec::new() });
        let card = &payload["attachments"][0]["content"];
        let blocks = card["body"].as_array().unwrap();
        // What a TextRun holds is never read as markup.
        assert!(blocks.iter().all(|it| it["type"] == "RichTextBlock" && it["inlines"][0]["type"] == "TextRun"));
        let texts: Vec<&str> = blocks.iter().map(|it| it["inlines"][0]["text"].as_str().unwrap()).collect();
        assert_eq!(texts, ["WARNING: <at>all</at> [x](https://evil)", "_a_ **b**", "- c\\u{202e}"]);
        assert_eq!(blocks[0]["inlines"][0]["color"], "warning");
        assert!(card.get("actions").is_none() && payload["link"].is_null());
    }

    #[test]
    fn a_long_text_is_whole() {
        let text = "a\n".repeat(60);
        let (lines, rest) = split(&text);
        assert_eq!((lines.len(), rest.lines().count()), (50, 10));
        assert_eq!(split(""), (vec![], ""));
    }

    #[test]
    fn the_signature_is_one_that_others_compute_too() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let found = signature(&Secret::from("key".to_owned()), 1_700_000_000, "{\"a\":1}");
        assert_eq!(found, "v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03");
    }
}
