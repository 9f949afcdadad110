//! What is written on disk by others: names, logs, configurations. Pure, synchronous, within limits.
//!
//! Everything read here is hostile: memory and time are bounded, and nothing panics.

pub mod checksum_file;
pub mod dump_content;
pub mod dump_pattern;
pub mod guest_config;
pub mod input;
pub mod printable;
pub mod stream;
pub mod vzdump_log;
pub mod vzdump_name;
