//! `firedrill state`: versions of Terraform's states, and the way back to one of them.

mod conduct;
mod environment;
mod fallback;
mod listing;
mod restore;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::ConfigFile;
use crate::domain::ids::SourceName;

#[derive(Debug, Args)]
pub(super) struct State {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List states, or the versions of one: when, how large, serial, resources, and whether each could be gone back to; exit 1
    /// when the current one couldn't
    List {
        /// Only this state: prod, or tfstate/prod
        #[arg(long, value_name = "STATE")]
        env: Option<String>,
        #[command(flatten)]
        from: From,
        /// So many versions, the newest
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show what a version manages: addresses, no values
    Show {
        #[command(flatten)]
        state: Named,
        #[command(flatten)]
        version: Version,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Show which resources one version has and another doesn't; exit 1 when they differ
    Diff {
        #[command(flatten)]
        state: Named,
        /// The version to compare
        #[arg(value_name = "VERSION-ID")]
        first: String,
        /// The version to compare it with [default: the current one]
        #[arg(value_name = "VERSION-ID")]
        second: Option<String>,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Make an older version the current one, under a new serial; exit 1 when Terraform would change something afterwards
    Restore(restore::Restore),
    /// Go on with the local copy while the server is down; exit 1 when Terraform would change something
    Fallback(fallback::Fallback),
    /// Bring back to the server what was done since a fallback; exit 1 when Terraform would change something
    Return(fallback::Return),
    /// Go on with what was cut off; without a number, list it
    Resume {
        /// Its number
        #[arg(value_name = "OPERATION")]
        id: Option<i64>,
        /// Take back what was done instead
        #[arg(long, requires = "id")]
        cancel: bool,
    },
}

/// Which state.
#[derive(Debug, Clone, Args)]
struct Named {
    /// The state: prod, or tfstate/prod
    #[arg(long, value_name = "STATE")]
    env: String,
    #[command(flatten)]
    from: From,
}

#[derive(Debug, Clone, Args)]
struct From {
    /// Name of an s3 section, where several have a state of that name
    #[arg(long, value_name = "SOURCE")]
    source: Option<SourceName>,
}

/// Which version.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
struct Version {
    /// The version, as `list` shows it
    #[arg(long, value_name = "ID")]
    version_id: Option<String>,
    /// The version that was current then: 2026-11-25, 2026-11-25T14:00, or with a zone 2026-11-25T14:00:00Z
    #[arg(long, value_name = "DATE")]
    date: Option<String>,
}

/// How a change is made.
#[derive(Debug, Clone, Args)]
struct Way {
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Ask nothing
    #[arg(long)]
    yes: bool,
    /// Terraform or OpenTofu [default: terraform, or tofu where only that is there]
    #[arg(long, value_name = "PROGRAM")]
    terraform: Option<PathBuf>,
    /// Print JSON at the end
    #[arg(long)]
    json: bool,
}

impl State {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.load()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.context("starting the runtime")?;
        match self.command {
            Command::List { env, from, limit, json } => {
                listing::list(&config, env.as_deref(), from.source.as_ref(), limit as usize, json)
            }
            Command::Show { state, version, json } => runtime.block_on(listing::show(&config, &state, &version, json)),
            Command::Diff { state, first, second, json } => {
                runtime.block_on(listing::diff(&config, &state, &first, second.as_deref(), json))
            }
            Command::Restore(restore) => restore.run(&config, &runtime),
            Command::Fallback(fallback) => fallback.run(&config, &runtime),
            Command::Return(it) => it.run(&config, &runtime),
            Command::Resume { id: None, .. } => runtime.block_on(conduct::list(&config)),
            Command::Resume { id: Some(id), cancel } => runtime.block_on(conduct::resume(&config, id, cancel)),
        }
    }
}
