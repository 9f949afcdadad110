//! The web config file of the Prometheus exporter toolkit: TLS and basic auth.
//!
//! ```yaml
//! tls_server_config:
//!   cert_file: cert.pem
//!   key_file: key.pem
//!   client_ca_file: ca.pem                        # for client certificates
//!   client_auth_type: RequireAndVerifyClientCert  # or NoClientCert, VerifyClientCertIfGiven
//!   min_version: TLS12                            # or TLS13
//! http_server_config:
//!   http2: false                                  # firedrill speaks HTTP/1.1
//! basic_auth_users:
//!   prometheus: $2y$10$…                          # bcrypt
//! ```
//! Format: prometheus/exporter-toolkit `docs/web-configuration.md`. Keys of the format that firedrill doesn't act on
//! are refused: a setting that is silently ignored would be a hole.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{WebPkiClientVerifier, danger::ClientCertVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

/// A larger file isn't one.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    tls_server_config: Option<Tls>,
    http_server_config: Http,
    basic_auth_users: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    #[serde(default)]
    client_ca_file: Option<PathBuf>,
    #[serde(default)]
    client_auth_type: ClientAuth,
    #[serde(default)]
    min_version: MinVersion,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum ClientAuth {
    #[default]
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum MinVersion {
    #[default]
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Http {
    http2: bool,
}

/// What the file says, ready to use.
#[derive(Clone, Default)]
pub struct WebConfig {
    /// TLS, where it is configured.
    pub tls: Option<Arc<ServerConfig>>,
    /// Users with their bcrypt hashes.
    pub users: HashMap<String, String>,
    /// Certificates and keys that it names.
    pub files: Vec<PathBuf>,
}

impl Tls {
    fn files(&self, directory: &Path) -> Vec<PathBuf> {
        let named = [Some(&self.cert_file), Some(&self.key_file), self.client_ca_file.as_ref()];
        named.into_iter().flatten().map(|file| directory.join(file)).collect()
    }
}

/// Reads the file and everything that it names; relative paths are relative to the file.
pub fn read(path: &Path) -> anyhow::Result<WebConfig> {
    let file = fs::metadata(path).with_context(|| format!("reading the web config file {}", path.display()))?;
    ensure!(file.is_file(), "the web config file {} is not a regular file", path.display());
    let size = file.len();
    ensure!(size <= MAX_BYTES, "the web config file {} has {size} bytes; that is none", path.display());
    let text = fs::read_to_string(path).with_context(|| format!("reading the web config file {}", path.display()))?;
    parse(&text, path.parent().unwrap_or(Path::new(".")))
        .with_context(|| format!("in the web config file {}", path.display()))
}

fn parse(text: &str, directory: &Path) -> anyhow::Result<WebConfig> {
    let file = match text.trim() {
        "" => File::default(),
        // An error must not show the lines around it: there are password hashes in them.
        text => serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false })?,
    };
    for (user, hash) in &file.basic_auth_users {
        let fits = hash.parse::<bcrypt::HashParts>().is_ok();
        ensure!(
            fits,
            "basic_auth_users.{user}: this is no bcrypt hash; make one with `htpasswd -nBC 10 '' | tr -d ':\\n'`"
        );
    }
    ensure!(
        !file.http_server_config.http2,
        "http_server_config.http2: firedrill speaks HTTP/1.1 only; set it to false"
    );
    let files = file.tls_server_config.iter().flat_map(|tls| tls.files(directory)).collect();
    let tls = file.tls_server_config.map(|tls| server_config(&tls, directory)).transpose()?;
    Ok(WebConfig { tls: tls.map(Arc::new), users: file.basic_auth_users, files })
}

fn server_config(tls: &Tls, directory: &Path) -> anyhow::Result<ServerConfig> {
    let versions: &[&SupportedProtocolVersion] = match tls.min_version {
        MinVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        MinVersion::Tls13 => &[&version::TLS13],
    };
    let chain = certificates(&directory.join(&tls.cert_file)).context("tls_server_config.cert_file")?;
    let key_path = directory.join(&tls.key_file);
    let key = PrivateKeyDer::from_pem_file(&key_path)
        .with_context(|| format!("tls_server_config.key_file: reading a private key from {}", key_path.display()))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .context("tls_server_config.min_version")?;
    let builder = match client_verifier(tls, directory)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).context("tls_server_config: certificate and key")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn client_verifier(tls: &Tls, directory: &Path) -> anyhow::Result<Option<Arc<dyn ClientCertVerifier>>> {
    let authority = match (&tls.client_ca_file, tls.client_auth_type) {
        (None, ClientAuth::NoClientCert) => return Ok(None),
        (Some(_), ClientAuth::NoClientCert) => {
            bail!("tls_server_config: client_ca_file is set, but client_auth_type does not ask for a certificate")
        }
        (None, _) => bail!("tls_server_config.client_auth_type: needs client_ca_file"),
        (Some(path), _) => directory.join(path),
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&authority).context("tls_server_config.client_ca_file")? {
        roots.add(certificate).context("tls_server_config.client_ca_file")?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::new(ring::default_provider()));
    let builder = match tls.client_auth_type {
        ClientAuth::VerifyClientCertIfGiven => builder.allow_unauthenticated(),
        _ => builder,
    };
    Ok(Some(builder.build().context("tls_server_config.client_ca_file")?))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("reading certificates from {}", path.display()))?;
    ensure!(!found.is_empty(), "{} holds no certificate", path.display());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        format!("{:#}", parse(text, Path::new("/nowhere")).err().unwrap())
    }

    #[test]
    fn an_empty_file_is_plain_http_for_everybody() {
        for text in ["", "\n", "basic_auth_users: {}\n"] {
            let config = parse(text, Path::new("/")).unwrap();
            assert!(config.tls.is_none() && config.users.is_empty());
        }
    }

    #[test]
    fn users_of_htpasswd_are_accepted() {
        let text = "basic_auth_users:\n  alice: $2y$10$QMXMgvBDDM5.YZhx1nYx6eLQ6R9o9DsJYhXH1CkTSDvQmXhYvfFCu\n";
        assert_eq!(parse(text, Path::new("/")).unwrap().users.len(), 1);
    }

    #[test]
    fn errors_do_not_show_what_is_secret() {
        let text = error("basic_auth_users:\n  alice: $2y$10$QMXMgvBDDM5\nnonsense: 1\n");
        assert!(text.contains("nonsense") && !text.contains("QMXMgv"), "{text}");
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        assert!(error("basic_auth_users:\n  alice: secret\n").contains("basic_auth_users.alice"));
        assert!(
            error("tls_server_config:\n  cert_file: c\n  key_file: k\n  cipher_suites: []\n").contains("cipher_suites")
        );
        assert!(error("http_server_config:\n  http2: true\n").contains("HTTP/1.1"));
        assert!(error("rate_limit: {}\n").contains("rate_limit"));
        assert!(error("tls_server_config:\n  cert_file: c.pem\n  key_file: k.pem\n").contains("/nowhere/c.pem"));
        assert!(error("tls_server_config: [").len() > 5);
    }

    #[test]
    fn certificates_of_clients_need_an_authority() {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(directory.path().join("c.pem"), made.cert.pem()).unwrap();
        fs::write(directory.path().join("k.pem"), made.signing_key.serialize_pem()).unwrap();
        let base = "tls_server_config:\n  cert_file: c.pem\n  key_file: k.pem\n";
        let parse = |more: &str| parse(&format!("{base}{more}"), directory.path());
        assert!(parse("").unwrap().tls.is_some());
        assert!(parse("  client_auth_type: RequireAndVerifyClientCert\n").is_err());
        assert!(parse("  client_ca_file: c.pem\n").is_err());
        assert!(parse("  client_ca_file: c.pem\n  client_auth_type: RequireAndVerifyClientCert\n").is_ok());
        assert!(parse("  client_auth_type: RequireAnyClientCert\n").is_err());
    }
}
