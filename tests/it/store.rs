//! The store on both of its databases: one suite, run on SQLite and on a PostgreSQL that the test starts itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use firedrill::adapters::store::{Place, Store};
use firedrill::domain::access::Role;
use firedrill::domain::file::FileFacts;
use firedrill::domain::finding::{Finding, Kind};
use firedrill::domain::ids::SourceName;
use firedrill::domain::proof::{ArchiveId, Conclusion, Digest, Evidence, Level, Method, Verification};
use firedrill::engine::ports::custody::Custody as _;
use firedrill::engine::ports::tokens::{NewToken, TokenStore as _};
use firedrill::engine::ports::{ProofStore as _, StoreError};
use firedrill::engine::tokens::TokenHash;
use jiff::{SignedDuration, Timestamp};
use sqlx::Connection as _;
use tempfile::TempDir;

fn now() -> Timestamp {
    "2026-11-21T08:00:00.123456Z".parse().unwrap()
}

fn source() -> SourceName {
    "nas".parse().unwrap()
}

fn archive(file: &str) -> ArchiveId {
    ArchiveId { source: source(), root: "/mnt/nas/dump".into(), file: file.into() }
}

fn verification(file: &str, digest: Option<u8>, conclusion: Conclusion) -> Verification {
    Verification {
        archive: archive(file),
        method: Method::READING,
        item: "qemu/100".parse().unwrap(),
        // Every digit of the time counts.
        facts: FileFacts {
            changed: Some("2026-11-20T01:02:04.987654321Z".parse().unwrap()),
            ..FileFacts::new(7_000_000_000, "2026-11-20T01:02:03.123456789Z".parse().unwrap())
        },
        digest: digest.map(|byte| Digest([byte; 32])),
        wanted: Level::Complete,
        reached: (conclusion == Conclusion::Intact).then_some(Level::Complete),
        conclusion,
        findings: vec![Finding::new(Kind::VmaMissingClusters, "7 clusters of drive-scsi0 are missing")],
        reason: (conclusion == Conclusion::Unchecked).then(|| "it changed while it was read".into()),
        started: now(),
        took: Duration::from_millis(1_500),
        read: 7_000_000_000,
        evidence: Evidence::default(),
        sidecar: Some("sha256:00ff".into()),
    }
}

/// A PostgreSQL of our own: in a temporary directory, without a port, run by an ordinary user, gone with the process.
pub struct Server {
    place: TempDir,
    process: std::process::Child,
}

/// Databases that were made so far, for names.
static DATABASES: AtomicU32 = AtomicU32::new(0);

pub fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("the package postgresql is installed");
    let newest = versions.flatten().map(|it| it.path().join("bin")).filter(|it| it.join("initdb").exists()).max();
    newest.expect("PostgreSQL's initdb")
}

/// A command as an ordinary user: PostgreSQL refuses to run as root.
pub fn ordinary(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
    command
}

impl Server {
    pub fn start() -> Self {
        let place = tempfile::Builder::new().prefix("fd-pg").tempdir_in("/tmp").unwrap();
        if rustix::process::geteuid().is_root() {
            let given = Command::new("chown").arg("nobody:nogroup").arg(place.path()).status().unwrap();
            assert!(given.success());
        }
        let data = place.path().join("data");
        let made = ordinary(&binaries().join("initdb"))
            .args(["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        let process = ordinary(&binaries().join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
            .arg(place.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { place, process };
        let begun = std::time::Instant::now();
        while !server.run("SELECT 1") {
            assert!(begun.elapsed() < Duration::from_secs(30), "PostgreSQL doesn't start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// Where it lies, and its socket.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    pub fn run(&self, statement: &str) -> bool {
        let mut psql = Command::new(binaries().join("psql"));
        psql.args(["-X", "-q", "-U", "postgres", "-d", "postgres", "-c", statement, "-h"]).arg(self.place.path());
        psql.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    fn database(&self) -> String {
        let name = format!("t{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        assert!(self.run(&format!("CREATE DATABASE {name}")));
        let socket = self.place.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://postgres@{socket}/{name}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fast shutdown: connections are cut.
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.process.wait();
    }
}

/// A store of its own, open.
async fn opened(place: Place) -> Result<Store, StoreError> {
    let store = Store::new(place);
    store.ready().await.map(|()| store)
}

/// Where the suite runs. Whatever it holds goes with it.
pub enum Where {
    Sqlite(TempDir),
    Postgres(Server, String),
}

impl Where {
    pub fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub fn postgres() -> Self {
        let server = Server::start();
        let url = server.database();
        Self::Postgres(server, url)
    }

    fn place(&self) -> Place {
        Place::new(self.url())
    }

    /// As in a configuration.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(directory) => format!("sqlite://{}/firedrill.db", directory.path().display()),
            Self::Postgres(_, url) => url.clone(),
        }
    }

    pub async fn open(&self) -> Store {
        opened(self.place()).await.unwrap()
    }
}

/// The suite.
async fn everything(place: Where) {
    let store = place.open().await;
    empty(&store).await;
    first_sights(&store).await;
    newest_and_levels(&store).await;
    hostile_texts(&store).await;
    shallow_looks(&store).await;
    tokens(&store).await;
    forgetting(&store).await;
    touched(&store).await;
    methods(&store).await;
    drop(store);
    two_at_once(&place).await;
}

async fn empty(store: &Store) {
    assert_eq!(store.first_sight(&archive("a")).await.unwrap(), None);
    assert!(store.newest(&[source()], 0).await.unwrap().is_empty());
    assert!(store.levels(&[source()]).await.unwrap().is_empty());
    assert_eq!(store.forget(now()).await.unwrap(), 0);
    store.seen(&[], now()).await.unwrap();
}

async fn first_sights(store: &Store) {
    let first = verification("a", Some(1), Conclusion::Intact);
    store.record(&first).await.unwrap();
    let sight = store.first_sight(&archive("a")).await.unwrap().unwrap();
    assert_eq!((sight.digest, sight.at), (Digest([1; 32]), first.ended()));
    assert!(sight.facts.same_write(first.facts));
    // Other bytes under the same facts: the first digest stays, for ever.
    store.record(&verification("a", Some(2), Conclusion::Damaged)).await.unwrap();
    assert_eq!(store.first_sight(&archive("a")).await.unwrap().unwrap().digest, Digest([1; 32]));
    // Not read to its end: says nothing.
    store.record(&verification("a", None, Conclusion::Unchecked)).await.unwrap();
    assert_eq!(store.first_sight(&archive("a")).await.unwrap().unwrap().digest, Digest([1; 32]));
    // Written again: another file.
    let mut again = verification("a", Some(3), Conclusion::Intact);
    again.facts.modified += SignedDuration::from_nanos(1);
    store.record(&again).await.unwrap();
    assert_eq!(store.first_sight(&archive("a")).await.unwrap().unwrap().digest, Digest([3; 32]));
    // The same name elsewhere is another file.
    let elsewhere = ArchiveId { root: "/mnt/usb".into(), ..archive("a") };
    assert_eq!(store.first_sight(&elsewhere).await.unwrap(), None);
}

async fn newest_and_levels(store: &Store) {
    let newest = store.newest(&[source()], 0).await.unwrap();
    assert_eq!(newest.len(), 1);
    assert_eq!(newest[0].verification.digest, Some(Digest([3; 32])));
    let all = verification("b", Some(4), Conclusion::Damaged);
    let id = store.record(&all).await.unwrap();
    store.record(&verification("b", None, Conclusion::Unchecked)).await.unwrap();
    // What came to a conclusion, and the later try that came to none.
    let later = store.newest(&[source()], newest[0].id).await.unwrap();
    assert_eq!(
        later.iter().map(|kept| kept.verification.conclusion).collect::<Vec<_>>(),
        [Conclusion::Damaged, Conclusion::Unchecked]
    );
    assert_eq!(later[0].id, id);
    assert_eq!(later[0].verification, all);
    assert!(store.newest(&["other".parse().unwrap()], 0).await.unwrap().is_empty());
    let levels = store.levels(&[source()]).await.unwrap();
    let mut levels: Vec<_> = levels.iter().map(|it| (it.level, it.at)).collect();
    levels.sort();
    assert_eq!(levels, [Level::Present, Level::Decodes, Level::Complete].map(|level| (level, all.ended())));
}

/// What one method found never goes over what another did, neither better nor worse, and its level is its own.
async fn methods(store: &Store) {
    let boot: Method = "boot".parse().unwrap();
    let item = "dump/methods".parse().unwrap();
    let read = Verification { item, ..verification("m", Some(3), Conclusion::Intact) };
    let later = |it: &Verification, hours: i64| it.started + SignedDuration::from_hours(hours);
    let booted = Verification {
        method: boot.clone(),
        digest: None,
        wanted: Level::Booted,
        reached: Some(Level::Booted),
        started: later(&read, 1),
        ..read.clone()
    };
    let failed =
        Verification { conclusion: Conclusion::Damaged, reached: None, started: later(&read, 2), ..booted.clone() };
    let unchecked =
        Verification { conclusion: Conclusion::Unchecked, reached: None, started: later(&read, 3), ..booted.clone() };
    let said = async || -> Vec<(Method, Conclusion, Option<Level>)> {
        let newest = store.newest(&[source()], 0).await.unwrap();
        let of = newest.into_iter().map(|kept| kept.verification).filter(|it| *it.archive.file == *"m");
        of.map(|it| (it.method, it.conclusion, it.reached)).collect()
    };
    store.record(&booted).await.unwrap();
    store.record(&read).await.unwrap();
    let reading = (Method::READING, Conclusion::Intact, Some(Level::Complete));
    assert_eq!(said().await, [(boot.clone(), Conclusion::Intact, Some(Level::Booted)), reading.clone()]);
    store.record(&failed).await.unwrap();
    assert_eq!(said().await, [reading.clone(), (boot.clone(), Conclusion::Damaged, None)]);
    store.record(&unchecked).await.unwrap();
    let all = [reading, (boot.clone(), Conclusion::Damaged, None), (boot.clone(), Conclusion::Unchecked, None)];
    assert_eq!(said().await, all);
    // The levels that lie between were proven by nobody.
    let levels = store.levels(&[source()]).await.unwrap();
    let mut levels: Vec<_> = levels.iter().filter(|it| it.item == read.item).map(|it| (it.level, it.at)).collect();
    levels.sort();
    let reading = [Level::Present, Level::Decodes, Level::Complete].map(|level| (level, read.ended()));
    assert_eq!((&levels[..3], &levels[3..]), (&reading[..], &[(Level::Booted, booted.ended())][..]));
    // What was said of it stays, by whomever, for as long as it is there.
    let much_later = now() + SignedDuration::from_hours(72);
    store.seen(&[archive("m")], much_later).await.unwrap();
    store.forget(much_later).await.unwrap();
    assert_eq!(said().await, all);
}

/// Who only looked whether the file is there takes back neither damage nor proof.
async fn shallow_looks(store: &Store) {
    store.record(&verification("deep", Some(7), Conclusion::Damaged)).await.unwrap();
    let mut shallow = verification("deep", None, Conclusion::Intact);
    (shallow.wanted, shallow.reached) = (Level::Present, Some(Level::Present));
    store.record(&shallow).await.unwrap();
    let newest = store.newest(&[source()], 0).await.unwrap();
    let concluded =
        newest.iter().filter(|kept| *kept.verification.archive.file == *"deep").map(|kept| kept.verification.wanted);
    assert_eq!(concluded.collect::<Vec<_>>(), [Level::Complete, Level::Present]);
}

/// The inode changed: read again it is the same file, by the same first sight.
async fn touched(store: &Store) {
    let damaged = verification("t", Some(5), Conclusion::Damaged);
    store.record(&damaged).await.unwrap();
    let mut later = verification("t", Some(6), Conclusion::Intact);
    later.facts.changed = Some(now());
    store.record(&later).await.unwrap();
    let mut shallow = verification("t", None, Conclusion::Intact);
    (shallow.wanted, shallow.reached, shallow.facts.changed) = (Level::Present, Some(Level::Present), None);
    store.record(&shallow).await.unwrap();
    let newest = store.newest(&[source()], 0).await.unwrap();
    let of = newest.iter().filter(|kept| *kept.verification.archive.file == *"t").map(|kept| &kept.verification);
    assert_eq!(of.map(|it| (it.facts, it.wanted)).collect::<Vec<_>>()[0], (later.facts, Level::Complete));
    assert_eq!(store.first_sight(&archive("t")).await.unwrap().unwrap().digest, Digest([6; 32]));
}

async fn hostile_texts(store: &Store) {
    let long = "x".repeat(1 << 20);
    for text in ["'; DROP TABLE archives; --", "\0zero", "🔥\u{202e}", long.as_str(), ""] {
        let mut it = verification(text, Some(5), Conclusion::Intact);
        it.reason = Some(text.into());
        it.findings = vec![Finding::new(Kind::HostileName, text)];
        it.evidence.guest_name = Some(text.into());
        store.record(&it).await.unwrap();
        assert!(store.first_sight(&it.archive).await.unwrap().is_some(), "{}", &text[..text.len().min(20)]);
    }
}

async fn tokens(store: &Store) {
    let hash = TokenHash([7; 32]);
    let new = |name: &str, byte: u8| NewToken {
        name: name.into(),
        hash: TokenHash([byte; 32]),
        role: Role::Operator,
        created: now(),
        expires: Some(now() + SignedDuration::from_hours(1)),
    };
    assert!(store.create(&new("b'; DROP TABLE tokens; --", 8)).await.unwrap());
    assert!(store.create(&new("a", 7)).await.unwrap());
    assert!(!store.create(&new("a", 9)).await.unwrap(), "a name is given once");
    assert!(store.create(&new("c", 7)).await.is_err(), "no two tokens are the same");
    let all = store.tokens().await.unwrap();
    assert_eq!(all.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["a", "b'; DROP TABLE tokens; --"]);
    let a = &all[0];
    assert_eq!((a.hash, a.role, a.created, a.revoked, a.last_used), (hash, Role::Operator, now(), None, None));
    assert!(a.counts(now()) && !a.counts(now() + SignedDuration::from_hours(1)));
    let later = |seconds: i64| now() + SignedDuration::from_secs(seconds);
    let used = async || store.tokens().await.unwrap()[0].last_used;
    for (at, noted) in [(0, 0), (59, 0), (60, 60), (30, 60)] {
        store.used(a.id, later(at)).await.unwrap();
        assert_eq!(used().await, Some(later(noted)), "{at}");
    }
    assert!(store.revoke("a", now()).await.unwrap());
    assert!(!store.revoke("a", later(9)).await.unwrap() && !store.revoke("nobody", now()).await.unwrap());
    assert_eq!(store.tokens().await.unwrap()[0].revoked, Some(now()));
}

async fn forgetting(store: &Store) {
    let count = async |store: &Store| store.newest(&[source()], 0).await.unwrap().len();
    let before = count(store).await;
    // Four of `a` and two of `b` are kept; the newest conclusion and the newest try of each stay.
    let forgotten = store.forget(now() + SignedDuration::from_secs(1)).await.unwrap();
    assert_eq!((forgotten, count(store).await), (3, before));
    // An archive that nobody saw for so long goes with all of its verifications.
    let later = now() + SignedDuration::from_hours(48);
    store.seen(&[archive("b"), archive("never read")], later).await.unwrap();
    store.forget(later).await.unwrap();
    let left = store.newest(&[source()], 0).await.unwrap();
    assert!(left.iter().all(|kept| *kept.verification.archive.file == *"b"), "{left:?}");
    assert_eq!(left.len(), 2);
    // That a level was proven of the item is still known.
    assert_eq!(store.levels(&[source()]).await.unwrap().len(), 3);
}

/// Two daemons on one store: both open it at the same time, both write, nothing is lost.
async fn two_at_once(place: &Where) {
    let (one, two) = tokio::join!(place.open(), place.open());
    let write = async |store: &Store, name: &str| {
        for index in 0..50 {
            store.record(&verification(&format!("{name}{index}"), Some(6), Conclusion::Intact)).await.unwrap();
            store.record(&verification("both", Some(6), Conclusion::Intact)).await.unwrap();
        }
    };
    tokio::join!(write(&one, "one"), write(&two, "two"));
    let newest = one.newest(&[source()], 0).await.unwrap();
    let both =
        newest.iter().filter(|kept| kept.verification.read > 0 && kept.verification.archive.file.starts_with("one"));
    assert_eq!(both.count(), 50);
    assert_eq!(newest.iter().filter(|kept| *kept.verification.archive.file == *"both").count(), 1);
    assert!(newest.windows(2).all(|pair| pair[0].id < pair[1].id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_on_sqlite() {
    everything(Where::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_on_postgresql() {
    everything(Where::postgres()).await;
}

/// A fresh store that two open at once: one of them makes the tables, the other one waits or tries again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_can_be_opened_by_several_at_once() {
    let place = Where::sqlite();
    let opened = futures_util::future::join_all((0..6).map(|_| opened(place.place()))).await;
    let failed: Vec<_> = opened.iter().filter_map(|store| store.as_ref().err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

async fn error_of(url: String) -> String {
    Store::new(Place::new(url)).ready().await.unwrap_err().to_string()
}

#[tokio::test]
async fn errors_say_what_to_do_and_never_a_password() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| format!("sqlite://{}/{name}", place.path().display());
    let missing = error_of(path("no/such/directory/f.db")).await;
    assert!(missing.contains("store.url") && missing.contains("no/such/directory"), "{missing}");
    std::fs::write(place.path().join("text.db"), "this is no database, but long enough to be one".repeat(99)).unwrap();
    let text = error_of(path("text.db")).await;
    assert!(text.contains("no SQLite database"), "{text}");
    let server = error_of("postgres://fire:s3cret@127.0.0.1:1/drill?password=s3cret".to_owned()).await;
    assert!(server.contains("127.0.0.1:1/drill") && server.contains("running"), "{server}");
    assert!(!server.contains("s3cret") && !server.contains("fire:"), "{server}");
    for url in ["postgres://fire:s3cret@host/db", "postgres://fire:s3c?ret@host/db", "postgres://fire:s3c#ret@host/db"]
    {
        assert!(!format!("{:?}", Place::new(url)).contains("s3c"), "{url}");
    }
}

#[tokio::test]
async fn a_file_that_is_cut_short_is_an_error_not_a_loss() {
    let place = Where::sqlite();
    let store = place.open().await;
    for index in 0..200 {
        store.record(&verification(&format!("file {index}"), Some(1), Conclusion::Intact)).await.unwrap();
    }
    // A connection that is closed later would still take its log away, by name.
    store.close().await;
    let Where::Sqlite(directory) = &place else { unreachable!() };
    let file = directory.path().join("firedrill.db");
    // What the log still holds would mend it.
    for companion in ["firedrill.db-wal", "firedrill.db-shm"] {
        let _ = std::fs::remove_file(directory.path().join(companion));
    }
    let length = std::fs::metadata(&file).unwrap().len();
    std::fs::File::options().write(true).open(&file).unwrap().set_len(length / 2).unwrap();
    let outcome = async {
        let store = opened(place.place()).await?;
        store.newest(&[source()], 0).await.map(drop)
    };
    let error = outcome.await.unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains("move it away"), "{error}");
}

/// Rows of before don't say when the inode changed: they hold, and are read.
#[tokio::test]
async fn a_store_of_before_takes_its_new_column() {
    let place = Where::sqlite();
    let store = place.open().await;
    store.record(&verification("old", Some(1), Conclusion::Intact)).await.unwrap();
    store.close().await;
    let Where::Sqlite(directory) = &place else { unreachable!() };
    let url = format!("sqlite://{}/firedrill.db", directory.path().display());
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    for statement in ["ALTER TABLE verifications DROP COLUMN changed", "DELETE FROM _sqlx_migrations WHERE version = 7"]
    {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    drop(connection);
    let store = place.open().await;
    let kept = store.newest(&[source()], 0).await.unwrap();
    let facts = FileFacts { changed: None, ..verification("old", None, Conclusion::Intact).facts };
    assert_eq!(kept[0].verification.facts, facts);
    let renewed = verification("old", Some(1), Conclusion::Intact);
    store.record(&renewed).await.unwrap();
    assert_eq!(store.newest(&[source()], 0).await.unwrap()[0].verification.facts, renewed.facts);
}

#[tokio::test]
async fn tables_of_a_newer_version_are_left_alone() {
    let place = Where::sqlite();
    drop(place.open().await);
    let Where::Sqlite(directory) = &place else { unreachable!() };
    let url = format!("sqlite://{}/firedrill.db", directory.path().display());
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 0)";
    sqlx::query(later).execute(&mut connection).await.unwrap();
    drop(connection);
    let error = Store::new(place.place()).ready().await.unwrap_err().to_string();
    assert!(error.contains("another version of firedrill"), "{error}");
}

/// A full disk: what is refused can be stored once there is room.
#[tokio::test]
async fn a_full_disk_is_said_and_passes() {
    let place = Where::sqlite();
    // SQLite says the same of a file that must not grow as of a disk that is full.
    let store = opened(place.place().with_most_pages(60)).await.unwrap();
    store.record(&verification("a", Some(1), Conclusion::Intact)).await.unwrap();
    let mut refused = None;
    for index in 0..500 {
        let mut it = verification(&format!("file {index}"), Some(1), Conclusion::Intact);
        it.reason = Some("x".repeat(4_000).into());
        if let Err(error) = store.record(&it).await {
            refused = Some((it, error.to_string()));
            break;
        }
    }
    let (it, error) = refused.expect("the disk is full");
    assert!(error.contains("disk is full") && error.contains("make room"), "{error}");
    // It can be read all the same.
    assert!(!store.newest(&[source()], 0).await.unwrap().is_empty());
    place.open().await.record(&it).await.unwrap();
}

#[tokio::test]
async fn a_server_that_goes_away_is_an_error_in_bounded_time() {
    let place = Where::postgres();
    let store = place.open().await;
    let Where::Postgres(server, _) = &place else { unreachable!() };
    let pid = rustix::process::Pid::from_child(&server.process);
    rustix::process::kill_process(pid, rustix::process::Signal::QUIT).unwrap();
    let begun = std::time::Instant::now();
    let gone = async { while store.record(&verification("a", Some(1), Conclusion::Intact)).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60));
    let error = store.first_sight(&archive("a")).await.unwrap_err().to_string();
    assert!(error.contains("the store postgres://"), "{error}");
}
