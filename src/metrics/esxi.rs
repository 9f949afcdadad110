//! Hosts, virtual machines and datastores of vSphere. What the last look couldn't see is absent: never as it was before.

use std::sync::Arc;

use jiff::Timestamp;

use super::family::{Description, Family, seconds};
use crate::domain::esxi::{Datastore, EsxiBook, Host, Power, Vm};
use crate::domain::inventory::{Inventory, SourceView};

const SERVER: &[&str] = &["source", "server"];
const VM: &[&str] = &["source", "vm"];
const DATASTORE: &[&str] = &["source", "datastore"];

static HOST_UP: Description = Description::gauge(
    "firedrill_esxi_host_up",
    SERVER,
    "1 while an ESXi host is connected, by what its vCenter or itself says. Cached from the last scan; absent where that could not look.",
);
static HOST_INFO: Description = Description::gauge(
    "firedrill_esxi_host_info",
    &["source", "server", "version", "build", "uuid"],
    "What is known of an ESXi host beside numbers; always 1. Cached from the last scan.",
);
static MAINTENANCE: Description = Description::gauge(
    "firedrill_esxi_host_maintenance_mode",
    SERVER,
    "1 while an ESXi host is in maintenance mode. Cached from the last scan.",
);
static VM_INFO: Description = Description::gauge(
    "firedrill_esxi_vm_info",
    &["source", "vm", "server", "uuid", "bios_uuid", "template"],
    "What is known of a virtual machine beside numbers; always 1. uuid is its instance uuid, the same under another name. Cached from the last scan.",
);
static VM_CONNECTED: Description = Description::gauge(
    "firedrill_esxi_vm_connected",
    VM,
    "1 while the server can tell how a virtual machine is; 0 when its host is gone, or its files: then all else of it is absent. Cached from the last scan.",
);
static POWERED_ON: Description = Description::gauge(
    "firedrill_esxi_vm_powered_on",
    VM,
    "1 while a virtual machine runs, 0 while it is off or suspended. Cached from the last scan.",
);
static TOOLS: Description = Description::gauge(
    "firedrill_esxi_vm_tools_running",
    VM,
    "1 while VMware Tools run in a virtual machine; absent for one that is off. Cached from the last scan.",
);
static QUESTION: Description = Description::gauge(
    "firedrill_esxi_vm_question_pending",
    VM,
    "1 while a virtual machine stands still until a person answers a question. Cached from the last scan.",
);
static TRACKING: Description = Description::gauge(
    "firedrill_esxi_vm_change_tracking_enabled",
    VM,
    "1 while a virtual machine keeps track of changed blocks, as incremental backups need it. Cached from the last scan.",
);
static CONSOLIDATION: Description = Description::gauge(
    "firedrill_esxi_vm_consolidation_needed",
    VM,
    "1 while files of deleted snapshots are still in use, and grow. Cached from the last scan.",
);
static SNAPSHOTS: Description = Description::gauge(
    "firedrill_esxi_vm_snapshots",
    VM,
    "Snapshots of a virtual machine, 0 without. Cached from the last scan.",
);
static DEPTH: Description = Description::gauge(
    "firedrill_esxi_vm_snapshot_depth",
    VM,
    "Snapshots of a virtual machine that stand one upon the other, at most; 0 without. Cached from the last scan.",
);
static OLDEST: Description = Description::gauge(
    "firedrill_esxi_vm_snapshot_oldest_timestamp_seconds",
    VM,
    "When the oldest snapshot of a virtual machine was made, as Unix time; absent without one. Cached from the last scan.",
);
static STORE_INFO: Description = Description::gauge(
    "firedrill_esxi_datastore_info",
    &["source", "datastore", "type", "url"],
    "What is known of a datastore beside numbers; always 1. url is the same on every host that mounts it. Cached from the last scan.",
);
static ACCESSIBLE: Description = Description::gauge(
    "firedrill_esxi_datastore_accessible",
    DATASTORE,
    "1 while a host can use a datastore. Cached from the last scan.",
);
static CAPACITY: Description = Description::gauge(
    "firedrill_esxi_datastore_capacity_bytes",
    DATASTORE,
    "Bytes that a datastore holds; absent while no host can use it. Cached from the last scan.",
);
static FREE: Description = Description::gauge(
    "firedrill_esxi_datastore_free_bytes",
    DATASTORE,
    "Bytes that are free on a datastore, as its hosts last counted; absent while no host can use it. Cached from the last scan.",
);
static UNREADABLE: Description = Description::gauge(
    "firedrill_esxi_unreadable_properties",
    &["source"],
    "Properties of hosts, virtual machines and datastores that the server doesn't show: what they say is absent. Cached from the last scan.",
);

/// Families of this file.
pub const DESCRIPTIONS: [&Description; 18] = [
    &HOST_UP,
    &HOST_INFO,
    &MAINTENANCE,
    &VM_INFO,
    &VM_CONNECTED,
    &POWERED_ON,
    &TOOLS,
    &QUESTION,
    &TRACKING,
    &CONSOLIDATION,
    &SNAPSHOTS,
    &DEPTH,
    &OLDEST,
    &STORE_INFO,
    &ACCESSIBLE,
    &CAPACITY,
    &FREE,
    &UNREADABLE,
];

/// Fills the families of this file.
pub fn collect(inventory: &Inventory, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    hosts(inventory, out);
    vms(inventory, out);
    datastores(inventory, out);
    let mut unreadable = UNREADABLE.family();
    for (view, book) in books(inventory) {
        unreadable.add(&[view.spec.name.as_str()], f64::from(book.unreadable));
    }
    out(unreadable);
}

/// What the last look saw, of each source whose last look saw something.
pub(super) fn books(inventory: &Inventory) -> impl Iterator<Item = (&SourceView, &EsxiBook)> {
    let of_one = |view: &'_ Arc<SourceView>| view.health.saw("esxi");
    let seen = inventory.sources.iter().filter(move |view| of_one(view));
    seen.filter_map(|view| Some((&**view, view.estate.esxi.as_deref()?)))
}

fn hosts(inventory: &Inventory, out: &mut dyn FnMut(Family)) {
    let mut info = HOST_INFO.family();
    for (view, book) in books(inventory) {
        for (label, host) in &book.hosts {
            info.add(&[view.spec.name.as_str(), label, &host.version, &host.build, &host.uuid], 1.0);
        }
    }
    out(info);
    let mut each = |description: &'static Description, value: fn(&Host) -> Option<bool>| {
        let mut family = description.family();
        for (view, book) in books(inventory) {
            for (label, host) in &book.hosts {
                if let Some(value) = value(host) {
                    family.add(&[view.spec.name.as_str(), label], yes(value));
                }
            }
        }
        out(family);
    };
    each(&HOST_UP, |host| host.connected);
    each(&MAINTENANCE, |host| host.maintenance);
}

fn vms(inventory: &Inventory, out: &mut dyn FnMut(Family)) {
    let mut info = VM_INFO.family();
    for (view, book) in books(inventory) {
        for (label, vm) in &book.vms {
            let template = vm.template.map_or("", |it| if it { "true" } else { "false" });
            let host = vm.host.as_deref().unwrap_or_default();
            info.add(&[view.spec.name.as_str(), label, host, &vm.uuid, &vm.bios_uuid, template], 1.0);
        }
    }
    out(info);
    let mut each = |description: &'static Description, value: fn(&Vm) -> Option<f64>| {
        let mut family = description.family();
        for (view, book) in books(inventory) {
            for (label, vm) in &book.vms {
                if let Some(value) = value(vm) {
                    family.add(&[view.spec.name.as_str(), label], value);
                }
            }
        }
        out(family);
    };
    each(&VM_CONNECTED, |vm| vm.connected.map(yes));
    each(&POWERED_ON, |vm| vm.power.map(|power| yes(power == Power::On)));
    each(&TOOLS, |vm| vm.tools_running.filter(|_| vm.power == Some(Power::On)).map(yes));
    each(&QUESTION, |vm| vm.question.map(yes));
    each(&TRACKING, |vm| vm.change_tracking.map(yes));
    each(&CONSOLIDATION, |vm| vm.consolidation_needed.map(yes));
    each(&SNAPSHOTS, |vm| vm.snapshots.map(|it| f64::from(it.count)));
    each(&DEPTH, |vm| vm.snapshots.map(|it| f64::from(it.depth)));
    each(&OLDEST, |vm| vm.snapshots.and_then(|it| it.oldest).map(seconds));
}

fn datastores(inventory: &Inventory, out: &mut dyn FnMut(Family)) {
    let mut info = STORE_INFO.family();
    for (view, book) in books(inventory) {
        for (label, store) in &book.datastores {
            info.add(&[view.spec.name.as_str(), label, &store.kind, &store.url], 1.0);
        }
    }
    out(info);
    let mut each = |description: &'static Description, value: fn(&Datastore) -> Option<f64>| {
        let mut family = description.family();
        for (view, book) in books(inventory) {
            for (label, store) in &book.datastores {
                if let Some(value) = value(store) {
                    family.add(&[view.spec.name.as_str(), label], value);
                }
            }
        }
        out(family);
    };
    each(&ACCESSIBLE, |store| store.accessible.map(yes));
    each(&CAPACITY, |store| store.capacity.map(|bytes| bytes as f64));
    each(&FREE, |store| store.free.map(|bytes| bytes as f64));
}

fn yes(it: bool) -> f64 {
    f64::from(u8::from(it))
}
