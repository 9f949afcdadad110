//! Runs of vzdump that came to nothing, by the tasks of the nodes: they leave no volume behind that would tell.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::answer::{Row, odd, rows};
use super::client::Answers;
use super::overview::Overview;
use super::volumes::is_held;
use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::cluster::ClusterGuest;
use crate::domain::ids::ItemId;
use crate::domain::local_time::not_after;
use crate::domain::look::LookError;
use crate::domain::printable::printable;
use crate::formats::vzdump_task::{self, GuestEnd, GuestRun};

/// Runs that began longer ago don't matter any more.
const BACK: SignedDuration = SignedDuration::from_hours(14 * 24);

/// So many tasks of a node are asked for.
const MOST_TASKS: u32 = 1000;

/// So many logs are read in one look, the newest first; the rest with the next looks.
const MOST_LOGS: usize = 50;

/// The end of a task that failed says so much. In characters.
const SHOWN: usize = 400;

/// What logs of runs with several guests said, by task: each is read once.
pub(super) type Logs = HashMap<Arc<str>, Arc<Vec<GuestRun>>>;

/// One run of vzdump.
struct Task {
    upid: Arc<str>,
    node: Arc<str>,
    /// The guest, where it is only one.
    vmid: Option<u32>,
    started: Timestamp,
    /// `None` while it runs.
    status: Option<Arc<str>>,
}

impl Task {
    fn of(row: Row<'_>, node: &Arc<str>) -> Option<Self> {
        let upid = row.text("upid")?;
        let is_plain = upid.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_@.!".contains(&b));
        let status = row.plain("status").filter(|it| *it != "RUNNING" && row.time("endtime").is_some());
        is_plain.then(|| Self {
            upid,
            node: node.clone(),
            vmid: row.vmid("id"),
            started: row.time("starttime").unwrap_or_default(),
            status: status.map(|it| printable(it.as_bytes()).chars().take(SHOWN).collect::<String>().into()),
        })
    }

    /// `OK`, or only warnings (pve-manager `PVE/API2/Tasks.pm`, pve-common `upid_status_is_error`).
    fn failed(&self) -> Option<&Arc<str>> {
        let is_fine = |it: &str| {
            it == "OK"
                || it.strip_prefix("WARNINGS: ").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        };
        self.status.as_ref().filter(|it| !is_fine(it))
    }
}

/// What the tasks say of the guests: failed and running backups.
pub(super) async fn attempts(
    answers: &Answers<'_>,
    overview: &Overview,
    logs: &mut Logs,
    now: Timestamp,
) -> Result<Vec<Attempt>, LookError> {
    let since = (now - BACK).as_second();
    let mut tasks = Vec::new();
    for node in overview.online() {
        let path = format!("nodes/{node}/tasks?typefilter=vzdump&source=all&since={since}&limit={MOST_TASKS}");
        let answer = answers.get(&path).await?;
        let listed = rows(&answer).map_err(|why| odd("tasks", why))?;
        tasks.extend(listed.filter_map(|row| Task::of(row, node)));
    }
    tasks.sort_by_key(|task| std::cmp::Reverse(task.started));
    let mut known = Logs::new();
    let (mut found, mut left) = (Vec::new(), MOST_LOGS);
    for task in &tasks {
        match (&task.status, task.failed(), task.vmid) {
            (None, _, _) => found.extend(running(task, &overview.guests, now)),
            (Some(_), None, _) => {}
            (Some(_), Some(reason), Some(vmid)) => {
                let items = overview.guests.keys().filter(|item| item.vmid() == Some(vmid));
                found.extend(items.map(|item| attempt(task, item, failed(reason), now)));
            }
            (Some(_), Some(reason), None) => {
                let runs = match logs.get(&task.upid) {
                    Some(runs) => runs.clone(),
                    None if left == 0 => continue,
                    None => {
                        left -= 1;
                        Arc::new(vzdump_task::parse(lines(&log(answers, task).await?)))
                    }
                };
                known.insert(task.upid.clone(), runs.clone());
                found.extend(runs.iter().filter_map(|run| of_run(task, run, reason, now)));
            }
        }
    }
    *logs = known;
    Ok(found)
}

async fn log(answers: &Answers<'_>, task: &Task) -> Result<Value, LookError> {
    // A limit of 0 is none.
    answers.get(&format!("nodes/{}/tasks/{}/log?start=0&limit=0", task.node, task.upid.replace('!', "%21"))).await
}

fn lines(log: &Value) -> impl Iterator<Item = &str> {
    log.as_array().into_iter().flatten().filter_map(|row| Row(row).plain("t"))
}

fn of_run(task: &Task, run: &GuestRun, reason: &Arc<str>, now: Timestamp) -> Option<Attempt> {
    let outcome = match &run.end {
        GuestEnd::Finished => return None,
        GuestEnd::Failed(reason) => Outcome::Failed { reason: reason.clone() },
        // The run ended, and this guest with it.
        GuestEnd::Open => failed(reason),
    };
    Some(attempt(task, &run.item, outcome, now))
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed { reason: reason.into() }
}

/// Guests that a run holds now. A run of many holds one after the other, on its own node.
fn running(task: &Task, guests: &BTreeMap<ItemId, ClusterGuest>, now: Timestamp) -> Vec<Attempt> {
    let is_its = |item: &ItemId, guest: &ClusterGuest| {
        guest.node == task.node && task.vmid.is_none_or(|vmid| item.vmid() == Some(vmid)) && is_held(guests, item)
    };
    let its = guests.iter().filter(|(item, guest)| is_its(item, guest));
    its.map(|(item, _)| attempt(task, item, Outcome::Running { last_write: task.started }, now)).collect()
}

fn attempt(task: &Task, item: &ItemId, outcome: Outcome, now: Timestamp) -> Attempt {
    // No guest of it was begun earlier, and none has a volume of it that would be older.
    Attempt::new(item.clone(), not_after(task.started, now), outcome, format!("{} {item}", task.upid).into())
}
