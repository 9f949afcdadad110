use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use futures_util::future::BoxFuture;

use super::*;
use crate::domain::attempt::{Attempt, Outcome, Sidecar};
use crate::domain::file::FileFacts;
use crate::domain::local_time::When;
use crate::domain::look::estate::EstateLook;
use crate::domain::look::{Look, Medium, PlaceLook, PlaceSpec, SourceKind, SourceSpec};
use crate::domain::policy::{Matcher, Policy};
use crate::domain::proof::book::{Proofs, SourceProofs};
use crate::domain::proof::{ArchiveId, FirstSight, Level, Levels, Method};
use crate::engine::ports::{Archives, Kept, LevelReached, OpenArchive, ProofStore, StoreError};
use crate::engine::provers::Prover;
use crate::engine::provers::reading::{Allowance, Reading};
use crate::engine::throttle::Throttle;
use crate::engine::watch::Limits;

mod hung;
mod methods;

/// Nothing in these tests takes so long, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        now()
    }
}

/// A store in memory that can be broken.
#[derive(Default)]
struct Memory {
    kept: Mutex<Vec<Verification>>,
    sights: Mutex<BTreeMap<ArchiveId, FirstSight>>,
    broken: AtomicBool,
    /// Reads, and takes nothing: a full disk.
    full: AtomicBool,
}

impl Memory {
    fn check(&self) -> Result<(), StoreError> {
        let broken = self.broken.load(Ordering::SeqCst);
        if broken { Err(StoreError { message: "the disk is full".to_owned() }) } else { Ok(()) }
    }

    fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    fn files(&self) -> Vec<(String, Conclusion)> {
        self.kept.lock().unwrap().iter().map(|it| (it.archive.file.to_string(), it.conclusion)).collect()
    }
}

impl ProofStore for Memory {
    fn first_sight<'a>(&'a self, archive: &'a ArchiveId) -> BoxFuture<'a, Result<Option<FirstSight>, StoreError>> {
        Box::pin(async { self.check().map(|()| self.sights.lock().unwrap().get(archive).cloned()) })
    }

    fn record<'a>(&'a self, it: &'a Verification) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(async {
            self.check()?;
            if self.full.load(Ordering::SeqCst) {
                return Err(StoreError { message: "the disk is full".to_owned() });
            }
            if let Some(digest) = it.digest {
                let sight = FirstSight { facts: it.facts, digest, at: it.started };
                self.sights.lock().unwrap().entry(it.archive.clone()).or_insert(sight);
            }
            let mut kept = self.kept.lock().unwrap();
            kept.push(it.clone());
            Ok(kept.len() as i64)
        })
    }

    fn newest<'a>(&'a self, _: &'a [SourceName], after: i64) -> BoxFuture<'a, Result<Vec<Kept>, StoreError>> {
        Box::pin(async move {
            self.check()?;
            let kept = self.kept.lock().unwrap();
            let all = kept.iter().enumerate().map(|(index, it)| Kept {
                id: index as i64 + 1,
                verification: it.clone(),
                first: None,
            });
            Ok(all.filter(|kept| kept.id > after).collect())
        })
    }

    fn levels<'a>(&'a self, _: &'a [SourceName]) -> BoxFuture<'a, Result<Vec<LevelReached>, StoreError>> {
        Box::pin(async { self.check().map(|()| Vec::new()) })
    }

    fn last(&self) -> BoxFuture<'_, Result<i64, StoreError>> {
        Box::pin(async { self.check().map(|()| self.kept.lock().unwrap().len() as i64) })
    }

    fn forget(&self, _: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async { Ok(0) })
    }

    fn seen<'a>(&'a self, _: &'a [ArchiveId], _: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

/// What reading a file does.
#[derive(Clone)]
enum Content {
    Bytes(Vec<u8>),
    /// Changes while it is read.
    Changing,
    /// Never ends.
    Endless,
    /// Reading it doesn't return until the other end is dropped; then it is as long as it should be.
    Hanging(Arc<Mutex<std::sync::mpsc::Receiver<()>>>),
    Gone,
}

#[derive(Default)]
struct Disk(Mutex<BTreeMap<String, Content>>);

impl Archives for Disk {
    fn open(&self, archive: &ArchiveId) -> io::Result<Box<dyn OpenArchive>> {
        match self.0.lock().unwrap().get(&*archive.file).cloned() {
            None | Some(Content::Gone) => Err(io::ErrorKind::NotFound.into()),
            Some(content) => Ok(Box::new(Opened { content, at: 0 })),
        }
    }
}

struct Opened {
    content: Content,
    at: usize,
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.content {
            Content::Bytes(bytes) => {
                let count = (&bytes[self.at..]).read(buffer)?;
                self.at += count;
                Ok(count)
            }
            Content::Endless => {
                std::thread::sleep(Duration::from_millis(1));
                buffer.fill(b'x');
                Ok(buffer.len())
            }
            Content::Hanging(until) => {
                let _ = until.lock().unwrap().recv();
                Ok(0)
            }
            Content::Changing | Content::Gone => Ok(0),
        }
    }
}

impl OpenArchive for Opened {
    fn facts(&self) -> FileFacts {
        FileFacts::new(100, now())
    }

    fn unchanged(&mut self) -> io::Result<bool> {
        Ok(!matches!(self.content, Content::Changing))
    }

    fn sidecar(&mut self) -> io::Result<Option<(Sidecar, Vec<u8>)>> {
        Ok(None)
    }
}

fn source() -> SourceName {
    "s".parse().unwrap()
}

/// A snapshot with one dump per file, the first one the newest.
fn inventory(files: &[&str]) -> Arc<Inventory> {
    inventory_of(&[("/dumps", files)])
}

/// The same in several directories.
fn inventory_of(roots: &[(&str, &[&str])]) -> Arc<Inventory> {
    let spec_of = |(path, _): &(&str, &[&str])| PlaceSpec {
        path: (*path).into(),
        medium: Medium::Local,
        node: None,
        readable: true,
    };
    let spec = Arc::new(SourceSpec {
        name: source(),
        kind: SourceKind::new("dump"),
        places: roots.iter().map(spec_of).collect(),
        expected: Vec::new(),
        exclude: Matcher::default(),
        scan_interval: Duration::from_secs(60),
        scan_timeout: Duration::from_secs(60),
    });
    let attempt = |(index, file): (usize, &&str)| Attempt {
        size: 100,
        modified: Some(now()),
        ..Attempt::new(
            format!("dump/{file}").parse().unwrap(),
            When::At(now() - jiff::SignedDuration::from_secs(index as i64)),
            Outcome::Complete { warning: None },
            (*file).into(),
        )
    };
    let look_at = |(_, files): &(&str, &[&str])| {
        let attempts = files.iter().enumerate().map(attempt).collect();
        let listing = PlaceListing { attempts, ..PlaceListing::default() };
        PlaceLook { listing: Ok(Arc::new(listing)), capacity: None }
    };
    let look = Look { places: roots.iter().map(look_at).collect(), estate: EstateLook::default() };
    let view = crate::domain::inventory::SourceView::unseen(spec.clone(), &Policy::default());
    let view = view.after(look, Duration::ZERO, &Policy::default(), now());
    Arc::new(Inventory::unseen(&[spec], &Policy::default()).with(view))
}

/// Reads what is there.
fn reading(disk: Arc<Disk>) -> Reading {
    let allowance = Allowance { throttle: Arc::new(Throttle::new(None)), timeout: PATIENCE, unpack_limit: u64::MAX };
    Reading { archives: disk, allowance, clock: Arc::new(Fixed) }
}

/// One at a time, at all hours.
fn lane(prover: impl Prover, level: Level, stall: Duration) -> Lane {
    Lane {
        prover: Arc::new(prover),
        level,
        workers: 1,
        window: None,
        again_after: Duration::from_secs(86_400),
        limits: Limits { stall, whole: PATIENCE },
    }
}

/// A running verifier with everything around it.
struct Rig {
    store: Arc<Memory>,
    disk: Arc<Disk>,
    inventories: watch::Sender<Arc<Inventory>>,
    news: mpsc::Receiver<News>,
    said: watch::Receiver<Option<Arc<Verifier>>>,
    stop: watch::Sender<bool>,
    order: mpsc::Sender<Order>,
    task: tokio::task::JoinHandle<()>,
    book: Option<Proofs>,
    status: Option<Arc<Verifier>>,
    patience: Duration,
}

impl Rig {
    fn start(files: &[(&str, Content)], prepare: impl FnOnce(&Memory)) -> Self {
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        Self::over(inventory(&names), files, prepare, PATIENCE)
    }

    /// Over a snapshot, giving up what stands still for so long.
    fn over(
        inventory: Arc<Inventory>,
        files: &[(&str, Content)],
        prepare: impl FnOnce(&Memory),
        stall: Duration,
    ) -> Self {
        Self::with(inventory, files, prepare, stall, Vec::new())
    }

    /// With further kinds of proof.
    fn with(
        inventory: Arc<Inventory>,
        files: &[(&str, Content)],
        prepare: impl FnOnce(&Memory),
        stall: Duration,
        more: Vec<Lane>,
    ) -> Self {
        let (store, disk) = (Arc::new(Memory::default()), Arc::new(Disk::default()));
        prepare(&store);
        disk.0.lock().unwrap().extend(files.iter().map(|(name, content)| (name.to_string(), content.clone())));
        let reading = lane(reading(disk.clone()), Level::Complete, stall);
        let lanes = std::iter::once(reading).chain(more).collect();
        let (inventories, receiver) = watch::channel(inventory);
        let (send, news) = mpsc::channel(16);
        let (stop, stopped) = watch::channel(false);
        let settings = Settings {
            sources: vec![source()],
            lanes,
            enough: Level::Complete,
            accepted: std::collections::BTreeMap::new(),
            retention: Duration::from_secs(86_400),
            prepare: Arc::new(|| {}),
        };
        let (_, standing) = watch::channel(Standing { tried: true, ..Standing::default() });
        let outside = Outside { store: store.clone(), standing, clock: Arc::new(Fixed) };
        let (order, orders) = mpsc::channel(1);
        let status = Post::default();
        let said = status.subscribe();
        let told = Told { news: send, status };
        let task = tokio::spawn(run(settings, outside, receiver, told, orders, stopped));
        Self { store, disk, inventories, news, said, stop, order, task, book: None, status: None, patience: PATIENCE }
    }

    /// For tests with a paused clock, which runs on whenever only a reading thread is at work.
    fn patiently(self) -> Self {
        Self { patience: 10_000 * PATIENCE, ..self }
    }

    /// Takes what is told next: whether it is how the verifier stands.
    async fn hear(&mut self) -> bool {
        tokio::select! {
            biased;
            news = self.news.recv() => {
                self.book = Some(news.expect("the verifier runs").1);
                false
            }
            said = self.said.changed() => {
                said.expect("the verifier runs");
                self.status = self.said.borrow_and_update().clone();
                true
            }
        }
    }

    /// Takes news until they are as wanted.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let patience = self.patience;
        let wait = async {
            while !wanted(self) {
                self.hear().await;
            }
        };
        timeout(patience, wait).await.unwrap_or_else(|_| panic!("never happened: {what}"));
    }

    fn known(&self, file: &str) -> Option<Conclusion> {
        self.known_in("/dumps", file)
    }

    fn known_in(&self, root: &str, file: &str) -> Option<Conclusion> {
        let Some(Proofs::Known(book)) = &self.book else { return None };
        let known: &SourceProofs = book;
        let said = known.known(root, file)?.by(&Method::READING)?;
        let unchecked = said.unchecked.as_ref().map(|_| Conclusion::Unchecked);
        unchecked.or(said.proof.as_ref().map(|proof| proof.conclusion))
    }

    async fn end(self) {
        self.stop.send_replace(true);
        timeout(PATIENCE, self.task).await.expect("it ends").expect("it does not panic");
    }
}

fn dump() -> Content {
    Content::Bytes(b"--\n-- PostgreSQL database dump\n--\n\n--\n-- PostgreSQL database dump complete\n--\n\n".to_vec())
}

fn cut_dump() -> Content {
    Content::Bytes(b"--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE".to_vec())
}

#[tokio::test]
async fn what_is_there_is_read_newest_first_and_kept() {
    let mut rig = Rig::start(&[("a.sql", dump()), ("b.sql", cut_dump()), ("c.sql", Content::Changing)], |_| {});
    rig.until("all are read", |rig| rig.known("c.sql").is_some()).await;
    assert_eq!(rig.known("a.sql"), Some(Conclusion::Intact));
    assert_eq!(rig.known("b.sql"), Some(Conclusion::Damaged));
    assert_eq!(rig.known("c.sql"), Some(Conclusion::Unchecked));
    let order: Vec<String> = rig.store.files().into_iter().map(|(file, _)| file).collect();
    assert_eq!(order, ["a.sql", "b.sql", "c.sql"]);
    rig.until("nothing waits", |rig| rig.status.as_ref().is_some_and(|it| it.waiting == 0 && it.running == 0)).await;
    rig.end().await;
}

#[tokio::test]
async fn what_was_pruned_meanwhile_is_nobodys_fault() {
    let mut rig = Rig::start(&[("a.sql", Content::Gone), ("b.sql", dump())], |_| {});
    rig.until("the other one is read", |rig| rig.known("b.sql").is_some()).await;
    assert_eq!(rig.store.files(), [("b.sql".to_owned(), Conclusion::Intact)]);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_store_nothing_is_known_and_nothing_read_until_it_is_back() {
    let mut rig = Rig::start(&[("a.sql", dump())], |store| store.set_broken(true)).patiently();
    let unknown = |rig: &Rig| matches!(&rig.book, Some(Proofs::Unknown(why)) if why.contains("full"));
    rig.until("the trouble is told", unknown).await;
    rig.until("the status tells it", |rig| rig.status.as_ref().is_some_and(|it| it.store_problem.is_some())).await;
    assert_eq!(rig.store.files(), []);
    rig.store.set_broken(false);
    rig.until("it is read", |rig| rig.known("a.sql") == Some(Conclusion::Intact)).await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_that_the_store_refuses_waits_and_nothing_new_begins() {
    let mut rig = Rig::start(&[("a.sql", dump())], |_| {}).patiently();
    rig.until("it is read", |rig| rig.known("a.sql").is_some()).await;
    rig.store.set_broken(true);
    rig.disk.0.lock().unwrap().extend([("b.sql".to_owned(), cut_dump()), ("c.sql".to_owned(), dump())]);
    rig.inventories.send_replace(inventory(&["a.sql", "b.sql", "c.sql"]));
    rig.until("a result waits", |rig| rig.status.as_ref().is_some_and(|it| it.unsaved == 1)).await;
    // Damage is known at once; what is intact has yet to be compared with the first sight.
    rig.until("damage is told", |rig| rig.known("b.sql") == Some(Conclusion::Damaged)).await;
    assert_eq!(rig.known("c.sql"), None);
    assert_eq!(rig.store.files().len(), 1);
    rig.store.set_broken(false);
    rig.until("the rest is read", |rig| rig.known("c.sql") == Some(Conclusion::Intact)).await;
    assert_eq!(rig.store.files().len(), 3);
    rig.end().await;
}

/// A full disk can still be read: that is no sign that the store works.
#[tokio::test(start_paused = true)]
async fn a_store_that_reads_and_does_not_write_is_down_until_it_writes() {
    let mut rig = Rig::start(&[("a.sql", dump())], |_| {}).patiently();
    rig.until("it is read", |rig| rig.known("a.sql").is_some()).await;
    rig.store.full.store(true, Ordering::SeqCst);
    rig.disk.0.lock().unwrap().insert("a.sql".to_owned(), cut_dump());
    rig.disk.0.lock().unwrap().insert("b.sql".to_owned(), cut_dump());
    rig.inventories.send_replace(inventory(&["a.sql", "b.sql"]));
    rig.until("damage is told", |rig| rig.known("b.sql") == Some(Conclusion::Damaged)).await;
    // Longer than the store is left alone between two readings.
    let mut told = 0;
    while told < 200 {
        if rig.hear().await {
            told += 1;
            let status = rig.status.as_ref().unwrap();
            assert!(told < 3 || status.store_problem.is_some(), "after {told} s");
        } else {
            assert_eq!(rig.known("b.sql"), Some(Conclusion::Damaged));
        }
    }
    rig.store.full.store(false, Ordering::SeqCst);
    rig.until("it works again", |rig| rig.status.as_ref().is_some_and(|it| it.store_problem.is_none())).await;
    rig.end().await;
}

#[tokio::test]
async fn it_stops_in_the_middle_of_an_archive_and_says_nothing_of_it() {
    let mut rig = Rig::start(&[("a.sql", Content::Endless)], |_| {});
    let reads = |rig: &Rig| rig.status.as_ref().is_some_and(|it| it.running == 1 && it.read > 0);
    rig.until("it reads", reads).await;
    let (store, begun) = (rig.store.clone(), std::time::Instant::now());
    rig.end().await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(store.files(), []);
}

#[tokio::test]
async fn other_bytes_under_the_same_size_and_time_are_bit_rot() {
    let rotten = |store: &Memory| {
        let id = ArchiveId { source: source(), root: "/dumps".into(), file: "a.sql".into() };
        let digest = crate::domain::proof::Digest([9; 32]);
        let sight = FirstSight { facts: FileFacts::new(100, now()), digest, at: now() };
        store.sights.lock().unwrap().insert(id, sight);
    };
    let mut rig = Rig::start(&[("a.sql", dump())], rotten);
    rig.until("it is read", |rig| rig.known("a.sql").is_some()).await;
    assert_eq!(rig.known("a.sql"), Some(Conclusion::Damaged));
    assert_eq!(rig.store.kept.lock().unwrap()[0].findings[0].kind, crate::domain::finding::Kind::BitRot);
    rig.end().await;
}
