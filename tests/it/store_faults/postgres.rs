//! A PostgreSQL that is restarted, fails over to a replica that lacks the newest rows, has no connection left, or forgets.

use std::process::{Child, Stdio};

use std::sync::Arc;

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::adapters::store::{Place, Store};
use firedrill::domain::automation::occurrence::Bounds;
use firedrill::engine::ports::custody::Custody as _;
use firedrill::engine::ports::ledger::Ledger as _;
use firedrill::engine::ports::{Clock as _, StoreError};
use sqlx::AnyConnection;

use super::*;
use crate::store::{binaries, ordinary};

/// A server of the test's own, which it starts and stops in every way.
struct Server {
    place: TempDir,
    process: Option<Child>,
    /// The directory of its data, below the place.
    data: &'static str,
}

impl Server {
    fn new(options: &[&str]) -> Self {
        let place = tempfile::Builder::new().prefix("fd-pg").tempdir_in("/tmp").unwrap();
        if rustix::process::geteuid().is_root() {
            sh("chown", &["nobody:nogroup", place.path().to_str().unwrap()]);
        }
        let mut server = Self { place, process: None, data: "data" };
        let mut initdb = ordinary(&binaries().join("initdb"));
        initdb
            .args(["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C", "-D"])
            .arg(server.data());
        assert!(initdb.stdout(Stdio::null()).status().unwrap().success());
        server.start(options);
        server
    }

    fn data(&self) -> PathBuf {
        self.place.path().join(self.data)
    }

    fn start(&mut self, options: &[&str]) {
        let mut command = ordinary(&binaries().join("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
            .arg(self.place.path());
        for option in options {
            command.args(["-c", option]);
        }
        self.process = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let begun = Instant::now();
        while !self.run("postgres", "SELECT 1") {
            assert!(begun.elapsed() < Duration::from_secs(60), "PostgreSQL doesn't start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// `QUIT` is an immediate stop, as a crash; `INT` a fast one.
    fn stop(&mut self, signal: rustix::process::Signal) {
        if let Some(mut process) = self.process.take() {
            let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&process), signal);
            let _ = process.wait();
        }
    }

    fn run(&self, database: &str, statement: &str) -> bool {
        let mut psql = Command::new(binaries().join("psql"));
        psql.args(["-X", "-q", "-U", "postgres", "-d", database, "-c", statement, "-h"]).arg(self.place.path());
        psql.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    fn url(&self) -> String {
        let socket = self.place.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://fire@{socket}/drill")
    }

    /// A role and a database for a daemon.
    fn prepared(options: &[&str]) -> (Self, World) {
        let server = Self::new(options);
        assert!(
            server.run("postgres", "CREATE ROLE fire LOGIN")
                && server.run("postgres", "CREATE DATABASE drill OWNER fire")
        );
        let world = World::with(Some(&server.url()));
        (server, world)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(rustix::process::Signal::INT);
    }
}

#[tokio::test]
async fn a_server_that_crashes_and_comes_back_is_used_again() {
    let (mut server, world) = Server::prepared(&[]);
    let daemon = world.settled().await;
    server.stop(rustix::process::Signal::QUIT);
    shows(&daemon, &["firedrill_store_up 0", "firedrill_automation_up 0", OK]).await;
    assert_eq!(deliver(&daemon, 2).await, 503);
    assert_eq!(health(&daemon).await["status"], "degraded");
    server.start(&[]);
    shows(&daemon, &["firedrill_store_up 1", "firedrill_automation_up 1", "firedrill_store_replaced 0", OK, PASSED])
        .await;
    taken_again(&daemon, 2).await;
    assert_eq!(deliver(&daemon, 1).await, 200);
    world.ran(2).await;
    assert!(daemon.process.stop().success());
}

/// Turns that change nothing, probes and alerts at the same time: each sees another state of what is counted.
async fn at_once(url: &str) {
    let store = Store::new(Place::new(url)).tied(Arc::new(SystemClock));
    let turns = async {
        for _ in 0..300 {
            let mut turn = store.turn().await?;
            turn.open().await?;
            turn.commit().await?;
        }
        Ok::<(), StoreError>(())
    };
    let bounds = Bounds { reopen_after: Duration::from_secs(600), lost_after: Duration::from_secs(86_400) };
    let received = async {
        for _ in 0..300 {
            store.receive(&[], bounds, SystemClock.now()).await?;
        }
        Ok::<(), StoreError>(())
    };
    store.ready().await.unwrap();
    let results = tokio::join!(turns, received, async {
        for _ in 0..100 {
            store.renew("nobody", SystemClock.now()).await?;
        }
        Ok::<(), StoreError>(())
    });
    assert_eq!(results, (Ok(()), Ok(()), Ok(())));
    let standing = store.standing().borrow().clone();
    assert!(standing.up() && !standing.is_lost(), "{standing:?}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_at_once_is_never_taken_for_a_loss() {
    let server = Server::new(&[]);
    assert!(
        server.run("postgres", "CREATE ROLE fire LOGIN") && server.run("postgres", "CREATE DATABASE drill OWNER fire")
    );
    at_once(&server.url()).await;
    let place = tempfile::tempdir().unwrap();
    at_once(&format!("sqlite://{}/s.db", place.path().display())).await;
}

/// A copy of the server that follows it until it is cut off.
fn replica(server: &Server) -> &'static str {
    let mut copy = ordinary(&binaries().join("pg_basebackup"));
    copy.args(["-U", "postgres", "-R", "-X", "stream", "-c", "fast", "-h"]).arg(server.place.path());
    let target = server.place.path().join("replica");
    let done = copy.arg("-D").arg(&target).output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    "replica"
}

#[tokio::test]
async fn a_replica_that_lacks_the_newest_rows_is_not_taken_for_the_store() {
    let (mut server, world) = Server::prepared(&["wal_level=replica", "max_wal_senders=4"]);
    let daemon = world.settled().await;
    let copy = replica(&server);
    // What comes now never gets there.
    assert_eq!(deliver(&daemon, 2).await, 200);
    world.ran(2).await;
    server.stop(rustix::process::Signal::QUIT);
    shows(&daemon, &["firedrill_store_up 0"]).await;
    server.data = copy;
    server.start(&["hot_standby=on"]);
    // It reads, and takes nothing yet.
    assert_eq!(deliver(&daemon, 2).await, 503);
    assert!(server.run("postgres", "SELECT pg_promote(true, 60)"));
    shows(&daemon, &["firedrill_store_up 0", "firedrill_store_replaced 1", "firedrill_automation_up 0", UNKNOWN]).await;
    for number in [1, 2, 3] {
        assert_eq!(deliver(&daemon, number).await, 503);
    }
    let prometheus = Prometheus::scraping(daemon.address).await;
    fires(&prometheus, &["FiredrillStoreDown", "FiredrillStoreReplaced"], &[]).await;
    let problem = health(&daemon).await["store"]["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains("lacks the last") && problem.contains("accept-new"), "{problem}");
    let accepted = world.command(&["store", "accept-new"]);
    assert!(accepted.status.success(), "{}{}", stderr(&accepted), crate::support::stdout(&accepted));
    shows(&daemon, &["firedrill_store_up 1", "firedrill_store_replaced 0", OK, PASSED]).await;
    // What was done after the replica was cut off is known to the daemon, and now to the replica.
    for number in [1, 2, 3] {
        assert_eq!(deliver(&daemon, number).await, 200);
    }
    world.ran(3).await;
    assert_eq!(world.lines(), ["1", "2", "3"]);
    assert!(daemon.process.stop().success());
}

#[tokio::test]
async fn a_replica_is_noticed_at_the_start_too() {
    let (mut server, world) = Server::prepared(&["wal_level=replica", "max_wal_senders=4"]);
    let daemon = world.settled().await;
    let copy = replica(&server);
    assert_eq!(deliver(&daemon, 2).await, 200);
    world.ran(2).await;
    assert!(daemon.process.stop().success());
    server.stop(rustix::process::Signal::QUIT);
    server.data = copy;
    server.start(&["hot_standby=on"]);
    assert!(server.run("postgres", "SELECT pg_promote(true, 60)"));
    let daemon = world.daemon().await;
    shows(&daemon, &["firedrill_store_up 1", "firedrill_store_replaced 1", "firedrill_automation_paused 1"]).await;
    assert_eq!(deliver(&daemon, 2).await, 200);
    assert_eq!(world.lines().len(), 2);
}

#[tokio::test]
async fn a_database_that_was_made_anew_is_not_taken_for_the_store() {
    let (server, world) = Server::prepared(&[]);
    let daemon = world.settled().await;
    assert!(server.run("postgres", "DROP DATABASE drill WITH (FORCE)"));
    shows(&daemon, &["firedrill_store_up 0"]).await;
    assert!(server.run("postgres", "CREATE DATABASE drill OWNER fire"));
    shows(&daemon, &["firedrill_store_up 0", "firedrill_store_replaced 1", "firedrill_automation_up 0", UNKNOWN]).await;
    assert_eq!(deliver(&daemon, 1).await, 503);
    let accepted = world.command(&["store", "accept-new"]);
    assert!(accepted.status.success(), "{}{}", stderr(&accepted), crate::support::stdout(&accepted));
    shows(&daemon, &["firedrill_store_up 1", "firedrill_store_replaced 0", OK, PASSED]).await;
    assert_eq!(deliver(&daemon, 1).await, 200);
    assert_eq!(deliver(&daemon, 2).await, 200);
    world.ran(2).await;
    assert_eq!(world.lines(), ["1", "2"]);
}

#[tokio::test]
async fn an_empty_database_under_another_name_is_never_silently_a_first_start() {
    let (server, world) = Server::prepared(&[]);
    let daemon = world.settled().await;
    assert!(daemon.process.stop().success());
    assert!(server.run("postgres", "CREATE DATABASE other OWNER fire"));
    let text = fs::read_to_string(&world.config).unwrap();
    fs::write(&world.config, text.replace("/drill\"", "/other\"")).unwrap();
    let daemon = world.daemon().await;
    shows(&daemon, &["firedrill_store_up 1", "firedrill_store_replaced 1", "firedrill_automation_paused 1"]).await;
    assert_eq!(deliver(&daemon, 1).await, 200);
    assert!(world.command(&["store", "accept-new"]).status.success());
    shows(&daemon, &["firedrill_store_replaced 0", "firedrill_automation_paused 1"]).await;
    assert_eq!(world.lines(), ["1"]);
    // The same one under another name is no wonder.
    assert!(daemon.process.stop().success());
    assert!(server.run("postgres", "ALTER DATABASE other RENAME TO third"));
    fs::write(&world.config, text.replace("/drill\"", "/third\"")).unwrap();
    let daemon = world.daemon().await;
    shows(&daemon, &["firedrill_store_up 1", "firedrill_store_replaced 0"]).await;
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_said_and_passes() {
    let (server, world) = Server::prepared(&["max_connections=14", "superuser_reserved_connections=2"]);
    let daemon = world.settled().await;
    // Those of the daemon are cut, and others are faster.
    sqlx::any::install_default_drivers();
    let mut taken: Vec<AnyConnection> = Vec::new();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fire' AND application_name <> 'others'";
    let others = format!("{}?application_name=others", server.url());
    let mut refused = 0;
    while refused < 20 {
        assert!(server.run("postgres", cut));
        match AnyConnection::connect(&others).await {
            Ok(connection) => {
                (refused, taken) = (0, {
                    taken.push(connection);
                    taken
                })
            }
            Err(_) => refused += 1,
        }
    }
    assert!(taken.len() >= 10, "{}", taken.len());
    shows(&daemon, &["firedrill_store_up 0", "firedrill_automation_up 0", OK]).await;
    assert_eq!(deliver(&daemon, 2).await, 503);
    drop(taken);
    shows(&daemon, &["firedrill_store_up 1", "firedrill_automation_up 1", "firedrill_store_replaced 0"]).await;
    taken_again(&daemon, 2).await;
    world.ran(2).await;
}
