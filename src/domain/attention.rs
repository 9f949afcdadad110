//! What needs a person beside backups: containers that are down, a cluster or a vSphere server that isn't well. For pages and reports; the
//! alerts say the same by the metrics, after a while.

use jiff::{SignedDuration, Timestamp};

use super::age;
use super::cluster::ClusterBook;
use super::container::{Container, ContainerBook, ContainerHealth, ContainerState};
use super::esxi::{Datastore, EsxiBook, Vm};
use super::inventory::SourceView;
use super::item::Standing;
use super::verdict::elapsed;

/// As in `alerts/esxi.rules.yml`.
const OLD_SNAPSHOT: SignedDuration = SignedDuration::from_hours(72);

/// As there.
const DEEP: u32 = 3;

/// A storage that is fuller: hundredths, as there and in `alerts/proxmox.rules.yml`.
const FULL: u128 = 85;

/// A replication that is due for longer is late, as in `alerts/proxmox.rules.yml`.
const LATE: SignedDuration = SignedDuration::from_mins(15);

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is about: `container grafana`.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
}

/// Whether a source is there for something else than backups, and showed some of it.
pub fn shows_other_than_backups(view: &SourceView) -> bool {
    let containers = view.estate.containers.as_ref().is_some_and(|book| !book.0.is_empty());
    let machines = view.estate.esxi.as_ref().is_some_and(|book| !book.hosts.is_empty());
    containers || machines
}

/// What needs a person in the estate of a source; nothing is said of parts that the last look couldn't see.
pub fn troubles(view: &SourceView, now: Timestamp) -> Vec<Trouble> {
    let mut found = Found(Vec::new());
    let saw = |part| view.health.saw(part);
    if let Some(book) = view.estate.containers.as_ref().filter(|_| saw("containers")) {
        containers(book, &mut found);
    }
    if let Some(book) = view.estate.esxi.as_ref().filter(|_| saw("esxi")) {
        esxi(book, now, &mut found);
    }
    if let Some(book) = view.estate.cluster.as_ref().filter(|_| saw("cluster")) {
        cluster(book, now, &mut found);
        for item in view.items.iter().filter(|item| item.standing == Standing::Judged) {
            found.add(
                book.uncovered.contains(&item.id),
                || item.id.to_string(),
                || "no backup job covers it".to_owned(),
            );
        }
    }
    found.0
}

struct Found(Vec<Trouble>);

impl Found {
    fn add(&mut self, so: bool, what: impl FnOnce() -> String, why: impl FnOnce() -> String) {
        if so {
            self.0.push(Trouble { what: what(), why: why() });
        }
    }
}

fn containers(book: &ContainerBook, found: &mut Found) {
    for (name, it) in &book.0 {
        let runs = matches!(it.state, ContainerState::Running | ContainerState::Completed | ContainerState::Ending);
        let what = || format!("container {name}");
        found.add(!runs, what, || ended(it));
        let fails = it.health == Some(ContainerHealth::Unhealthy);
        found.add(fails, what, || "it runs, and its check fails".to_owned());
    }
}

fn ended(it: &Container) -> String {
    let code = it.exit_code.map(|code| format!(" with {code}")).unwrap_or_default();
    let memory = if it.out_of_memory { ", for want of memory" } else { "" };
    match it.state {
        ContainerState::Missing => "it is expected, and isn't there".to_owned(),
        state => format!("{}{code}{memory}", state.as_str()),
    }
}

fn cluster(book: &ClusterBook, now: Timestamp, found: &mut Found) {
    found.add(book.quorate == Some(false), || "cluster".to_owned(), || "it has lost its quorum".to_owned());
    for (node, _) in book.nodes.iter().filter(|(_, online)| !**online) {
        found.add(true, || format!("node {node}"), || "offline".to_owned());
    }
    for ((name, node), it) in &book.storages {
        let what =
            || node.as_ref().map_or_else(|| format!("storage {name}"), |node| format!("storage {name} of {node}"));
        found.add(!it.active, what, || "it can't be used".to_owned());
        if let Some(room) = it.capacity {
            full(room.size, room.free, what, found);
        }
        let damaged = it.verified.map_or(0, |verified| verified.failed);
        found.add(damaged > 0, what, || format!("damaged snapshots: {damaged}"));
    }
    for (id, it) in &book.replications {
        let what = || format!("replication {id} to {}", it.target);
        found.add(it.failures > 0, what, || format!("it failed {} times in a row", it.failures));
        let due = it.next_sync.filter(|_| it.enabled && !it.running && it.failures == 0);
        let late = due.filter(|at| now.duration_since(*at) > LATE);
        found.add(late.is_some(), what, || {
            format!("it is due for {}", late.map_or_else(String::new, |at| age::words(elapsed(at, now))))
        });
    }
    for (service, state) in &book.services {
        let failed = matches!(&**state, "error" | "fence" | "recovery");
        found.add(failed, || format!("HA of {service}"), || state.to_string());
    }
}

fn esxi(book: &EsxiBook, now: Timestamp, found: &mut Found) {
    for (label, it) in &book.hosts {
        let gone = it.connected == Some(false) && it.maintenance != Some(true);
        found.add(gone, || format!("host {label}"), || "it can't be reached".to_owned());
    }
    for (label, it) in &book.vms {
        machine(label, it, now, found);
    }
    for (label, it) in &book.datastores {
        let Datastore { accessible, capacity, free, .. } = it;
        let what = || format!("datastore {label}");
        found.add(*accessible == Some(false), what, || "no host can use it".to_owned());
        if let (Some(capacity), Some(free)) = (capacity, free) {
            full(*capacity, *free, what, found);
        }
    }
}

fn machine(label: &str, it: &Vm, now: Timestamp, found: &mut Found) {
    let what = || format!("machine {label}");
    found.add(it.question == Some(true), what, || "it waits for an answer to a question".to_owned());
    let consolidate = it.consolidation_needed == Some(true);
    found.add(consolidate, what, || "files of deleted snapshots are still in use".to_owned());
    let Some(snapshots) = it.snapshots else { return };
    found.add(snapshots.depth > DEEP, what, || format!("{} snapshots stand one upon the other", snapshots.depth));
    let old = snapshots.oldest.filter(|at| now.duration_since(*at) > OLD_SNAPSHOT);
    found.add(old.is_some(), what, || {
        format!("it has a snapshot of {} ago", old.map_or_else(String::new, |at| age::words(elapsed(at, now))))
    });
}

fn full(size: u64, free: u64, what: impl FnOnce() -> String, found: &mut Found) {
    let used = u128::from(size.saturating_sub(free)) * 100;
    let share = used.checked_div(u128::from(size)).unwrap_or(0);
    found.add(used > FULL * u128::from(size), what, || format!("{share} % full"));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::capacity::Capacity;
    use crate::domain::cluster::{ReplicationJob, Storage, Verified};
    use crate::domain::esxi::{Host, Snapshots};

    fn now() -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap()
    }

    fn shown(of: impl FnOnce(&mut Found)) -> Vec<String> {
        let mut found = Found(Vec::new());
        of(&mut found);
        found.0.into_iter().map(|it| format!("{}: {}", it.what, it.why)).collect()
    }

    #[test]
    fn containers_that_are_down_and_jobs_that_are_done() {
        let it =
            |state, exit_code, out_of_memory| Container { state, exit_code, out_of_memory, ..Container::missing() };
        let book = ContainerBook(
            [
                ("a", it(ContainerState::Exited, Some(137), true)),
                ("b", it(ContainerState::Completed, Some(0), false)),
                ("c", Container::missing()),
                (
                    "d",
                    Container { health: Some(ContainerHealth::Unhealthy), ..it(ContainerState::Running, None, false) },
                ),
            ]
            .into_iter()
            .map(|(name, it)| (Arc::from(name), it))
            .collect(),
        );
        let expected = [
            "container a: exited with 137, for want of memory",
            "container c: it is expected, and isn't there",
            "container d: it runs, and its check fails",
        ];
        assert_eq!(shown(|found| containers(&book, found)), expected);
    }

    #[test]
    fn a_cluster_with_troubles() {
        let minutes = |minutes: i64| Some(now() - SignedDuration::from_mins(minutes));
        let job = |failures, next_sync, enabled| ReplicationJob {
            target: "b".into(),
            enabled,
            last_sync: None,
            next_sync,
            failures,
            running: false,
            took: None,
        };
        let book = ClusterBook {
            quorate: Some(false),
            nodes: [("a".into(), true), ("b".into(), false)].into(),
            storages: [
                (("nas".into(), None), Storage { active: false, capacity: None, verified: None }),
                (
                    ("pbs".into(), Some("a".into())),
                    Storage {
                        active: true,
                        capacity: Some(Capacity { size: 100, free: 14 }),
                        verified: Some(Verified { failed: 2, ..Verified::default() }),
                    },
                ),
            ]
            .into(),
            replications: [
                ("1".into(), job(3, minutes(60), true)),
                ("2".into(), job(0, minutes(60), true)),
                ("3".into(), job(0, minutes(60), false)),
                ("4".into(), job(0, minutes(5), true)),
            ]
            .into(),
            services: [("vm:100".into(), "error".into()), ("vm:101".into(), "started".into())].into(),
            ..ClusterBook::default()
        };
        let expected = [
            "cluster: it has lost its quorum",
            "node b: offline",
            "storage nas: it can't be used",
            "storage pbs of a: 86 % full",
            "storage pbs of a: damaged snapshots: 2",
            "replication 1 to b: it failed 3 times in a row",
            "replication 2 to b: it is due for 1h",
            "HA of vm:100: error",
        ];
        assert_eq!(shown(|found| cluster(&book, now(), found)), expected);
    }

    #[test]
    fn a_house_of_vsphere_with_troubles() {
        let host = |name: &str, connected, maintenance| Host {
            name: name.into(),
            id: name.into(),
            connected,
            maintenance,
            ..Host::default()
        };
        let oldest = Some(now() - SignedDuration::from_hours(96));
        let vm = Vm {
            name: "db".into(),
            id: "1".into(),
            question: Some(true),
            consolidation_needed: Some(true),
            snapshots: Some(Snapshots { count: 5, depth: 4, oldest, newest: oldest }),
            ..Vm::default()
        };
        let store = |name: &str, accessible, capacity, free| Datastore {
            name: name.into(),
            id: name.into(),
            accessible,
            capacity,
            free,
            ..Datastore::default()
        };
        let hosts = vec![host("a", Some(false), None), host("b", Some(false), Some(true)), host("c", None, None)];
        let stores = vec![
            store("lost", Some(false), None, None),
            store("full", Some(true), Some(1000), Some(100)),
            store("empty", Some(true), Some(0), Some(0)),
        ];
        let book = EsxiBook::of(hosts, vec![vm, Vm { name: "new".into(), id: "2".into(), ..Vm::default() }], stores);
        let expected = [
            "host a: it can't be reached",
            "machine db: it waits for an answer to a question",
            "machine db: files of deleted snapshots are still in use",
            "machine db: 4 snapshots stand one upon the other",
            "machine db: it has a snapshot of 4d ago",
            "datastore full: 90 % full",
            "datastore lost: no host can use it",
        ];
        assert_eq!(shown(|found| esxi(&book, now(), found)), expected);
    }
}
