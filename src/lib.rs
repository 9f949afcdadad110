//! Would every backup you own restore right now, and what happens if the source dies tonight?
//!
//! The layers, lower ones first; each uses those before it and none after it (a test enforces it):
//!
//! | module | holds |
//! |---|---|
//! | [`domain`] | what is known and how it is judged: pure, no I/O, no clock |
//! | [`formats`] | names, logs, configurations of others, read within limits |
//! | [`config`] | the configuration file |
//! | [`engine`] | the loops; the outside only through its ports |
//! | [`adapters`] | one outside system each |
//! | [`metrics`], [`http`] | views of the snapshot |
//! | [`app`] | puts it together |
//! | [`demo`] | an estate to look at |
//! | [`cli`] | the command line |

#![warn(unreachable_pub, clippy::unwrap_used)]

pub mod adapters;
pub mod app;
pub mod cli;
pub mod config;
pub mod demo;
pub mod domain;
pub mod engine;
pub mod formats;
pub mod http;
pub mod metrics;
