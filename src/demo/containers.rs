//! The monitoring stack of the demo estate, as `docker inspect` writes it: one trouble of each sort.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::files;

/// The file that stands in for an engine.
pub(super) fn file(directory: &Path) -> PathBuf {
    directory.join("containers.json")
}

/// Writes it.
pub(super) fn write(directory: &Path, now: Timestamp) -> anyhow::Result<()> {
    let started = (now - SignedDuration::from_hours(24 * 12)).to_string();
    let running = |health: Option<&str>| {
        let mut state = json!({"Status": "running", "ExitCode": 0, "OOMKilled": false, "StartedAt": started});
        if let Some(health) = health {
            state["Health"] = json!({"Status": health});
        }
        state
    };
    let ended = |code: i64, out_of_memory: bool| json!({"Status": "exited", "ExitCode": code, "OOMKilled": out_of_memory, "StartedAt": started});
    let containers = [
        container("prometheus", "prom/prometheus:v3.7.3", "unless-stopped", 0, running(Some("healthy"))),
        container("alertmanager", "prom/alertmanager:v0.29.0", "unless-stopped", 0, running(Some("healthy"))),
        container("grafana", "grafana/grafana:12.2.1", "unless-stopped", 0, ended(137, true)),
        container("minio", "minio/minio:latest", "unless-stopped", 0, running(Some("unhealthy"))),
        container("minio-bucket", "minio/mc:latest", "no", 0, ended(0, false)),
        container("snmp-exporter", "prom/snmp-exporter:v0.29.0", "on-failure", 41, running(None)),
    ];
    let text = serde_json::to_vec_pretty(&Value::from(containers.to_vec()))?;
    files::with_content(&file(directory), &text, now)
}

fn container(name: &str, image: &str, policy: &str, restarts: i64, state: Value) -> Value {
    json!({
        "Name": format!("/{name}"),
        "RestartCount": restarts,
        "State": state,
        "HostConfig": {"RestartPolicy": {"Name": policy, "MaximumRetryCount": 0}},
        "Config": {"Image": image, "Labels": {"com.docker.compose.project": "monitoring"}},
    })
}
