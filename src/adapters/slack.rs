//! Slack, and what takes its incoming webhooks: Mattermost, Rocket.Chat, Discord's `/slack`.

use futures_util::future::BoxFuture;
use reqwest::Client;
use serde_json::{Value, json};
use std::time::Duration;

use super::web_client;
use crate::domain::html::escaped_for_chat as escaped;
use crate::domain::notice::digest::cut;
use crate::domain::notice::{Message, Phase, Severity};
use crate::domain::secret::Secret;
use crate::engine::ports::notices::{Messenger, Sent};

/// Characters of text in a message. Slack takes 40 000, and cuts what looks long at 4000.
const LONGEST_TEXT: usize = 3_000;

/// Slack takes about one message per second.
const PAUSE: Duration = Duration::from_secs(1);

/// An incoming webhook.
#[derive(Debug)]
pub struct Slack {
    client: Client,
    url: Secret,
}

impl Slack {
    /// By its URL.
    pub fn new(url: Secret) -> Result<Self, String> {
        Ok(Self { client: web_client::client()?, url })
    }

    async fn deliver(&self, message: &Message) -> Sent {
        let request = self.client.post(self.url.expose()).json(&payload(message));
        match web_client::ask(request, &self.url).await {
            Ok(reply) => web_client::outcome(&reply),
            Err(failed) => failed,
        }
    }
}

fn payload(message: &Message) -> Value {
    let notice = &message.notice;
    let color = match (notice.phase, notice.severity) {
        (Phase::Recovered, _) => "good",
        (_, Severity::Critical) => "danger",
        (_, Severity::Warning) => "warning",
        (_, Severity::Info) => "#439fe0",
    };
    let mut attachment = json!({
        "color": color,
        "fallback": escaped(&cut(&message.headline(), 150)),
        "text": escaped(&cut(&notice.body, LONGEST_TEXT)),
        "ts": notice.at.as_second(),
    });
    if let Some(link) = &notice.link {
        attachment["title"] = "More".into();
        attachment["title_link"] = (&**link).into();
    }
    json!({ "text": escaped(&cut(&message.headline(), LONGEST_TEXT)), "attachments": [attachment] })
}

impl Messenger for Slack {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Sent> {
        Box::pin(self.deliver(message))
    }

    fn pause(&self) -> Duration {
        PAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notice::Notice;
    use crate::domain::notice::dedup::Why;
    use crate::domain::notice::tests::notice;

    #[test]
    fn hostile_text_is_text() {
        let notice =
            Notice { title: "<!channel> & <https://evil|x>".into(), body: "é".repeat(9_000).into(), ..notice("a") };
        let payload = payload(&Message { notice, why: Why::First, reply_to: None });
        assert_eq!(payload["text"], "WARNING: &lt;!channel&gt; &amp; &lt;https://evil|x&gt;");
        assert_eq!(payload["attachments"][0]["text"].as_str().unwrap().chars().count(), LONGEST_TEXT);
    }
}
