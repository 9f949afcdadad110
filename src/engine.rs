//! The loops that drive everything. The outside is reached through [`ports`] only.

pub mod archives;
pub mod beat;
pub mod custodian;
pub mod effects;
pub mod intake;
pub mod joined;
pub mod journal;
pub mod keeper;
pub mod notifier;
pub mod operations;
pub mod ports;
pub mod provers;
pub mod reactor;
pub mod scanner;
pub mod state_keeper;
pub mod state_work;
pub mod statuses;
pub mod throttle;
pub mod tokens;
pub mod verifier;
pub mod watch;
