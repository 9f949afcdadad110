//! The wall clock of this machine.

use jiff::Timestamp;

use crate::engine::ports::Clock;

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only wall clock; everything else takes `now`")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
