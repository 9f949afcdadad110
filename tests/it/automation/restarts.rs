//! What becomes of an alert when a real Prometheus and a real Alertmanager are started anew, or stand still for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use super::*;

/// Something that has a problem or not, and a Prometheus that looks at it every second.
struct Problem {
    lasts: Arc<AtomicBool>,
    target: SocketAddr,
}

impl Problem {
    async fn begin() -> Self {
        let lasts = Arc::new(AtomicBool::new(true));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap();
        let shown = lasts.clone();
        let answer = move || {
            let lasts = u8::from(shown.load(Ordering::SeqCst));
            std::future::ready(([("content-type", "text/plain; version=0.0.4")], format!("problem {lasts}\n")))
        };
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { lasts, target }
    }

    /// A Prometheus that knows nothing of the past. Its alerts are over four seconds after it was heard of last.
    async fn watched(&self, alertmanager: SocketAddr) -> (Running, tempfile::TempDir) {
        let place = tempfile::tempdir().unwrap();
        let rules = "groups:\n  - name: g\n    rules:\n      - alert: FiredrillProblem\n        expr: problem == 1\n        \
                     labels: {source: cluster, severity: warning}\n        annotations: {summary: there is a problem}\n";
        std::fs::write(place.path().join("g.rules.yml"), rules).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nalerting: {{alertmanagers: [{{static_configs: [{{targets: [\"{alertmanager}\"]}}]}}]}}\n\
             rule_files: [\"*.rules.yml\"]\nscrape_configs:\n  - job_name: problem\n    static_configs: [{{targets: [\"{}\"], labels: {{instance: a}}}}]\n",
            self.target
        );
        std::fs::write(place.path().join("prometheus.yml"), config).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", place.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", place.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", free_port()))
            .arg("--rules.alert.resend-delay=1s")
            .stdout(Stdio::null());
        (Running::start(command), place)
    }
}

/// When the alert began, as Alertmanager knows it; `None` while it knows nothing.
async fn start_of(alertmanager: &Alertmanager) -> Option<String> {
    let text = get(&format!("http://{}/api/v2/alerts", alertmanager.address)).await?.1;
    let alerts: Value = serde_json::from_str(&text).ok()?;
    Some(alerts.as_array()?.iter().find(|it| it["status"]["state"] == "active")?["startsAt"].as_str()?.to_owned())
}

fn rules(telegram: &str) -> String {
    format!(
        r#"
[automation]
reopen_after = "2s"

[[automation.rules]]
name = "asks"
action = "rescan"
matchers = ["alertname = FiredrillProblem"]

[[automation.rules]]
name = "tell"
action = "notify"
matchers = ["alertname = FiredrillProblem"]
mode = "execute"

[notify]
backups = false
digest_wait = "0s"

[[notify.receivers]]
name = "phone"
type = "telegram"
token = "12345:secret-of-the-bot"
chat_id = -100123
api_url = "{telegram}"
"#
    )
}

/// Everything around one alert that fires.
struct Scene {
    alertmanager: Alertmanager,
    problem: Problem,
    prometheus: (Running, tempfile::TempDir),
    daemon: Daemon,
    viewer: String,
    telegram: StandIn,
    _place: tempfile::TempDir,
}

impl Scene {
    async fn begin() -> Self {
        let place = tempfile::tempdir().unwrap();
        let (telegram, url) = StandIn::start(&[]).await;
        let config = configuration(place.path(), &sqlite(place.path()), &rules(&url));
        let daemon = daemon(&config).await;
        let alertmanager = Alertmanager::start(&daemon.url("/webhook/alertmanager"), free_port(), None).await;
        let problem = Problem::begin().await;
        let prometheus = problem.watched(alertmanager.address).await;
        let viewer = token(&config, "viewer");
        Self { alertmanager, problem, prometheus, daemon, viewer, telegram, _place: place }
    }

    /// Actions by rule and state, newest first.
    async fn actions(&self) -> Vec<(String, String)> {
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        let found = api(&self.daemon, &self.viewer, "actions").await;
        found["items"].as_array().unwrap().iter().map(|it| (text(&it["rule"]), text(&it["state"]))).collect()
    }

    async fn until_actions(&self, wanted: &[(&str, &str)]) {
        until(&format!("{wanted:?}"), || async {
            let found = self.actions().await;
            let mut found: Vec<(&str, &str)> = found.iter().map(|(rule, state)| (&**rule, &**state)).collect();
            let mut wanted = wanted.to_vec();
            found.sort_unstable();
            wanted.sort_unstable();
            (found == wanted).then_some(())
        })
        .await;
    }

    /// What people were told of the alert, in order.
    fn told(&self) -> Vec<&'static str> {
        let heard = self.telegram.heard();
        let of_alert = heard.iter().filter(|it| it.body.contains("there is a problem") && !it.body.contains("Approve"));
        of_alert.map(|it| if it.body.contains("RECOVERED") { "over" } else { "fires" }).collect()
    }

    async fn until_told(&self, wanted: &[&str]) {
        until(&format!("{wanted:?} is told"), || async { (self.told() == wanted).then_some(()) }).await;
    }
}

#[tokio::test]
async fn both_started_anew_an_end_with_another_start_takes_back_the_proposal() {
    let mut scene = Scene::begin().await;
    scene.until_actions(&[("asks", "proposed"), ("tell", "done")]).await;
    scene.until_told(&["fires"]).await;
    let before = start_of(&scene.alertmanager).await.unwrap();
    // Prometheus forgets when it began, Alertmanager the alert itself, but not that it has told of it.
    scene.prometheus.0.stop();
    scene.alertmanager = scene.alertmanager.restart().await;
    scene.prometheus = scene.problem.watched(scene.alertmanager.address).await;
    let after = until("it fires again", || async { start_of(&scene.alertmanager).await }).await;
    assert_ne!(before, after, "with another start");
    scene.problem.lasts.store(false, Ordering::SeqCst);
    scene.until_actions(&[("asks", "cancelled"), ("tell", "done")]).await;
    scene.until_told(&["fires", "over"]).await;
    let open = api(&scene.daemon, &scene.viewer, "alerts?status=firing").await;
    assert_eq!(open["items"], json!([]));
}

#[tokio::test]
async fn an_alert_that_was_over_only_because_prometheus_stood_still_is_told_again() {
    let scene = Scene::begin().await;
    scene.until_told(&["fires"]).await;
    let before = start_of(&scene.alertmanager).await.unwrap();
    scene.prometheus.0.signal(Signal::STOP);
    scene.until_told(&["fires", "over"]).await;
    scene.until_actions(&[("asks", "cancelled"), ("tell", "done")]).await;
    scene.prometheus.0.signal(Signal::CONT);
    scene.until_told(&["fires", "over", "fires"]).await;
    assert_eq!(start_of(&scene.alertmanager).await.unwrap(), before, "with the same start");
    // Nothing was done a moment ago, so that no cooldown holds.
    scene.until_actions(&[("asks", "proposed"), ("asks", "cancelled"), ("tell", "done"), ("tell", "done")]).await;
    let open = api(&scene.daemon, &scene.viewer, "alerts?status=firing").await;
    let open = &open["items"][0];
    assert_eq!((&open["occurrence"], &open["reopened"]), (&json!(2), &json!(true)));
    let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time(open["starts_at"].as_str().unwrap()), time(&before));
    until("it is counted", || async {
        let text = scene.daemon.metrics().await;
        text.contains("firedrill_alerts_heard_total{meaning=\"reopened\"} 1\n").then_some(())
    })
    .await;
    scene.problem.lasts.store(false, Ordering::SeqCst);
    scene.until_told(&["fires", "over", "fires", "over"]).await;
    scene.until_actions(&[("asks", "cancelled"), ("asks", "cancelled"), ("tell", "done"), ("tell", "done")]).await;
}

#[tokio::test]
async fn what_comes_in_one_notification_is_heard_in_order_and_explained() {
    let place = tempfile::tempdir().unwrap();
    let rules = "[[automation.rules]]\nname = \"again\"\naction = \"rescan\"\nmatchers = [\"alertname = Old\"]\n";
    let config = configuration(place.path(), &sqlite(place.path()), rules);
    let daemon = daemon(&config).await;
    let told = |status: &str, start: &str, end: &str| {
        let mut it = alert(1, status, json!({"alertname": "Old", "source": "cluster"}));
        it["startsAt"] = json!(format!("2026-11-21T{start}:00Z"));
        it["endsAt"] = json!(format!("2026-11-21T{end}:00Z"));
        it
    };
    let file = place.path().join("payload.json");
    let explain = |told: &Value| {
        std::fs::write(&file, payload(std::slice::from_ref(told)).to_string()).unwrap();
        let arguments = ["automation", "explain", "--payload", file.to_str().unwrap(), "--config.file"];
        let output = firedrill().args(arguments).arg(&config).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let first = told("firing", "03:00", "03:00");
    assert!(explain(&first).contains("): begins\n  again: proposes to rescan cluster"), "{}", explain(&first));
    assert_eq!(deliver(&daemon, &payload(std::slice::from_ref(&first))).await.status(), 200);
    // It is over, and began again since; written the other way round.
    let again = [told("firing", "04:10", "04:10"), told("resolved", "03:00", "04:00")];
    assert_eq!(deliver(&daemon, &payload(&again)).await.status(), 200);
    let viewer = token(&config, "viewer");
    let found = until("the first is cancelled, and it is asked again", || async {
        let found = api(&daemon, &viewer, "actions").await["items"].as_array().unwrap().clone();
        let states: Vec<&str> = found.iter().map(|it| it["state"].as_str().unwrap()).collect();
        (states == ["proposed", "cancelled"]).then_some(found)
    })
    .await;
    assert_ne!(found[0]["alert"], found[1]["alert"]);
    let text = explain(&told("firing", "03:30", "03:30"));
    assert!(text.contains("is what began at 2026-11-21T04:10:00Z, with another start"), "{text}");
    assert!(text.contains("was decided before: nothing more comes of it"), "{text}");
    let text = explain(&told("resolved", "03:00", "04:00"));
    assert!(text.contains("is an end that was told before\n  nothing follows"), "{text}");
    let end = told("resolved", "04:10", "05:00");
    assert!(explain(&end).contains("ends what began at 2026-11-21T04:10:00Z"), "{}", explain(&end));
    assert_eq!(deliver(&daemon, &payload(&[end])).await.status(), 200);
    let text = explain(&first);
    assert!(text.contains("is over; told to fire after that for time 1 of 3\n  nothing follows"), "{text}");
    until("nothing waits any more", || async {
        let found = api(&daemon, &viewer, "actions?state=proposed").await;
        found["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
}
