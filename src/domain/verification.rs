//! The verifier at one moment: what it does, how far it is, what holds it up.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::proof::{Conclusion, LEVELS};

/// Numbers of verifications by level and conclusion, in the order of [`Level::ALL`](super::proof::Level::ALL) and [`Conclusion::ALL`].
pub type Counts = [[u64; Conclusion::ALL.len()]; LEVELS];

/// How the verifier stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verifier {
    /// Archives that are being read.
    pub running: usize,
    /// Readings that were given up because their thread hangs, and whose thread hangs still.
    pub hanging: usize,
    /// Archives that wait to be read.
    pub waiting: usize,
    /// Results that wait to be stored.
    pub unsaved: usize,
    /// Whether this is a time at which archives may be read.
    pub open: bool,
    /// Why the store can't be used; `None` while it can.
    pub store_problem: Option<Arc<str>>,
    /// Verifications since the start.
    pub counts: Counts,
    /// Bytes read since the start.
    pub read: u64,
    /// When a byte was last read, or there was nothing to read.
    pub progress: Option<Timestamp>,
    /// A proof that is older is renewed.
    pub again_after: Duration,
}
