//! Pages of the store turn bad while it is used.

use super::*;

async fn is_damaged(daemon: &Daemon) {
    shows(daemon, &["firedrill_store_up 0", UNKNOWN]).await;
    assert_eq!(health(daemon).await["status"], "degraded");
    // What else works in between doesn't make it well.
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let text = daemon.metrics().await;
        assert!(text.contains("firedrill_store_up 0") && text.contains(UNKNOWN) && !text.contains(OK), "{text}");
    }
}

#[tokio::test]
async fn with_a_damaged_page_of_alerts_nothing_stays_green() {
    let world = World::new();
    let daemon = world.settled().await;
    world.damage("alerts").await;
    assert_eq!(deliver(&daemon, 2).await, 503);
    is_damaged(&daemon).await;
    let prometheus = Prometheus::scraping(daemon.address).await;
    fires(&prometheus, &["FiredrillStoreDown", "FiredrillBackupStateUnknown"], &["FiredrillStoreReplaced"]).await;
    assert_eq!(deliver(&daemon, 2).await, 503);
    assert_eq!(world.lines().len(), 1);
}

#[tokio::test]
async fn with_a_damaged_page_of_the_audit_trail_nothing_is_said_to_be_decided() {
    let world = World::new();
    let daemon = world.settled().await;
    let before = said(&daemon, "state=scheduled");
    world.damage("audit").await;
    // It is kept, and can't be decided on.
    assert_eq!(deliver(&daemon, 2).await, 200);
    is_damaged(&daemon).await;
    shows(&daemon, &["firedrill_automation_up 0"]).await;
    assert_eq!(said(&daemon, "state=scheduled"), before, "{}", daemon.process.log());
    assert_eq!(said(&daemon, "stands still"), 1, "{}", daemon.process.log());
    assert_eq!(world.lines().len(), 1);
}

#[tokio::test]
async fn with_a_damaged_switch_nobody_knows_whether_it_is_paused() {
    let world = World::new();
    let daemon = world.settled().await;
    world.damage("switches").await;
    shows(&daemon, &["firedrill_automation_up 0"]).await;
    is_damaged(&daemon).await;
    let text = daemon.metrics().await;
    assert!(!text.contains("firedrill_automation_paused "), "{text}");
    let _ = deliver(&daemon, 2).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.lines().len(), 1);
}

#[tokio::test]
async fn a_switch_that_is_missing_is_not_off() {
    let world = World::new();
    let daemon = world.settled().await;
    world.open().await.execute("DELETE FROM switches").await.unwrap();
    shows(&daemon, &["firedrill_store_up 0", "firedrill_automation_up 0"]).await;
    assert_eq!(deliver(&daemon, 2).await, 200);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.lines().len(), 1);
    assert!(world.command(&["automation", "resume"]).status.success());
    shows(&daemon, &["firedrill_store_up 1", "firedrill_automation_up 1", "firedrill_automation_paused 0"]).await;
    world.ran(2).await;
}
