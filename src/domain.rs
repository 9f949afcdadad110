//! What firedrill knows and how it judges: pure values and functions.
//!
//! No I/O, no async, no clock: `now` is always an argument. Everything that comes from outside has been
//! parsed by [`crate::formats`] or [`crate::adapters`] before it gets here.

pub mod access;
pub mod age;
pub mod attempt;
pub mod attention;
pub mod automation;
pub mod candidates;
pub mod capacity;
pub mod cluster;
pub mod connections;
pub mod container;
pub mod esxi;
pub mod file;
pub mod finding;
pub mod guest;
pub mod html;
pub mod ids;
pub mod inventory;
pub mod item;
pub mod labels;
pub mod local_time;
pub mod look;
pub mod notice;
pub mod operation;
pub mod policy;
pub mod printable;
pub mod proof;
pub mod rest;
pub mod run;
pub mod run_log;
pub mod secret;
pub mod state;
pub mod statistics;
pub mod store;
pub mod thumbprint;
pub mod verdict;
pub mod verification;
pub mod window;
