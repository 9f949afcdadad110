//! Containers of a real engine: what `docker` does to them is seen, and an engine that can't be asked makes them unknown.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::s3::shows;
use crate::support::{Daemon, Running, run, stderr, stdout, until};

/// A Docker of our own, with one image of busybox; it and its containers are gone with the value.
struct Engine {
    process: Option<Running>,
    place: TempDir,
}

impl Engine {
    async fn start() -> Self {
        let mut it = Self { process: None, place: tempfile::tempdir().unwrap() };
        it.begin().await;
        let root = it.place.path().join("root/bin");
        std::fs::create_dir_all(&root).unwrap();
        let busybox = Command::new("sh").args(["-c", "command -v busybox"]).output().unwrap();
        std::fs::copy(stdout(&busybox).trim(), root.join("busybox")).unwrap();
        for name in ["sh", "sleep", "test", "rm"] {
            std::os::unix::fs::symlink("busybox", root.join(name)).unwrap();
        }
        let tar = it.place.path().join("root.tar");
        let packed =
            Command::new("tar").arg("-C").arg(it.place.path().join("root")).arg("-cf").arg(&tar).arg(".").status();
        assert!(packed.unwrap().success());
        it.docker(&["import", tar.to_str().unwrap(), "box:1"]);
        it
    }

    /// Networks, and what would change the machine, are left out.
    async fn begin(&mut self) {
        let at = |name: &str| self.place.path().join(name).display().to_string();
        let mut command = Command::new("dockerd");
        command
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "-p", &at("pid"), "-H", &self.host()])
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"])
            // Works on whatever the machine's temporary directory lies.
            .args(["--storage-driver=vfs", "--live-restore"])
            .stdout(Stdio::null());
        self.process = Some(Running::start(command));
        until("dockerd answers", || async {
            self.command().arg("version").output().unwrap().status.success().then_some(())
        })
        .await;
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("docker.sock")
    }

    fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.host()).env("DOCKER_CONFIG", self.place.path());
        command
    }

    fn docker(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output().unwrap();
        assert!(output.status.success(), "docker {arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    fn run(&self, name: &str, options: &[&str], what: &str) {
        let fixed = ["run", "--detach", "--network=none", "--name", name];
        self.docker(&[&fixed, options, &["box:1", "sh", "-c", what]].concat());
    }

    fn signal(&self, signal: Signal) {
        self.process.as_ref().unwrap().signal(signal);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let list = self.command().args(["ps", "--all", "--quiet"]).output().unwrap();
        let ids: Vec<String> = stdout(&list).split_whitespace().map(str::to_owned).collect();
        if !ids.is_empty() {
            let _ = self.command().args(["rm", "--force"]).args(&ids).output();
        }
        if let Some(process) = self.process.take() {
            let status = process.stop();
            if !std::thread::panicking() {
                assert!(status.success());
            }
        }
    }
}

fn configuration(place: &Path, host: &str, keys: &str) -> PathBuf {
    let file = place.join("firedrill.toml");
    let text = format!(
        "[verify]\nenabled = false\n[[docker]]\nname = \"stack\"\nhost = \"{host}\"\nscan_interval = \"1s\"\nscan_timeout = \"3s\"\n{keys}"
    );
    std::fs::write(&file, text).unwrap();
    file
}

async fn watching(place: &Path, host: &str, keys: &str) -> Daemon {
    let config = configuration(place, host, keys);
    Daemon::start(&["--config.file", config.to_str().unwrap()]).await
}

fn state(container: &str, state: &str) -> String {
    format!("firedrill_container_state{{source=\"stack\",container=\"{container}\",state=\"{state}\"}} 1")
}

const UP: &str = "firedrill_source_up{source=\"stack\",kind=\"docker\"} 1";
const DOWN: &str = "firedrill_source_up{source=\"stack\",kind=\"docker\"} 0";

/// Nothing is said of containers that can't be asked for.
async fn is_unknown(daemon: &Daemon) {
    shows(daemon, &[DOWN]).await;
    let text = daemon.metrics().await;
    assert!(!text.contains("firedrill_container_"), "{text}");
}

#[tokio::test]
async fn what_docker_does_is_seen_and_an_engine_that_is_gone_makes_it_unknown() {
    let mut engine = Engine::start().await;
    let kept_up =
        ["--restart=unless-stopped", "--health-cmd=test -e /ok", "--health-interval=1s", "--health-retries=1"];
    engine.run("web", &kept_up, "sleep 1000 & wait");
    engine.run("job", &[], "exit 0");
    engine.run("broken", &[], "exit 3");
    engine.run("loops", &["--restart=on-failure:50"], "exit 1");
    engine.run("other", &["--label=ours=no"], "sleep 1000");
    let place = tempfile::tempdir().unwrap();
    let keys = "names = [\"web\", \"job\", \"broken\", \"loops\"]\nexpected = [\"absent\", \"other\"]\n";
    let daemon = watching(place.path(), &engine.host(), keys).await;
    let health = |health: &str| {
        format!("firedrill_container_health{{source=\"stack\",container=\"web\",health=\"{health}\"}} 1")
    };
    let exit = "firedrill_container_exit_code{source=\"stack\",container=\"broken\"} 3";
    let info = "firedrill_container_info{source=\"stack\",container=\"other\",image=\"box:1\"} 1";
    shows(
        &daemon,
        &[
            UP,
            &state("web", "running"),
            &health("unhealthy"),
            &state("job", "completed"),
            &state("broken", "exited"),
            exit,
            info,
        ],
    )
    .await;
    shows(&daemon, &[&state("absent", "missing"), &state("other", "running")]).await;
    let text = daemon.metrics().await;
    assert!(
        !text.contains("info{source=\"stack\",container=\"absent\"")
            && !text.contains("health{source=\"stack\",container=\"job\""),
        "{text}"
    );
    until("it was started again", || async {
        let text = daemon.metrics().await;
        let line = text.lines().find(|line| {
            line.starts_with("firedrill_container_restarts_total{source=\"stack\",container=\"loops\"}")
        })?;
        line.rsplit_once(' ')?.1.parse::<f64>().ok().filter(|count| *count >= 2.0)
    })
    .await;
    engine.docker(&["exec", "web", "sh", "-c", ": > /ok"]);
    shows(&daemon, &[&health("healthy")]).await;
    engine.docker(&["pause", "other"]);
    shows(&daemon, &[&state("other", "paused")]).await;
    engine.docker(&["rm", "--force", "broken"]);
    engine.docker(&["stop", "--time", "0", "web"]);
    shows(&daemon, &[&state("web", "exited")]).await;
    until("what was removed is gone", || async { (!daemon.metrics().await.contains("\"broken\"")).then_some(()) })
        .await;

    // It hangs, it comes back; it ends, it comes back: all without a restart of ours.
    engine.signal(Signal::STOP);
    is_unknown(&daemon).await;
    engine.signal(Signal::CONT);
    shows(&daemon, &[UP, &state("other", "paused")]).await;
    assert!(engine.process.take().unwrap().stop().success());
    is_unknown(&daemon).await;
    engine.begin().await;
    shows(&daemon, &[UP, &state("other", "paused"), &state("web", "exited")]).await;

    // What `docker inspect` writes says the same as the engine.
    let file = place.path().join("containers.json");
    let ids = engine.docker(&["ps", "--all", "--quiet"]);
    let ids: Vec<&str> = ids.split_whitespace().collect();
    std::fs::write(&file, engine.docker(&[&["inspect"], &ids[..]].concat())).unwrap();
    let beside = tempfile::tempdir().unwrap();
    let labelled = watching(beside.path(), &format!("file://{}", file.display()), "labels = [\"ours=no\"]\n").await;
    shows(&labelled, &[UP, &state("other", "paused"), info]).await;
    assert!(!labelled.metrics().await.contains("container=\"web\""));
    let config = place.path().join("firedrill.toml");
    let scanned = run(&["scan", "--config.file", config.to_str().unwrap()]);
    assert!(
        stdout(&scanned).contains("stack: container web: exited with 137\n"),
        "{}{}",
        stdout(&scanned),
        stderr(&scanned)
    );
    assert!(
        scanned.status.code() == Some(1) && !stdout(&scanned).contains("No backup was found"),
        "{}",
        stdout(&scanned)
    );
    let long_ago = std::fs::metadata("/proc/self").unwrap().modified().unwrap() - Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    is_unknown(&labelled).await;
    assert!(labelled.process.log().contains("nothing of it is relied on"), "{}", labelled.process.log());
}

/// A proxy before the socket that answers so, whatever it is asked.
fn answering(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[tokio::test]
async fn what_is_no_answer_of_an_engine_is_unknown_and_said() {
    let http = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let place = tempfile::tempdir().unwrap();
    let gone = format!("unix://{}/docker.sock", place.path().display());
    let cases = [
        (gone, "does Docker run"),
        (answering(http("403 Forbidden", "{\"message\":\"no\"}")), "a proxy must allow"),
        (answering(http("500 Oops", "<html>")), "500"),
        (answering(http("200 OK", "{\"ApiVersion\":")), "version"),
        (answering(http("200 OK", "{\"ApiVersion\":\"1.41\"}")), "listing the containers"),
        (answering("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{\"Api".into()), "end of file"),
        (answering(String::new()), "version"),
        (format!("file://{}/firedrill.toml", place.path().display()), "docker inspect"),
    ];
    for (host, said) in cases {
        let config = configuration(place.path(), &host, "");
        let output = run(&["scan", "--json", "--config.file", config.to_str().unwrap()]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let text = report.to_string();
        assert!(text.contains(said), "{host}: {said}: {text} {}", stderr(&output));
        assert!(!output.status.success(), "{host}");
    }
}

#[test]
fn what_is_wrong_with_the_section_is_said_with_its_key() {
    let place = tempfile::tempdir().unwrap();
    for (host, keys, said) in [
        ("/var/run/docker.sock", "", "docker.0.host"),
        ("tcp://user@host:1", "", "docker.0.host"),
        ("tcp://host", "", "docker.0.host"),
        ("unix:///s", "names = [\"[\"]", "docker.0.names"),
        ("unix:///s", "labels = [\"=x\"]", "docker.0.labels.0"),
        ("unix:///s", "expected = [\"/web\"]", "docker.0.expected.0"),
        ("unix:///s", "time_zone = \"UTC\"", "time_zone"),
        ("unix:///s", "[[items]]\nsource = \"stack\"\nitem = \"dump/a\"", "containers are watched, not backed up"),
    ] {
        let config = configuration(place.path(), host, keys);
        let output = run(&["check-config", "--config.file", config.to_str().unwrap()]);
        assert!(!output.status.success() && stderr(&output).contains(said), "{host} {keys}: {}", stderr(&output));
    }
}
