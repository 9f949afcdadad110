//! `firedrill automation`: what waits for a person, the switch that stops everything, and what would follow from an alert.

mod explain;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};

use super::{ConfigFile, say};
use crate::adapters::machine::clock::SystemClock;
use crate::adapters::store::Store;
use crate::app;
use crate::config::Config;
use crate::domain::age;
use crate::domain::automation::action::Action;
use crate::domain::automation::action::rescan::Rescan;
use crate::domain::automation::action::reverify::Reverify;
use crate::domain::automation::decide::asked_for;
use crate::domain::automation::origin::Origin;
use crate::domain::automation::record::{ActionState, Record, Ruled, Ruling};
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::printable::shown;
use crate::domain::proof::Level;
use crate::domain::verdict::elapsed;
use crate::engine::ports::Clock as _;
use crate::engine::ports::automation::{ActionFilter, ActionStore as _, Page};

/// Actions that a list shows at most.
const LISTED: u32 = 100;

#[derive(Debug, Args)]
pub(super) struct Automation {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List actions that wait, run, or ended lately
    List {
        /// Only what waits for approval
        #[arg(long)]
        proposed: bool,
    },
    /// Approve a proposed action
    Approve {
        /// Its number
        #[arg(value_name = "ID")]
        id: i64,
    },
    /// Deny a proposed action
    Deny {
        /// Its number
        #[arg(value_name = "ID")]
        id: i64,
    },
    /// Ask a daemon on this store to do something now
    Request {
        #[command(subcommand)]
        what: Wanted,
    },
    /// Begin no action until resumed, on all daemons of the store; alerts are still kept
    Pause,
    /// Begin actions again; what came meanwhile is decided on as things stand then
    Resume,
    /// Print what would follow from a notification of Alertmanager, without doing any of it
    Explain {
        /// File with the JSON that Alertmanager sends
        #[arg(long, value_name = "FILE")]
        payload: PathBuf,
    },
}

/// What can be asked for. Programs and silences belong to rules.
#[derive(Debug, Subcommand)]
enum Wanted {
    /// Scan a source
    Rescan {
        /// Its name
        #[arg(value_name = "SOURCE")]
        source: SourceName,
    },
    /// Read the newest backup of an item
    Reverify {
        /// The source
        #[arg(value_name = "SOURCE")]
        source: SourceName,
        /// The item, such as qemu/100 or dump/shop
        #[arg(value_name = "ITEM")]
        item: ItemId,
        /// How much to prove: 1 present, 2 decodes to its end, 3 complete
        #[arg(long, value_name = "LEVEL", default_value_t = 3, value_parser = super::levels())]
        level: u8,
    },
}

impl Wanted {
    fn action(self) -> Action {
        match self {
            Self::Rescan { source } => Rescan { source }.into(),
            Self::Reverify { source, item, level } => {
                let level = Level::of(level.into()).unwrap_or(Level::Complete);
                Reverify { source, item, level }.into()
            }
        }
    }
}

impl Automation {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.load()?;
        if let Command::Explain { payload } = &self.command {
            return explain::run(&config, payload);
        }
        super::store::is_there(&config)?;
        let store = app::store(&config)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match self.command {
                Command::List { proposed } => list(&store, proposed).await,
                Command::Approve { id } => rule(&store, id, true).await,
                Command::Deny { id } => rule(&store, id, false).await,
                Command::Request { what } => request(&config, &store, what).await,
                Command::Pause => switch(&store, true).await,
                Command::Resume => switch(&store, false).await,
                Command::Explain { .. } => Ok(ExitCode::SUCCESS),
            }
        })
    }
}

/// Who sits at the keyboard, for the audit trail.
fn who() -> Arc<str> {
    let named = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let name = named.filter(|name| !name.is_empty()).unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    format!("cli:{}", name.chars().filter(|it| !it.is_control()).take(60).collect::<String>()).into()
}

async fn list(store: &Store, proposed: bool) -> anyhow::Result<ExitCode> {
    let states = if proposed { vec![ActionState::Proposed] } else { Vec::new() };
    let filter = ActionFilter { states, ..ActionFilter::default() };
    let found = store.actions(&filter, Page { before: None, limit: LISTED }).await?;
    let mut text = match store.paused().await? {
        Some(pause) => format!("Paused since {} by {}: no action begins.\n", pause.since, shown(&pause.by)),
        None => String::new(),
    };
    if found.is_empty() {
        text.push_str(if proposed { "Nothing waits for approval.\n" } else { "There is no action yet.\n" });
    } else {
        text.push_str(&format!("{}\n", table(&found)));
    }
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn table(found: &[Record]) -> Table {
    let now = SystemClock.now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["ID", "STATE", "AGE", "RULE", "ACTION", "WHY"]);
    for it in found {
        let why = it.result.as_deref().unwrap_or(&it.reason);
        table.add_row([
            it.id.to_string(),
            it.state.as_str().to_owned(),
            age::words(elapsed(it.created, now)),
            shown(&asker(&it.origin)),
            shown(&it.action.to_string()),
            shown(why),
        ]);
    }
    table
}

/// Who asked, in few words.
fn asker(origin: &Origin) -> String {
    match origin {
        Origin::Alert { rule, .. } => rule.to_string(),
        Origin::Person { .. } | Origin::Schedule { .. } => origin.actor(),
    }
}

async fn rule(store: &Store, id: i64, approve: bool) -> anyhow::Result<ExitCode> {
    let ruling = Ruling { action: id, approve, by: who(), at: SystemClock.now() };
    let action = store.action(id).await?.with_context(|| format!("there is no action {id}"))?;
    let what = shown(&action.action.to_string());
    match store.rule(&ruling).await? {
        Ruled::Taken(ActionState::Denied) => say(&format!("Denied: {what}\n"))?,
        Ruled::Taken(_) => {
            let paused = store.paused().await?.is_some();
            let when = if paused { "when the automation is resumed" } else { "in a moment, while a daemon runs" };
            say(&format!("Approved: {what}\nIt begins {when}.\n"))?;
        }
        Ruled::TooLate(state) => bail!("action {id} waits for nobody: it is {}", state.as_str()),
        Ruled::Unknown => bail!("there is no action {id}"),
    }
    Ok(ExitCode::SUCCESS)
}

async fn request(config: &Config, store: &Store, what: Wanted) -> anyhow::Result<ExitCode> {
    let action = what.action();
    let named = action.source().expect("whatever can be asked for is about a source");
    let known = app::sources(config)?.iter().any(|it| it.source.spec().name == *named);
    ensure!(known, "there is no source called {named} in the configuration");
    let now = SystemClock.now();
    // Asked again it is another request: who repeats the command means it.
    let request = format!("{now} {}", std::process::id()).into();
    let plan = asked_for(Origin::Person { by: who(), request }, action, now);
    let asked = store.ask(&plan, now).await?;
    let paused = store.paused().await?.is_some();
    let when = if paused { "when the automation is resumed" } else { "in a moment, while a daemon runs" };
    let what = shown(&plan.action.to_string());
    say(&format!(
        "Action {}: {what}\nIt begins {when}; `firedrill automation list` shows what comes of it.\n",
        asked.id
    ))?;
    Ok(ExitCode::SUCCESS)
}

async fn switch(store: &Store, pause: bool) -> anyhow::Result<ExitCode> {
    let changed = store.set_paused(pause, &who(), SystemClock.now()).await?;
    say(match (pause, changed) {
        (true, true) => "Paused: no action begins until `firedrill automation resume`.\n",
        (true, false) => "It was paused already.\n",
        (false, true) => "Resumed: actions begin again.\n",
        (false, false) => "It was not paused.\n",
    })?;
    Ok(ExitCode::SUCCESS)
}
