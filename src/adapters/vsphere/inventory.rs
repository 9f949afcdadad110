//! What the properties of hosts, virtual machines and datastores say.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::properties::{Object, flag};
use super::xml::Element;
use crate::domain::esxi::{Datastore, EsxiBook, Host, Power, Snapshots, Vm};
use crate::domain::printable::printable;

/// What is asked for. Of a host the summary, which is there also while it isn't connected.
pub(super) const WANTED: &[(&str, &[&str])] = &[
    (
        "HostSystem",
        &[
            "name",
            "runtime.connectionState",
            "runtime.inMaintenanceMode",
            "summary.config.product.version",
            "summary.config.product.build",
            "summary.hardware.uuid",
        ],
    ),
    (
        "VirtualMachine",
        &[
            "name",
            "config.instanceUuid",
            "config.uuid",
            "config.template",
            "config.changeTrackingEnabled",
            "runtime.host",
            "runtime.connectionState",
            "runtime.powerState",
            "runtime.question",
            "runtime.consolidationNeeded",
            "guest.toolsRunningStatus",
            "guest.ipAddress",
            "snapshot",
        ],
    ),
    ("Datastore", &["summary"]),
];

/// So many of the properties that weren't shown are told.
const SHOWN: usize = 5;

/// What was found so far, by what the server calls it. Of a page only this stays in memory.
#[derive(Debug, Default)]
pub(super) struct Found {
    hosts: BTreeMap<Arc<str>, Host>,
    vms: BTreeMap<Arc<str>, Vm>,
    datastores: BTreeMap<Arc<str>, Datastore>,
    /// By path and object.
    missing: BTreeMap<(Box<str>, Box<str>), Box<str>>,
}

impl Found {
    /// One object more, or the same again.
    pub(super) fn take(&mut self, object: &Object) {
        let id = word(Some(&object.reference.id));
        match &*object.reference.of {
            "HostSystem" => drop(self.hosts.insert(id, host(object))),
            "VirtualMachine" => drop(self.vms.insert(id, vm(object))),
            "Datastore" => drop(self.datastores.insert(id, datastore(object))),
            _ => return,
        }
        for (path, fault) in &object.missing {
            self.missing.insert((path.clone(), object.reference.id.clone()), fault.clone());
        }
    }

    /// What all of it is.
    pub(super) fn book(self) -> EsxiBook {
        let first = self.missing.iter().take(SHOWN);
        let texts = first.map(|((path, id), fault)| format!("{path} of {id}: {fault}"));
        let unread = texts.map(|text| printable(text.as_bytes()).into()).collect();
        let unreadable = u32::try_from(self.missing.len()).unwrap_or(u32::MAX);
        let (hosts, vms, datastores) = (self.hosts, self.vms, self.datastores);
        let book = EsxiBook::of(
            hosts.into_values().collect(),
            vms.into_values().collect(),
            datastores.into_values().collect(),
        );
        EsxiBook { unreadable, unread, ..book }
    }
}

fn host(object: &Object) -> Host {
    Host {
        id: word(Some(&object.reference.id)),
        name: name(object),
        connected: object.text("runtime.connectionState").map(|state| state == "connected"),
        maintenance: object.flag("runtime.inMaintenanceMode"),
        version: word(object.text("summary.config.product.version")),
        build: word(object.text("summary.config.product.build")),
        uuid: word(object.text("summary.hardware.uuid")),
    }
}

fn vm(object: &Object) -> Vm {
    let connected = object.text("runtime.connectionState").map(|state| state == "connected");
    let known = Vm {
        id: word(Some(&object.reference.id)),
        name: name(object),
        uuid: word(object.text("config.instanceUuid")),
        bios_uuid: word(object.text("config.uuid")),
        host: object.text("runtime.host").map(|id| word(Some(id))),
        template: object.flag("config.template"),
        connected,
        ..Vm::default()
    };
    // What a vCenter last heard of one that it isn't in touch with may be of last year.
    if connected != Some(true) {
        return known;
    }
    let power = match object.text("runtime.powerState") {
        Some("poweredOn") => Some(Power::On),
        Some("poweredOff") => Some(Power::Off),
        Some("suspended") => Some(Power::Suspended),
        _ => None,
    };
    // What isn't set isn't sent, so a machine of which something is known has no question and no snapshot where none is told.
    let unless_missing = |path: &str| power.is_some() && !object.is_missing(path);
    Vm {
        power,
        tools_running: object.text("guest.toolsRunningStatus").map(|status| status != "guestToolsNotRunning"),
        question: unless_missing("runtime.question").then(|| object.get("runtime.question").is_some()),
        change_tracking: object.flag("config.changeTrackingEnabled"),
        consolidation_needed: object.flag("runtime.consolidationNeeded"),
        snapshots: unless_missing("snapshot").then(|| object.get("snapshot").map(snapshots).unwrap_or_default()),
        address: object.text("guest.ipAddress").map(|text| word(Some(text))),
        ..known
    }
}

fn snapshots(info: &Element) -> Snapshots {
    let mut found = Snapshots::default();
    for root in info.all("rootSnapshotList") {
        count(root, 1, &mut found);
    }
    found
}

/// Deeper than replies are read it doesn't go.
fn count(tree: &Element, depth: u32, found: &mut Snapshots) {
    found.count = found.count.saturating_add(1);
    found.depth = found.depth.max(depth);
    if let Some(made) = tree.text_of("createTime").and_then(|text| text.parse::<Timestamp>().ok()) {
        found.oldest = Some(found.oldest.map_or(made, |it| it.min(made)));
        found.newest = Some(found.newest.map_or(made, |it| it.max(made)));
    }
    for child in tree.all("childSnapshotList") {
        count(child, depth + 1, found);
    }
}

fn datastore(object: &Object) -> Datastore {
    let id = word(Some(&object.reference.id));
    let Some(summary) = object.get("summary") else {
        return Datastore { name: id.clone(), id, ..Datastore::default() };
    };
    let accessible = summary.text_of("accessible").and_then(flag);
    // Of one that nobody can use the numbers are old, or nothing.
    let bytes = |name: &str| summary.text_of(name)?.parse().ok().filter(|_| accessible == Some(true));
    Datastore {
        name: summary.text_of("name").map_or_else(|| id.clone(), unescaped),
        url: word(summary.text_of("url")),
        kind: word(summary.text_of("type")),
        accessible,
        capacity: bytes("capacity"),
        free: bytes("freeSpace"),
        id,
    }
}

/// The name of an object; where it isn't shown what the server calls it.
fn name(object: &Object) -> Arc<str> {
    object.text("name").map_or_else(|| word(Some(&object.reference.id)), unescaped)
}

/// Names come with these three characters escaped.
fn unescaped(name: &str) -> Arc<str> {
    let mut name = name.to_owned();
    for (code, character) in [("%2f", "/"), ("%2F", "/"), ("%5c", "\\"), ("%5C", "\\"), ("%25", "%")] {
        name = name.replace(code, character);
    }
    word(Some(&name))
}

fn word(text: Option<&str>) -> Arc<str> {
    printable(text.unwrap_or_default().as_bytes()).into()
}
