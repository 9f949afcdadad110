//! The client: where it asks, as whom, and what its errors mean.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::adapters::machine::waiter::Waiter;
use crate::domain::look::{ErrorKind, LookError};
use crate::domain::secret::Secret;

/// A server that doesn't take a connection in this time isn't there.
const CONNECT: Duration = Duration::from_secs(5);

/// An answer begins within this time, or never.
const ANSWER: Duration = Duration::from_secs(20);

/// A request is tried so often: servers say "slow down", and mean it.
const TRIES: u32 = 3;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The access key.
    pub access_key: String,
    /// The secret key.
    pub secret_key: Secret,
    /// Where the credentials are borrowed.
    pub session_token: Option<Secret>,
}

/// Where and how to ask.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `http://minio:9000`; that of AWS for the region where it isn't given.
    pub url: Option<String>,
    /// The region.
    pub region: String,
    /// `http://host/bucket/key`, and not `http://bucket.host/key`.
    pub path_style: bool,
    /// Certificates that are trusted instead of those of the machine, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Who asks.
    pub credentials: Credentials,
}

/// A client for threads: each call waits for its answer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Blocking {
    pub(super) client: Client,
    waiter: Waiter,
}

impl Blocking {
    /// Connects nowhere yet.
    pub(super) fn new(endpoint: &Endpoint) -> anyhow::Result<Self> {
        Ok(Self { client: client(endpoint)?, waiter: Waiter::new("s3")? })
    }

    /// Waits for an answer. Never called on a thread of a runtime.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.waiter.wait(work)
    }
}

/// A client. Connects nowhere yet.
pub(super) fn client(endpoint: &Endpoint) -> anyhow::Result<Client> {
    let mut trust = TrustStore::default();
    if let Some(path) = &endpoint.ca_file {
        let pem = std::fs::read(path).with_context(|| format!("reading ca_file {}", path.display()))?;
        trust = TrustStore::empty().with_pem_certificate(pem);
    }
    let tls = TlsContext::builder().with_trust_store(trust).build().context("the trusted certificates of S3")?;
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls)
        .build_https();
    let Credentials { access_key, secret_key, session_token } = &endpoint.credentials;
    let token = session_token.as_ref().map(|token| token.expose().to_owned());
    let credentials = aws_sdk_s3::config::Credentials::new(
        access_key.clone(),
        secret_key.expose().to_owned(),
        token,
        None,
        "firedrill",
    );
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ANSWER).build();
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new(endpoint.region.clone()))
        .credentials_provider(credentials)
        .force_path_style(endpoint.path_style)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES));
    if let Some(url) = &endpoint.url {
        config = config.endpoint_url(url);
    }
    Ok(Client::from_conf(config.build()))
}

/// What an error means for a look.
pub(super) fn look_error<E: ProvideErrorMetadata + std::error::Error + 'static>(
    doing: &str,
    error: &SdkError<E>,
) -> LookError {
    let code = error.code().unwrap_or_default();
    let kind = match error {
        SdkError::TimeoutError(_) => ErrorKind::Timeout,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => ErrorKind::Timeout,
        _ => match code {
            "NoSuchBucket" | "NoSuchKey" => ErrorKind::NotFound,
            "AccessDenied"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "RequestTimeTooSkewed"
            | "AuthorizationHeaderMalformed" => ErrorKind::PermissionDenied,
            _ => ErrorKind::Io,
        },
    };
    LookError::new(kind, format!("{doing}: {}", words(error)))
}

/// An error in one sentence: what the server says, or what went wrong on the way.
pub(super) fn words<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E>) -> String {
    if let Some(code) = error.code() {
        let advice = match code {
            "RequestTimeTooSkewed" => "; the clocks of this machine and of the server differ",
            "AccessDenied" => {
                "; the key needs s3:GetObject and s3:ListBucket; for states s3:ListBucketVersions, s3:GetBucketVersioning and s3:GetObjectVersion too"
            }
            "PermanentRedirect" | "TemporaryRedirect" => "; the bucket is elsewhere: see endpoint and region",
            "InvalidObjectState" => "; it lies in a storage class that has to be thawed before it can be read",
            _ => "",
        };
        return match error.message() {
            Some(message) if !message.is_empty() => format!("{code}: {message}{advice}"),
            _ => format!("{code}{advice}"),
        };
    }
    match error {
        SdkError::TimeoutError(_) => "the server doesn't answer in time".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "the server doesn't answer in time".to_owned(),
        SdkError::DispatchFailure(_) => format!("no connection to the server; see endpoint: {}", root_cause(error)),
        _ => format!("an answer that can't be understood: {}", root_cause(error)),
    }
}

/// What the layers above only wrap.
fn root_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root
}
