//! A state as commands see it: where it is, and its versions.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use anyhow::{Context as _, anyhow, bail, ensure};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{Named, Version as Wanted};
use crate::adapters::machine::clock::SystemClock;
use crate::adapters::s3::version_of;
use crate::adapters::state_cache::AgeCache;
use crate::app::{self, WatchedSource};
use crate::config::Config;
use crate::domain::attempt::Outcome;
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::look::{Look, SourceSpec, in_bucket};
use crate::domain::proof::{ArchiveId, Conclusion, Level, Verification};
use crate::domain::state::StateLock;
use crate::domain::state::cache::Kept;
use crate::engine::archives::ArchivesBySource;
use crate::engine::ports::state_store::Place;
use crate::engine::ports::{Archives, Clock as _};
use crate::engine::provers::reading::{Allowance, Reading};
use crate::engine::provers::{Control, Examined, Job, prove};
use crate::engine::throttle::Throttle;

/// Versions that are read at the same time.
const READERS: usize = 4;

/// A version of a state.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) archive: ArchiveId,
    pub(super) modified: Option<Timestamp>,
    pub(super) size: u64,
    /// What Terraform finds now.
    pub(super) current: bool,
}

/// A state with its versions, the newest first.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    pub(super) source: SourceName,
    pub(super) item: ItemId,
    pub(super) place: Place,
    pub(super) versions: Vec<Version>,
    pub(super) lock: Option<StateLock>,
    /// Its newest version is a delete marker.
    pub(super) deleted: bool,
}

/// All states of the configured servers, and what opens their versions.
pub(super) struct Environments {
    pub(super) all: Vec<Environment>,
    pub(super) archives: Arc<ArchivesBySource>,
}

/// The name of a state, with or without its kind in front.
pub(super) fn item_of(name: &str) -> anyhow::Result<ItemId> {
    let full = if name.starts_with("tfstate/") { name.to_owned() } else { format!("tfstate/{name}") };
    full.parse().with_context(|| format!("--env {name}"))
}

/// Where the object of a copy is.
pub(super) fn place_of(kept: &Kept) -> anyhow::Result<Place> {
    let bucket = in_bucket(&kept.root).map(|(bucket, _)| bucket);
    let key = version_of(&kept.file).map(|(key, _)| key);
    let (bucket, key) = bucket.zip(key).context("the note of the copy doesn't say where the state is")?;
    Ok(Place { bucket: bucket.to_owned(), key: key.to_owned() })
}

/// What is kept of a state.
pub(super) fn kept_of(config: &Config, named: &Named) -> anyhow::Result<Kept> {
    let item = item_of(&named.env)?;
    let (directory, _) = config
        .state_cache
        .places()
        .context("no copies are kept: without [state_cache] nothing is left of a state whose server is down")?;
    let all = AgeCache::notes(directory).with_context(|| format!("looking for copies in {}", directory.display()))?;
    let fits = |it: &&Kept| it.item == item && named.from.source.as_ref().is_none_or(|source| it.source == *source);
    let mut found = all.iter().filter(fits);
    let first = found.next().with_context(|| format!("no copy of {} is kept in {}", named.env, directory.display()))?;
    ensure!(found.next().is_none(), "several sources have a state called {}: choose with --source", named.env);
    Ok(first.clone())
}

impl Environments {
    /// Looks at the servers; with `source` only at that one. An error says which of them can't be looked at.
    pub(super) fn look(config: &Config, source: Option<&SourceName>) -> anyhow::Result<Self> {
        let sources: Vec<WatchedSource> = app::state_sources(config)?
            .into_iter()
            .filter(|it| source.is_none_or(|name| it.source.spec().name == *name))
            .collect();
        match source {
            Some(name) => ensure!(!sources.is_empty(), "there is no [[s3]] section called {name}"),
            None => ensure!(!sources.is_empty(), "no [[s3]] section is configured: nothing says where states are"),
        }
        let archives = app::archives(&sources);
        let looks: Vec<_> = sources.into_iter().map(start).collect();
        let mut all = Vec::new();
        for (spec, receive) in looks {
            let look = receive.recv_timeout(spec.scan_timeout);
            all.extend(of_look(&spec, look.map_err(|_| anyhow!("{} doesn't answer in time", spec.name))?)?);
        }
        all.sort_by(|a, b| (&a.source, &a.item).cmp(&(&b.source, &b.item)));
        Ok(Self { all, archives })
    }

    /// The state that a copy is kept of, without any version: for a server that can't be asked, or has lost it.
    pub(super) fn of_copy(kept: &Kept) -> anyhow::Result<Self> {
        let environment = Environment {
            source: kept.source.clone(),
            item: kept.item.clone(),
            place: place_of(kept)?,
            versions: Vec::new(),
            lock: None,
            deleted: false,
        };
        Ok(Self { all: vec![environment], archives: Arc::default() })
    }

    /// One of them.
    pub(super) fn one(&self, name: &str) -> anyhow::Result<&Environment> {
        let item = item_of(name)?;
        let mut found = self.all.iter().filter(|it| it.item == item);
        let Some(first) = found.next() else {
            let known: Vec<&str> = self.all.iter().filter_map(|it| it.item.name()).collect();
            bail!("there is no state called {name}; there are: {}", known.join(", "));
        };
        if let Some(other) = found.next() {
            bail!("{} and {} both have a state called {name}: choose with --source", first.source, other.source);
        }
        Ok(first)
    }

    /// Reads versions as the verifier does, some at the same time.
    pub(super) fn judge(&self, item: &ItemId, versions: &[Version]) -> Vec<Judged> {
        let archives: Arc<dyn Archives> = self.archives.clone();
        let prover = Reading {
            archives,
            allowance: Allowance {
                throttle: Arc::new(Throttle::new(None)),
                timeout: std::time::Duration::from_secs(15 * 60),
                unpack_limit: u64::MAX,
            },
            clock: Arc::new(SystemClock),
        };
        let next = std::sync::atomic::AtomicUsize::new(0);
        // Drawn on a terminal only.
        let bar = indicatif::ProgressBar::new(versions.len() as u64);
        let style = indicatif::ProgressStyle::with_template("{bar:24} {pos} of {len} versions read, {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()));
        let found = std::sync::Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..READERS.min(versions.len()) {
                scope.spawn(|| {
                    while let Some((at, version)) = {
                        let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        versions.get(at).map(|version| (at, version))
                    } {
                        let job = Job { archive: version.archive.clone(), item: item.clone(), level: Level::Complete };
                        let judged = Judged::of(prove(&prover, &job, &Control::default(), &SystemClock));
                        found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(at, judged);
                        bar.inc(1);
                    }
                });
            }
        });
        bar.finish_and_clear();
        found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_values().collect()
    }
}

type Looking = (Arc<SourceSpec>, mpsc::Receiver<Look>);

fn start(mut it: WatchedSource) -> Looking {
    let spec = it.source.spec().clone();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody may wait for it any longer.
        let _ = send.send(it.source.look(SystemClock.now()));
    });
    (spec, receive)
}

fn of_look(spec: &SourceSpec, look: Look) -> anyhow::Result<Vec<Environment>> {
    let source = &spec.name;
    let states = match look.estate.states {
        Some(Ok(book)) => Some(book),
        // Whoever may not read a lock must not change a state.
        Some(Err(error)) => bail!("{source}: {}", error.message),
        None => None,
    };
    let mut found: BTreeMap<ItemId, Environment> = BTreeMap::new();
    for (its, place) in spec.places.iter().zip(look.places) {
        let (bucket, _) = in_bucket(&its.path).unwrap_or_default();
        let listing = place.listing.map_err(|error| anyhow!("{source}: {}", error.message))?;
        for attempt in &listing.attempts {
            let Some((key, id)) = version_of(&attempt.file) else { continue };
            let environment = found.entry(attempt.item.clone()).or_insert_with(|| Environment {
                source: source.clone(),
                item: attempt.item.clone(),
                place: Place { bucket: bucket.to_owned(), key: key.to_owned() },
                versions: Vec::new(),
                lock: states.as_ref().and_then(|book| book.0.get(&attempt.item)?.lock.clone()),
                deleted: false,
            });
            if let Outcome::Failed { .. } = attempt.outcome {
                environment.deleted = true;
                continue;
            }
            environment.versions.push(Version {
                id: id.to_owned(),
                archive: ArchiveId { source: source.clone(), root: its.path.clone(), file: attempt.file.clone() },
                modified: attempt.started.known().or(attempt.modified),
                size: attempt.size,
                current: false,
            });
        }
    }
    let mut all: Vec<Environment> = found.into_values().collect();
    for it in &mut all {
        // As they were written, the current one last.
        it.versions.reverse();
        if let Some(newest) = it.versions.first_mut().filter(|_| !it.deleted) {
            newest.current = true;
        }
    }
    Ok(all)
}

impl Environment {
    /// The version that is asked for; `None` where none is.
    pub(super) fn version(&self, wanted: &Wanted) -> anyhow::Result<Option<&Version>> {
        let name = self.item.name().unwrap_or_default();
        if let Some(id) = &wanted.version_id {
            let found = self.versions.iter().find(|it| it.id == *id);
            return found.map(Some).with_context(|| format!("{name} has no version {id}"));
        }
        let Some(date) = &wanted.date else { return Ok(None) };
        let then = moment(date)?;
        let found = self.versions.iter().find(|it| it.modified.is_some_and(|at| at <= then));
        found.map(Some).with_context(|| format!("{name} has no version of {date} or before"))
    }
}

/// A time as people write it; a day alone means its end.
fn moment(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Ok(exact);
    }
    let day = text.parse::<jiff::civil::Date>().ok().filter(|_| !text.contains([':', 'T', ' ']));
    let local: DateTime = match day {
        Some(day) => day.at(23, 59, 59, 999_999_999),
        None => text.parse().with_context(|| format!("--date {text}: write it as 2026-11-25T14:00"))?,
    };
    Ok(local.to_zoned(TimeZone::system())?.timestamp())
}

/// What became of reading a version.
pub(super) struct Judged {
    /// `None` where it is gone meanwhile.
    verification: Option<Box<Verification>>,
}

impl Judged {
    fn of(examined: Examined) -> Self {
        let verification = match examined {
            Examined::Ended(verification) => Some(verification),
            Examined::Gone(_) | Examined::Stopped => None,
        };
        Self { verification }
    }

    /// Whether Terraform could go on from it, as far as can be told.
    pub(super) fn intact(&self) -> bool {
        self.verification.as_ref().is_some_and(|it| it.conclusion == Conclusion::Intact)
    }

    /// What it says of itself.
    pub(super) fn facts(&self) -> Option<&crate::domain::state::StateFacts> {
        self.verification.as_ref()?.evidence.state.as_deref()
    }

    /// In a word.
    pub(super) fn word(&self) -> &'static str {
        match self.verification.as_ref().map(|it| it.conclusion) {
            // As far as it was looked: what OpenTofu encrypted can't be looked into.
            Some(Conclusion::Intact) if self.verification.as_ref().is_some_and(|it| it.shortfall().is_some()) => {
                "unproven"
            }
            Some(Conclusion::Intact) => "intact",
            Some(Conclusion::Damaged) => "damaged",
            Some(Conclusion::Unchecked) => "unknown",
            None => "gone",
        }
    }

    /// Why it isn't intact, or what is odd about it.
    pub(super) fn reason(&self) -> Option<String> {
        let verification = self.verification.as_ref()?;
        verification.shortfall().or_else(|| verification.headline().map(ToOwned::to_owned))
    }
}
