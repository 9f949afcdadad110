//! Tells processes apart, over machines and containers.
//!
//! A name holds the boot, the namespace of process ids, the id, and a random number: `BOOT/NAMESPACE/PID/NONCE`. Only of a
//! process of the same boot and namespace can be said that it has ended.

use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};

use crate::engine::ports::ledger::Processes;

/// This process among others.
#[derive(Debug, Clone)]
pub struct Here {
    place: String,
    name: Arc<str>,
}

impl Here {
    /// Names this process.
    pub fn new() -> anyhow::Result<Self> {
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce).map_err(|error| anyhow::anyhow!("no random number: {error}"))?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let place = format!("{}/{}", boot.trim(), namespace.display());
        let name = format!("{place}/{}/{:016x}", getpid().as_raw_nonzero(), u64::from_le_bytes(nonce));
        Ok(Self { place, name: name.into() })
    }
}

impl Processes for Here {
    fn me(&self) -> Arc<str> {
        self.name.clone()
    }

    fn is_gone(&self, owner: &str) -> bool {
        // Without a boot id two machines would look the same.
        let rest = owner.strip_prefix(&*self.place).filter(|_| !self.place.starts_with('/'));
        let pid = rest.and_then(|rest| rest.strip_prefix('/')?.split('/').next()?.parse().ok()).and_then(Pid::from_raw);
        pid.is_some_and(|pid| pid != getpid() && test_kill_process(pid) == Err(Errno::SRCH))
            // The same id in the same namespace, and yet not us: the one before us.
            || pid == Some(getpid()) && owner != &*self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_ended_is_gone() {
        let here = Here::new().unwrap();
        assert!(!here.is_gone(&here.me()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let name = format!("{}/{}/0", here.place, child.id());
        assert!(!here.is_gone(&name), "a zombie still has its id");
        child.wait().unwrap();
        assert!(here.is_gone(&name));
        assert!(!here.is_gone(&format!("{}/1/0", here.place)), "somebody else's process lives");
        for elsewhere in ["", "other-boot/pid:[1]/99999999/0", "x"] {
            assert!(!here.is_gone(elsewhere), "{elsewhere}");
        }
        assert!(here.is_gone(&format!("{}/{}/0", here.place, std::process::id())), "our id, used before us");
    }
}
