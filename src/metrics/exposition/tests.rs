use std::io::Read as _;

use super::*;
use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::local_time::When;
use crate::domain::look::estate::EstateLook;
use crate::domain::look::{Look, Medium, PlaceListing, PlaceLook, PlaceSpec, SourceKind, SourceSpec};
use crate::domain::policy::{Matcher, Policy};
use crate::domain::state::ServerHealth;

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() + seconds).unwrap()
}

fn look(items: u32) -> Look {
    let attempt = |vmid: u32| Attempt {
        size: 1,
        guest_name: Some("quo\"ted\\ \n name".into()),
        ..Attempt::new(
            crate::domain::ids::ItemId::guest(crate::domain::ids::GuestKind::Qemu, vmid),
            When::At(now()),
            Outcome::Complete { warning: None },
            "f".into(),
        )
    };
    let attempts = (100..100 + items).map(attempt).collect();
    let listing = Ok(Arc::new(PlaceListing { attempts, ..PlaceListing::default() }));
    Look { places: vec![PlaceLook { listing, capacity: None }], estate: EstateLook::default() }
}

fn unseen() -> SourceView {
    let spec = SourceSpec {
        name: "s".parse().unwrap(),
        kind: SourceKind::new("vzdump"),
        places: vec![PlaceSpec { path: "/x".into(), medium: Medium::Nfs, node: None, readable: true }],
        expected: Vec::new(),
        exclude: Matcher::default(),
        scan_interval: Duration::from_secs(60),
        scan_timeout: Duration::from_secs(60),
    };
    SourceView::unseen(Arc::new(spec), &Policy::default())
}

fn inventory(view: SourceView) -> Arc<Inventory> {
    Arc::new(Inventory { sources: vec![Arc::new(view)] })
}

fn text(exposition: &Exposition, now: Timestamp) -> String {
    String::from_utf8(exposition.plain(&Snapshot::default(), false, now).concat()).unwrap()
}

#[expect(clippy::disallowed_types, reason = "decodes what this test has made itself")]
fn unzipped(parts: &[Bytes]) -> String {
    let whole = parts.concat();
    let mut decoder = flate2::read::GzDecoder::new(&whole[..]);
    let mut text = String::new();
    decoder.read_to_string(&mut text).unwrap();
    let mut rest = Vec::new();
    decoder.into_inner().read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "one member and nothing after it");
    text
}

/// Without the lines about this process, which change from call to call.
fn steady(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.contains("process_")).collect()
}

#[test]
fn gzip_and_plain_are_the_same_text() {
    for items in [0, 1, 3000] {
        let view = unseen().after(look(items), Duration::ZERO, &Policy::default(), now());
        let exposition = Exposition::of(inventory(view), now());
        assert_eq!(
            steady(&unzipped(&exposition.gzipped(&Snapshot::default(), false, now()))),
            steady(&text(&exposition, now()))
        );
    }
}

#[test]
fn without_a_source_the_daemon_still_shows() {
    let exposition = Exposition::of(Arc::new(Inventory::default()), now());
    let text = text(&exposition, now());
    assert!(text.contains("firedrill_build_info{"));
    assert!(!text.contains("firedrill_item_info"));
}

#[test]
fn labels_from_outside_are_escaped() {
    let view = unseen().after(look(1), Duration::ZERO, &Policy::default(), now());
    let text = text(&Exposition::of(inventory(view), now()), now());
    assert!(text.contains(r#"name="quo\"ted\\ \n name""#), "{text}");
}

#[test]
fn exactly_one_state_is_1_and_removed_items_leave_nothing() {
    let view = unseen().after(look(3), Duration::ZERO, &Policy::default(), now());
    let first = Exposition::of(inventory(view.clone()), now());
    let shown = text(&first, now());
    for vmid in 100..103 {
        let series = shown
            .lines()
            .filter(|line| line.starts_with("firedrill_backup_state") && line.contains(&format!("qemu/{vmid}\"")));
        let values: Vec<&str> = series.map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!((values.len(), values.iter().filter(|value| **value == "1").count()), (7, 1));
    }
    let fewer = view.after(look(1), Duration::ZERO, &Policy::default(), now());
    let second = first.refreshed(inventory(fewer), now());
    assert!(!text(&second, now()).contains("qemu/101"));
}

#[test]
fn items_are_rendered_again_only_when_they_change() {
    let view = unseen().after(look(2), Duration::ZERO, &Policy::default(), now());
    let first = Exposition::of(inventory(view.clone()), now());
    let again = view.after(look(2), Duration::ZERO, &Policy::default(), later(60));
    let second = first.refreshed(inventory(again.clone()), later(60));
    assert!(Arc::ptr_eq(&first.items, &second.items), "a scan that found the same");
    assert!(text(&second, later(60)).contains("last_scan_timestamp_seconds{source=\"s\"} 1790000060"));
    let changed = again.after(look(3), Duration::ZERO, &Policy::default(), later(61));
    assert!(!Arc::ptr_eq(&second.items, &second.refreshed(inventory(changed), later(61)).items));
}

/// A server that is down, with the same backups as before.
#[test]
fn what_changes_beside_backups_shows() {
    let with = |live: bool| {
        let server = Some(Ok(Arc::new(ServerHealth { live, cluster: true })));
        Look { estate: EstateLook { server, ..EstateLook::default() }, ..look(1) }
    };
    let view = unseen().after(with(true), Duration::ZERO, &Policy::default(), now());
    let first = Exposition::of(inventory(view.clone()), now());
    let shows = |it: &Exposition, value: &str| {
        text(it, later(60)).contains(&format!("firedrill_s3_healthy{{source=\"s\",check=\"live\"}} {value}"))
    };
    assert!(shows(&first, "1"));
    let gone = view.after(with(false), Duration::ZERO, &Policy::default(), later(60));
    assert!(shows(&first.refreshed(inventory(gone), later(60)), "0"));
}

#[test]
fn time_alone_turns_states() {
    let view = inventory(unseen().after(look(1), Duration::ZERO, &Policy::default(), now()));
    let fresh = Exposition::of(view.clone(), now());
    let is = |exposition: &Exposition, state: &str| {
        text(exposition, now())
            .contains(&format!("firedrill_backup_state{{source=\"s\",item=\"qemu/100\",state=\"{state}\"}} 1"))
    };
    assert!(is(&fresh, "ok"));
    let held = fresh.refreshed(view.clone(), later(240));
    assert!(Arc::ptr_eq(&fresh.items, &held.items));
    let stale = held.refreshed(view.clone(), later(241));
    assert!(is(&stale, "unknown"), "three scans were missed");
    let back = stale.refreshed(
        inventory(view.sources[0].after(look(1), Duration::ZERO, &Policy::default(), later(300))),
        later(300),
    );
    assert!(is(&back, "ok"), "looked at again");
    let turned_back = back.refreshed(back.inventory.clone(), later(-10));
    assert!(is(&turned_back, "unknown"), "the clock was set back before the backup began");
}

#[tokio::test(start_paused = true)]
async fn while_nothing_happens_nothing_is_rendered() {
    struct Fixed;
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            now()
        }
    }
    let view = inventory(unseen().after(look(2), Duration::ZERO, &Policy::default(), now()));
    let (inventories, seen) = watch::channel(view.clone());
    let publish = watch::Sender::new(Arc::new(Exposition::of(view.clone(), now())));
    let mut shown = publish.subscribe();
    let task = tokio::spawn(run(seen, Arc::new(Fixed), publish));
    tokio::time::sleep(20 * TICK).await;
    assert!(!shown.has_changed().unwrap(), "nobody is woken for nothing");
    inventories.send_replace(inventory(view.sources[0].after(look(3), Duration::ZERO, &Policy::default(), now())));
    shown.changed().await.unwrap();
    assert!(text(&shown.borrow_and_update(), now()).contains("qemu/102"));
    task.abort();
}
