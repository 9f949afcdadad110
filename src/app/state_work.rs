//! Who does what is planned for states: commands, and a daemon that goes on with a restore whose command is gone.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{state_stores, store};
use crate::adapters::machine::clock::SystemClock;
use crate::adapters::machine::process::Here;
use crate::adapters::state_cache::AgeCache;
use crate::adapters::store::Store;
use crate::adapters::terraform::Directories;
use crate::config::Config;
use crate::domain::state::work::{FALLBACK, RESTORE, RETURN};
use crate::engine::operations::{Board, Outside, Pace, Performers};
use crate::engine::ports::Clock;
use crate::engine::ports::operations::Performer;
use crate::engine::ports::state_cache::StateCache;
use crate::engine::state_work::StateWork;

/// The local copies, for who only reads them; `None` where none are kept.
fn copies(config: &Config) -> Option<Arc<dyn StateCache>> {
    let (directory, key) = config.state_cache.places()?;
    Some(Arc::new(AgeCache::existing(directory, key)))
}

/// What a command needs for changes.
pub struct ForCommands {
    /// Where operations are kept.
    pub store: Store,
    /// What drives one.
    pub outside: Outside,
    /// What performs it.
    pub work: StateWork,
}

/// For a command: directories of Terraform too.
pub fn for_commands(config: &Config) -> anyhow::Result<ForCommands> {
    crate::adapters::machine::tls::install();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let work = StateWork {
        stores: state_stores(config)?,
        cache: copies(config),
        workspace: Some(Arc::new(Directories)),
        clock: clock.clone(),
        at_hand: Arc::default(),
    };
    let store = store(config)?;
    let outside = outside(&store, &work, &[RESTORE, FALLBACK, RETURN], clock)?;
    Ok(ForCommands { store, outside, work })
}

/// For a daemon: what was begun by a command that is gone, and needs no directory. `None` without servers.
pub(super) fn for_daemon(config: &Config, store: &Store, clock: &Arc<dyn Clock>) -> anyhow::Result<Option<Outside>> {
    let stores = state_stores(config)?;
    if stores.is_empty() {
        return Ok(None);
    }
    let work =
        StateWork { stores, cache: copies(config), workspace: None, clock: clock.clone(), at_hand: Arc::default() };
    outside(store, &work, &[RESTORE], clock.clone()).map(Some)
}

fn outside(store: &Store, work: &StateWork, kinds: &[&'static str], clock: Arc<dyn Clock>) -> anyhow::Result<Outside> {
    let performer: Arc<dyn Performer> = Arc::new(work.clone());
    let performers: Performers = kinds.iter().map(|kind| (*kind, performer.clone())).collect();
    Ok(Outside {
        store: Arc::new(store.clone()),
        performers: Arc::new(performers),
        processes: Arc::new(Here::new()?),
        clock,
        wake: Arc::new(Notify::new()),
        pace: Pace::default(),
        board: Board::default(),
    })
}
