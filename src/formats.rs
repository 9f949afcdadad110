//! What is written on disk by others: names, logs, configurations. Pure, synchronous, within limits.
//!
//! Everything read here is hostile: memory and time are bounded, and nothing panics.

pub mod container_config;
pub mod dump_pattern;
pub mod guest_config;
pub mod input;
pub mod lzop;
pub mod printable;
pub mod stream;
pub mod tar;
pub mod vzdump_log;
pub mod vzdump_name;
