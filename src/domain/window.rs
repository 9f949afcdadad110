//! A time of day at which something may be done.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// From one time of day to another, over midnight where the second is the earlier one.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Begins.
    pub from: Time,
    /// Ends.
    pub to: Time,
    /// The zone that both are of.
    pub zone: TimeZone,
}

impl Window {
    /// Reads `22:00-06:00`.
    pub fn parse(text: &str, zone: TimeZone) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        let (from, to) = (time(from)?, time(to)?);
        (from != to).then_some(Self { from, to, zone })
    }

    /// Whether `now` lies in it.
    pub fn contains(&self, now: Timestamp) -> bool {
        let time = now.to_zoned(self.zone.clone()).time();
        if self.from < self.to { self.from <= time && time < self.to } else { self.from <= time || time < self.to }
    }

    /// When it ends next, after `now`. Where a clock change swallows that time of day, when the clock is beyond it.
    pub fn end_after(&self, now: Timestamp) -> Timestamp {
        let today = now.to_zoned(self.zone.clone()).date();
        let ends = [Some(today), today.tomorrow().ok(), today.tomorrow().and_then(|day| day.tomorrow()).ok()];
        ends.into_iter()
            .flatten()
            .filter_map(|day| Some(day.to_datetime(self.to).to_zoned(self.zone.clone()).ok()?.timestamp()))
            .find(|end| *end > now)
            .unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}:00Z").parse().unwrap()
    }

    #[test]
    fn over_midnight_and_within_a_day() {
        let night = Window::parse("22:00-06:00", TimeZone::UTC).unwrap();
        assert!(night.contains(at("22:00")) && night.contains(at("00:00")) && night.contains(at("05:59")));
        assert!(!night.contains(at("06:00")) && !night.contains(at("21:59")));
        let day = Window::parse("08:30-17:00", TimeZone::get("Europe/Berlin").unwrap()).unwrap();
        assert!(day.contains(at("07:30")) && !day.contains(at("07:29")) && !day.contains(at("16:00")));
    }

    #[test]
    fn the_next_end() {
        let night = Window::parse("22:00-06:00", TimeZone::UTC).unwrap();
        assert_eq!(night.end_after(at("05:59")), at("06:00"));
        assert_eq!(night.end_after(at("06:00")).to_string(), "2026-11-22T06:00:00Z");
        let spring = Window::parse("22:00-02:30", TimeZone::get("Europe/Berlin").unwrap()).unwrap();
        let end = spring.end_after("2026-03-28T22:00:00Z".parse().unwrap());
        assert_eq!(end.to_string(), "2026-03-29T01:30:00Z");
    }

    #[test]
    fn what_is_no_window() {
        for text in ["", "22:00", "22:00-22:00", "25:00-06:00", "22-6", "a:b-c:d", "22:00-06:60"] {
            assert_eq!(Window::parse(text, TimeZone::UTC), None, "{text}");
        }
    }
}
