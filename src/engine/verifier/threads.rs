//! Starts reading threads.
//!
//! They are started by a thread that was taken into the background once, at the beginning: on Linux threads have their
//! niceness and their I/O class from the one that starts them. Taking each of them there by itself would need a child
//! process each time, and on a FUSE share that doesn't answer a child process hangs before it has begun: it gets the open
//! files of this process, and closing them asks the share.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// Where the system gives no thread it is asked again after this.
const PAUSE: Duration = Duration::from_secs(10);

/// What a reading thread does.
type Work = Box<dyn FnOnce() + Send>;

pub(super) struct Threads(Option<mpsc::Sender<Work>>);

impl Threads {
    /// Threads that begin as `prepare` leaves its own.
    pub(super) fn new(prepare: Arc<dyn Fn() + Send + Sync>) -> Self {
        let (send, works) = mpsc::channel();
        let started = thread::Builder::new().name("readers".to_owned()).spawn(move || {
            prepare();
            for work in works {
                start(work);
            }
        });
        if let Err(error) = &started {
            tracing::error!(%error, "no thread could be started to verify archives");
        }
        Self(started.is_ok().then_some(send))
    }

    /// Has some work done on a thread of its own. `false` when that will never be.
    pub(super) fn run(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.0.as_ref().is_some_and(|works| works.send(Box::new(work)).is_ok())
    }
}

fn start(work: Work) {
    // A thread that can't be started must not take the work with it.
    let work = Arc::new(Mutex::new(Some(work)));
    loop {
        let its = work.clone();
        let begin = move || {
            let work = its.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(work) = work {
                work();
            }
        };
        match thread::Builder::new().name("verify".to_owned()).spawn(begin) {
            Ok(_) => return,
            Err(error) => tracing::error!(%error, "no thread could be started to verify an archive"),
        }
        thread::sleep(PAUSE);
    }
}
