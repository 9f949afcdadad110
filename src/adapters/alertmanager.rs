//! Alertmanager's API, version 2: silences.
//!
//! Members of a cluster tell each other of silences, so one that takes it is enough. A silence names its action in the
//! comment: after a crash it is found instead of made twice.

use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use serde::{Deserialize, Serialize};

use crate::domain::automation::action::{Action, silence};
use crate::domain::automation::alert::Labels;
use crate::domain::automation::record::Record;
use crate::domain::printable;
use crate::domain::secret::Secret;
use crate::engine::ports::ledger::{Effect, EffectFailure, Outcome};

/// For a connection, and for a whole call.
const LIMITS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15));

/// A longer list of silences is not read.
const MOST_BYTES: usize = 16 << 20;

/// Makes silences.
#[derive(Debug, Clone)]
pub struct Alertmanager {
    client: Client,
    members: Vec<String>,
    token: Option<String>,
}

#[derive(Serialize)]
struct Silence<'a> {
    matchers: Vec<Matcher<'a>>,
    #[serde(rename = "startsAt")]
    starts_at: Timestamp,
    #[serde(rename = "endsAt")]
    ends_at: Timestamp,
    #[serde(rename = "createdBy")]
    created_by: &'static str,
    comment: &'a str,
}

#[derive(Serialize)]
struct Matcher<'a> {
    name: &'a str,
    value: &'a str,
    #[serde(rename = "isRegex")]
    is_regex: bool,
    #[serde(rename = "isEqual")]
    is_equal: bool,
}

#[derive(Deserialize)]
struct Made {
    #[serde(rename = "silenceID")]
    id: String,
}

#[derive(Deserialize)]
struct Known {
    id: String,
    comment: String,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    state: String,
}

impl Alertmanager {
    /// The members of one cluster by their base URLs, with a bearer token if they want one.
    pub fn new(members: Vec<String>, token: Option<String>) -> anyhow::Result<Self> {
        let client = Client::builder()
            .connect_timeout(LIMITS.0)
            .timeout(LIMITS.1)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client, members, token })
    }

    fn call(&self, method: reqwest::Method, member: &str, path: &str) -> reqwest::RequestBuilder {
        let call = self.client.request(method, format!("{}/api/v2/{path}", member.trim_end_matches('/')));
        match &self.token {
            Some(token) => call.bearer_auth(token),
            None => call,
        }
    }

    /// An answer may quote what it was asked with: without the token, and without user and password of the URL.
    fn clean(&self, member: &str, text: &str) -> String {
        let login = member.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
        let login = login.map(|(login, _)| format!("http://{login}@"));
        let secrets = self.token.clone().into_iter().chain(login).map(Secret::from);
        printable::shown(&secrets.fold(text.to_owned(), |text, secret| secret.taken_out_of(&text)))
    }

    /// The silence that an earlier try made.
    async fn find(&self, member: &str, comment: &str) -> Result<Option<String>, String> {
        let text = answer(self.call(reqwest::Method::GET, member, "silences")).await?;
        let known: Vec<Known> =
            serde_json::from_slice(&text).map_err(|error| format!("no list of silences: {error}"))?;
        Ok(known.into_iter().find(|it| it.comment == comment && it.status.state != "expired").map(|it| it.id))
    }

    async fn silence(&self, member: &str, wanted: &Wanted<'_>) -> Result<String, String> {
        if let Some(id) = self.find(member, &wanted.comment).await? {
            return Ok(id);
        }
        let matcher = |(name, value)| Matcher { name, value, is_regex: false, is_equal: true };
        let silence = Silence {
            matchers: wanted.labels.iter().map(|(name, value)| matcher((&**name, &**value))).collect(),
            starts_at: wanted.from,
            ends_at: wanted.to,
            created_by: "firedrill",
            comment: &wanted.comment,
        };
        let text = answer(self.call(reqwest::Method::POST, member, "silences").json(&silence)).await?;
        let made: Made = serde_json::from_slice(&text).map_err(|error| format!("no silence in the answer: {error}"))?;
        Ok(made.id)
    }
}

/// A silence to be.
struct Wanted<'a> {
    labels: &'a Labels,
    from: Timestamp,
    to: Timestamp,
    comment: String,
}

/// The body of a good answer, or what went wrong.
async fn answer(call: reqwest::RequestBuilder) -> Result<Vec<u8>, String> {
    let mut answer = call.send().await.map_err(plain)?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(plain)? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(format!("its answer has more than {MOST_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    if !status.is_success() {
        let text: String = String::from_utf8_lossy(&body).chars().filter(|it| !it.is_control()).take(300).collect();
        return Err(format!("it answered {status}: {text}"));
    }
    Ok(body)
}

/// An error with its causes, without the URL: a password may be in it.
fn plain(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::from(error.without_url()))
}

impl Effect for Alertmanager {
    fn perform<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<Outcome, EffectFailure>> {
        Box::pin(async move {
            let Action::Silence(silence::Silence { matchers, duration }) = &record.action else {
                return Err(EffectFailure::new("a defect in firedrill: an action of another sort; please report it"));
            };
            let from = record.started.unwrap_or(record.created);
            let length = SignedDuration::from_secs(i64::try_from(*duration).unwrap_or(i64::MAX));
            let to = from.checked_add(length).unwrap_or(Timestamp::MAX);
            let comment = format!("firedrill rule {}, action {} of {}", record.rule, record.id, record.created);
            let wanted = Wanted { labels: matchers, from, to, comment };
            let mut problems = Vec::new();
            for member in &self.members {
                match self.silence(member, &wanted).await {
                    Ok(id) => {
                        let result = format!("silenced until {to} as {id}");
                        return Ok(Outcome { result, ..Outcome::default() });
                    }
                    Err(problem) => problems.push(format!("{}: {}", shown(member), self.clean(member, &problem))),
                }
            }
            Err(EffectFailure::new(format!("no Alertmanager took the silence: {}", problems.join("; "))))
        })
    }
}

/// A URL without user and password.
fn shown(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_quotes_of_a_login_is_not_shown() {
        // Another test may have installed it.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let member = "http://bob:tiger77@am.example.org:9093/am";
        let alertmanager = Alertmanager::new(vec![member.to_owned()], Some("bearer-token-123".to_owned())).unwrap();
        let said = "401: Bearer bearer-token-123, bob:tiger77, Basic Ym9iOnRpZ2VyNzc= at am.example.org\u{202e}";
        let left = "401: Bearer …, …, Basic …= at am.example.org\\u{202e}";
        assert_eq!(alertmanager.clean(member, said), left);
    }
}
