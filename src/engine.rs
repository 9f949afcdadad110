//! The loops that drive everything. The outside is reached through [`ports`] only.

pub mod examiner;
pub mod journal;
pub mod keeper;
pub mod notifier;
pub mod ports;
pub mod scanner;
pub mod throttle;
pub mod verifier;
