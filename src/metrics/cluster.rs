//! Clusters of Proxmox VE beside their backups.

use jiff::Timestamp;

use super::family::{Description, Family, seconds};
use super::items::each_judged;
use crate::domain::cluster::{ClusterBook, Storage, StorageId};
use crate::domain::inventory::{Inventory, SourceView};

const STORAGE: &[&str] = &["source", "storage", "node"];
const JOB: &[&str] = &["source", "job"];
const REPLICATION: &[&str] = &["source", "replication"];

static NODE_UP: Description = Description::gauge(
    "firedrill_proxmox_node_up",
    &["source", "node"],
    "1 while a node of a cluster is online, as the others see it. Absent while the cluster can't be asked. Cached from the last scan.",
);
static QUORATE: Description = Description::gauge(
    "firedrill_proxmox_quorate",
    &["source"],
    "1 while enough nodes of a cluster see each other; absent for a node that is alone. Cached from the last scan.",
);
static GUEST_RUNNING: Description = Description::gauge(
    "firedrill_proxmox_guest_running",
    &["source", "item", "node"],
    "1 while a guest runs, 0 while it doesn't; absent while its node can't tell. Cached from the last scan.",
);
static IN_JOB: Description = Description::gauge(
    "firedrill_proxmox_guest_in_job",
    &["source", "item"],
    "1 for a guest that a backup job covers, else 0. A job says nothing of backups that are there. Cached from the last scan.",
);
static JOB_INFO: Description = Description::gauge(
    "firedrill_proxmox_backup_job_info",
    &["source", "job", "schedule", "storage"],
    "A backup job of a cluster; always 1. Cached from the last scan.",
);
static JOB_ENABLED: Description = Description::gauge(
    "firedrill_proxmox_backup_job_enabled",
    JOB,
    "1 while a backup job runs at its times, 0 while it is switched off. Cached from the last scan.",
);
static JOB_NEXT: Description = Description::gauge(
    "firedrill_proxmox_backup_job_next_run_timestamp_seconds",
    JOB,
    "When a backup job runs next, as Unix time. Cached from the last scan.",
);
static STORAGE_ACTIVE: Description = Description::gauge(
    "firedrill_proxmox_storage_active",
    STORAGE,
    "1 while a storage for backups can be used; node is empty for a shared one. Cached from the last scan.",
);
static STORAGE_SIZE: Description = Description::gauge(
    "firedrill_proxmox_storage_size_bytes",
    STORAGE,
    "Size of a storage for backups. Cached from the last scan.",
);
static STORAGE_FREE: Description = Description::gauge(
    "firedrill_proxmox_storage_free_bytes",
    STORAGE,
    "What is free on a storage for backups. Cached from the last scan.",
);
static SNAPSHOTS: Description = Description::gauge(
    "firedrill_proxmox_backup_server_snapshots",
    &["source", "storage", "node", "verification"],
    "Snapshots on a Proxmox Backup Server by what its own verification said: ok, failed, none. Cached from the last scan.",
);
static REPLICATION_SYNC: Description = Description::gauge(
    "firedrill_proxmox_replication_last_sync_timestamp_seconds",
    REPLICATION,
    "Start of the last replication that worked, as Unix time: what was written since would be lost. Cached from the last scan.",
);
static REPLICATION_NEXT: Description = Description::gauge(
    "firedrill_proxmox_replication_next_sync_timestamp_seconds",
    REPLICATION,
    "When a replication that is switched on and doesn't run just now is due, as Unix time. Cached from the last scan.",
);
static REPLICATION_FAILURES: Description = Description::gauge(
    "firedrill_proxmox_replication_failures",
    REPLICATION,
    "Replications that failed since the last that worked. Cached from the last scan.",
);
static REPLICATION_TOOK: Description = Description::gauge(
    "firedrill_proxmox_replication_duration_seconds",
    REPLICATION,
    "How long the last replication took. Cached from the last scan.",
);
static SERVICE_FAILED: Description = Description::gauge(
    "firedrill_proxmox_ha_service_failed",
    &["source", "service", "state"],
    "1 while HA has given a service up or moves it away from a node that is gone (error, fence, recovery), else 0. Cached from the last scan.",
);

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 16] = [
    &NODE_UP,
    &QUORATE,
    &GUEST_RUNNING,
    &IN_JOB,
    &JOB_INFO,
    &JOB_ENABLED,
    &JOB_NEXT,
    &STORAGE_ACTIVE,
    &STORAGE_SIZE,
    &STORAGE_FREE,
    &SNAPSHOTS,
    &REPLICATION_SYNC,
    &REPLICATION_NEXT,
    &REPLICATION_FAILURES,
    &REPLICATION_TOOK,
    &SERVICE_FAILED,
];

/// Fills the families of this file.
pub fn collect(inventory: &Inventory, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    of_each(&NODE_UP, inventory, out, |source, book, family| {
        book.nodes.iter().for_each(|(node, online)| family.add(&[source, node], is(*online)));
    });
    of_each(&QUORATE, inventory, out, |source, book, family| {
        book.quorate.iter().for_each(|quorate| family.add(&[source], is(*quorate)));
    });
    of_each(&GUEST_RUNNING, inventory, out, |source, book, family| {
        for (id, guest) in book.guests.iter().filter(|(_, guest)| !guest.template) {
            guest.running.iter().for_each(|runs| family.add(&[source, &id.to_string(), &guest.node], is(*runs)));
        }
    });
    out(in_job(inventory));
    jobs(inventory, out);
    storages(inventory, out);
    replications(inventory, out);
    of_each(&SERVICE_FAILED, inventory, out, |source, book, family| {
        for (service, state) in &book.services {
            family.add(&[source, service, state], is(matches!(&**state, "error" | "fence" | "recovery")));
        }
    });
}

fn is(so: bool) -> f64 {
    f64::from(u8::from(so))
}

/// What is known of a cluster now; nothing while it couldn't be asked.
fn book(view: &SourceView) -> Option<&ClusterBook> {
    view.estate.cluster.as_deref().filter(|_| view.health.saw("cluster"))
}

fn of_each(
    description: &'static Description,
    inventory: &Inventory,
    out: &mut dyn FnMut(Family),
    fill: impl Fn(&str, &ClusterBook, &mut Family),
) {
    let mut family = description.family();
    for view in &inventory.sources {
        if let Some(book) = book(view) {
            fill(view.spec.name.as_str(), book, &mut family);
        }
    }
    out(family);
}

/// Of those that are judged: a template or a guest that is excluded needs no job.
fn in_job(inventory: &Inventory) -> Family {
    let mut family = IN_JOB.family();
    each_judged(inventory, |view, item, id| {
        if let Some(book) = book(view).filter(|book| book.guests.contains_key(&item.id)) {
            family.add(&[view.spec.name.as_str(), id], is(!book.uncovered.contains(&item.id)));
        }
    });
    family
}

fn jobs(inventory: &Inventory, out: &mut dyn FnMut(Family)) {
    of_each(&JOB_INFO, inventory, out, |source, book, family| {
        book.jobs.iter().for_each(|(id, job)| family.add(&[source, id, &job.schedule, &job.storage], 1.0));
    });
    of_each(&JOB_ENABLED, inventory, out, |source, book, family| {
        book.jobs.iter().for_each(|(id, job)| family.add(&[source, id], is(job.enabled)));
    });
    of_each(&JOB_NEXT, inventory, out, |source, book, family| {
        for (id, job) in &book.jobs {
            job.next_run.iter().for_each(|at| family.add(&[source, id], seconds(*at)));
        }
    });
}

fn storages(inventory: &Inventory, out: &mut dyn FnMut(Family)) {
    let mut of_storage = |description, value: fn(&Storage) -> Option<f64>| {
        of_each(description, inventory, out, |source, book, family| {
            for ((name, node), storage) in &book.storages {
                value(storage).iter().for_each(|value| family.add(&[source, name, shown(node.as_deref())], *value));
            }
        });
    };
    of_storage(&STORAGE_ACTIVE, |it| Some(is(it.active)));
    of_storage(&STORAGE_SIZE, |it| it.capacity.map(|it| it.size as f64));
    of_storage(&STORAGE_FREE, |it| it.capacity.map(|it| it.free as f64));
    of_each(&SNAPSHOTS, inventory, out, |source, book, family| {
        book.storages.iter().for_each(|(id, storage)| snapshots(source, id, storage, family));
    });
}

fn snapshots(source: &str, (name, node): &StorageId, storage: &Storage, family: &mut Family) {
    let Some(verified) = storage.verified else { return };
    for (word, count) in [("failed", verified.failed), ("none", verified.none), ("ok", verified.ok)] {
        family.add(&[source, name, shown(node.as_deref()), word], f64::from(count));
    }
}

fn shown(node: Option<&str>) -> &str {
    node.unwrap_or_default()
}

fn replications(inventory: &Inventory, out: &mut dyn FnMut(Family)) {
    of_each(&REPLICATION_SYNC, inventory, out, |source, book, family| {
        for (id, job) in &book.replications {
            job.last_sync.iter().for_each(|at| family.add(&[source, id], seconds(*at)));
        }
    });
    of_each(&REPLICATION_NEXT, inventory, out, |source, book, family| {
        for (id, job) in book.replications.iter().filter(|(_, job)| job.enabled && !job.running) {
            job.next_sync.iter().for_each(|at| family.add(&[source, id], seconds(*at)));
        }
    });
    of_each(&REPLICATION_FAILURES, inventory, out, |source, book, family| {
        book.replications.iter().for_each(|(id, job)| family.add(&[source, id], f64::from(job.failures)));
    });
    of_each(&REPLICATION_TOOK, inventory, out, |source, book, family| {
        for (id, job) in &book.replications {
            job.took.iter().for_each(|took| family.add(&[source, id], took.as_secs_f64()));
        }
    });
}
