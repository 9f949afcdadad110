//! How the engines of the daemon stand. Each says it in a place of its own, whoever asks reads it there; the inventory
//! doesn't change with it, and nobody wakes for it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::automation::status::Automation;
use crate::domain::connections::Connections;
use crate::domain::notice::status::NotifierStatus;
use crate::domain::state::cache::CacheStatus;
use crate::domain::store::Standing;
use crate::domain::verification::Verifier;

/// Where an engine says how it stands. `None` until it has said something.
pub type Post<T> = watch::Sender<Option<Arc<T>>>;

type Slot<T> = watch::Receiver<Option<Arc<T>>>;

/// Where everybody says it.
#[derive(Debug, Default)]
pub struct Posts {
    /// The verifier.
    pub verifier: Post<Verifier>,
    /// The reactor.
    pub automation: Post<Automation>,
    /// The notifier.
    pub notifier: Post<NotifierStatus>,
    /// The custodian of the store.
    pub store: Post<Standing>,
    /// The keeper of copies of states.
    pub state_cache: Post<CacheStatus>,
}

/// Where it is read. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Statuses {
    verifier: Slot<Verifier>,
    automation: Slot<Automation>,
    notifier: Slot<NotifierStatus>,
    store: Slot<Standing>,
    state_cache: Slot<CacheStatus>,
    connections: Option<Arc<Connections>>,
}

/// How everything stands at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What the verifier does; `None` where nothing is verified.
    pub verifier: Option<Arc<Verifier>>,
    /// How the automation stands; `None` where no rule is configured.
    pub automation: Option<Arc<Automation>>,
    /// What the notifier does; `None` where nobody is notified.
    pub notifier: Option<Arc<NotifierStatus>>,
    /// How the store stands; `None` where none is used, or nothing was tried yet.
    pub store: Option<Arc<Standing>>,
    /// How the copies of states stand; `None` where none are kept.
    pub state_cache: Option<Arc<CacheStatus>>,
    /// What the web server counts, as it goes on; `None` where nothing is served.
    pub connections: Option<Arc<Connections>>,
}

impl Statuses {
    /// Those that are said in `posts`.
    pub fn of(posts: &Posts, connections: Option<Arc<Connections>>) -> Self {
        Self {
            verifier: posts.verifier.subscribe(),
            automation: posts.automation.subscribe(),
            notifier: posts.notifier.subscribe(),
            store: posts.store.subscribe(),
            state_cache: posts.state_cache.subscribe(),
            connections,
        }
    }

    /// How everything stands now.
    pub fn now(&self) -> Snapshot {
        Snapshot {
            verifier: self.verifier.borrow().clone(),
            automation: self.automation.borrow().clone(),
            notifier: self.notifier.borrow().clone(),
            store: self.store.borrow().clone(),
            state_cache: self.state_cache.borrow().clone(),
            connections: self.connections.clone(),
        }
    }
}

/// Says how something stands.
pub fn say<T>(post: &Post<T>, status: T) {
    post.send_replace(Some(Arc::new(status)));
}
