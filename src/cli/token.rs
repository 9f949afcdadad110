//! `firedrill token`: tokens of the API. They are kept in the configured store, with or without a daemon.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{ConfigFile, say};
use crate::adapters::machine::clock::SystemClock;
use crate::adapters::store::Store;
use crate::app;
use crate::domain::access::Role;
use crate::engine::ports::Clock as _;
use crate::engine::ports::tokens::{NewToken, Token, TokenStore as _};
use crate::engine::tokens::{self, TokenHash};

#[derive(Debug, Args)]
pub(super) struct Tokens {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a token and print it, this once
    Create(Create),
    /// List the tokens
    List {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Revoke a token; a running daemon knows within 10 seconds
    Revoke {
        /// Its name
        name: String,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Debug, Args)]
struct Create {
    /// A name for it, such as who or what will use it; it stands in the audit trail and is never given again
    #[arg(value_parser = name)]
    name: String,
    /// What its bearer may do: viewer sees, operator also approves, pauses and delivers alerts, admin everything
    #[arg(long, value_parser = role)]
    role: Role,
    /// It counts for so long: 12h, 90d; for ever when left out
    #[arg(long, value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
    #[command(flatten)]
    config: ConfigFile,
}

fn name(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-@".contains(&byte));
    if fits { Ok(text.to_owned()) } else { Err("a name has 1 to 64 characters out of a-z A-Z 0-9 _ . - @".to_owned()) }
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "viewer, operator or admin".to_owned())
}

impl Tokens {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
        let now = SystemClock.now();
        runtime.block_on(async {
            match self.what {
                What::Create(create) => create.run(now).await,
                What::List { config } => list(&open(&config)?, now).await,
                What::Revoke { name, config } => {
                    let revoked = open(&config)?.revoke(&name, now).await?;
                    ensure!(revoked, "there is no token called {name:?} that isn't revoked already");
                    say(&format!("{name} is revoked; a running daemon knows within 10 seconds\n"))
                }
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn open(config: &ConfigFile) -> anyhow::Result<Store> {
    app::store(&config.load()?)
}

impl Create {
    async fn run(self, now: Timestamp) -> anyhow::Result<()> {
        let ends = |after: Duration| now.checked_add(after).context("--expires: so far the calendar doesn't reach");
        let expires = self.expires.map(ends).transpose()?;
        let mut random = [0; tokens::BYTES];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("asking the system for random bytes: {error}"))?;
        let token = tokens::of_random(random);
        let hash = TokenHash::of(&token).context("a token that was just made is one")?;
        let new = NewToken { name: self.name.as_str().into(), hash, role: self.role, created: now, expires };
        if !open(&self.config)?.create(&new).await? {
            bail!("there is or was a token called {:?}; choose another name", self.name);
        }
        // Alone on its line: TOKEN=$(firedrill token create …) works.
        say(&format!("{token}\n"))
    }
}

async fn list(store: &Store, now: Timestamp) -> anyhow::Result<()> {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["NAME", "ROLE", "CREATED", "EXPIRES", "LAST USED", "STATE"]);
    let day = |time: Option<Timestamp>, none: &str| match time {
        Some(time) => time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        None => none.to_owned(),
    };
    for it in store.tokens().await? {
        let state = state(&it, now);
        let (expires, used) = (day(it.expires, "never"), day(it.last_used, "never"));
        table.add_row([&*it.name, it.role.as_str(), &day(Some(it.created), ""), &expires, &used, state]);
    }
    say(&format!("{table}\n"))
}

fn state(token: &Token, now: Timestamp) -> &'static str {
    match (token.revoked, token.counts(now)) {
        (Some(_), _) => "revoked",
        (None, true) => "counts",
        (None, false) => "expired",
    }
}
