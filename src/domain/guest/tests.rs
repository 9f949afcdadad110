use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn guest(id: &str, name: &str, node: &str) -> Guest {
    Guest {
        id: id.parse().unwrap(),
        name: Some(name.into()),
        tags: Vec::new(),
        notes: None,
        node: node.into(),
        template: false,
        left_out: Vec::new(),
        onboot: Some(false),
        created: None,
        identity_since: None,
        fingerprint: None,
        former_names: Vec::new(),
    }
}

fn book(nodes: &[&str], guests: Vec<Guest>) -> GuestBook {
    GuestBook {
        nodes: nodes.iter().map(|n| Arc::from(*n)).collect(),
        guests: guests.into_iter().map(|g| (g.id.clone(), g)).collect(),
        ..GuestBook::default()
    }
}

#[test]
fn creation_time_decides_before_names() {
    let mut new = guest("qemu/100", "web", "a");
    new.created = Some(at(1_000));
    assert!(!new.owns(at(999), Some("web")), "older than the guest itself");
    assert!(new.owns(at(1_000), Some("old-name")), "renamed since");
}

#[test]
fn without_creation_time_another_name_is_another_guest() {
    let it = guest("lxc/200", "dns", "a");
    assert!(it.owns(at(1), Some("dns")));
    assert!(it.owns(at(1), None), "nothing known against it");
    assert!(!it.owns(at(1), Some("mail")));
}

#[test]
fn a_rename_that_was_watched_keeps_the_archives() {
    let mut old = guest("lxc/200", "dns", "a");
    old.fingerprint = Some("BC:24:11:00:00:01".into());
    let mut new = guest("lxc/200", "dns-1", "a");
    new.fingerprint.clone_from(&old.fingerprint);
    let after = book(&["a"], vec![new]).following(&book(&["a"], vec![old]), at(50));
    assert!(after.guests[&"lxc/200".parse().unwrap()].owns(at(1), Some("dns")));
}

#[test]
fn another_uuid_under_the_same_name_is_another_guest_from_then_on() {
    let mut old = guest("qemu/100", "web", "a");
    old.fingerprint = Some("1111".into());
    let mut new = guest("qemu/100", "web", "a");
    new.fingerprint = Some("2222".into());
    // Imported with the creation time of the machine that it was made from.
    new.created = Some(at(1));
    let first = book(&["a"], vec![old]);
    let second = book(&["a"], vec![new.clone()]).following(&first, at(50));
    let third = book(&["a"], vec![new]).following(&second, at(60));
    let it = &third.guests[&"qemu/100".parse().unwrap()];
    assert!(!it.owns(at(49), Some("web")), "remembered over the next scan, too");
    assert!(it.owns(at(50), Some("web")));
}

#[test]
fn a_directory_that_was_emptied_is_not_many_guests_removed() {
    let both = vec![guest("qemu/100", "x", "a"), guest("qemu/101", "y", "a"), guest("lxc/200", "z", "a")];
    let before = book(&["a"], both);
    let emptied = book(&["a"], vec![guest("lxc/200", "z", "a")]).following(&before, at(1));
    assert_eq!(emptied.guests.len(), 3);
    assert!(emptied.is_lost(&guest("qemu/100", "x", "a")));
    let still = book(&["a"], vec![guest("lxc/200", "z", "a")]).following(&emptied, at(2));
    assert_eq!(still.guests.len(), 3);
    let one_removed = book(&["a"], vec![guest("qemu/101", "y", "a")]).following(&before, at(1));
    assert_eq!(one_removed.guests.len(), 1, "the only container was removed, and one of two machines");
    let moved =
        book(&["a", "b"], vec![guest("qemu/100", "x", "b"), guest("qemu/101", "y", "b")]).following(&before, at(1));
    assert_eq!(&*moved.guests[&"qemu/100".parse().unwrap()].node, "b");
}

#[test]
fn a_lost_node_keeps_its_guests_and_a_removed_guest_goes() {
    let before =
        book(&["a", "b"], vec![guest("qemu/100", "x", "a"), guest("qemu/101", "y", "b"), guest("qemu/102", "z", "b")]);
    // Node b is gone; 102 was moved to a by then.
    let after = book(&["a"], vec![guest("qemu/100", "x", "a"), guest("qemu/102", "z", "a")]).following(&before, at(1));
    let ids: Vec<String> = after.guests.keys().map(ToString::to_string).collect();
    assert_eq!(ids, ["qemu/100", "qemu/101", "qemu/102"]);
    assert_eq!(&*after.guests[&"qemu/102".parse().unwrap()].node, "a");
    assert!(after.lost_nodes.contains("b"));
    // It stays lost at the next scan, and returns when it returns.
    let still = book(&["a"], vec![guest("qemu/100", "x", "a")]).following(&after, at(2));
    assert!(still.guests.contains_key(&"qemu/101".parse().unwrap()));
    assert!(!still.guests.contains_key(&"qemu/102".parse().unwrap()), "removed from a node that is there");
    let back = book(&["a", "b"], vec![]).following(&still, at(3));
    assert!(back.lost_nodes.is_empty() && back.guests.is_empty());
}
