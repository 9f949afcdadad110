use super::*;
use crate::domain::ids::GuestKind;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + hour * 3600).unwrap()
}

fn attempt(hour: i64, size: u64, outcome: Outcome) -> Attempt {
    Attempt {
        item: ItemId::guest(GuestKind::Qemu, 100),
        started: When::At(at(hour)),
        outcome,
        file: format!("file-{hour}").into(),
        size,
        modified: None,
        changed: None,
        log: None,
        duration: None,
        guest_name: Some("web".into()),
        note: None,
        protected: false,
        sidecar: None,
    }
}

fn good(hour: i64, size: u64) -> Attempt {
    attempt(hour, size, Outcome::Complete { warning: None })
}

fn failed(hour: i64) -> Attempt {
    attempt(hour, 0, Outcome::Failed { reason: "no space".into() })
}

fn frame(guest: Option<&Guest>) -> Frame<'_> {
    Frame {
        id: ItemId::guest(GuestKind::Qemu, 100),
        guest,
        environment: None,
        standing: Standing::Judged,
        expectation: Expectation {
            interval: Some(Duration::from_secs(86_400)),
            grace: Duration::from_secs(3_600),
            minimum_size: 10,
        },
        node_lost: false,
        proofs: &Proofs::Off,
    }
}

fn root(medium: Medium) -> PlaceSpec {
    PlaceSpec { path: "/x".into(), medium, node: Some("pve1".into()), readable: true }
}

fn item(attempts: &[(usize, Attempt)]) -> Item {
    let all: Vec<(usize, &Attempt)> = attempts.iter().map(|(root, attempt)| (*root, attempt)).collect();
    Item::of(frame(None), &all, &[root(Medium::Local), root(Medium::Offsite)])
}

fn here(attempts: Vec<Attempt>) -> Item {
    item(&attempts.into_iter().map(|attempt| (0, attempt)).collect::<Vec<_>>())
}

#[test]
fn the_newest_complete_backup_counts_whatever_the_order() {
    let it = here(vec![good(24, 100), good(72, 120), good(48, 110)]);
    assert_eq!(it.newest.unwrap().started, at(72));
    assert_eq!((it.copies, it.stored_bytes), (3, 330));
    assert_eq!(it.name.as_deref(), Some("web"));
    assert_eq!(it.node.as_deref(), Some("pve1"));
}

#[test]
fn an_old_failure_is_forgotten_and_a_new_one_is_not() {
    assert_eq!(here(vec![failed(24), good(48, 100)]).failure, None);
    let it = here(vec![good(24, 100), failed(48)]);
    assert_eq!(it.failure.unwrap().at, When::At(at(48)));
    assert_eq!(it.newest.unwrap().started, at(24));
    assert_eq!(it.last_attempt, Some(at(48)));
}

#[test]
fn too_small_is_a_failure_and_no_copy() {
    let it = here(vec![good(24, 100), good(48, 9)]);
    assert_eq!(it.newest.as_ref().unwrap().started, at(24));
    assert!(it.failure.unwrap().reason.contains("minimum_size"));
    assert_eq!((it.copies, it.stored_bytes), (1, 109));
}

#[test]
fn a_running_backup_is_no_backup_yet() {
    let it = here(vec![good(24, 100), attempt(48, 50, Outcome::Running { last_write: at(49) })]);
    assert_eq!(it.running.unwrap().since, at(48));
    assert_eq!(it.newest.unwrap().started, at(24));
    assert_eq!(it.copies, 1);
}

#[test]
fn renamed_and_future_copies_never_make_it_fresh() {
    let mut renamed = attempt(0, 100, Outcome::Renamed);
    renamed.started = When::Future;
    let mut future = good(0, 100);
    future.started = When::Future;
    let it = here(vec![renamed, future]);
    assert_eq!(it.newest, None);
    assert_eq!((it.copies, it.future), (1, 1));
    assert_eq!(it.notes.len(), 2);
}

#[test]
fn a_failure_dated_in_the_future_is_a_failure() {
    let mut future = failed(0);
    future.started = When::Future;
    assert_eq!(here(vec![good(24, 100), future]).failure.unwrap().at, When::Future);
}

#[test]
fn sizes_are_compared_with_the_median_of_those_before() {
    let it = here(vec![good(1, 100), good(2, 100), good(3, 100), good(4, 40)]);
    assert_eq!(it.size_deviation, Some(-0.6));
    assert_eq!(here(vec![good(1, 100), good(2, 100), good(3, 40)]).size_deviation, None);
}

#[test]
fn copies_are_counted_by_medium() {
    let mut kept = good(2, 100);
    kept.protected = true;
    let it = item(&[(0, good(1, 100)), (1, good(1, 100)), (1, kept)]);
    assert_eq!(it.media, [1, 0, 0, 2]);
    assert_eq!(it.protected_copies, 1);
}

#[test]
fn archives_of_a_predecessor_protect_nobody() {
    let guest = Guest {
        id: ItemId::guest(GuestKind::Qemu, 100),
        name: Some("new".into()),
        tags: Vec::new(),
        notes: None,
        node: "pve2".into(),
        template: false,
        left_out: Vec::new(),
        onboot: Some(false),
        created: None,
        identity_since: None,
        fingerprint: None,
        former_names: Vec::new(),
    };
    let old = good(24, 100);
    let it = Item::of(frame(Some(&guest)), &[(0, &old)], &[root(Medium::Local)]);
    assert_eq!((it.newest.clone(), it.copies, it.last_attempt), (None, 0, None));
    assert!(matches!(it.notes[..], [Note::OtherGuest { archives: 1, .. }]));
    assert_eq!(it.node.as_deref(), Some("pve2"));
}

#[test]
fn a_copy_that_was_cut_short_is_no_copy() {
    let it = item(&[(0, good(1, 100)), (1, good(1, 60)), (1, good(2, 100))]);
    assert_eq!(it.media, [1, 0, 0, 1]);
    assert_eq!((it.copies, it.stored_bytes), (2, 260));
    assert!(it.notes.contains(&Note::CutCopies(1)));
    assert_eq!(it.newest_by_root, [(0, at(1)), (1, at(2))]);
}

#[test]
fn an_item_without_attempts() {
    let it = here(Vec::new());
    assert_eq!((it.copies, it.newest, it.failure, it.name), (0, None, None, None));
}

#[test]
fn what_is_left_out_is_told_by_the_log_or_else_by_the_guest() {
    let volume = |key: &str| LeftOut { key: key.into(), volume: Some("/data".into()) };
    let log = |left_out: Vec<LeftOut>, end| {
        let log = RunLog { end, left_out, ..RunLog::default() };
        Attempt { log: Some(log.into()), ..good(1, 100) }
    };
    let mut guest = Guest {
        id: ItemId::guest(GuestKind::Qemu, 100),
        name: None,
        tags: Vec::new(),
        notes: None,
        node: "pve1".into(),
        template: false,
        left_out: vec![volume("scsi1")],
        onboot: Some(false),
        created: None,
        identity_since: None,
        fingerprint: None,
        former_names: Vec::new(),
    };
    let of = |guest: Option<&Guest>, attempt: &Attempt| {
        let it = Item::of(frame(guest), &[(0, attempt)], &[root(Medium::Local)]);
        let noted = it.notes.iter().any(|note| matches!(note, Note::LeftOut(_)));
        let keys = it.left_out.map(|all| all.iter().map(|it| it.key.to_string()).collect::<Vec<_>>());
        assert_eq!(noted, keys.as_ref().is_some_and(|keys| !keys.is_empty()));
        keys
    };
    let finished = || LogEnd::Finished(Duration::ZERO);
    assert_eq!(of(None, &good(1, 100)), None, "nobody knows");
    assert_eq!(of(None, &log(vec![volume("mp0")], finished())), Some(vec!["mp0".into()]));
    assert_eq!(of(Some(&guest), &log(Vec::new(), finished())), Some(Vec::new()), "the log tells of this backup");
    assert_eq!(of(Some(&guest), &log(Vec::new(), LogEnd::Foreign)), Some(vec!["scsi1".into()]));
    assert_eq!(of(Some(&guest), &good(1, 100)), Some(vec!["scsi1".into()]));
    guest.left_out.clear();
    assert_eq!(of(Some(&guest), &good(1, 100)), Some(Vec::new()));
    let many = Note::LeftOut((0..7).map(|n| volume(&format!("mp{n}"))).collect()).to_string();
    assert!(many.contains("mp4 (/data) and 2 more;") && !many.contains("mp5"), "{many}");
}

#[test]
fn a_file_that_settles_runs_until_it_is_judged() {
    let it = here(vec![good(1, 100), attempt(48, 50, Outcome::Settling { until: at(60) })]);
    assert_eq!(it.running, Some(Running { since: at(48), settles: Some(at(60)), root: 0 }));
    assert_eq!(it.copies, 1);
    let old = here(vec![good(48, 100), attempt(1, 50, Outcome::Settling { until: at(60) })]);
    assert_eq!(old.running, None, "a copy of an old one changes nothing");
}

/// A backup server tells the size of the disks, a share that of the archive.
#[test]
fn sizes_of_what_is_only_listed_are_compared_on_their_storage_alone() {
    let places = [PlaceSpec { readable: false, ..root(Medium::Local) }];
    let on = |storage: &str, hour: i64, size: u64| {
        let file = format!("{storage}:backup/{hour}").into();
        Attempt { file, ..good(hour, size) }
    };
    let of = |attempts: &[Attempt]| {
        let all: Vec<(usize, &Attempt)> = attempts.iter().map(|attempt| (0, attempt)).collect();
        Item::of(frame(None), &all, &places)
    };
    let mut attempts: Vec<Attempt> = (1..=5).map(|hour| on("nas", hour, 100)).collect();
    attempts.extend((1..=9).map(|hour| on("pbs", hour, 9000)));
    attempts.push(on("nas", 20, 110));
    let it = of(&attempts);
    assert!(it.size_deviation.is_some_and(|it| (it - 0.1).abs() < 1e-9), "{:?}", it.size_deviation);
    assert_eq!((it.copies, it.proof), (15, ItemProof::Off), "nobody can read it");
}
