//! Actions, alerts and tokens in memory, and the router served on them.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use firedrill::adapters::store::{Place, Store};
use firedrill::domain::access::Role;
use firedrill::domain::automation::action::{Action, Kind, hook, rescan, reverify};
use firedrill::domain::automation::alert::{KeptAlert, Status};
use firedrill::domain::automation::origin::Origin;
use firedrill::domain::automation::plan::Plan;
use firedrill::domain::automation::record::{ActionState, AuditLine, Pause, Record, Ruled, Ruling};
use firedrill::domain::inventory::Inventory;
use firedrill::domain::look::{Medium, PlaceSpec, SourceKind, SourceSpec};
use firedrill::domain::policy::{Matcher, Policy};
use firedrill::engine::operations::Board;
use firedrill::engine::ports::automation::{ActionFilter, ActionStore, Asked, Page};
use firedrill::engine::ports::tokens::{NewToken, Token, TokenStore};
use firedrill::engine::ports::{Clock, StoreError};
use firedrill::engine::statuses::{Posts, Statuses};
use firedrill::engine::tokens::{TokenHash, of_random};
use firedrill::http::auth::{Access, Gate};
use firedrill::http::server::{Limits, Server};
use firedrill::http::{self, router};
use firedrill::metrics::exposition::Exposition;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;

type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// What a real store would keep.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) actions: Mutex<Vec<Record>>,
    pub(super) alerts: Mutex<Vec<KeptAlert>>,
    pub(super) audit: Mutex<Vec<AuditLine>>,
    pub(super) pause: Mutex<Option<Pause>>,
    pub(super) tokens: Mutex<Vec<Token>>,
    pub(super) down: Mutex<bool>,
}

impl Memory {
    fn answer<T: Send + 'static>(&self, value: T) -> Answer<'static, T> {
        let down = *self.down.lock().unwrap();
        let error = || StoreError { message: "the store can't be read: it is a test".to_owned() };
        Box::pin(async move { if down { Err(error()) } else { Ok(value) } })
    }

    fn note(&self, at: Timestamp, actor: &str, action: Option<i64>, event: &str, detail: &str) {
        let mut audit = self.audit.lock().unwrap();
        let id = audit.len() as i64 + 1;
        audit.push(AuditLine { id, at, actor: actor.into(), action, event: event.into(), detail: detail.into() });
    }
}

fn page<T: Clone>(all: &[T], page: Page, id: impl Fn(&T) -> i64, fits: impl Fn(&T) -> bool) -> Vec<T> {
    let below = |it: &&T| page.before.is_none_or(|before| id(it) < before);
    all.iter().rev().filter(below).filter(|it| fits(it)).take(page.limit as usize).cloned().collect()
}

impl ActionStore for Memory {
    fn actions<'a>(&'a self, filter: &'a ActionFilter, part: Page) -> Answer<'a, Vec<Record>> {
        let fits = |it: &Record| {
            (filter.states.is_empty() || filter.states.contains(&it.state))
                && filter.kind.is_none_or(|kind: Kind| it.action.kind() == kind)
                && filter.source.as_ref().is_none_or(|source| it.action.source() == Some(source))
                && filter.item.as_ref().is_none_or(|item| it.action.item() == Some(item))
        };
        self.answer(page(&self.actions.lock().unwrap(), part, |it| it.id, fits))
    }

    fn action(&self, id: i64) -> Answer<'_, Option<Record>> {
        self.answer(self.actions.lock().unwrap().iter().find(|it| it.id == id).cloned())
    }

    fn alerts(&self, status: Option<Status>, part: Page) -> Answer<'_, Vec<KeptAlert>> {
        let fits = |it: &KeptAlert| status.is_none_or(|status| it.status() == status);
        self.answer(page(&self.alerts.lock().unwrap(), part, |it| it.id, fits))
    }

    fn audit(&self, action: Option<i64>, part: Page) -> Answer<'_, Vec<AuditLine>> {
        let fits = |it: &AuditLine| action.is_none_or(|action| it.action == Some(action));
        self.answer(page(&self.audit.lock().unwrap(), part, |it| it.id, fits))
    }

    fn rule<'a>(&'a self, ruling: &'a Ruling) -> Answer<'a, Ruled> {
        let mut actions = self.actions.lock().unwrap();
        let Some(action) = actions.iter_mut().find(|it| it.id == ruling.action) else {
            return self.answer(Ruled::Unknown);
        };
        if action.state != ActionState::Proposed {
            return self.answer(Ruled::TooLate(action.state));
        }
        action.state = if ruling.approve { ActionState::Scheduled } else { ActionState::Denied };
        action.decided_by = Some(ruling.by.clone());
        action.decided_at = Some(ruling.at);
        let event = if ruling.approve { "approved" } else { "denied" };
        self.note(ruling.at, &ruling.by, Some(ruling.action), event, &format!("{} {event} it", ruling.by));
        self.answer(Ruled::Taken(action.state))
    }

    fn ask<'a>(&'a self, plan: &'a Plan, now: Timestamp) -> Answer<'a, Asked> {
        let mut actions = self.actions.lock().unwrap();
        if let Some(known) = actions.iter().find(|it| it.origin == plan.origin) {
            return self.answer(Asked { id: known.id, new: false });
        }
        let id = actions.iter().map(|it| it.id).max().unwrap_or_default() + 1;
        actions.push(Record { id, ..plan.record(now) });
        self.answer(Asked { id, new: true })
    }

    fn paused(&self) -> Answer<'_, Option<Pause>> {
        self.answer(self.pause.lock().unwrap().clone())
    }

    fn set_paused<'a>(&'a self, paused: bool, by: &'a Arc<str>, now: Timestamp) -> Answer<'a, bool> {
        let mut pause = self.pause.lock().unwrap();
        let changed = pause.is_some() != paused;
        if changed {
            *pause = paused.then(|| Pause { since: now, by: by.clone() });
            self.note(now, by, None, if paused { "paused" } else { "resumed" }, "the switch was turned");
        }
        self.answer(changed)
    }
}

impl TokenStore for Memory {
    fn create<'a>(&'a self, new: &'a NewToken) -> Answer<'a, bool> {
        let mut tokens = self.tokens.lock().unwrap();
        let NewToken { name, hash, role, created, expires } = new.clone();
        let id = tokens.len() as i64 + 1;
        tokens.push(Token { id, name, hash, role, created, expires, revoked: None, last_used: None });
        self.answer(true)
    }

    fn tokens(&self) -> Answer<'_, Vec<Token>> {
        self.answer(self.tokens.lock().unwrap().clone())
    }

    fn revoke<'a>(&'a self, _: &'a str, _: Timestamp) -> Answer<'a, bool> {
        self.answer(false)
    }

    fn used(&self, _: i64, _: Timestamp) -> Answer<'_, ()> {
        self.answer(())
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2026-11-21T08:00:00Z".parse().unwrap()
    }
}

pub(super) fn record(id: i64, state: ActionState, action: Action, reason: &str) -> Record {
    let created = Still.now();
    Record {
        id,
        origin: Origin::Alert { id: Some(1), fingerprint: "".into(), start: None, rule: "reverify-corrupt".into() },
        action,
        state,
        reason: reason.into(),
        created,
        not_before: created,
        expires: (state == ActionState::Proposed).then(|| "2026-11-22T08:00:00Z".parse().unwrap()),
        decided_by: None,
        decided_at: None,
        started: None,
        ended: None,
        result: None,
        output: (state == ActionState::Failed).then(|| "exit code 3\nno such pool <script>alert(1)</script>".into()),
    }
}

/// A store with actions in every state, three of them proposed, and with hostile alerts.
pub(super) fn filled() -> Memory {
    let memory = Memory::default();
    let text = |text: &str| Arc::<str>::from(text);
    let rescan = || Action::Rescan(rescan::Rescan { source: "nas".parse().unwrap() });
    let hook = Action::Hook(hook::Hook {
        program: text("/usr/local/bin/restart-backup"),
        arguments: vec![text("--node"), text("pve1")],
        timeout: 60,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    });
    let reverify = Action::Reverify(reverify::Reverify {
        source: "nas".parse().unwrap(),
        item: "qemu/100".parse().unwrap(),
        level: firedrill::domain::proof::Level::Complete,
    });
    let mut actions = Vec::new();
    let more = [
        (hook, "the alert <img src=x onerror=alert(1)> names the node pve1"),
        (reverify, "the alert FiredrillBackupCorrupt names qemu/100"),
    ];
    for (action, reason) in more {
        actions.push(record(actions.len() as i64 + 1, ActionState::Proposed, action, reason));
    }
    for state in ActionState::ALL {
        actions.push(record(actions.len() as i64 + 1, state, rescan(), "the alert FiredrillScanStale fires"));
    }
    *memory.actions.lock().unwrap() = actions;
    for id in 1..=3 {
        let name = if id == 3 { "<b onmouseover=alert(1)>Hostile</b>" } else { "FiredrillBackupCorrupt" };
        let labels = [("alertname", name), ("item", "qemu/100"), ("source", "nas")];
        memory.alerts.lock().unwrap().push(KeptAlert {
            id,
            fingerprint: format!("{id:016x}").into(),
            occurrence: 1,
            starts_at: Still.now(),
            reopened: false,
            last_start: Still.now(),
            receiver: text("firedrill"),
            labels: labels.map(|(name, value)| (text(name), text(value))).into(),
            annotations: BTreeMap::from([(text("summary"), text("it is damaged"))]),
            generator_url: text("http://prometheus:9090/graph"),
            first_received: Still.now(),
            last_received: Still.now(),
            times: id,
            late: 0,
            resolved_at: (id == 1).then(|| Still.now()),
        });
    }
    memory.note(Still.now(), "rule:reverify-corrupt", Some(1), "planned", "it asks to be allowed");
    memory
}

/// A source `nas` that was never looked at, with an item that is expected.
fn inventory() -> Arc<Inventory> {
    let spec = SourceSpec {
        name: "nas".parse().unwrap(),
        kind: SourceKind::new("vzdump"),
        places: vec![PlaceSpec { path: "/mnt/nas".into(), medium: Medium::Local, node: None, readable: true }],
        expected: vec!["qemu/100".parse().unwrap()],
        exclude: Matcher::default(),
        scan_interval: Duration::from_secs(60),
        scan_timeout: Duration::from_secs(60),
    };
    Arc::new(Inventory::unseen(&[Arc::new(spec)], &Policy::default()))
}

/// The router on a store in memory.
pub(super) struct Served {
    pub(super) memory: Arc<Memory>,
    /// Where operations are kept.
    pub(super) store: Store,
    _directory: tempfile::TempDir,
    pub(super) address: SocketAddr,
    _stop: watch::Sender<bool>,
    _channels: (watch::Sender<Arc<Inventory>>, watch::Sender<Arc<Exposition>>),
}

impl Served {
    /// With users alice (operator), bob (viewer) and carol (viewer, may deliver alerts); each password is `secret`.
    pub(super) async fn start(memory: Memory, with_users: bool) -> Self {
        Self::on("127.0.0.1:0", memory, with_users).await
    }

    pub(super) async fn on(address: &str, memory: Memory, with_users: bool) -> Self {
        let memory = Arc::new(memory);
        let inventory = inventory();
        let exposition = Arc::new(Exposition::of(inventory.clone(), Still.now()));
        let (inventories, inventory) = watch::channel(inventory);
        let (expositions, exposition) = watch::channel(exposition);
        let actions: Option<Arc<dyn ActionStore>> = Some(memory.clone());
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(Place::new(format!("sqlite://{}/s.db", directory.path().display())));
        let state = http::AppState {
            inventory,
            statuses: Statuses::of(&Posts::default(), None),
            exposition,
            esxi_compat: false,
            actions,
            operations: http::Operations { store: Some(Arc::new(store.clone())), board: Board::default() },
            clock: Arc::new(Still),
        };
        let hash = bcrypt::hash("secret", 4).unwrap();
        let users = ["alice", "bob", "carol"].map(|user| (user.to_owned(), hash.clone()));
        let users = if with_users { HashMap::from(users) } else { HashMap::new() };
        let access = Access {
            roles: BTreeMap::from([("alice".to_owned(), Role::Operator)]),
            tokens: Some(memory.clone()),
            webhook_token: Some("the-token-of-alertmanager".to_owned()),
            webhook_users: ["carol".to_owned()].into(),
        };
        let gate = Arc::new(Gate::new(users, access, Arc::new(Still)));
        // Where a receiver of alerts will be.
        let webhook = Router::new().route("/webhook/alertmanager", post(async |body: String| body.len().to_string()));
        let routes = router::router(state, gate, webhook);
        let (stop, stopped) = watch::channel(false);
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let limits = Limits { requests: 100, header_timeout: Duration::from_secs(5), descriptors: 1024 };
        let server = Server::new(listener, limits, watch::channel(None).1);
        let address = server.address().unwrap();
        tokio::spawn(server.run(routes, stopped));
        Self { memory, store, address, _directory: directory, _stop: stop, _channels: (inventories, expositions) }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A token of this role.
    pub(super) async fn token(&self, role: Role) -> String {
        let token = of_random([role as u8 + 1; 32]);
        let (name, hash) = (role.as_str().into(), TokenHash::of(&token).unwrap());
        let new = NewToken { name, hash, role, created: Still.now(), expires: None };
        self.memory.create(&new).await.unwrap();
        token
    }
}
