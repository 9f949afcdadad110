//! One outside system per file.
//!
//! Each implements a port of [`crate::engine::ports`] and knows no other adapter, but for `clock`, `directory`, which the directory sources share, and `web_client`, which the messengers share.

pub mod alertmanager;
pub mod archive_files;
pub mod background;
pub mod clock;
pub mod directory;
pub mod directory_watch;
pub mod dump_dir;
pub mod hook;
pub mod open_files;
pub mod process;
pub mod slack;
pub mod smtp;
pub mod store;
pub mod syslog;
pub mod telegram;
pub mod vzdump_dir;
mod web_client;
pub mod webhook_out;
