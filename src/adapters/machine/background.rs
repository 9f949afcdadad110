//! Takes a thread, and those that it starts, into the background: less processor time and less of the disks than others.

use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// ionice does nothing that takes time.
const IONICE_TIMEOUT: Duration = Duration::from_secs(5);

/// How far a thread stands back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Background {
    /// Its niceness, 0 to 19.
    pub nice: u8,
    /// Whether it reads only when nobody else wants the disk. Works where the disk's scheduler is BFQ.
    pub idle_io: bool,
}

impl Background {
    /// Applies to the calling thread, as far as the system lets it; says in the log what it doesn't.
    pub fn enter(self) {
        let me = rustix::thread::gettid();
        if self.nice > 0
            && let Err(error) = rustix::process::setpriority_process(Some(me), i32::from(self.nice))
        {
            tracing::warn!(%error, nice = self.nice, "a verifying thread could not be made nice");
        }
        if self.idle_io {
            self.enter_idle_class(me.as_raw_nonzero().get());
        }
    }

    /// No kept library sets the I/O class of a thread; util-linux does, and is part of every Debian.
    fn enter_idle_class(self, thread: i32) {
        let mut ionice = Command::new("ionice");
        ionice.args(["--class", "idle", "--pid", &thread.to_string()]);
        ionice.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match ionice.spawn().and_then(|child| wait(child, IONICE_TIMEOUT)) {
            Ok(Some(status)) if status.success() => {}
            Ok(Some(status)) => tracing::warn!(%status, "ionice could not put a verifying thread into the idle class"),
            Ok(None) => tracing::warn!("ionice does not end: verifying threads read with ordinary I/O priority"),
            Err(error) => {
                tracing::warn!(%error, "a verifying thread reads with ordinary I/O priority: ionice can't be run")
            }
        }
    }
}

/// Waits for a child's end no longer than this; `None` when it goes on.
fn wait(mut child: Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        let ended = child.try_wait()?;
        if ended.is_some() || begun.elapsed() > limit {
            return Ok(ended);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
