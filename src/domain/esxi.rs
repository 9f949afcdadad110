//! What a vSphere server, an ESXi host or a vCenter, says of its hosts, virtual machines, snapshots and datastores.
//!
//! What the server didn't tell is `None` here: unknown, never zero or no.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

/// A host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// What the server calls it among its objects: `ha-host`, `host-26`.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Whether the server is in touch with it.
    pub connected: Option<bool>,
    /// Whether it is taken out of service.
    pub maintenance: Option<bool>,
    /// Version of ESXi; empty where it isn't known.
    pub version: Arc<str>,
    /// Build of ESXi; empty where it isn't known.
    pub build: Arc<str>,
    /// Of its hardware; empty where it isn't known.
    pub uuid: Arc<str>,
}

/// Whether a virtual machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It runs.
    On,
    /// It doesn't.
    Off,
    /// It is frozen in a file.
    Suspended,
}

/// The snapshots of a virtual machine. Without any, all is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshots {
    /// How many.
    pub count: u32,
    /// How many stand one upon the other, at most: each makes reading slower.
    pub depth: u32,
    /// When the oldest was made, by the host's clock.
    pub oldest: Option<Timestamp>,
    /// When the newest was made, by the host's clock.
    pub newest: Option<Timestamp>,
}

/// A virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vm {
    /// What the server calls it among its objects; another one after it was registered again.
    pub id: Arc<str>,
    /// Its name; it may be given another one, and another one may have the same.
    pub name: Arc<str>,
    /// The instance uuid: its identity, also under another name or on another host. Empty where it isn't known.
    pub uuid: Arc<str>,
    /// The uuid that the guest sees; copies may share it. Empty where it isn't known.
    pub bios_uuid: Arc<str>,
    /// Where it is: the label of the host.
    pub host: Option<Arc<str>>,
    /// Whether it is a template, which never runs.
    pub template: Option<bool>,
    /// Whether the server can tell how it is. Of one that isn't connected all below is unknown: it would be of long ago.
    pub connected: Option<bool>,
    /// Whether it runs.
    pub power: Option<Power>,
    /// Whether VMware Tools run in it.
    pub tools_running: Option<bool>,
    /// Whether it stands still until a person answers a question.
    pub question: Option<bool>,
    /// Whether it keeps track of the blocks that change.
    pub change_tracking: Option<bool>,
    /// Whether files of deleted snapshots are still in use.
    pub consolidation_needed: Option<bool>,
    /// Its snapshots.
    pub snapshots: Option<Snapshots>,
    /// An address of the guest, as its Tools say.
    pub address: Option<Arc<str>>,
}

/// A datastore.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Datastore {
    /// What the server calls it among its objects.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its identity, the same on every host that mounts it: `ds:///vmfs/volumes/…/`. Empty where it isn't known.
    pub url: Arc<str>,
    /// `VMFS`, `NFS`, …; empty where it isn't known.
    pub kind: Arc<str>,
    /// Whether a host can use it.
    pub accessible: Option<bool>,
    /// Bytes that it holds; unknown while it isn't accessible.
    pub capacity: Option<u64>,
    /// Bytes that are free; unknown while it isn't accessible.
    pub free: Option<u64>,
}

/// What one server knows, each by a label that is unique here.
///
/// The label is the name: that is what people know a machine by, and a uuid alone would say nothing to them. Two of one name have
/// the beginning of their identity after it (`web~5c6c5a36`). One that is given another name is another series from then on; who
/// has to follow it joins by the uuid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EsxiBook {
    /// Hosts.
    pub hosts: BTreeMap<Arc<str>, Host>,
    /// Virtual machines, templates among them.
    pub vms: BTreeMap<Arc<str>, Vm>,
    /// Datastores, each once however many hosts and data centers mount it.
    pub datastores: BTreeMap<Arc<str>, Datastore>,
    /// Properties that the server didn't show.
    pub unreadable: u32,
    /// The first few of them with the reason.
    pub unread: Vec<Arc<str>>,
}

impl EsxiBook {
    /// Of what was seen. `host` of each machine is the id of a host here, and becomes its label.
    pub fn of(hosts: Vec<Host>, mut vms: Vec<Vm>, datastores: Vec<Datastore>) -> Self {
        let hosts = labelled(hosts, |it| (&it.name, &it.uuid, &it.id));
        let by_id: HashMap<&str, &Arc<str>> = hosts.iter().map(|(label, host)| (&*host.id, label)).collect();
        for vm in &mut vms {
            vm.host = vm.host.take().and_then(|id| by_id.get(&*id).map(|label| Arc::clone(label)));
        }
        Self {
            vms: labelled(vms, |it| (&it.name, &it.uuid, &it.id)),
            datastores: labelled(once(datastores), |it| (&it.name, &it.url, &it.id)),
            hosts,
            unreadable: 0,
            unread: Vec::new(),
        }
    }
}

/// Each datastore once. Who can use it counts: what others say of its space is old.
fn once(all: Vec<Datastore>) -> Vec<Datastore> {
    let mut kept: BTreeMap<Arc<str>, Datastore> = BTreeMap::new();
    for it in all {
        let identity = if it.url.is_empty() { it.id.clone() } else { it.url.clone() };
        match kept.get(&identity) {
            Some(known) if known.accessible == Some(true) || it.accessible != Some(true) => {}
            _ => drop(kept.insert(identity, it)),
        }
    }
    kept.into_values().collect()
}

/// By label. `of` tells name, identity and id of one.
fn labelled<T>(mut all: Vec<T>, of: impl Fn(&T) -> (&Arc<str>, &Arc<str>, &Arc<str>)) -> BTreeMap<Arc<str>, T> {
    let mut named: HashMap<Arc<str>, usize> = HashMap::new();
    for it in &all {
        *named.entry(of(it).0.clone()).or_default() += 1;
    }
    // So that labels don't depend on the order in which the server tells.
    all.sort_by(|a, b| (of(a).1, of(a).2).cmp(&(of(b).1, of(b).2)));
    let mut labelled = BTreeMap::new();
    for it in all {
        let (name, identity, id) = of(&it);
        let mut label = match named.get(name) {
            Some(1) => name.clone(),
            _ => format!("{name}~{}", short(if identity.is_empty() { id } else { identity })).into(),
        };
        let mut nth = 2;
        while labelled.contains_key(&label) {
            label = format!("{name}~{}~{nth}", short(identity)).into();
            nth += 1;
        }
        labelled.insert(label, it);
    }
    labelled
}

/// The first eight characters of a uuid, or of the last part of a URL.
fn short(identity: &str) -> String {
    let last = identity.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    last.chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(name: &str, uuid: &str, host: &str) -> Vm {
        Vm { name: name.into(), uuid: uuid.into(), id: uuid.into(), host: Some(host.into()), ..Vm::default() }
    }

    fn labels<T>(of: &BTreeMap<Arc<str>, T>) -> Vec<&str> {
        of.keys().map(|it| &**it).collect()
    }

    #[test]
    fn two_of_one_name_are_told_apart_whatever_the_order() {
        let host = Host { id: "host-1".into(), name: "esx1".into(), ..Host::default() };
        let vms = vec![
            vm("web", "5c6c5a36-df4d", "host-1"),
            vm("db", "6b24e62b-3e77", "host-9"),
            vm("web", "11111111-0000", "host-1"),
            vm("web", "11111111-0001", "host-1"),
        ];
        let reversed = vms.iter().rev().cloned().collect();
        let book = EsxiBook::of(vec![host.clone()], vms, Vec::new());
        assert_eq!(labels(&book.vms), ["db", "web~11111111", "web~11111111~2", "web~5c6c5a36"]);
        assert_eq!(book.vms["web~5c6c5a36"].host.as_deref(), Some("esx1"));
        assert_eq!(book.vms["db"].host, None, "a host that isn't shown");
        assert_eq!(EsxiBook::of(vec![host], reversed, Vec::new()), book);
    }

    #[test]
    fn a_datastore_of_several_is_one_and_who_can_use_it_counts() {
        let store = |id: &str, name: &str, url: &str, accessible| Datastore {
            id: id.into(),
            name: name.into(),
            url: url.into(),
            accessible: Some(accessible),
            free: accessible.then_some(7),
            ..Datastore::default()
        };
        let nfs = "ds:///vmfs/volumes/ab12cd34-ef567890/";
        let book = EsxiBook::of(
            Vec::new(),
            Vec::new(),
            vec![
                store("1", "nfs", nfs, false),
                store("2", "nfs", nfs, true),
                store("3", "local", "ds:///vmfs/volumes/aaaaaaaa-1/", true),
                store("4", "local", "ds:///vmfs/volumes/bbbbbbbb-1/", true),
                store("5", "odd", "", true),
            ],
        );
        assert_eq!(labels(&book.datastores), ["local~aaaaaaaa", "local~bbbbbbbb", "nfs", "odd"]);
        assert_eq!((book.datastores["nfs"].accessible, book.datastores["nfs"].free), (Some(true), Some(7)));
    }
}
