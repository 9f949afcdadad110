//! One outside system per file. Each implements a port of [`crate::engine::ports`] and knows no other adapter,
//! but for `clock` and `directory`, which the directory sources share.

pub mod alertmanager;
pub mod archive_files;
pub mod background;
pub mod clock;
pub mod directory;
pub mod directory_watch;
pub mod dump_dir;
pub mod hook;
pub mod process;
pub mod store;
pub mod vzdump_dir;
