//! `[log]`: what is logged, and how it looks.

use clap::ValueEnum;
use serde::Deserialize;

/// The log.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Least important messages that are written.
    pub level: LogLevel,
    /// How a message looks.
    pub format: LogFormat,
}

/// Importance of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What may become a problem.
    Warn,
    /// What somebody must act on.
    Error,
}

impl LogLevel {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// How a message looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text.
    #[default]
    Logfmt,
    /// One JSON object per line.
    Json,
}
