//! Takes presses of Approve and Deny, by long polling.
//!
//! Telegram repeats a press that was not confirmed by a higher offset: after a restart one may come twice. The first ruling
//! on an action counts, so that does nothing.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Telegram, seal};
use crate::domain::automation::record::{Ruled, Ruling};
use crate::domain::automation::telling::question;
use crate::engine::ports::Clock;
use crate::engine::ports::automation::ActionStore;
use crate::engine::ports::notices::Sent;

/// The server answers after this at the latest.
const POLL: Duration = Duration::from_secs(50);

/// A poll that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause after an error; doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(2);

/// Another process that polls with the same token is not helped by haste.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Who may rule, and where rulings go.
pub struct Approvals {
    /// The chat with its bot.
    pub telegram: Arc<Telegram>,
    /// Numbers of the users who may rule.
    pub allowed_users: Vec<i64>,
    /// Takes the rulings.
    pub actions: Arc<dyn ActionStore>,
    /// When they were made.
    pub clock: Arc<dyn Clock>,
}

#[derive(Debug, Deserialize)]
struct Update {
    callback_query: Option<Press>,
}

#[derive(Debug, Deserialize)]
struct Press {
    id: String,
    from: User,
    message: Option<Value>,
    data: Option<String>,
}

#[derive(Debug, Deserialize)]
struct User {
    id: i64,
}

impl Approvals {
    /// Polls for ever.
    pub async fn run(self) {
        let (mut offset, mut pause, mut told) = (0, PAUSE, false);
        loop {
            match self.poll(offset).await {
                Ok(updates) => {
                    (pause, told) = (PAUSE, false);
                    for update in updates {
                        // One that isn't understood must not come again for ever.
                        if let Some(id) = update["update_id"].as_i64() {
                            offset = offset.max(id + 1);
                        }
                        if let Ok(Update { callback_query: Some(press) }) = serde_json::from_value(update) {
                            self.rule(press).await;
                        }
                    }
                }
                Err(why) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!("approvals can't be asked of Telegram, it is tried again: {why}");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn poll(&self, offset: i64) -> Result<Vec<Value>, Arc<str>> {
        let body = json!({ "offset": offset, "timeout": POLL.as_secs(), "allowed_updates": ["callback_query"] });
        let request = self.telegram.method("getUpdates").timeout(PATIENCE).json(&body);
        match self.telegram.call(request).await {
            Ok(Value::Array(updates)) => Ok(updates),
            Ok(_) => Err("not a list of updates".into()),
            Err(refused) => Err(Sent::from(refused).why()),
        }
    }

    async fn rule(&self, press: Press) {
        let Some((approve, action, sealed)) = press.data.as_deref().and_then(pressed) else { return };
        let chat = press.message.as_ref().map(|message| message["chat"].clone()).unwrap_or_default();
        if !self.is_ours(&chat) || !self.allowed_users.contains(&press.from.id) {
            tracing::warn!(user = press.from.id, action, "somebody who may not rule on actions tried to");
            return self.answer(&press.id, "You may not rule on this.").await;
        }
        match self.actions.action(action).await {
            // A button stays in the chat for ever, and a store may be put back or lost.
            Ok(Some(record)) if sealed != Some(&*seal(&question(&record.action))) => {
                tracing::warn!(action, "a button was pressed that was made for another action of this number");
                return self.answer(&press.id, "This was asked of another action: look at /actions.").await;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(action, "a ruling could not be taken: {error}");
                return self.answer(&press.id, "The store can't be read now; try again.").await;
            }
        }
        let by = format!("telegram:{}", press.from.id);
        let ruling = Ruling { action, approve, by: by.clone().into(), at: self.clock.now() };
        let said = match self.actions.rule(&ruling).await {
            Ok(Ruled::Taken(state)) => format!("Action {action} is {} by you.", state.as_str()),
            Ok(Ruled::TooLate(state)) => format!("Too late: action {action} is {} already.", state.as_str()),
            Ok(Ruled::Unknown) => format!("There is no action {action}."),
            Err(error) => {
                tracing::error!(action, "a ruling could not be taken: {error}");
                return self.answer(&press.id, "The store can't be written now; try again.").await;
            }
        };
        tracing::info!(action, by, approve, "{said}");
        self.answer(&press.id, &said).await;
        self.remove_buttons(&press).await;
    }

    /// The configured chat, by number or by name.
    fn is_ours(&self, chat: &Value) -> bool {
        match self.telegram.chat() {
            Value::String(name) => chat["username"].as_str().is_some_and(|it| name.trim_start_matches('@') == it),
            number => number == chat["id"],
        }
    }

    async fn answer(&self, press: &str, text: &str) {
        let body = json!({ "callback_query_id": press, "text": text });
        if self.telegram.call(self.telegram.method("answerCallbackQuery").json(&body)).await.is_err() {
            tracing::debug!("a press could not be answered");
        }
    }

    async fn remove_buttons(&self, press: &Press) {
        let Some(message) = &press.message else { return };
        let body = json!({
            "chat_id": message["chat"]["id"],
            "message_id": message["message_id"],
            "reply_markup": { "inline_keyboard": [] },
        });
        // Buttons that stay say "too late" when pressed.
        if self.telegram.call(self.telegram.method("editMessageReplyMarkup").json(&body)).await.is_err() {
            tracing::debug!("the buttons of a message could not be removed");
        }
    }
}

/// What was pressed: `fd:a:ID:SEAL` or `fd:d:ID:SEAL`. Older buttons have no seal.
fn pressed(data: &str) -> Option<(bool, i64, Option<&str>)> {
    let (word, rest) = data.strip_prefix("fd:")?.split_once(':')?;
    let (id, sealed) = rest.split_once(':').map_or((rest, None), |(id, sealed)| (id, Some(sealed)));
    let approve = match word {
        "a" => true,
        "d" => false,
        _ => return None,
    };
    Some((approve, id.parse().ok()?, sealed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presses_are_read_strictly() {
        assert_eq!(pressed("fd:a:17:0a"), Some((true, 17, Some("0a"))));
        assert_eq!(pressed("fd:d:17"), Some((false, 17, None)));
        for other in ["", "fd:x:1", "fd:a:", "fd:a::2", "fd:a:x", "other:a:1"] {
            assert_eq!(pressed(other), None, "{other}");
        }
    }
}
