//! Telegram's Bot API. Facts: core.telegram.org/bots/api.
//!
//! The token is part of every URL: no error here carries one.

pub mod approvals;
mod markup;
mod split;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use self::markup::Own;
use self::split::parts;
use super::web_client;
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
    /// Whether it was said that the topic takes nothing.
    topic_told: AtomicBool,
    /// A long text of which only the beginning was taken.
    begun: Mutex<Option<Begun>>,
}

/// How far a text in several messages came, so that a new try goes on there.
struct Begun {
    text: String,
    parts: usize,
    first_id: Option<i64>,
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
    /// The topic is closed or isn't there.
    Topic(Arc<str>),
    /// The group has another number now.
    Moved(i64),
}

impl From<Refused> for Sent {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Other(sent) => sent,
            Refused::Entities => Self::Unfit { why: "Telegram refuses how the text looks".into() },
            Refused::Topic(why) => Self::Refused { why },
            Refused::Moved(chat) => Self::Refused { why: format!("the group has a new number: {chat}").into() },
        }
    }
}

/// Refusals of status 400 that are about the chat, not about the message.
const ABOUT_THE_CHAT: &[&str] = &[
    "chat not found",
    "chat_write_forbidden",
    "chat_restricted",
    "chat_admin_required",
    "channel_private",
    "deactivated",
    "have no rights",
    "not enough rights",
    "need administrator rights",
    "peer_id_invalid",
    "user not found",
    "was blocked",
    "was kicked",
];

/// Refusals of status 400 that are about the topic.
const ABOUT_THE_TOPIC: &[&str] = &["topic_closed", "topic_deleted", "topic_id_invalid", "message thread not found"];

/// What a refusal in Telegram's own words means.
fn refused(status: StatusCode, description: &str, after: Option<Duration>) -> Refused {
    let said = description.to_lowercase();
    let why: Arc<str> = format!("{}: {}", status.as_u16(), web_client::shown(description)).into();
    let one_of = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match status.as_u16() {
        400 if said.contains("can't parse entities") => Refused::Entities,
        400 if one_of(ABOUT_THE_TOPIC) => Refused::Topic(why),
        400 if one_of(ABOUT_THE_CHAT) => Refused::Other(Sent::Refused { why }),
        // Another process polls with the same token.
        409 => Refused::Other(Sent::RetryLater { after, why, unsure: false }),
        _ => Refused::Other(web_client::judged(status, after, why)),
    }
}

impl Telegram {
    /// Checks nothing yet.
    pub fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self {
            client: web_client::client()?,
            settings,
            moved_to: RwLock::new(None),
            topic_told: AtomicBool::new(false),
            begun: Mutex::default(),
        })
    }

    fn method(&self, name: &str) -> RequestBuilder {
        let base = self.settings.api_url.trim_end_matches('/');
        self.client.post(format!("{base}/bot{}/{name}", self.settings.token.expose()))
    }

    async fn call(&self, request: RequestBuilder) -> Result<Value, Refused> {
        let reply = web_client::ask(request, &[&self.settings.token]).await.map_err(Refused::Other)?;
        let answer: Option<Answer> = serde_json::from_str(&reply.body).ok();
        let Some(answer) = answer else {
            // A proxy in between, or no Bot API at all.
            return Err(Refused::Other(match web_client::outcome(&reply) {
                Sent::Ok { said, .. } => Sent::Refused { why: format!("not an answer of Telegram: {said}").into() },
                other => other,
            }));
        };
        if answer.ok {
            return Ok(answer.result);
        }
        if let Some(chat) = answer.parameters.migrate_to_chat_id {
            return Err(Refused::Moved(chat));
        }
        let after = answer.parameters.retry_after.map(Duration::from_secs).or(reply.retry_after);
        Err(refused(reply.status, &answer.description, after))
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

    /// Sends one part; without HTML when that is refused, to the new number when the group has moved, and to the chat
    /// itself when the topic takes nothing.
    async fn send_part(&self, text: &str, own: Own<'_>, extra: &Value) -> Result<Value, Sent> {
        let (mut plain, mut moved, mut thread) = (false, false, self.settings.thread);
        loop {
            let mut body = json!({ "chat_id": self.chat(), "link_preview_options": { "is_disabled": true } });
            if plain {
                let (text, entities) = markup::plain(text, own);
                body["text"] = text.into();
                body["entities"] = entities;
            } else {
                body["text"] = markup::html(text, own).into();
                body["parse_mode"] = "HTML".into();
            }
            if let Some(thread) = thread {
                body["message_thread_id"] = thread.into();
            }
            if let (Some(body), Some(extra)) = (body.as_object_mut(), extra.as_object()) {
                body.extend(extra.clone());
            }
            match self.call(self.method("sendMessage").json(&body)).await {
                Ok(result) => return Ok(result),
                Err(Refused::Entities) if !plain => plain = true,
                Err(Refused::Topic(why)) if thread.is_some() => self.without_topic(&mut thread, &why),
                Err(Refused::Moved(chat)) if !moved => {
                    self.moved(chat);
                    moved = true;
                }
                Err(refused) => return Err(refused.into()),
            }
        }
    }

    /// Better in the wrong place than nowhere.
    fn without_topic(&self, thread: &mut Option<i64>, why: &str) {
        if !self.topic_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(thread_id = *thread, "the topic takes nothing, so it is sent to the chat itself: {why}");
        }
        *thread = None;
    }

    async fn deliver(&self, message: &Message) -> Sent {
        let text = text(message);
        let texts = parts(&text, LONGEST_TEXT, MOST_PARTS);
        let mark = message.mark();
        let before = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take().filter(|it| it.text == text);
        let (taken, mut first_id) = before.map_or((0, None), |it| (it.parts, it.first_id));
        for (index, part) in texts.iter().enumerate().skip(taken) {
            let last = index + 1 == texts.len();
            let own = Own { mark: Some(&*mark).filter(|_| index == 0), link: message.link().filter(|_| last) };
            let mut extra = json!({});
            if let Some(reply) =
                message.reply_to.as_deref().and_then(|id| id.parse::<i64>().ok()).filter(|_| index == 0)
            {
                extra["reply_parameters"] = json!({ "message_id": reply, "allow_sending_without_reply": true });
            }
            if let Some(proposal) = message.notice.proposal.filter(|_| self.settings.approvals && last) {
                extra["reply_markup"] = keyboard(proposal, &message.notice.title);
            }
            match self.send_part(part, own, &extra).await {
                Ok(result) => first_id = first_id.or_else(|| result["message_id"].as_i64()),
                Err(failed) => {
                    let begun = Begun { text, parts: index, first_id };
                    *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun).filter(|_| index > 0);
                    return failed;
                }
            }
        }
        let id = first_id.map(|id| id.to_string());
        let said = id.as_ref().map_or_else(|| "taken".to_owned(), |id| format!("taken as message {id}"));
        Sent::Ok { remote_id: id.map(Into::into), said: said.into(), note: None }
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
            Ok(_) => Sent::Ok { remote_id: None, said: "taken".into(), note: None },
            Err(refused) => refused.into(),
        }
    }
}

/// Approve and Deny below a proposal.
fn keyboard(proposal: i64, question: &str) -> Value {
    let seal = seal(question);
    json!({ "inline_keyboard": [[
        { "text": "Approve", "callback_data": format!("fd:a:{proposal}:{seal}") },
        { "text": "Deny", "callback_data": format!("fd:d:{proposal}:{seal}") },
    ]] })
}

/// Binds a button to the words above it: in another store the number may be that of another action.
fn seal(question: &str) -> String {
    blake3::hash(question.as_bytes()).to_hex()[..16].to_owned()
}

fn text(message: &Message) -> String {
    let mut text = message.headline();
    for part in [message.body().as_str(), message.link().unwrap_or_default()] {
        if !part.is_empty() {
            text.push('\n');
            text.push_str(part);
        }
    }
    text
}

impl Messenger for Telegram {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Sent> {
        Box::pin(self.deliver(message))
    }

    fn check(&self) -> BoxFuture<'_, Option<Sent>> {
        Box::pin(async {
            let asked = match self.call(self.method("getMe")).await {
                Ok(_) => self.call(self.method("getChat").json(&json!({ "chat_id": self.chat() }))).await,
                failed => failed,
            };
            Some(match asked {
                Ok(_) => Sent::Ok { remote_id: None, said: "the chat is there".into(), note: None },
                // It is followed when something is sent.
                Err(Refused::Moved(chat)) => {
                    self.moved(chat);
                    Sent::Ok { remote_id: None, said: "the chat has moved".into(), note: None }
                }
                Err(refused) => refused.into(),
            })
        })
    }

    fn pause(&self) -> Duration {
        PAUSE
    }
}
