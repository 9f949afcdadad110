//! What is written on disk by others: names, logs, configurations, archives. Pure, synchronous, within limits.
//!
//! Everything read here is hostile: memory and time are bounded, and nothing panics.

pub mod alertmanager;
pub mod archive;
pub mod backend;
pub mod beside;
pub mod bzip2;
pub mod checksum_file;
pub mod container_config;
pub mod crc;
pub mod dump_content;
pub mod dump_pattern;
pub mod encrypted;
pub mod foreign_name;
pub mod guest_config;
pub mod gzip;
pub mod input;
pub mod lzop;
pub mod matchers;
pub mod openpgp;
pub mod ovf;
mod pg_data;
pub mod set;
pub mod shape;
pub mod stream;
pub mod sum;
pub mod tar;
pub mod tfstate;
pub mod vm_config;
pub mod vma;
pub mod vmdk;
pub mod vzdump_log;
pub mod vzdump_name;
pub mod vzdump_task;
pub mod zstd;
