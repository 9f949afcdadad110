use super::*;
use crate::domain::attempt::Outcome;
use crate::domain::guest::Guest;
use crate::domain::guest::GuestBook;
use crate::domain::local_time::When;
use crate::domain::look::estate::EstateLook;
use crate::domain::look::{ErrorKind, LookError, Medium, PlaceLook, PlaceSpec, SourceKind};
use crate::domain::policy::Matcher;
use crate::domain::verdict::{BackupState, judge, unprotected};

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

fn spec(expected: &[&str]) -> Arc<SourceSpec> {
    let root = |path: &str| PlaceSpec { path: path.into(), medium: Medium::Local, node: None, readable: true };
    Arc::new(SourceSpec {
        name: "s".parse().unwrap(),
        kind: SourceKind::new("vzdump"),
        places: vec![root("/a"), root("/b")],
        expected: expected.iter().map(|id| id.parse().unwrap()).collect(),
        exclude: Matcher::new(&["300".to_owned()], &[], &[], &[]).unwrap(),
        scan_interval: Duration::from_secs(60),
        scan_timeout: Duration::from_secs(60),
    })
}

fn listing(ids: &[&str]) -> Arc<PlaceListing> {
    let attempt = |id: &&str| Attempt {
        size: 1,
        ..Attempt::new(id.parse().unwrap(), When::At(now()), Outcome::Complete { warning: None }, "f".into())
    };
    Arc::new(PlaceListing { attempts: ids.iter().map(attempt).collect(), ..PlaceListing::default() })
}

fn not_mounted() -> LookError {
    LookError::new(ErrorKind::NotMounted, "not mounted")
}

fn look(roots: [Result<Arc<PlaceListing>, LookError>; 2]) -> Look {
    Look {
        places: roots.into_iter().map(|listing| PlaceLook { listing, capacity: None }).collect(),
        estate: EstateLook::default(),
    }
}

fn with_guests(mut look: Look, guests: Result<&[(&str, bool)], LookError>) -> Look {
    look.estate.guests = Some(guests.map(|guests| {
        let guest = |(id, template): &(&str, bool)| Guest {
            id: id.parse().unwrap(),
            name: Some("x".into()),
            tags: Vec::new(),
            notes: None,
            node: "pve1".into(),
            template: *template,
            left_out: Vec::new(),
            onboot: Some(false),
            created: None,
            identity_since: None,
            fingerprint: None,
            former_names: Vec::new(),
        };
        let guests = guests.iter().map(guest).map(|guest| (guest.id.clone(), guest)).collect();
        Arc::new(GuestBook { nodes: ["pve1".into()].into(), guests, ..GuestBook::default() })
    }));
    look
}

fn after(view: &SourceView, look: Look) -> SourceView {
    view.after(look, Duration::ZERO, &Policy::default(), now())
}

fn unseen(expected: &[&str]) -> SourceView {
    SourceView::unseen(spec(expected), &Policy::default())
}

fn states(view: &SourceView) -> Vec<(String, Option<BackupState>)> {
    let state = |item: &Item| judge(item, &view.health, &view.spec, now()).map(|verdict| verdict.state);
    view.items.iter().map(|item| (item.id.to_string(), state(item))).collect()
}

fn state(view: &SourceView, id: &str) -> Option<BackupState> {
    states(view).into_iter().find(|(it, _)| it == id).unwrap_or_else(|| panic!("{id} is gone")).1
}

#[test]
fn before_the_first_scan_what_is_expected_is_unknown() {
    let view = unseen(&["qemu/100"]);
    assert_eq!(state(&view, "qemu/100"), Some(BackupState::Unknown));
    assert!(!view.health.up());
}

#[test]
fn an_empty_directory_is_missing_and_an_unmounted_one_unknown() {
    let empty = after(&unseen(&["qemu/100"]), look([Ok(listing(&[])), Ok(listing(&[]))]));
    assert_eq!(state(&empty, "qemu/100"), Some(BackupState::Missing));
    assert!(empty.health.up());
    let blind = after(&unseen(&["qemu/100"]), look([Ok(listing(&[])), Err(not_mounted())]));
    assert_eq!(state(&blind, "qemu/100"), Some(BackupState::Unknown));
    assert!(!blind.health.up());
}

#[test]
fn a_directory_that_fails_keeps_its_rows_as_unknown() {
    let seen = after(&unseen(&[]), look([Ok(listing(&["qemu/100"])), Ok(listing(&["qemu/101"]))]));
    assert_eq!(state(&seen, "qemu/101"), Some(BackupState::Ok));
    let blind = after(&seen, look([Ok(listing(&["qemu/100"])), Err(not_mounted())]));
    assert_eq!(state(&blind, "qemu/100"), Some(BackupState::Ok));
    assert_eq!(state(&blind, "qemu/101"), Some(BackupState::Unknown));
    assert_eq!(blind.health.errors.iter().sum::<u64>(), 1);
    let back = after(&blind, look([Ok(listing(&["qemu/100"])), Ok(listing(&["qemu/101"]))]));
    assert_eq!(state(&back, "qemu/101"), Some(BackupState::Ok));
}

#[test]
fn a_scan_that_hangs_makes_everything_unknown() {
    let seen = after(&unseen(&[]), look([Ok(listing(&["qemu/100"])), Ok(listing(&[]))]));
    let hung = LookError::new(ErrorKind::Timeout, "hangs");
    let blind = after(&seen, Look::blind(&seen.spec, &hung));
    assert_eq!(states(&blind), [("qemu/100".to_owned(), Some(BackupState::Unknown))]);
}

#[test]
fn a_removed_item_is_gone_in_the_same_snapshot() {
    let seen = after(&unseen(&[]), look([Ok(listing(&["qemu/100", "qemu/101"])), Ok(listing(&[]))]));
    let later = after(&seen, look([Ok(listing(&["qemu/101"])), Ok(listing(&[]))]));
    assert_eq!(states(&later).len(), 1);
}

#[test]
fn guests_decide_who_is_judged() {
    let listed = listing(&["qemu/100", "qemu/150", "qemu/300", "qemu/900"]);
    let look = look([Ok(listed), Ok(listing(&[]))]);
    let guests: &[(&str, bool)] = &[("qemu/100", false), ("qemu/108", false), ("qemu/300", false), ("qemu/900", true)];
    let view = after(&unseen(&[]), with_guests(look, Ok(guests)));
    assert_eq!(state(&view, "qemu/100"), Some(BackupState::Ok));
    assert_eq!(state(&view, "qemu/108"), Some(BackupState::Missing));
    for (id, standing) in
        [("qemu/150", Standing::Retired), ("qemu/300", Standing::Excluded), ("qemu/900", Standing::Template)]
    {
        assert_eq!(state(&view, id), None);
        assert_eq!(view.items.iter().find(|item| item.id.to_string() == id).unwrap().standing, standing);
    }
    let open: Vec<bool> = view.items.iter().filter_map(|item| unprotected(item, &view.health)).collect();
    assert_eq!(open, [false, true]);
}

#[test]
fn guests_that_can_not_be_read_stay_as_they_were() {
    let guests: &[(&str, bool)] = &[("qemu/108", false)];
    let first = look([Ok(listing(&[])), Ok(listing(&[]))]);
    let seen = after(&unseen(&[]), with_guests(first.clone(), Ok(guests)));
    let error = LookError::new(ErrorKind::Guests, "no node directories");
    let blind = after(&seen, with_guests(first, Err(error)));
    assert_eq!(state(&blind, "qemu/108"), Some(BackupState::Missing));
    assert!(!blind.health.up());
}

#[test]
fn nothing_new_shares_the_items() {
    let (a, b) = (listing(&["qemu/100"]), listing(&[]));
    let first = after(&unseen(&[]), look([Ok(a.clone()), Ok(b.clone())]));
    let second = after(&first, look([Ok(a), Ok(b)]));
    assert!(Arc::ptr_eq(&first.items, &second.items));
    let third = after(&second, look([Ok(listing(&["qemu/100"])), Ok(listing(&[]))]));
    assert!(Arc::ptr_eq(&first.items, &third.items), "equal though listed anew");
}

#[test]
fn two_sources_with_one_vmid_are_two_items() {
    let other = Arc::new(SourceSpec { name: "t".parse().unwrap(), ..(*spec(&["qemu/100"])).clone() });
    let inventory = Inventory::unseen(&[spec(&["qemu/100"]), other], &Policy::default());
    let view =
        after(inventory.source(&"t".parse().unwrap()).unwrap(), look([Ok(listing(&["qemu/100"])), Ok(listing(&[]))]));
    let inventory = inventory.with(view);
    assert!(!inventory.is_complete());
    assert_eq!(state(&inventory.sources[0], "qemu/100"), Some(BackupState::Unknown));
    assert_eq!(state(&inventory.sources[1], "qemu/100"), Some(BackupState::Ok));
}

/// Which of its entries is of which place isn't known then: nothing was seen, and nothing is lost.
#[test]
fn a_look_with_another_number_of_places_has_seen_nothing() {
    let seen = after(&unseen(&[]), look([Ok(listing(&[])), Ok(listing(&[]))]));
    assert!(seen.health.up());
    for count in [0, 1, 3] {
        let mut short = look([Ok(listing(&[])), Ok(listing(&[]))]);
        short.places.resize(count, short.places[0].clone());
        let after = after(&seen, short);
        assert!(!after.health.up() && after.health.is_blind(0) && after.health.is_blind(1), "{count}");
        assert_eq!((after.health.problems[0].kind, after.capacities.len()), (ErrorKind::Internal, 2));
        assert!(after.listings.iter().all(Option::is_some), "what was known before is still known");
    }
}
