//! The whole `/metrics` of the demo estate at a fixed time, byte for byte.
//!
//! `UPDATE_GOLDEN=1 cargo test --test it golden` writes the file anew; the difference is reviewed like code.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use firedrill::app::{self, App};
use firedrill::engine::ports::Clock;
use jiff::Timestamp;

use crate::support::{get, repository, until};

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        "2026-11-21T08:00:00Z".parse().unwrap()
    }
}

/// Values that differ from machine to machine.
const VOLATILE: &[&str] = &[
    "process_",
    "firedrill_storage_",
    "firedrill_proof_timestamp_seconds{",
    "firedrill_source_scan_duration_seconds{",
    // A slow machine may have scanned twice.
    "firedrill_source_scan_errors_total{",
    "firedrill_build_info{",
];

fn steady(text: &str, estate: &str) -> String {
    let mut steady = String::new();
    for line in text.replace(estate, "/ESTATE").lines() {
        let volatile = VOLATILE.iter().any(|name| line.starts_with(name));
        let line = if volatile { line.rsplit_once(' ').map_or(line, |(series, _)| series) } else { line };
        let line = if line.starts_with("firedrill_build_info{") { "firedrill_build_info{…}" } else { line };
        steady.push_str(line);
        steady.push('\n');
    }
    steady
}

/// The names of the ESXi Backup Manager, of the demo.
static COMPAT: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// The exposition with and without what differs from run to run. Made once for all tests.
pub async fn exposition_of_demo() -> (String, String) {
    static MADE: tokio::sync::OnceCell<(String, String)> = tokio::sync::OnceCell::const_new();
    MADE.get_or_init(expose_demo).await.clone()
}

async fn expose_demo() -> (String, String) {
    let place = tempfile::tempdir().unwrap();
    let estate = place.path().join("estate");
    let mut config = firedrill::demo::write(&estate, Fixed.now()).unwrap();
    config.web.listen_address = "127.0.0.1:0".parse().unwrap();
    let app = App::build(&config, app::sources(&config).unwrap(), Arc::new(Fixed)).await.unwrap();
    let base = format!("http://{}", app.address().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(app.run(async move {
        let _ = stopped.await;
    }));
    let ready = format!("{base}/-/ready");
    until("the first scan", || async { get(&ready).await.filter(|(status, _)| *status == 200) }).await;
    let metrics = format!("{base}/metrics");
    // The last snapshot may still be on its way to the page.
    let text = until("all items are shown and all archives read", || async {
        let text = get(&metrics).await?.1;
        let read = ["waiting_archives 0", "running_archives 0", "unsaved_results 0"].iter().all(|it| text.contains(it));
        let proven = text.matches(r#"state="unproven"} 0"#).count() == 17;
        let turned = text.contains("firedrill_automation_last_turn_timestamp_seconds ");
        (turned && text.matches("firedrill_item_info{").count() == 21 && read && proven).then_some(text)
    })
    .await;
    let (status, compat) = get(&format!("{base}/api/metrics")).await.unwrap();
    assert_eq!(status, 200);
    COMPAT.set(compat).unwrap();
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    (steady(&text, estate.to_str().unwrap()), text)
}

#[tokio::test]
async fn the_whole_exposition() {
    let (found, _) = exposition_of_demo().await;
    let path = repository("tests/golden/metrics.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    let difference = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    assert!(expected == found, "first difference: {difference:?}");
}

#[tokio::test]
async fn promtool_finds_nothing_to_complain_of() {
    let (_, text) = exposition_of_demo().await;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}{}", crate::support::stdout(&output), crate::support::stderr(&output));
}

/// What `esxi-overview`, the dashboard of the ESXi Backup Manager, and its set-up guide ask for.
const ITS_QUERIES: [&str; 22] = [
    "esxi_backups_success_rate",
    "esxi_backups_completed_total",
    "esxi_backups_failed_total",
    "esxi_backups_running_total",
    "esxi_backups_pending_total",
    "esxi_datastore_used_percent",
    "esxi_replications_active",
    "esxi_verifications_passed",
    "esxi_backups_total",
    "esxi_servers_active",
    "esxi_snapshots_total",
    "esxi_datastore_free_gb",
    "increase(esxi_backups_completed_total[1h])",
    "increase(esxi_backups_failed_total[1h])",
    "increase(esxi_verifications_passed[1d])",
    "increase(esxi_verifications_failed[1d])",
    "increase(esxi_backups_failed_total[24h])",
    "avg(esxi_datastore_used_percent)",
    "esxi_datastore_used_percent > 80",
    "sum by (failover_type) (esxi_failover_events_total)",
    "avg(esxi_replication_duration_seconds)",
    "esxi_backups_failed_total",
];

/// Its names that nothing feeds.
const UNFED: [&str; 3] = ["esxi_replication", "esxi_failover", "esxi_snapshot_schedules_active"];

#[tokio::test]
async fn the_names_of_the_esxi_backup_manager() {
    let _ = exposition_of_demo().await;
    let found = COMPAT.get().unwrap();
    let path = repository("tests/golden/api_metrics.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    assert_eq!(*found, std::fs::read_to_string(&path).unwrap());
    let names = firedrill::metrics::esxi_compat::names();
    for line in found.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split([' ', '{']).next().unwrap();
        assert!(names.contains(&name), "{name}");
        for kind in ["HELP", "TYPE"] {
            assert!(found.contains(&format!("# {kind} {name} ")), "{kind} {name}");
        }
    }
    assert!(!found.contains("firedrill_"), "they are served alone");
    let asked = regex::Regex::new("esxi_[a-z0-9_]+").unwrap();
    for query in ITS_QUERIES {
        let name = asked.find(query).unwrap().as_str();
        assert!(names.contains(&name) || UNFED.iter().any(|it| name.starts_with(it)), "{query}");
    }
}
