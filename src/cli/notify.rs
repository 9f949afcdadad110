//! `firedrill notify`: tries a receiver, and lists what was sent.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::{ConfigFile, say};
use crate::adapters::machine::clock::SystemClock;
use crate::app;
use crate::domain::notice::dedup::Why;
use crate::domain::notice::{Message, Notice, Phase, Topic, Urgency};
use crate::domain::printable::{printable, shown};
use crate::engine::ports::Clock as _;
use crate::engine::ports::notices::{Line, NoticeStore as _, Sent};

#[derive(Debug, Args)]
pub(super) struct Notify {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send one message now and print what the other side said; exit 2 when it was not taken
    Test {
        /// Name of a configured receiver
        #[arg(value_name = "RECEIVER")]
        receiver: String,
        /// Send this picture (Telegram only)
        #[arg(long, value_name = "FILE")]
        photo: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// List the last deliveries, newest first: what, to whom, why, and what went wrong
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        #[command(flatten)]
        config: ConfigFile,
    },
}

impl Notify {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
        match self.command {
            Command::Test { receiver, photo, config } => runtime.block_on(test(&receiver, photo, &config)),
            Command::List { limit, config } => runtime.block_on(list(limit, &config)),
        }
    }
}

async fn test(name: &str, photo: Option<PathBuf>, config: &ConfigFile) -> anyhow::Result<ExitCode> {
    let config = config.load()?;
    let receivers = app::notify::receivers(&config)?;
    let names: Vec<&str> = receivers.iter().map(|it| &*it.name).collect();
    let receiver = receivers.iter().find(|it| &*it.name == name);
    let receiver =
        receiver.with_context(|| format!("there is no receiver called {name:?}; there are: {}", names.join(", ")))?;
    let sent = match (&photo, &receiver.telegram) {
        (Some(path), Some(telegram)) => telegram.send_photo(path, "A test of firedrill.").await,
        (Some(_), None) => bail!("{name} takes no pictures: only Telegram does"),
        (None, _) => receiver.messenger.send(&message()).await,
    };
    match sent {
        Sent::Ok { said, .. } => say(&format!("{name}: {}\n", shown(&said)))?,
        Sent::RetryLater { why, .. } => {
            bail!("{name} did not take it, and may later: {}", shown(&why))
        }
        Sent::Partly { why, .. } => bail!("not everybody has it: {}", shown(&why)),
        Sent::Refused { why } => {
            bail!("{name} did not take it, and won't before somebody mends it: {}", shown(&why))
        }
        Sent::Unfit { why } | Sent::Drop { why } => bail!("{name} did not take it, and won't: {}", shown(&why)),
    }
    Ok(ExitCode::SUCCESS)
}

fn message() -> Message {
    let notice = Notice {
        key: "test".into(),
        phase: Phase::Event,
        severity: Urgency::Info,
        topic: Topic::Daemon,
        source: None,
        item: None,
        environment: None,
        title: "this is a test of firedrill".into(),
        body: "Somebody ran `firedrill notify test`. Nothing is wrong.".into(),
        link: None,
        at: SystemClock.now(),
        proposal: None,
        receivers: Vec::new(),
    };
    Message { notice, why: Why::Event, reply_to: None, parts: Vec::new() }
}

async fn list(limit: u32, config: &ConfigFile) -> anyhow::Result<ExitCode> {
    let config = config.load()?;
    let store = app::store(&config)?;
    let lines = store.last_deliveries(limit).await?;
    let mut text = String::new();
    for it in &lines {
        text.push_str(&line(it));
    }
    say(if text.is_empty() { "nothing was sent yet\n" } else { &text })?;
    Ok(ExitCode::SUCCESS)
}

fn line(it: &Line) -> String {
    let title = printable(it.title.as_bytes());
    let error: Option<Arc<str>> = it.last_error.clone();
    let error = error.map_or_else(String::new, |error| format!("  ({})", shown(&error)));
    let tries = if it.tries == 1 { "1 try".to_owned() } else { format!("{} tries", it.tries) };
    format!(
        "{}  {}  {} [{}], {tries}: {title}{error}\n",
        it.queued_at.strftime("%F %TZ"),
        it.receiver,
        it.state,
        it.why
    )
}
