//! `firedrill verify`: reads archives from beginning to end and says whether they would restore.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;

use super::{ConfigFile, looking, say, say_error};
use crate::adapters::machine::clock::SystemClock;
use crate::adapters::store::Store;
use crate::app;
use crate::config::{Config, section, verify};
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::inventory::Inventory;
use crate::domain::proof::{ArchiveId, Level, Method, Verification};
use crate::engine::archives::ArchivesBySource;
use crate::engine::ports::{Archives, Clock as _, ProofStore as _};
use crate::engine::provers::Job;
use crate::formats::archive::UNPACK_LIMIT;

pub(super) use self::found::Passed;
use self::found::in_paths;

mod found;
mod html;
mod outcome;
mod report;
mod run;

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Archives, or directories of archives, to read; without any, all backups of the configured sources
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
    /// Only this configured source
    #[arg(long, value_name = "SOURCE", conflicts_with = "paths")]
    source: Option<SourceName>,
    /// Only this item, such as qemu/100 or dump/shop
    #[arg(long, value_name = "ITEM", conflicts_with = "paths")]
    item: Option<ItemId>,
    /// How much to prove: 1 present, 2 decodes to its end, 3 complete
    #[arg(long, value_name = "LEVEL", default_value_t = 3, value_parser = super::levels())]
    level: u8,
    /// How much is enough of what allows no more, such as what is encrypted; less makes the exit code 2. Of configured
    /// sources it is their accept_level where this isn't given
    #[arg(long, value_name = "LEVEL", value_parser = super::levels())]
    accept_level: Option<u8>,
    /// Archives read at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Print JSON instead of lines and a table
    #[arg(long)]
    json: bool,
    /// Also write a report to keep as evidence
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Stop at the first damaged archive
    #[arg(long)]
    fail_fast: bool,
    /// What doesn't answer for so long could not be checked [default: 2m for a directory (scan_timeout), 5m for a read
    /// (verify.stall_timeout)]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

/// From which level on an archive is proven.
pub(super) struct Enough {
    /// As the command line says.
    all: Option<Level>,
    /// As the configuration says.
    of_sources: BTreeMap<SourceName, Level>,
}

impl Enough {
    /// Never more than was asked.
    pub(super) fn of(&self, it: &Verification) -> Level {
        self.all.or_else(|| self.of_sources.get(&it.archive.source).copied()).unwrap_or(it.wanted).min(it.wanted)
    }
}

/// What is to be read, and what could not even be looked at.
struct Work {
    jobs: Vec<(Job, u64)>,
    problems: Vec<String>,
    passed: Passed,
    /// What opens them.
    archives: Arc<dyn Archives>,
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let level = Level::of(self.level.into()).unwrap_or(Level::Complete);
        let all = self.accept_level.and_then(|level| Level::of(level.into()));
        let mut enough = Enough { all, of_sources: BTreeMap::new() };
        let mut unpack_limit = UNPACK_LIMIT;
        let (work, memory, stall) = if self.paths.is_empty() {
            let mut config = self.config.load()?;
            if let Some(timeout) = self.timeout {
                config.set_scan_timeout(timeout);
            }
            let work = self.configured(&config, level)?;
            enough.of_sources = config.accepted_levels();
            unpack_limit = config.verify.unpack_limit;
            (work, Memory::open(&config), config.verify.stall_timeout)
        } else {
            let limit = self.timeout.unwrap_or(section::SCAN_TIMEOUT);
            (in_paths(&self.paths, level, limit)?, None, verify::STALL_TIMEOUT)
        };
        for problem in &work.problems {
            say_error(problem);
        }
        let passed = work.passed.words().map_or_else(String::new, |words| format!(": {words}"));
        ensure!(!work.jobs.is_empty() || !work.problems.is_empty(), "there is nothing to verify there{passed}");
        // Better now than after hours of reading.
        let report = self.report.as_deref().map(create).transpose()?;
        let started = SystemClock.now();
        let how = run::How {
            workers: self.jobs.into(),
            fail_fast: self.fail_fast,
            lines: !self.json,
            stall: self.timeout.unwrap_or(stall),
            unpack_limit,
            enough: &enough,
            archives: &work.archives,
        };
        let outcome = run::run(work.jobs, how, memory.as_ref())?;
        let summary = report::Summary::of(&outcome, work.problems, work.passed, (started, &enough));
        say(&if self.json { report::json(&summary)? } else { report::table(&summary) })?;
        if let Some((mut file, path)) = report {
            use std::io::Write as _;
            let html = html::page(&summary);
            file.write_all(html.as_bytes()).with_context(|| format!("writing the report {}", path.display()))?;
        }
        Ok(ExitCode::from(summary.exit_code()))
    }

    /// The kept backups of the configured sources.
    fn configured(&self, config: &Config, level: Level) -> anyhow::Result<Work> {
        let mut sources = app::sources(config)?;
        ensure!(!sources.is_empty(), "nothing to verify: name an archive or a directory, or configure a source");
        if let Some(name) = &self.source {
            sources.retain(|it| it.source.spec().name == *name);
            ensure!(!sources.is_empty(), "there is no source called {name} in the configuration");
        }
        let all = sources.iter().map(|it| (it.source.spec().name.clone(), it.source.archives()));
        let archives = Arc::new(ArchivesBySource::new(all));
        let inventory = looking::at_all(sources, &config.policy());
        let problems = inventory.sources.iter().flat_map(|view| {
            let blind = view.health.problems.iter().map(ToString::to_string);
            let unread = view.spec.places.iter().zip(&view.listings).flat_map(|(root, listing)| {
                let names = listing.iter().flat_map(|listing| &listing.unread_names);
                names.map(move |name| format!("{}/{name}", root.path))
            });
            blind.chain(unread).map(|problem| format!("{}: could not look: {problem}", view.spec.name))
        });
        let jobs = jobs(&inventory, self.item.as_ref(), level);
        let work = Work { problems: problems.collect(), jobs, passed: Passed::default(), archives };
        if let Some(item) = &self.item {
            let seen = !work.jobs.is_empty() || !work.problems.is_empty();
            ensure!(seen, "there is no backup of {item} in the configured sources");
        }
        Ok(work)
    }
}

/// Everything that would be verified, newest first.
fn jobs(inventory: &Inventory, item: Option<&ItemId>, level: Level) -> Vec<(Job, u64)> {
    use crate::domain::candidates::{Rules, candidates};
    use crate::domain::proof::book::SourceProofs;

    let nothing_known = SourceProofs::default();
    let rules = Rules { method: Method::READING, again_after: Duration::MAX, level };
    let mut all: Vec<_> = inventory
        .sources
        .iter()
        .flat_map(|view| candidates(view, &nothing_known, &rules, |_| true, SystemClock.now()))
        .filter(|it| item.is_none_or(|item| it.item == *item))
        .collect();
    all.sort_by(|a, b| a.rank().cmp(&b.rank()));
    all.into_iter().map(|it| (Job { archive: it.archive, item: it.item, level }, it.size)).collect()
}

fn create(path: &Path) -> anyhow::Result<(std::fs::File, PathBuf)> {
    // Never over a file that is there: a slip of the keyboard could name a backup.
    let file = std::fs::File::create_new(path).with_context(|| format!("creating the report {}", path.display()))?;
    Ok((file, path.to_owned()))
}

/// The store, to compare with what was read before and to keep what is read now.
pub(super) struct Memory {
    runtime: tokio::runtime::Runtime,
    store: Store,
}

impl Memory {
    /// `None`, with a warning, where there is no store to be used: archives can be read without.
    fn open(config: &Config) -> Option<Self> {
        let open = || -> anyhow::Result<Self> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let store = app::store(config)?;
            runtime.block_on(store.ready())?;
            Ok(Self { runtime, store })
        };
        open()
            .map_err(|error| {
                say_error(&format!("nothing is compared with earlier readings, nor kept for later ones: {error:#}"));
            })
            .ok()
    }

    /// Compares with the first reading of the file, and keeps this one.
    pub(super) fn keep(&self, verification: &mut Verification) -> anyhow::Result<()> {
        let archive: ArchiveId = verification.archive.clone();
        self.runtime.block_on(async {
            let first = self.store.first_sight(&archive).await?;
            verification.compare(first.as_ref());
            self.store.record(verification).await?;
            Ok(())
        })
    }
}
