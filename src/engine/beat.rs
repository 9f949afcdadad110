//! Everybody who looks now and then whether there is something to do looks at the same moment: an idle machine wakes every two
//! seconds, and not once for each of them.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The pause between two looks.
pub const BEAT: Duration = Duration::from_secs(2);

/// A moment that all of them count from.
fn first() -> Instant {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let now = Instant::now();
    // A test may have a clock of its own that stands before it.
    *FIRST.get_or_init(|| now).min(&now)
}

/// The next moment at which everybody looks: at most one beat away.
fn next() -> Instant {
    let since = Instant::now().saturating_duration_since(first());
    let beats = u64::try_from(since.as_millis() / BEAT.as_millis()).unwrap_or_default();
    first() + BEAT * u32::try_from(beats + 1).unwrap_or(u32::MAX)
}

/// Ticks at once, and then at each beat; one that is missed isn't made up for. A tick that nobody waited for to its end isn't lost.
#[derive(Debug)]
pub struct Beats(Instant);

impl Beats {
    /// Ticks at once.
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// The next tick.
    pub async fn tick(&mut self) {
        sleep_until(self.0).await;
        self.0 = next();
    }
}

impl Default for Beats {
    fn default() -> Self {
        Self::new()
    }
}

/// Waits for the next beat.
pub async fn beat() {
    sleep_until(next()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_look_at_the_same_moment() {
        let mut one = Beats::new();
        one.tick().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut other = Beats::new();
        other.tick().await;
        let begun = Instant::now();
        tokio::join!(one.tick(), other.tick(), beat());
        let took = begun.elapsed();
        assert!(took > Duration::ZERO && took <= BEAT, "{took:?}");
        let (a, b) = (one.0, other.0);
        assert_eq!(a, b);
        tokio::time::sleep(BEAT * 5 / 2).await;
        let late = Instant::now();
        one.tick().await;
        assert_eq!(late.elapsed(), Duration::ZERO, "one that is late ticks at once");
        one.tick().await;
        assert!(late.elapsed() <= BEAT, "and once only");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_that_was_given_up_is_not_lost() {
        let mut beats = Beats::new();
        beats.tick().await;
        for _ in 0..30 {
            tokio::select! {
                biased;
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                () = beats.tick() => return,
            }
        }
        panic!("it never ticked");
    }
}
