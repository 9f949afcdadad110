use jiff::civil::date;

use super::*;
use std::time::Duration;

use crate::domain::local_time::When;
use crate::domain::rest::{of_dump, of_dump_begun};
use crate::domain::run_log::{Complaint, LoggedSize};

const MINUTE: i64 = 60;

/// 2026-11-01 02:00:00Z
fn start() -> Timestamp {
    "2026-11-01T02:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn log(end: LogEnd) -> RunLog {
    RunLog { end, guest_name: Some("web".into()), ..RunLog::default() }
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
                facts: Ok(FileFacts::new(size, modified)),
                whole: false,
                protected: false,
                note: Some("noted".into()),
                sidecar: None,
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
    assert!(matches!(copying.outcome, Outcome::Settling { .. }), "its copy is still growing");
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
    assert_eq!(fresh.outcome, Outcome::Settling { until: after(600 + 15 * MINUTE) });
    let settled = one(run(Some((10, after(600))), None, None), after(600 + 15 * MINUTE));
    assert_eq!(settled.outcome, Outcome::Complete { warning: None });
    assert_eq!(settled.note.as_deref(), Some("noted"));
}

#[test]
fn a_log_without_an_end_vouches_for_nothing() {
    let of = |age| one(run(Some((10, after(600))), Some(log(LogEnd::Open)), None), after(600 + age)).outcome;
    assert!(matches!(of(15 * MINUTE - 1), Outcome::Settling { .. }), "it may be on its way here");
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
    assert!(matches!(one(it.clone(), after(700)).outcome, Outcome::Settling { .. }), "nothing vouches for it yet");
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
    let facts = FileFacts::new(5, start());
    assert!(matches!(of_dump("a.sql", facts, false, None, after(899)), Outcome::Running { .. }));
    assert!(matches!(of_dump("a.sql", facts, false, None, after(900)), Outcome::Complete { .. }));
    assert!(
        matches!(of_dump("a.sql", facts, true, None, after(1500)), Outcome::Running { .. }),
        "it grew since the last scan"
    );
    let vouched = |age| of_dump("a.sql", facts, false, Some(Sidecar::Md5), after(age));
    assert!(matches!(vouched(119), Outcome::Running { .. }));
    assert!(matches!(vouched(120), Outcome::Complete { .. }), "its checksum was written last");
    let empty = FileFacts::new(0, start());
    assert!(matches!(of_dump("a.sql", empty, false, None, after(1500)), Outcome::Failed { .. }));
}

#[test]
fn the_compressed_form_of_nothing_is_no_dump() {
    let of = |file: &str, size| of_dump(file, FileFacts::new(size, start()), false, None, after(1500));
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
    let facts = FileFacts::new(100, far);
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

#[test]
fn a_log_that_is_not_understood_is_no_interrupted_run() {
    let strange = || Some(log(LogEnd::Foreign));
    let it = one(run(Some((10, after(600))), strange(), None), after(600 + 15 * MINUTE));
    let Outcome::Complete { warning: Some(text) } = it.outcome else { panic!("{it:?}") };
    assert!(text.contains("understood") && !text.contains("interrupted"), "{text}");
    let it = one(run(Some((10, after(600))), strange(), None), after(660));
    assert!(matches!(it.outcome, Outcome::Settling { .. }), "it vouches for nothing");
    let it = one(run(None, strange(), None), after(700));
    let Outcome::Failed { reason } = it.outcome else { panic!("{it:?}") };
    assert!(reason.contains("understood") && !reason.contains("interrupted"), "{reason}");
}

#[test]
fn the_first_and_the_worst_complaint_are_shown() {
    let of = |complaints: &[(bool, &str)], count| {
        let mut said = finished();
        said.complaints =
            complaints.iter().map(|(error, text)| Complaint { error: *error, text: (*text).into() }).collect();
        said.complaint_count = count;
        match one(run(Some((10, after(600))), Some(said), None), after(700)).outcome {
            Outcome::Complete { warning: Some(text) } => text.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(&[(false, "w")], 1), "w");
    assert_eq!(of(&[(true, "e"), (false, "w")], 2), "e (and 1 more in its log)");
    assert_eq!(of(&[(false, "w"), (false, "v"), (true, "e")], 3), "w; e (and 1 more in its log)");
    assert_eq!(of(&[(false, "w"), (true, "e")], 2), "w; e");
}

#[test]
fn an_archive_that_was_just_copied_is_judged_by_its_log_or_its_checksum_file() {
    let days = 5 * 24 * 60 * MINUTE;
    let copied = |log| run(Some((10, after(days))), log, None);
    let alone = one(copied(None), after(days + 60));
    assert_eq!(alone.outcome, Outcome::Settling { until: after(days + 15 * MINUTE) });
    assert_eq!(alone.started, When::At(start()));
    assert_eq!(one(copied(None), after(days + 15 * MINUTE)).outcome, Outcome::Complete { warning: None });
    assert_eq!(one(copied(Some(finished())), after(days + 1)).outcome, Outcome::Complete { warning: None });
    let mut summed = copied(None);
    summed.archives[0].sidecar = Some(Sidecar::Sha256);
    assert!(matches!(one(summed.clone(), after(days + 119)).outcome, Outcome::Settling { .. }));
    let summed = one(summed, after(days + 120));
    assert_eq!((summed.outcome, summed.sidecar), (Outcome::Complete { warning: None }, Some(Sidecar::Sha256)));
}

#[test]
fn a_dump_whose_name_is_days_older_than_its_write_was_copied() {
    let written = Outcome::Running { last_write: after(0) };
    let begun = |hours: i64| When::At(after(-hours * 60 * MINUTE));
    assert_eq!(of_dump_begun(begun(24), written.clone()), written, "a slow one");
    let until = after(15 * MINUTE);
    assert_eq!(of_dump_begun(begun(25), written.clone()), Outcome::Settling { until });
    assert_eq!(of_dump_begun(When::Future, written.clone()), written);
    let complete = Outcome::Complete { warning: None };
    assert_eq!(of_dump_begun(begun(25), complete.clone()), complete);
}

#[test]
fn an_inode_that_changed_is_told_from_a_file_written_again() {
    let before = FileFacts { changed: Some(start()), ..FileFacts::new(5, start()) };
    let now = FileFacts { changed: Some(after(1)), ..before };
    assert!(now.is_touched(before) && !before.is_touched(before));
    assert!(!FileFacts { size: 6, ..now }.is_touched(before), "it is another one altogether");
    assert!(!now.is_touched(FileFacts::new(5, start())) && !FileFacts::new(5, start()).is_touched(now), "not known");
}
