use super::*;
use crate::domain::file::FileFacts;

fn version(id: &str, second: i64, latest: bool, deleted: bool) -> Version {
    let modified = Timestamp::from_second(second).unwrap();
    Version { key: "k.tfstate".into(), id: id.into(), facts: FileFacts::new(7, modified), latest, deleted }
}

fn now() -> Timestamp {
    Timestamp::from_second(2000).unwrap()
}

fn attempts(versions: Vec<Version>) -> Vec<Attempt> {
    let mut all = Versions::default();
    versions.into_iter().for_each(|it| all.take(it));
    all.attempts(&ItemId::tfstate("k".into()), now())
}

fn order(versions: Vec<Version>) -> Vec<String> {
    let mut all = attempts(versions);
    all.sort_by_key(|it| it.started.known());
    all.iter().map(|it| it.file.to_string()).collect()
}

#[test]
fn names_come_from_keys() {
    for (key, name) in [
        ("terraform.tfstate", "default"),
        ("env:/prod/terraform.tfstate", "prod"),
        ("prod/terraform.tfstate", "prod"),
        ("net/prod.tfstate", "net/prod"),
        ("env:/prod/net/terraform.tfstate", "prod/net"),
        ("my-terraform.tfstate", "my-terraform"),
        ("/x.json", "x.json"),
        (".tfstate", "default"),
    ] {
        assert_eq!(item_name(key), name, "{key}");
    }
}

/// Two buckets that each have a `prod` are two states.
#[test]
fn with_several_places_no_two_states_have_one_name() {
    let place =
        |bucket: &str, prefix: &str| Watched { bucket: bucket.into(), prefix: prefix.into(), keys: GlobSet::empty() };
    let name = |it: &Watched, key: &str, several| it.item_name(key, several);
    let (a, b) = (place("a", "net/"), place("b", ""));
    assert_eq!(name(&a, "net/prod.tfstate", false), "prod");
    assert_eq!(name(&a, "net/prod.tfstate", true), "a/net/prod");
    assert_eq!(name(&b, "net/prod.tfstate", true), "b/net/prod");
    assert_eq!(name(&place("a", "web/"), "web/prod.tfstate", true), "a/web/prod");
}

/// A server whose clock is a little ahead: what it wrote last is still the newest.
#[test]
fn of_a_clock_that_is_ahead_the_order_is_kept() {
    let ahead =
        vec![version("2", 2005, true, false), version("1", 2004, false, false), version("0", 1000, false, false)];
    assert_eq!(order(ahead), ["k.tfstate@0.tfstate", "k.tfstate@1.tfstate", "k.tfstate@2.tfstate"]);
}

/// Three versions of one second are told apart by the order of the server, and what is current is the newest.
#[test]
fn the_order_of_the_server_counts_and_what_is_current_is_newest() {
    let newest_first = vec![version("3", 9, true, false), version("2", 9, false, false), version("1", 9, false, false)];
    assert_eq!(order(newest_first), ["k.tfstate@1.tfstate", "k.tfstate@2.tfstate", "k.tfstate@3.tfstate"]);
    // A server that lists what is current last, and whose clock was set back meanwhile.
    let odd = vec![version("2", 9, false, false), version("1", 8, false, false), version("null", 5, true, false)];
    assert_eq!(order(odd), ["k.tfstate@1.tfstate", "k.tfstate@2.tfstate", "k.tfstate@null.tfstate"]);
}

#[test]
fn a_deleted_state_has_failed_and_an_older_marker_is_only_counted() {
    let deleted = attempts(vec![version("m", 9, true, true), version("1", 9, false, false)]);
    assert!(matches!(&deleted[1].outcome, Outcome::Failed { reason } if reason.contains("delete marker")));
    assert!(deleted[1].started.known() > deleted[0].started.known());
    let undeleted =
        attempts(vec![version("2", 9, true, false), version("m", 8, false, true), version("1", 7, false, false)]);
    assert!(undeleted.iter().all(|it| matches!(it.outcome, Outcome::Complete { .. })) && undeleted.len() == 2);
}

#[test]
fn of_too_many_the_newest_are_judged_and_all_are_counted() {
    let mut all = Versions::default();
    for index in 0..MOST_VERSIONS as i64 + 500 {
        all.take(version(&index.to_string(), 1900 - index, index == 0, false));
    }
    assert_eq!((all.versions, all.listed.len()), (MOST_VERSIONS as u64 + 500, MOST_VERSIONS));
    assert_eq!(all.listed[0].id, "0");
}

#[test]
fn a_lock_says_who_holds_it_and_one_that_can_not_be_read_is_a_lock_all_the_same() {
    let held = lock_of(
        br#"{"ID":"x","Operation":"OperationTypeApply","Info":"","Who":"eve@host","Version":"1.10.0","Created":"2026-01-31T02:00:00Z","Path":"b/k"}"#,
        &version("1", 9, true, false),
    );
    assert_eq!((&*held.who, &*held.operation), ("eve@host", "OperationTypeApply"));
    assert_eq!(held.since, "2026-01-31T02:00:00Z".parse().unwrap());
    let unknown = lock_of(b"<html>", &version("1", 9, true, false));
    assert_eq!((&*unknown.who, unknown.since), ("", Timestamp::from_second(9).unwrap()));
    let hostile = lock_of("{\"Who\":\"a\\u202eb\\nc\"}".as_bytes(), &version("1", 9, true, false));
    assert!(!hostile.who.contains(['\u{202e}', '\n']), "{}", hostile.who);
}
