//! Has an operation done, and tells how it goes.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use jiff::SignedDuration;
use tokio::sync::watch;

use super::Way;
use crate::adapters::machine::clock::SystemClock;
use crate::app::state_work::{ForCommands, for_commands};
use crate::cli::{EXIT_TROUBLE, say};
use crate::config::Config;
use crate::domain::operation::plan::Plan;
use crate::domain::operation::{Ending, Frame, State};
use crate::domain::printable::shown;
use crate::domain::state::work::{FALLBACK, RESTORE, RETURN};
use crate::engine::operations::run_one;
use crate::engine::ports::Clock as _;
use crate::engine::ports::automation::Page;
use crate::engine::ports::operations::{NewOperation, OperationStore as _, Planned, Word};

/// What isn't done by then is taken back.
const DEADLINE: SignedDuration = SignedDuration::from_hours(1);

/// Steps are shown as they begin; looked for so often.
const LOOK: Duration = Duration::from_millis(50);

/// What is to be done.
pub(super) struct Wish {
    pub(super) kind: &'static str,
    /// What nothing else may work on meanwhile.
    pub(super) subject: String,
    pub(super) title: String,
    /// A name for this wish alone.
    pub(super) request: String,
    pub(super) plan: Plan,
}

/// A name that nobody else has: 32 hexadecimal digits, as a UUID is written.
pub(super) fn unique() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random number: {error}"))?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// Who asks: `user@host`.
pub(super) fn who() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| format!("uid {}", rustix::process::getuid().as_raw()));
    let host = rustix::system::uname();
    format!("{user}@{}", host.nodename().to_string_lossy())
}

/// Says what will be done; whether it is to be done.
pub(super) fn confirmed(way: &Way, summary: &str, plan: &Plan) -> anyhow::Result<bool> {
    let mut text = summary.to_owned();
    text.push_str("\nSteps:\n");
    for (at, step) in plan.steps().iter().enumerate() {
        text.push_str(&format!("  {}. {}\n", at + 1, shown(&step.title)));
    }
    tell(&text);
    if way.dry_run {
        tell("Dry run: nothing was done.\n");
        return Ok(false);
    }
    if way.yes {
        return Ok(true);
    }
    ensure!(std::io::stdin().is_terminal(), "nobody can be asked here: add --yes to do it, or --dry-run to do nothing");
    tell("Type yes to do it: ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    ensure!(answer.trim() == "yes", "nothing was done");
    Ok(true)
}

/// To a person: what is printed for programs goes elsewhere.
pub(super) fn tell(text: &str) {
    // A terminal that is gone reads nothing more.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Does it. An error says why it wasn't done, and that it was taken back.
pub(super) async fn conduct(it: &ForCommands, wish: Wish) -> anyhow::Result<i64> {
    let now = SystemClock.now();
    let new = NewOperation {
        request: wish.request,
        kind: wish.kind.to_owned(),
        subject: wish.subject,
        title: wish.title,
        by: format!("cli:{}", who()).into(),
        frame: Frame { plan: wish.plan, dry_run: false, deadline: now + DEADLINE },
    };
    it.store.ready().await.context("what is done step by step is kept in the store")?;
    let id = match it.store.plan(&new, now).await? {
        Planned::New(id) | Planned::Same(id) => id,
        Planned::Busy(other) => bail!(
            "operation {other} works on it already: `firedrill state resume {other}` goes on with it where nobody does"
        ),
    };
    drive(it, id).await?;
    Ok(id)
}

/// Drives an operation to its end.
async fn drive(it: &ForCommands, id: i64) -> anyhow::Result<()> {
    let (_stop, stopped) = watch::channel(false);
    let driving = run_one(it.outside.clone(), id, stopped);
    tokio::pin!(driving);
    let (mut told, mut cancelled) = (String::new(), false);
    let state = loop {
        tokio::select! {
            state = &mut driving => break state?,
            _ = tokio::signal::ctrl_c(), if !cancelled => {
                cancelled = true;
                tell("Taking back what was done …\n");
                let by = format!("cli:{}", who()).into();
                it.store.say(id, Word::Cancel, &by, SystemClock.now()).await?;
            }
            () = tokio::time::sleep(LOOK) => {
                let sentence = it.outside.board.all().into_iter().find(|shown| shown.id == id).map(|it| it.sentence);
                if let Some(sentence) = sentence.filter(|sentence| *sentence != told) {
                    tell(&format!("{sentence}\n"));
                    told = sentence;
                }
            }
        }
    };
    match state {
        None => bail!("there is no operation {id}"),
        Some(State::Finished { ending: Ending::Done, .. }) => Ok(()),
        Some(State::Finished { ending, left }) => {
            let why = match ending {
                Ending::Failed { reason } => reason,
                Ending::Cancelled { by } => format!("cancelled by {by}"),
                Ending::Done => String::new(),
            };
            match left.is_empty() {
                true => bail!("{why} (operation {id}; what was done is taken back)"),
                false => bail!("{why} (operation {id}); this could not be taken back: {}", left.join(", ")),
            }
        }
        Some(_) => bail!("operation {id} isn't over: another process drives it, see `firedrill state resume`"),
    }
}

/// Goes on with what was cut off.
pub(super) async fn resume(config: &Config, id: i64, cancel: bool) -> anyhow::Result<ExitCode> {
    crate::cli::store::is_there(config)?;
    let it = for_commands(config)?;
    it.store.ready().await?;
    let (found, _) = it.store.operation(id).await?.with_context(|| format!("there is no operation {id}"))?;
    ensure!([RESTORE, FALLBACK, RETURN].contains(&&*found.kind), "operation {id} is none of a state");
    if found.ended.is_some() {
        say(&format!("{}\n", found.sentence))?;
        let done = matches!(found.state, State::Finished { ending: Ending::Done, .. });
        return Ok(if done { ExitCode::SUCCESS } else { ExitCode::from(EXIT_TROUBLE) });
    }
    if cancel {
        it.store.say(id, Word::Cancel, &format!("cli:{}", who()).into(), SystemClock.now()).await?;
    }
    let driven = drive(&it, id).await;
    if cancel {
        let ended = it.store.operation(id).await?.map(|(it, _)| it.state);
        // Whatever else came of it, it isn't what was asked for.
        if matches!(&ended, Some(State::Finished { ending: Ending::Cancelled { .. }, left }) if left.is_empty()) {
            say("What was done is taken back.\n")?;
            return Ok(ExitCode::SUCCESS);
        }
        driven?;
        bail!("operation {id} was done before it could be cancelled");
    }
    driven?;
    say("Done.\n")?;
    Ok(ExitCode::SUCCESS)
}

/// Lists what isn't over.
pub(super) async fn list(config: &Config) -> anyhow::Result<ExitCode> {
    crate::cli::store::is_there(config)?;
    let it = for_commands(config)?;
    it.store.ready().await?;
    let all = it.store.operations(true, Page { before: None, limit: 100 }).await?;
    let mut text = String::new();
    for found in all.iter().filter(|it| [RESTORE, FALLBACK, RETURN].contains(&&*it.kind)) {
        text.push_str(&format!("{}  {}  {}\n", found.id, shown(&found.title), shown(&found.sentence)));
    }
    say(if text.is_empty() { "Nothing is open.\n" } else { &text })?;
    Ok(ExitCode::SUCCESS)
}

/// How a command ends, by what a plan of Terraform says.
pub(super) fn exit_code(planned: Option<&crate::engine::ports::workspace::Planned>) -> ExitCode {
    use crate::engine::ports::workspace::Planned;
    match planned {
        None | Some(Planned::NoChanges) => ExitCode::SUCCESS,
        Some(Planned::Changes(_)) => ExitCode::from(1),
        Some(Planned::Failed(_)) => ExitCode::from(EXIT_TROUBLE),
    }
}
