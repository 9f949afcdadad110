//! A source of Terraform states: each version of each state is a backup of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aws_sdk_s3::types::BucketVersioningStatus;
use globset::GlobSet;
use jiff::{SignedDuration, Timestamp};

use super::client::{Blocking, Endpoint, look_error};
use super::health::Health;
use super::listing::{self, Version};
use super::objects::{self, name_of};
use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::file::FileFacts;
use crate::domain::ids::ItemId;
use crate::domain::local_time::{When, not_after};
use crate::domain::look::estate::{EstateLook, Seen};
use crate::domain::look::{Look, LookError, PlaceListing, PlaceLook, SourceSpec};
use crate::domain::printable::printable;
use crate::domain::state::work::is_aside;
use crate::domain::state::{Bucket, BucketBook, ObjectLock, ServerHealth, StateBook, StateLock, StateView, Versioning};
use crate::engine::ports::{Archives, Source};
use crate::formats::tfstate::lock::{LOCK, Lock};

/// So many versions of a state are judged, the newest; the others are counted.
const MOST_VERSIONS: usize = 1000;

/// A lock object that is larger is none of Terraform's.
const LARGEST_LOCK: usize = 64 << 10;

/// States of one bucket.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The bucket.
    pub bucket: String,
    /// Only keys that begin so.
    pub prefix: String,
    /// Which keys are states.
    pub keys: GlobSet,
}

/// A source of states.
pub struct StateSource {
    spec: Arc<SourceSpec>,
    s3: Blocking,
    places: Vec<Watched>,
    /// What locks say, by bucket, key and version: each is read once.
    locks: HashMap<(String, String, String), Option<StateLock>>,
    before: Vec<Option<Arc<PlaceListing>>>,
    health: Option<Health>,
}

impl StateSource {
    /// Over `places` in the order of the spec. Connects nowhere yet.
    pub fn new(spec: Arc<SourceSpec>, endpoint: &Endpoint, places: Vec<Watched>) -> anyhow::Result<Self> {
        let before = vec![None; places.len()];
        let (s3, health) = (Blocking::new(endpoint)?, Health::new(endpoint)?);
        Ok(Self { spec, s3, places, locks: HashMap::new(), before, health })
    }
}

impl Source for StateSource {
    fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    fn archives(&self) -> Arc<dyn Archives> {
        Arc::new(objects::Versions { s3: self.s3.clone() })
    }

    fn look(&mut self, now: Timestamp) -> Look {
        let (mut states, mut problem) = (StateBook::default(), None::<LookError>);
        let mut locks = HashMap::new();
        let mut places = Vec::with_capacity(self.places.len());
        for (index, place) in self.places.iter().enumerate() {
            let listing = look_at(&self.s3, place, self.places.len() > 1, now).map(|found| {
                // Whoever may not read a lock sees the states all the same.
                let held = self.locks_of(place, &found).unwrap_or_else(|error| {
                    problem.get_or_insert(error);
                    Held::default()
                });
                states.0.extend(found.views(place, &held));
                locks.extend(held);
                found.listing.or_same(self.before[index].clone())
            });
            places.push(PlaceLook { listing, capacity: None });
        }
        for (before, place) in self.before.iter_mut().zip(&places) {
            if let Ok(listing) = &place.listing {
                *before = Some(listing.clone());
            }
        }
        self.locks = locks;
        if places.iter().any(|place| place.listing.is_err()) {
            // That was said. What is known beside the states stays; only of a server that tells of itself it is asked.
            let server = self.server(true);
            return Look { places, estate: EstateLook { server, ..EstateLook::default() } };
        }
        let states = Some(problem.map_or_else(|| Ok(Arc::new(states)), Err));
        let (buckets, server) = (Some(self.buckets()), self.server(false));
        Look { places, estate: EstateLook { states, buckets, server, ..EstateLook::default() } }
    }
}

impl StateSource {
    /// What the server says of itself; where it doesn't answer only if it is one that tells.
    fn server(&mut self, is_gone: bool) -> Seen<ServerHealth> {
        let health = self.health.as_mut().filter(|it| !is_gone || it.is_known())?;
        health.ask(&self.s3).map(|health| Ok(Arc::new(health)))
    }

    /// How the buckets are set up.
    fn buckets(&self) -> Result<Arc<BucketBook>, LookError> {
        let names: BTreeSet<&str> = self.places.iter().map(|place| place.bucket.as_str()).collect();
        let mut book = BTreeMap::new();
        for name in names {
            let answer = self.s3.wait(self.s3.client.get_bucket_versioning().bucket(name).send());
            let answer =
                answer.map_err(|error| look_error(&format!("asking whether bucket {name} keeps versions"), &error))?;
            let versioning = match answer.status() {
                Some(BucketVersioningStatus::Enabled) => Versioning::Enabled,
                Some(BucketVersioningStatus::Suspended) => Versioning::Suspended,
                _ => Versioning::Off,
            };
            book.insert(name.into(), Bucket { versioning, lock: self.object_lock(name) });
        }
        Ok(Arc::new(BucketBook(book)))
    }

    /// What protects the versions of a bucket. Not every server knows, and not every key may ask: then nothing is said.
    fn object_lock(&self, bucket: &str) -> Option<ObjectLock> {
        use aws_sdk_s3::error::ProvideErrorMetadata as _;
        let configuration = match self.s3.wait(self.s3.client.get_object_lock_configuration().bucket(bucket).send()) {
            Ok(answer) => answer.object_lock_configuration,
            Err(error) if error.code() == Some("ObjectLockConfigurationNotFoundError") => return Some(ObjectLock::Off),
            Err(error) => {
                tracing::debug!(bucket, error = %super::client::words(&error), "whether it locks objects isn't known");
                return None;
            }
        };
        let Some(configuration) = configuration.filter(|it| it.object_lock_enabled.is_some()) else {
            return Some(ObjectLock::Off);
        };
        let rule = configuration.rule.and_then(|rule| rule.default_retention);
        let days = rule.and_then(|it| it.days.or_else(|| it.years.map(|years| years.saturating_mul(365))));
        let retention = days.filter(|days| *days > 0).map(|days| SignedDuration::from_hours(i64::from(days) * 24));
        Some(ObjectLock::On { retention })
    }

    /// What the locks say that are held now, by bucket, key and version.
    fn locks_of(&self, place: &Watched, found: &Found) -> Result<Held, LookError> {
        let mut held = HashMap::new();
        for (key, version) in &found.locks {
            let name = (place.bucket.clone(), key.clone(), version.id.clone());
            let lock = match self.locks.get(&name) {
                Some(known) => known.clone(),
                None => self.read_lock(&place.bucket, version)?,
            };
            held.insert(name, lock);
        }
        Ok(held)
    }

    /// Who holds a lock. `None` when it is gone meanwhile.
    fn read_lock(&self, bucket: &str, version: &Version) -> Result<Option<StateLock>, LookError> {
        let request = self.s3.client.get_object().bucket(bucket).key(&version.key).version_id(&version.id);
        let request = request.range(format!("bytes=0-{}", LARGEST_LOCK - 1));
        let answer = match self.s3.wait(request.send()) {
            Ok(answer) => answer,
            Err(error) => {
                use aws_sdk_s3::error::ProvideErrorMetadata as _;
                return match error.code() {
                    Some("NoSuchKey" | "NoSuchVersion" | "MethodNotAllowed") => Ok(None),
                    _ => Err(look_error(&format!("reading the lock {}", printable(version.key.as_bytes())), &error)),
                };
            }
        };
        let mut body = answer.body;
        let mut text = Vec::new();
        while let Some(Ok(chunk)) = self.s3.wait(body.next()) {
            text.extend(chunk);
            if text.len() > LARGEST_LOCK {
                break;
            }
        }
        Ok(Some(lock_of(&text, version)))
    }
}

/// Locks by bucket, key and version.
type Held = HashMap<(String, String, String), Option<StateLock>>;

/// What a lock object says; of one that can't be understood, that it is there.
fn lock_of(text: &[u8], version: &Version) -> StateLock {
    let lock = Lock::read(text);
    let short = |text: &str| -> Arc<str> {
        let text = printable(text.as_bytes());
        text.chars().take(200).collect::<String>().into()
    };
    StateLock {
        who: short(&lock.who),
        operation: short(&lock.operation),
        since: lock.created.parse().unwrap_or(version.facts.modified),
    }
}

/// What a place holds.
struct Found {
    listing: PlaceListing,
    /// By the key of the state.
    states: BTreeMap<String, (ItemId, StateView)>,
    /// Locks that are held, by the key of the state.
    locks: BTreeMap<String, Version>,
}

impl Found {
    /// What is seen of the states beside their versions.
    fn views(&self, place: &Watched, held: &Held) -> impl Iterator<Item = (ItemId, StateView)> {
        self.states.iter().map(move |(key, (item, view))| {
            let lock = self.locks.get(key).and_then(|version| {
                held.get(&(place.bucket.clone(), key.clone(), version.id.clone())).cloned().flatten()
            });
            (item.clone(), StateView { lock, ..view.clone() })
        })
    }
}

/// Versions of one state, as far as they are judged.
#[derive(Default)]
struct Versions {
    /// In the order of the server.
    listed: Vec<Version>,
    versions: u64,
    delete_markers: u64,
    deleted: Option<Version>,
}

/// `several` says that the source has other places too.
fn look_at(s3: &Blocking, place: &Watched, several: bool, now: Timestamp) -> Result<Found, LookError> {
    let (mut states, mut locks) = (BTreeMap::<String, Versions>::new(), BTreeMap::new());
    listing::each(s3, &place.bucket, &place.prefix, |version| {
        if let Some(state) = version.key.strip_suffix(LOCK) {
            if version.latest && !version.deleted {
                locks.insert(state.to_owned(), version);
            }
        } else if is_aside(&version.key) {
            // What a restore of ours copied aside is no state of its own, whatever the patterns say.
        } else if place.keys.is_match(&version.key) {
            states.entry(version.key.clone()).or_default().take(version);
        }
    })?;
    let mut found = Found { listing: PlaceListing::default(), states: BTreeMap::new(), locks };
    let mut names = BTreeSet::new();
    for (key, versions) in states {
        let shown = printable(key.as_bytes());
        if *shown != *key {
            found.listing.could_not_examine(&shown, "its key has characters that can't be seen");
            continue;
        }
        let name = place.item_name(&key, several);
        let name = if names.insert(name.clone()) { name } else { key.clone() };
        let item = ItemId::tfstate(name.into());
        let view = StateView { versions: versions.versions, delete_markers: versions.delete_markers, lock: None };
        found.listing.attempts.extend(versions.attempts(&item, now));
        found.states.insert(key, (item, view));
    }
    Ok(found)
}

impl Versions {
    fn take(&mut self, version: Version) {
        if version.deleted {
            self.delete_markers += 1;
            if version.latest {
                self.deleted = Some(version);
            }
            return;
        }
        self.versions += 1;
        if version.latest {
            // Some servers list what is current last, where the bucket keeps no versions any more.
            self.listed.insert(0, version);
            self.listed.truncate(MOST_VERSIONS);
        } else if self.listed.len() < MOST_VERSIONS {
            self.listed.push(version);
        }
    }

    /// Each version as a backup, in the order in which they were written. Times have whole seconds only: within one the order of
    /// the server counts.
    fn attempts(self, item: &ItemId, now: Timestamp) -> Vec<Attempt> {
        let mut last: Option<Timestamp> = None;
        let mut following = |facts: FileFacts| {
            let time = Timestamp::from_second(facts.modified.as_second()).unwrap_or_default();
            // First by our clock: of a server that is a little ahead all versions would be of now.
            let When::At(time) = not_after(time, now) else { return When::Future };
            let time = last.map_or(time, |last| time.max(last + SignedDuration::from_nanos(1)));
            last = Some(time);
            When::At(time)
        };
        let mut all = Vec::with_capacity(self.listed.len() + 1);
        for version in self.listed.into_iter().rev() {
            let started = following(version.facts);
            let file = name_of(&version.key, &version.id);
            let outcome = Outcome::Complete { warning: None };
            all.push(Attempt::new(item.clone(), started, outcome, file.into()).with_facts(version.facts));
        }
        if let Some(marker) = self.deleted {
            let started = following(marker.facts);
            let reason = "the state was deleted: its newest version is a delete marker, and Terraform finds no state";
            let file = name_of(&marker.key, &marker.id);
            all.push(Attempt::new(item.clone(), started, Outcome::Failed { reason: reason.into() }, file.into()));
        }
        all
    }
}

impl Watched {
    /// The name of a state. Two buckets may each have a `prod`: with several places it has the bucket in front and the whole key,
    /// so that two states are never taken for one.
    fn item_name(&self, key: &str, several: bool) -> String {
        match several {
            true => format!("{}/{}", self.bucket, item_name(key)),
            false => item_name(key.strip_prefix(&self.prefix).unwrap_or(key)),
        }
    }
}

/// The name of a state by its key: `env:/prod/terraform.tfstate` and `prod/terraform.tfstate` are `prod`, `net/prod.tfstate` is
/// `net/prod`, and `terraform.tfstate` is `default`, as Terraform calls its first workspace.
fn item_name(key: &str) -> String {
    let key = key.trim_start_matches('/');
    let key = key.strip_prefix("env:/").unwrap_or(key);
    let key = key.strip_suffix(".tfstate").unwrap_or(key);
    let key = match key.strip_suffix("terraform") {
        Some("") => "default",
        Some(rest) if rest.ends_with('/') => rest.trim_end_matches('/'),
        _ => key,
    };
    if key.is_empty() { "default".to_owned() } else { key.to_owned() }
}

#[cfg(test)]
mod tests;
