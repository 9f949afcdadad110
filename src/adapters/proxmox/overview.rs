//! What a cluster says of its nodes, guests and storages in two answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::answer::{Row, odd, rows};
use crate::domain::cluster::ClusterGuest;
use crate::domain::guest::{Guest, GuestBook};
use crate::domain::ids::ItemId;
use crate::domain::look::{Capacity, LookError};

/// A storage that holds backups, as one node sees it.
#[derive(Debug, Clone)]
pub(super) struct StorageRow {
    pub(super) name: Arc<str>,
    pub(super) node: Arc<str>,
    pub(super) shared: bool,
    /// Whether it is a Proxmox Backup Server.
    pub(super) verifies: bool,
    pub(super) available: bool,
    pub(super) capacity: Option<Capacity>,
}

/// Nodes, guests and storages.
#[derive(Debug, Default)]
pub(super) struct Overview {
    pub(super) quorate: Option<bool>,
    /// Whether each is online.
    pub(super) nodes: BTreeMap<Arc<str>, bool>,
    pub(super) guests: BTreeMap<ItemId, ClusterGuest>,
    pub(super) storages: Vec<StorageRow>,
    book: BTreeMap<ItemId, Guest>,
}

/// Names go into paths of further questions.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl Overview {
    /// From `cluster/status` and `cluster/resources`.
    pub(super) fn of(status: &Value, resources: &Value) -> Result<Self, LookError> {
        let mut it = Self::default();
        for row in rows(status).map_err(|why| odd("cluster/status", why))? {
            match row.plain("type") {
                Some("cluster") => it.quorate = row.flag("quorate"),
                Some("node") => {
                    let name = row.text("name").filter(|name| is_plain(name));
                    let name =
                        name.ok_or_else(|| odd("cluster/status", "has a node without a name, or one that can't be"))?;
                    it.nodes.insert(name, row.flag("online").unwrap_or(false));
                }
                _ => {}
            }
        }
        if it.nodes.is_empty() {
            return Err(odd("cluster/status", "has no nodes"));
        }
        for row in rows(resources).map_err(|why| odd("cluster/resources", why))? {
            it.add(row).map_err(|why| odd("cluster/resources", why))?;
        }
        Ok(it)
    }

    fn add(&mut self, row: Row<'_>) -> Result<(), &'static str> {
        match row.plain("type") {
            Some("qemu" | "lxc") => {
                let id = row.guest("type").ok_or("has a guest without a number")?;
                let node = row.text("node").ok_or("has a guest without a node")?;
                let running = match row.plain("status") {
                    Some("running") => Some(true),
                    Some("unknown") | None => None,
                    Some(_) => Some(false),
                };
                let template = row.flag("template").unwrap_or(false);
                let lock = row.text("lock").filter(|lock| !lock.is_empty());
                self.book.insert(id.clone(), guest(id.clone(), node.clone(), template, row));
                self.guests.insert(id, ClusterGuest { node, running, lock, template });
            }
            Some("storage") if row.plain("content").is_some_and(|it| it.split(',').any(|word| word == "backup")) => {
                let name = row.text("storage").ok_or("has a storage without a name")?;
                let node = row.text("node").ok_or("has a storage without a node")?;
                let size = row.count("maxdisk").filter(|size| *size > 0);
                let free = |size: u64| size.saturating_sub(row.count("disk").unwrap_or(0));
                self.storages.push(StorageRow {
                    name,
                    node,
                    shared: row.flag("shared").unwrap_or(false),
                    verifies: row.plain("plugintype") == Some("pbs"),
                    available: row.plain("status") == Some("available"),
                    capacity: size.map(|size| Capacity { size, free: free(size) }),
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a node is online.
    pub(super) fn is_online(&self, node: &str) -> bool {
        self.nodes.get(node).copied().unwrap_or(false)
    }

    /// The nodes that are.
    pub(super) fn online(&self) -> impl Iterator<Item = &Arc<str>> {
        self.nodes.iter().filter(|(_, online)| **online).map(|(name, _)| name)
    }

    /// The guests, as they are judged.
    pub(super) fn book(&self) -> GuestBook {
        let nodes: BTreeSet<Arc<str>> = self.nodes.keys().cloned().collect();
        GuestBook { nodes, guests: self.book.clone(), ..GuestBook::default() }
    }
}

fn guest(id: ItemId, node: Arc<str>, template: bool, row: Row<'_>) -> Guest {
    let tags = row.plain("tags").unwrap_or_default().split([';', ',', ' ']).filter(|tag| !tag.is_empty());
    Guest {
        id,
        name: row.text("name").filter(|name| !name.is_empty()),
        tags: tags.map(Into::into).collect(),
        notes: None,
        node,
        template,
        left_out: Vec::new(),
        onboot: None,
        created: None,
        identity_since: None,
        fingerprint: None,
        former_names: Vec::new(),
    }
}
