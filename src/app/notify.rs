//! The notifier with its receivers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::adapters::messengers::slack::Slack;
use crate::adapters::messengers::smtp::{self, Smtp, Tls};
use crate::adapters::messengers::syslog::{Syslog, Transport};
use crate::adapters::messengers::telegram::approvals::Approvals;
use crate::adapters::messengers::telegram::{self, Telegram};
use crate::adapters::messengers::webhook_out::Webhook;
use crate::adapters::store::Store;
use crate::config::Config;
use crate::config::notify::{Encryption, Outlet, Protocol, Receiver};
use crate::domain::inventory::Inventory;
use crate::domain::notice::status::NotifierStatus;
use crate::engine::notifier::{self, Outside, Settings};
use crate::engine::ports::Clock;
use crate::engine::ports::notices::{Messenger, Routing};
use crate::engine::statuses::Post;

/// A message that takes longer has failed: some parts of 30 seconds each.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// The first pause after a refusal that only a person can end.
const SLOW_RETRY: Duration = Duration::from_secs(60);

/// Sent notices are kept so long.
const KEEP: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// A receiver that is ready to be used.
pub struct Built {
    /// As configured.
    pub name: Arc<str>,
    /// The way there.
    pub messenger: Arc<dyn Messenger>,
    /// The same, where it is a chat of Telegram.
    pub telegram: Option<Arc<Telegram>>,
    /// Who may approve actions there; `None` where nobody may.
    approvers: Option<Vec<i64>>,
}

/// Makes the configured receivers; reads the files that hold their secrets.
pub fn receivers(config: &Config) -> anyhow::Result<Vec<Built>> {
    crate::adapters::machine::tls::install();
    config.notify.receivers.iter().map(built).collect()
}

fn built(it: &Receiver) -> anyhow::Result<Built> {
    let (mut telegram, mut approvers) = (None, None);
    let messenger: Result<Arc<dyn Messenger>, String> = match it.outlet()? {
        Outlet::Telegram { api_url, token, chat, thread, approvers: named } => {
            approvers = named;
            let approvals = approvers.is_some();
            Telegram::new(telegram::Settings { api_url, token, chat, thread, approvals }).map(|made| {
                let made = Arc::new(made);
                telegram = Some(made.clone());
                made as Arc<dyn Messenger>
            })
        }
        Outlet::Smtp { host, port, tls, ca_file, hello, login, from, to } => {
            let tls = match tls {
                Encryption::Starttls => Tls::Starttls,
                Encryption::Tls => Tls::Implicit,
                Encryption::None => Tls::None,
            };
            let hello = hello.unwrap_or_else(this_host);
            Smtp::new(smtp::Settings { host, port, tls, ca_file, login, from, to, hello })
                .map(|made| Arc::new(made) as Arc<dyn Messenger>)
        }
        Outlet::Slack { url } => Slack::new(url).map(|made| Arc::new(made) as Arc<dyn Messenger>),
        Outlet::Webhook { url, secret } => {
            Webhook::new(url, secret, Arc::new(crate::adapters::machine::clock::SystemClock))
                .map(|made| Arc::new(made) as Arc<dyn Messenger>)
        }
        Outlet::Syslog { protocol, address, facility } => {
            let transport = match protocol {
                Protocol::Udp => Transport::Udp(address),
                Protocol::Tcp => Transport::Tcp(address),
                Protocol::Unix => Transport::Unix(PathBuf::from(address)),
            };
            Ok(Arc::new(Syslog::new(transport, facility, &this_host())))
        }
    };
    let messenger =
        messenger.map_err(anyhow::Error::msg).with_context(|| format!("the receiver {} can't be used", it.name))?;
    Ok(Built { name: it.name.clone(), messenger, telegram, approvers })
}

fn this_host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fits = |it: &char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-');
    let name: String = name.trim().chars().filter(fits).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// The notifier, ready to run.
pub struct Notifying {
    settings: Settings,
    outside: Outside,
    approvals: Vec<Approvals>,
}

/// The configured notifier; `None` without receivers.
pub(super) fn notifying(config: &Config, store: &Store, clock: &Arc<dyn Clock>) -> anyhow::Result<Option<Notifying>> {
    let it = &config.notify;
    if it.receivers.is_empty() {
        return Ok(None);
    }
    let plan =
        Routing { routes: it.plan(), repeat: it.repeat_interval, wait: it.digest_wait, too_old: it.give_up_after };
    let settings = Settings {
        owner: format!("{:032x}", u128::from_le_bytes(random()?)).into(),
        plan,
        above: it.digest_above,
        give_up_after: it.give_up_after,
        message_timeout: MESSAGE_TIMEOUT,
        slow_retry: SLOW_RETRY,
        keep: KEEP.max(2 * it.give_up_after),
        backups: it.backups,
    };
    let built = receivers(config)?;
    let mut approvals = Vec::new();
    for it in &built {
        if let (Some(telegram), Some(allowed_users)) = (&it.telegram, &it.approvers) {
            approvals.push(Approvals {
                telegram: telegram.clone(),
                allowed_users: allowed_users.clone(),
                actions: Arc::new(store.clone()),
                clock: clock.clone(),
            });
        }
    }
    let receivers = built.into_iter().map(|it| notifier::Receiver { name: it.name, messenger: it.messenger });
    let outside = Outside { store: Arc::new(store.clone()), receivers: receivers.collect(), clock: clock.clone() };
    Ok(Some(Notifying { settings, outside, approvals }))
}

fn random() -> anyhow::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random number: {error}"))?;
    Ok(bytes)
}

impl Notifying {
    /// Notifies until it is stopped.
    pub async fn run(
        self,
        inventories: watch::Receiver<Arc<Inventory>>,
        post: Post<NotifierStatus>,
        stopped: watch::Receiver<bool>,
    ) {
        let mut polling: JoinSet<()> = self.approvals.into_iter().map(Approvals::run).collect();
        tokio::select! {
            () = notifier::run(self.settings, self.outside, inventories, post, stopped) => {}
            // They end only by a defect.
            Some(_) = polling.join_next() => {}
        }
    }
}
