//! `[[docker]]`: engines whose containers are watched.

use std::path::PathBuf;
use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::errors::Complaints;
use super::section::{Section, estate, estate_spec, scan_interval, scan_timeout};
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::look::SourceSpec;

/// Where Docker listens, where nothing else is said.
fn host() -> String {
    "unix:///var/run/docker.sock".to_owned()
}

/// Where answers come from.
#[derive(Debug, PartialEq, Eq)]
pub enum Host {
    /// `unix://PATH`
    Socket(PathBuf),
    /// `tcp://HOST:PORT`
    Tcp(String),
    /// `file://PATH`
    File(PathBuf),
}

estate! {
    /// A container engine.
    pub struct Docker {
        /// Where it answers: `unix:///var/run/docker.sock`, `tcp://HOST:PORT`, or `file://PATH` of what `docker inspect` writes.
        #[serde(default = "host")]
        pub host: String,
        /// Patterns of the names of containers that are watched; all, where there are neither names nor labels.
        #[serde(default)]
        pub names: Vec<String>,
        /// Labels that containers have which are watched, `KEY` or `KEY=VALUE`.
        #[serde(default)]
        pub labels: Vec<String>,
        /// Names of containers that must be there.
        #[serde(default)]
        pub expected: Vec<Arc<str>>,
    }
}

impl Docker {
    /// An engine with defaults for all but these.
    pub fn at(name: SourceName, host: String, expected: Vec<Arc<str>>) -> Self {
        Self {
            name,
            host,
            names: Vec::new(),
            labels: Vec::new(),
            expected,
            scan_interval: scan_interval(),
            scan_timeout: scan_timeout(),
        }
    }

    /// Where its answers come from; `None` where it is none of the ways to write it.
    pub fn host(&self) -> Option<Host> {
        let path = |path: &str| path.starts_with('/').then(|| PathBuf::from(path));
        let (scheme, rest) = self.host.split_once("://")?;
        match scheme {
            "unix" => path(rest).map(Host::Socket),
            "file" => path(rest).map(Host::File),
            "tcp" | "http" => {
                let url = url::Url::parse(&format!("http://{rest}")).ok()?;
                let plain = url.has_host() && url.port().is_some() && url.path() == "/" && url.username().is_empty();
                plain.then(|| Host::Tcp(rest.trim_end_matches('/').to_owned()))
            }
            _ => None,
        }
    }

    /// The patterns of names; `None` for all.
    pub fn globs(&self) -> Result<Option<GlobSet>, globset::Error> {
        if self.names.is_empty() {
            return Ok(None);
        }
        let mut set = GlobSetBuilder::new();
        for name in &self.names {
            set.add(Glob::new(name)?);
        }
        set.build().map(Some)
    }
}

impl Section for Docker {
    fn spec(&self) -> SourceSpec {
        estate_spec(&self.name, "docker", &self.host, (self.scan_interval, self.scan_timeout))
    }

    fn items(&self) -> &'static str {
        "none: containers are watched, not backed up"
    }

    fn may_hold(&self, _: &ItemId) -> bool {
        false
    }

    fn check_own(&self, key: &str, complaints: &mut Complaints) {
        if self.host().is_none() {
            let sentence = "must be unix:///PATH, tcp://HOST:PORT or file:///PATH";
            complaints.add(format!("{key}.host"), sentence.to_owned());
        }
        if let Err(error) = self.globs() {
            complaints.add(format!("{key}.names"), error.to_string());
        }
        for (index, label) in self.labels.iter().enumerate() {
            if label.is_empty() || label.starts_with('=') {
                complaints.add(format!("{key}.labels.{index}"), "must be KEY or KEY=VALUE".to_owned());
            }
        }
        for (index, name) in self.expected.iter().enumerate() {
            if name.is_empty() || name.starts_with('/') {
                complaints.add(format!("{key}.expected.{index}"), "must be the name of a container".to_owned());
            }
        }
    }
}
