//! `[metrics]`: what is exported beside what always is.

use serde::Deserialize;

/// What is exported.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// The names of the ESXi Backup Manager at `/metrics` too, and not at `/api/metrics` alone.
    pub esxi_compat: bool,
}
