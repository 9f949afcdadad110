//! The exposition: every family is a view of a snapshot, so a removed item's series end in the same swap.
//!
//! [`items`] and its like list families over one [`Inventory`](crate::domain::inventory::Inventory);
//! [`exposition`] renders those of the items once per change, because there are many, and the small rest per scrape.

pub mod automation;
pub mod backups;
pub mod catalogue;
pub mod cluster;
pub mod connections;
pub mod containers;
pub mod daemon;
pub mod esxi;
pub mod esxi_compat;
pub mod exposition;
pub mod family;
pub mod items;
pub mod media;
pub mod notifications;
pub mod proofs;
pub mod sources;
pub mod storage;
pub mod store;
pub mod tfstate;
