//! The API: who may do what, the shape of errors, lists in parts, tokens of the real binary.

mod asks;
mod certificates;
mod fakes;
mod tokens;

use firedrill::domain::access::Role;
use firedrill::domain::automation::record::ActionState;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use self::fakes::{Memory, Served, filled};
use crate::support::{client, run};

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let path = answer.url().path().to_owned();
    assert_eq!(answer.headers()["cache-control"], "no-store", "{path}");
    assert_eq!(answer.headers()["content-type"], "application/json", "{path}");
    let challenged = answer.headers().contains_key("www-authenticate");
    assert_eq!(challenged, status == StatusCode::UNAUTHORIZED, "{path}");
    assert_eq!(answer.headers().contains_key("retry-after"), status == StatusCode::SERVICE_UNAVAILABLE, "{path}");
    let body: Value = answer.json().await.unwrap();
    if !status.is_success() {
        let error = body["error"].as_object().unwrap_or_else(|| panic!("{path}: {body}"));
        assert!(error["code"].is_string() && error["message"].as_str().unwrap().len() > 10, "{path}: {body}");
    }
    (status.as_u16(), body)
}

impl Served {
    async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        answer(client().get(self.url(&format!("/api/v1/{path}"))).bearer_auth(token)).await
    }

    async fn post(&self, token: &str, path: &str) -> (u16, Value) {
        answer(client().post(self.url(&format!("/api/v1/{path}"))).bearer_auth(token)).await
    }
}

/// Method and path of everything in the document.
async fn operations(served: &Served) -> Vec<(Method, String)> {
    let document: Value = client().get(served.url("/api/openapi.json")).send().await.unwrap().json().await.unwrap();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            found.push((method.to_uppercase().parse().unwrap(), path.replace("{id}", "99")));
        }
    }
    assert!(found.len() >= 12);
    found
}

#[tokio::test]
async fn every_route_asks_for_its_role() {
    let served = Served::start(filled(), false).await;
    let mut callers = vec![(None, None), (None, Some("fdt_wrong".to_owned()))];
    for role in Role::ALL {
        callers.push((Some(role), Some(served.token(role).await)));
    }
    for (method, path) in operations(&served).await {
        let needed = if method == Method::GET { Role::Viewer } else { Role::Operator };
        for (role, token) in &callers {
            let mut request = client().request(method.clone(), served.url(&path));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let (status, _) = answer(request).await;
            let fits = match role {
                None => status == 401,
                Some(role) if *role < needed => status == 403,
                // There is no action 99, and what is asked for has to be named.
                Some(_) if path.contains("99") => status == 404,
                Some(_) if path.contains("/requests/") => status == 400,
                Some(_) => status == 200,
            };
            assert!(fits, "{method} {path} as {role:?}: {status}");
        }
    }
}

#[tokio::test]
async fn a_decision_counts_once() {
    let served = Served::start(filled(), false).await;
    let operator = served.token(Role::Operator).await;
    let (status, body) = served.post(&operator, "actions/1/approve").await;
    assert_eq!((status, body["state"].as_str()), (200, Some("scheduled")));
    let (status, body) = served.post(&operator, "actions/1/deny").await;
    assert_eq!((status, body["error"]["state"].as_str()), (409, Some("scheduled")));
    assert_eq!(body["error"]["code"], "too_late");
    assert_eq!(served.post(&operator, "actions/2/deny").await.1["state"], "denied");
    let (_, one) = served.get(&operator, "actions/1").await;
    assert_eq!((&one["decided_by"], &one["audit"][0]["actor"]), (&"api:operator".into(), &"api:operator".into()));
    assert!(one["action"].as_str().unwrap().starts_with("run /usr/local/bin/restart-backup"));

    assert_eq!(served.get(&operator, "automation").await.1["paused"], false);
    let (_, paused) = served.post(&operator, "automation/pause").await;
    assert_eq!((&paused["paused"], &paused["by"]), (&true.into(), &"api:operator".into()));
    assert_eq!(served.post(&operator, "automation/resume").await.1["paused"], false);
}

#[tokio::test]
async fn lists_come_in_parts_and_filtered() {
    let served = Served::start(filled(), false).await;
    let viewer = served.token(Role::Viewer).await;
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let (_, part) = served.get(&viewer, &format!("actions?limit=5{next}")).await;
        seen.extend(part["items"].as_array().unwrap().iter().map(|it| it["id"].as_i64().unwrap()));
        match part["next"].as_i64() {
            Some(before) => next = format!("&before={before}"),
            None => break,
        }
    }
    assert_eq!(seen, (1..=ActionState::ALL.len() as i64 + 2).rev().collect::<Vec<_>>());
    let count = async |path: &str| served.get(&viewer, path).await.1["items"].as_array().unwrap().len();
    assert_eq!(count("actions?state=proposed").await, 3);
    assert_eq!(count("actions?state=proposed&state=done").await, 4);
    assert_eq!(count("actions?kind=hook").await, 1);
    assert_eq!(count("actions?source=nas&item=qemu%2F100").await, 1);
    assert_eq!(count("alerts?status=firing").await, 2);
    assert_eq!(count("audit?action=1").await, 1);
}

#[tokio::test]
async fn every_failure_has_the_same_shape() {
    let served = Served::start(filled(), false).await;
    let viewer = served.token(Role::Viewer).await;
    let bad = [
        "actions?limit=0",
        "actions?limit=501",
        "actions?before=-1",
        "actions?state=bad",
        "actions?kind=",
        "actions?source=a%20b",
        "actions?item=qemu/1",
        "actions?item=dump/%00",
        "actions?limit=1&limit=2",
        "actions?nonsense=1",
        "actions/abc",
        "actions/0",
        "actions/99999999999999999999",
        "actions/%ff",
        "alerts?status=pending",
        "audit?action=x",
        "items?state=good",
        "me?x=1",
    ];
    for path in bad {
        assert_eq!(served.get(&viewer, path).await.0, 400, "{path}");
    }
    let (_, named) = served.get(&viewer, "actions?kind=coffee").await;
    assert_eq!(named["error"]["message"], "kind: must be one of hook, notify, rescan, reverify, silence");
    assert_eq!(served.get(&viewer, "nonsense").await.0, 404);
    assert_eq!(answer(client().get(served.url("/api/v1/nonsense"))).await.0, 401);
    assert_eq!(answer(client().get(served.url("/api/nonsense"))).await.0, 404);
    for path in ["/api/", "/api/v1", "/api/v1/", "/api/v2/actions"] {
        assert_eq!(answer(client().get(served.url(path))).await.0, 404, "{path}");
    }
    for (method, path) in
        [(Method::DELETE, "/api/v1/actions"), (Method::POST, "/api/v1/me"), (Method::PUT, "/api/v1/automation/pause")]
    {
        let request = || client().request(method.clone(), served.url(path)).bearer_auth(&viewer);
        assert_eq!(answer(request()).await.0, 405, "{path}");
        assert!(request().send().await.unwrap().headers().contains_key("allow"), "{path}");
    }
    let large = client().post(served.url("/api/v1/automation/pause")).bearer_auth(&viewer).body("x".repeat(100_000));
    assert_eq!(answer(large).await.0, 413);
    *served.memory.down.lock().unwrap() = true;
    for path in ["actions", "actions/1", "alerts", "audit", "automation"] {
        assert_eq!(served.get(&viewer, path).await.0, 503, "{path}");
    }
    assert_eq!(served.get(&viewer, "me").await.0, 200, "who was known a moment ago is known");
}

#[tokio::test]
async fn other_sites_can_not_act_with_a_browsers_password() {
    let served = Served::start(filled(), true).await;
    let post = |user: &str| client().post(served.url("/api/v1/actions/1/approve")).basic_auth(user, Some("secret"));
    let json = |request: RequestBuilder| request.header("content-type", "application/json").body("{}");
    assert_eq!(answer(post("alice").header("content-type", "text/plain")).await.0, 415);
    assert_eq!(answer(json(post("alice")).header("origin", "https://evil.example")).await.0, 403);
    assert_eq!(answer(json(post("alice")).header("sec-fetch-site", "cross-site")).await.0, 403);
    assert_eq!(answer(json(post("bob"))).await.0, 403, "a viewer");
    assert_eq!(served.memory.actions.lock().unwrap()[0].state, ActionState::Proposed);
    let own = format!("http://{}", served.address);
    assert_eq!(answer(json(post("alice")).header("origin", own).header("sec-fetch-site", "same-origin")).await.0, 200);
    assert_eq!(served.memory.actions.lock().unwrap()[0].decided_by.as_deref(), Some("api:alice"));
}

#[tokio::test]
async fn alerts_come_in_from_those_who_may_deliver_them() {
    let served = Served::start(Memory::default(), true).await;
    let (viewer, operator) = (served.token(Role::Viewer).await, served.token(Role::Operator).await);
    let large = "x".repeat(200_000);
    let request = || client().post(served.url("/webhook/alertmanager")).body(large.clone());
    let json = || request().header("content-type", "application/json");
    let status = async |request: RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(request().bearer_auth("the-token-of-alertmanager")).await, 200);
    assert_eq!(status(request().bearer_auth(&operator)).await, 200);
    assert_eq!(status(json().basic_auth("carol", Some("secret"))).await, 200);
    assert_eq!(status(json().basic_auth("alice", Some("secret"))).await, 403);
    assert_eq!(status(request().bearer_auth(&viewer)).await, 403);
    assert_eq!(status(request().bearer_auth("the-token-of-alertmanagers")).await, 401);
    let (status, body) = answer(request()).await;
    assert_eq!(status, 401);
    assert!(body["error"]["message"].as_str().unwrap().contains("webhook.token"), "{body}");
    let (status, _) = answer(client().get(served.url("/api/v1/me")).bearer_auth("the-token-of-alertmanager")).await;
    assert_eq!(status, 401, "it opens that door only");
}

#[tokio::test]
async fn where_there_are_users_a_token_sees_the_pages_too() {
    let served = Served::start(Memory::default(), true).await;
    let viewer = served.token(Role::Viewer).await;
    for path in ["/", "/metrics", "/health", "/-/healthy"] {
        let get = || client().get(served.url(path));
        let status = async |request: RequestBuilder| request.send().await.unwrap().status().as_u16();
        assert_eq!(status(get()).await, 401, "{path}");
        assert_eq!(status(get().bearer_auth("fdt_no")).await, 401, "{path}");
        assert_eq!(status(get().bearer_auth(&viewer)).await, 200, "{path}");
        assert_eq!(status(get().basic_auth("bob", Some("secret"))).await, 200, "{path}");
    }
    for path in ["/actions", "/api"] {
        let answer = client().get(served.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
        let text = answer.text().await.unwrap();
        assert!(!text.contains("http://") || path == "/api", "{path} loads nothing from elsewhere");
        assert!(!text.contains("src="), "{path}");
    }
}

/// `scripts/install-test-tools` puts schemathesis where it is looked for.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_tells_the_truth() {
    let own = crate::support::repository("target/python/bin/schemathesis");
    let program = if own.exists() { own.into_os_string() } else { "schemathesis".into() };
    let served = Served::start(filled(), false).await;
    let token = served.token(Role::Operator).await;
    let mut command = tokio::process::Command::new(program);
    command
        .args(["run", "--checks"])
        .arg("not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance")
        .args(["--max-examples", "40", "--generation-deterministic", "--phases", "examples,coverage,fuzzing"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .arg(served.url("/api/openapi.json"))
        .current_dir(std::env::temp_dir())
        .kill_on_drop(true);
    let output = tokio::time::timeout(std::time::Duration::from_secs(120), command.output());
    let output = output.await.expect("schemathesis ends in time").expect("schemathesis is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Serves the pages on actions in memory, to look at them: `cargo test --test it -- --ignored look_at`.
#[tokio::test]
#[ignore = "serves until it is stopped"]
async fn look_at_the_pages() {
    let address = std::env::var("LOOK_AT").unwrap_or_else(|_| "127.0.0.1:10043".to_owned());
    let served = Served::on(&address, filled(), false).await;
    println!("{} token {}", served.url("/actions"), served.token(Role::Operator).await);
    std::future::pending::<()>().await;
}
