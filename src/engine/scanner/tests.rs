use crate::engine::archives::ArchivesBySource;
use crate::engine::ports::Archives;
use std::sync::Mutex;
use std::sync::mpsc as std_mpsc;

use super::*;
use crate::domain::look::estate::EstateLook;
use crate::domain::look::{Medium, PlaceListing, PlaceLook, PlaceSpec, SourceKind};
use crate::domain::policy::Matcher;

/// No scan of these tests takes so long, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a look does, one after the other; afterwards it finds nothing.
enum Act {
    Find,
    Panic,
    /// Waits until the other end is dropped.
    Hang(std_mpsc::Receiver<()>),
}

struct Scripted {
    spec: Arc<SourceSpec>,
    acts: std::vec::IntoIter<Act>,
    /// Looks at the same time, which must never be two.
    inside: Arc<Mutex<()>>,
}

impl Source for Scripted {
    fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    fn archives(&self) -> Arc<dyn Archives> {
        Arc::new(ArchivesBySource::default())
    }

    fn look(&mut self, _now: Timestamp) -> Look {
        let inside = self.inside.clone();
        let _alone = inside.try_lock().expect("two scans at once");
        match self.acts.next() {
            Some(Act::Panic) => {
                drop(_alone);
                panic!("a defect")
            }
            Some(Act::Hang(until)) => {
                let _ = until.recv();
            }
            Some(Act::Find) | None => {}
        }
        let root = PlaceLook { listing: Ok(Arc::new(PlaceListing::default())), capacity: None };
        Look { places: vec![root], estate: EstateLook::default() }
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap()
    }
}

fn start_scanner(acts: Vec<Act>, interval: Duration, limit: Duration) -> (mpsc::Receiver<Report>, mpsc::Sender<()>) {
    let spec = SourceSpec {
        name: "s".parse().unwrap(),
        kind: SourceKind::new("vzdump"),
        places: vec![PlaceSpec { path: "/x".into(), medium: Medium::Local, node: None, readable: true }],
        expected: Vec::new(),
        exclude: Matcher::default(),
        scan_interval: interval,
        scan_timeout: limit,
    };
    let source = Scripted { spec: Arc::new(spec), acts: acts.into_iter(), inside: Arc::default() };
    let (send, reports) = mpsc::channel(1);
    let (nudge, nudges) = mpsc::channel(1);
    tokio::spawn(run(Box::new(source), Arc::new(Fixed), send, nudges));
    (reports, nudge)
}

async fn outcome(reports: &mut mpsc::Receiver<Report>) -> Option<ErrorKind> {
    let report = timeout(PATIENCE, reports.recv()).await.unwrap().unwrap();
    assert_eq!(report.look.places.len(), 1);
    report.look.errors().next().map(|error| error.kind)
}

#[tokio::test]
async fn scans_again_and_again() {
    let (mut reports, _nudge) = start_scanner(vec![Act::Find], Duration::from_millis(1), PATIENCE);
    for _ in 0..3 {
        assert_eq!(outcome(&mut reports).await, None);
    }
}

#[tokio::test]
async fn a_defect_is_reported_and_the_next_scan_works() {
    let (mut reports, _nudge) = start_scanner(vec![Act::Panic, Act::Find], Duration::from_millis(1), PATIENCE);
    assert_eq!(outcome(&mut reports).await, Some(ErrorKind::Internal));
    assert_eq!(outcome(&mut reports).await, None);
}

#[tokio::test]
async fn a_hanging_scan_is_reported_until_it_ends_and_no_other_starts() {
    let (release, hang) = std_mpsc::channel();
    let (mut reports, _nudge) =
        start_scanner(vec![Act::Hang(hang), Act::Find], Duration::from_millis(10), Duration::from_millis(50));
    for _ in 0..3 {
        assert_eq!(outcome(&mut reports).await, Some(ErrorKind::Timeout));
    }
    drop(release);
    let mut last = outcome(&mut reports).await;
    while last == Some(ErrorKind::Timeout) {
        last = outcome(&mut reports).await;
    }
    assert_eq!(last, None);
}

#[tokio::test]
async fn a_change_brings_the_next_scan_forward() {
    let (mut reports, nudge) = start_scanner(vec![Act::Find], Duration::from_secs(3600), PATIENCE);
    assert_eq!(outcome(&mut reports).await, None);
    tokio::time::pause();
    let before = Instant::now();
    let report = async { timeout(Duration::from_secs(7200), reports.recv()).await.unwrap().unwrap() };
    let nudged = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        nudge.send(()).await.unwrap();
    };
    tokio::join!(report, nudged);
    // The clock runs ahead while the thread scans; an hour is the interval.
    assert!(before.elapsed() < Duration::from_secs(60), "{:?}", before.elapsed());
}

#[tokio::test]
async fn ends_when_nobody_listens() {
    let (reports, nudge) = start_scanner(vec![], Duration::from_millis(1), PATIENCE);
    drop(reports);
    timeout(PATIENCE, nudge.closed()).await.unwrap();
}
