//! Backups that a storage lists: a file or a snapshot each.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::answer::{Row, rows};
use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::cluster::{ClusterGuest, Verified};
use crate::domain::ids::{GuestKind, ItemId};
use crate::domain::item::is_host_name;
use crate::domain::local_time::not_after;
use crate::domain::look::PlaceListing;
use crate::domain::printable::printable;
use crate::formats::vzdump_name::{self, VzdumpName};

/// How volumes are read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    /// The guests, with what holds them.
    pub(super) guests: &'a BTreeMap<ItemId, ClusterGuest>,
    /// Whether every job notes the name of the guest, and nothing else: then it is the name.
    pub(super) noted_names: bool,
    pub(super) now: Timestamp,
}

/// Adds what a storage lists; how many of its volumes a Proxmox Backup Server verified. An error says what is odd.
///
/// A share that every node mounts by itself, and that isn't called shared, shows the same volumes on each: they count once, by `known`.
pub(super) fn add(
    answer: &Value,
    reading: Reading<'_>,
    known: &mut HashSet<Arc<str>>,
    listing: &mut PlaceListing,
) -> Result<Verified, &'static str> {
    let mut verified = Verified::default();
    for row in rows(answer)? {
        let volume = row.text("volid").ok_or("has a volume without a name")?;
        if !known.insert(volume.clone()) {
            continue;
        }
        match attempt(row, &volume, reading) {
            Some(attempt) => listing.attempts.push(attempt),
            None => listing.pass_over(volume.to_string(), "no backup of a guest by its name"),
        }
        *match verification(row) {
            Some("ok") => &mut verified.ok,
            Some("failed") => &mut verified.failed,
            _ => &mut verified.none,
        } += 1;
    }
    Ok(verified)
}

fn verification(row: Row<'_>) -> Option<&str> {
    Row(row.0.get("verification")?).plain("state")
}

fn attempt(row: Row<'_>, volume: &Arc<str>, reading: Reading<'_>) -> Option<Attempt> {
    let (name, is_snapshot) =
        (volume.rsplit_once('/')?.1, row.plain("format").is_some_and(|it| it.starts_with("pbs-")));
    let item = if is_snapshot { snapshot_of(row, volume)? } else { file_of(name)? };
    let started = not_after(row.time("ctime")?, reading.now);
    let size = row.count("size").unwrap_or(0);
    let note = row.plain("notes").map(|note| printable(note.as_bytes())).filter(|note| !note.is_empty());
    // A snapshot whose run has no end yet has no size; one is put in its place (pve-storage `PBSPlugin.pm`).
    let unfinished = is_snapshot && size <= 1;
    let outcome = match verification(row) {
        Some("failed") => {
            Outcome::Failed { reason: "the Proxmox Backup Server verified it, and found it damaged".into() }
        }
        _ if unfinished && is_held(reading.guests, &item) => Outcome::Running { last_write: started.known()? },
        _ if unfinished => Outcome::Failed { reason: "its run came to no end: the snapshot has no manifest".into() },
        _ => Outcome::Complete { warning: None },
    };
    let mut attempt = Attempt::new(item, started, outcome, (&**volume).into());
    attempt.size = size;
    attempt.protected = row.flag("protected").unwrap_or(false);
    let note: Option<Arc<str>> = note.map(Into::into);
    attempt.guest_name = note.clone().filter(|note| reading.noted_names && is_host_name(note));
    attempt.note = note;
    Some(attempt)
}

fn file_of(name: &str) -> Option<ItemId> {
    match vzdump_name::parse(name.as_bytes()) {
        VzdumpName::Archive(run) => Some(run.item()),
        _ => None,
    }
}

/// `pbs1:backup/vm/100/2026-11-26T01:00:05Z`
fn snapshot_of(row: Row<'_>, volume: &str) -> Option<ItemId> {
    let mut parts = volume.split_once(':')?.1.strip_prefix("backup/")?.split('/');
    let kind = match parts.next()? {
        "vm" => GuestKind::Qemu,
        "ct" => GuestKind::Lxc,
        _ => return None,
    };
    let vmid: u32 = parts.next()?.parse().ok()?;
    (row.vmid("vmid").is_none_or(|told| told == vmid)).then(|| ItemId::guest(kind, vmid))
}

/// Whether somebody backs up a guest now.
pub(super) fn is_held(guests: &BTreeMap<ItemId, ClusterGuest>, item: &ItemId) -> bool {
    guests.get(item).is_some_and(|guest| guest.lock.as_deref() == Some("backup"))
}
