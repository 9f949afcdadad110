//! Notices changes in directories early (inotify). Polling stays the truth: a share tells nothing of changes that
//! another machine made, and a directory that isn't there can't be watched.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// A directory may appear, or another be mounted over it: what is watched is compared with what is there this often.
const REARM: Duration = Duration::from_secs(60);

/// Watches `paths` until the receiver is gone; sends when something came, went or was finished there. Starts a thread
/// that nobody waits for, because asking for a path on a dead share blocks.
pub fn spawn(source: &str, paths: Vec<PathBuf>, nudges: mpsc::Sender<()>) {
    let name = format!("watch {source}");
    let source = source.to_owned();
    let work = move || {
        if let Err(error) = watch(&paths, &nudges) {
            tracing::warn!(source, %error, "changes are not noticed early, only at the next scan");
        }
    };
    if let Err(error) = std::thread::Builder::new().name(name).spawn(work) {
        tracing::warn!(%error, "could not start a thread to watch directories");
    }
}

fn watch(paths: &[PathBuf], nudges: &mpsc::Sender<()>) -> notify::Result<()> {
    let (send, changes) = sync_channel(1);
    let on_event = move |event: notify::Result<Event>| {
        if event.as_ref().map_or(true, |event| matters(&event.kind)) {
            // Full: a change is waiting to be told already.
            let _ = send.try_send(());
        }
    };
    let mut watcher = RecommendedWatcher::new(on_event, notify::Config::default())?;
    let mut watched: Vec<Option<(u64, u64)>> = vec![None; paths.len()];
    while !nudges.is_closed() {
        for (path, identity) in paths.iter().zip(&mut watched) {
            let now = std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
            if now != *identity {
                // The old watch, if any, died with its directory.
                let _ = watcher.unwatch(path);
                *identity = now;
                if now.is_some()
                    && let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive)
                {
                    tracing::warn!(path = %path.display(), %error, "changes there are not noticed early, only at the next scan");
                }
                // What came before the watch was armed told nobody.
                let _ = nudges.try_send(());
            }
        }
        match changes.recv_timeout(REARM) {
            Ok(()) => {
                let _ = nudges.try_send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(())
}

/// A running backup writes all the time; only what comes, goes or ends is news.
fn matters(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Create(_)
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_))
            | EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Other
    )
}
