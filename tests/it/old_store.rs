//! A store that the code of before left behind, killed in the middle of its work, is brought up to date: nothing is lost and
//! nothing is done twice. The answers of the binary of then are the oracle (tests/fixtures/stores).

use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _};

use crate::store::Where;
use crate::support::{Daemon, client, repository, until};

/// As when the store was written.
const WEBHOOK: &str = "before-before-before";

/// The rules of then that matter for what is open or would be done again.
const RULES: &str = r#"
[automation]
mode = "execute"
max_actions = 20

[[automation.rules]]
name = "verify"
action = "reverify"
matchers = ["alertname = Corrupt"]
cooldown = "1m"

[[automation.rules]]
name = "look"
action = "rescan"
matchers = ["alertname = Unknown"]
mode = "propose"

[[automation.rules]]
name = "script"
action = "hook"
matchers = ["alertname = Full"]
command = ["/bin/sh", "-c", "echo made room"]

[[automation.rules]]
name = "long"
action = "hook"
matchers = ["alertname = Long"]
command = ["/bin/sleep", "600"]
timeout = "1h"
"#;

/// States of actions in which something may still become of them.
const OPEN: [&str; 3] = ["proposed", "running", "scheduled"];

struct Before {
    kind: &'static str,
}

impl Before {
    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(repository(&format!("tests/fixtures/stores/{}.{file}", self.kind))).unwrap()
    }

    /// What the binary of then answered.
    fn answer(&self, what: &str) -> Vec<Value> {
        let answer: Value = serde_json::from_str(&self.text(&format!("{what}.json"))).unwrap();
        answer["items"].as_array().unwrap().clone()
    }

    async fn load(&self, place: &Where) {
        sqlx::any::install_default_drivers();
        let url = if self.kind == "sqlite" { format!("{}?mode=rwc", place.url()) } else { place.url() };
        let mut connection = AnyConnection::connect(&url).await.unwrap();
        // Of one statement after the other, and not of one that returns nothing: as the dump tools mean it.
        sqlx::raw_sql(sqlx::AssertSqlSafe(self.text("sql"))).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

/// Whether everything that was said before is said now; more may be.
fn holds(now: &Value, before: &Value) -> bool {
    match (now, before) {
        (Value::Object(now), Value::Object(before)) => {
            before.iter().all(|(key, value)| now.get(key).is_some_and(|it| holds(it, value)))
        }
        _ => now == before,
    }
}

async fn ask(daemon: &Daemon, token: &str, what: &str) -> Vec<Value> {
    let url = daemon.url(&format!("/api/v1/{what}?limit=500"));
    let answer = client().get(url).bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.status(), 200, "the token of before is still good");
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    answer["items"].as_array().unwrap().clone()
}

/// The alerts of before as Alertmanager would tell them to one more receiver: each is decided on again.
async fn tell_again(daemon: &Daemon, alerts: &[Value]) {
    for alert in alerts.iter().filter(|it| it["status"] == "firing") {
        let body = json!({
            "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "third",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am/",
            "alerts": [{
                "status": "firing", "labels": alert["labels"], "annotations": alert["annotations"],
                "startsAt": alert["starts_at"], "endsAt": "0001-01-01T00:00:00Z", "generatorURL": alert["generator_url"],
                "fingerprint": alert["fingerprint"],
            }],
        });
        let request = client().post(daemon.url("/webhook/alertmanager")).bearer_auth(WEBHOOK);
        let request = request.header("content-type", "application/json").body(body.to_string());
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
}

async fn nothing_is_lost(kind: &'static str, place: Where) {
    let before = Before { kind };
    before.load(&place).await;
    let token = before.text("token");
    let token = token.trim();
    let directory = tempfile::tempdir().unwrap();
    let estate = directory.path().display();
    let config = directory.path().join("firedrill.toml");
    let text = format!(
        "[store]\nurl = \"{}\"\nretention = \"36500d\"\n[webhook]\ntoken = \"{WEBHOOK}\"\n{RULES}\n\
         [[vzdump]]\nname = \"cluster\"\nroots = [{{ path = \"{estate}\" }}]\n\
         [[dump]]\nname = \"databases\"\nroots = [{{ path = \"{estate}\" }}]\npatterns = [{{ pattern = \"{{db}}-{{time}}.dump\" }}]\n",
        place.url()
    );
    std::fs::write(&config, text).unwrap();
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    daemon.ready().await;

    // Who was doing it is gone: the lease ends, the hook failed, whatever it did; the rescan is done by this one.
    let then = before.answer("actions");
    let now = until("what ran is decided again", || async {
        let now = ask(&daemon, token, "actions").await;
        (!now.iter().any(|it| it["state"] == "running" && it["kind"] == "hook")).then_some(now)
    })
    .await;
    assert_eq!(now.len(), then.len(), "no action is lost, and none begins: {now:#?}");
    for (now, then) in now.iter().zip(&then) {
        if OPEN.contains(&then["state"].as_str().unwrap()) {
            for key in ["id", "alert", "rule", "kind", "action", "source", "item", "created"] {
                assert_eq!(now[key], then[key], "{key} of {then}");
            }
            let may: &[&str] = match (then["state"].as_str(), then["kind"].as_str()) {
                // Its time was up a day after it was written.
                (Some("proposed"), _) => &["proposed", "expired"],
                // Nobody knows what it did.
                (_, Some("hook")) => &["failed"],
                _ => &["done", "running", "scheduled"],
            };
            assert!(may.contains(&now["state"].as_str().unwrap()), "{now}");
        } else {
            assert!(holds(now, then), "{now} was {then}");
        }
    }
    let (alerts, then) = (ask(&daemon, token, "alerts").await, before.answer("alerts"));
    assert_eq!(alerts.len(), then.len());
    alerts.iter().zip(&then).for_each(|(now, then)| assert!(holds(now, then), "{now} was {then}"));
    let (audit, then) = (ask(&daemon, token, "audit").await, before.answer("audit"));
    let old = &audit[audit.len() - then.len()..];
    old.iter().zip(&then).for_each(|(now, then)| assert!(holds(now, then), "{now} was {then}"));

    // Told again, none of it is done again: each intent of before is known by its key.
    tell_again(&daemon, &alerts).await;
    until("what was told again is decided on", || async {
        let text = daemon.metrics().await;
        let duplicates = text.lines().filter(|it| it.contains("result=\"duplicate\"") && !it.ends_with(" 0")).count();
        (duplicates > 0 || ask(&daemon, token, "actions").await.len() > now.len()).then_some(())
    })
    .await;
    assert_eq!(ask(&daemon, token, "actions").await.len(), now.len(), "nothing is done a second time");
    daemon.process.stop();
}

#[tokio::test]
async fn nothing_of_a_store_of_before_is_lost() {
    nothing_is_lost("sqlite", Where::sqlite()).await;
}

#[tokio::test]
async fn nothing_of_a_store_of_before_is_lost_on_postgresql() {
    nothing_is_lost("postgres", Where::postgres()).await;
}
