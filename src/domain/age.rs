//! Durations and sizes in words for people.

use std::time::Duration;

/// The two largest units of a duration: `3d 4h`, `12m 5s`, `0s`.
pub fn words(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let seconds = duration.as_secs();
    let largest = UNITS.iter().position(|(length, _)| seconds >= *length).unwrap_or(3);
    let mut text = format!("{}{}", seconds / UNITS[largest].0, UNITS[largest].1);
    if let Some((length, unit)) = UNITS.get(largest + 1) {
        let rest = seconds % UNITS[largest].0 / length;
        if rest > 0 {
            text.push_str(&format!(" {rest}{unit}"));
        }
    }
    text
}

/// A number of bytes with a binary unit: `5.4 GiB`, `17 B`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let step = (count.ilog2() / 10) as usize;
    let value = count as f64 / 1024f64.powi(step as i32);
    format!("{value:.1} {}", UNITS[step - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_words() {
        let of = |seconds| words(Duration::from_secs(seconds));
        assert_eq!([of(0), of(59), of(60), of(3_725), of(90_000)], ["0s", "59s", "1m", "1h 2m", "1d 1h"]);
        assert_eq!(words(Duration::MAX).split(' ').count(), 2);
        assert_eq!([bytes(0), bytes(1023), bytes(1536)], ["0 B", "1023 B", "1.5 KiB"]);
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }
}
