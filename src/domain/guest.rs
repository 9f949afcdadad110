//! The guests that exist, and whether an archive belongs to the guest that has its VMID now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::ids::{ItemId, ItemKind};
use super::run_log::LeftOut;

/// A guest as its configuration describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Kind and VMID.
    pub id: ItemId,
    /// `name:` of a virtual machine, `hostname:` of a container.
    pub name: Option<Arc<str>>,
    /// `tags:`.
    pub tags: Vec<Box<str>>,
    /// The comment block at the head of the configuration.
    pub notes: Option<Box<str>>,
    /// Node whose directory holds the configuration.
    pub node: Arc<str>,
    /// A template isn't backed up for its own sake.
    pub template: bool,
    /// Volumes that its backups leave out.
    pub left_out: Vec<LeftOut>,
    /// `onboot: 1`: started with the node; `None` where its configuration wasn't read.
    pub onboot: Option<bool>,
    /// When a guest with this VMID came into being (`meta: …ctime=`).
    pub created: Option<Timestamp>,
    /// Since when this process has seen the guest under its present identity, if it saw that identity change.
    pub identity_since: Option<Timestamp>,
    /// What stays when a guest is renamed: the SMBIOS UUID of a virtual machine, the first MAC address of a container.
    pub fingerprint: Option<Box<str>>,
    /// Names that it had before, seen while this process ran.
    pub former_names: Vec<Arc<str>>,
}

impl Guest {
    /// Whether an archive of this VMID, begun at `started` from a guest called `name`, is a backup of this guest.
    ///
    /// A VMID may be given again after its guest was destroyed; its predecessor's archives protect nobody. Proof is
    /// the creation time where the configuration has it; else a different name speaks for another guest.
    pub fn owns(&self, started: Timestamp, name: Option<&str>) -> bool {
        if self.identity_since.is_some_and(|since| started < since) {
            return false;
        }
        if let Some(created) = self.created {
            return started >= created;
        }
        match (self.name.as_deref(), name) {
            (Some(mine), Some(theirs)) => mine == theirs || self.former_names.iter().any(|former| &**former == theirs),
            _ => true,
        }
    }

    /// Takes over what was learned of the guest with the same id before, or notes that it is another one now.
    fn inherit(&mut self, before: &Self, now: Timestamp) {
        let renamed = self.name != before.name;
        let same_print = self.fingerprint.is_some() && self.fingerprint == before.fingerprint;
        let other = match self.id.item_kind() {
            ItemKind::Qemu => !same_print && self.fingerprint.is_some() && before.fingerprint.is_some(),
            // The address of a container changes with its network; only together with the name does it tell.
            _ => renamed && !same_print,
        };
        if other {
            self.identity_since = Some(now);
            return;
        }
        self.identity_since = before.identity_since;
        self.created = self.created.or(before.created);
        self.former_names.clone_from(&before.former_names);
        if let Some(old) = before.name.as_ref().filter(|old| renamed && !self.former_names.contains(old)) {
            self.former_names.push(old.clone());
        }
    }
}

/// All guests of a cluster, by their configuration files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestBook {
    /// Nodes that have a directory.
    pub nodes: BTreeSet<Arc<str>>,
    /// The guests.
    pub guests: BTreeMap<ItemId, Guest>,
    /// Nodes whose directory was there before and is gone; their guests stay expected.
    pub lost_nodes: BTreeSet<Arc<str>>,
    /// Nodes that lost all their guests of a kind at once, and more than one: a directory that was emptied, not guests
    /// that were removed. They stay expected as well.
    pub emptied: BTreeSet<(Arc<str>, ItemKind)>,
}

impl GuestBook {
    /// The book of now, with what the one before knew: former names, changed identities, and the guests of a node
    /// that vanished as a whole. A guest whose file alone vanished was removed or moved.
    pub fn following(mut self, before: &Self, now: Timestamp) -> Self {
        for guest in self.guests.values_mut() {
            if let Some(known) = before.guests.get(&guest.id) {
                guest.inherit(known, now);
            }
        }
        let lost = before.nodes.union(&before.lost_nodes).filter(|node| !self.nodes.contains(*node));
        self.lost_nodes = lost.cloned().collect();
        let (then, now) = (before.counts(), self.counts());
        self.emptied =
            then.into_iter().filter(|(of, count)| *count > 1 && !now.contains_key(of)).map(|it| it.0).collect();
        for guest in before.guests.values() {
            let lost = self.is_lost(guest);
            if lost && !self.guests.contains_key(&guest.id) {
                self.guests.insert(guest.id.clone(), guest.clone());
            }
        }
        self
    }

    /// Whether a guest is only remembered, because the place of its configuration went away as a whole.
    pub fn is_lost(&self, guest: &Guest) -> bool {
        let emptied = self.emptied.contains(&(guest.node.clone(), guest.id.item_kind()));
        emptied || self.lost_nodes.contains(&guest.node)
    }

    /// Guests by node and kind.
    fn counts(&self) -> BTreeMap<(Arc<str>, ItemKind), usize> {
        let mut counts = BTreeMap::new();
        for guest in self.guests.values() {
            *counts.entry((guest.node.clone(), guest.id.item_kind())).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests;
