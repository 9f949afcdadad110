//! The command line: what can be asked, and with which exit code it ends.

mod automation;
mod check_config;
mod logging;
mod looking;
mod notify;
mod scan;
mod serve;
mod state;
mod store;
mod token;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::RangedI64ValueParser;
use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config};
use crate::domain::proof::{Level, Method};

/// Read when no other file is named and it exists.
const DEFAULT_CONFIG_FILE: &str = "/etc/firedrill/firedrill.toml";

/// Could not do what was asked.
const EXIT_TROUBLE: u8 = 2;

/// Would every backup you own restore right now?
///
/// firedrill looks at the places where backups live (Proxmox vzdump directories, directories of database dumps, states of Terraform in S3), judges
/// every item against what is expected of it, and exports the answer to Prometheus.
#[derive(Debug, Parser)]
#[command(name = "firedrill", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: scan the sources and serve /metrics
    Serve(serve::Serve),
    /// Look once and print what is there; exit 0: all ok, 1: something late, failed, missing, or nothing found, 2: could not look
    Scan(scan::Scan),
    /// Read archives from beginning to end; exit 0: all intact, 1: something is damaged, 2: something could not be checked, or
    /// less far than asked
    Verify(verify::Verify),
    /// What is done about alerts: list, approve, deny, request, pause, resume, explain
    Automation(automation::Automation),
    /// States of Terraform: list their versions, go back to one, go on without the server
    State(state::State),
    /// Make, list and revoke tokens of the API
    Token(token::Tokens),
    /// Accept a store in place of one that was lost
    Store(store::Store),
    /// Send a test message, or list what was sent
    Notify(notify::Notify),
    /// Check the configuration and print everything that is wrong with it
    CheckConfig(check_config::CheckConfig),
}

/// What may be asked to be proven. Help texts are constants: a test holds them to the words of the levels.
fn levels() -> RangedI64ValueParser<u8> {
    let all = Method::READING.levels();
    let number = |level: Option<Level>| i64::from(level.unwrap_or(Level::Complete).number());
    RangedI64ValueParser::new().range(number(all.iter().next())..=number(all.highest()))
}

#[derive(Debug, Clone, Args)]
struct ConfigFile {
    /// Configuration file (TOML); /etc/firedrill/firedrill.toml is read if it exists and no other is named.
    /// FIREDRILL_… environment variables go over it
    #[arg(long = "config.file", value_name = "FILE", global = true)]
    config_file: Option<PathBuf>,
}

impl ConfigFile {
    fn path(&self) -> Option<PathBuf> {
        let default = PathBuf::from(DEFAULT_CONFIG_FILE);
        self.config_file.clone().or_else(|| default.exists().then_some(default))
    }

    /// Whether somebody named a file.
    fn is_named(&self) -> bool {
        self.config_file.is_some()
    }

    fn load(&self) -> anyhow::Result<Config> {
        Ok(config::load(self.path().as_deref())?)
    }
}

impl Cli {
    /// Does what was asked. Errors are printed here; the code says how it ended.
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Serve(serve) => serve.run(),
            Command::Scan(scan) => scan.run(),
            Command::Verify(verify) => verify.run(),
            Command::Automation(automation) => automation.run(),
            Command::State(state) => state.run(),
            Command::Token(tokens) => tokens.run(),
            Command::Store(store) => store.run(),
            Command::Notify(notify) => notify.run(),
            Command::CheckConfig(check) => check.run(),
        };
        result.unwrap_or_else(|error| {
            say_error(&format!("{error:#}"));
            ExitCode::from(EXIT_TROUBLE)
        })
    }
}

#[expect(clippy::print_stderr, reason = "the one place where a command says why it failed")]
fn say_error(text: &str) {
    eprintln!("firedrill: {text}");
}

/// Writes to standard output; a reader that went away (`| head`) is no error.
fn say(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
