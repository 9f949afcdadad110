//! How much room there is.

/// Size of a file system or a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes that can be used by an ordinary user: used and free.
    pub size: u64,
    /// Bytes that an ordinary user can still write.
    pub free: u64,
}
