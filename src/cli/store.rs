//! `firedrill store`: what a person says about the store.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::{ConfigFile, say};
use crate::adapters::machine::clock::SystemClock;
use crate::adapters::store::Requests;
use crate::config::Config;
use crate::engine::ports::Clock as _;

/// A daemon looks for requests every two seconds, and may have to close the old store first.
const PATIENCE: Duration = Duration::from_secs(45);

/// Pause between two looks for the answer.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct Store {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Go on with the store that is there now, though it isn't the one of before; what the running daemon knows is written into it
    AcceptNew,
}

/// Fails where there is no store: a command that only asks makes none.
pub(super) fn is_there(config: &Config) -> anyhow::Result<()> {
    if let Some(path) = config.store.url()?.strip_prefix("sqlite://") {
        // Of one that was there and is gone more can be said.
        let was_there = config.store.marker()?.is_some_and(|marker| marker.exists());
        let message = "yet: the daemon makes it when it starts";
        anyhow::ensure!(was_there || Path::new(path).exists(), "there is no store {path} {message}");
    }
    Ok(())
}

impl Store {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Command::AcceptNew = self.command;
        let config = self.config.load()?;
        let Some(marker) = config.store.marker()? else {
            bail!("nothing says which store is used: set store.marker to a file, or start firedrill again");
        };
        let requests = Requests::of(&marker);
        requests.ask(SystemClock.now()).with_context(|| format!("asking beside {}", marker.display()))?;
        let begun = std::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(answer) = requests.answered() {
                say(&format!("{}\n", answer.trim_end()))?;
                let accepted = !answer.starts_with(Requests::REFUSED);
                return Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::from(super::EXIT_TROUBLE) });
            }
            std::thread::sleep(PAUSE);
        }
        if requests.is_open() {
            say("No daemon has taken it yet: one that starts within the hour accepts the store that it finds.\n")?;
            return Ok(ExitCode::SUCCESS);
        }
        bail!("a daemon has taken it and doesn't answer; its log says more")
    }
}
