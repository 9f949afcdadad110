//! Connections of the web server that were closed before they got an answer.

use super::labels;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dropped {
    /// It made room for another one: its address had the most of them, and it had asked nothing.
    MadeRoom,
    /// It could not be taken: the system has no file descriptor for it.
    NotAccepted,
    /// It took nothing of its answer.
    NotReading,
    /// It did not ask in time: it said nothing, sent its header slowly, or did not end its handshake.
    NoRequest,
}

impl Dropped {
    /// All of them, in label order.
    pub const ALL: [Self; 4] = [Self::MadeRoom, Self::NoRequest, Self::NotAccepted, Self::NotReading];

    /// The `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MadeRoom => "made_room",
            Self::NotAccepted => "not_accepted",
            Self::NotReading => "not_reading",
            Self::NoRequest => "no_request",
        }
    }
}

/// How many were closed since the start. The server counts while others read.
#[derive(Debug, Default)]
pub struct Connections([AtomicU64; Dropped::ALL.len()]);

impl Connections {
    /// One more.
    pub fn add(&self, why: Dropped) {
        if let Some(at) = labels::place(&Dropped::ALL, &why) {
            self.0[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many for each reason, in the order of [`Dropped::ALL`].
    pub fn counts(&self) -> [u64; Dropped::ALL.len()] {
        std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed))
    }
}
