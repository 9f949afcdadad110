//! Starts the real binary and real servers on free ports in temporary directories, and ends them by their own handle.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The longest that anything here is waited for; only a failing test takes so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub fn firedrill() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default()).stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    firedrill().args(arguments).output().unwrap()
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A child process that ends with its handle.
pub struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Starts a program and collects what it writes to standard error.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (reader, sink) = (BufReader::new(child.stderr.take().unwrap()), lines.clone());
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop and waits for its end.
    pub fn stop(mut self) -> std::process::ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon on a free port.
pub struct Daemon {
    pub process: Running,
    pub address: SocketAddr,
}

impl Daemon {
    /// Starts `firedrill serve` with these further arguments and waits until it listens.
    pub async fn start(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", arguments).await
    }

    /// The same at an address that others know already.
    pub async fn start_at(address: &str, arguments: &[&str]) -> Self {
        let mut command = firedrill();
        command.args(["serve", "--web.listen-address", address]).args(arguments).stdout(Stdio::null());
        Self::listening(Running::start(command)).await
    }

    /// A daemon that was started in an unusual way, once it listens.
    pub async fn listening(process: Running) -> Self {
        let address = until("the daemon listens", || async {
            let log = process.log();
            let rest = log.split("message=listening address=").nth(1)?;
            rest.split_whitespace().next()?.parse().ok()
        })
        .await;
        Self { process, address }
    }

    /// Starts it on a demo estate in `directory` and waits for the first scan.
    pub async fn on_demo_estate(directory: &Path) -> Self {
        let daemon = Self::start(&["--demo", directory.to_str().unwrap()]).await;
        daemon.ready().await;
        daemon
    }

    /// Waits for the first scan.
    pub async fn ready(&self) {
        let url = self.url("/-/ready");
        until("the daemon is ready", || async { get(&url).await.filter(|(status, _)| *status == 200) }).await;
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn metrics(&self) -> String {
        get(&self.url("/metrics")).await.unwrap().1
    }
}

/// Status and text of a page; `None` when there is no answer.
pub async fn get(url: &str) -> Option<(u16, String)> {
    let answer = client().get(url).timeout(PATIENCE).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

pub fn client() -> reqwest::Client {
    static PROVIDER: std::sync::Once = std::sync::Once::new();
    PROVIDER.call_once(|| {
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::new()
}

/// Waits until `look` finds something. Panics after [`PATIENCE`].
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A real Prometheus that scrapes one target every few seconds with the shipped rules.
pub struct Prometheus {
    _process: Running,
    _directory: tempfile::TempDir,
    base: String,
}

impl Prometheus {
    /// Starts it on the shipped rules. `for:` of every rule is cut to nothing, so that a test need not wait a day.
    pub async fn scraping(target: SocketAddr) -> Self {
        Self::with_history(target, None).await
    }

    /// The same, sending alerts to these Alertmanagers.
    pub async fn alerting(target: SocketAddr, alertmanagers: &[SocketAddr]) -> Self {
        Self::start(target, None, alertmanagers).await
    }

    /// Starts it with samples of the past, given as OpenMetrics.
    pub async fn with_history(target: SocketAddr, history: Option<&str>) -> Self {
        Self::start(target, history, &[]).await
    }

    async fn start(target: SocketAddr, history: Option<&str>, alertmanagers: &[SocketAddr]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        if let Some(text) = history {
            let file = directory.path().join("history.txt");
            std::fs::write(&file, text).unwrap();
            let import = ["tsdb", "create-blocks-from", "openmetrics", "--quiet"];
            let output =
                Command::new("promtool").args(import).arg(&file).arg(directory.path().join("data")).output().unwrap();
            assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
        }
        let waits = regex::Regex::new(r"(?m)^(\s*)for: .*$").unwrap();
        for entry in std::fs::read_dir(repository("alerts")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let text = std::fs::read_to_string(&path).unwrap();
                let hasty = waits.replace_all(&text, "${1}for: 0s");
                std::fs::write(directory.path().join(path.file_name().unwrap()), &*hasty).unwrap();
            }
        }
        let alertmanagers: Vec<String> = alertmanagers.iter().map(|it| format!("\"{it}\"")).collect();
        let alertmanagers = alertmanagers.join(", ");
        let config = format!(
            "global: {{scrape_interval: 3s, evaluation_interval: 1s}}\nalerting: {{alertmanagers: [{{static_configs: [{{targets: [{alertmanagers}]}}]}}]}}\nrule_files: [\"*.rules.yml\"]\nscrape_configs:\n  - job_name: firedrill\n    static_configs: [{{targets: [\"{target}\"]}}]\n"
        );
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--storage.tsdb.retention.time=30d")
            .stdout(Stdio::null());
        let process = Running::start(command);
        let base = format!("http://{address}");
        let ready = format!("{base}/-/ready");
        until("Prometheus is ready", || async { get(&ready).await.filter(|(status, _)| *status == 200) }).await;
        Self { _process: process, _directory: directory, base }
    }

    /// The data of an API call.
    pub async fn api(&self, path: &str, query: &[(&str, &str)]) -> serde_json::Value {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/{path}", self.base)).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        let answer = client().get(url).send().await.unwrap().text().await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{path} {query:?}: {answer}");
        answer["data"].clone()
    }

    /// Rows of an instant query.
    pub async fn query(&self, expression: &str) -> Vec<serde_json::Value> {
        let data = self.api("query", &[("query", expression)]).await;
        match data["result"].as_array() {
            Some(rows) if data["resultType"] == "vector" => rows.clone(),
            _ => vec![data["result"].clone()],
        }
    }
}
