//! Turns what the inventory shows into notices: an item is late, missing, failed or damaged; it is well again; a source
//! can't be looked at.
//!
//! What was told is in the store: a restart repeats nothing, and what got well meanwhile is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::domain::age;
use crate::domain::ids::SourceName;
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::item::Item;
use crate::domain::notice::{Notice, Phase, Topic, Urgency};
use crate::domain::verdict::{self, BackupState, Verdict, by_age, elapsed, explain, judge};
use crate::engine::ports::Clock;
use crate::engine::ports::notices::{NoticeStore, Story};

/// What time alone changes is noticed after this.
const TICK: Duration = Duration::from_secs(5);

/// A source that can't be looked at is told of when that lasts so long: shares come and go.
const BLIND_FOR: Duration = Duration::from_secs(10 * 60);

/// Notices per transaction.
const PER_POST: usize = 200;

/// Watches until the inventory's owner is gone.
pub async fn run(
    store: Arc<dyn NoticeStore>,
    clock: Arc<dyn Clock>,
    mut inventories: watch::Receiver<Arc<Inventory>>,
    repeat: Duration,
) {
    let mut watcher: Option<Watcher> = None;
    let mut seen: Option<Seen> = None;
    loop {
        let inventory = inventories.borrow_and_update().clone();
        let now = clock.now();
        if inventory.is_complete() && seen.as_ref().is_none_or(|seen| !seen.holds(&inventory, now)) {
            seen = None;
            // Errors of the store are in the log already; the next turn tries again.
            if watcher.is_none() {
                watcher = Watcher::remembering(&*store, repeat).await;
            }
            if let Some(watcher) = &mut watcher {
                let notices = watcher.changes(&inventory, now);
                let mut all = true;
                for some in notices.chunks(PER_POST) {
                    if store.post(some).await.is_err() {
                        all = false;
                        break;
                    }
                    watcher.posted(some);
                }
                seen = all.then(|| Seen { until: watcher.next_change(&inventory, now), at: now, inventory });
            }
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            changed = inventories.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                // Many changes in a moment are looked at once.
                tokio::time::sleep(TICK / 10).await;
            }
        }
    }
}

/// What was looked at last: looking again finds the same until then.
struct Seen {
    inventory: Arc<Inventory>,
    at: Timestamp,
    until: Option<Timestamp>,
}

impl Seen {
    fn holds(&self, inventory: &Arc<Inventory>, now: Timestamp) -> bool {
        // A clock that was set back makes backups of the future.
        Arc::ptr_eq(&self.inventory, inventory) && now >= self.at && self.until.is_none_or(|until| now < until)
    }
}

/// What stands as told, and since when sources can't be looked at.
#[derive(Debug)]
pub struct Watcher {
    open: BTreeMap<Arc<str>, (Urgency, Timestamp)>,
    blind_since: BTreeMap<SourceName, Timestamp>,
    repeat: Duration,
}

/// How something stands, as far as telling goes.
enum Stand {
    Well,
    Bad(Urgency),
    /// Can't be told now: it stays as it was told.
    Unclear,
}

impl Watcher {
    /// One who knows these problems already. Those that last are told again after `repeat`.
    pub fn of(stories: Vec<Story>, repeat: Duration) -> Self {
        let open = stories.into_iter().map(|story| (story.key, (story.severity, story.at))).collect();
        Self { open, blind_since: BTreeMap::new(), repeat }
    }

    async fn remembering(store: &dyn NoticeStore, repeat: Duration) -> Option<Self> {
        let mut stories = store.stories("backup/").await.ok()?;
        stories.extend(store.stories("source/").await.ok()?);
        Some(Self::of(stories, repeat))
    }

    /// What is to be told of a complete inventory.
    pub fn changes(&mut self, inventory: &Inventory, now: Timestamp) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut seen: BTreeSet<Arc<str>> = BTreeSet::new();
        for view in &inventory.sources {
            notices.extend(self.source(view, now));
            seen.insert(source_key(view));
            for item in view.items.iter() {
                let Some(verdict) = judge(item, &view.health, &view.spec, now) else { continue };
                let key = item_key(view, item);
                notices.extend(self.item(&key, view, item, verdict, now));
                seen.insert(key);
            }
        }
        let gone = self.open.keys().filter(|key| !seen.contains(*key) && is_known_to_be_gone(key, inventory));
        notices.extend(gone.map(|key| gone_notice(key, now)));
        notices
    }

    /// When time alone may bring something to tell, as far as this inventory goes.
    fn next_change(&self, inventory: &Inventory, now: Timestamp) -> Option<Timestamp> {
        let after = |at: Timestamp, pause: Duration| at.checked_add(pause).ok();
        let verdicts = inventory.sources.iter().flat_map(|view| {
            let of = move |item: &Item| verdict::next_change(item, &view.health, &view.spec, now);
            let stale = view.health.last_scan.and_then(|scan| after(scan, view.spec.stale_after()));
            view.items.iter().filter_map(of).chain(stale)
        });
        let repeats = self.open.values().filter_map(|(_, at)| after(*at, self.repeat));
        let blind = self.blind_since.values().filter_map(|since| after(*since, BLIND_FOR));
        // What holds until a time has changed a moment after it.
        verdicts
            .chain(repeats)
            .chain(blind)
            .filter(|at| *at >= now)
            .min()
            .and_then(|at| after(at, Duration::from_millis(1)))
    }

    /// Remembers what the store took.
    pub fn posted(&mut self, notices: &[Notice]) {
        for it in notices {
            match it.phase {
                Phase::Problem => self.open.insert(it.key.clone(), (it.severity, it.at)),
                Phase::Recovered | Phase::Event => self.open.remove(&it.key),
            };
        }
    }

    fn item(&self, key: &Arc<str>, view: &SourceView, item: &Item, verdict: Verdict, now: Timestamp) -> Option<Notice> {
        let verdict = match verdict.state {
            // While the next one is written the last one counts.
            BackupState::Running => by_age(item, now),
            _ => verdict,
        };
        let running = item.running.is_some();
        let stand = match verdict.state {
            BackupState::Ok if running && self.open.contains_key(key) => Stand::Unclear,
            BackupState::Ok => Stand::Well,
            BackupState::Late => Stand::Bad(Urgency::Warning),
            BackupState::Missing | BackupState::Failed | BackupState::Corrupt => Stand::Bad(Urgency::Critical),
            BackupState::Running | BackupState::Unknown => Stand::Unclear,
        };
        let (phase, severity) = self.turn(key, &stand, now)?;
        let id = match &item.name {
            Some(name) if item.id.name() != Some(name) => format!("{} ({name})", item.id),
            _ => item.id.to_string(),
        };
        let state = verdict.state.as_str();
        let again = if phase == Phase::Recovered { " again" } else { "" };
        Some(Notice {
            key: key.clone(),
            phase,
            severity,
            topic: Topic::Backup,
            source: Some(view.spec.name.clone()),
            item: Some(item.id.clone()),
            environment: item.environment.clone(),
            title: format!("{id} of {} is {state}{again}", view.spec.name).into(),
            body: explain(verdict, item, &view.health, now).into(),
            link: None,
            at: now,
            proposal: None,
            receivers: Vec::new(),
        })
    }

    /// Whether this is news: where in its story, and how urgent.
    fn turn(&self, key: &Arc<str>, stand: &Stand, now: Timestamp) -> Option<(Phase, Urgency)> {
        match (stand, self.open.get(key)) {
            (Stand::Well, Some((severity, _))) => Some((Phase::Recovered, *severity)),
            (Stand::Bad(severity), None) => Some((Phase::Problem, *severity)),
            (Stand::Bad(severity), Some((told, at))) => {
                (severity != told || elapsed(*at, now) >= self.repeat).then_some((Phase::Problem, *severity))
            }
            (Stand::Well, None) | (Stand::Unclear, _) => None,
        }
    }

    fn source(&mut self, view: &SourceView, now: Timestamp) -> Option<Notice> {
        let name = &view.spec.name;
        let last = view.health.last_scan?;
        let stale = elapsed(last, now) > view.spec.stale_after();
        let stand = if view.health.up() && !stale {
            self.blind_since.remove(name);
            Stand::Well
        } else {
            let since = *self.blind_since.entry(name.clone()).or_insert(now);
            if elapsed(since, now) >= BLIND_FOR { Stand::Bad(Urgency::Warning) } else { Stand::Unclear }
        };
        let key = source_key(view);
        let (phase, severity) = self.turn(&key, &stand, now)?;
        let (title, body) = if phase == Phase::Recovered {
            (format!("source {name} can be looked at again"), String::new())
        } else {
            let why: Vec<String> = view.health.problems.iter().map(ToString::to_string).collect();
            let why = if why.is_empty() {
                format!("the last scan ended {} ago", age::words(elapsed(last, now)))
            } else {
                why.join("\n")
            };
            (format!("source {name} can't be looked at: the state of its backups is not known"), why)
        };
        let body = body.into();
        Some(Notice { source: Some(name.clone()), body, ..daemon_notice(key, phase, severity, title, now) })
    }
}

fn item_key(view: &SourceView, item: &Item) -> Arc<str> {
    format!("backup/{}/{}", view.spec.name, item.id).into()
}

fn source_key(view: &SourceView) -> Arc<str> {
    format!("source/{}", view.spec.name).into()
}

/// An item that a source which sees everything doesn't show, or one of a source that isn't configured any more.
fn is_known_to_be_gone(key: &str, inventory: &Inventory) -> bool {
    let mut parts = key.splitn(3, '/').skip(1);
    let source = parts.next().and_then(|name| name.parse::<SourceName>().ok());
    let view = source.and_then(|name| inventory.source(&name).cloned());
    view.is_none_or(|view| view.health.up() && !view.health.guests_never_seen)
}

fn gone_notice(key: &Arc<str>, now: Timestamp) -> Notice {
    let what = key.split_once('/').map_or(&**key, |(_, what)| what);
    let title = format!("{what} is not watched any more");
    daemon_notice(key.clone(), Phase::Recovered, Urgency::Info, title, now)
}

fn daemon_notice(key: Arc<str>, phase: Phase, severity: Urgency, title: String, now: Timestamp) -> Notice {
    Notice {
        key,
        phase,
        severity,
        topic: Topic::Daemon,
        source: None,
        item: None,
        environment: None,
        title: title.into(),
        body: "".into(),
        link: None,
        at: now,
        proposal: None,
        receivers: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
