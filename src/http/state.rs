//! What the handlers read: snapshots that others publish.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::inventory::Inventory;
use crate::engine::operations::Board;
use crate::engine::ports::Clock;
use crate::engine::ports::automation::ActionStore;
use crate::engine::ports::operations::OperationStore;
use crate::engine::statuses::Statuses;
use crate::metrics::exposition::Exposition;

/// What the handlers read.
#[derive(Clone)]
pub struct AppState {
    /// The snapshot of all sources.
    pub inventory: watch::Receiver<Arc<Inventory>>,
    /// How the engines stand.
    pub statuses: Statuses,
    /// The rendered metrics.
    pub exposition: watch::Receiver<Arc<Exposition>>,
    /// Whether the names of the ESXi Backup Manager are among them.
    pub esxi_compat: bool,
    /// What the automation did and asks; `None` where none is kept.
    pub actions: Option<Arc<dyn ActionStore>>,
    /// Work in several steps.
    pub operations: Operations,
    /// For ages on pages.
    pub clock: Arc<dyn Clock>,
}

/// Where operations are kept, and how far those are that run here.
#[derive(Clone, Default)]
pub struct Operations {
    /// `None` where none are kept.
    pub store: Option<Arc<dyn OperationStore>>,
    /// Those that run here.
    pub board: Board,
}
