//! What a cluster says of its jobs: backups, replication, HA.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::answer::{Row, rows};
use crate::domain::cluster::{BackupJob, ReplicationJob};
use crate::domain::ids::ItemId;

/// What a job notes by default: the name of the guest.
const NAME_ALONE: &str = "{{guestname}}";

/// The jobs by `cluster/backup`.
pub(super) fn backup_jobs(answer: &Value) -> Result<BTreeMap<Arc<str>, BackupJob>, &'static str> {
    let job = |row: Row<'_>| {
        let job = BackupJob {
            enabled: row.flag("enabled").unwrap_or(true),
            schedule: row.text("schedule").unwrap_or_default(),
            storage: row.text("storage").unwrap_or_default(),
            next_run: row.time("next-run"),
        };
        Ok((row.text("id").ok_or("has a job without an id")?, job))
    };
    rows(answer)?.map(job).collect()
}

/// Whether the notes of backups are names of guests.
pub(super) fn note_names(answer: &Value) -> bool {
    let mut templates = answer.as_array().into_iter().flatten().map(|row| Row(row).plain("notes-template")).peekable();
    templates.peek().is_some() && templates.all(|it| it == Some(NAME_ALONE))
}

/// Guests in no job, by `cluster/backup-info/not-backed-up`.
pub(super) fn uncovered(answer: &Value) -> Result<BTreeSet<ItemId>, &'static str> {
    rows(answer)?.map(|row| row.guest("type").ok_or("has a guest without a number")).collect()
}

/// Replication of one node, by `nodes/NODE/replication`: the jobs whose guests are there.
pub(super) fn replications(answer: &Value, into: &mut BTreeMap<Arc<str>, ReplicationJob>) -> Result<(), &'static str> {
    for row in rows(answer)? {
        let job = ReplicationJob {
            target: row.text("target").unwrap_or_default(),
            enabled: !row.flag("disable").unwrap_or(false),
            last_sync: row.time("last_sync"),
            next_sync: row.time("next_sync"),
            failures: row.count("fail_count").and_then(|it| u32::try_from(it).ok()).unwrap_or(0),
            running: row.count("pid").is_some_and(|pid| pid > 0),
            took: row.number("duration").and_then(|it| Duration::try_from_secs_f64(it).ok()),
        };
        into.insert(row.text("id").ok_or("has a job without an id")?, job);
    }
    Ok(())
}

/// States of what HA looks after, by `cluster/ha/status/current`.
pub(super) fn services(answer: &Value) -> Result<BTreeMap<Arc<str>, Arc<str>>, &'static str> {
    let services = rows(answer)?.filter(|row| row.plain("type") == Some("service"));
    Ok(services.filter_map(|row| Some((row.text("sid")?, row.text("state").unwrap_or_default()))).collect())
}
