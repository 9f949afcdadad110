//! Outside systems: one file each, or one folder where a system has several.
//!
//! Each implements a port of [`crate::engine::ports`] and knows no other adapter; files of one folder share what they have in
//! common, and everybody may use `machine`.

pub mod alertmanager;
pub mod directories;
pub mod docker;
pub mod hook;
pub mod machine;
pub mod messengers;
pub mod proxmox;
pub mod s3;
pub mod state_cache;
pub mod store;
pub mod terraform;
pub mod vsphere;
