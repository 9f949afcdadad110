//! One look at a cluster: a fixed number of questions, one more for each node, and one for each storage and node.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde_json::Value;

use super::WatchedStorage;
use super::answer::odd;
use super::client::Answers;
use super::jobs;
use super::overview::{Overview, StorageRow, is_plain};
use super::rights::Rights;
use super::tasks::{self, Logs};
use super::volumes::{self, Reading};
use crate::domain::attempt::Attempt;
use crate::domain::cluster::{ClusterBook, Storage, StorageId, Verified};
use crate::domain::look::{ErrorKind, LookError, PlaceListing};

/// So many questions are open at once.
const AT_ONCE: usize = 8;

/// What one look found.
pub(super) struct Found {
    pub(super) overview: Overview,
    pub(super) cluster: Result<ClusterBook, LookError>,
    /// One for each place.
    pub(super) places: Vec<Result<PlaceListing, LookError>>,
}

/// Looks at everything. An error says that nothing was seen at all.
pub(super) async fn look(
    answers: &Answers<'_>,
    storages: &[WatchedStorage],
    logs: &mut Logs,
    now: Timestamp,
) -> Result<Found, LookError> {
    let rights = match answers {
        Answers::Node(..) => Rights::Of(answers.get("access/permissions").await?),
        Answers::Recorded(_) => Rights::All,
    };
    rights.need("/", "Sys.Audit", "nodes, jobs and tasks")?;
    rights.need("/vms", "VM.Audit", "the guests")?;
    rights.need("/storage", "Datastore.Audit", "the storages")?;
    rights.need_below("/vms", "VM.Audit")?;
    let overview = Overview::of(&answers.get("cluster/status").await?, &answers.get("cluster/resources").await?)?;
    let backup = answers.get("cluster/backup").await;
    let noted_names = backup.as_ref().is_ok_and(jobs::note_names);
    let reading = Reading { guests: &overview.guests, noted_names, now };
    let (mut places, verified) = places(answers, &rights, &overview, storages, reading).await;
    match tasks::attempts(answers, &overview, logs, now).await {
        // They are of no storage; whoever sees any sees them.
        Ok(attempts) => add_to_first(&mut places, attempts),
        Err(error) => places.iter_mut().for_each(|place| {
            if place.is_ok() {
                *place = Err(error.clone());
            }
        }),
    }
    let cluster = match backup {
        Ok(backup) => cluster(answers, &overview, &backup, &verified).await,
        Err(error) => Err(error),
    };
    Ok(Found { overview, cluster, places })
}

fn add_to_first(places: &mut [Result<PlaceListing, LookError>], attempts: Vec<Attempt>) {
    if let Some(listing) = places.iter_mut().find_map(|place| place.as_mut().ok()) {
        listing.attempts.extend(attempts);
    }
}

/// What each place holds, and what was verified in each storage.
async fn places(
    answers: &Answers<'_>,
    rights: &Rights,
    overview: &Overview,
    storages: &[WatchedStorage],
    reading: Reading<'_>,
) -> (Vec<Result<PlaceListing, LookError>>, BTreeMap<StorageId, Verified>) {
    let (mut found, mut verified) = (Vec::new(), BTreeMap::new());
    let named: Vec<Option<&str>> = match storages {
        [] => vec![None],
        some => some.iter().map(|it| Some(&*it.name)).collect(),
    };
    for name in named {
        found.push(place(answers, rights, overview, name, reading, &mut verified).await);
    }
    (found, verified)
}

/// What one storage holds, or all of them. A storage that can't be listed is the whole place's trouble: nobody knows what is there.
async fn place(
    answers: &Answers<'_>,
    rights: &Rights,
    overview: &Overview,
    name: Option<&str>,
    reading: Reading<'_>,
    verified: &mut BTreeMap<StorageId, Verified>,
) -> Result<PlaceListing, LookError> {
    let asked = whom_to_ask(overview, name)?;
    for row in &asked {
        rights.need_backups(&row.name)?;
    }
    let listed = futures_util::stream::iter(asked).map(async |row| Ok((row, contents(answers, row).await?)));
    let listed: Vec<(&StorageRow, Value)> = listed.buffered(AT_ONCE).try_collect().await?;
    let mut listing = PlaceListing::default();
    let mut known = HashSet::new();
    for (row, answer) in listed {
        let what = format!("the backups on {}", row.name);
        let count = volumes::add(&answer, reading, &mut known, &mut listing).map_err(|why| odd(&what, why))?;
        verified.insert(id(row), count);
    }
    Ok(listing)
}

async fn contents(answers: &Answers<'_>, row: &StorageRow) -> Result<Value, LookError> {
    answers.get(&format!("nodes/{}/storage/{}/content?content=backup", row.node, row.name)).await
}

fn id(row: &StorageRow) -> StorageId {
    (row.name.clone(), (!row.shared).then(|| row.node.clone()))
}

/// One node for each storage: all show the same of a shared one.
fn whom_to_ask<'a>(overview: &'a Overview, name: Option<&str>) -> Result<Vec<&'a StorageRow>, LookError> {
    let mut chosen: BTreeMap<StorageId, Option<&StorageRow>> = BTreeMap::new();
    for row in overview.storages.iter().filter(|row| name.is_none_or(|name| *row.name == *name)) {
        if !is_plain(&row.name) || !is_plain(&row.node) {
            return Err(odd("cluster/resources", "has a storage or node whose name can't be one"));
        }
        let slot = chosen.entry(id(row)).or_default();
        if slot.is_none() && row.available && overview.is_online(&row.node) {
            *slot = Some(row);
        }
    }
    if let (Some(name), true) = (name, chosen.is_empty()) {
        let text = format!("there is no storage {name} for backups, or the token may not see it");
        return Err(LookError::new(ErrorKind::NotFound, text));
    }
    let usable = |((name, node), row): (StorageId, Option<&'a StorageRow>)| {
        let on = node.map(|node| format!(" of {node}")).unwrap_or_default();
        let text =
            format!("the storage {name}{on} can't be used now on any node that is online: what it holds isn't known");
        row.ok_or_else(|| LookError::new(ErrorKind::NotMounted, text))
    };
    chosen.into_iter().map(usable).collect()
}

async fn cluster(
    answers: &Answers<'_>,
    overview: &Overview,
    backup: &Value,
    verified: &BTreeMap<StorageId, Verified>,
) -> Result<ClusterBook, LookError> {
    let path = "cluster/backup-info/not-backed-up";
    let uncovered = jobs::uncovered(&answers.get(path).await?).map_err(|why| odd(path, why))?;
    let nodes: Vec<Arc<str>> = overview.online().cloned().collect();
    let asked = futures_util::stream::iter(nodes)
        .map(async |node| answers.get(&format!("nodes/{node}/replication")).await)
        .buffered(AT_ONCE);
    let mut replications = BTreeMap::new();
    for answer in asked.try_collect::<Vec<Value>>().await? {
        jobs::replications(&answer, &mut replications).map_err(|why| odd("replication", why))?;
    }
    let services = jobs::services(&answers.get("cluster/ha/status/current").await?).map_err(|why| odd("HA", why))?;
    Ok(ClusterBook {
        quorate: overview.quorate,
        nodes: overview.nodes.clone(),
        guests: overview.guests.clone(),
        uncovered,
        jobs: jobs::backup_jobs(backup).map_err(|why| odd("cluster/backup", why))?,
        storages: storages(overview, verified),
        replications,
        services,
    })
}

fn storages(overview: &Overview, verified: &BTreeMap<StorageId, Verified>) -> BTreeMap<StorageId, Storage> {
    let mut all: BTreeMap<StorageId, Storage> = BTreeMap::new();
    for row in &overview.storages {
        let active = row.available && overview.is_online(&row.node);
        let id = id(row);
        let verified = verified.get(&id).copied().filter(|_| row.verifies);
        let known = all.entry(id).or_insert(Storage { active: false, capacity: None, verified });
        known.active |= active;
        // A node that can't use it tells sizes of long ago, or none.
        known.capacity = known.capacity.or(row.capacity.filter(|_| active));
    }
    all
}
