//! `firedrill scan`: one look, without a daemon.

mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;

use super::{ConfigFile, looking, say};
use crate::adapters::machine::clock::SystemClock;
use crate::app;
use crate::config::{Config, dump, root, section, vzdump};
use crate::domain::attention::{shows_other_than_backups, troubles};
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::item::Item;
use crate::domain::verdict::{BackupState, by_age, judge};
use crate::engine::ports::Clock as _;

#[derive(Debug, Args)]
pub(super) struct Scan {
    /// Directories to look at; without any, the configured sources. A storage whose archives lie in PATH/dump may be
    /// named by its own path
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Also take files that fit this pattern for dumps, such as '{db}_{time}.sql.gz'; can be repeated
    #[arg(long, value_name = "PATTERN", requires = "paths")]
    dump_pattern: Vec<String>,
    /// Directory of guest configurations, such as /etc/pve/nodes: shows guests without a backup
    #[arg(long, value_name = "DIRECTORY", requires = "paths")]
    guests_dir: Option<PathBuf>,
    /// Zone of the local times in file names, such as Europe/Berlin [default: the zone of this machine]
    #[arg(long, value_name = "ZONE", requires = "paths")]
    time_zone: Option<String>,
    /// Expected pause between two backups [default: 1d]
    #[arg(long, value_name = "DURATION", requires = "paths", value_parser = humantime::parse_duration)]
    interval: Option<Duration>,
    /// Whoever doesn't answer for so long can't be looked at [default: 2m, or scan_timeout of the configured source]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

impl Scan {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut config = if self.paths.is_empty() { self.config.load()? } else { self.ad_hoc()? };
        if let Some(timeout) = self.timeout {
            config.set_scan_timeout(timeout);
        }
        let sources = app::sources(&config)?;
        ensure!(!sources.is_empty(), "nothing to look at: name a directory, or configure a source (see --help)");
        let inventory = looking::at_all(sources, &config.policy());
        let now = SystemClock.now();
        let text = if self.json { report::json(&inventory, now)? } else { report::table(&inventory, now) };
        say(&text)?;
        Ok(ExitCode::from(exit_code(&inventory, !self.paths.is_empty(), now)))
    }

    /// A configuration made of the arguments.
    fn ad_hoc(&self) -> anyhow::Result<Config> {
        let zone = match &self.time_zone {
            Some(name) => jiff::tz::TimeZone::get(name).with_context(|| format!("--time-zone {name}"))?,
            None => jiff::tz::TimeZone::system(),
        };
        let guests_dir = self.guests_dir.as_deref().map(std::path::absolute).transpose()?;
        let limit = self.timeout.unwrap_or(section::SCAN_TIMEOUT);
        let roots = |of: fn(&Path) -> Vec<PathBuf>| -> anyhow::Result<Vec<root::Root>> {
            let mut all: Vec<PathBuf> = Vec::new();
            for path in &self.paths {
                let path = std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
                // The same directory by another name would count each copy twice.
                let real = move |path: &Path| -> Vec<PathBuf> {
                    of(path).into_iter().map(|path| path.canonicalize().unwrap_or(path)).collect()
                };
                all.extend(looking::within(limit, &path, real)?);
            }
            let mut seen = std::collections::BTreeSet::new();
            all.retain(|path| seen.insert(path.clone()));
            Ok(all.into_iter().map(root::Root::directory).collect())
        };
        let mut config = Config::default();
        config.defaults.interval = self.interval;
        config.vzdump.push(vzdump::Vzdump {
            time_zone: zone.clone(),
            guests_dir,
            ..vzdump::Vzdump::over("vzdump".parse()?, roots(dump_directories)?)
        });
        if !self.dump_pattern.is_empty() {
            let pattern = |text: &String| dump::Pattern { pattern: text.clone(), item: None, time_format: None };
            let patterns = self.dump_pattern.iter().map(pattern).collect();
            config.dump.push(dump::Dump {
                time_zone: zone,
                ..dump::Dump::over("dump".parse()?, roots(|path| vec![path.to_owned()])?, patterns)
            });
        }
        Ok(config)
    }
}

/// Proxmox VE keeps backups in `dump` below the path of a storage. Archives may lie in both.
fn dump_directories(path: &Path) -> Vec<PathBuf> {
    let dump = path.join("dump");
    if !dump.is_dir() {
        return vec![path.to_owned()];
    }
    let is_vzdump = |entry: std::fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b"vzdump-");
    // What can't be listed may hold some: the scan will say that it couldn't look.
    let both = std::fs::read_dir(path).map_or(true, |names| names.flatten().any(is_vzdump));
    if both { vec![path.to_owned(), dump] } else { vec![dump] }
}

fn exit_code(inventory: &Inventory, ad_hoc: bool, now: jiff::Timestamp) -> u8 {
    let states = |view: &SourceView| -> Vec<BackupState> {
        let state = |item: &Item| {
            let state = judge(item, &view.health, &view.spec, now)?.state;
            // A backup that is being written makes up for nothing before it has ended.
            Some(if state == BackupState::Running { by_age(item, now).state } else { state })
        };
        view.items.iter().filter_map(state).collect()
    };
    let all: Vec<Vec<BackupState>> = inventory.sources.iter().map(|view| states(view)).collect();
    let unread = |view: &SourceView| view.listings.iter().flatten().any(|listing| listing.unreadable > 0);
    let blind = inventory.sources.iter().any(|view| !view.health.up() || unread(view));
    if blind || all.iter().flatten().any(|state| *state == BackupState::Unknown) {
        return 2;
    }
    // Nothing found where backups should be is nothing to be glad of. A path on the command line may hold either sort.
    let is_empty =
        |(view, states): (&Arc<SourceView>, &Vec<BackupState>)| states.is_empty() && !shows_other_than_backups(view);
    let mut each = inventory.sources.iter().zip(&all);
    let nothing = if ad_hoc { each.all(is_empty) } else { each.any(is_empty) };
    let troubled = inventory.sources.iter().any(|view| !troubles(view, now).is_empty());
    u8::from(nothing || troubled || all.iter().flatten().any(|state| *state != BackupState::Ok))
}
