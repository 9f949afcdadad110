//! Runs a program for an action: no shell, a clean environment, a time limit, nothing left behind.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::domain::age;
use crate::domain::automation::action::Action;
use crate::domain::automation::alert::Labels;
use crate::domain::automation::record::Record;
use crate::engine::ports::ledger::{Effect, Failure, Outcome};

/// So much of what a program writes is kept; the rest is read and thrown away.
const MOST_OUTPUT: usize = 64 << 10;

/// A value in the environment is cut here; the kernel takes 128 KiB at most.
const MOST_VALUE: usize = 16 << 10;

/// All values together.
const MOST_ENVIRONMENT: usize = 256 << 10;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Whether all have ended is looked at so often meanwhile.
const POLL: Duration = Duration::from_millis(50);

/// What children that went on hold open is not waited for longer.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// The only search path that a hook has.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Marks the environment of a run, to find all that descends from it.
const MARK: &str = "FIREDRILL_RUN";

/// Passes over `/proc` at the end of a run: what is found may just have begun another process.
const SWEEPS: usize = 10;

/// Runs programs.
#[derive(Debug, Clone, Copy)]
pub struct Hook;

impl Effect for Hook {
    fn perform<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<Outcome, Failure>> {
        Box::pin(async move {
            let Action::Hook { program, arguments, timeout, labels, annotations } = &record.action else {
                return Err(Failure::new("a defect in firedrill: an action of another sort; please report it"));
            };
            check(program)?;
            let mut environment = BTreeMap::from([
                ("PATH".to_owned(), PATH.to_owned()),
                ("LANG".to_owned(), "C.UTF-8".to_owned()),
                ("FIREDRILL_ACTION".to_owned(), record.id.to_string()),
                ("FIREDRILL_RULE".to_owned(), cleaned(&record.rule)),
            ]);
            add(&mut environment, "FIREDRILL_LABEL_", labels);
            add(&mut environment, "FIREDRILL_ANNOTATION_", annotations);
            run(program, arguments, environment, Duration::from_secs(*timeout)).await
        })
    }
}

/// Others must not be able to change what is run in our name.
fn check(program: &str) -> Result<(), Failure> {
    let found = std::fs::metadata(program).map_err(|error| Failure::new(format!("{program}: {error}")))?;
    if !Path::new(program).is_absolute() || !found.is_file() || found.mode() & 0o111 == 0 {
        return Err(Failure::new(format!("{program} is no executable file with an absolute path")));
    }
    if found.mode() & 0o002 != 0 {
        return Err(Failure::new(format!("{program} can be changed by everybody: chmod o-w {program}")));
    }
    Ok(())
}

/// Adds labels under names that a shell can use. What doesn't fit is left out.
fn add(environment: &mut BTreeMap<String, String>, prefix: &str, labels: &Labels) {
    for (name, value) in labels {
        let fits = !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
        let size: usize = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
        let value = cleaned(value);
        if fits && size + prefix.len() + name.len() + value.len() <= MOST_ENVIRONMENT {
            environment.insert(format!("{prefix}{name}"), value);
        }
    }
}

/// Without control characters, and not too long.
fn cleaned(value: &str) -> String {
    let mut end = value.len().min(MOST_VALUE);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value[..end].chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

async fn run(
    program: &str,
    arguments: &[Arc<str>],
    environment: BTreeMap<String, String>,
    limit: Duration,
) -> Result<Outcome, Failure> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| Failure::new(format!("no random number: {error}")))?;
    let mark: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new(program);
    command.args(arguments.iter().map(|argument| &**argument)).env_clear().envs(environment).env(MARK, &mark);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child =
        command.spawn().map_err(|error| Failure::new(format!("{program} could not be started: {error}")))?;
    let group = Group { leader: child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)), mark };
    let output = Output::default();
    let readers = [
        child.stdout.take().map(|pipe| tokio::spawn(output.clone().take(pipe))),
        child.stderr.take().map(|pipe| tokio::spawn(output.clone().take(pipe))),
    ];
    let ended = timeout(limit, child.wait()).await;
    let failure = match &ended {
        Ok(Ok(status)) if status.success() => None,
        Ok(Ok(status)) => Some(format!("{program} failed: {status}")),
        Ok(Err(error)) => Some(format!("{program} could not be waited for: {error}")),
        Err(_) => {
            group.end(&mut child).await;
            Some(format!("{program} took longer than {} and was killed with its children", age::words(limit)))
        }
    };
    for reader in readers.into_iter().flatten() {
        let abort = reader.abort_handle();
        if timeout(LAST_OUTPUT, reader).await.is_err() {
            abort.abort();
        }
    }
    // It ended by itself: what it left running on purpose goes on.
    if failure.is_none() || ended.is_ok() {
        group.forget();
    }
    let text = output.text();
    match failure {
        None => Ok(Outcome { result: format!("{program} ended well"), output: text, notices: Vec::new() }),
        Some(reason) => Err(Failure { reason, output: text }),
    }
}

/// What a program and its children wrote, in the order in which it came.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<(Vec<u8>, bool)>>);

impl Output {
    async fn take(self, mut pipe: impl AsyncRead + Unpin) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MOST_OUTPUT.saturating_sub(kept.0.len()).min(count);
            kept.0.extend_from_slice(&buffer[..room]);
            kept.1 |= room < count;
        }
    }

    fn text(&self) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept.0);
        let shown: String =
            text.chars().map(|it| if it.is_control() && it != '\n' && it != '\t' { '\u{fffd}' } else { it }).collect();
        let more = if kept.1 { "\n… (the rest was not kept)" } else { "" };
        (!shown.is_empty()).then(|| shown + more)
    }
}

/// A program with all that descends from it. Dropped, it is killed.
struct Group {
    leader: Option<Pid>,
    mark: String,
}

impl Group {
    /// Asks it to end, then makes it.
    async fn end(&self, child: &mut Child) {
        if let Some(leader) = self.leader {
            // It may have ended in this moment.
            let _ = kill_process_group(leader, Signal::TERM);
        }
        for pid in self.marked() {
            let _ = kill_process(pid, Signal::TERM);
        }
        let all_gone = async {
            let _ = child.wait().await;
            // What it began has as much time as itself.
            while self.lives() {
                sleep(POLL).await;
            }
        };
        let _ = timeout(GRACE, all_gone).await;
        self.kill();
        let _ = child.wait().await;
    }

    fn lives(&self) -> bool {
        self.leader.is_some_and(|leader| test_kill_process_group(leader).is_ok()) || !self.marked().is_empty()
    }

    fn kill(&self) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, Signal::KILL);
        }
        // What left the group still has our mark in its environment.
        for _ in 0..SWEEPS {
            let found = self.marked();
            if found.is_empty() {
                return;
            }
            for pid in found {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    fn marked(&self) -> Vec<Pid> {
        let wanted = format!("{MARK}={}", self.mark);
        let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
        let pids = all.flatten().filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
        let has_mark = |pid: &Pid| {
            let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
        };
        pids.filter(has_mark).collect()
    }

    fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests;
