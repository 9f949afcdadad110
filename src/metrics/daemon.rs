//! The daemon itself.

use jiff::Timestamp;
use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;

use super::family::{Description, Family};
use crate::domain::inventory::Inventory;

/// Git revision of the build, where the build knew one.
pub const REVISION: &str = match option_env!("BUILD_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

static BUILD: Description =
    Description::gauge("firedrill_build_info", &["version", "revision"], "Version of the running firedrill; always 1.");

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 1] = [&BUILD];

/// Fills the families of this file.
pub fn collect(_inventory: &Inventory, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    let mut build = BUILD.family();
    build.add(&[env!("CARGO_PKG_VERSION"), REVISION], 1.0);
    out(build);
}

/// The `process_*` families of the client library: memory, processor time, open files of this process.
pub fn process() -> Vec<MetricFamily> {
    ProcessCollector::for_self().collect()
}
