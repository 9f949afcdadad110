//! For threads that wait for asynchronous clients.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::runtime::Runtime;

/// Drives the connections of a client on a thread of its own, so that other threads can wait for its answers. Cheap to clone.
#[derive(Clone)]
pub struct Waiting(Arc<Driver>);

/// Whoever drops the last one doesn't wait for its thread: it may be a task itself.
struct Driver(Option<Runtime>);

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Waiting {
    /// With a thread of this name.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(name)
            .enable_all()
            .build()
            .with_context(|| format!("starting the thread of the {name} client"))?;
        Ok(Self(Arc::new(Driver(Some(runtime)))))
    }

    /// Waits for an answer. Never called on a thread of a runtime.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.0.as_ref().expect("it is there until it is dropped").block_on(work)
    }
}
