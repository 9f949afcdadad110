//! Telegram's Bot API. Facts: core.telegram.org/bots/api.
//!
//! The token is part of every URL: no error here carries one.

pub mod approvals;
mod split;

use std::path::Path;
use std::sync::Arc;
use std::sync::RwLock;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use self::split::{parts, units};
use super::web_client;
use crate::domain::html::escaped_for_chat as escaped;
use crate::domain::notice::Message;
use crate::domain::notice::digest::cut;
use crate::domain::secret::Secret;
use crate::engine::ports::notices::{Messenger, Sent};

/// Longest text of a message, in UTF-16 units after its entities were read.
const LONGEST_TEXT: usize = 4_096;

/// A notice that needs more messages than this is cut.
const MOST_PARTS: usize = 4;

/// Longest caption of a photo.
const LONGEST_CAPTION: usize = 1_024;

/// About one message per second is taken per chat.
const PAUSE: Duration = Duration::from_millis(1_100);

/// Where messages go.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Server of the API, `https://api.telegram.org`.
    pub api_url: String,
    /// The bot's token.
    pub token: Secret,
    /// Number of the chat, or `@name` of a channel.
    pub chat: String,
    /// A topic within the chat.
    pub thread: Option<i64>,
    /// Whether somebody listens to buttons under what asks for approval.
    pub approvals: bool,
}

/// A chat.
pub struct Telegram {
    client: Client,
    settings: Settings,
    /// Groups get another number when they become supergroups.
    moved_to: RwLock<Option<String>>,
}

/// What every method answers.
#[derive(Debug, Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
}

/// How a method failed.
enum Refused {
    /// As the notifier is told.
    Other(Sent),
    /// The markup was not understood.
    Entities,
    /// The group has another number now.
    Moved(i64),
}

impl Telegram {
    /// Checks nothing yet.
    pub fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { client: web_client::client()?, settings, moved_to: RwLock::new(None) })
    }

    fn method(&self, name: &str) -> RequestBuilder {
        let base = self.settings.api_url.trim_end_matches('/');
        self.client.post(format!("{base}/bot{}/{name}", self.settings.token.expose()))
    }

    async fn call(&self, request: RequestBuilder) -> Result<Value, Refused> {
        let reply = web_client::ask(request, &self.settings.token).await.map_err(Refused::Other)?;
        let answer: Option<Answer> = serde_json::from_str(&reply.body).ok();
        let Some(answer) = answer else {
            // A proxy in between, or no Bot API at all: what a success says can't be known.
            return Err(Refused::Other(match web_client::outcome(&reply) {
                Sent::Ok { said, .. } => Sent::RetryLater {
                    after: None,
                    why: format!("not an answer of Telegram: {said}").into(),
                    unsure: true,
                },
                other => other,
            }));
        };
        if answer.ok {
            return Ok(answer.result);
        }
        if let Some(chat) = answer.parameters.migrate_to_chat_id {
            return Err(Refused::Moved(chat));
        }
        if reply.status.as_u16() == 400 && answer.description.contains("can't parse entities") {
            return Err(Refused::Entities);
        }
        let why: Arc<str> = format!("{}: {}", reply.status.as_u16(), web_client::shown(&answer.description)).into();
        let after = answer.parameters.retry_after.map(Duration::from_secs).or(reply.retry_after);
        let again = reply.status.is_server_error() || [409, 429].contains(&reply.status.as_u16());
        Err(Refused::Other(if again { Sent::RetryLater { after, why, unsure: false } } else { Sent::Drop { why } }))
    }

    fn chat(&self) -> Value {
        let moved = self.moved_to.read().map(|moved| moved.clone()).unwrap_or_default();
        let chat = moved.unwrap_or_else(|| self.settings.chat.clone());
        chat.parse::<i64>().map_or_else(|_| Value::from(chat), Value::from)
    }

    fn moved(&self, chat: i64) {
        tracing::warn!(chat, "the Telegram group has a new number; set it as chat_id");
        if let Ok(mut moved) = self.moved_to.write() {
            *moved = Some(chat.to_string());
        }
    }

    /// Sends one part; as plain text when the markup is refused, and to the new number when the group has moved.
    async fn send_part(&self, text: &str, first_line_bold: bool, extra: &Value) -> Result<Value, Sent> {
        let mut plain = false;
        let mut moved = false;
        loop {
            let mut body = json!({
                "chat_id": self.chat(),
                "text": if plain { text.to_owned() } else { markup(text, first_line_bold) },
                "link_preview_options": { "is_disabled": true },
            });
            if !plain {
                body["parse_mode"] = "HTML".into();
            }
            if let Some(thread) = self.settings.thread {
                body["message_thread_id"] = thread.into();
            }
            if let (Some(body), Some(extra)) = (body.as_object_mut(), extra.as_object()) {
                body.extend(extra.clone());
            }
            match self.call(self.method("sendMessage").json(&body)).await {
                Ok(result) => return Ok(result),
                Err(Refused::Entities) if !plain => plain = true,
                Err(Refused::Moved(chat)) if !moved => {
                    self.moved(chat);
                    moved = true;
                }
                Err(Refused::Other(sent)) => return Err(sent),
                Err(Refused::Entities | Refused::Moved(_)) => {
                    return Err(Sent::Drop { why: "Telegram refuses the text or the chat".into() });
                }
            }
        }
    }

    async fn deliver(&self, message: &Message) -> Sent {
        let texts = parts(&text(message), LONGEST_TEXT, MOST_PARTS);
        let mut first_id = None;
        for (index, part) in texts.iter().enumerate() {
            let mut extra = json!({});
            if let Some(reply) =
                message.reply_to.as_deref().and_then(|id| id.parse::<i64>().ok()).filter(|_| index == 0)
            {
                extra["reply_parameters"] = json!({ "message_id": reply, "allow_sending_without_reply": true });
            }
            if let Some(proposal) =
                message.notice.proposal.filter(|_| self.settings.approvals && index + 1 == texts.len())
            {
                extra["reply_markup"] = keyboard(proposal);
            }
            match self.send_part(part, index == 0, &extra).await {
                Ok(result) => first_id = first_id.or_else(|| result["message_id"].as_i64()),
                Err(failed) => return failed,
            }
        }
        let id = first_id.map(|id| id.to_string());
        let said = id.as_ref().map_or_else(|| "taken".to_owned(), |id| format!("taken as message {id}"));
        Sent::Ok { remote_id: id.map(Into::into), said: said.into() }
    }

    /// Sends a picture.
    pub async fn send_photo(&self, path: &Path, caption: &str) -> Sent {
        let content = match tokio::fs::read(path).await {
            Ok(content) => content,
            Err(error) => return Sent::Drop { why: format!("reading {}: {error}", path.display()).into() },
        };
        let name = path.file_name().map_or_else(|| "photo".to_owned(), |name| name.to_string_lossy().into_owned());
        let chat = self.chat();
        let chat = chat.as_str().map_or_else(|| chat.to_string(), str::to_owned);
        let mut form = reqwest::multipart::Form::new()
            .text("chat_id", chat)
            .text("caption", cut(caption, LONGEST_CAPTION / 2))
            .part("photo", reqwest::multipart::Part::bytes(content).file_name(name));
        if let Some(thread) = self.settings.thread {
            form = form.text("message_thread_id", thread.to_string());
        }
        match self.call(self.method("sendPhoto").multipart(form)).await {
            Ok(_) => Sent::Ok { remote_id: None, said: "taken".into() },
            Err(Refused::Other(sent)) => sent,
            Err(Refused::Entities) => Sent::Drop { why: "Telegram refuses the caption".into() },
            Err(Refused::Moved(chat)) => Sent::Drop { why: format!("the group has a new number: {chat}").into() },
        }
    }
}

/// Approve and Deny below a proposal.
fn keyboard(proposal: i64) -> Value {
    json!({ "inline_keyboard": [[
        { "text": "Approve", "callback_data": format!("fd:a:{proposal}") },
        { "text": "Deny", "callback_data": format!("fd:d:{proposal}") },
    ]] })
}

fn text(message: &Message) -> String {
    let mut text = message.headline().replace(['\r', '\n'], " ");
    for part in [&*message.notice.body, message.notice.link.as_deref().unwrap_or_default()] {
        if !part.is_empty() {
            text.push('\n');
            text.push_str(part);
        }
    }
    text
}

/// HTML of a part that was cut already, so that no entity is cut in two.
fn markup(text: &str, first_line_bold: bool) -> String {
    match text.split_once('\n') {
        Some((first, rest)) if first_line_bold => format!("<b>{}</b>\n{}", escaped(first), escaped(rest)),
        None if first_line_bold && units(text) > 0 => format!("<b>{}</b>", escaped(text)),
        _ => escaped(text),
    }
}

impl Messenger for Telegram {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Sent> {
        Box::pin(self.deliver(message))
    }

    fn pause(&self) -> Duration {
        PAUSE
    }
}
