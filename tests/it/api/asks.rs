//! What is asked for and said by the API: requests for the automation, words to operations.

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::domain::access::Role;
use firedrill::domain::operation::Frame;
use firedrill::domain::operation::plan::{Plan, Step, Task};
use firedrill::engine::ports::Clock as _;
use firedrill::engine::ports::operations::{NewOperation, OperationStore as _, Planned};
use jiff::SignedDuration;

use super::fakes::{Memory, Served};

#[tokio::test]
async fn what_is_asked_for_is_kept_once_and_names_what_is_there() {
    let served = Served::start(Memory::default(), false).await;
    let operator = served.token(Role::Operator).await;
    let ask = async |path: &str| served.post(&operator, &format!("requests/{path}")).await;
    let (status, first) = ask("rescan?source=nas&request=a").await;
    assert_eq!((status, &first["new"], &first["action"]), (200, &true.into(), &"rescan nas".into()));
    assert_eq!(ask("rescan?source=nas&request=a").await.1["new"], false);
    // Without a name each is another one.
    assert_ne!(ask("rescan?source=nas").await.1["id"], ask("rescan?source=nas").await.1["id"]);
    let (status, verify) = ask("reverify?source=nas&item=qemu%2F100&level=2").await;
    assert_eq!((status, &verify["action"]), (200, &"verify the newest backup of qemu/100 in nas to level 2".into()));
    let (_, listed) = served.get(&operator, "actions?kind=reverify").await;
    assert_eq!(listed["items"][0]["reason"], "asked for by api:operator");
    for (path, status) in [
        ("rescan", 400),
        ("rescan?source=nas&item=qemu/100", 400),
        ("rescan?source=nas&request=", 400),
        ("rescan?source=other", 404),
        ("rescan?source=..%2F..", 400),
        ("reverify?source=nas", 400),
        ("reverify?source=nas&item=nonsense", 400),
        ("reverify?source=nas&item=qemu%2F101", 404),
        ("reverify?source=nas&item=qemu%2F100&level=7", 400),
    ] {
        assert_eq!(ask(path).await.0, status, "{path}");
    }
    let (_, wrong) = ask("reverify?source=nas&item=qemu%2F100&level=9").await;
    assert_eq!(wrong["error"]["message"], "level: must be 1 (present), 2 (decodes to its end) or 3 (complete)");
}

#[tokio::test]
async fn operations_are_shown_with_their_steps_and_hear_the_first_word() {
    let served = Served::start(Memory::default(), false).await;
    let (viewer, operator) = (served.token(Role::Viewer).await, served.token(Role::Operator).await);
    assert_eq!(served.get(&viewer, "operations").await.1["items"], serde_json::json!([]));
    let steps = vec![Step { title: "ask".into(), task: Task::Tell("hello".into()) }];
    let deadline = SystemClock.now() + SignedDuration::from_hours(1);
    let new = NewOperation {
        request: "r".into(),
        kind: "test".into(),
        subject: "vm/100".into(),
        title: "move <it>\u{202e}".into(),
        by: "cli:me".into(),
        frame: Frame { plan: Plan::new(steps).unwrap(), dry_run: false, deadline },
    };
    let Planned::New(id) = served.store.plan(&new, SystemClock.now()).await.unwrap() else { panic!() };
    let (_, all) = served.get(&viewer, "operations?open=true").await;
    let it = &all["items"][0];
    assert_eq!((&it["state"], &it["subject"], &it["steps"]), (&"planned".into(), &"vm/100".into(), &1.into()));
    assert!(!it["title"].as_str().unwrap().contains('\u{202e}'), "{it}");
    let (status, one) = served.get(&viewer, &format!("operations/{id}")).await;
    assert_eq!(
        (status, &one["sentence"], &one["log"]),
        (200, &"Planned: 1 steps, none begun.".into(), &serde_json::json!([]))
    );
    let say = async |word: &str| served.post(&operator, &format!("operations/{id}/{word}")).await;
    let (status, refused) = say("confirm").await;
    assert_eq!((status, &refused["error"]["code"]), (409, &"conflict".into()));
    assert_eq!(say("cancel").await.0, 200);
    assert_eq!(say("cancel").await.0, 409, "the first word counts");
    assert_eq!(served.post(&operator, "operations/4711/deny").await.0, 404);
}
