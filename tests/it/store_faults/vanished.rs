//! The store is gone, or isn't the one of before.

use super::*;

/// What holds while it is lost, whatever became of it.
async fn is_lost(world: &World, daemon: &Daemon) {
    shows(daemon, &["firedrill_store_up 0", "firedrill_store_replaced 1", "firedrill_automation_up 0", UNKNOWN]).await;
    assert_eq!(deliver(daemon, 1).await, 503);
    assert_eq!(deliver(daemon, 7).await, 503);
    let text = daemon.metrics().await;
    assert!(!text.contains("firedrill_automation_paused ") && !text.contains("firedrill_proof_state"), "{text}");
    let report = health(daemon).await;
    assert_eq!(report["status"], "degraded");
    let problem = report["store"]["problem"].as_str().unwrap();
    assert!(problem.contains("accept-new"), "{problem}");
    let page = get(&daemon.url("/")).await.unwrap().1;
    assert!(page.contains("accept-new"), "{page}");
    assert_eq!(world.lines().len(), 1);
    assert_eq!(said(daemon, "the store is lost"), 1, "{}", daemon.process.log());
}

#[tokio::test]
async fn a_file_that_is_deleted_is_an_outage_until_a_person_accepts_another() {
    let world = World::new();
    let daemon = world.settled().await;
    let paused = world.command(&["automation", "pause"]);
    assert!(paused.status.success(), "{}", stderr(&paused));
    shows(&daemon, &["firedrill_automation_paused 1"]).await;
    // Kept, and nobody has looked at it yet.
    assert_eq!(deliver(&daemon, 5).await, 200);
    world.files().iter().for_each(|file| fs::remove_file(file).unwrap());
    is_lost(&world, &daemon).await;
    let prometheus = Prometheus::scraping(daemon.address).await;
    fires(&prometheus, &["FiredrillStoreDown", "FiredrillStoreReplaced", "FiredrillBackupStateUnknown"], &[]).await;
    assert!(!world.file().exists(), "none is made by itself");
    // A command doesn't make one either.
    let list = world.command(&["automation", "resume"]);
    assert!(!list.status.success() && stderr(&list).contains("used here before"), "{}", stderr(&list));
    assert!(!world.file().exists());

    let accepted = world.command(&["store", "accept-new"]);
    assert!(accepted.status.success(), "{} {}", crate::support::stdout(&accepted), daemon.process.log());
    // The pause, what is proven and what was done are known in it.
    shows(
        &daemon,
        &["firedrill_store_up 1", "firedrill_store_replaced 0", "firedrill_automation_paused 1", OK, PASSED],
    )
    .await;
    fires(&prometheus, &[], &["FiredrillStoreDown", "FiredrillStoreReplaced", "FiredrillBackupStateUnknown"]).await;
    assert!(is_done(&world.list(&daemon)));
    let resumed = world.command(&["automation", "resume"]);
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert_eq!(deliver(&daemon, 1).await, 200);
    assert_eq!(deliver(&daemon, 2).await, 200);
    world.ran(3).await;
    let mut lines = world.lines();
    lines.sort();
    assert_eq!(lines, ["1", "2", "5"]);
    until("it is proven in the new store", || async {
        let mut connection = world.open().await;
        let proven = "SELECT COUNT(*) FROM archives a JOIN proofs p ON p.archive = a.id WHERE a.digest IS NOT NULL AND p.concluded IS NOT NULL";
        let count: i64 = connection.fetch_one(proven).await.ok()?.try_get(0).ok()?;
        (count == 1).then_some(())
    })
    .await;
    assert!(daemon.process.stop().success());
    let daemon = world.daemon().await;
    shows(&daemon, &["firedrill_store_up 1", "firedrill_store_replaced 0", PASSED, "firedrill_verified_bytes_total 0"])
        .await;
    assert_eq!(deliver(&daemon, 1).await, 200);
    assert_eq!(deliver(&daemon, 3).await, 200);
    world.ran(4).await;
}

#[tokio::test]
async fn a_file_that_was_replaced_is_not_taken_for_the_store() {
    let (world, other) = (World::new(), World::new());
    let stranger = other.settled().await;
    assert!(stranger.process.stop().success());
    let daemon = world.settled().await;
    let beside = world.store().join("other.db");
    fs::copy(other.file(), &beside).unwrap();
    fs::rename(&beside, world.file()).unwrap();
    is_lost(&world, &daemon).await;
    assert!(daemon.process.stop().success());
    // A person started it again: it goes on with what is there, paused, and says so.
    for companion in &world.files()[1..] {
        let _ = fs::remove_file(companion);
    }
    let daemon = world.daemon().await;
    shows(&daemon, &["firedrill_store_up 1", "firedrill_store_replaced 1", "firedrill_automation_paused 1"]).await;
    let report = health(&daemon).await;
    assert!(
        report["status"] == "degraded" && report["store"]["replaced"].as_str().unwrap().contains("another one"),
        "{report}"
    );
    assert_eq!(deliver(&daemon, 2).await, 200);
    let page = get(&daemon.url("/")).await.unwrap().1;
    assert!(page.contains("isn't the one that was used before") || page.contains("isn&#39;t the one"), "{page}");
    let accepted = world.command(&["store", "accept-new"]);
    assert!(accepted.status.success(), "{}", stderr(&accepted));
    shows(&daemon, &["firedrill_store_replaced 0", "firedrill_automation_paused 1"]).await;
    assert_eq!(world.lines().len(), 1, "nothing begins before a person resumes it");
    assert!(world.command(&["automation", "resume"]).status.success());
    world.ran(2).await;
    // Asked again there is nothing to accept.
    let again = world.command(&["store", "accept-new"]);
    assert!(crate::support::stdout(&again).contains("nothing to accept"), "{}", crate::support::stdout(&again));
}

#[tokio::test]
async fn a_log_that_is_removed_loses_nothing_that_was_answered() {
    let world = World::new();
    let daemon = world.settled().await;
    world.files()[1..].iter().for_each(|file| fs::remove_file(file).unwrap());
    is_lost(&world, &daemon).await;
    let told = daemon.process.log();
    assert!(daemon.process.stop().success());
    let daemon = world.daemon().await;
    shows(&daemon, &["firedrill_store_up 1", "firedrill_store_replaced 0", PASSED, "firedrill_automation_paused 0"])
        .await;
    let listed = world.list(&daemon);
    assert!(is_done(&listed), "{listed}\n{told}\n{}", daemon.process.log());
    assert_eq!(deliver(&daemon, 1).await, 200);
    assert_eq!(deliver(&daemon, 2).await, 200);
    world.ran(2).await;
    assert_eq!(world.lines(), ["1", "2"], "the same alert doesn't run its hook again");
}

#[tokio::test]
async fn a_log_that_is_removed_can_be_accepted_without_a_restart() {
    let world = World::new();
    let daemon = world.settled().await;
    world.files()[1..].iter().for_each(|file| fs::remove_file(file).unwrap());
    is_lost(&world, &daemon).await;
    let accepted = world.command(&["store", "accept-new"]);
    assert!(accepted.status.success(), "{}{}", stderr(&accepted), crate::support::stdout(&accepted));
    shows(&daemon, &["firedrill_store_up 1", "firedrill_store_replaced 0", OK, PASSED]).await;
    assert_eq!(deliver(&daemon, 1).await, 200);
    assert_eq!(deliver(&daemon, 2).await, 200);
    world.ran(2).await;
    assert_eq!(world.lines(), ["1", "2"]);
}

/// Rows of a table in a file that stands alone.
async fn rows(file: &Path, table: &str) -> i64 {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let text = format!("SELECT COUNT(*) FROM {table}");
    connection.fetch_one(sqlx::AssertSqlSafe(text)).await.unwrap().try_get(0).unwrap()
}

#[tokio::test]
async fn after_a_clean_stop_the_file_alone_is_the_store() {
    let world = World::new();
    let daemon = world.settled().await;
    assert!(daemon.process.stop().success());
    assert!(!world.files()[1].exists(), "the log is folded into the file and removed");
    let copy = world.place.path().join("copy.db");
    fs::copy(world.file(), &copy).unwrap();
    for table in ["alerts", "actions", "audit", "archives", "verifications"] {
        assert!(rows(&copy, table).await > 0, "{table}");
    }
}

#[tokio::test]
async fn a_file_without_what_its_log_held_is_never_silently_a_first_start() {
    let world = World::new();
    let daemon = world.settled().await;
    // It ends in the middle, and somebody keeps the file alone.
    drop(daemon);
    for companion in &world.files()[1..] {
        fs::remove_file(companion).unwrap();
    }
    let daemon = world.daemon().await;
    shows(&daemon, &["firedrill_store_up 1", "firedrill_store_replaced 1", "firedrill_automation_paused 1"]).await;
    assert_eq!(deliver(&daemon, 1).await, 200);
    shows(&daemon, &[PASSED]).await;
    assert_eq!(world.lines().len(), 1, "it isn't known that it ran already: a person decides");
    assert!(said(&daemon, "the one that was used before") > 0, "{}", daemon.process.log());
    // It stays so over a restart.
    assert!(daemon.process.stop().success());
    let daemon = world.daemon().await;
    shows(&daemon, &["firedrill_store_replaced 1", "firedrill_automation_paused 1"]).await;
}

#[tokio::test]
async fn a_marker_beside_an_empty_file_tells_of_the_one_before_whatever_its_directory_is_called_now() {
    let world = World::new();
    let daemon = world.settled().await;
    assert!(daemon.process.stop().success());
    // The whole directory was moved; of the store only its marker came along.
    let moved = world.place.path().join("moved");
    fs::rename(world.store(), &moved).unwrap();
    fs::remove_file(moved.join("firedrill.db")).unwrap();
    let text = fs::read_to_string(&world.config).unwrap();
    let url = |directory: &Path| format!("sqlite://{}", directory.display());
    fs::write(&world.config, text.replace(&url(&world.store()), &url(&moved))).unwrap();
    let list = world.command(&["automation", "list"]);
    assert!(stderr(&list).contains("was used here before"), "{}", stderr(&list));
    let daemon = world.daemon().await;
    shows(&daemon, &["firedrill_store_replaced 1", "firedrill_automation_paused 1"]).await;
    assert_eq!(deliver(&daemon, 1).await, 200);
    shows(&daemon, &[PASSED]).await;
    assert_eq!(world.lines().len(), 1, "it isn't known that it ran already: a person decides");
}

#[tokio::test]
async fn a_path_with_a_percent_sign_is_meant_as_it_stands() {
    let world = World::new();
    let odd = world.store().join("a%20b%2Fc%25.db");
    let text = fs::read_to_string(&world.config).unwrap();
    fs::write(&world.config, text.replace(world.file().to_str().unwrap(), odd.to_str().unwrap())).unwrap();
    let daemon = world.settled().await;
    assert!(odd.exists() && !world.store().join("a b").exists());
    fs::remove_file(&odd).unwrap();
    shows(&daemon, &["firedrill_store_up 0", "firedrill_store_replaced 1"]).await;
}

#[tokio::test]
async fn a_store_that_was_put_back_in_time_is_noticed() {
    let world = World::new();
    let daemon = world.settled().await;
    assert!(daemon.process.stop().success());
    let old = world.place.path().join("old.db");
    fs::copy(world.file(), &old).unwrap();
    let daemon = world.daemon().await;
    assert_eq!(deliver(&daemon, 2).await, 200);
    world.ran(2).await;
    assert!(daemon.process.stop().success());
    fs::copy(&old, world.file()).unwrap();
    let daemon = world.daemon().await;
    shows(&daemon, &["firedrill_store_replaced 1", "firedrill_automation_paused 1"]).await;
    let replaced = health(&daemon).await["store"]["replaced"].as_str().unwrap().to_owned();
    assert!(replaced.contains("older"), "{replaced}");
    assert_eq!(deliver(&daemon, 2).await, 200);
    // Without a marker nobody can know; with the same store nothing is said.
    assert!(daemon.process.stop().success());
    assert!(world.command(&["automation", "list"]).status.success());
    assert_eq!(world.lines().len(), 2);
}
