//! What MinIO says of itself without a password (`cmd/healthcheck-handler.go`). Other servers have no such pages.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::header::{HeaderMap, SERVER};
use reqwest::{Certificate, Client, Response};

use super::client::{Blocking, Endpoint};
use crate::adapters::machine::tls;
use crate::domain::state::ServerHealth;

/// An answer takes no longer, or there is none.
const LIMIT: Duration = Duration::from_secs(5);

/// Asks a server how it is.
pub(super) struct Health {
    client: Client,
    base: String,
    /// It said once that it is MinIO.
    known: bool,
    /// When one was asked last that never told.
    other: Option<Instant>,
}

/// One that was no MinIO is asked again after so long: another one may stand there.
const AGAIN: Duration = Duration::from_secs(60 * 60);

impl Health {
    /// `None` for AWS, which has no such pages.
    pub(super) fn new(endpoint: &Endpoint) -> anyhow::Result<Option<Self>> {
        let Some(url) = &endpoint.url else { return Ok(None) };
        tls::install();
        let mut client = Client::builder().timeout(LIMIT).redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &endpoint.ca_file {
            let pem = std::fs::read(path).with_context(|| format!("reading ca_file {}", path.display()))?;
            let trusted = Certificate::from_pem_bundle(&pem).with_context(|| format!("ca_file {}", path.display()))?;
            client = client.tls_certs_only(trusted);
        }
        let client = client.build().context("the HTTP client can't be made")?;
        Ok(Some(Self { client, base: url.trim_end_matches('/').to_owned(), known: false, other: None }))
    }

    /// Whether it is one that tells, as far as is known.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// How it is; `None` where it is no server that tells. One that told once and doesn't any more is down.
    pub(super) fn ask(&mut self, s3: &Blocking) -> Option<ServerHealth> {
        if self.other.is_some_and(|at| at.elapsed() < AGAIN) {
            return None;
        }
        let page = |name: &str| self.client.get(format!("{}/minio/health/{name}", self.base)).send();
        let (cluster, live) = s3.wait(async { tokio::join!(page("cluster"), page("live")) });
        let answers = || [&cluster, &live].into_iter().flatten();
        // One that told once is that one for good: what stands before it may answer 404 as soon as it is gone.
        self.known |= answers().any(|answer| is_minio(answer.headers()));
        let is_other = !self.known && answers().any(|answer| answer.status().is_client_error());
        self.other = is_other.then(Instant::now);
        let well = |answer: &reqwest::Result<Response>| {
            answer.as_ref().is_ok_and(|answer| {
                answer.status() == reqwest::StatusCode::OK
                    && answer.headers().get("x-minio-server-status").is_none_or(|status| status != "offline")
            })
        };
        self.known.then(|| ServerHealth { live: well(&live), cluster: well(&cluster) })
    }
}

fn is_minio(headers: &HeaderMap) -> bool {
    // A proxy puts its own name there.
    let server = headers.get(SERVER).and_then(|server| server.to_str().ok()).unwrap_or_default();
    server.to_ascii_lowercase().contains("minio") || headers.keys().any(|name| name.as_str().starts_with("x-minio-"))
}
