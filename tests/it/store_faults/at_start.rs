//! A store that is bad, shut or from another time when the daemon starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use firedrill::app::{self, App};
use firedrill::engine::ports::Clock;
use jiff::{SignedDuration, Timestamp};

use super::*;

async fn damaged_at_start(table: Option<&str>) {
    let world = World::new();
    let daemon = world.settled().await;
    assert!(daemon.process.stop().success());
    match table {
        Some(table) => world.damage(table).await,
        None => overwrite(&world.file(), 0, 4096),
    }
    let daemon = world.daemon().await;
    shows(&daemon, &["firedrill_store_up 0", UNKNOWN]).await;
    assert_eq!(health(&daemon).await["status"], "degraded");
    let text = daemon.metrics().await;
    assert!(!text.contains("state=\"ok\"} 1") && !text.contains(PASSED), "{text}");
    assert_eq!(world.lines().len(), 1);
}

#[tokio::test]
async fn with_a_damaged_first_page_nothing_is_known() {
    damaged_at_start(None).await;
}

#[tokio::test]
async fn with_a_damaged_table_of_archives_nothing_is_known() {
    damaged_at_start(Some("archives")).await;
}

#[tokio::test]
async fn with_a_damaged_table_of_verifications_nothing_is_known() {
    damaged_at_start(Some("verifications")).await;
}

/// Nobody asks for old rows of the audit trail: going through all of it finds it.
#[tokio::test]
async fn what_nobody_reads_is_gone_through_at_the_start() {
    damaged_at_start(Some("audit_of_action")).await;
}

#[tokio::test]
async fn a_file_that_may_not_be_changed_is_said_and_can_be_mended() {
    let world = World::new();
    let daemon = world.settled().await;
    assert!(daemon.process.stop().success());
    let shut = Immutable::of(&[world.file()]);
    let daemon = world.daemon().await;
    shows(&daemon, &["firedrill_store_up 0", "firedrill_automation_up 0", UNKNOWN]).await;
    assert_eq!(deliver(&daemon, 2).await, 503);
    drop(shut);
    shows(&daemon, &["firedrill_store_up 1", "firedrill_automation_up 1", OK, PASSED]).await;
    taken_again(&daemon, 2).await;
    world.ran(2).await;
    assert!(daemon.metrics().await.contains("firedrill_store_replaced 0"));
}

/// A clock that somebody sets.
#[derive(Clone, Default)]
struct Set(Arc<AtomicI64>);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        let then: Timestamp = fs::metadata("/proc/self").unwrap().modified().unwrap().try_into().unwrap();
        then + SignedDuration::from_hours(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_two_days_off_or_is_set_does_no_harm_to_the_store() {
    let world = World::new();
    for (at_start, later) in [(0, 48), (48, 0), (-48, 0), (0, -48)] {
        let clock = Set::default();
        clock.0.store(at_start, Ordering::SeqCst);
        let mut config = firedrill::config::load(Some(&world.config)).unwrap();
        config.web.listen_address = "127.0.0.1:0".parse().unwrap();
        let app = App::build(&config, app::sources(&config).unwrap(), Arc::new(clock.clone())).await.unwrap();
        let base = format!("http://{}", app.address().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(app.run(async move {
            let _ = stopped.await;
        }));
        let turn = || async {
            let text = get(&format!("{base}/metrics")).await?.1;
            let up = ["firedrill_store_up 1", "firedrill_automation_up 1", "firedrill_store_replaced 0"];
            up.iter().all(|line| text.contains(line)).then_some(())?;
            let line = text.lines().find(|line| line.starts_with("firedrill_automation_last_turn_"))?;
            line.rsplit_once(' ')?.1.parse::<f64>().ok()
        };
        let before = until("it works", turn).await;
        clock.0.store(later, Ordering::SeqCst);
        until("turns go on by the other time", || async {
            let after = turn().await?;
            ((after - before) as i64).abs().ge(&(40 * 3600)).then_some(())
        })
        .await;
        stop.send(()).unwrap();
        running.await.unwrap().unwrap();
    }
}
