//! `[[s3]]`: servers of objects, and buckets with states of Terraform.

use std::path::PathBuf;

use anyhow::Context as _;
use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use super::errors::Complaints;
use super::root::is_bucket;
use super::secret;
use super::section::{Section, source};
use crate::domain::ids::{ItemId, ItemKind};
use crate::domain::look::{Medium, PlaceSpec, SourceKind, SourceSpec};
use crate::domain::secret::Secret;

/// Which objects of a bucket are states.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct States {
    /// The bucket.
    pub bucket: String,
    /// Only keys that begin so.
    #[serde(default)]
    pub prefix: String,
    /// Patterns of keys that are states.
    #[serde(default = "keys")]
    pub keys: Vec<String>,
}

/// As Terraform's documentation calls them.
fn keys() -> Vec<String> {
    vec!["*.tfstate".to_owned()]
}

impl States {
    /// The patterns of keys.
    pub fn globs(&self) -> Result<GlobSet, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for key in &self.keys {
            set.add(Glob::new(key)?);
        }
        set.build()
    }

    /// The path of the place, as labels and messages show it.
    fn path(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

fn region() -> String {
    "us-east-1".to_owned()
}

source! {
    /// A source of states in S3.
    pub struct S3 {
        /// Where the server is: `http://minio:9000`; that of AWS for the region where it isn't given.
        #[serde(default)]
        pub endpoint: Option<String>,
        /// The region.
        #[serde(default = "region")]
        pub region: String,
        /// `http://host/bucket/key` instead of `http://bucket.host/key`; so where an endpoint is given.
        #[serde(default)]
        pub path_style: Option<bool>,
        /// Certificates that are trusted instead of those of the machine, in PEM.
        #[serde(default)]
        pub ca_file: Option<PathBuf>,
        /// The access key; `AWS_ACCESS_KEY_ID` of the environment where it isn't given.
        #[serde(default)]
        pub access_key: Option<String>,
        /// The secret key; `AWS_SECRET_ACCESS_KEY` of the environment where it isn't given.
        #[serde(default)]
        pub secret_key: Option<Secret>,
        /// A file that holds it.
        #[serde(default)]
        pub secret_key_file: Option<PathBuf>,
        /// Where states are. Without any it is only the server that roots of other sources name.
        #[serde(default)]
        pub states: Vec<States>,
        /// States that must be there, even if nothing is found of them: names, without `tfstate/`.
        #[serde(default)]
        pub expected: Vec<String>,
    }
}

/// Who asks: access key, secret key, session token.
pub type Keys = (String, Secret, Option<Secret>);

impl S3 {
    /// Whether paths hold the bucket.
    pub fn path_style(&self) -> bool {
        self.path_style.unwrap_or(self.endpoint.is_some())
    }

    /// Who asks; from the environment where the file says nothing.
    pub fn keys(&self, environment: impl Fn(&str) -> Option<String>) -> anyhow::Result<Keys> {
        let name = &self.name;
        let access = self.access_key.clone().or_else(|| environment("AWS_ACCESS_KEY_ID"));
        let access = access
            .with_context(|| format!("the s3 source {name} has no access_key, and AWS_ACCESS_KEY_ID is not set"))?;
        let given = secret::given(&self.secret_key, "secret_key_file", &self.secret_key_file)
            .with_context(|| format!("the s3 source {name}"))?;
        if let Some(secret) = given {
            return Ok((access, secret, None));
        }
        let secret = environment("AWS_SECRET_ACCESS_KEY").map(Secret::from).with_context(|| {
            format!("the s3 source {name} has no secret_key or secret_key_file, and AWS_SECRET_ACCESS_KEY is not set")
        })?;
        Ok((access, secret, environment("AWS_SESSION_TOKEN").map(Secret::from)))
    }
}

impl Section for S3 {
    fn spec(&self) -> SourceSpec {
        let place = |it: &States| PlaceSpec { path: it.path().into(), medium: Medium::S3, node: None, readable: true };
        SourceSpec {
            name: self.name.clone(),
            kind: SourceKind::new("s3"),
            places: self.states.iter().map(place).collect(),
            expected: self.expected.iter().map(|name| ItemId::tfstate(name.as_str().into())).collect(),
            exclude: self.exclude.matcher(),
            scan_interval: self.scan_interval,
            scan_timeout: self.scan_timeout,
        }
    }

    fn items(&self) -> &'static str {
        "states (tfstate/NAME)"
    }

    fn may_hold(&self, item: &ItemId) -> bool {
        item.item_kind() == ItemKind::Tfstate
    }

    fn check_own(&self, key: &str, complaints: &mut Complaints) {
        if let Some(endpoint) = &self.endpoint {
            let good = url::Url::parse(endpoint).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.username().is_empty()
                    && url.path() == "/"
            });
            if !good {
                let sentence = "must be http://HOST:PORT or https://HOST:PORT, without a path or a password";
                complaints.add(format!("{key}.endpoint"), sentence.to_owned());
            }
        }
        if self.secret_key.is_some() && self.secret_key_file.is_some() {
            complaints.add(format!("{key}.secret_key_file"), "secret_key is given as well".to_owned());
        }
        if self.states.is_empty() && (!self.expected.is_empty() || self.accept_level.is_some()) {
            let sentence = "is missing: expected and accept_level are about states";
            complaints.add(format!("{key}.states"), sentence.to_owned());
        }
        for (index, states) in self.states.iter().enumerate() {
            let key = format!("{key}.states.{index}");
            if !is_bucket(&states.bucket) {
                complaints.add(format!("{key}.bucket"), "is no name of a bucket".to_owned());
            }
            if states.keys.is_empty() {
                complaints.add(format!("{key}.keys"), "needs at least one pattern".to_owned());
            }
            if let Err(error) = states.globs() {
                complaints.add(format!("{key}.keys"), error.to_string());
            }
            // A state that two places show would count as two copies.
            let overlaps = |it: &&States| {
                it.bucket == states.bucket
                    && (it.prefix.starts_with(&states.prefix) || states.prefix.starts_with(&it.prefix))
            };
            if let Some(other) = self.states[..index].iter().find(overlaps) {
                complaints.add(key, format!("{} and {} hold the same keys", other.path(), states.path()));
            }
        }
        for (index, _) in self.expected.iter().enumerate().filter(|(_, name)| name.is_empty()) {
            complaints.add(format!("{key}.expected.{index}"), "is empty".to_owned());
        }
    }
}
