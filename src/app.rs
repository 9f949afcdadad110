//! The composition root: the only place that knows every adapter.
//!
//! [`App::build`] binds and prepares, [`App::run`] serves until told to stop. A loop that ends by itself ends the
//! process: there is no silent running on without it.

mod api;
mod automation;
mod loops;
pub mod notify;
mod sources;
pub mod state_work;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::{mpsc, watch};

use self::automation::{Automation, Reach};
use self::loops::{End, Loops};
pub use self::sources::{WatchedSource, sources, state_sources, state_stores};
use crate::adapters::directories::directory_watch;
use crate::adapters::machine::background::Background;
use crate::adapters::machine::open_files;
use crate::adapters::state_cache::AgeCache;
use crate::adapters::store::{Place, Store};
use crate::config::Config;
use crate::domain::inventory::Inventory;
use crate::domain::policy::Policy;
use crate::domain::proof::Level;
use crate::domain::proof::book::Proofs;
use crate::engine::archives::ArchivesBySource;
use crate::engine::ports::Clock;
use crate::engine::ports::custody::Custody;
use crate::engine::provers::reading::{Allowance, Reading};
use crate::engine::statuses::{Post, Posts, Statuses};
use crate::engine::throttle::Throttle;
use crate::engine::verifier::{self, Lane, Outside, Told};
use crate::engine::{custodian, keeper, operations, reactor, scanner, state_keeper};
use crate::http::auth::Gate;
use crate::http::server::{self, Limits, Server};
use crate::http::web_config::{self, WebConfig};
use crate::http::{self, reload, router, webhook};
use crate::metrics::exposition::{self, Exposition};

/// At the end the store's log is folded into its file if it takes no longer than this.
const LAST_FOLD: Duration = Duration::from_secs(5);

/// Reports of scans that wait to be folded.
const REPORTS: usize = 16;

/// The configured store, as commands use it. Opens nothing yet.
pub fn store(config: &Config) -> anyhow::Result<Store> {
    Ok(Store::new(Place::new(config.store.url()?)).marked(config.store.marker()?))
}

/// The verifier with its outside, if archives are to be read.
fn verifier(
    config: &Config,
    sources: &[WatchedSource],
    archives: &Arc<ArchivesBySource>,
    store: &Store,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Option<(verifier::Settings, Outside)>> {
    let it = &config.verify;
    if !it.enabled {
        return Ok(None);
    }
    let background = Background { nice: it.nice, idle_io: it.idle_io };
    let names = || sources.iter().map(|it| it.source.spec().name.clone());
    let allowance = Allowance {
        throttle: Arc::new(Throttle::new(it.rate)),
        timeout: it.archive_timeout,
        unpack_limit: it.unpack_limit,
    };
    let reading = Lane {
        prover: Arc::new(Reading { archives: archives.clone(), allowance, clock: clock.clone() }),
        level: it.level(),
        workers: it.workers,
        window: it.window(),
        again_after: it.reverify_after,
        limits: crate::engine::watch::Limits { stall: it.stall_timeout, whole: it.archive_timeout },
    };
    let settings = verifier::Settings {
        sources: names().collect(),
        enough: it.level().max(Level::Decodes),
        lanes: vec![reading],
        accepted: config.accepted_levels(),
        retention: config.store.retention,
        prepare: Arc::new(move || background.enter()),
    };
    let outside = Outside { store: Arc::new(store.clone()), standing: store.standing(), clock: clock.clone() };
    Ok(Some((settings, outside)))
}

/// Opens what each source has.
pub fn archives(sources: &[WatchedSource]) -> Arc<ArchivesBySource> {
    let of_one = |it: &WatchedSource| (it.source.spec().name.clone(), it.source.archives());
    Arc::new(ArchivesBySource::new(sources.iter().map(of_one)))
}

/// The keeper of copies of states, where some are to be kept.
fn state_keeper(
    config: &Config,
    archives: &Arc<ArchivesBySource>,
    clock: &Arc<dyn Clock>,
) -> Option<state_keeper::Outside> {
    let (directory, key) = config.state_cache.places()?;
    let cache = Arc::new(AgeCache::new(directory, key));
    Some(state_keeper::Outside { archives: archives.clone(), cache, clock: clock.clone() })
}

/// A daemon that is ready to run.
pub struct App {
    sources: Vec<WatchedSource>,
    verifier: Option<(verifier::Settings, Outside)>,
    automation: Option<Automation>,
    notifier: Option<notify::Notifying>,
    state_keeper: Option<state_keeper::Outside>,
    operations: Option<operations::Outside>,
    retention: Duration,
    esxi_compat: bool,
    policy: Arc<Policy>,
    clock: Arc<dyn Clock>,
    server: Server,
    gate: Arc<Gate>,
    store: Store,
    web: WebFile,
}

/// The web config as it was read, and where from.
struct WebFile {
    path: Option<PathBuf>,
    read: WebConfig,
    tls: watch::Sender<Option<Arc<tokio_rustls::rustls::ServerConfig>>>,
}

impl App {
    /// Binds the listener and reads what the configuration names. Serves and scans nothing yet. `sources` are those of
    /// [`sources()`], or a test's own.
    pub async fn build(config: &Config, sources: Vec<WatchedSource>, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        if sources.is_empty() {
            bail!(
                "no source is configured: add a [[vzdump]], [[dump]], [[s3]], [[proxmox]], [[esxi]] or [[docker]] section (see config/firedrill.example.toml), or try `firedrill serve --demo`"
            );
        }
        crate::adapters::machine::tls::install();
        let store = store(config)?.tied(clock.clone());
        let archives = archives(&sources);
        let verifier = verifier(config, &sources, &archives, &store, &clock)?;
        let state_keeper = state_keeper(config, &archives, &clock);
        let operations = state_work::for_daemon(config, &store, &clock)?;
        let automation = automation::build(config, &store, &clock)?;
        let notifier = notify::notifying(config, &store, &clock)?;
        let path = config.web.config_file.clone();
        let read = path.as_deref().map(web_config::read).transpose()?.unwrap_or_default();
        let address = config.web.listen_address.as_str();
        let listener = server::listen(address).await.with_context(|| {
            format!("listening on {address}; is another firedrill running? --web.listen-address chooses another")
        })?;
        let tls = watch::Sender::new(read.tls.clone());
        let limits = Limits {
            requests: config.web.max_connections,
            header_timeout: config.web.header_timeout,
            descriptors: open_files::raise(),
        };
        Ok(Self {
            sources,
            verifier,
            automation,
            notifier,
            state_keeper,
            operations,
            retention: config.store.retention,
            esxi_compat: config.metrics.esxi_compat,
            policy: Arc::new(config.policy()),
            server: Server::new(listener, limits, tls.subscribe()),
            gate: Arc::new(api::gate(config, &store, read.users.clone(), clock.clone())?),
            store,
            clock,
            web: WebFile { path, read, tls },
        })
    }

    /// Where it listens.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.server.address().context("asking for the address of the listener")
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.server.scheme()
    }

    /// Scans and serves until `shutdown` resolves; fails when a loop ends by itself.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let inventory = Arc::new(self.unseen());
        let first = Exposition::of(inventory.clone(), self.clock.now());
        let (publish_inventory, inventories) = watch::channel(inventory);
        let (publish_exposition, exposition) = watch::channel(Arc::new(first));
        let (report, reports) = mpsc::channel(REPORTS);
        let (news, received) = mpsc::channel(REPORTS);
        let (order, orders) = mpsc::channel(REPORTS);
        let (posts, mut loops) = (Posts::default(), Loops::new());
        let (clock, custody): (_, Arc<dyn Custody>) = (self.clock, Arc::new(self.store.clone()));
        let state = http::AppState {
            inventory: inventories.clone(),
            statuses: Statuses::of(&posts, Some(self.server.counts())),
            exposition,
            esxi_compat: self.esxi_compat,
            operations: http::Operations {
                store: Some(Arc::new(self.store.clone())),
                board: self.operations.as_ref().map(|it| it.board.clone()).unwrap_or_default(),
            },
            actions: Some(Arc::new(self.store)),
            clock: clock.clone(),
        };
        let intake = self.automation.as_ref().filter(|it| it.has_rules()).map(|it| it.intake.clone());
        let routes = router::router(state, self.gate.clone(), webhook::router(intake));
        let others = self.notifier.is_some() || self.operations.is_some();
        let uses_store = self.verifier.is_some() || self.automation.is_some() || others;

        let mut nudges = Vec::new();
        for WatchedSource { source, paths } in self.sources {
            let (nudge, nudged) = mpsc::channel(1);
            nudges.push((source.spec().name.clone(), nudge.clone()));
            directory_watch::spawn(source.spec().name.as_str(), paths, nudge);
            let (clock, report) = (clock.clone(), report.clone());
            loops.try_add("scanner", End::CutOff, async { Ok(scanner::run(source, clock, report, nudged).await?) });
        }
        let keeper = keeper::run(self.policy, clock.clone(), reports, received, publish_inventory);
        loops.add("keeper", End::CutOff, keeper);
        if uses_store {
            loops.add("custodian", End::CutOff, custodian::run(custody.clone(), clock.clone(), posts.store));
        }
        let orders_to = self.verifier.is_some().then_some(order);
        let reach = Reach { nudges, inventories: inventories.clone(), orders: orders_to };
        if let Some(automation) = self.automation {
            // Nothing is shown of an automation without rules, as far as people see.
            let post = if automation.has_rules() { posts.automation } else { Post::default() };
            let (settings, outside, writer) = automation.outside(reach, &clock)?;
            loops.add("intake", End::CutOff, writer.run());
            let work = reactor::run(settings, outside, inventories.clone(), post, loops.stopped());
            loops.add("reactor", End::LastWords, work);
        }
        if let Some(notifier) = self.notifier {
            let work = notifier.run(inventories.clone(), posts.notifier, loops.stopped());
            loops.add("notifier", End::LastWords, work);
        }
        if let Some((settings, outside)) = self.verifier {
            let told = Told { news, status: posts.verifier };
            let work = verifier::run(settings, outside, inventories.clone(), told, orders, loops.stopped());
            loops.add("verifier", End::LastWords, work);
        }
        if let Some(outside) = self.operations {
            let work = operations::run(outside, self.retention, loops.stopped());
            loops.add("operations", End::LastWords, work);
        }
        if let Some(outside) = self.state_keeper {
            let work = state_keeper::run(outside, inventories.clone(), posts.state_cache);
            loops.add("state keeper", End::CutOff, work);
        }
        loops.add("renderer", End::CutOff, exposition::run(inventories, clock, publish_exposition));
        if let Some(path) = self.web.path {
            loops.add("web config", End::CutOff, reload::run(path, self.web.read, self.web.tls, self.gate));
        }
        loops.add("web server", End::First, self.server.run(routes, loops.stopped()));

        let result = loops.run(shutdown).await;
        if tokio::time::timeout(LAST_FOLD, custody.close()).await.is_err() {
            tracing::warn!("the store could not be closed in time; its log is read at the next start");
        }
        result
    }

    /// The inventory before anything was looked at.
    fn unseen(&self) -> Inventory {
        let specs: Vec<_> = self.sources.iter().map(|it| it.source.spec().clone()).collect();
        let mut inventory = Inventory::unseen(&specs, &self.policy);
        if self.verifier.is_some() {
            let unread = || Proofs::Unknown("the store was not read yet".into());
            for spec in &specs {
                let view = inventory.source(&spec.name).map(|view| view.with_proofs(unread(), &self.policy));
                inventory = view.map_or(inventory.clone(), |view| inventory.with(view));
            }
        }
        inventory
    }
}
