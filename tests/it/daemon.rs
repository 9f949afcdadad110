//! The real binary on the demo estate, watched by a real Prometheus with the shipped rules and dashboards.

use firedrill::engine::archives::ArchivesBySource;
use firedrill::engine::ports::Archives;
use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::app::{self, App, WatchedSource};
use firedrill::config::Config;
use firedrill::domain::look::{Look, PlaceSpec, SourceKind, SourceSpec};
use firedrill::engine::ports::Source;
use jiff::Timestamp;
use serde_json::Value;

use crate::support::{Daemon, Prometheus, get, repository, until};

/// What must fire on the demo estate, as alert, source, item. Nothing else may.
const TROUBLES: &[(&str, &str, &str)] = &[
    ("FiredrillBackupLate", "cluster", "qemu/103"),
    ("FiredrillBackupFailed", "cluster", "qemu/104"),
    ("FiredrillBackupFailed", "cluster", "qemu/106"),
    ("FiredrillBackupFailed", "cluster", "qemu/107"),
    // With its `for` of a day cut to nothing, any running backup fires.
    ("FiredrillBackupRunningLong", "cluster", "qemu/105"),
    ("FiredrillGuestUnprotected", "cluster", "qemu/108"),
    ("FiredrillBackupCorrupt", "cluster", "qemu/109"),
    ("FiredrillLeftovers", "cluster", ""),
    ("FiredrillSourceUnknown", "offsite", ""),
    ("FiredrillContainerDown", "monitoring", ""),
    ("FiredrillContainerUnhealthy", "monitoring", ""),
    ("FiredrillEsxiConsolidationNeeded", "esx1", ""),
    ("FiredrillEsxiDatastoreFilling", "esx1", ""),
    ("FiredrillEsxiDatastoreInaccessible", "esx1", ""),
    ("FiredrillEsxiQuestionPending", "esx1", ""),
    ("FiredrillEsxiSnapshotOld", "esx1", ""),
    ("FiredrillEsxiSnapshotsDeep", "esx1", ""),
    ("FiredrillGuestNotInJob", "cluster", "qemu/108"),
    ("FiredrillHaServiceFailed", "cluster", ""),
    ("FiredrillProxmoxNodeDown", "cluster", ""),
    ("FiredrillProxmoxReplicationFailing", "cluster", ""),
    ("FiredrillProxmoxStorageFilling", "cluster", ""),
    ("FiredrillSnapshotsDamaged", "cluster", ""),
];

async fn firing(prometheus: &Prometheus) -> BTreeSet<(String, String, String)> {
    let alerts = prometheus.api("alerts", &[]).await;
    let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
    let alerts = alerts["alerts"].as_array().unwrap().iter().filter(|alert| alert["state"] == "firing");
    alerts.map(|alert| (label(alert, "alertname"), label(alert, "source"), label(alert, "item"))).collect()
}

#[tokio::test]
async fn the_troubles_of_the_demo_estate_fire_and_its_good_items_do_not() {
    let place = tempfile::tempdir().unwrap();
    let daemon = Daemon::on_demo_estate(&place.path().join("estate")).await;
    // With its `for` of two days cut to nothing, any backup that wasn't read yet fires.
    until("the newest backups are read", || async {
        let metrics = daemon.metrics().await;
        let mut proofs = metrics.lines().filter(|line| line.starts_with("firedrill_proof_state{")).peekable();
        let unread = |line: &str| line.ends_with("state=\"unproven\"} 1") || line.ends_with("state=\"running\"} 1");
        (proofs.peek().is_some() && !proofs.any(unread)).then_some(())
    })
    .await;
    let prometheus = Prometheus::scraping(daemon.address).await;
    let mut expected: BTreeSet<_> =
        TROUBLES.iter().map(|(a, s, i)| ((*a).to_owned(), (*s).to_owned(), (*i).to_owned())).collect();
    // A test machine may have a full disk; that is its own trouble.
    let without_storage = |mut set: BTreeSet<(String, String, String)>| {
        set.retain(|(alert, _, _)| !alert.starts_with("FiredrillStorage"));
        set
    };
    until("all troubles fire", || async {
        let firing = without_storage(firing(&prometheus).await);
        firing.is_superset(&expected).then_some(())
    })
    .await;
    // Every rule is evaluated twice more; whatever else would fire has done so then.
    let evaluated = || async {
        let rules = prometheus.api("rules", &[]).await;
        rules["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["lastEvaluation"].as_str().unwrap().to_owned())
            .min()
    };
    for _ in 0..2 {
        let before = evaluated().await;
        until("the rules are evaluated again", || async { (evaluated().await > before).then_some(()) }).await;
    }
    assert_eq!(without_storage(firing(&prometheus).await), expected);

    // The daemon goes away: that is one alert of its own.
    drop(daemon);
    expected = BTreeSet::from([("FiredrillDaemonAbsent".to_owned(), String::new(), String::new())]);
    until("its absence fires", || async { firing(&prometheus).await.is_superset(&expected).then_some(()) }).await;
}

/// Queries of all panels and variables of a dashboard, as Grafana would send them with "All" chosen.
pub fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut panels: Vec<&Value> = dashboard["panels"].as_array().unwrap().iter().collect();
    while let Some(panel) = panels.pop() {
        panels.extend(panel["panels"].as_array().into_iter().flatten());
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let title = panel["title"].as_str().unwrap();
            found.push((format!("{title} {}", target["refId"].as_str().unwrap()), substituted(expression)));
        }
    }
    found
}

fn substituted(expression: &str) -> String {
    let mut text = expression.to_owned();
    for (variable, value) in [
        ("$__rate_interval", "1m"),
        ("$__range", "1h"),
        ("$__interval", "15s"),
        ("${source:regex}", ".*"),
        ("${environment:regex}", ".*"),
        ("$source", ".*"),
        ("$environment", ".*"),
    ] {
        text = text.replace(variable, value);
    }
    assert!(!text.contains('$'), "a variable that the test doesn't know: {text}");
    text
}

/// The file systems of the daemon as they would have filled in the days before; forecasts need a past.
async fn storage_history(daemon: &Daemon) -> String {
    let metrics = daemon.metrics().await;
    let samples: Vec<(&str, f64)> = metrics
        .lines()
        .filter(|line| line.starts_with("firedrill_storage_"))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, value)| (series, value.parse().unwrap()))
        .collect();
    let now = std::fs::metadata("/proc/self").unwrap().modified().unwrap();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut text = String::new();
    for name in ["firedrill_storage_free_bytes", "firedrill_storage_size_bytes"] {
        text.push_str(&format!("# TYPE {name} gauge\n"));
        for (series, value) in samples.iter().filter(|(series, _)| series.starts_with(name)) {
            let labels = series.strip_prefix(name).unwrap().trim_matches(['{', '}']);
            for hour in (1..=7 * 24u32).rev() {
                let value = if name.contains("free") { value + f64::from(hour) * 1e9 } else { *value };
                let (address, time) = (daemon.address, now - u64::from(hour) * 3600);
                text.push_str(&format!("{name}{{job=\"firedrill\",instance=\"{address}\",{labels}}} {value} {time}\n"));
            }
        }
    }
    text + "# EOF\n"
}

#[tokio::test]
async fn every_query_of_the_dashboards_returns_data() {
    let place = tempfile::tempdir().unwrap();
    let daemon = Daemon::on_demo_estate(&place.path().join("estate")).await;
    let history = storage_history(&daemon).await;
    let prometheus = Prometheus::with_history(daemon.address, Some(&history)).await;
    // Rates need two scrapes.
    until("some scrapes", || async {
        let rows = prometheus.query("count_over_time(firedrill_build_info[5m]) > 3").await;
        (!rows.is_empty()).then_some(())
    })
    .await;
    let asked =
        all_panels_have_data(&prometheus, "overview").await + all_panels_have_data(&prometheus, "sources").await;
    assert!(asked > 30, "{asked}");
}

/// Asks every query of a dashboard; how many there are.
pub async fn all_panels_have_data(prometheus: &Prometheus, dashboard: &str) -> usize {
    let text = std::fs::read_to_string(repository(&format!("dashboards/{dashboard}.json"))).unwrap();
    let queries = queries(&serde_json::from_str(&text).unwrap());
    let mut empty = Vec::new();
    for (panel, query) in &queries {
        if prometheus.query(query).await.is_empty() {
            empty.push(format!("{panel}: {query}"));
        }
    }
    assert!(empty.is_empty(), "{dashboard}: {empty:#?}");
    queries.len()
}

#[tokio::test]
async fn it_answers_on_all_pages_and_stops_when_told() {
    let place = tempfile::tempdir().unwrap();
    let daemon = Daemon::on_demo_estate(&place.path().join("estate")).await;
    for (path, holds) in [
        ("/", "qemu/104"),
        ("/-/healthy", "healthy"),
        ("/-/ready", "ready"),
        ("/health", "\"status\": \"degraded\""),
        ("/metrics", "firedrill_build_info"),
    ] {
        let (status, text) = get(&daemon.url(path)).await.unwrap();
        assert_eq!(status, 200, "{path}");
        assert!(text.contains(holds), "{path}: {text}");
    }
    assert_eq!(get(&daemon.url("/nothing")).await.unwrap().0, 404);
    let log = daemon.process.log();
    assert!(daemon.process.stop().success(), "{log}");
}

#[tokio::test]
async fn a_new_archive_is_seen_long_before_the_next_scan() {
    let place = tempfile::tempdir().unwrap();
    let dump = place.path().join("dump");
    std::fs::create_dir(&dump).unwrap();
    let config = place.path().join("firedrill.toml");
    let text = format!(
        "[verify]\nenabled = false\n\n[[vzdump]]\nname = \"pve\"\ntime_zone = \"UTC\"\nscan_interval = \"1h\"\nroots = [{{ path = {dump:?} }}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    daemon.ready().await;
    assert!(!daemon.metrics().await.contains("qemu/100"));
    std::fs::write(dump.join("vzdump-qemu-100-2026_01_01-02_00_00.vma"), "x").unwrap();
    until("it is seen", || async { daemon.metrics().await.contains("qemu/100").then_some(()) }).await;
}

/// A share that never answers.
struct Dead {
    spec: Arc<SourceSpec>,
    _held: mpsc::Sender<()>,
    never: mpsc::Receiver<()>,
}

impl Source for Dead {
    fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    fn archives(&self) -> Arc<dyn Archives> {
        Arc::new(ArchivesBySource::default())
    }

    fn look(&mut self, _now: Timestamp) -> Look {
        let _ = self.never.recv();
        unreachable!("nobody sends");
    }
}

fn dead_share() -> WatchedSource {
    let root =
        PlaceSpec { path: "/dead".into(), medium: firedrill::domain::look::Medium::Nfs, node: None, readable: true };
    let spec = SourceSpec {
        name: "dead".parse().unwrap(),
        kind: SourceKind::new("vzdump"),
        places: vec![root],
        expected: vec!["qemu/100".parse().unwrap()],
        exclude: Default::default(),
        scan_interval: Duration::from_secs(1),
        scan_timeout: Duration::from_secs(1),
    };
    let (held, never) = mpsc::channel();
    WatchedSource { source: Box::new(Dead { spec: spec.into(), _held: held, never }), paths: Vec::new() }
}

#[tokio::test]
async fn a_dead_share_holds_up_nobody() {
    let place = tempfile::tempdir().unwrap();
    let text = format!(
        "web = {{ listen_address = \"127.0.0.1:0\" }}\nverify = {{ enabled = false }}\n[[vzdump]]\nname = \"good\"\nroots = [{{ path = {:?} }}]\n",
        place.path()
    );
    let file = place.path().join("firedrill.toml");
    std::fs::write(&file, text).unwrap();
    let config: Config = firedrill::config::load(Some(&file)).unwrap();
    let mut sources = app::sources(&config).unwrap();
    sources.push(dead_share());
    let app = App::build(&config, sources, Arc::new(SystemClock)).await.unwrap();
    let base = format!("http://{}", app.address().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(app.run(async move {
        let _ = stopped.await;
    }));
    let metrics = || async { get(&format!("{base}/metrics")).await.map(|(_, text)| text) };
    // Long before the dead share times out, the other one is known.
    until("the good source is up", || async {
        let text = metrics().await?;
        text.contains("firedrill_source_up{source=\"good\",kind=\"vzdump\"} 1").then_some(())
    })
    .await;
    until("the dead one is reported", || async {
        let text = metrics().await?;
        let counted = text.contains("firedrill_source_scan_errors_total{source=\"dead\",error_kind=\"timeout\"} 1");
        counted.then_some(())
    })
    .await;
    let text = metrics().await.unwrap();
    assert!(text.contains("firedrill_source_up{source=\"dead\",kind=\"vzdump\"} 0"), "{text}");
    assert!(text.contains("item=\"qemu/100\",state=\"unknown\"} 1"), "{text}");
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}

/// A source with one archive that restores and one that doesn't, and a store.
fn two_archives(place: &std::path::Path, verify: &str) -> std::path::PathBuf {
    let dump = place.join("dump");
    std::fs::create_dir_all(&dump).unwrap();
    for (name, vmid) in [
        ("vma/good/vzdump-qemu-110-2026_11_01-02_10_00.vma.zst", 110),
        ("vma/bad/t10-cut-after-first-extent.vma.zst", 121),
    ] {
        let archive = dump.join(format!("vzdump-qemu-{vmid}-2026_01_01-02_00_00.vma.zst"));
        std::fs::copy(repository("tests/fixtures").join(name), &archive).unwrap();
        let then = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_232_860);
        std::fs::File::options().write(true).open(&archive).unwrap().set_modified(then).unwrap();
    }
    let config = place.join("firedrill.toml");
    let text = format!(
        "[store]\nurl = \"sqlite://{}/firedrill.db\"\n\n[verify]\n{verify}\n\n[[vzdump]]\nname = \"pve\"\ntime_zone = \"UTC\"\nroots = [{{ path = {dump:?} }}]\n",
        place.display()
    );
    std::fs::write(&config, text).unwrap();
    config
}

async fn shows(daemon: &Daemon, series: &'static str) {
    until(series, || async { daemon.metrics().await.contains(series).then_some(()) }).await;
}

const PASSED: &str = r#"firedrill_proof_state{source="pve",item="qemu/110",state="passed"} 1"#;
const CORRUPT: &str = r#"firedrill_backup_state{source="pve",item="qemu/121",state="corrupt"} 1"#;

#[tokio::test]
async fn what_was_proven_is_known_after_a_restart_without_reading_it_again() {
    let place = tempfile::tempdir().unwrap();
    let config = two_archives(place.path(), "");
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    shows(&daemon, PASSED).await;
    shows(&daemon, CORRUPT).await;
    let page = get(&daemon.url("/")).await.unwrap().1;
    assert!(page.contains("68 of the 117 clusters") && page.contains("none of the others was proven intact"), "{page}");
    // Not even a moment to put things in order.
    drop(daemon);
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    shows(&daemon, PASSED).await;
    shows(&daemon, CORRUPT).await;
    assert!(daemon.metrics().await.contains("firedrill_verified_bytes_total 0"));
    assert!(daemon.process.stop().success());
}

#[tokio::test]
async fn a_file_in_the_place_of_a_proven_one_is_read_again() {
    let place = tempfile::tempdir().unwrap();
    let config = two_archives(place.path(), "");
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    shows(&daemon, PASSED).await;
    shows(&daemon, CORRUPT).await;
    let archive = place.path().join("dump/vzdump-qemu-110-2026_01_01-02_00_00.vma.zst");
    let read = |metrics: &str| -> Option<u64> {
        metrics.lines().find_map(|line| line.strip_prefix("firedrill_verified_bytes_total ")?.parse().ok())
    };
    let before = read(&daemon.metrics().await).unwrap();
    // The same bytes in another file: read again, and nothing else is said.
    let copy = |change: &dyn Fn(&mut Vec<u8>)| {
        let other = place.path().join("other");
        let (mut bytes, time) =
            (std::fs::read(&archive).unwrap(), std::fs::metadata(&archive).unwrap().modified().unwrap());
        change(&mut bytes);
        std::fs::write(&other, bytes).unwrap();
        std::fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        std::fs::rename(&other, &archive).unwrap();
    };
    copy(&|_| {});
    until("it is read again", || async { read(&daemon.metrics().await).filter(|now| *now > before) }).await;
    shows(&daemon, PASSED).await;
    assert!(daemon.metrics().await.contains(r#"firedrill_verifications_total{level="3",result="damaged"} 1"#));
    // Other bytes of the same size and time.
    copy(&|bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
    });
    shows(&daemon, r#"firedrill_backup_state{source="pve",item="qemu/110",state="corrupt"} 1"#).await;
}

#[tokio::test]
async fn volumes_that_backups_leave_out_are_shown() {
    let place = tempfile::tempdir().unwrap();
    let config = two_archives(place.path(), "enabled = false");
    let fixture = repository("tests/fixtures/vzdump/vzdump-lxc-155-2026_11_25-01_20_46.tar.zst");
    for ending in ["tar.zst", "log"] {
        let name = format!("dump/vzdump-lxc-155-2026_01_01-02_00_00.{ending}");
        let from = fixture.with_file_name(format!("vzdump-lxc-155-2026_11_25-01_20_46.{ending}"));
        std::fs::copy(from, place.path().join(name)).unwrap();
    }
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    shows(&daemon, r#"firedrill_backup_excluded_volumes{source="pve",item="lxc/155"} 1"#).await;
    let metrics = daemon.metrics().await;
    let unknown = r#"firedrill_backup_excluded_volumes{source="pve",item="qemu/110"}"#;
    assert!(!metrics.contains(unknown), "without a log nobody knows: {metrics}");
    let page = get(&daemon.url("/")).await.unwrap().1;
    assert!(page.contains("Left out of backups") && page.contains("mp0 (/var/lib/etcd)"), "{page}");
    let made =
        crate::support::run(&["token", "create", "x", "--role", "viewer", "--config.file", config.to_str().unwrap()]);
    let token = crate::support::stdout(&made);
    let answer =
        crate::support::client().get(daemon.url("/api/v1/items")).bearer_auth(token.trim()).send().await.unwrap();
    let items: serde_json::Value = answer.json().await.unwrap();
    let item = items["items"].as_array().unwrap().iter().find(|it| it["item"] == "lxc/155").unwrap().clone();
    assert_eq!(item["left_out_volumes"][0], "mp0 (/var/lib/etcd)", "{item}");
    assert_eq!(item["log_complaint_count"], 0);
}

#[tokio::test]
async fn without_a_store_metrics_are_served_and_nothing_is_ok() {
    let place = tempfile::tempdir().unwrap();
    let config = two_archives(place.path(), "");
    let store = place.path().join("firedrill.db");
    std::fs::create_dir(&store).unwrap();
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    shows(&daemon, "firedrill_store_up 0").await;
    let metrics = daemon.metrics().await;
    assert!(!metrics.contains("state=\"ok\"} 1") && !metrics.contains("firedrill_proof_state"), "{metrics}");
    let health = get(&daemon.url("/health")).await.unwrap().1;
    assert!(health.contains("degraded") && health.contains("firedrill.db"), "{health}");
    assert!(daemon.process.log().contains("Is a directory"), "{}", daemon.process.log());
    // Mended, it goes on by itself.
    std::fs::remove_dir(&store).unwrap();
    shows(&daemon, PASSED).await;
    shows(&daemon, "firedrill_store_up 1").await;
}
