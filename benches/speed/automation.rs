//! Alerts that come in: how fast they are durable, how soon something is done, what a storm takes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::engine::ports::Clock as _;

use super::table::{Goal, Table};
use super::{Running, daemon, http, trees};

/// Senders at the same time.
const SENDERS: usize = 8;

/// Alerts in a notification: one, and as of a group of one failing node.
const GROUPS: [u64; 2] = [1, 10];

/// So long each server is sent to.
const SUSTAINED: Duration = Duration::from_secs(15);

/// Notifications of the storm, and alerts in each.
const STORM: (u64, u64) = (5_000, 10);

/// Alerts whose action is waited for.
const ROUNDS: usize = 20;

const TOKEN: &str = "a-token-for-the-bench";

/// No alert is told twice.
static NEXT: AtomicU64 = AtomicU64::new(0);

pub fn measure(table: &mut Table, place: &Path) {
    println!("writing 10,000 items …");
    let roots = trees::write(&place.join("items"), 20, 500, 1);
    acceptance(table, &roots, place);
    reaction(table, &roots, place);
    storm(table, &roots, place);
}

fn start(roots: &[PathBuf], place: &Path, name: &str, rule: &str) -> (Running, String) {
    let roots: Vec<String> = roots.iter().map(|root| format!("{{ path = {root:?} }}")).collect();
    let text = format!(
        "[verify]\nwindow = \"{}\"\n\n[store]\nurl = \"sqlite://{}\"\n\n[webhook]\ntoken = \"{TOKEN}\"\n\n\
         [automation]\nmax_actions = 1000000\n\n[[automation.rules]]\nname = \"bench\"\ncooldown = \"0s\"\n\
         max_actions = 1000000\nmatchers = [\"alertname = Bench\"]\n{rule}\n\n\
         [[vzdump]]\nname = \"bench\"\ntime_zone = \"UTC\"\nscan_interval = \"1h\"\nroots = [{}]\n",
        window(),
        place.join(format!("{name}.db")).display(),
        roots.join(", ")
    );
    let file = place.join(format!("{name}.toml"));
    std::fs::write(&file, text).expect("writing the configuration");
    let (running, address, _) = daemon(&["--config.file", file.to_str().expect("UTF-8")]);
    http::wait_for_text(&address, "firedrill_item_info{", 10_000);
    (running, address)
}

/// A time of day that isn't now: the archives aren't what is measured here.
fn window() -> String {
    let now = SystemClock.now().to_zoned(jiff::tz::TimeZone::system());
    let hour = |hours| (&now + jiff::Span::new().hours(hours)).strftime("%H:00").to_string();
    format!("{}-{}", hour(6), hour(7))
}

/// A notification of new alerts, as Alertmanager writes it.
fn notification(alerts: u64) -> String {
    let first = NEXT.fetch_add(alerts, Ordering::Relaxed);
    let alerts: Vec<String> = (first..first + alerts)
        .map(|number| {
            format!(
                r#"{{"status":"firing","labels":{{"alertname":"Bench","environment":"prod","instance":"firedrill:10042","item":"qemu/{}","job":"firedrill","number":"{number}","severity":"critical","source":"bench"}},"annotations":{{"description":"The newest backup of qemu/{number} can't be restored: frame 17 of the archive is damaged.","runbook_url":"https://example.org/runbooks/Bench.md","summary":"qemu/{number} would not restore"}},"startsAt":"2026-11-21T03:39:14.26Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus:9090/graph?g0.expr=firedrill_backup_state","fingerprint":"{number:016x}"}}"#,
                100 + number % 10_000
            )
        })
        .collect();
    format!(
        r#"{{"receiver":"firedrill","status":"firing","alerts":[{}],"groupLabels":{{"alertname":"Bench"}},"commonLabels":{{"alertname":"Bench"}},"commonAnnotations":{{}},"externalURL":"http://alertmanager:9093","version":"4","groupKey":"{{}}:{{alertname=\"Bench\"}}","truncatedAlerts":0}}"#,
        alerts.join(",")
    )
}

/// What came of sending.
#[derive(Default)]
struct Sent {
    times: Vec<Duration>,
    put_off: u64,
    took: Duration,
}

impl Sent {
    fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    fn p99(&mut self) -> Duration {
        self.times.sort_unstable();
        self.times[self.times.len() * 99 / 100]
    }
}

/// Sends on some connections while `more` gives leave; what is put off is sent again, as Alertmanager does.
fn send(address: &str, path: &str, alerts: u64, more: impl Fn() -> bool + Sync) -> Sent {
    let begun = Instant::now();
    let mut all = Sent::default();
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(|| send_on_one(address, path, alerts, &more))).collect();
        for sender in senders {
            let sent = sender.join().expect("a sender");
            all.times.extend(sent.times);
            all.put_off += sent.put_off;
        }
    });
    all.took = begun.elapsed();
    all
}

fn send_on_one(address: &str, path: &str, alerts: u64, more: &impl Fn() -> bool) -> Sent {
    let mut connection = http::Connection::open(address);
    let mut sent = Sent::default();
    while more() {
        let body = notification(alerts);
        loop {
            let begun = Instant::now();
            match connection.post(path, TOKEN, &body) {
                200 => {
                    sent.times.push(begun.elapsed());
                    break;
                }
                503 => sent.put_off += 1,
                status => panic!("{path} answered {status}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    sent
}

fn for_a_while() -> impl Fn() -> bool + Sync {
    let until = Instant::now() + SUSTAINED;
    move || Instant::now() < until
}

/// Debian's `webhook`, which runs a program for each notification.
fn peer(place: &Path, waits: bool) -> (Running, String) {
    let file = place.join(format!("hooks-{waits}.json"));
    let text = format!(
        r#"[{{"id":"alertmanager","execute-command":"/bin/true","include-command-output-in-response":{waits}}}]"#
    );
    std::fs::write(&file, text).expect("writing its hooks");
    let address = http::free_address();
    let (ip, port) = address.rsplit_once(':').expect("an address");
    let mut command = Command::new("webhook");
    command.args(["-ip", ip, "-port", port, "-hooks"]).arg(file).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(command.spawn().expect("webhook, from Debian's package"));
    http::wait_for(&address, "/");
    (running, address)
}

fn acceptance(table: &mut Table, roots: &[PathBuf], place: &Path) {
    for group in GROUPS {
        let rule = "action = \"reverify\"\nmode = \"dry_run\"";
        let mut ours = {
            let (_running, address) = start(roots, place, &format!("acceptance-{group}"), rule);
            send(&address, "/webhook/alertmanager", group, for_a_while())
        };
        let (rate, p99) = (ours.per_second(), ours.p99());
        let sort = format!("notifications of {group} alert(s)");
        let title = format!("alerts kept durably per second, {sort}");
        table.rate(&title, rate * group as f64, None, Goal::AtLeast(500.0));
        table.time(&format!("answer to {sort}, p99"), p99, Goal::AtMost(50.0));
        for (waits, name) in [(true, "webhook, /bin/true has run"), (false, "webhook, /bin/true runs later")] {
            let (_running, address) = peer(place, waits);
            let mut theirs = send(&address, "/hooks/alertmanager", group, for_a_while());
            let peer = Some((name, theirs.per_second()));
            table.rate(&format!("{sort}, per second"), rate, peer, Goal::AtLeast(1.0));
            table.ratio(&format!("answer to {sort}, p99"), p99, name, theirs.p99(), Goal::AtMost(1.0));
        }
        if ours.put_off > 0 {
            println!("{} notifications were put off", ours.put_off);
        }
    }
}

fn reaction(table: &mut Table, roots: &[PathBuf], place: &Path) {
    let trace = place.join("it-ran");
    let rule = format!("action = \"hook\"\nmode = \"execute\"\ncommand = [\"/usr/bin/touch\", {trace:?}]");
    let (_running, address) = start(roots, place, "reaction", &rule);
    let mut connection = http::Connection::open(&address);
    let times = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        assert_eq!(connection.post("/webhook/alertmanager", TOKEN, &notification(1)), 200);
        http::wait("the hook", || trace.exists());
        let took = begun.elapsed();
        std::fs::remove_file(&trace).expect("what the hook left");
        took
    });
    let slowest = times.max().expect("rounds");
    let title = format!("alert to its hook at work, 10,000 items, slowest of {ROUNDS}");
    table.time(&title, slowest, Goal::AtMost(1_000.0));
}

fn storm(table: &mut Table, roots: &[PathBuf], place: &Path) {
    let (running, address) = start(roots, place, "storm", "action = \"reverify\"\nmode = \"dry_run\"");
    let (notifications, group) = STORM;
    let left = AtomicU64::new(notifications);
    let one_less = |left: u64| left.checked_sub(1);
    let sent = send(&address, "/webhook/alertmanager", group, || {
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    });
    let alerts = notifications * group;
    table.time(&format!("storm of {alerts} alerts in {notifications} groups taken in"), sent.took, Goal::None);
    // What was decided on was kept: each alert once.
    let decided = format!("firedrill_actions_total{{action=\"reverify\",result=\"dry_run\"}} {alerts}\n");
    http::wait_for_text(&address, &decided, 1);
    table.memory("most memory in the storm, with 10,000 items; none lost", running.peak_mib(), 150.0);
}
