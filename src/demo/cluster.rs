//! What the API of the demo cluster answers, in a file: one trouble of each sort.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::estate::each_guest;
use super::files;

/// The file that stands in for the nodes.
pub(super) fn file(directory: &Path) -> PathBuf {
    directory.join("cluster.json")
}

/// Writes it.
pub(super) fn write(directory: &Path, now: Timestamp) -> anyhow::Result<()> {
    let hours = |hours: i64| (now - SignedDuration::from_hours(hours)).as_second();
    let mut all = Map::new();
    let mut say = |path: &str, answer: Value| all.insert(path.to_owned(), answer);
    let node = |name: &str, online: i32| json!({"type": "node", "name": name, "online": online});
    say(
        "cluster/status",
        json!([{"type": "cluster", "name": "demo", "nodes": 3, "quorate": 1}, node("pve1", 1), node("pve2", 1), node("pve3", 0)]),
    );
    say("cluster/resources", resources());
    let job = |id: &str, enabled: i32, schedule: &str, storage: &str, next: i64| json!({"id": id, "enabled": enabled, "schedule": schedule, "storage": storage, "next-run": next, "notes-template": "{{guestname}}"});
    let (tonight, sunday) = (hours(-16), hours(-70));
    say(
        "cluster/backup",
        json!([job("nightly", 1, "02:00", "local", tonight), job("weekly", 0, "sun 04:00", "pbs", sunday)]),
    );
    say("cluster/backup-info/not-backed-up", json!([{"vmid": 108, "name": "new-shop", "type": "qemu"}]));
    let service = |sid: &str, state: &str| json!({"type": "service", "sid": sid, "state": state});
    say("cluster/ha/status/current", json!([service("vm:101", "started"), service("ct:201", "error")]));
    let replication = |guest: u32, last: i64, next: i64, failures: u32| json!({"id": format!("{guest}-0"), "guest": guest, "target": "pve2", "last_sync": last, "next_sync": next, "fail_count": failures, "duration": 7.2});
    let soon = (now + SignedDuration::from_mins(9)).as_second();
    say(
        "nodes/pve1/replication",
        json!([replication(100, soon - 900, soon, 0), replication(101, hours(9), hours(2), 21)]),
    );
    say("nodes/pve2/replication", json!([]));
    say("nodes/pve1/tasks", json!([]));
    say("nodes/pve2/tasks", json!([]));
    let snapshot = |vmid: u32, ago: i64, state: &str| {
        let at = hours(ago);
        let time = Timestamp::from_second(at).unwrap_or(now);
        json!({"volid": format!("pbs:backup/vm/{vmid}/{time}"), "format": "pbs-vm", "subtype": "qemu", "vmid": vmid, "ctime": at,
            "size": 8_589_934_592_u64, "verification": {"state": state}})
    };
    say(
        "nodes/pve1/storage/pbs/content",
        json!([snapshot(100, 100, "ok"), snapshot(101, 100, "ok"), snapshot(102, 268, "failed")]),
    );
    files::with_content(&file(directory), &serde_json::to_vec_pretty(&all)?, now)
}

fn resources() -> Value {
    let mut rows = vec![
        json!({"type": "storage", "storage": "pbs", "node": "pve1", "shared": 1, "plugintype": "pbs", "content": "backup",
        "status": "available", "maxdisk": 4_000_000_000_000_u64, "disk": 3_640_000_000_000_u64}),
    ];
    each_guest(|kind, vmid, name, node, tags, template| {
        let status = if template || vmid == "106" { "stopped" } else { "running" };
        rows.push(json!({"type": kind, "vmid": vmid, "name": name, "node": node, "status": status, "tags": tags, "template": i32::from(template)}));
    });
    rows.into()
}
