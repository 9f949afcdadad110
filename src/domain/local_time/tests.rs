use jiff::ToSpan;
use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn no_witness() -> Witness {
    Witness::default()
}

#[test]
fn an_ordinary_time_uses_the_zone() {
    let when = resolve(date(2026, 1, 10).at(2, 0, 5, 0), &berlin(), no_witness(), at("2026-01-11T00:00:00Z"));
    assert_eq!(when, When::At(at("2026-01-10T01:00:05Z")));
}

#[test]
fn the_repeated_hour_follows_the_log_and_else_the_older_reading() {
    // 2026-10-25 02:30 happens at 00:30Z and again at 01:30Z.
    let local = date(2026, 10, 25).at(2, 30, 0, 0);
    let now = at("2026-10-26T00:00:00Z");
    let seen = |modified: Option<&str>, minutes: Option<u64>| {
        let witness = Witness { modified: modified.map(at), duration: minutes.map(|m| Duration::from_secs(m * 60)) };
        resolve(local, &berlin(), witness, now).known().unwrap()
    };
    let first = at("2026-10-25T00:30:00Z");
    let second = at("2026-10-25T01:30:00Z");
    assert_eq!(seen(None, None), first);
    assert_eq!(seen(Some("2026-10-25T00:45:00Z"), None), first, "written before the second pass began");
    assert_eq!(seen(Some("2026-10-25T01:40:00Z"), Some(10)), second);
    assert_eq!(seen(Some("2026-10-25T01:40:00Z"), Some(70)), first, "a run of 70 minutes began an hour before");
    assert_eq!(seen(Some("2026-10-25T01:40:00Z"), None), first, "undecided: the older one");
}

#[test]
fn an_hour_that_never_was_reads_as_the_earlier_side() {
    // 2026-03-29 02:30 does not exist in Berlin.
    let when = resolve(date(2026, 3, 29).at(2, 30, 0, 0), &berlin(), no_witness(), at("2026-04-01T00:00:00Z"));
    assert_eq!(when, When::At(at("2026-03-29T00:30:00Z")));
}

#[test]
fn a_start_after_the_last_write_is_a_wrong_zone() {
    let witness = Witness { modified: Some(at("2026-01-09T18:30:00Z")), duration: None };
    let when = resolve(date(2026, 1, 10).at(2, 0, 0, 0), &TimeZone::UTC, witness, at("2026-01-10T03:00:00Z"));
    assert_eq!(when, When::At(at("2026-01-09T18:30:00Z")));
}

#[test]
fn a_name_far_after_the_last_write_tells_nothing() {
    let witness = Witness { modified: Some(at("2026-01-10T02:00:00Z")), duration: None };
    let of = |local| resolve(local, &TimeZone::UTC, witness, at("2026-01-10T08:00:00Z"));
    assert_eq!(of(date(2029, 1, 10).at(2, 0, 0, 0)), When::Future, "an old copy of a node with a wrong clock");
    assert_eq!(of(date(2026, 1, 11).at(4, 0, 0, 0)), When::At(at("2026-01-10T02:00:00Z")));
    assert_eq!(of(date(2026, 1, 11).at(4, 0, 1, 0)), When::Future);
}

#[test]
fn the_future_is_no_time_but_a_little_skew_is_now() {
    let now = at("2026-01-10T00:00:00Z");
    assert_eq!(not_after(now + 5.minutes(), now), When::At(now));
    assert_eq!(not_after(now + 5.minutes() + 1.nanosecond(), now), When::Future);
    let late = Witness { modified: Some(at("2027-01-01T00:00:00Z")), duration: None };
    assert_eq!(resolve(date(2026, 6, 1).at(2, 0, 0, 0), &berlin(), late, now), When::Future);
}

#[test]
fn the_edges_of_the_calendar_do_not_panic() {
    for local in [DateTime::MIN, DateTime::MAX] {
        resolve(local, &berlin(), no_witness(), at("2026-01-01T00:00:00Z"));
    }
}

proptest! {
    /// Whatever the name and the witnesses say: never in the future, never fresher than the last write.
    #[test]
    fn never_fresher_than_the_evidence(
        local in -5_000_000_000i64..5_000_000_000,
        modified in proptest::option::of(-5_000_000_000i64..5_000_000_000),
        duration in proptest::option::of(0u64..1_000_000),
        now in -5_000_000_000i64..5_000_000_000,
    ) {
        let now = Timestamp::from_second(now).unwrap();
        let local = TimeZone::UTC.to_datetime(Timestamp::from_second(local).unwrap());
        let witness = Witness {
            modified: modified.map(|s| Timestamp::from_second(s).unwrap()),
            duration: duration.map(Duration::from_secs),
        };
        if let When::At(time) = resolve(local, &berlin(), witness, now) {
            prop_assert!(time <= now);
            if let Some(modified) = witness.modified {
                prop_assert!(time <= modified || modified > now);
            }
        }
    }

    /// A name written by a node at a real moment reads back as that moment, unless the fold hides which pass it was.
    #[test]
    fn names_read_back_as_the_moment_they_were_written(second in 1_600_000_000i64..1_900_000_000, run in 1u64..3_000) {
        let start = Timestamp::from_second(second).unwrap();
        let local = berlin().to_datetime(start);
        let modified = Timestamp::from_second(second + run as i64).unwrap();
        let witness = Witness { modified: Some(modified), duration: Some(Duration::from_secs(run)) };
        let now = Timestamp::from_second(second + 10_000).unwrap();
        prop_assert_eq!(resolve(local, &berlin(), witness, now), When::At(start));
    }
}
