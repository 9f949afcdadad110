//! One look at all sources, for commands that run without a daemon.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::adapters::machine::clock::SystemClock;
use crate::app::WatchedSource;
use crate::domain::age;
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::look::{ErrorKind, Look, LookError, SourceSpec};
use crate::domain::policy::Policy;
use crate::engine::ports::{Clock as _, Source};

/// Looks at all sources at the same time; each has its own time limit.
pub(super) fn at_all(sources: Vec<WatchedSource>, policy: &Policy) -> Inventory {
    let specs: Vec<_> = sources.iter().map(|it| it.source.spec().clone()).collect();
    let bar = progress(sources.len() as u64);
    let running: Vec<_> = sources.into_iter().map(|it| start(it.source)).collect();
    let mut inventory = Inventory::unseen(&specs, policy);
    for ((spec, receive), started) in specs.iter().zip(running).zip(std::iter::repeat(Instant::now())) {
        bar.set_message(spec.name.to_string());
        let left = spec.scan_timeout.saturating_sub(started.elapsed());
        let look = receive.recv_timeout(left).unwrap_or_else(|ended| Look::blind(spec, &no_result(ended, spec)));
        let view = SourceView::unseen(spec.clone(), policy).after(look, started.elapsed(), policy, SystemClock.now());
        inventory = inventory.with(view);
        bar.inc(1);
    }
    bar.finish_and_clear();
    inventory
}

fn no_result(ended: mpsc::RecvTimeoutError, spec: &SourceSpec) -> LookError {
    match ended {
        mpsc::RecvTimeoutError::Timeout => {
            let roots: Vec<&str> = spec.places.iter().map(|root| &*root.path).collect();
            LookError::new(ErrorKind::Timeout, no_answer(&roots.join(", "), spec.scan_timeout))
        }
        mpsc::RecvTimeoutError::Disconnected => LookError::new(ErrorKind::Internal, "defect in the scan"),
    }
}

fn no_answer(path: &str, limit: Duration) -> String {
    format!("looking at {path} did not end within {}; is a network share hanging?", age::words(limit))
}

/// Asks something about a path that may never be answered, on a thread that nobody waits for any longer.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    path: &Path,
    work: impl FnOnce(&Path) -> T + Send + 'static,
) -> anyhow::Result<T> {
    let (send, receive) = mpsc::channel();
    let its = path.to_owned();
    std::thread::spawn(move || {
        let _ = send.send(work(&its));
    });
    receive.recv_timeout(limit).map_err(|ended| match ended {
        mpsc::RecvTimeoutError::Timeout => anyhow::anyhow!(no_answer(&path.display().to_string(), limit)),
        mpsc::RecvTimeoutError::Disconnected => anyhow::anyhow!("defect in looking at {}", path.display()),
    })
}

fn start(mut source: Box<dyn Source>) -> mpsc::Receiver<Look> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody listens any more once the time is up.
        let _ = send.send(source.look(SystemClock.now()));
    });
    receive
}

/// A bar on a terminal; nothing elsewhere.
fn progress(sources: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(sources);
    if let Ok(style) = ProgressStyle::with_template("{spinner} looking at {msg} {bar:20} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
