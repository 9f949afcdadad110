//! Slack, and what takes its incoming webhooks: Mattermost, Rocket.Chat, Discord's `/slack`.

use futures_util::future::BoxFuture;
use reqwest::Client;
use serde_json::{Value, json};
use std::time::Duration;

use super::web_client;
use crate::domain::html::escaped_for_chat as escaped;
use crate::domain::notice::digest::cut;
use crate::domain::notice::{Message, Phase, Urgency};
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
        match web_client::ask(request, &[&self.url]).await {
            Ok(reply) => web_client::outcome(&reply),
            Err(failed) => failed,
        }
    }
}

fn payload(message: &Message) -> Value {
    let notice = &message.notice;
    let color = match (notice.phase, notice.severity) {
        (Phase::Recovered, _) => "good",
        (_, Urgency::Critical) => "danger",
        (_, Urgency::Warning) => "warning",
        (_, Urgency::Info) => "#439fe0",
    };
    let body = cut(&message.body(), LONGEST_TEXT);
    let mut attachment = json!({
        "color": color,
        "fallback": escaped(&cut(&message.headline(), 150)),
        "text": if body.is_empty() { body } else { format!("```\n{}\n```", inert(&body)) },
        "ts": notice.at.as_second(),
    });
    if let Some(link) = message.link() {
        attachment["title"] = "More".into();
        attachment["title_link"] = link.into();
    }
    let title = cut(&message.title(), LONGEST_TEXT);
    json!({ "text": format!("{}: `{}`", message.mark(), inert(&title)), "attachments": [attachment] })
}

/// For within backticks: there nobody is mentioned, nothing is a link, and no character is markup, in Slack as in
/// Mattermost and Rocket.Chat, which know other markup than Slack. So it must not end there.
fn inert(text: &str) -> String {
    escaped(&text.replace('`', "'"))
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
        let of = |title: &str, body: &str| {
            let notice = Notice { title: title.into(), body: body.into(), ..notice("a") };
            payload(&Message { notice, why: Why::First, reply_to: None, parts: Vec::new() })
        };
        let payload = of("<!channel> & <https://evil|x>", &"é".repeat(9_000));
        assert_eq!(payload["text"], "WARNING: `&lt;!channel&gt; &amp; &lt;https://evil|x&gt;`");
        assert_eq!(payload["attachments"][0]["text"].as_str().unwrap().chars().count(), LONGEST_TEXT + 8);
        // No backtick of theirs ends what holds them, so none of it is read as markup.
        let payload = of("`@channel [x](https://evil) _a_ *b* ~c~", "@here ``` [y](https://evil)\n# z\u{202e}");
        assert_eq!(payload["text"], "WARNING: `'@channel [x](https://evil) _a_ *b* ~c~`");
        assert_eq!(payload["attachments"][0]["text"], "```\n@here ''' [y](https://evil)\n# z\\u{202e}\n```");
        assert_eq!(of("a", "")["attachments"][0]["text"], "");
    }
}
