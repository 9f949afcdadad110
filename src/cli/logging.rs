//! Sets up the log: to standard error, as logfmt or JSON.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::logging::{Log, LogFormat};

/// Starts logging. Libraries speak from `warn` on only.
pub(super) fn start(log: Log) {
    // sqlx warns of parameters that it doesn't know with their values: a mistyped one may be a password.
    let filter = EnvFilter::new(format!("warn,sqlx=error,firedrill={}", log.level.as_str()));
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Logfmt => {
            let layer = tracing_logfmt::builder().with_target(false).with_timestamp(true).layer();
            registry.with(layer.with_writer(std::io::stderr)).init();
        }
        LogFormat::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_target(false).with_writer(std::io::stderr);
            registry.with(layer).init();
        }
    }
}
