//! Scans one source on its own schedule.
//!
//! ```text
//!            ┌────────────── interval, or a nudge ──────────────┐
//!            ▼                                                  │
//!        scanning ── in time ──► report ────────────────────────┤
//!            │                                                  │
//!            └── timeout ──► report "unknown", wait for the ────┘
//!                            hanging thread; no second one starts
//! ```
//! The source moves into the thread that scans it and comes back with the result. While a thread hangs (a dead NFS
//! server) there is nothing that a second scan could run on: overlap is impossible, not just avoided.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::ports::{Clock, Source};
use crate::domain::age;
use crate::domain::ids::SourceName;
use crate::domain::look::{ErrorKind, Look, LookError, SourceSpec};
use crate::domain::verdict::elapsed;

/// After a change was noticed, wait this long for the rest of it: vzdump renames the archive, then writes the log.
const CALM: Duration = Duration::from_secs(2);

/// However much changes, scans that changes caused are at least so far apart.
const NUDGE_GAP: Duration = Duration::from_secs(10);

/// So often it is seen whether the wall clock went on without the timers.
const CLOCK_LOOK: Duration = Duration::from_secs(5);

/// The result of a scan, for the keeper.
#[derive(Debug)]
pub struct Report {
    /// Which source.
    pub source: SourceName,
    /// What was seen.
    pub look: Look,
    /// How long it took.
    pub took: Duration,
    /// When it ended.
    pub ended: Timestamp,
}

/// Why a scanner ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ScannerError {
    /// The operating system gave no thread.
    #[error("could not start a thread to scan {0} on: {1}")]
    Thread(SourceName, std::io::Error),
    /// The thread died without unwinding.
    #[error("the thread that scanned {0} went away without a result")]
    Lost(SourceName),
}

/// A source on its way back from a scan.
type Returned = (Box<dyn Source>, Look);

/// Scans `source` until the receiver of `reports` is gone. A message in `nudges` brings the next scan forward.
pub async fn run(
    mut source: Box<dyn Source>,
    clock: Arc<dyn Clock>,
    reports: mpsc::Sender<Report>,
    mut nudges: mpsc::Receiver<()>,
) -> Result<(), ScannerError> {
    let spec = source.spec().clone();
    loop {
        // Changes up to here are what this scan will see; those that come while it runs call for another.
        while nudges.try_recv().is_ok() {}
        let started = Instant::now();
        let report = |look| Report { source: spec.name.clone(), look, took: started.elapsed(), ended: clock.now() };
        let mut scan = start(source, clock.now())?;
        match timeout(spec.scan_timeout, &mut scan).await {
            Ok(result) => {
                let (returned, look) = result.map_err(|_| ScannerError::Lost(spec.name.clone()))?;
                if reports.send(report(look)).await.is_err() {
                    return Ok(());
                }
                source = returned;
                pause(&spec, started, &*clock, &mut nudges).await;
            }
            // What the hanging scan saw when it ends at last is old; it is thrown away and a new scan follows.
            Err(_) => loop {
                let hangs = overdue(started.elapsed(), spec.scan_timeout);
                if reports.send(report(Look::blind(&spec, &hangs))).await.is_err() {
                    return Ok(());
                }
                if let Ok(result) = timeout(spec.scan_interval, &mut scan).await {
                    source = result.map_err(|_| ScannerError::Lost(spec.name.clone()))?.0;
                    // A place that is always too slow is not asked without pause.
                    sleep(NUDGE_GAP.min(spec.scan_interval)).await;
                    break;
                }
            },
        }
    }
}

fn overdue(elapsed: Duration, limit: Duration) -> LookError {
    let message = format!(
        "the scan has been hanging for {} (scan_timeout is {}); is a network share not answering? No other scan is started beside it",
        age::words(elapsed),
        age::words(limit)
    );
    LookError::new(ErrorKind::Timeout, message)
}

/// Starts a scan on a thread of its own. It isn't a task of the runtime: nothing waits for it at shutdown.
fn start(mut source: Box<dyn Source>, now: Timestamp) -> Result<oneshot::Receiver<Returned>, ScannerError> {
    let (send, receive) = oneshot::channel();
    let name = source.spec().name.clone();
    let work = move || {
        let look = catch_unwind(AssertUnwindSafe(|| source.look(now))).unwrap_or_else(|panic| {
            let defect = LookError::new(ErrorKind::Internal, format!("defect in the scan: {}", text_of(&*panic)));
            Look::blind(source.spec(), &defect)
        });
        // The receiver is gone when the process is about to end.
        let _ = send.send((source, look));
    };
    match std::thread::Builder::new().name(format!("scan {name}")).spawn(work) {
        Ok(_) => Ok(receive),
        Err(error) => Err(ScannerError::Thread(name, error)),
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("panic")
}

/// Waits for the next scan: the interval, or a change that was noticed.
async fn pause(spec: &SourceSpec, started: Instant, clock: &dyn Clock, nudges: &mut mpsc::Receiver<()>) {
    let change = async {
        if nudges.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interval(spec.scan_interval, clock) => {}
        () = change => sleep(CALM.max(NUDGE_GAP.saturating_sub(started.elapsed()))).await,
    }
}

/// Waits until it has passed on either clock: timers stand still while the machine sleeps, and what is known has grown old
/// all the same.
async fn interval(pause: Duration, clock: &dyn Clock) {
    let (begun, from) = (Instant::now(), clock.now());
    loop {
        let left = pause.saturating_sub(begun.elapsed().max(elapsed(from, clock.now())));
        if left.is_zero() {
            return;
        }
        sleep(left.min(CLOCK_LOOK)).await;
    }
}

#[cfg(test)]
mod tests;
