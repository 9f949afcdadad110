//! Does what plans for states say: restores one, falls back to a local copy, comes back. See `domain/state/work.rs`.

pub mod directory;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::directory::Directory;
use super::ports::Clock;
use super::ports::operations::{Conduct, Performer};
use super::ports::state_cache::StateCache;
use super::ports::state_store::{Over, Place, StateFault, StateStore};
use super::ports::workspace::Workspace;
use crate::domain::ids::SourceName;
use crate::domain::operation::plan::Effect;
use crate::domain::state::work::{Deed, aside};
use crate::formats::tfstate::contents;
use crate::formats::tfstate::lock::{LOCK, Lock};
use futures_util::future::BoxFuture;

/// Does what plans for states say.
#[derive(Clone)]
pub struct StateWork {
    /// The servers, by source.
    pub stores: BTreeMap<SourceName, Arc<dyn StateStore>>,
    /// The local copies, where some are kept.
    pub cache: Option<Arc<dyn StateCache>>,
    /// Directories of Terraform; `None` for who must not touch any: a daemon.
    pub workspace: Option<Arc<dyn Workspace>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What will be written, where whoever planned it has it at hand: it isn't fetched once more.
    pub at_hand: Arc<Mutex<Option<Vec<u8>>>>,
}

/// Who holds the lock of a state.
pub async fn lock_of(store: &dyn StateStore, state: &Place) -> Result<Option<Lock>, StateFault> {
    let found = store.read(&state.beside(LOCK), None).await?;
    Ok(found.map(|(text, _)| Lock::read(&text)))
}

/// The digest of a content, as plans name it.
pub fn digest(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

/// What an effect is done with.
struct Given<'a>(&'a BTreeMap<String, String>);

impl<'a> Given<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str)
    }

    fn needed(&self, name: &str) -> Result<&'a str, String> {
        self.get(name).ok_or_else(|| format!("the plan doesn't say {name}"))
    }

    fn source(&self) -> Result<SourceName, String> {
        self.needed("source")?.parse().map_err(|_| "the plan names a source that can't be".to_owned())
    }

    fn state(&self) -> Result<Place, String> {
        Ok(Place { bucket: self.needed("bucket")?.to_owned(), key: self.needed("key")?.to_owned() })
    }

    fn aside(&self) -> Result<Place, String> {
        Ok(self.state()?.beside(&aside(self.needed("id")?)))
    }
}

impl Performer for StateWork {
    fn perform<'a>(&'a self, effect: &'a Effect, _: Conduct) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let given = Given(&effect.parameters);
            let deed = Deed::parse(&effect.name).ok_or_else(|| format!("nobody can do {}", effect.name))?;
            loop {
                match self.once(deed, &given).await {
                    // Until the time of the effect is over: what was begun isn't left half done for a server that restarts.
                    Err(StateFault::Away(why)) if is_patient(deed) => tracing::debug!("tried again: {why}"),
                    done => return done.map_err(|fault| fault.to_string()),
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    }

    fn happened<'a>(&'a self, effect: &'a Effect, _: Conduct) -> BoxFuture<'a, Result<Option<bool>, String>> {
        Box::pin(async move {
            let given = Given(&effect.parameters);
            match Deed::parse(&effect.name) {
                Some(Deed::Lock) => {
                    let lock = lock_of(&*self.store(&given)?, &given.state()?).await.map_err(|it| it.to_string())?;
                    Ok(Some(lock.is_some_and(|lock| Some(&*lock.id) == given.get("id"))))
                }
                Some(Deed::Write) => match self.now(&given).await.map_err(|it| it.to_string())? {
                    Now::New => Ok(Some(true)),
                    Now::Before => Ok(Some(false)),
                    Now::Other => Ok(None),
                },
                _ => Ok(None),
            }
        })
    }
}

/// What is current of a state, while it is changed.
enum Now {
    /// What was to be written.
    New,
    /// What was there before; nothing, perhaps.
    Before,
    /// Something else.
    Other,
}

/// A server that is away is asked again after so long.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether it has to be done for what was done before: a server that is away is waited for.
const fn is_patient(deed: Deed) -> bool {
    matches!(deed, Deed::Unlock | Deed::DropAside | Deed::PutBack | Deed::Compare)
}

impl StateWork {
    async fn once(&self, deed: Deed, given: &Given<'_>) -> Result<String, StateFault> {
        match deed {
            Deed::Lock => self.lock(given).await,
            Deed::Unlock => self.unlock(given).await,
            Deed::Expect => self.expect(given).await,
            Deed::Aside => self.aside(given).await,
            Deed::DropAside => self.drop_aside(given).await,
            Deed::Write => self.write(given).await,
            Deed::PutBack => self.put_back(given).await,
            Deed::Compare => self.compare(given).await,
            of_directory => Ok(self.directory(given)?.perform(of_directory).await?),
        }
    }

    fn store(&self, given: &Given<'_>) -> Result<Arc<dyn StateStore>, String> {
        let source = given.source()?;
        self.stores.get(&source).cloned().ok_or_else(|| format!("there is no s3 source called {source}"))
    }

    fn directory<'a>(&'a self, given: &'a Given<'a>) -> Result<Directory<'a>, String> {
        let workspace = self.workspace.as_deref();
        let workspace = workspace.ok_or("directories of Terraform are for `firedrill state resume` alone")?;
        Ok(Directory { given, workspace, cache: self.cache.as_deref() })
    }

    async fn lock(&self, given: &Given<'_>) -> Result<String, StateFault> {
        let (store, state) = (self.store(given)?, given.state()?);
        let lock = Lock {
            id: given.needed("id")?.to_owned(),
            operation: "firedrill state restore".to_owned(),
            info: String::new(),
            who: given.needed("who")?.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created: self.clock.now().to_string(),
            path: format!("{}/{}", state.bucket, state.key),
        };
        let text = serde_json::to_vec(&lock).map_err(|error| error.to_string())?;
        let held = |lock: Option<Lock>| {
            StateFault::Failed(match lock {
                Some(lock) => format!("the state is locked by {}", lock.holder()),
                None => "the state is locked, and the lock can't be read".to_owned(),
            })
        };
        // A server that doesn't know of conditions would let two of them through.
        match lock_of(&*store, &state).await? {
            Some(other) if other.id != lock.id => return Err(held(Some(other))),
            Some(_) => return Ok("the lock was taken".to_owned()),
            None => {}
        }
        match store.write(&state.beside(LOCK), text, Over::Nothing).await {
            Ok(()) => {}
            Err(StateFault::Changed(_)) => return Err(held(lock_of(&*store, &state).await.ok().flatten())),
            Err(other) => return Err(other),
        }
        match lock_of(&*store, &state).await? {
            Some(found) if found.id == lock.id => Ok("the lock was taken".to_owned()),
            other => Err(held(other)),
        }
    }

    async fn unlock(&self, given: &Given<'_>) -> Result<String, StateFault> {
        let (store, state) = (self.store(given)?, given.state()?);
        match lock_of(&*store, &state).await? {
            Some(lock) if Some(&*lock.id) == given.get("id") => {
                store.remove(&state.beside(LOCK)).await?;
                Ok("the lock was given back".to_owned())
            }
            Some(lock) => Ok(format!("the lock is held by {}: it was left alone", lock.holder())),
            None => Ok("there is no lock".to_owned()),
        }
    }

    async fn expect(&self, given: &Given<'_>) -> Result<String, StateFault> {
        let current = self.store(given)?.current(&given.state()?).await?;
        let (now, expected) = (current.map(|it| it.e_tag), given.get("expected"));
        match now.as_deref() == expected {
            true => Ok("it is as it was shown".to_owned()),
            false if now.is_none() => Err("the state was deleted meanwhile; nothing was done".into()),
            false => Err("the state was changed meanwhile; nothing was done, look at it again".into()),
        }
    }

    async fn aside(&self, given: &Given<'_>) -> Result<String, StateFault> {
        let (store, aside) = (self.store(given)?, given.aside()?);
        store.copy(&given.state()?, given.needed("expected")?, &aside).await?;
        Ok(format!("the version of before is at s3://{}/{}", aside.bucket, aside.key))
    }

    async fn drop_aside(&self, given: &Given<'_>) -> Result<String, StateFault> {
        let (store, aside) = (self.store(given)?, given.aside()?);
        let current = store.read(&given.state()?, None).await?;
        let kept = store.read(&aside, None).await?;
        // As long as what it holds isn't current again, nobody else may have it.
        if current.map(|(content, _)| content) != kept.map(|(content, _)| content) {
            return Ok("the copy aside was left: what is current is something else".to_owned());
        }
        store.remove(&aside).await?;
        Ok("the copy aside was removed".to_owned())
    }

    async fn write(&self, given: &Given<'_>) -> Result<String, StateFault> {
        let (store, state) = (self.store(given)?, given.state()?);
        let content = self.content(given, &*store, &state).await?;
        let over = given.get("expected").map_or(Over::Nothing, |e_tag| Over::ETag(e_tag.to_owned()));
        let size = content.len();
        store.write(&state, content, over).await?;
        Ok(format!("{size} bytes were written"))
    }

    /// What is to be written.
    async fn content(&self, given: &Given<'_>, store: &dyn StateStore, state: &Place) -> Result<Vec<u8>, StateFault> {
        let at_hand = self.at_hand.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(content) = at_hand.filter(|it| Some(&*digest(it)) == given.get("digest")) {
            return Ok(content);
        }
        let content = if let Some(version) = given.get("version") {
            let found = store.read(state, Some(version)).await?;
            found.ok_or_else(|| format!("the version {version} is gone"))?.0
        } else if let Some(file) = given.get("file") {
            let workspace = self.workspace.as_ref().ok_or("files are for `firedrill state resume` alone")?;
            let found = workspace.read(file.as_ref()).map_err(|error| format!("reading {file}: {error}"))?;
            found.ok_or_else(|| format!("{file} is gone"))?
        } else {
            copy(given, self.cache.as_deref())?
        };
        let content = match given.get("serial").map(str::parse::<u64>) {
            None => content,
            Some(Ok(serial)) => contents::with_serial(&content, serial).ok_or("there is no serial in it")?,
            Some(Err(_)) => return Err("the plan names a serial that is none".into()),
        };
        if Some(&*digest(&content)) != given.get("digest") {
            return Err("it isn't what was looked at when this was planned".into());
        }
        Ok(content)
    }

    /// What is current, as to the change that is made.
    async fn now(&self, given: &Given<'_>) -> Result<Now, StateFault> {
        let found = self.store(given)?.read(&given.state()?, None).await?;
        Ok(match found {
            Some((content, _)) if Some(&*digest(&content)) == given.get("digest") => Now::New,
            Some((_, current)) if Some(&*current.e_tag) == given.get("expected") => Now::Before,
            None if given.get("expected").is_none() => Now::Before,
            _ => Now::Other,
        })
    }

    async fn put_back(&self, given: &Given<'_>) -> Result<String, StateFault> {
        let (store, state) = (self.store(given)?, given.state()?);
        match self.now(given).await? {
            Now::Before => Ok("nothing was written".to_owned()),
            Now::Other => Err("somebody else wrote the state meanwhile: it was left as it is".into()),
            Now::New if given.get("expected").is_none() => {
                store.remove(&state).await?;
                Ok("there is no state again".to_owned())
            }
            Now::New => {
                let (content, _) = store.read(&given.aside()?, None).await?.ok_or("its copy is gone")?;
                let now = store.current(&state).await?.ok_or("it is gone")?;
                store.write(&state, content, Over::ETag(now.e_tag)).await?;
                Ok("the version of before is current again".to_owned())
            }
        }
    }

    async fn compare(&self, given: &Given<'_>) -> Result<String, StateFault> {
        let found = self.store(given)?.read(&given.state()?, None).await?;
        let (content, _) = found.ok_or("the server has no state now")?;
        if Some(&*digest(&content)) != given.get("digest") {
            return Err("the server gives back something else than what was written".into());
        }
        Ok("the server gives back what was written".to_owned())
    }
}

/// The local copy that a plan names.
fn copy(given: &Given<'_>, cache: Option<&dyn StateCache>) -> Result<Vec<u8>, String> {
    let cache = cache.ok_or("no copies are kept: [state_cache] is not set")?;
    let item = given.needed("copy")?.parse().map_err(|_| "the plan names no state".to_owned())?;
    let found = cache.open(&(given.source()?, item), given.get("before").is_some());
    let (_, content) = found.map_err(|error| format!("reading the copy: {error}"))?.ok_or("no copy is kept")?;
    Ok(content)
}

#[cfg(test)]
mod tests;
