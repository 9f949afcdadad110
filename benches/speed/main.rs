//! Speed and memory against the tools that one would use instead, measured in the same run: `make bench`.
//!
//! Prints a table in Markdown; `docs/benchmarks.md` keeps one. Nothing here fails for being slow: read the ratios.
#![expect(clippy::print_stdout, reason = "a table for the reader")]

mod archives;
mod automation;
mod http;
mod idle;
mod objects;
mod proxmox;
mod table;
mod trees;
mod vmware;
mod vsphere;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::app;
use firedrill::config::{self, Config};
use firedrill::domain::inventory::SourceView;
use firedrill::domain::policy::Policy;
use firedrill::engine::ports::Clock as _;

use self::table::{Goal, Table};

/// Times that a whole scan is measured.
const SCANS: usize = 5;

/// Times that a scrape is measured.
const SCRAPES: usize = 60;

fn main() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let mut table = Table::new();
    // `cargo bench -- archives` measures these alone.
    let only: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let wanted = |part: &str| only.is_empty() || only.iter().any(|it| it == part);
    if wanted("archives") {
        archives::measure(&mut table, &place.path().join("archives"));
    }
    if wanted("vmdk") {
        vmware::measure(&mut table, &place.path().join("vmware"));
    }
    if wanted("objects") {
        objects::measure(&mut table, &place.path().join("objects"), &place.path().join("archives"));
    }
    if wanted("automation") {
        automation::measure(&mut table, &place.path().join("automation"));
    }
    if wanted("monitoring") {
        monitoring(&mut table, place.path());
    }
    if wanted("proxmox") {
        proxmox::measure(&mut table);
    }
    if wanted("vsphere") {
        vsphere::measure(&mut table, &place.path().join("vsphere"));
    }
    if wanted("idle") {
        idle::measure(&mut table, &place.path().join("idle"));
    }
    println!("\n{table}");
}

fn monitoring(table: &mut Table, place: &Path) {
    println!("writing 100,000 archives with logs in 20 directories …");
    let large = trees::write(&place.join("large"), 20, 500, 10);
    scans(table, &large);
    large_daemon(table, &large, place);
    println!("writing 1,000 items …");
    let small = trees::write(&place.join("small"), 1, 1_000, 1);
    small_daemon(table, &small, place);
    demo(table, &place.join("demo"));
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed(), result)
}

fn config_of(roots: &[PathBuf], place: &Path) -> (PathBuf, Config) {
    let roots: Vec<String> = roots.iter().map(|root| format!("{{ path = {root:?} }}")).collect();
    let text = format!(
        "[verify]\nenabled = false\n\n[[vzdump]]\nname = \"bench\"\ntime_zone = \"UTC\"\nscan_interval = \"1h\"\nroots = [{}]\n",
        roots.join(", ")
    );
    let file = place.join("bench.toml");
    std::fs::write(&file, text).expect("writing the configuration");
    let config = config::load(Some(&file)).expect("the configuration of the bench");
    (file, config)
}

/// Looking at everything for the first time, and again with nothing new, against `find`.
fn scans(table: &mut Table, roots: &[PathBuf]) {
    let find = || {
        let mut command = Command::new("find");
        command.args(roots).args(["-printf", "%p %s %T@\\n"]).stdout(Stdio::null());
        timed(|| command.status().expect("find")).0
    };
    let (_, config) = config_of(roots, roots[0].parent().expect("a parent"));
    let policy = Policy::default();
    let (mut finds, mut colds, mut agains, mut commands) = (vec![], vec![], vec![], vec![]);
    find();
    for _ in 0..SCANS {
        finds.push(find());
        let mut source = app::sources(&config).expect("the source").remove(0).source;
        let unseen = SourceView::unseen(source.spec().clone(), &policy);
        let (cold, view) = timed(|| {
            let look = source.look(SystemClock.now());
            unseen.after(look, Duration::ZERO, &policy, SystemClock.now())
        });
        assert_eq!(view.items.len(), 10_000);
        colds.push(cold);
        let (again, second) = timed(|| {
            let look = source.look(SystemClock.now());
            view.after(look, Duration::ZERO, &policy, SystemClock.now())
        });
        assert!(Arc::ptr_eq(&second.items, &view.items), "nothing changed");
        agains.push(again);
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(["scan", "--json", "--time-zone", "UTC"]).args(roots).stdout(Stdio::null());
        commands.push(timed(|| command.status().expect("firedrill scan")).0);
    }
    let (find, name) = (median(finds), "find -printf '%p %s %T@\\n'");
    table.ratio("first scan, 100,000 archives with logs", median(colds), name, find, Goal::AtMost(2.0));
    table.ratio("scan again, nothing new", median(agains), name, find, Goal::AtMost(1.0));
    table.ratio("`firedrill scan --json`, whole process", median(commands), name, find, Goal::None);
}

/// A process that ends with its handle.
struct Running(Child);

impl Running {
    fn resident_mib(&self) -> f64 {
        self.memory("VmRSS")
    }

    fn peak_mib(&self) -> f64 {
        self.memory("VmHWM")
    }

    fn memory(&self, which: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("its status");
        let line = status.lines().find(|line| line.starts_with(which)).expect("a line of memory");
        let kib: f64 = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number");
        kib / 1024.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the daemon and waits for its first scan; also says how long that took.
fn daemon(arguments: &[&str]) -> (Running, String, Duration) {
    let address = http::free_address();
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.args(["serve", "--web.listen-address", &address, "--log.level", "error"]).args(arguments);
    let started = Instant::now();
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the daemon");
    let running = Running(child);
    http::wait_for(&address, "/-/ready");
    (running, address, started.elapsed())
}

fn node_exporter() -> (Running, String) {
    let address = http::free_address();
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address={address}")).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(command.spawn().expect("prometheus-node-exporter, from Debian's package"));
    http::wait_for(&address, "/");
    (running, address)
}

/// Median time of a scrape and its bytes.
fn scrape(address: &str, gzip: bool) -> (Duration, usize) {
    let mut bytes = 0;
    let times = (0..SCRAPES).map(|_| {
        let (time, answer) = timed(|| http::get(address, "/metrics", gzip));
        bytes = answer.len();
        time
    });
    (median(times.collect()), bytes)
}

fn small_daemon(table: &mut Table, roots: &[PathBuf], place: &Path) {
    let (file, _) = config_of(roots, place);
    let (_ours, address, _) = daemon(&["--config.file", file.to_str().expect("UTF-8")]);
    http::wait_for_text(&address, "firedrill_item_info{", 1_000);
    let (_peer, beside) = node_exporter();
    for gzip in [false, true] {
        let how = if gzip { "gzip" } else { "plain" };
        let ((ours, our_bytes), (peer, peer_bytes)) = (scrape(&address, gzip), scrape(&beside, gzip));
        table.ratio(&format!("scrape, 1,000 items, {how}"), ours, "node_exporter", peer, Goal::AtMost(3.0));
        let per = |time: Duration, bytes: usize| time.div_f64(bytes as f64 / 1e6);
        let title = format!("the same per megabyte, {how} ({our_bytes} B against {peer_bytes} B)");
        table.ratio(&title, per(ours, our_bytes), "node_exporter", per(peer, peer_bytes), Goal::AtMost(1.0));
    }
}

fn large_daemon(table: &mut Table, roots: &[PathBuf], place: &Path) {
    let (file, _) = config_of(roots, place);
    let (running, address, ready) = daemon(&["--config.file", file.to_str().expect("UTF-8")]);
    table.time("start to ready, 100,000 archives", ready, Goal::None);
    http::wait_for_text(&address, "firedrill_item_info{", 10_000);
    for gzip in [false, true] {
        let (time, bytes) = scrape(&address, gzip);
        let how = if gzip { "gzip" } else { "plain" };
        let title = format!("scrape, 10,000 items, {how} ({:.1} MB)", bytes as f64 / 1e6);
        table.time(&title, time, Goal::AtMost(60.0));
    }
    let whole = http::get(&address, "/metrics", true).len();
    let (time, answers) = timed(|| {
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..20).map(|_| scope.spawn(|| http::get(&address, "/metrics", true).len())).collect();
            all.into_iter().map(|it| it.join().expect("a scrape")).collect::<Vec<_>>()
        })
    });
    let lost = answers.iter().filter(|bytes| **bytes + 2_000 < whole).count();
    table.time(&format!("20 scrapers at once, 10,000 items: {lost} lost"), time, Goal::None);
    table.memory("resident at 100,000 archives, 10,000 items", running.resident_mib(), 200.0);
}

fn demo(table: &mut Table, directory: &Path) {
    let directory = directory.to_str().expect("UTF-8");
    let starts: Vec<Duration> = (0..SCANS).map(|_| daemon(&["--demo", directory]).2).collect();
    table.time("start to ready on the demo estate", median(starts), Goal::AtMost(300.0));
    let (running, address, _) = daemon(&["--demo", directory]);
    scrape(&address, true);
    table.memory("resident on the demo estate", running.resident_mib(), 40.0);
}
