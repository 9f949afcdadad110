//! `[web]`: where and how the web server listens.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::errors::Complaints;
use super::text;

/// The port of firedrill; in nobody's list of exporter ports.
pub const DEFAULT_PORT: u16 = 10042;

/// The web server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Web {
    /// Address and port to listen on.
    pub listen_address: SocketAddr,
    /// TLS and basic auth in the format of the Prometheus exporter toolkit.
    pub config_file: Option<PathBuf>,
    /// Connections served at the same time; further ones wait.
    pub max_connections: usize,
    /// A client must have sent its request header within this time.
    #[serde(deserialize_with = "text::duration")]
    pub header_timeout: Duration,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen_address: SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)),
            config_file: None,
            max_connections: 256,
            header_timeout: Duration::from_secs(15),
        }
    }
}

impl Web {
    pub(super) fn check(&self, complaints: &mut Complaints) {
        if self.max_connections == 0 {
            complaints.add("web.max_connections".to_owned(), "must be at least 1".to_owned());
        }
        if self.header_timeout < Duration::from_secs(1) {
            complaints.add("web.header_timeout".to_owned(), "must be at least 1s".to_owned());
        }
        if let Some(path) = self.config_file.as_ref().filter(|path| !path.is_file()) {
            complaints.add("web.config_file".to_owned(), format!("there is no file {}", path.display()));
        }
    }
}
