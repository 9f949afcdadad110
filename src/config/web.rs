//! `[web]`: where and how the web server listens.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::errors::Complaints;
use super::text;

/// The port of firedrill; in nobody's list of exporter ports.
pub const DEFAULT_PORT: u16 = 10042;

/// More connections would need more file descriptors than a process commonly has.
const MOST_CONNECTIONS: usize = 10_000;

/// Where to listen, as Prometheus takes it: `127.0.0.1:10042`, `localhost:10042`, or `:10042` for all addresses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ListenAddress(String);

impl ListenAddress {
    /// Host and port, for a resolver.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        match parts {
            Some(("", port)) => Ok(Self(format!("0.0.0.0:{port}"))),
            Some((_, _)) => Ok(Self(text.to_owned())),
            None => Err(format!("{text:?} is no address; write 127.0.0.1:10042, localhost:10042 or :10042")),
        }
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The web server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Address and port to listen on.
    pub listen_address: ListenAddress,
    /// TLS and basic auth in the format of the Prometheus exporter toolkit.
    pub config_file: Option<PathBuf>,
    /// Requests answered at the same time; further ones wait.
    pub max_connections: usize,
    /// A client must have sent its request header within this time.
    #[serde(deserialize_with = "text::duration")]
    pub header_timeout: Duration,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen_address: SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)).into(),
            config_file: None,
            max_connections: 256,
            header_timeout: Duration::from_secs(15),
        }
    }
}

impl Web {
    pub(super) fn check(&self, complaints: &mut Complaints) {
        if !(1..=MOST_CONNECTIONS).contains(&self.max_connections) {
            complaints.add("web.max_connections".to_owned(), format!("must be from 1 to {MOST_CONNECTIONS}"));
        }
        if self.header_timeout < Duration::from_secs(1) {
            complaints.add("web.header_timeout".to_owned(), "must be at least 1s".to_owned());
        }
        if let Some(path) = self.config_file.as_ref().filter(|path| !path.is_file()) {
            complaints.add("web.config_file".to_owned(), format!("there is no file {}", path.display()));
        }
    }
}
