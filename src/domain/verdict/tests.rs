use proptest::prelude::*;

use super::*;
use crate::domain::ids::GuestKind;
use crate::domain::item::{FailedAttempt, Newest, Running};
use crate::domain::local_time::When;
use crate::domain::look::{ErrorKind, LookError, PlaceSpec, SourceKind};
use crate::domain::policy::{Expectation, Matcher};

const HOUR: i64 = 3600;

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() - seconds).unwrap()
}

fn spec() -> SourceSpec {
    let root = PlaceSpec { path: "/x".into(), medium: crate::domain::look::Medium::Local, node: None, readable: true };
    SourceSpec {
        name: "s".parse().unwrap(),
        kind: SourceKind::new("vzdump"),
        places: vec![root.clone(), root],
        expected: Vec::new(),
        exclude: Matcher::default(),
        scan_interval: Duration::from_secs(120),
        scan_timeout: Duration::from_secs(60),
    }
}

fn health() -> Health {
    Health { last_scan: Some(ago(10)), last_success: Some(ago(10)), blind: vec![false, false], ..Health::default() }
}

fn blind(root: usize) -> Health {
    let mut it = health();
    it.blind[root] = true;
    it.problems = vec![LookError::new(ErrorKind::NotMounted, "not mounted")];
    it
}

fn item(age: Option<i64>) -> Item {
    Item {
        id: crate::domain::ids::ItemId::guest(GuestKind::Qemu, 100),
        name: None,
        environment: None,
        node: None,
        standing: Standing::Judged,
        expectation: Expectation {
            interval: Some(Duration::from_secs(24 * 3600)),
            grace: Duration::from_secs(3 * 3600),
            minimum_size: 1,
        },
        newest: age.map(|age| Newest {
            started: ago(age),
            size: 1,
            duration: None,
            file: "f".into(),
            root: 0,
            sidecar: None,
            log: None,
        }),
        newest_by_root: age.map(|age| (0, ago(age))).into_iter().collect(),
        last_attempt: None,
        failure: None,
        running: None,
        copies: u32::from(age.is_some()),
        stored_bytes: 0,
        protected_copies: 0,
        media: [0; 4],
        size_deviation: None,
        future: 0,
        onboot: None,
        left_out: None,
        proof: ItemProof::Off,
        notes: Vec::new(),
    }
}

fn state(item: &Item, health: &Health) -> BackupState {
    let verdict = judge(item, health, &spec(), now()).unwrap();
    assert!(!explain(verdict, item, health, now()).is_empty());
    verdict.state
}

#[test]
fn by_age() {
    for (age, expected) in [
        (0, BackupState::Ok),
        (27 * HOUR, BackupState::Ok),
        (27 * HOUR + 1, BackupState::Late),
        (48 * HOUR, BackupState::Late),
        (48 * HOUR + 1, BackupState::Missing),
    ] {
        assert_eq!(state(&item(Some(age)), &health()), expected, "{age}");
    }
    assert_eq!(state(&item(None), &health()), BackupState::Missing);
}

#[test]
fn failed_and_running_come_before_age() {
    let mut it = item(Some(1));
    it.failure = Some(FailedAttempt { at: When::At(now()), reason: "x".into(), root: 0 });
    assert_eq!(state(&it, &health()), BackupState::Failed);
    it.running = Some(Running { since: now(), settles: None, root: 0 });
    assert_eq!(state(&it, &health()), BackupState::Running);
}

#[test]
fn a_copy_of_an_old_backup_has_not_been_running_for_days() {
    let mut it = item(None);
    let until = now() + jiff::SignedDuration::from_mins(15);
    it.running = Some(Running { since: ago(5 * 24 * HOUR), settles: Some(until), root: 0 });
    let verdict = judge(&it, &health(), &spec(), now()).unwrap();
    let text = explain(verdict, &it, &health(), now());
    assert_eq!(verdict.state, BackupState::Running);
    assert!(text.contains("written just now") && text.ends_with("judged in 15m"), "{text}");
    assert!(!text.contains("running for"), "{text}");
}

#[test]
fn what_could_not_be_seen_is_unknown() {
    assert_eq!(state(&item(Some(1)), &Health::default()), BackupState::Unknown, "never scanned");
    let mut old = health();
    old.last_scan = Some(ago(421));
    assert_eq!(state(&item(Some(1)), &old), BackupState::Unknown, "not scanned lately");
    old.last_scan = Some(ago(420));
    assert_eq!(state(&item(Some(1)), &old), BackupState::Ok);
    assert_eq!(state(&item(Some(1)), &blind(0)), BackupState::Unknown, "its own directory");
    assert_eq!(state(&item(Some(1)), &blind(1)), BackupState::Ok, "fresh in the directory that can be read");
    assert_eq!(state(&item(Some(30 * HOUR)), &blind(1)), BackupState::Unknown, "a fresher one may lie in the other");
    assert_eq!(state(&item(None), &blind(1)), BackupState::Unknown);
}

#[test]
fn what_was_seen_counts_as_long_as_it_can_be_seen() {
    let mut it = item(Some(1));
    it.failure = Some(FailedAttempt { at: When::At(now()), reason: "x".into(), root: 1 });
    assert_eq!(state(&it, &blind(0)), BackupState::Failed);
    assert_eq!(state(&it, &blind(1)), BackupState::Unknown, "a remembered failure may be mended by now");
    let mut it = item(Some(1));
    it.running = Some(Running { since: now(), settles: None, root: 1 });
    assert_eq!(state(&it, &blind(1)), BackupState::Ok, "the run isn't seen any more, the fresh backup is");
}

#[test]
fn an_older_copy_that_is_seen_is_evidence_too() {
    let mut it = item(Some(1));
    it.newest_by_root = vec![(0, ago(1)), (1, ago(20 * HOUR))];
    assert_eq!(state(&it, &blind(0)), BackupState::Ok);
    it.newest_by_root[1].1 = ago(28 * HOUR);
    assert_eq!(state(&it, &blind(0)), BackupState::Unknown);
}

#[test]
fn the_older_copy_ceases_to_be_evidence_before_the_newest_is_late() {
    let mut it = item(Some(HOUR));
    it.newest_by_root = vec![(0, ago(HOUR)), (1, ago(20 * HOUR))];
    let slow = SourceSpec { scan_interval: Duration::from_secs(1_000_000), ..spec() };
    let until = next_change(&it, &blind(0), &slow, now()).unwrap();
    assert_eq!(until, ago(-7 * HOUR), "20 h old now, evidence until 27 h");
    let state = |time| judge(&it, &blind(0), &slow, time).unwrap().state;
    assert_eq!((state(until), state(ago(-7 * HOUR - 1))), (BackupState::Ok, BackupState::Unknown));
}

#[test]
fn whose_archives_they_are_must_be_known() {
    let never = Health { guests_never_seen: true, ..health() };
    assert_eq!(state(&item(Some(1)), &never), BackupState::Unknown);
    assert_eq!(unprotected(&item(None), &never), None);
}

#[test]
fn the_future_is_unknown() {
    let mut it = item(None);
    it.future = 1;
    assert_eq!(state(&it, &health()), BackupState::Unknown);
    assert_eq!(state(&item(Some(-10)), &health()), BackupState::Unknown, "the clock was set back");
}

#[test]
fn only_judged_items_have_a_state() {
    for standing in [Standing::Excluded, Standing::Template, Standing::Retired] {
        let mut it = item(None);
        it.standing = standing;
        assert_eq!(judge(&it, &health(), &spec(), now()), None);
        assert_eq!(unprotected(&it, &health()), None);
    }
}

#[test]
fn unprotected_only_when_everything_could_be_seen() {
    assert_eq!(unprotected(&item(None), &health()), Some(true));
    assert_eq!(unprotected(&item(None), &blind(1)), None);
    assert_eq!(unprotected(&item(Some(1)), &blind(1)), Some(false));
    assert_eq!(unprotected(&item(Some(1)), &blind(0)), None, "remembered, not seen");
}

proptest! {
    /// `ok` needs a backup within its interval, in a directory that was seen lately.
    #[test]
    fn ok_always_has_evidence(
        age in proptest::option::of(-100_000i64..400_000),
        scan in proptest::option::of(-1_000i64..2_000),
        blinds in proptest::array::uniform2(any::<bool>()),
        failure in proptest::option::of(0usize..2),
        running in proptest::option::of(0usize..2),
        future in 0u32..2,
    ) {
        let mut it = item(age);
        it.failure = failure.map(|root| FailedAttempt { at: When::At(now()), reason: "x".into(), root });
        it.running = running.map(|root| Running { since: now(), settles: None, root });
        it.future = future;
        let seen = Health { last_scan: scan.map(ago), blind: blinds.to_vec(), ..health() };
        let verdict = judge(&it, &seen, &spec(), now()).unwrap();
        if verdict.state == BackupState::Ok {
            let age = age.unwrap();
            prop_assert!((0..=27 * HOUR).contains(&age));
            prop_assert!(!blinds[0]);
            prop_assert!(scan.unwrap() <= 420);
            prop_assert!(failure.is_none());
        }
    }

    /// Between now and the announced moment nothing changes; after it something may.
    #[test]
    fn verdicts_hold_until_the_next_change(
        age in proptest::option::of(0i64..400_000),
        older in proptest::option::of(0i64..400_000),
        blinds in proptest::array::uniform2(any::<bool>()),
        scan in 0i64..2_000,
        wait in 0i64..400_000,
    ) {
        let mut it = item(age);
        if let (Some(age), Some(older)) = (age, older) {
            it.newest_by_root.push((1, ago(age + older)));
        }
        // Scans go on, as they do; only the backups get older.
        let patient = SourceSpec { scan_interval: Duration::from_secs(1_000_000), ..spec() };
        let seen = Health { last_scan: Some(ago(scan)), blind: blinds.to_vec(), ..health() };
        let later = Timestamp::from_second(now().as_second() + wait).unwrap();
        for spec in [spec(), patient] {
            let until = next_change(&it, &seen, &spec, now());
            if until.is_none_or(|until| later <= until) {
                prop_assert_eq!(judge(&it, &seen, &spec, now()), judge(&it, &seen, &spec, later));
            }
        }
    }
}
