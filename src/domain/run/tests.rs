use jiff::civil::date;

use super::*;
use crate::domain::local_time::When;

const MINUTE: i64 = 60;

/// 2026-11-01 02:00:00Z
fn start() -> Timestamp {
    "2026-11-01T02:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn log(end: LogEnd) -> RunLog {
    RunLog { end, guest_name: Some("web".into()), archive_size: None, complaints: 0, complaint: None }
}

fn finished() -> RunLog {
    log(LogEnd::Finished(Duration::from_secs(600)))
}

fn run(archive: Option<(u64, Timestamp)>, log: Option<RunLog>, unfinished: Option<Timestamp>) -> Run {
    Run {
        name: RunName { kind: GuestKind::Qemu, vmid: 100, local: date(2026, 11, 1).at(2, 0, 0, 0) },
        archives: archive
            .map(|(size, modified)| ArchiveFacts {
                file: "a".into(),
                facts: Ok(FileFacts { size, modified }),
                protected: false,
                note: Some("noted".into()),
            })
            .into_iter()
            .collect(),
        log: ("log".into(), log.map_or(LogFacts::Absent, |log| LogFacts::Read(log.into(), after(610)))),
        unfinished: unfinished.map(|time| ("dat".into(), time)),
    }
}

fn one(run: Run, now: Timestamp) -> Attempt {
    let mut found = attempts(run, &TimeZone::UTC, now);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn archive_with_finished_log_is_complete() {
    let it = one(run(Some((10, after(600))), Some(finished()), None), after(700));
    assert_eq!(it.outcome, Outcome::Complete { warning: None });
    assert_eq!(it.duration, Some(Duration::from_secs(600)));
    assert_eq!(it.guest_name.as_deref(), Some("web"));
    assert_eq!(it.started, When::At(start()));
}

#[test]
fn an_archive_smaller_than_its_log_says_is_no_backup() {
    let mut said = finished();
    said.archive_size = Some(LoggedSize { at_least: 100 });
    let cut = one(run(Some((99, after(600))), Some(said.clone()), None), after(100 * MINUTE));
    assert!(matches!(cut.outcome, Outcome::Failed { .. }));
    let copying = one(run(Some((99, after(600))), Some(said.clone()), None), after(660));
    assert!(matches!(copying.outcome, Outcome::Running { .. }), "its copy is still growing");
    let whole = one(run(Some((100, after(600))), Some(said), None), after(660));
    assert!(matches!(whole.outcome, Outcome::Complete { .. }));
}

#[test]
fn empty_archives_are_never_complete() {
    for log in [None, Some(finished()), Some(log(LogEnd::Open))] {
        let it = one(run(Some((0, after(600))), log, None), after(100 * MINUTE));
        assert!(matches!(it.outcome, Outcome::Failed { .. }));
    }
}

#[test]
fn an_archive_without_a_log_must_have_settled() {
    let fresh = one(run(Some((10, after(600))), None, None), after(660));
    assert!(matches!(fresh.outcome, Outcome::Running { .. }));
    let settled = one(run(Some((10, after(600))), None, None), after(600 + 15 * MINUTE));
    assert_eq!(settled.outcome, Outcome::Complete { warning: None });
    assert_eq!(settled.note.as_deref(), Some("noted"));
}

#[test]
fn a_log_without_an_end_vouches_for_nothing() {
    let of = |age| one(run(Some((10, after(600))), Some(log(LogEnd::Open)), None), after(600 + age)).outcome;
    assert!(matches!(of(15 * MINUTE - 1), Outcome::Running { .. }), "it may be on its way here");
    assert!(matches!(of(15 * MINUTE), Outcome::Complete { warning: Some(_) }));
}

#[test]
fn a_failure_after_the_archive_is_a_warning() {
    let it = one(run(Some((10, after(600))), Some(log(LogEnd::Failed("prune".into()))), None), after(700));
    assert!(matches!(it.outcome, Outcome::Complete { warning: Some(_) }));
}

#[test]
fn a_log_alone_is_a_failed_run_unless_it_finished() {
    let it = one(run(None, Some(log(LogEnd::Failed("no space".into()))), None), after(700));
    assert_eq!(it.outcome, Outcome::Failed { reason: "no space".into() });
    let open = one(run(None, Some(log(LogEnd::Open)), None), after(700));
    assert!(matches!(open.outcome, Outcome::Failed { .. }));
    let gone = one(run(None, Some(finished()), None), after(700));
    assert_eq!(gone.outcome, Outcome::Removed);
}

#[test]
fn unreadable_logs_are_no_proof_of_anything() {
    let mut it = run(None, None, None);
    it.log.1 = LogFacts::Unreadable("permission denied".into());
    assert!(matches!(one(it, after(700)).outcome, Outcome::Failed { .. }));
    let mut it = run(Some((10, after(600))), None, None);
    it.log.1 = LogFacts::Unreadable("permission denied".into());
    assert!(matches!(one(it.clone(), after(700)).outcome, Outcome::Running { .. }), "nothing vouches for it yet");
    assert!(matches!(one(it, after(600 + 15 * MINUTE)).outcome, Outcome::Complete { warning: Some(_) }));
}

#[test]
fn temporary_files_run_until_nobody_writes_them() {
    let it = one(run(None, None, Some(after(600))), after(599 + 60 * MINUTE));
    assert!(matches!(it.outcome, Outcome::Running { .. }));
    let it = one(run(None, None, Some(after(600))), after(600 + 60 * MINUTE));
    assert!(matches!(it.outcome, Outcome::Failed { .. }), "crashed");
    let it = one(run(None, Some(log(LogEnd::Failed("x".into()))), Some(after(600))), after(700));
    assert!(matches!(it.outcome, Outcome::Failed { .. }), "the log is written last: the run is over");
}

#[test]
fn dumps_at_rest_are_complete() {
    let facts = FileFacts { size: 5, modified: start() };
    assert!(matches!(of_dump("a.sql", facts, false, None, after(899)), Outcome::Running { .. }));
    assert!(matches!(of_dump("a.sql", facts, false, None, after(900)), Outcome::Complete { .. }));
    assert!(
        matches!(of_dump("a.sql", facts, true, None, after(1500)), Outcome::Running { .. }),
        "it grew since the last scan"
    );
    let vouched = |age| of_dump("a.sql", facts, false, Some(Sidecar::Md5), after(age));
    assert!(matches!(vouched(119), Outcome::Running { .. }));
    assert!(matches!(vouched(120), Outcome::Complete { .. }), "its checksum was written last");
    let empty = FileFacts { size: 0, modified: start() };
    assert!(matches!(of_dump("a.sql", empty, false, None, after(1500)), Outcome::Failed { .. }));
}

#[test]
fn the_compressed_form_of_nothing_is_no_dump() {
    let of = |file: &str, size| of_dump(file, FileFacts { size, modified: start() }, false, None, after(1500));
    assert!(matches!(of("shop.sql.gz", 20), Outcome::Failed { .. }), "pg_dump | gzip after pg_dump failed");
    assert!(matches!(of("shop.sql.zst", 13), Outcome::Failed { .. }));
    assert!(matches!(of("shop.sql.gz", 64), Outcome::Complete { .. }));
    assert!(matches!(of("shop.sql", 20), Outcome::Complete { .. }));
}

#[test]
fn a_time_in_the_future_is_no_sign_of_writing() {
    let far = after(10 * 3600);
    assert!(matches!(one(run(Some((10, far)), None, None), after(600)).outcome, Outcome::Complete { .. }));
    assert!(matches!(one(run(None, None, Some(far)), after(600)).outcome, Outcome::Failed { .. }));
    let facts = FileFacts { size: 100, modified: far };
    assert!(matches!(of_dump("a.sql", facts, false, None, after(600)), Outcome::Complete { .. }));
}

#[test]
fn a_failed_run_of_a_node_in_another_zone_is_not_lost_in_the_future() {
    // The node is eight hours ahead of the zone that is configured.
    let now = start() - SignedDuration::from_hours(7);
    let mut it = run(None, Some(log(LogEnd::Failed("no space".into()))), None);
    let written = start() - SignedDuration::from_hours(8);
    it.log.1 = match it.log.1 {
        LogFacts::Read(log, _) => LogFacts::Read(log, written),
        other => other,
    };
    assert_eq!(one(it, now).started, When::At(written));
}
