//! How long to wait before the next try.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(2);

/// The longest pause of our own.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// The longest between two tries at what a person has to mend.
const LONGEST_SLOW: Duration = Duration::from_secs(15 * 60);

/// The longest pause that another side may ask for.
const MOST_OBEYED: Duration = Duration::from_secs(60 * 60);

/// The pause after so many failed tries; doubles each time. `asked` is what the other side wants at least. `random`
/// spreads the tries of many by up to a quarter, always later.
pub fn pause(tries: u32, asked: Option<Duration>, random: u8) -> Duration {
    let own = FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST);
    let least = asked.map_or(own, |asked| asked.min(MOST_OBEYED).max(Duration::from_secs(1)));
    (least + least * u32::from(random) / 1024).min(LONGEST.max(least + Duration::from_secs(10)))
}

/// The pause after so many refusals that only a person can end: nothing is gained by haste, and who asks too often with a
/// wrong password is locked out.
pub fn slow(tries: u32, first: Duration, random: u8) -> Duration {
    let own = first.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST_SLOW);
    own + own * u32::from(random) / 1024
}

/// A random byte; the same one where the system has none to give.
pub fn random() -> u8 {
    let mut byte = [128];
    // Without it the tries are less spread, nothing else.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_five_minutes() {
        let seconds: Vec<u64> = (1..=10).map(|tries| pause(tries, None, 0).as_secs()).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause(u32::MAX, None, 0), LONGEST);
        assert!(pause(3, None, 255) > pause(3, None, 0) && pause(3, None, 255) <= Duration::from_secs(10));
    }

    #[test]
    fn what_a_person_mends_is_tried_four_times_an_hour_at_last() {
        let minutes: Vec<u64> = (1..=7).map(|tries| slow(tries, Duration::from_secs(60), 0).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 15, 15, 15]);
        assert!(slow(u32::MAX, Duration::from_secs(60), 255) < Duration::from_secs(20 * 60));
    }

    #[test]
    fn what_the_other_side_asks_for_is_obeyed() {
        assert_eq!(pause(1, Some(Duration::from_secs(7)), 0), Duration::from_secs(7));
        assert!(pause(9, Some(Duration::from_secs(7)), 255) < Duration::from_secs(9));
        assert!(pause(1, Some(Duration::from_secs(600)), 255) >= Duration::from_secs(600));
        assert!(pause(1, Some(Duration::from_secs(10_000_000)), 0) <= MOST_OBEYED);
        assert!(pause(1, Some(Duration::ZERO), 0) >= Duration::from_secs(1));
    }
}
