//! Puts the automation together: intake, reactor, effects.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};

use crate::adapters::alertmanager::Alertmanager;
use crate::adapters::hook::Hook;
use crate::adapters::machine::process::Here;
use crate::adapters::store::Store;
use crate::config::Config;
use crate::domain::automation::action::Kind;
use crate::domain::ids::SourceName;
use crate::domain::inventory::Inventory;
use crate::engine::effects::notify::Tell;
use crate::engine::effects::rescan::Rescan;
use crate::engine::effects::reverify::Reverify;
use crate::engine::intake::{self, Intake, Outlet, Writer};
use crate::engine::ports::Clock;
use crate::engine::ports::ledger::Effect;
use crate::engine::reactor::{Outside, Settings};
use crate::engine::verifier::Order;

/// The automation, ready to run.
pub(super) struct Automation {
    pub(super) settings: Settings,
    pub(super) intake: Intake,
    pub(super) writer: Writer,
    wake: Arc<Notify>,
    alertmanager: Option<Alertmanager>,
    store: Store,
}

/// What the effects reach within the daemon.
pub(super) struct Reach {
    pub(super) nudges: Vec<(SourceName, mpsc::Sender<()>)>,
    pub(super) inventories: watch::Receiver<Arc<Inventory>>,
    pub(super) orders: Option<mpsc::Sender<Order>>,
}

/// The automation of a configuration. Without a rule it does what people ask for; `None` where nothing uses the store: a
/// daemon that was told to do nothing but look is not to depend on one.
pub(super) fn build(config: &Config, store: &Store, clock: &Arc<dyn Clock>) -> anyhow::Result<Option<Automation>> {
    let it = &config.automation;
    let uses_store = config.verify.enabled || !config.notify.receivers.is_empty() || !it.rules.is_empty();
    if !uses_store {
        return Ok(None);
    }
    let settings = Settings { rules: it.rules()?, retention: config.store.retention };
    let wake = Arc::new(Notify::new());
    let (intake, writer) = intake::new(Outlet {
        ledger: Arc::new(store.clone()),
        clock: clock.clone(),
        wake: wake.clone(),
        bounds: settings.rules.bounds,
    });
    let alertmanager = match it.alertmanagers.is_empty() {
        true => None,
        false => Some(Alertmanager::new(it.alertmanagers.clone(), it.alertmanager_token()?)?),
    };
    Ok(Some(Automation { settings, intake, writer, wake, alertmanager, store: store.clone() }))
}

impl Automation {
    /// Whether alerts lead to anything: without a rule none is taken in, and nothing is shown of it.
    pub(super) fn has_rules(&self) -> bool {
        !self.settings.rules.rules.is_empty()
    }

    /// What the reactor needs, and the rest.
    pub(super) fn outside(self, reach: Reach, clock: &Arc<dyn Clock>) -> anyhow::Result<(Settings, Outside, Writer)> {
        let mut effects: BTreeMap<Kind, Arc<dyn Effect>> = BTreeMap::new();
        effects.insert(Kind::Hook, Arc::new(Hook));
        effects.insert(Kind::Notify, Arc::new(Tell { clock: clock.clone() }));
        let rescan = Rescan { nudges: reach.nudges, inventories: reach.inventories, clock: clock.clone() };
        effects.insert(Kind::Rescan, Arc::new(rescan));
        if let Some(orders) = reach.orders {
            effects.insert(Kind::Reverify, Arc::new(Reverify { orders }));
        }
        if let Some(alertmanager) = self.alertmanager {
            effects.insert(Kind::Silence, Arc::new(alertmanager));
        }
        let outside = Outside {
            ledger: Arc::new(self.store),
            effects,
            processes: Arc::new(Here::new()?),
            clock: clock.clone(),
            intake: self.intake,
            wake: self.wake,
        };
        Ok((self.settings, outside, self.writer))
    }
}
