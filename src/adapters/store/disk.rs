//! Calls into the file system around the store. On a disk that doesn't answer they never return: who needs one waits a while,
//! and nobody else waits with them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::PATIENCE;

/// Makes such calls. Clones make them in turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    turn: Arc<Mutex<()>>,
    /// Whether the last one took too long; who comes while it goes on needn't wait as well.
    late: Arc<AtomicBool>,
}

impl Disk {
    /// Makes calls on a thread for that. Of threads that never come back there is one at most.
    pub(super) async fn call<T: Send + 'static>(&self, calls: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let silent = || io::Error::new(io::ErrorKind::TimedOut, "its disk doesn't answer");
        if self.late.load(Ordering::SeqCst) && self.turn.try_lock().is_err() {
            return Err(silent());
        }
        let work = async {
            let turn = self.turn.clone().lock_owned().await;
            self.late.store(false, Ordering::SeqCst);
            let done = tokio::task::spawn_blocking(move || {
                let done = calls();
                drop(turn);
                done
            });
            done.await.map_err(io::Error::other)
        };
        match timeout(PATIENCE, work).await {
            Ok(done) => done,
            Err(_) => {
                self.late.store(true, Ordering::SeqCst);
                Err(silent())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn who_hangs_holds_up_others_once_and_passes() {
        let disk = Disk::default();
        let (answer, hangs) = mpsc::channel::<()>();
        let first = disk.call(move || hangs.recv().is_err());
        assert!(first.await.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut));
        let begun = Instant::now();
        for _ in 0..1000 {
            assert!(disk.call(|| ()).await.is_err());
        }
        assert!(begun.elapsed() < PATIENCE, "each waited by itself");
        drop(answer);
        // Its thread is on its way back.
        while disk.call(|| ()).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(disk.call(|| 7).await.unwrap(), 7);
    }
}
