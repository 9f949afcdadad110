//! What the real daemon says and does while its store fails, vanishes, rots or is put back in time; and that it goes on by
//! itself wherever that is right.

mod at_start;
mod damage;
mod postgres;
mod vanished;

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, Row as _};
use tempfile::TempDir;

use crate::support::{Daemon, PATIENCE, Prometheus, client, firedrill, get, repository, stderr, until};

const TOKEN: &str = "a-token-of-the-tests-only";

const OK: &str = r#"firedrill_backup_state{source="pve",item="qemu/110",state="ok"} 1"#;
const UNKNOWN: &str = r#"firedrill_backup_state{source="pve",item="qemu/110",state="unknown"} 1"#;
const PASSED: &str = r#"firedrill_proof_state{source="pve",item="qemu/110",state="passed"} 1"#;

/// Whether a list of actions says that one is done, and not that it is being done.
fn is_done(list: &str) -> bool {
    list.lines().any(|line| line.split_whitespace().nth(1) == Some("done"))
}

/// A good archive, a rule with a hook that writes a line per run, and a store.
struct World {
    place: TempDir,
    config: PathBuf,
    mounted: bool,
}

/// As root, or by `sudo` without a password.
fn privileged(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn sh(program: &str, arguments: &[&str]) {
    let done = privileged(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    // Not skipped where it isn't possible: what isn't tried isn't known.
    assert!(done.status.success(), "{program} {arguments:?} (needs root): {}", stderr(&done));
}

impl World {
    fn new() -> Self {
        Self::with(None)
    }

    /// With a store elsewhere, and a marker beside it.
    fn with(url: Option<&str>) -> Self {
        let place = tempfile::tempdir().unwrap();
        let (dump, store) = (place.path().join("dump"), place.path().join("store"));
        fs::create_dir(&dump).unwrap();
        fs::create_dir(&store).unwrap();
        let then = fs::metadata("/proc/self").unwrap().modified().unwrap() - Duration::from_secs(3600);
        let name = jiff::Timestamp::try_from(then).unwrap().strftime("%Y_%m_%d-%H_%M_%S").to_string();
        let archive = dump.join(format!("vzdump-qemu-110-{name}.vma.zst"));
        let good = "tests/fixtures/vma/good/vzdump-qemu-110-2026_11_01-02_10_00.vma.zst";
        fs::copy(repository(good), &archive).unwrap();
        fs::File::options().write(true).open(&archive).unwrap().set_modified(then).unwrap();
        let hook = place.path().join("hook");
        let text = format!("#!/bin/sh\necho \"$FIREDRILL_LABEL_number\" >> {}\n", place.path().join("lines").display());
        fs::write(&hook, text).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        let (url, marker) = match url {
            Some(url) => (url.to_owned(), format!("marker = \"{}\"\n", store.join("store.id").display())),
            None => (format!("sqlite://{}", store.join("firedrill.db").display()), String::new()),
        };
        let text = format!(
            "[store]\nurl = \"{url}\"\n{marker}\n[verify]\nnice = 0\nidle_io = false\n\n\
             [[vzdump]]\nname = \"pve\"\ntime_zone = \"UTC\"\nscan_interval = \"2s\"\nroots = [{{ path = {dump:?} }}]\n\n\
             [webhook]\ntoken = \"{TOKEN}\"\n\n[automation]\nmax_actions = 1000\n\n[[automation.rules]]\nname = \"hook\"\naction = \"hook\"\n\
             matchers = [\"alertname = Hook\"]\nmode = \"execute\"\ncooldown = \"0s\"\ncommand = [{hook:?}]\n"
        );
        let config = place.path().join("firedrill.toml");
        fs::write(&config, text).unwrap();
        Self { place, config, mounted: false }
    }

    /// With the store on a file system of its own, of so many bytes.
    fn mounted(size: &str) -> Self {
        let mut world = Self::new();
        let options = format!("size={size},mode=0777");
        sh("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", world.store().to_str().unwrap()]);
        world.mounted = true;
        world
    }

    fn store(&self) -> PathBuf {
        self.place.path().join("store")
    }

    fn file(&self) -> PathBuf {
        self.store().join("firedrill.db")
    }

    /// The file, its log, the index of that.
    fn files(&self) -> [PathBuf; 3] {
        ["", "-wal", "-shm"].map(|suffix| self.store().join(format!("firedrill.db{suffix}")))
    }

    async fn daemon(&self) -> Daemon {
        let daemon = Daemon::start(&["--config.file", self.config.to_str().unwrap()]).await;
        daemon.ready().await;
        daemon
    }

    /// A daemon that has proven the archive and run the hook once.
    async fn settled(&self) -> Daemon {
        let daemon = self.daemon().await;
        shows(&daemon, &[PASSED, OK, "firedrill_store_up 1", "firedrill_automation_up 1"]).await;
        assert_eq!(deliver(&daemon, 1).await, 200);
        self.ran(1).await;
        until("it is noted", || async { is_done(&self.list(&daemon)).then_some(()) }).await;
        daemon
    }

    fn command(&self, arguments: &[&str]) -> Output {
        firedrill().args(arguments).args(["--config.file", self.config.to_str().unwrap()]).output().unwrap()
    }

    fn list(&self, _daemon: &Daemon) -> String {
        crate::support::stdout(&self.command(&["automation", "list"]))
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.place.path().join("lines")).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    }

    /// Waits until the hook ran so often.
    async fn ran(&self, count: usize) {
        until(&format!("the hook ran {count} times"), || async { (self.lines().len() >= count).then_some(()) }).await;
        assert_eq!(self.lines().len(), count, "{:?}", self.lines());
    }

    async fn open(&self) -> sqlx::AnyConnection {
        sqlx::any::install_default_drivers();
        sqlx::AnyConnection::connect(&format!("sqlite://{}", self.file().display())).await.unwrap()
    }

    /// Writes over the first page of a table, in such a way that everybody reads it from the disk next.
    async fn damage(&self, table: &str) {
        let mut connection = self.open().await;
        let root = format!("SELECT rootpage FROM sqlite_master WHERE name = '{table}'");
        let page: i64 = connection.fetch_one(sqlx::AssertSqlSafe(root)).await.unwrap().try_get(0).unwrap();
        let size: i64 = connection.fetch_one("PRAGMA page_size").await.unwrap().try_get(0).unwrap();
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
        connection.execute("BEGIN IMMEDIATE").await.unwrap();
        connection
            .execute("INSERT INTO store_writers (name, beat, at) VALUES ('a test', 1, 9000000000000000)")
            .await
            .unwrap();
        overwrite(&self.file(), u64::try_from((page - 1) * size).unwrap(), usize::try_from(size).unwrap());
        connection.execute("COMMIT").await.unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.mounted {
            // The daemon may be about to end.
            let _ = privileged("umount").args(["-l", self.store().to_str().unwrap()]).status();
        }
    }
}

fn overwrite(file: &Path, at: u64, length: usize) {
    let mut file = fs::File::options().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&vec![0xA5; length]).unwrap();
}

/// Waits until the metrics hold all of these lines at once.
async fn shows(daemon: &Daemon, lines: &[&str]) {
    let begun = Instant::now();
    loop {
        let text = daemon.metrics().await;
        let missing: Vec<_> = lines.iter().filter(|line| !text.lines().any(|it| it == **line)).collect();
        if missing.is_empty() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {missing:?}\n{}", daemon.process.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn alert(number: u32) -> Value {
    json!({"version": "4", "receiver": "firedrill", "alerts": [{
        "status": "firing", "labels": {"alertname": "Hook", "number": number.to_string()}, "annotations": {},
        "startsAt": "2026-11-21T03:39:14.26Z", "fingerprint": format!("{number:016x}"),
    }]})
}

/// Tells of an alert as Alertmanager would; the status.
async fn deliver(daemon: &Daemon, number: u32) -> u16 {
    let url = daemon.url("/webhook/alertmanager");
    let sent = client().post(url).bearer_auth(TOKEN).timeout(PATIENCE).json(&alert(number)).send().await.unwrap();
    sent.status().as_u16()
}

/// Waits until a real Prometheus with the shipped rules, without their `for`, fires these, and not those.
async fn fires(prometheus: &Prometheus, these: &[&str], not_those: &[&str]) {
    until(&format!("{these:?} fire and {not_those:?} don't"), || async {
        let alerts = prometheus.api("alerts", &[]).await;
        let firing = |name: &&&str| {
            let mut all = alerts["alerts"].as_array().into_iter().flatten();
            all.any(|alert| alert["state"] == "firing" && alert["labels"]["alertname"] == **name)
        };
        (these.iter().all(|name| firing(&name)) && !not_those.iter().any(|name| firing(&name))).then_some(())
    })
    .await;
}

async fn health(daemon: &Daemon) -> Value {
    serde_json::from_str(&get(&daemon.url("/health")).await.unwrap().1).unwrap()
}

/// Waits until an alert is taken again; Alertmanager goes on trying as well.
async fn taken_again(daemon: &Daemon, number: u32) {
    until("alerts are taken again", || async { (deliver(daemon, number).await == 200).then_some(()) }).await;
}

/// How many lines of its log hold this.
fn said(daemon: &Daemon, text: &str) -> usize {
    daemon.process.log().lines().filter(|line| line.contains(text)).count()
}

#[tokio::test]
async fn a_disk_that_is_full_is_said_and_passes_without_a_restart() {
    let world = World::mounted("4m");
    let daemon = world.settled().await;
    // To the last byte.
    let filler = world.store().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 512]).is_ok() {}
    drop(file);
    // What the log has room for already is kept still.
    let mut taken = 1;
    while deliver(&daemon, taken + 1).await == 200 {
        taken += 1;
        assert!(taken < 2_000, "the disk is full");
    }
    shows(&daemon, &["firedrill_store_up 0", OK]).await;
    let prometheus = Prometheus::scraping(daemon.address).await;
    fires(&prometheus, &["FiredrillStoreDown"], &["FiredrillStoreReplaced"]).await;
    let report = health(&daemon).await;
    assert!(report["status"] == "degraded" && report["store"]["up"] == false, "{report}");
    let problem = report["store"]["problem"].as_str().unwrap();
    assert!(problem.contains("make room"), "{problem}");
    for number in 1..6 {
        assert_eq!(deliver(&daemon, taken + number).await, 503);
    }
    fs::remove_file(&filler).unwrap();
    shows(&daemon, &["firedrill_store_up 1", "firedrill_automation_up 1"]).await;
    taken_again(&daemon, taken + 1).await;
    world.ran(usize::try_from(taken).unwrap() + 1).await;
    assert_eq!(health(&daemon).await["status"], "ok");
    fires(&prometheus, &[], &["FiredrillStoreDown", "FiredrillStoreReplaced", "FiredrillBackupStateUnknown"]).await;
    let log = daemon.process.log();
    assert!(!log.contains("transaction depth"), "{log}");
    assert_eq!(said(&daemon, "alerts could not be kept"), 1, "{log}");
    assert!(daemon.process.stop().success());
}

/// Files that may not be written to for as long as it lives, not even by who has them open: as after an error of the disk.
struct Immutable(Vec<PathBuf>);

impl Immutable {
    fn of(files: &[PathBuf]) -> Self {
        let held = Self(files.to_vec());
        files.iter().for_each(|file| sh("chattr", &["+i", file.to_str().unwrap()]));
        held
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        for file in &self.0 {
            let _ = privileged("chattr").arg("-i").arg(file).status();
        }
    }
}

#[tokio::test]
async fn files_that_turn_read_only_are_said_and_pass() {
    let world = World::new();
    let daemon = world.settled().await;
    let held = Immutable::of(&world.files()[..2]);
    assert_eq!(deliver(&daemon, 2).await, 503);
    shows(&daemon, &["firedrill_store_up 0", "firedrill_store_replaced 0", OK]).await;
    assert_eq!(deliver(&daemon, 2).await, 503);
    assert_eq!(health(&daemon).await["status"], "degraded");
    drop(held);
    shows(&daemon, &["firedrill_store_up 1", "firedrill_automation_up 1"]).await;
    taken_again(&daemon, 2).await;
    world.ran(2).await;
}

#[tokio::test]
async fn another_process_that_keeps_it_locked_is_waited_for() {
    let world = World::new();
    let daemon = world.settled().await;
    let mut other = world.open().await;
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    let begun = Instant::now();
    shows(&daemon, &["firedrill_store_up 0", "firedrill_automation_up 0", OK]).await;
    assert_eq!(deliver(&daemon, 2).await, 503);
    assert_eq!(health(&daemon).await["status"], "degraded");
    tokio::time::sleep(Duration::from_secs(25).saturating_sub(begun.elapsed())).await;
    other.execute("ROLLBACK").await.unwrap();
    shows(&daemon, &["firedrill_store_up 1", "firedrill_automation_up 1", OK]).await;
    taken_again(&daemon, 2).await;
    assert_eq!(deliver(&daemon, 1).await, 200);
    world.ran(2).await;
}
