//! Backups that lie in directories: `vzdump_dir` and `dump_dir` look at them, `archive_files` opens them, `directory_watch` brings the
//! next look forward; `directory` and `tree` hold what they share.

pub mod archive_files;
pub mod directory;
pub mod directory_watch;
pub mod dump_dir;
pub mod files;
pub mod place;
pub mod tree;
pub mod vzdump_dir;
