//! What came of reading the archives.

use crate::domain::proof::Verification;

/// What came of it.
pub(super) struct Outcome {
    /// In the order in which they ended.
    pub(super) verifications: Vec<Verification>,
    /// Archives that were not read because an earlier one was damaged.
    pub(super) left_out: usize,
    /// What could not be compared or kept.
    pub(super) store_problem: Option<String>,
}
