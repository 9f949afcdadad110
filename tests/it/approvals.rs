//! Presses of Approve and Deny in Telegram, against a stand-in of its API.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::Uri;
use firedrill::adapters::machine::clock::SystemClock;
use firedrill::adapters::messengers::telegram::approvals::Approvals;
use firedrill::adapters::messengers::telegram::{Settings, Telegram};
use firedrill::domain::automation::action::{Action, rescan};
use firedrill::domain::automation::alert::{KeptAlert, Status};
use firedrill::domain::automation::record::{self, AuditLine, Pause, Record, Ruled, Ruling};
use firedrill::domain::secret::Secret;
use firedrill::engine::ports::StoreError;
use firedrill::engine::ports::automation::{ActionFilter, ActionStore, Page};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{client, until};

/// Remembers rulings; the first on an action counts.
#[derive(Default)]
struct Actions(Mutex<Vec<Ruling>>);

fn nothing<T: Send + 'static>() -> BoxFuture<'static, Result<T, StoreError>> {
    Box::pin(async { Err(StoreError { message: "not asked here".to_owned() }) })
}

impl ActionStore for Actions {
    fn actions<'a>(&'a self, _: &'a ActionFilter, _: Page) -> BoxFuture<'a, Result<Vec<Record>, StoreError>> {
        nothing()
    }

    fn action(&self, id: i64) -> BoxFuture<'_, Result<Option<Record>, StoreError>> {
        let record = Record {
            id,
            alert: None,
            rule: "look".into(),
            action: Action::Rescan(rescan::Rescan { source: "pve".parse().unwrap() }),
            state: record::ActionState::Proposed,
            reason: "".into(),
            created: Timestamp::UNIX_EPOCH,
            not_before: Timestamp::UNIX_EPOCH,
            expires: None,
            decided_by: None,
            decided_at: None,
            started: None,
            ended: None,
            result: None,
            output: None,
        };
        Box::pin(async move { Ok(Some(record)) })
    }

    fn alerts(&self, _: Option<Status>, _: Page) -> BoxFuture<'_, Result<Vec<KeptAlert>, StoreError>> {
        nothing()
    }

    fn audit(&self, _: Option<i64>, _: Page) -> BoxFuture<'_, Result<Vec<AuditLine>, StoreError>> {
        nothing()
    }

    fn rule<'a>(&'a self, ruling: &'a Ruling) -> BoxFuture<'a, Result<Ruled, StoreError>> {
        let mut known = self.0.lock().unwrap();
        let ruled = match known.iter().find(|it| it.action == ruling.action) {
            Some(_) => Ruled::TooLate(record::ActionState::Scheduled),
            None => Ruled::Taken(record::ActionState::Scheduled),
        };
        known.push(ruling.clone());
        Box::pin(async move { Ok(ruled) })
    }

    fn paused(&self) -> BoxFuture<'_, Result<Option<Pause>, StoreError>> {
        nothing()
    }

    fn set_paused<'a>(&'a self, _: bool, _: &'a Arc<str>, _: Timestamp) -> BoxFuture<'a, Result<bool, StoreError>> {
        nothing()
    }
}

/// Calls of the API but for polls, and the polls' offsets.
#[derive(Clone, Default)]
struct Api {
    calls: Arc<Mutex<Vec<(String, Value)>>>,
    offsets: Arc<Mutex<Vec<i64>>>,
}

fn press(update: i64, user: i64, chat: i64, data: &str) -> Value {
    json!({ "update_id": update, "callback_query": {
        "id": format!("q{update}"), "from": { "id": user }, "data": data,
        "message": { "message_id": 7, "chat": { "id": chat } },
    } })
}

fn sealed(question: &str) -> String {
    blake3::hash(question.as_bytes()).to_hex()[..16].to_owned()
}

async fn answer(State(api): State<Api>, uri: Uri, body: Bytes) -> String {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let method = uri.path().rsplit('/').next().unwrap().to_owned();
    if method != "getUpdates" {
        api.calls.lock().unwrap().push((method, body));
        return json!({ "ok": true, "result": true }).to_string();
    }
    let offset = body["offset"].as_i64().unwrap();
    let first = {
        let mut offsets = api.offsets.lock().unwrap();
        offsets.push(offset);
        offsets.len() == 1
    };
    if first {
        return json!({ "ok": true, "result": [
            press(40, 1, -100, &format!("fd:a:17:{}", sealed("Approve? rescan pve"))),
            press(41, 1, -100, &format!("fd:d:17:{}", sealed("Approve? rescan pve"))),
            // Made for another action, in another store; and by a version that didn't say for which.
            press(45, 1, -100, &format!("fd:a:19:{}", sealed("Approve? run /bin/x"))),
            press(46, 1, -100, "fd:a:19"),
            // Neither this user nor that chat may rule.
            press(42, 2, -100, "fd:a:18"),
            press(43, 1, -999, "fd:a:18"),
            json!({ "update_id": 47, "odd": true }),
        ] })
        .to_string();
    }
    std::future::pending().await
}

#[tokio::test]
async fn presses_are_ruled_on_once_and_only_by_those_who_may() {
    let _ = client();
    let api = Api::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(api.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let settings =
        Settings { api_url, token: Secret::from("1:x".to_owned()), chat: "-100".into(), thread: None, approvals: true };
    let actions = Arc::new(Actions::default());
    let approvals = Approvals {
        telegram: Arc::new(Telegram::new(settings).unwrap()),
        allowed_users: vec![1],
        actions: actions.clone(),
        clock: Arc::new(SystemClock),
    };
    let polling = tokio::spawn(approvals.run());
    until("the next poll", || async { api.offsets.lock().unwrap().get(1).copied() }).await;
    polling.abort();
    assert_eq!(*api.offsets.lock().unwrap(), [0, 48]);
    let rulings: Vec<(i64, bool, String)> =
        actions.0.lock().unwrap().iter().map(|it| (it.action, it.approve, it.by.to_string())).collect();
    assert_eq!(rulings, [(17, true, "telegram:1".to_owned()), (17, false, "telegram:1".to_owned())]);
    let calls = api.calls.lock().unwrap().clone();
    let said: Vec<&str> = calls.iter().filter_map(|(_, body)| body["text"].as_str()).collect();
    assert_eq!(
        said,
        [
            "Action 17 is scheduled by you.",
            "Too late: action 17 is scheduled already.",
            "This was asked of another action: look at /actions.",
            "This was asked of another action: look at /actions.",
            "You may not rule on this.",
            "You may not rule on this.",
        ]
    );
    let edits = calls.iter().filter(|(method, _)| method == "editMessageReplyMarkup").count();
    assert_eq!(edits, 2);
}
