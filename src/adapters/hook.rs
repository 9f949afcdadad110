//! Runs a program for an action: no shell, a clean environment, a time limit, nothing left behind.

mod environment;
mod place;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::environment::{add, cleaned};
pub use self::place::{Place, inspect};
use crate::domain::age;
use crate::domain::automation::action::{Action, hook};
use crate::domain::automation::record::Record;
use crate::engine::ports::ledger::{Effect, EffectFailure, Outcome};

/// So much of what a program writes is kept; the rest is read and thrown away.
const MOST_OUTPUT: usize = 64 << 10;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Whether all have ended is looked at so often meanwhile.
const POLL: Duration = Duration::from_millis(50);

/// Looks for a group between two for marks.
const MARKS_EACH: u32 = 40;

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
    fn perform<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<Outcome, EffectFailure>> {
        Box::pin(async move {
            let Action::Hook(hook::Hook { program, arguments, timeout, labels, annotations }) = &record.action else {
                return Err(EffectFailure::new("a defect in firedrill: an action of another sort; please report it"));
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
            let run = Run { program, arguments, environment, limit: Duration::from_secs(*timeout) };
            run.wait(record.id, &record.rule).await
        })
    }
}

/// Others must not be able to change what is run in our name.
fn check(program: &str) -> Result<(), EffectFailure> {
    place::inspect(program).refused.map_or(Ok(()), |reason| Err(EffectFailure::new(reason)))
}

/// A program that is to be run.
struct Run<'a> {
    program: &'a str,
    arguments: &'a [Arc<str>],
    environment: BTreeMap<String, String>,
    limit: Duration,
}

impl Run<'_> {
    fn start(&self) -> Result<(Child, Group), EffectFailure> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| EffectFailure::new(format!("no random number: {error}")))?;
        let mark: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut command = Command::new(self.program);
        command.args(self.arguments.iter().map(|argument| &**argument));
        command.env_clear().envs(&self.environment).env(MARK, &mark);
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let failed = |error| EffectFailure::new(format!("{} could not be started: {error}", self.program));
        let child = command.spawn().map_err(failed)?;
        let group = Group { leader: child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)), mark };
        Ok((child, group))
    }

    async fn wait(self, action: i64, rule: &str) -> Result<Outcome, EffectFailure> {
        let (program, limit) = (self.program, self.limit);
        let until = Instant::now() + limit;
        let (mut child, group) = self.start()?;
        let output = Output::default();
        let readers = [
            child.stdout.take().map(|pipe| tokio::spawn(output.clone().take(pipe))),
            child.stderr.take().map(|pipe| tokio::spawn(output.clone().take(pipe))),
        ];
        let failure = match timeout(limit, child.wait()).await {
            Ok(Ok(status)) if status.success() => None,
            Ok(Ok(status)) => Some(format!("{program} failed: {status}")),
            Ok(Err(error)) => Some(format!("{program} could not be waited for: {error}")),
            Err(_) => {
                group.end(&mut child).await;
                Some(format!("{program} took longer than {} and was killed with its children", age::words(limit)))
            }
        };
        let mut open = Readers(Vec::new());
        let last = Instant::now() + LAST_OUTPUT;
        for mut reader in readers.into_iter().flatten() {
            if timeout_at(last, &mut reader).await.is_err() {
                open.0.push(reader);
            }
        }
        if group.lives() {
            // It ended by itself: what it left running has the rest of its time, and is read, or it would end at a
            // closed pipe.
            let rule = rule.to_owned();
            tokio::spawn(async move {
                group.outlive(until, action, rule).await;
                drop(open);
            });
        } else {
            group.forget();
        }
        let text = output.text();
        match failure {
            None => Ok(Outcome { result: format!("{program} ended well"), output: text, notices: Vec::new() }),
            Some(reason) => Err(EffectFailure { reason, output: text }),
        }
    }
}

/// Pipes that are still read. Dropped, they are closed.
struct Readers(Vec<JoinHandle<()>>);

impl Drop for Readers {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
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
    /// Waits for what goes on after the program itself, and ends it when its time is over. The number of a group can't
    /// be given anew while it has a member; once none was seen, the number means nothing any more.
    async fn outlive(mut self, until: Instant, action: i64, rule: String) {
        let mut looks = 0_u32;
        while Instant::now() < until {
            if self.leader.is_none_or(|leader| test_kill_process_group(leader).is_err()) {
                self.leader = None;
                // To look for marks means to read all of /proc.
                if looks.is_multiple_of(MARKS_EACH) && self.marked().is_empty() {
                    return self.forget();
                }
                looks += 1;
            }
            sleep(POLL.min(until.saturating_duration_since(Instant::now()))).await;
        }
        self.terminate();
        let gone = async {
            while self.lives() {
                sleep(POLL).await;
            }
        };
        let _ = timeout(GRACE, gone).await;
        self.kill();
        tracing::warn!(action, rule, "what the hook left running was ended when its time was over");
        self.forget();
    }

    /// Asks all to end.
    fn terminate(&self) {
        if let Some(leader) = self.leader {
            // It may have ended in this moment.
            let _ = kill_process_group(leader, Signal::TERM);
        }
        for pid in self.marked() {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Asks it to end, then makes it.
    async fn end(&self, child: &mut Child) {
        self.terminate();
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
