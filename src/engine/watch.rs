//! Notices a reading whose thread hangs: a call into the operating system that doesn't return.
//!
//! A read from a dead network share can't be cancelled; whoever waits for the thread waits for ever. So threads say when
//! they go into such a call and when they are back ([`Calls`]), and somebody else looks ([`Watch`]). What takes long
//! without standing in a call (decoding, waiting for the rate) is at work, and not given up. The time is that of
//! the monotonic clock, which doesn't run while the machine sleeps: a resume gives nobody up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::domain::age;

/// How long a call that goes on after the end of the time for the whole archive is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// Counts calls into the operating system that may never return: odd while in one.
#[derive(Debug, Default)]
pub struct Calls(AtomicU64);

impl Calls {
    /// Makes such a call.
    pub fn make<T>(&self, call: impl FnOnce() -> T) -> T {
        struct Back<'a>(&'a AtomicU64);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        let _back = Back(&self.0);
        call()
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// For how long what may pass.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One call may take so long.
    pub stall: Duration,
    /// The whole reading may take so long.
    pub whole: Duration,
}

/// Which limit a hanging thread is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// One call takes too long.
    Stall,
    /// The reading takes too long, and its thread can't say so itself.
    Whole,
}

impl Beyond {
    /// Why nothing is known.
    pub fn reason(self, limits: Limits) -> String {
        match self {
            Self::Stall => {
                let stall = age::words(limits.stall);
                format!("reading it stood still for {stall} (stall_timeout): does its share answer?")
            }
            Self::Whole => {
                let whole = age::words(limits.whole);
                format!("it took longer than {whole} (archive_timeout), and stood still: does its share answer?")
            }
        }
    }
}

/// Looks at the calls of one thread again and again.
#[derive(Debug)]
pub struct Watch {
    seen: u64,
    since: Instant,
    begun: Instant,
}

impl Watch {
    /// A watch over a reading that begins now.
    pub fn new(now: Instant) -> Self {
        Self { seen: 0, since: now, begun: now }
    }

    /// Whether the thread hangs in a call.
    pub fn hangs(&mut self, calls: &Calls, limits: Limits, now: Instant) -> Option<Beyond> {
        let seen = calls.now();
        if seen != self.seen {
            (self.seen, self.since) = (seen, now);
        }
        let stands = now.saturating_duration_since(self.since);
        match seen % 2 == 1 {
            false => None,
            true if stands >= limits.stall => Some(Beyond::Stall),
            true => {
                let late = now.saturating_duration_since(self.begun) > limits.whole.saturating_add(GRACE);
                (late && stands >= GRACE).then_some(Beyond::Whole)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { stall: Duration::from_secs(300), whole: Duration::from_secs(3600) };

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn only_who_stands_in_one_call_for_long_hangs() {
        let (calls, start) = (Calls::default(), Instant::now());
        let mut watch = Watch::new(start);
        // Decoding for hours.
        assert_eq!(watch.hangs(&calls, LIMITS, after(start, 100_000)), None);
        let mut watch = Watch::new(start);
        calls.make(|| {
            assert_eq!(watch.hangs(&calls, LIMITS, after(start, 1)), None);
            assert_eq!(watch.hangs(&calls, LIMITS, after(start, 300)), None);
            assert_eq!(watch.hangs(&calls, LIMITS, after(start, 301)), Some(Beyond::Stall));
        });
        assert_eq!(watch.hangs(&calls, LIMITS, after(start, 302)), None);
        // Another call, seen for the first time.
        calls.make(|| assert_eq!(watch.hangs(&calls, LIMITS, after(start, 900)), None));
    }

    #[test]
    fn the_whole_time_ends_a_call_that_the_thread_can_not_end_itself() {
        let (calls, start) = (Calls::default(), Instant::now());
        let mut watch = Watch::new(start);
        calls.make(|| {
            assert_eq!(watch.hangs(&calls, LIMITS, after(start, 3_600)), None);
            assert_eq!(watch.hangs(&calls, LIMITS, after(start, 3_604)), None);
            assert_eq!(watch.hangs(&calls, LIMITS, after(start, 3_606)), Some(Beyond::Whole));
        });
    }

    #[test]
    fn a_panic_in_a_call_ends_it() {
        let calls = Calls::default();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| calls.make(|| panic!("a defect"))));
        assert!(panicked.is_err() && calls.now() == 2);
    }
}
