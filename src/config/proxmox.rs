//! `[[proxmox]]`: clusters of Proxmox VE, by their API.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Deserialize;

use super::environments::Criteria;
use super::errors::Complaints;
use super::secret;
use super::section::{Section, estate, scan_interval, scan_timeout};
use super::vzdump::check_guests;
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::look::{Medium, PlaceSpec, SourceKind, SourceSpec};
use crate::domain::secret::Secret;
use crate::domain::thumbprint::Thumbprint;

/// A storage of a cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Its name in the cluster.
    pub name: Arc<str>,
    /// What it lies on; `local` where it isn't given.
    #[serde(default = "local")]
    pub medium: Medium,
}

const fn local() -> Medium {
    Medium::Local
}

estate! {
    /// A cluster, or a node that is alone.
    pub struct Proxmox {
        /// `https://NODE:8006` of one or several nodes: the next is asked where one doesn't answer. Or `file:///PATH` of answers.
        pub urls: Vec<String>,
        /// `USER@REALM!NAME` of an API token.
        #[serde(default)]
        pub token_id: Option<String>,
        /// Its secret; `PROXMOX_TOKEN_SECRET` of the environment where it isn't given.
        #[serde(default)]
        pub token_secret: Option<Secret>,
        /// A file that holds it.
        #[serde(default)]
        pub token_secret_file: Option<PathBuf>,
        /// Authorities that are trusted instead of those of the machine, in PEM: `pve-root-ca.pem`.
        #[serde(default)]
        pub ca_file: Option<PathBuf>,
        /// SHA-256 of the one certificate that is trusted.
        #[serde(default)]
        pub fingerprint: Option<Thumbprint>,
        /// Storages whose backups are looked at, each a place for itself; all of them as one place where none is given.
        #[serde(default)]
        pub storages: Vec<Storage>,
        /// Guests that must have backups, even if nothing is found of them.
        #[serde(default)]
        pub expected: Vec<ItemId>,
        /// Guests that aren't judged.
        #[serde(default)]
        pub exclude: Criteria,
    }
}

/// Where answers come from.
#[derive(Debug, PartialEq, Eq)]
pub enum Answering {
    /// Nodes.
    Nodes(Vec<url::Url>),
    /// A file.
    File(PathBuf),
}

impl Proxmox {
    /// A cluster whose answers are in a file, with defaults for all else.
    pub fn recorded(name: SourceName, file: &std::path::Path) -> Self {
        Self {
            name,
            urls: vec![format!("file://{}", file.display())],
            token_id: None,
            token_secret: None,
            token_secret_file: None,
            ca_file: None,
            fingerprint: None,
            storages: Vec::new(),
            expected: Vec::new(),
            exclude: Criteria::default(),
            scan_interval: scan_interval(),
            scan_timeout: scan_timeout(),
        }
    }

    /// Who answers; `None` where it isn't written in one of the two ways.
    pub fn answering(&self) -> Option<Answering> {
        if let [only] = &self.urls[..]
            && let Some(path) = only.strip_prefix("file://")
        {
            return path.starts_with('/').then(|| Answering::File(path.into()));
        }
        let node = |text: &String| {
            let url = url::Url::parse(text).ok()?;
            let plain = url.scheme() == "https" && url.has_host() && url.path() == "/" && url.username().is_empty();
            plain.then_some(url)
        };
        let nodes: Option<Vec<url::Url>> = self.urls.iter().map(node).collect();
        nodes.filter(|nodes| !nodes.is_empty()).map(Answering::Nodes)
    }

    /// The token: its id and its secret. `environment` tells variables.
    pub fn token(&self, environment: impl Fn(&str) -> Option<String>) -> anyhow::Result<(String, Secret)> {
        let id = self.token_id.clone().context("token_id isn't given")?;
        let given = secret::given(&self.token_secret, "token_secret_file", &self.token_secret_file)?;
        let found = given.or_else(|| environment("PROXMOX_TOKEN_SECRET").map(Secret::from));
        Ok((id, found.context("token_secret, token_secret_file or PROXMOX_TOKEN_SECRET of the environment must say the secret of the token")?))
    }

    fn check_token(&self, key: &str, complaints: &mut Complaints) {
        let is_one = |id: &String| {
            let (user, name) = id.split_once('!').unwrap_or_default();
            user.contains('@') && !name.is_empty() && id.chars().all(|c| c.is_ascii_graphic() && c != '=')
        };
        let is_file = matches!(self.answering(), Some(Answering::File(_)));
        if !is_file && !self.token_id.as_ref().is_some_and(is_one) {
            complaints.add(format!("{key}.token_id"), "must be USER@REALM!NAME of an API token".to_owned());
        }
        if self.token_secret.is_some() && self.token_secret_file.is_some() {
            complaints.add(format!("{key}.token_secret_file"), "token_secret is given as well".to_owned());
        }
        if self.ca_file.is_some() && self.fingerprint.is_some() {
            complaints.add(format!("{key}.fingerprint"), "ca_file is given as well".to_owned());
        }
    }
}

impl Section for Proxmox {
    fn spec(&self) -> SourceSpec {
        let at = self.urls.first().map_or("", |url| url.trim_end_matches('/'));
        let place = |path: String, medium| PlaceSpec { path: path.into(), medium, node: None, readable: false };
        let places = match &self.storages[..] {
            [] => vec![place(at.to_owned(), local())],
            some => some.iter().map(|it| place(format!("{at}/{}", it.name), it.medium)).collect(),
        };
        SourceSpec {
            name: self.name.clone(),
            kind: SourceKind::new("proxmox"),
            places,
            expected: self.expected.clone(),
            exclude: self.exclude.matcher(),
            scan_interval: self.scan_interval,
            scan_timeout: self.scan_timeout,
        }
    }

    fn items(&self) -> &'static str {
        "guests (qemu/100, lxc/100)"
    }

    fn may_hold(&self, item: &ItemId) -> bool {
        item.is_guest()
    }

    fn check_own(&self, key: &str, complaints: &mut Complaints) {
        if self.answering().is_none() {
            let sentence = "must be https://NODE:8006 of one or more nodes, or file:///PATH alone";
            complaints.add(format!("{key}.urls"), sentence.to_owned());
        }
        self.check_token(key, complaints);
        for (index, storage) in self.storages.iter().enumerate() {
            let is_name = !storage.name.is_empty()
                && storage.name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            if !is_name {
                complaints.add(format!("{key}.storages.{index}.name"), "is no name of a storage".to_owned());
            }
            if self.storages[..index].iter().any(|other| other.name == storage.name) {
                complaints.add(format!("{key}.storages.{index}.name"), format!("{} is listed twice", storage.name));
            }
        }
        check_guests(&self.expected, &self.exclude, key, complaints);
        self.exclude.check(&format!("{key}.exclude"), complaints);
    }
}
