//! What the targets share.

pub mod compact;
pub mod seal;
