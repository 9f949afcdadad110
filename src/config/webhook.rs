//! `[webhook]`: who may deliver alerts.

use std::path::PathBuf;

use anyhow::ensure;
use serde::Deserialize;

use super::errors::Complaints;
use super::secret;
use crate::domain::secret::Secret;

/// A shorter token would be guessed.
const SHORTEST: usize = 16;

/// A longer one is no token but another file.
const LONGEST: usize = 4096;

/// The receiver of alerts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhook {
    /// Alertmanager sends it as `Authorization: Bearer …`.
    pub token: Option<Secret>,
    /// A file that holds it instead.
    pub token_file: Option<PathBuf>,
    /// Basic auth users of the web config that may deliver alerts.
    pub users: Vec<String>,
}

impl Webhook {
    /// The token. Reads [`token_file`](Self::token_file) where that is set.
    pub fn secret(&self) -> anyhow::Result<Option<String>> {
        let Some(token) = secret::given(&self.token, "webhook.token_file", &self.token_file)? else { return Ok(None) };
        let words = "printable characters without blanks";
        ensure!(fits(token.expose()), "the webhook token must have {SHORTEST} to {LONGEST} {words}");
        Ok(Some(token.expose().to_owned()))
    }

    pub(super) fn check(&self, complaints: &mut Complaints) {
        if self.token.is_some() && self.token_file.is_some() {
            complaints.add("webhook.token_file".to_owned(), "is set beside webhook.token; say it once".to_owned());
        }
        if self.token.as_ref().is_some_and(|token| !fits(token.expose())) {
            let sentence = format!("must have {SHORTEST} to {LONGEST} printable characters without blanks");
            complaints.add("webhook.token".to_owned(), sentence);
        }
    }
}

fn fits(token: &str) -> bool {
    (SHORTEST..=LONGEST).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}
