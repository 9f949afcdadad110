//! Takes alerts in: many requests, one transaction. What it says is kept is durable.
//!
//! Requests wait in a short queue. Whatever waits when a transaction ends goes into the next one together: a disk that
//! syncs a hundred times a second takes thousands of alerts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use super::ports::ledger::{Ledger, Received};
use super::ports::{Clock, StoreError};
use crate::domain::automation::occurrence::{Bounds, Heard, Tidings};
use crate::domain::automation::status;

/// Requests that may wait. Beyond them the answer is "later".
const QUEUE: usize = 256;

/// Alerts of one transaction; a single request may have more.
const BATCH: usize = 1_000;

/// Whoever waits longer is told to come again. Alertmanager gives up after ten seconds at our own advice.
const PATIENCE: Duration = Duration::from_secs(8);

/// Why alerts were not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Too many requests wait already.
    #[error("too many notifications wait already")]
    Busy,
    /// The store did not answer in time.
    #[error("the store did not answer in time")]
    Slow,
    /// The store could not do it.
    #[error(transparent)]
    Store(StoreError),
}

struct Request {
    alerts: Vec<Received>,
    kept: oneshot::Sender<Result<(), StoreError>>,
}

/// Hands alerts to the writer. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::Sender<Request>,
    counts: Arc<Mutex<status::Intake>>,
}

/// Writes what the [`Intake`] takes.
pub struct Writer {
    queue: mpsc::Receiver<Request>,
    outlet: Outlet,
    counts: Arc<Mutex<status::Intake>>,
}

/// Where the [`Writer`] writes, and how.
pub struct Outlet {
    /// Keeps alerts.
    pub ledger: Arc<dyn Ledger>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Wakes the reactor.
    pub wake: Arc<Notify>,
    /// When an alert is a new occurrence by the time that passed.
    pub bounds: Bounds,
}

/// An intake and its writer.
pub fn new(outlet: Outlet) -> (Intake, Writer) {
    let (send, queue) = mpsc::channel(QUEUE);
    let counts: Arc<Mutex<status::Intake>> = Arc::default();
    (Intake { queue: send, counts: counts.clone() }, Writer { queue, outlet, counts })
}

impl Intake {
    /// Keeps alerts; returns when they are durable.
    pub async fn keep(&self, alerts: Vec<Received>) -> Result<(), NotKept> {
        let (kept, answer) = oneshot::channel();
        self.queue.try_send(Request { alerts, kept }).map_err(|_| NotKept::Busy)?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(result)) => result.map_err(NotKept::Store),
            Ok(Err(_)) | Err(_) => Err(NotKept::Slow),
        }
    }

    /// Counts what came in.
    pub fn count(&self, count: impl FnOnce(&mut status::Intake)) {
        count(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What came in so far.
    pub fn counts(&self) -> status::Intake {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Writes until every [`Intake`] is gone.
    pub async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            let mut requests = vec![first];
            let mut alerts = requests[0].alerts.len();
            while alerts < BATCH
                && let Ok(next) = self.queue.try_recv()
            {
                alerts += next.alerts.len();
                requests.push(next);
            }
            self.write(requests).await;
            self.outlet.wake.notify_one();
        }
    }

    async fn write(&self, mut requests: Vec<Request>) {
        // Whoever stopped waiting was told to come again.
        requests.retain(|request| !request.kept.is_closed());
        let mut all: Vec<Received> = Vec::new();
        let lengths: Vec<usize> = requests.iter().map(|request| request.alerts.len()).collect();
        requests.iter_mut().for_each(|request| all.append(&mut request.alerts));
        let now = self.outlet.clock.now();
        let together = self.keep(&all, now).await;
        if together.is_ok() || requests.len() == 1 {
            requests.into_iter().for_each(|request| answer(request, together.clone()));
            return;
        }
        // One request that can't be kept must not take the others with it.
        let mut rest = &all[..];
        for (request, length) in requests.into_iter().zip(lengths) {
            let (own, others) = rest.split_at(length);
            rest = others;
            answer(request, self.keep(own, now).await);
        }
    }

    async fn keep(&self, alerts: &[Received], now: Timestamp) -> Result<(), StoreError> {
        let tidings = self.outlet.ledger.receive(alerts, self.outlet.bounds, now).await?;
        heard(&tidings, &mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

/// Counts what was heard, and says what is out of the ordinary.
pub(super) fn heard(tidings: &Tidings, counts: &mut status::Intake) {
    for ((heard, count, first), total) in tidings.all().zip(&mut counts.heard) {
        *total += count;
        let (Some(remark), Some(first)) = (heard.remark(), first) else { continue };
        if heard == Heard::Reopened {
            tracing::warn!(alerts = count, fingerprint = first, "alerts {remark}");
        } else {
            tracing::info!(alerts = count, fingerprint = first, "alerts {remark}");
        }
    }
}

fn answer(request: Request, result: Result<(), StoreError>) {
    // Nobody may be waiting any more.
    let _ = request.kept.send(result);
}
