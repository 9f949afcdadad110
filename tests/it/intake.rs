//! The webhook when the store can't: nothing that was answered with 200 is lost, and who sends hears what would help.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::adapters::store::{Place, Store};
use firedrill::domain::automation::occurrence::{Bounds, Tidings};
use firedrill::engine::intake::{self, Outlet};
use firedrill::engine::ports::StoreError;
use firedrill::engine::ports::automation::{ActionStore as _, Page};
use firedrill::engine::ports::ledger::{Ledger, Received, Turn};
use firedrill::http::webhook;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{client, until};

/// The webhook over a ledger, without the gate in front of it.
async fn serve(ledger: Arc<dyn Ledger>) -> SocketAddr {
    let bounds = Bounds { reopen_after: Duration::from_secs(600), lost_after: Duration::from_secs(86_400) };
    let outlet = Outlet { ledger, clock: Arc::new(SystemClock), wake: Arc::new(Notify::new()), bounds };
    let (intake, writer) = intake::new(outlet);
    tokio::spawn(writer.run());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router: axum::Router = webhook::router(Some(intake));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Notifications about different alerts: `size` of them, each with `padding` bytes to keep.
fn payload(number: u32, size: u32, padding: usize) -> Value {
    let alerts: Vec<Value> = (0..size)
        .map(|it| {
            json!({
                "status": "firing", "labels": {"alertname": "A"}, "annotations": {"text": "x".repeat(padding)},
                "startsAt": "2026-11-21T03:39:14.26Z", "fingerprint": format!("{number:08x}{it:08x}"),
            })
        })
        .collect();
    json!({"version": "4", "receiver": "firedrill", "alerts": alerts})
}

async fn post(address: SocketAddr, payload: &Value) -> reqwest::Response {
    let url = format!("http://{address}/webhook/alertmanager");
    client().post(url).timeout(Duration::from_secs(30)).json(payload).send().await.unwrap()
}

async fn kept(store: &Store) -> usize {
    store.alerts(None, Page { before: None, limit: 100_000 }).await.unwrap().len()
}

#[tokio::test]
async fn a_full_disk_puts_notifications_off_and_loses_none_that_was_taken() {
    const SIZE: u32 = 10;
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/firedrill.db", directory.path().display());
    let full = Store::new(Place::new(&*url).with_most_pages(120));
    let address = serve(Arc::new(full)).await;
    let (mut taken, mut refused) = (0, None);
    for number in 0..1_000 {
        let answer = post(address, &payload(number, SIZE, 500)).await;
        if answer.status() == 503 {
            assert!(answer.headers().contains_key("retry-after"));
            let text = answer.text().await.unwrap();
            assert!(!text.contains(directory.path().to_str().unwrap()), "paths are for the log: {text}");
            refused = Some(number);
            break;
        }
        assert_eq!(answer.status(), 200);
        taken += 1;
    }
    let refused = refused.expect("the disk is full");
    assert!(taken > 2, "{taken}");
    // There is room again: what was put off is sent again, and all of it is there once.
    let store = Store::new(Place::new(&*url));
    assert_eq!(kept(&store).await, (taken * SIZE) as usize, "all or none of each notification");
    let address = serve(Arc::new(store.clone())).await;
    assert_eq!(post(address, &payload(refused, SIZE, 500)).await.status(), 200);
    assert_eq!(kept(&store).await, ((taken + 1) * SIZE) as usize);
}

/// A ledger that doesn't answer while it is told to hang, and takes nothing of what `poison` is in.
struct Moody {
    store: Store,
    hangs: Arc<AtomicBool>,
}

impl Ledger for Moody {
    fn receive<'a>(
        &'a self,
        alerts: &'a [Received],
        bounds: Bounds,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Tidings, StoreError>> {
        Box::pin(async move {
            while self.hangs.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if alerts.iter().any(|it| it.alert.label("alertname") == "Poison") {
                return Err(StoreError { message: "it chokes".to_owned() });
            }
            self.store.receive(alerts, bounds, now).await
        })
    }

    fn turn(&self) -> BoxFuture<'_, Result<Box<dyn Turn>, StoreError>> {
        self.store.turn()
    }

    fn renew<'a>(&'a self, owner: &'a str, until: Timestamp) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.store.renew(owner, until)
    }

    fn forget_automation(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.forget_automation(before)
    }
}

#[tokio::test]
async fn a_store_that_hangs_or_chokes_holds_up_no_more_than_it_must() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/firedrill.db", directory.path().display());
    let store = Store::new(Place::new(&*url));
    let hangs = Arc::new(AtomicBool::new(true));
    let address = serve(Arc::new(Moody { store: store.clone(), hangs: hangs.clone() })).await;
    // More than the queue holds: those beyond are put off at once, the others when the patience ends or it works again.
    let posts: Vec<_> = (0..300)
        .map(|number| tokio::spawn(async move { post(address, &payload(number, 1, 0)).await.status().as_u16() }))
        .collect();
    until("some were put off", || async { posts.iter().any(tokio::task::JoinHandle::is_finished).then_some(()) }).await;
    hangs.store(false, Ordering::SeqCst);
    let mut taken = 0;
    for it in posts {
        match it.await.unwrap() {
            200 => taken += 1,
            503 => {}
            other => panic!("{other}"),
        }
    }
    assert!((1..300).contains(&taken), "{taken}");
    assert_eq!(kept(&store).await, taken);
    // What can't be kept takes nobody with it.
    hangs.store(true, Ordering::SeqCst);
    let mut poison = payload(1_000, 1, 0);
    poison["alerts"][0]["labels"]["alertname"] = json!("Poison");
    let bad = tokio::spawn(async move { post(address, &poison).await.status().as_u16() });
    let good = tokio::spawn(async move { post(address, &payload(2_000, 1, 0)).await.status().as_u16() });
    tokio::time::sleep(Duration::from_millis(100)).await;
    hangs.store(false, Ordering::SeqCst);
    assert_eq!((bad.await.unwrap(), good.await.unwrap()), (503, 200));
}
