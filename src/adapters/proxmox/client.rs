//! One question to the API, within limits of time and size.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::Value;

use super::recorded;
use crate::adapters::machine::trust::{Pinned, Trust};
use crate::domain::look::{ErrorKind, LookError};
use crate::domain::printable::printable;
use crate::domain::secret::Secret;

/// A node that doesn't take a connection in this time isn't there.
const CONNECT: Duration = Duration::from_secs(5);

/// A question with its whole answer takes no longer: Proxmox VE itself gives a slow storage 30 seconds.
const ANSWER: Duration = Duration::from_secs(45);

/// The volumes of a hundred thousand backups have some thirty MB, on one storage. In memory it is many times as much.
const LARGEST: usize = 32 << 20;

/// So much of an error is shown.
const SHOWN: usize = 300;

/// Where a cluster answers, and as whom it is asked.
pub struct Endpoint {
    /// `https://NODE:8006`; any node answers for all, and the next is asked where one doesn't.
    pub urls: Vec<reqwest::Url>,
    /// `USER@REALM!NAME`
    pub token_id: String,
    /// Its secret.
    pub token_secret: Secret,
    /// Which certificates are trusted.
    pub trust: Trust,
}

/// Who answers.
pub(super) enum Client {
    /// The nodes of a cluster.
    Http(Http),
    /// A file of answers.
    Recorded(PathBuf),
}

/// The nodes of a cluster.
pub(super) struct Http {
    client: reqwest::Client,
    pinned: Option<Arc<Pinned>>,
    urls: Vec<reqwest::Url>,
    authorization: HeaderValue,
}

/// What answers in one look.
pub(super) enum Answers<'a> {
    /// One node that did just now.
    Node(&'a Http, &'a reqwest::Url),
    /// What a file says.
    Recorded(BTreeMap<String, Value>),
}

impl Client {
    /// No answer is waited for longer than `limit`: who asks has given up by then. Connects nowhere yet.
    pub(super) fn new(endpoint: &Endpoint, limit: Duration) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        let (client, pinned) = endpoint.trust.client()?;
        let client = client
            .connect_timeout(CONNECT)
            .timeout(ANSWER.min(limit))
            .build()
            .context("the HTTP client can't be made")?;
        let text = format!("PVEAPIToken={}={}", endpoint.token_id, endpoint.token_secret.expose());
        let mut authorization = HeaderValue::from_str(&text).context("token_id or token_secret has odd characters")?;
        authorization.set_sensitive(true);
        Ok(Self::Http(Http { client, pinned, urls: endpoint.urls.clone(), authorization }))
    }

    /// Finds who answers: the first node that does, or what the file says, if it isn't older than `stale_after`.
    pub(super) async fn open(&self, stale_after: Duration, now: Timestamp) -> Result<Answers<'_>, LookError> {
        let http = match self {
            Self::Http(http) => http,
            Self::Recorded(path) => return recorded::read(path, stale_after, now).map(Answers::Recorded),
        };
        let mut first = None;
        for url in &http.urls {
            match http.get(url, "version").await {
                Ok(_) => return Ok(Answers::Node(http, url)),
                // Another node would say the same of a token.
                Err(error) if error.kind == ErrorKind::PermissionDenied => return Err(error),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| LookError::new(ErrorKind::Internal, "no node is configured")))
    }
}

impl Answers<'_> {
    /// What is under a path, such as `cluster/resources`.
    pub(super) async fn get(&self, path: &str) -> Result<Value, LookError> {
        match self {
            Self::Node(http, url) => http.get(url, path).await,
            Self::Recorded(all) => recorded::get(all, path),
        }
    }
}

impl Http {
    async fn get(&self, url: &reqwest::Url, path: &str) -> Result<Value, LookError> {
        let place = url.host_str().unwrap_or_default();
        let failed = |kind, what: &str| LookError::new(kind, format!("asking {place} for {}: {what}", shown(path)));
        let target = format!("{}api2/json/{path}", url.as_str());
        let answer = self.client.get(target).header(AUTHORIZATION, self.authorization.clone()).send().await;
        let mut answer = answer.map_err(|error| self.no_answer(&error)).map_err(|(kind, what)| failed(kind, &what))?;
        let status = answer.status().as_u16();
        // Older releases say why in the status line alone.
        let reason = answer.extensions().get::<hyper::ext::ReasonPhrase>();
        let reason = reason.map(|it| printable(it.as_bytes())).unwrap_or_default();
        let mut body = Vec::new();
        while let Some(chunk) =
            answer.chunk().await.map_err(|error| self.no_answer(&error)).map_err(|(kind, what)| failed(kind, &what))?
        {
            if body.len() + chunk.len() > LARGEST {
                return Err(failed(ErrorKind::Io, &format!("the answer has more than {} MiB", LARGEST >> 20)));
            }
            body.extend_from_slice(&chunk);
        }
        if status != 200 {
            let (kind, advice) = meaning(status);
            return Err(failed(kind, &format!("{status} {}{advice}", said(&body, &reason))));
        }
        let value: Value = serde_json::from_slice(&body)
            .map_err(|error| failed(ErrorKind::Io, &format!("an answer that can't be understood: {error}")))?;
        match value {
            Value::Object(mut object) if object.contains_key("data") => Ok(object.remove("data").unwrap_or_default()),
            _ => Err(failed(ErrorKind::Io, "an answer without data: is it Proxmox VE that answers there?")),
        }
    }

    fn no_answer(&self, error: &reqwest::Error) -> (ErrorKind, String) {
        if let Some(thumbprint) = self.pinned.as_ref().and_then(|it| it.refused()) {
            let text = format!(
                "its certificate isn't the one of the fingerprint; it shows {thumbprint}. If it was renewed on purpose, put that into the configuration"
            );
            return (ErrorKind::PermissionDenied, text);
        }
        if error.is_timeout() {
            return (ErrorKind::Timeout, "it doesn't answer in time".to_owned());
        }
        let mut root: &(dyn std::error::Error + 'static) = error;
        while let Some(cause) = root.source() {
            root = cause;
        }
        let text = root.to_string();
        let advice = if text.contains("UnknownIssuer") {
            "; its own authority is /etc/pve/pve-root-ca.pem: ca_file, or fingerprint"
        } else {
            ""
        };
        (ErrorKind::Io, format!("no answer: {text}{advice}"))
    }
}

/// What a status means, and what can be done about it.
fn meaning(status: u16) -> (ErrorKind, &'static str) {
    match status {
        401 => (ErrorKind::PermissionDenied, "; is the token right, and not expired?"),
        403 => (ErrorKind::PermissionDenied, "; the token needs the privileges that docs/proxmox.md lists"),
        404 => (ErrorKind::NotFound, ""),
        300..=399 => (ErrorKind::Io, "; redirects aren't followed: a token stays with whom it is meant for"),
        // Its own: another node or a storage did not answer the one that was asked.
        595 | 596 | 599 => (ErrorKind::Timeout, "; the node that it passed the question on to doesn't answer"),
        _ => (ErrorKind::Io, ""),
    }
}

/// What an error says of itself.
fn said(body: &[u8], reason: &str) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = value.get("message").and_then(Value::as_str).map(str::trim_end).filter(|it| !it.is_empty());
    let text = message.map_or_else(|| reason.to_owned(), |text| printable(text.as_bytes()));
    text.chars().take(SHOWN).collect()
}

/// A path without what makes it long.
fn shown(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}
