//! The world changes under the daemon: the machine sleeps, files grow, permissions go, sources get other names.

use firedrill::engine::archives::ArchivesBySource;
use firedrill::engine::ports::Archives;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::app::{App, WatchedSource};
use firedrill::config::Config;
use firedrill::domain::attempt::{Attempt, Outcome};
use firedrill::domain::local_time::When;
use firedrill::domain::look::estate::EstateLook;
use firedrill::domain::look::{Look, Medium, PlaceListing, PlaceLook, PlaceSpec, SourceKind, SourceSpec};
use firedrill::engine::ports::{Clock, Source};
use jiff::{SignedDuration, Timestamp};

use crate::support::{Daemon, Running, get, repository, until};

/// The wall clock as it is when the machine slept: it goes on, and no timer does.
#[derive(Default)]
struct Jumping(AtomicI64);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_hours(self.0.load(Ordering::SeqCst))
    }
}

/// A source with one good backup, which is looked at once and then takes its time.
struct OneBackup {
    spec: Arc<SourceSpec>,
    looks: Arc<AtomicUsize>,
    _held: mpsc::Sender<()>,
    never: mpsc::Receiver<()>,
}

impl Source for OneBackup {
    fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    fn archives(&self) -> Arc<dyn Archives> {
        Arc::new(ArchivesBySource::default())
    }

    fn look(&mut self, now: Timestamp) -> Look {
        if self.looks.fetch_add(1, Ordering::SeqCst) > 0 {
            let _ = self.never.recv();
        }
        let attempt = Attempt {
            size: 100,
            modified: Some(now),
            ..Attempt::new(
                "qemu/100".parse().unwrap(),
                When::At(now - SignedDuration::from_hours(1)),
                Outcome::Complete { warning: None },
                "vzdump-qemu-100.vma".into(),
            )
        };
        let listing = PlaceListing { attempts: vec![attempt], ..PlaceListing::default() };
        Look {
            places: vec![PlaceLook { listing: Ok(Arc::new(listing)), capacity: None }],
            estate: EstateLook::default(),
        }
    }
}

#[tokio::test]
async fn after_a_sleep_of_the_machine_nothing_is_green_longer_than_it_is_true() {
    let (held, never) = mpsc::channel();
    let spec = SourceSpec {
        name: "s".parse().unwrap(),
        kind: SourceKind::new("vzdump"),
        places: vec![PlaceSpec { path: "/x".into(), medium: Medium::Local, node: None, readable: true }],
        expected: Vec::new(),
        exclude: Default::default(),
        scan_interval: Duration::from_secs(24 * 3600),
        scan_timeout: Duration::from_secs(24 * 3600),
    };
    let looks = Arc::new(AtomicUsize::new(0));
    let source = OneBackup { spec: spec.into(), looks: looks.clone(), _held: held, never };
    let source = WatchedSource { source: Box::new(source), paths: Vec::new() };
    let mut config = Config::default();
    config.web.listen_address = "127.0.0.1:0".parse().unwrap();
    config.verify.enabled = false;
    let clock = Arc::new(Jumping::default());
    let app = App::build(&config, vec![source], clock.clone()).await.unwrap();
    let base = format!("http://{}", app.address().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(app.run(async move {
        let _ = stopped.await;
    }));
    let metrics = async || get(&format!("{base}/metrics")).await.unwrap().1;
    let health = async || get(&format!("{base}/health")).await.unwrap().1;
    let state = |state: &str, value: u8| {
        format!("firedrill_backup_state{{source=\"s\",item=\"qemu/100\",state=\"{state}\"}} {value}")
    };
    until("it is ok", || async { metrics().await.contains(&state("ok", 1)).then_some(()) }).await;
    assert!(health().await.contains("\"status\": \"ok\""));
    // Ten hours: true still, and nothing is unknown.
    clock.0.store(10, Ordering::SeqCst);
    assert!(metrics().await.contains(&state("ok", 1)));
    // Thirty hours: late at the first scrape, not only when a timer of the daemon comes to its end.
    clock.0.store(30, Ordering::SeqCst);
    let text = metrics().await;
    assert!(text.contains(&state("ok", 0)) && text.contains(&state("late", 1)), "{text}");
    // The interval of a day has passed while no timer ran: the source is looked at again.
    until("it is looked at again", || async { (looks.load(Ordering::SeqCst) == 2).then_some(()) }).await;
    // That look hangs; a week later what it knows is nothing.
    clock.0.store(7 * 24, Ordering::SeqCst);
    let text = metrics().await;
    assert!(text.contains(&state("unknown", 1)), "{text}");
    let health = health().await;
    assert!(health.contains("degraded") && health.contains("the last scan ended 7d ago"), "{health}");
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}

const GOOD: &str = "vma/good/vzdump-qemu-110-2026_11_01-02_10_00.vma.zst";
const CUT: &str = "vma/bad/t10-cut-after-first-extent.vma.zst";

/// An archive of a guest, written to its end long ago.
fn archive(directory: &Path, vmid: u32, fixture: &str, more: u64) -> PathBuf {
    std::fs::create_dir_all(directory).unwrap();
    let archive = directory.join(format!("vzdump-qemu-{vmid}-2026_01_01-02_00_00.vma.zst"));
    std::fs::copy(repository("tests/fixtures").join(fixture), &archive).unwrap();
    let file = std::fs::File::options().write(true).open(&archive).unwrap();
    file.set_len(file.metadata().unwrap().len() + more).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_232_860)).unwrap();
    archive
}

/// A configuration over these sources, each with its directories.
fn config(place: &Path, verify: &str, sources: &[(&str, &[&Path])]) -> PathBuf {
    let mut text = format!(
        "[store]\nurl = \"sqlite://{}/firedrill.db\"\n[defaults]\ninterval = \"3000d\"\n[verify]\n{verify}\n",
        place.display()
    );
    for (name, roots) in sources {
        let roots: Vec<String> = roots.iter().map(|path| format!("{{ path = {path:?} }}")).collect();
        text += &format!(
            "[[vzdump]]\nname = \"{name}\"\ntime_zone = \"UTC\"\nscan_interval = \"1s\"\nroots = [{}]\n",
            roots.join(", ")
        );
    }
    let file = place.join("firedrill.toml");
    std::fs::write(&file, text).unwrap();
    file
}

async fn start(config: &Path) -> Daemon {
    Daemon::start(&["--config.file", config.to_str().unwrap()]).await
}

async fn shows(daemon: &Daemon, series: &str) {
    until(series, || async { daemon.metrics().await.contains(series).then_some(()) }).await;
}

#[tokio::test]
async fn an_archive_that_grows_while_it_is_read_was_not_checked() {
    let place = tempfile::tempdir().unwrap();
    let dump = place.path().join("dump");
    // What follows the archive is damage, if anything is.
    let growing = archive(&dump, 110, GOOD, 6 << 20);
    let daemon = start(&config(place.path(), "rate = \"1MiB\"", &[("pve", &[&dump])])).await;
    shows(&daemon, "firedrill_verifier_running_archives 1").await;
    let file = std::fs::File::options().append(true).open(&growing).unwrap();
    file.set_len(file.metadata().unwrap().len() + 1000).unwrap();
    shows(&daemon, r#"firedrill_proof_unchecked{source="pve",item="qemu/110"} 1"#).await;
    // Its last write is new: it is written still, and what isn't there yet is no backup.
    shows(&daemon, r#"firedrill_backup_state{source="pve",item="qemu/110",state="running"} 1"#).await;
    let metrics = daemon.metrics().await;
    for no in ["state=\"ok\"} 1", "state=\"corrupt\"} 1", "state=\"passed\"} 1", "state=\"failed\"} 1"] {
        assert!(!metrics.contains(no), "{no}: {metrics}");
    }
    assert!(daemon.process.log().contains("it changed, moved or disappeared while it was read"));
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// A daemon of a user whom permissions concern.
async fn as_nobody(place: &Path, config: &Path) -> Daemon {
    if !is_root() {
        return start(config).await;
    }
    let nobody = 65534;
    // The build directory need not be readable for everybody.
    let binary = place.join("firedrill");
    std::fs::copy(env!("CARGO_BIN_EXE_firedrill"), &binary).unwrap();
    std::os::unix::fs::chown(place, Some(nobody), Some(nobody)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&binary);
    command.args(["serve", "--web.listen-address", "127.0.0.1:0", "--config.file", config.to_str().unwrap()]);
    command.env_clear().env("PATH", std::env::var("PATH").unwrap()).stdout(Stdio::null());
    Daemon::listening(Running::start(command)).await
}

#[tokio::test]
async fn what_may_not_be_read_any_more_is_unknown_and_the_rest_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    archive(&one, 110, GOOD, 0);
    archive(&two, 111, GOOD, 0);
    let file = config(place.path(), "", &[("both", &[&one, &two]), ("other", &[&two])]);
    let daemon = as_nobody(place.path(), &file).await;
    let ok = |source: &str, item: &str| {
        format!("firedrill_backup_state{{source=\"{source}\",item=\"{item}\",state=\"ok\"}} 1")
    };
    for (source, item) in [("both", "qemu/110"), ("both", "qemu/111"), ("other", "qemu/111")] {
        shows(&daemon, &ok(source, item)).await;
        shows(&daemon, &format!("firedrill_proof_state{{source=\"{source}\",item=\"{item}\",state=\"passed\"}} 1"))
            .await;
    }
    // A directory loses its permission between two scans.
    std::fs::set_permissions(&one, Permissions::from_mode(0o000)).unwrap();
    shows(&daemon, r#"firedrill_backup_state{source="both",item="qemu/110",state="unknown"} 1"#).await;
    let metrics = daemon.metrics().await;
    assert!(metrics.contains(r#"firedrill_source_up{source="both",kind="vzdump"} 0"#), "{metrics}");
    assert!(!metrics.contains(r#"firedrill_source_scan_errors_total{source="both",error_kind="permission_denied"} 0"#));
    assert!(metrics.contains(&ok("other", "qemu/111")) && !metrics.contains(&ok("both", "qemu/110")), "{metrics}");
    let health = get(&daemon.url("/health")).await.unwrap().1;
    assert!(health.contains("degraded") && health.contains("Permission denied") && health.contains("/one"), "{health}");
    std::fs::set_permissions(&one, Permissions::from_mode(0o755)).unwrap();
    shows(&daemon, &ok("both", "qemu/110")).await;
    // An archive that is listed and may not be read.
    let closed = place.path().join("closed");
    let file = archive(&closed, 112, GOOD, 0);
    std::fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    std::fs::rename(&file, two.join(file.file_name().unwrap())).unwrap();
    shows(&daemon, r#"firedrill_proof_unchecked{source="other",item="qemu/112"} 1"#).await;
    let metrics = daemon.metrics().await;
    assert!(
        metrics.contains(r#"firedrill_proof_state{source="other",item="qemu/112",state="unproven"} 1"#),
        "{metrics}"
    );
    assert!(daemon.process.log().contains("it could not be opened: Permission denied"), "{}", daemon.process.log());
}

/// A window of the day that is shut for the next hours: what is shown was known before.
fn shut() -> String {
    let noon = SystemClock.now().to_zoned(jiff::tz::TimeZone::UTC).hour() < 12;
    let window = if noon { "20:00-20:01" } else { "08:00-08:01" };
    format!("window = \"{window}\"\ntime_zone = \"UTC\"")
}

#[tokio::test]
async fn other_names_for_sources_take_no_proofs_with_them() {
    let place = tempfile::tempdir().unwrap();
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    archive(&one, 110, GOOD, 0);
    archive(&two, 110, CUT, 0);
    const PASSED: &str = r#"firedrill_proof_state{source="a",item="qemu/110",state="passed"} 1"#;
    const CORRUPT: &str = r#"firedrill_backup_state{source="b",item="qemu/110",state="corrupt"} 1"#;
    let daemon = start(&config(place.path(), "", &[("a", &[&one]), ("b", &[&two])])).await;
    shows(&daemon, PASSED).await;
    shows(&daemon, CORRUPT).await;
    assert!(daemon.process.stop().success());
    // As they were, what was proven is known without another reading.
    let daemon = start(&config(place.path(), &shut(), &[("a", &[&one]), ("b", &[&two])])).await;
    shows(&daemon, PASSED).await;
    shows(&daemon, CORRUPT).await;
    assert!(daemon.process.stop().success());
    // The names change places: the same item, the same file name, another directory.
    let daemon = start(&config(place.path(), &shut(), &[("a", &[&two]), ("b", &[&one])])).await;
    for source in ["a", "b"] {
        shows(&daemon, &format!("firedrill_proof_state{{source=\"{source}\",item=\"qemu/110\",state=\"unproven\"}} 1"))
            .await;
    }
    let metrics = daemon.metrics().await;
    assert!(!metrics.contains(PASSED) && !metrics.contains(CORRUPT), "{metrics}");
    assert!(!metrics.contains("firedrill_proof_timestamp_seconds{"), "{metrics}");
    assert!(metrics.contains(r#"firedrill_backup_damaged_copies{source="b",item="qemu/110"} 0"#), "{metrics}");
    assert!(daemon.process.stop().success());
    // They are read anew, and judged as what they are.
    let daemon = start(&config(place.path(), "", &[("a", &[&two]), ("c", &[&one])])).await;
    shows(&daemon, r#"firedrill_backup_state{source="a",item="qemu/110",state="corrupt"} 1"#).await;
    shows(&daemon, r#"firedrill_proof_state{source="c",item="qemu/110",state="passed"} 1"#).await;
    assert!(!daemon.metrics().await.contains("source=\"b\""), "nothing keeps its series alive");
}
