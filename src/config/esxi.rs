//! `[[esxi]]`: ESXi hosts and vCenters.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize as _;

use super::errors::Complaints;
use super::secret;
use super::section::{Section, estate, estate_spec, scan_interval, scan_timeout};
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::look::SourceSpec;
use crate::domain::secret::Secret;
use crate::domain::thumbprint::Thumbprint;

estate! {
    /// An ESXi host, or a vCenter with all of its hosts.
    pub struct Esxi {
        /// Where it is: `https://esxi1.example.org`; or `file:///PATH` of a recorded reply.
        #[serde(deserialize_with = "address")]
        pub url: url::Url,
        /// Who asks.
        #[serde(default)]
        pub username: String,
        /// Its password; `VSPHERE_PASSWORD` of the environment where it isn't given.
        #[serde(default)]
        pub password: Option<Secret>,
        /// A file that holds it.
        #[serde(default)]
        pub password_file: Option<PathBuf>,
        /// Authorities that are trusted instead of those of the machine, in PEM.
        #[serde(default)]
        pub ca_file: Option<PathBuf>,
        /// SHA-256 of the one certificate that is trusted.
        #[serde(default)]
        pub thumbprint: Option<Thumbprint>,
    }
}

fn address<'de, D: serde::Deserializer<'de>>(from: D) -> Result<url::Url, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| serde::de::Error::custom("must be https://HOST or https://HOST:PORT"))
}

impl Esxi {
    /// What somebody recorded of a server, with defaults for all else.
    pub fn recorded_in(name: SourceName, file: &Path) -> Option<Self> {
        Some(Self {
            name,
            url: url::Url::from_file_path(file).ok()?,
            username: String::new(),
            password: None,
            password_file: None,
            ca_file: None,
            thumbprint: None,
            scan_interval: scan_interval(),
            scan_timeout: scan_timeout(),
        })
    }

    /// The file with a recorded reply, where it is one.
    pub fn file(&self) -> Option<PathBuf> {
        (self.url.scheme() == "file").then(|| self.url.to_file_path().ok()).flatten()
    }

    /// The password. `environment` tells variables.
    pub fn password(&self, environment: impl Fn(&str) -> Option<String>) -> anyhow::Result<Secret> {
        let given = secret::given(&self.password, "password_file", &self.password_file)?;
        let found = given.or_else(|| environment("VSPHERE_PASSWORD").map(Secret::from));
        found.context("password, password_file or VSPHERE_PASSWORD of the environment must say the password")
    }
}

impl Section for Esxi {
    fn spec(&self) -> SourceSpec {
        estate_spec(&self.name, "esxi", self.url.as_str(), (self.scan_interval, self.scan_timeout))
    }

    fn items(&self) -> &'static str {
        "none: backups of its machines are items of the source where they lie"
    }

    fn may_hold(&self, _: &ItemId) -> bool {
        false
    }

    fn check_own(&self, key: &str, complaints: &mut Complaints) {
        let url = &self.url;
        let good = url.scheme() == "https"
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && matches!(url.path(), "/" | "/sdk" | "/sdk/")
            && url.query().is_none();
        let is_file = self.file().is_some();
        if !good && !is_file {
            let sentence = "must be https://HOST or https://HOST:PORT, without a name or a password; or file:///PATH";
            complaints.add(format!("{key}.url"), sentence.to_owned());
        }
        if self.username.is_empty() && !is_file {
            complaints.add(format!("{key}.username"), "is empty".to_owned());
        }
        if self.password.is_some() && self.password_file.is_some() {
            complaints.add(format!("{key}.password_file"), "password is given as well".to_owned());
        }
        if self.thumbprint.is_some() && self.ca_file.is_some() {
            let sentence =
                "ca_file is given as well: either one certificate is trusted, or those that authorities signed";
            complaints.add(format!("{key}.thumbprint"), sentence.to_owned());
        }
    }
}
