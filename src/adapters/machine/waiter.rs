//! For threads that ask somebody who is spoken to asynchronously: they wait for the answer.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;

/// A runtime of one thread whose users wait on threads of their own. Cheap to clone.
#[derive(Clone)]
pub struct Waiter(Arc<Threads>);

/// Whoever drops the last one doesn't wait for its thread: it may be a task itself.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Waiter {
    /// With a thread of this name.
    pub fn new(name: &'static str) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(name)
            .enable_all()
            .build()
            .with_context(|| format!("starting the thread {name}"))?;
        Ok(Self(Arc::new(Threads(Some(runtime)))))
    }

    fn runtime(&self) -> &Runtime {
        self.0.0.as_ref().expect("it is there until it is dropped")
    }

    /// Waits for an answer. Never called on a thread of a runtime.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime().block_on(work)
    }

    /// Waits so long at most, on any thread; what isn't done then goes on until the last user is gone.
    pub fn wait_for(&self, limit: Duration, work: impl Future<Output = ()> + Send + 'static) {
        let (done, wait) = mpsc::channel();
        self.runtime().spawn(async move {
            work.await;
            // Whoever waited may be gone.
            let _ = done.send(());
        });
        let _ = wait.recv_timeout(limit);
    }
}
