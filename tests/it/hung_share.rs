//! Shares that don't answer, made with a real FUSE file system whose server is stopped.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Daemon, PATIENCE, client, firedrill, get, repository, stderr, stdout, until};

/// A directory behind a server (bindfs) that can be stopped and started again.
struct Share {
    server: Child,
    /// What the server shows.
    behind: PathBuf,
    /// Where it shows it.
    mounted: PathBuf,
}

impl Share {
    async fn mount(place: &Path) -> Self {
        let (behind, mounted) = (place.join("behind"), place.join("share"));
        std::fs::create_dir_all(&behind).unwrap();
        std::fs::create_dir_all(&mounted).unwrap();
        let server = Command::new("bindfs")
            .args(["-f", "-o", "attr_timeout=0,entry_timeout=0"])
            .args([&behind, &mounted])
            .stdin(Stdio::null())
            .spawn()
            .expect("bindfs is there (scripts/install-test-tools)");
        let share = Self { server, behind, mounted };
        let table = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        until("it is mounted", || async { table().contains(share.mounted.to_str().unwrap()).then_some(()) }).await;
        share
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server), signal).unwrap();
    }

    /// From here on nobody gets an answer.
    fn stop(&self) {
        self.signal(Signal::STOP);
    }

    fn go_on(&self) {
        self.signal(Signal::CONT);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Whatever hangs in it is let go first.
        let _ = kill_process(Pid::from_child(&self.server), Signal::CONT);
        let _ = Command::new("fusermount3").args(["-u", "-z"]).arg(&self.mounted).status();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// An archive that restores; with `more`, one that takes long to be read to its end.
fn archive(directory: &Path, vmid: u32, more: u64) -> PathBuf {
    let good = repository("tests/fixtures/vma/good/vzdump-qemu-110-2026_11_01-02_10_00.vma.zst");
    let archive = directory.join(format!("vzdump-qemu-{vmid}-2026_01_01-02_00_00.vma.zst"));
    std::fs::copy(good, &archive).unwrap();
    let file = std::fs::File::options().write(true).open(&archive).unwrap();
    file.set_len(file.metadata().unwrap().len() + more).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_232_860)).unwrap();
    archive
}

/// Runs it to its end, which must come although a thread of it never ends.
fn ends(arguments: &[&str]) -> Output {
    let mut child = firedrill().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{arguments:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn commands_end_with_could_not_look_and_name_the_path() {
    let place = tempfile::tempdir().unwrap();
    let share = Share::mount(place.path()).await;
    let disk = place.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let (dead, good) = (archive(&share.behind, 110, 0), archive(&disk, 111, 0));
    let dead = share.mounted.join(dead.file_name().unwrap());
    let (mounted, dead, good) = (share.mounted.to_str().unwrap(), dead.to_str().unwrap(), good.to_str().unwrap());
    // With its server it is an ordinary directory.
    assert_eq!(ends(&["verify", mounted]).status.code(), Some(0));
    share.stop();
    for arguments in [
        &["scan", "--timeout", "1s", mounted][..],
        &["scan", "--timeout", "1s", "--dump-pattern", "{db}.sql", mounted],
        &["verify", "--timeout", "1s", mounted],
        &["verify", "--timeout", "1s", dead],
        &["verify", "--timeout", "1s", "--json", dead],
    ] {
        let output = ends(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}{}", stdout(&output), stderr(&output));
        let said = stdout(&output) + &stderr(&output);
        assert!(said.contains(mounted) && said.contains("did not end within 1s"), "{arguments:?}: {said}");
    }
    // What can be read is read.
    let output = ends(&["verify", "--timeout", "1s", mounted, good]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("1 intact") && said.contains("1 could not be checked"), "{said}");
    share.go_on();
    assert_eq!(ends(&["verify", mounted]).status.code(), Some(0));
}

/// The share dies after its directory was listed: the reading itself hangs.
#[tokio::test]
async fn a_reading_that_stands_still_ends_the_command_too() {
    let place = tempfile::tempdir().unwrap();
    let share = Share::mount(place.path()).await;
    // Long enough not to be read before the server is stopped.
    let dead = archive(&share.behind, 110, 8 << 30);
    archive(&share.behind, 111, 0);
    let mounted = share.mounted.to_str().unwrap();
    let mut command = firedrill();
    command.args(["verify", "--timeout", "2s", mounted]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let share = share;
    let mut words = child.stdout.take().unwrap();
    let (say, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = words.read(&mut buffer) {
            let _ = say.send(String::from_utf8_lossy(&buffer[..count]).into_owned());
        }
    });
    let open = || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", child.id())).ok()?;
        files.flatten().find(|it| std::fs::read_link(it.path()).is_ok_and(|to| to.ends_with(dead.file_name().unwrap())))
    };
    until("it reads", || async { open().map(drop) }).await;
    share.stop();
    let mut text = String::new();
    until("all is said while the share is dead", || {
        text.extend(said.try_iter());
        let done = text.contains("2 could not be checked").then_some(());
        async move { done }
    })
    .await;
    assert!(text.contains("stood still for 2s") && text.contains("vzdump-qemu-110-2026_01_01"), "{text}");
    assert!(text.contains("another reading in its directory stood still"), "{text}");
    // A question that the server had taken up holds a process in the kernel, whatever the process wants.
    share.go_on();
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap());
    assert_eq!(tokio::time::timeout(PATIENCE, status).await.expect("it ends").unwrap().code(), Some(2));
}

/// Whether the reading thread of a process stands back as it should.
fn reads_in_the_background(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    let mut readers = threads
        .filter(|thread| std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.trim() == "verify"));
    readers.all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap();
        let nice = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().to_owned();
        let id = thread.file_name().into_string().unwrap();
        let class = Command::new("ionice").args(["-p", &id]).output().unwrap();
        nice == "19" && stdout(&class).trim() == "idle"
    })
}

/// The store's own disk is dead: what is measured is still told, with the store down, and alerts are refused at once.
#[tokio::test]
async fn a_store_on_a_dead_share_is_an_outage_of_the_store_alone() {
    let place = tempfile::tempdir().unwrap();
    let share = Share::mount(place.path()).await;
    let disk = place.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    archive(&disk, 111, 0);
    let config = place.path().join("firedrill.toml");
    let token = "a-token-of-the-tests-only";
    let text = format!(
        "[store]\nurl = \"sqlite://{}/firedrill.db\"\n[webhook]\ntoken = \"{token}\"\n\
         [[automation.rules]]\nname = \"rescan\"\naction = \"rescan\"\nmatchers = [\"alertname = Any\"]\n\
         [[vzdump]]\nname = \"good\"\ntime_zone = \"UTC\"\nscan_interval = \"1s\"\nroots = [{{ path = {disk:?} }}]\n",
        share.mounted.display()
    );
    std::fs::write(&config, text).unwrap();
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    // Dropped before the daemon, which could not be waited for else.
    let share = share;
    let shows =
        async |series: &str| until(series, || async { daemon.metrics().await.contains(series).then_some(()) }).await;
    let deliver = async || {
        let url = daemon.url("/webhook/alertmanager");
        let text = std::fs::read(repository("tests/fixtures/alertmanager/am_payload.json")).unwrap();
        let request = client().post(url).bearer_auth(token).header("content-type", "application/json");
        request.timeout(PATIENCE).body(text).send().await.unwrap().status().as_u16()
    };
    shows(r#"firedrill_proof_state{source="good",item="qemu/111",state="passed"} 1"#).await;
    shows("firedrill_store_up 1").await;
    share.stop();
    shows("firedrill_store_up 0").await;
    assert_eq!(deliver().await, 503);
    archive(&disk, 112, 0);
    shows(r#"firedrill_backup_copies{source="good",item="qemu/112"} 1"#).await;
    share.go_on();
    shows("firedrill_store_up 1").await;
    shows(r#"firedrill_proof_state{source="good",item="qemu/112",state="passed"} 1"#).await;
    assert_eq!(deliver().await, 200);
    assert!(daemon.process.stop().success());
}

/// One dead share and one worker: the good archive is proven all the same, and what can't be checked is said.
#[tokio::test]
async fn in_the_daemon_others_are_proven_and_the_dead_share_is_said() {
    let place = tempfile::tempdir().unwrap();
    let share = Share::mount(place.path()).await;
    let disk = place.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    archive(&share.behind, 110, 8 << 30);
    let config = place.path().join("firedrill.toml");
    let text = format!(
        "[store]\nurl = \"sqlite://{}/firedrill.db\"\n[verify]\nworkers = 1\nrate = \"1MiB\"\nstall_timeout = \"2s\"\n\
         [[vzdump]]\nname = \"dead\"\ntime_zone = \"UTC\"\nscan_interval = \"7d\"\nroots = [{{ path = {:?} }}]\n\
         [[vzdump]]\nname = \"good\"\ntime_zone = \"UTC\"\nscan_interval = \"1s\"\nroots = [{{ path = {disk:?} }}]\n",
        place.path().display(),
        share.mounted
    );
    std::fs::write(&config, text).unwrap();
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    // Dropped before the daemon, which could not be waited for else.
    let share = share;
    let shows =
        async |series: &str| until(series, || async { daemon.metrics().await.contains(series).then_some(()) }).await;
    shows("firedrill_verifier_running_archives 1").await;
    assert!(reads_in_the_background(daemon.process.id()));
    share.stop();
    archive(&disk, 111, 0);
    shows(r#"firedrill_proof_state{source="good",item="qemu/111",state="passed"} 1"#).await;
    shows(r#"firedrill_proof_unchecked{source="dead",item="qemu/110"} 1"#).await;
    let metrics = daemon.metrics().await;
    assert!(metrics.contains("firedrill_verifier_hanging_readings 1"), "{metrics}");
    assert!(metrics.contains(r#"firedrill_proof_state{source="dead",item="qemu/110",state="passed"} 0"#), "{metrics}");
    let health = get(&daemon.url("/health")).await.unwrap().1;
    assert!(health.contains("degraded") && health.contains("\"hanging\": 1"), "{health}");
    let log = daemon.process.log();
    assert!(log.contains("stood still for 2s") && log.contains("left alone for a while"), "{log}");
    // It answers again: the thread ends, its place is free, and what it says is not heard.
    share.go_on();
    shows("firedrill_verifier_hanging_readings 0").await;
    assert!(daemon.process.log().contains("has ended after all"));
    assert!(daemon.process.stop().success());
}
