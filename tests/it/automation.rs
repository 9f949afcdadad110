//! From an alert to an action with the real binary and real servers around it.

mod restarts;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::all_panels_have_data;
use crate::notify::{MailServer, StandIn};
use crate::store::Where;
use crate::support::{
    Daemon, PATIENCE, Prometheus, Running, client, firedrill, free_port, get, repository, stderr, stdout, until,
};

const TOKEN: &str = "a-token-of-the-tests-only";

/// Writes a configuration over a demo estate.
fn configuration(place: &Path, store: &str, more: &str) -> PathBuf {
    let estate = place.join("estate");
    let now = jiff::Timestamp::try_from(std::fs::metadata("/proc/self").unwrap().modified().unwrap()).unwrap();
    if !estate.exists() {
        firedrill::demo::write(&estate, now).unwrap();
    }
    let file = place.join("firedrill.toml");
    let text = format!(
        r#"
[store]
url = "{store}"

[verify]
rate = "1GiB"
nice = 0
idle_io = false

[[vzdump]]
name = "cluster"
time_zone = "Europe/Berlin"
guests_dir = "{estate}/etc-pve-nodes"
scan_interval = "2s"
roots = [{{ path = "{estate}/pve1/dump", node = "pve1" }}, {{ path = "{estate}/pve2/dump", node = "pve2" }}]

[webhook]
token = "{TOKEN}"

{more}
"#,
        estate = estate.display()
    );
    std::fs::write(&file, text).unwrap();
    file
}

fn sqlite(place: &Path) -> String {
    format!("sqlite://{}/firedrill.db", place.display())
}

async fn daemon(config: &Path) -> Daemon {
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    daemon.ready().await;
    daemon
}

/// A token of the API, made by the command.
fn token(config: &Path, role: &str) -> String {
    let made = firedrill()
        .args(["token", "create", role, "--role", role, "--config.file", config.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let text = stdout(&made);
    text.split_whitespace().find(|word| word.starts_with("fdt_")).unwrap().to_owned()
}

async fn api(daemon: &Daemon, token: &str, path: &str) -> Value {
    let call = client().get(daemon.url(&format!("/api/v1/{path}"))).bearer_auth(token).send().await.unwrap();
    assert_eq!(call.status(), 200, "{path}");
    call.json().await.unwrap()
}

fn payload(alerts: &[Value]) -> Value {
    json!({"version": "4", "groupKey": "g", "receiver": "firedrill", "status": "firing", "truncatedAlerts": 0, "alerts": alerts})
}

fn alert(number: u32, status: &str, labels: Value) -> Value {
    json!({
        "status": status, "labels": labels, "annotations": {"summary": format!("number {number}")},
        "startsAt": "2026-11-21T03:39:14.26Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": format!("{number:016x}"),
    })
}

async fn deliver(daemon: &Daemon, payload: &Value) -> reqwest::Response {
    let url = daemon.url("/webhook/alertmanager");
    client().post(url).bearer_auth(TOKEN).timeout(PATIENCE).json(payload).send().await.unwrap()
}

/// A daemon with a proposal that waits and a receiver that is down, and its `/metrics`.
async fn daemon_with_open_work(place: &Path) -> (Daemon, String) {
    let more = format!(
        "[[automation.rules]]\nname = \"again\"\naction = \"rescan\"\nmatchers = [\"alertname = Old\"]\n\n\
         [[notify.receivers]]\nname = \"down\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{}/\"\n",
        free_port()
    );
    let config = configuration(place, &sqlite(place), &more);
    let daemon = daemon(&config).await;
    let all = payload(&[alert(1, "firing", json!({"alertname": "Old", "source": "cluster"}))]);
    assert_eq!(deliver(&daemon, &all).await.status(), 200);
    let text = until("a proposal and a message wait", || async {
        let text = daemon.metrics().await;
        let waits = [
            "firedrill_actions_oldest_timestamp_seconds{",
            "firedrill_notifications_oldest_queued_",
            "firedrill_receiver_up{",
        ];
        let waits = waits.iter().all(|it| text.lines().any(|line| line.starts_with(it)));
        waits.then_some(text)
    })
    .await;
    (daemon, text)
}

pub async fn exposition_with_open_work() -> String {
    let place = tempfile::tempdir().unwrap();
    daemon_with_open_work(place.path()).await.1
}

#[tokio::test]
async fn every_panel_of_the_automation_has_data() {
    let place = tempfile::tempdir().unwrap();
    let (daemon, _) = daemon_with_open_work(place.path()).await;
    let prometheus = Prometheus::scraping(daemon.address).await;
    until("some scrapes", || async {
        let rows = prometheus.query("count_over_time(firedrill_build_info[5m]) > 3").await;
        (!rows.is_empty()).then_some(())
    })
    .await;
    assert!(all_panels_have_data(&prometheus, "automation").await > 20);
}

/// A real Alertmanager on the shipped configuration, its intervals cut short.
struct Alertmanager {
    process: Running,
    place: tempfile::TempDir,
    address: SocketAddr,
    /// Ports of this member and of the one that it joins.
    cluster: (u16, Option<u16>),
}

impl Alertmanager {
    async fn start(webhook: &str, cluster: u16, peer: Option<u16>) -> Self {
        let place = tempfile::tempdir().unwrap();
        let token = place.path().join("firedrill.token");
        std::fs::write(&token, TOKEN).unwrap();
        let shipped = std::fs::read_to_string(repository("config/alertmanager.yml")).unwrap();
        assert!(shipped.contains("http://firedrill:10042/webhook/alertmanager"), "the shipped file leads to firedrill");
        let hasty = regex::Regex::new(r"(group_wait|group_interval): \w+").unwrap().replace_all(&shipped, "$1: 1s");
        let text = hasty
            .replace("http://firedrill:10042/webhook/alertmanager", webhook)
            .replace("/etc/alertmanager/firedrill.token", token.to_str().unwrap());
        std::fs::write(place.path().join("alertmanager.yml"), text).unwrap();
        let address: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
        let cluster = (cluster, peer);
        let process = Self::run(place.path(), address, cluster).await;
        Self { process, place, address, cluster }
    }

    async fn run(place: &Path, address: SocketAddr, (cluster, peer): (u16, Option<u16>)) -> Running {
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", place.join("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", place.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--cluster.listen-address=127.0.0.1:{cluster}"))
            // The second member waits so long for the first to say that it has sent: mostly too short for that.
            .arg("--cluster.peer-timeout=1ms")
            .stdout(Stdio::null());
        if let Some(peer) = peer {
            command.arg(format!("--cluster.peer=127.0.0.1:{peer}"));
        }
        let process = Running::start(command);
        let ready = format!("http://{address}/-/ready");
        until("Alertmanager is ready", || async { get(&ready).await.filter(|(status, _)| *status == 200) }).await;
        process
    }

    /// Ends it and starts it again with what it had written down: what it had told, but no alerts.
    async fn restart(self) -> Self {
        let Self { process, place, address, cluster } = self;
        process.stop();
        let process = Self::run(place.path(), address, cluster).await;
        Self { process, place, address, cluster }
    }
}

const DAMAGED: &str = r#"
[[automation.rules]]
name = "reverify-damaged"
action = "reverify"
matchers = ["alertname = FiredrillBackupCorrupt"]
mode = "execute"

[[automation.rules]]
name = "silence-late"
action = "silence"
matchers = ["alertname = FiredrillBackupLate"]
mode = "execute"
duration = "2h"
silence_labels = ["alertname", "source", "item"]

[[automation.rules]]
name = "tell"
action = "notify"
matchers = ["alertname = FiredrillBackupCorrupt"]
mode = "execute"

[[automation.rules]]
name = "look"
action = "notify"
matchers = ["alertname =~ Firedrill.+"]
mode = "dry_run"

"#;

#[tokio::test]
async fn from_a_damaged_archive_by_two_alertmanagers_to_a_person() {
    let place = tempfile::tempdir().unwrap();
    let (telegram, telegram_url) = StandIn::start(&[]).await;
    let mail = MailServer::start().await;
    let syslog = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    syslog.set_nonblocking(true).unwrap();
    // Their addresses must be known before they run: silences go there, and they send here.
    let (port, cluster) = (free_port(), free_port());
    let webhook = format!("http://127.0.0.1:{port}/webhook/alertmanager");
    let first = Alertmanager::start(&webhook, cluster, None).await;
    let second = Alertmanager::start(&webhook, free_port(), Some(cluster)).await;
    // One that joins later would hear of everything from the other, and keep still.
    for member in [&first, &second] {
        until("the cluster has settled", || async {
            let text = get(&format!("http://{}/api/v2/status", member.address)).await?.1;
            let cluster = serde_json::from_str::<Value>(&text).ok()?["cluster"].clone();
            (cluster["status"] == "ready" && cluster["peers"].as_array()?.len() == 2).then_some(())
        })
        .await;
    }
    let receivers = format!(
        r#"
[automation]
alertmanagers = ["http://{}", "http://{}"]
{DAMAGED}
[notify]
backups = false
digest_wait = "1s"

[[notify.receivers]]
name = "phone"
type = "telegram"
token = "12345:secret-of-the-bot"
chat_id = -100123
api_url = "{telegram_url}"

[[notify.receivers]]
name = "mail"
type = "smtp"
host = "127.0.0.1"
port = {}
tls = "none"
from = "firedrill@example.org"
to = ["ops@example.org"]

[[notify.receivers]]
name = "log"
type = "syslog"
protocol = "udp"
address = "{}"
"#,
        first.address,
        second.address,
        mail.port,
        syslog.local_addr().unwrap()
    );
    let config = configuration(place.path(), &sqlite(place.path()), &receivers);
    let listen = format!("127.0.0.1:{port}");
    let daemon = Daemon::start_at(&listen, &["--config.file", config.to_str().unwrap()]).await;
    daemon.ready().await;
    let operator = token(&config, "viewer");
    let _prometheus = Prometheus::alerting(daemon.address, &[first.address, second.address]).await;

    let done = until("it was read again, silenced and told", || async {
        let found = api(&daemon, &operator, "actions").await;
        let mut found = found["items"].as_array().unwrap().clone();
        found.retain(|it| it["rule"] != "look");
        let ended = found.iter().filter(|it| it["state"] == "done").count();
        (ended == 3).then_some(found)
    })
    .await;
    assert_eq!(done.len(), 3, "one action of each rule: {done:?}");
    let of = |rule: &str| done.iter().find(|it| it["rule"] == rule).unwrap();
    let read = of("reverify-damaged");
    assert!(read["result"].as_str().unwrap().contains("damaged"), "{read}");
    assert_eq!((&read["source"], &read["item"]), (&json!("cluster"), &json!("qemu/109")));
    // Both members have told of it, and one action came of it.
    let (told, looked) = until("both members have told of an alert", || async {
        let alerts = api(&daemon, &operator, "alerts").await["items"].as_array().unwrap().clone();
        let looked = api(&daemon, &operator, "actions?state=dry_run").await["items"].as_array().unwrap().clone();
        let twice = alerts.iter().any(|it| it["times"].as_u64().unwrap() >= 2);
        (twice && alerts.len() == looked.len() + 1).then_some((alerts.len(), looked))
    })
    .await;
    let looked: BTreeSet<String> = looked.iter().map(|it| it["alert"].to_string()).collect();
    assert_eq!(looked.len() + 1, told, "one action of each alert, and of the damaged one by the rule before");
    let audit = api(&daemon, &operator, &format!("audit?action={}", read["id"])).await;
    let told: Vec<&str> =
        audit["items"].as_array().unwrap().iter().rev().map(|it| it["event"].as_str().unwrap()).collect();
    assert_eq!(told, ["scheduled", "started", "done"]);

    // The silence is there, on both, with an end.
    for member in [&first, &second] {
        until("the silence is known", || async {
            let url = format!("--alertmanager.url=http://{}", member.address);
            let listed = Command::new("amtool").args(["silence", "query", "-o", "json", &url]).output().unwrap();
            let listed: Value = serde_json::from_slice(&listed.stdout).ok()?;
            let ours = listed.as_array()?.iter().filter(|it| it["createdBy"] == "firedrill").count();
            assert!(ours <= 1, "{listed}");
            (ours == 1).then_some(())
        })
        .await;
    }

    // A person has heard of it on every way.
    until("Telegram heard of it", || async {
        telegram.heard().iter().any(|it| it.body.contains("qemu/109")).then_some(())
    })
    .await;
    until("mail came", || async { mail.text().contains("qemu/109").then_some(()) }).await;
    until("syslog got it", || async {
        let mut buffer = [0; 4096];
        let count = syslog.recv(&mut buffer).ok()?;
        String::from_utf8_lossy(&buffer[..count]).contains("qemu/109").then_some(())
    })
    .await;
    assert!(!daemon.process.log().contains("secret-of-the-bot"));
}

/// A hook that writes a line per run.
fn hook(place: &Path, slow: bool) -> (PathBuf, PathBuf) {
    let (program, lines) = (place.join("hook"), place.join("lines"));
    let wait = if slow { "sleep 0.05" } else { "" };
    let text = format!("#!/bin/sh\n{wait}\necho \"$FIREDRILL_LABEL_number\" >> {}\n", lines.display());
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    (program, lines)
}

fn hook_rule(program: &Path, concurrency: u32) -> String {
    format!(
        "[automation]\nmax_actions = 1000\n[automation.concurrency]\nhook = {concurrency}\n\n[[automation.rules]]\nname = \"hook\"\naction = \"hook\"\n\
         matchers = [\"alertname = Hook\"]\nmode = \"execute\"\ncooldown = \"0s\"\ncommand = [\"{}\"]\n",
        program.display()
    )
}

fn numbered(count: u32) -> Vec<Value> {
    (1..=count).map(|it| alert(it, "firing", json!({"alertname": "Hook", "number": it.to_string()}))).collect()
}

fn lines(file: &Path) -> Vec<String> {
    let mut lines: Vec<String> = std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect();
    lines.sort_by_key(|line| line.parse::<u32>().unwrap());
    lines
}

#[tokio::test]
async fn two_daemons_on_one_postgresql_run_each_hook_once() {
    const ALERTS: u32 = 40;
    let place = tempfile::tempdir().unwrap();
    let server = Where::postgres();
    let (program, file) = hook(place.path(), false);
    let config = configuration(place.path(), &server.url(), &hook_rule(&program, 4));
    let (one, two) = futures_util::future::join(daemon(&config), daemon(&config)).await;
    // A pair of Alertmanagers, each telling both, at the same time and again.
    let payload = payload(&numbered(ALERTS));
    for _ in 0..3 {
        let answers = futures_util::future::join(deliver(&one, &payload), deliver(&two, &payload)).await;
        assert_eq!((answers.0.status().as_u16(), answers.1.status().as_u16()), (200, 200));
    }
    let wanted: Vec<String> = (1..=ALERTS).map(|it| it.to_string()).collect();
    until("all hooks ran", || async { (lines(&file).len() >= wanted.len()).then_some(()) }).await;
    let viewer = token(&config, "viewer");
    until("all are done", || async {
        let found = api(&one, &viewer, "actions?state=done&limit=500").await;
        (found["items"].as_array().unwrap().len() == wanted.len()).then_some(())
    })
    .await;
    assert_eq!(lines(&file), wanted, "each once");
}

#[tokio::test]
async fn a_hook_that_fails_is_a_warning_in_the_log() {
    let place = tempfile::tempdir().unwrap();
    let (program, _) = hook(place.path(), false);
    std::fs::write(&program, "#!/bin/sh\necho one >&2\nprintf 'no \\033[31mspace left\\n' >&2\nexit 7\n").unwrap();
    let config = configuration(place.path(), &sqlite(place.path()), &hook_rule(&program, 1));
    let daemon = daemon(&config).await;
    assert_eq!(deliver(&daemon, &payload(&numbered(1))).await.status(), 200);
    let line = until("its end is logged", || async {
        daemon.process.log().lines().find(|line| line.contains("hook failed: ")).map(str::to_owned)
    })
    .await;
    for part in ["level=warn", "exit status: 7", "rule=hook", "output=\"one | no \u{fffd}[31mspace left\""] {
        assert!(line.contains(part), "{line}");
    }
}

#[tokio::test]
async fn killed_again_and_again_no_hook_runs_twice_and_no_alert_is_lost() {
    const ALERTS: u32 = 30;
    let place = tempfile::tempdir().unwrap();
    let (program, file) = hook(place.path(), true);
    let config = configuration(place.path(), &sqlite(place.path()), &hook_rule(&program, 2));
    for round in 0..4_u64 {
        let daemon = daemon(&config).await;
        let answer = deliver(&daemon, &payload(&numbered(ALERTS))).await;
        assert_eq!(answer.status(), 200);
        // Not for luck: wherever it is by then, it ends there.
        tokio::time::sleep(Duration::from_millis(40 + 60 * round)).await;
        drop(daemon);
    }
    let daemon = daemon(&config).await;
    let viewer = token(&config, "viewer");
    let found = until("every alert came to an end", || async {
        let found = api(&daemon, &viewer, "actions?limit=500").await["items"].as_array().unwrap().clone();
        let open = ["scheduled", "running", "proposed"];
        let ended = !found.iter().any(|it| open.contains(&it["state"].as_str().unwrap()));
        (ended && found.len() == ALERTS as usize).then_some(found)
    })
    .await;
    let ran = lines(&file);
    let mut once = ran.clone();
    once.dedup();
    assert_eq!(ran, once, "no hook ran twice");
    let (done, failed): (Vec<_>, Vec<_>) = found.iter().partition(|it| it["state"] == "done");
    assert!(done.len() <= ran.len() && ran.len() <= done.len() + failed.len());
    for it in &failed {
        assert!(it["reason"].as_str().unwrap().contains("isn't known"), "{it}");
    }
}

#[tokio::test]
async fn what_comes_in_is_checked_at_the_door() {
    let place = tempfile::tempdir().unwrap();
    let (program, _) = hook(place.path(), false);
    let config = configuration(place.path(), &sqlite(place.path()), &hook_rule(&program, 1));
    let daemon = daemon(&config).await;
    let url = daemon.url("/webhook/alertmanager");
    let post = |body: Vec<u8>, token: &'static str| {
        let call = client().post(&url).bearer_auth(token).timeout(PATIENCE).body(body);
        async move {
            let answer = call.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    let good = payload(&numbered(1)).to_string();
    assert_eq!(post(good.clone().into(), "wrong-token-of-somebody").await.0, 401);
    assert_eq!(client().post(&url).body(good.clone()).send().await.unwrap().status(), 401);
    assert_eq!(post(good.clone().into(), TOKEN).await, (200, "kept\n".to_owned()));
    for (body, status) in [
        (good.as_bytes()[..good.len() / 2].to_vec(), 400),
        (b"{\"version\":\"5\",\"alerts\":[]}".to_vec(), 400),
        (vec![b'['; 1 << 20], 400),
        (vec![b'x'; (8 << 20) + 1], 413),
        (payload(&[]).to_string().into(), 200),
    ] {
        let (answered, text) = post(body, TOKEN).await;
        assert_eq!(answered, status, "{text}");
        assert!(text.len() < 1_000, "{text}");
    }
    // Labels that try to be something else are only labels.
    let evil = [
        "'; DROP TABLE alerts; --",
        "<script>alert(1)</script>",
        "../../etc/passwd",
        "$(reboot)",
        "\u{0}\u{202e}",
        "*[x](y)",
    ];
    let alerts: Vec<Value> = evil
        .iter()
        .zip(100..)
        .map(|(text, number)| {
            alert(number, "firing", json!({"alertname": "Hook", "number": "7", "source": text, *text: text}))
        })
        .collect();
    assert_eq!(deliver(&daemon, &payload(&alerts)).await.status(), 200);
    let viewer = token(&config, "viewer");
    until("they are there", || async {
        let found = api(&daemon, &viewer, "alerts").await;
        (found["items"].as_array().unwrap().len() == evil.len() + 1).then_some(())
    })
    .await;
    let metrics = daemon.metrics().await;
    assert!(metrics.contains("firedrill_webhook_duration_seconds_count"));
}

#[tokio::test]
async fn from_the_command_line_it_is_explained_listed_decided_and_paused() {
    let place = tempfile::tempdir().unwrap();
    let rules = "[[automation.rules]]\nname = \"again\"\naction = \"reverify\"\nmatchers = [\"alertname = Corrupt\"]\n";
    let config = configuration(place.path(), &sqlite(place.path()), rules);
    let file = place.path().join("payload.json");
    let labels = |item: &str| json!({"alertname": "Corrupt", "source": "cluster", "item": item});
    let all = payload(&[
        alert(1, "firing", labels("qemu/109")),
        alert(2, "firing", labels("qemu/999")),
        alert(3, "firing", json!({"alertname": "Other"})),
    ]);
    std::fs::write(&file, all.to_string()).unwrap();
    let run = |arguments: &[&str]| {
        let output =
            firedrill().arg("automation").args(arguments).args(["--config.file", config.to_str().unwrap()]).output();
        let output = output.unwrap();
        (output.status.code(), stdout(&output) + &stderr(&output))
    };
    let (code, text) = run(&["explain", "--payload", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "again: proposes to verify the newest backup of qemu/109 in cluster to level 3; waits for approval",
        "again: refused: the alert's label item names \"qemu/999\", and cluster has no such item",
        "no rule is about it",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!place.path().join("firedrill.db").exists(), "explaining makes no store");

    let daemon = daemon(&config).await;
    assert_eq!(deliver(&daemon, &all).await.status(), 200);
    let listed = until("it is proposed", || async {
        let (_, text) = run(&["list", "--proposed"]);
        text.contains("proposed").then_some(text)
    })
    .await;
    assert!(listed.contains("qemu/109"), "{listed}");
    assert_eq!(run(&["pause"]).0, Some(0));
    let (code, text) = run(&["approve", "1"]);
    assert!(code == Some(0) && text.contains("when the automation is resumed"), "{text}");
    let (code, text) = run(&["deny", "1"]);
    assert!(code == Some(2) && text.contains("it is scheduled"), "{text}");
    assert_eq!(run(&["approve", "77"]).0, Some(2));
    until("the pause shows", || async {
        daemon.metrics().await.contains("firedrill_automation_paused 1").then_some(())
    })
    .await;
    assert_eq!(run(&["resume"]).0, Some(0));
    until("it is done, with what came of it", || async { run(&["list"]).1.contains("damaged").then_some(()) }).await;
}

/// Asked for from the keyboard, without any rule: the daemon on the same store does it, and the trail says who asked.
#[tokio::test]
async fn what_is_asked_for_from_the_command_line_is_done_by_the_daemon() {
    let place = tempfile::tempdir().unwrap();
    let config = configuration(place.path(), &sqlite(place.path()), "");
    let run = |arguments: &[&str]| {
        let mut command = firedrill();
        command.arg("automation").args(arguments).args(["--config.file", config.to_str().unwrap()]);
        let output = command.env("SUDO_USER", "eve").output().unwrap();
        (output.status.code(), stdout(&output) + &stderr(&output))
    };
    let (code, text) = run(&["request", "rescan", "cluster"]);
    assert!(code == Some(2) && text.contains("the daemon makes it when it starts"), "{text}");
    let daemon = daemon(&config).await;
    daemon.ready().await;
    for wrong in [&["request", "rescan", "other"][..], &["request", "reverify", "cluster", "nonsense"]] {
        assert_eq!(run(wrong).0, Some(2), "{wrong:?}");
    }
    let (code, text) = run(&["request", "reverify", "cluster", "qemu/109", "--level", "2"]);
    assert!(code == Some(0) && text.contains("verify the newest backup of qemu/109 in cluster to level 2"), "{text}");
    assert_eq!(run(&["request", "rescan", "cluster"]).0, Some(0));
    let listed = until("both are done", || async {
        let (_, text) = run(&["list"]);
        (!text.contains("scheduled") && !text.contains("running") && text.contains("done")).then_some(text)
    })
    .await;
    assert!(listed.contains("cli:eve") && listed.contains("scan cluster") && listed.contains("qemu/109"), "{listed}");
}
