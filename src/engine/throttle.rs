//! Bytes per second, shared by everything that reads.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Who waits looks so often whether it should stop.
const SLICE: Duration = Duration::from_millis(100);

/// So much may be read at once after a pause: what a second is worth would be a burst that others notice.
const BURST: Duration = Duration::from_millis(250);

/// A limit of bytes per second.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: Option<u64>,
    /// When everything that was taken so far is paid for.
    paid: Mutex<Instant>,
}

impl Throttle {
    /// At most so many bytes per second; no limit without a number.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second: bytes_per_second.filter(|rate| *rate > 0), paid: Mutex::new(Instant::now()) }
    }

    /// Takes bytes that were read, and waits until they are paid for. `false` when `stopped` said so meanwhile.
    pub fn take(&self, bytes: u64, stopped: impl Fn() -> bool) -> bool {
        let Some(rate) = self.bytes_per_second else { return true };
        let price = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let due = {
            let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            *paid = (*paid).max(now.checked_sub(BURST).unwrap_or(now)) + price;
            *paid
        };
        loop {
            if stopped() {
                return false;
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(SLICE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_nobody_waits() {
        let throttle = Throttle::new(None);
        assert!(throttle.take(u64::MAX, || unreachable!()));
        assert!(Throttle::new(Some(0)).take(u64::MAX, || unreachable!()));
    }

    #[test]
    fn who_is_stopped_does_not_wait_for_its_turn() {
        let throttle = Throttle::new(Some(1));
        assert!(!throttle.take(1 << 40, || true));
    }

    #[test]
    fn what_was_taken_is_paid_for() {
        let throttle = Throttle::new(Some(1_000_000));
        let before = Instant::now();
        for _ in 0..10 {
            assert!(throttle.take(50_000, || false));
        }
        // Half a second's worth, less the burst.
        assert!(before.elapsed() >= Duration::from_millis(240));
    }
}
