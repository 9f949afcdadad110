//! What can be done about an alert.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::alert::{KeptAlert, Labels};
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::notice::Urgency;
use crate::domain::proof::Level;

/// The sorts of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Runs a program.
    Hook,
    /// Tells somebody.
    Notify,
    /// Scans a source.
    Rescan,
    /// Reads the newest backup of an item.
    Reverify,
    /// Silences the alert.
    Silence,
}

impl Kind {
    /// All of them, in label order.
    pub const ALL: [Self; 5] = [Self::Hook, Self::Notify, Self::Rescan, Self::Reverify, Self::Silence];

    /// As in configurations and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Notify => "notify",
            Self::Rescan => "rescan",
            Self::Reverify => "reverify",
            Self::Silence => "silence",
        }
    }

    /// Reads what [`as_str`](Self::as_str) writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether doing it twice is as good as doing it once, so that it may be done again after a crash.
    pub const fn is_idempotent(self) -> bool {
        !matches!(self, Self::Hook)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is to be done, with everything that is needed to do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "action")]
pub enum Action {
    /// Runs a program, without a shell.
    Hook {
        /// Its absolute path.
        program: Arc<str>,
        /// Its arguments, as configured: nothing of the alert is put into them.
        arguments: Vec<Arc<str>>,
        /// Seconds after which it is killed with its children.
        timeout: u64,
        /// Labels and annotations of the alert, for its environment.
        labels: Labels,
        /// See `labels`.
        annotations: Labels,
    },
    /// Tells somebody.
    Notify {
        /// Names of receivers; by the routes when empty.
        receivers: Vec<Arc<str>>,
        /// How urgent.
        severity: Urgency,
        /// One line.
        title: Arc<str>,
        /// Further lines.
        body: Arc<str>,
        /// Where to read more.
        link: Option<Arc<str>>,
        /// It tells of an alert that is over already.
        #[serde(default)]
        over: bool,
        /// The story: it is over when the alert is.
        story: Arc<str>,
        /// Environment that the alert names.
        environment: Option<Arc<str>>,
        /// Source, where the alert names one that is configured.
        source: Option<SourceName>,
        /// Item, likewise.
        item: Option<ItemId>,
    },
    /// Scans a source.
    Rescan {
        /// The source.
        source: SourceName,
    },
    /// Reads the newest backup of an item.
    Reverify {
        /// Its source.
        source: SourceName,
        /// The item.
        item: ItemId,
        /// How much is to be proven.
        level: Level,
    },
    /// Silences the alert in Alertmanager.
    Silence {
        /// Labels that the silence matches, all of them.
        matchers: Labels,
        /// Seconds from its start to its end.
        duration: u64,
    },
}

impl Action {
    /// Its sort.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Hook { .. } => Kind::Hook,
            Self::Notify { .. } => Kind::Notify,
            Self::Rescan { .. } => Kind::Rescan,
            Self::Reverify { .. } => Kind::Reverify,
            Self::Silence { .. } => Kind::Silence,
        }
    }

    /// The source that it is about.
    pub fn source(&self) -> Option<&SourceName> {
        match self {
            Self::Rescan { source } | Self::Reverify { source, .. } => Some(source),
            Self::Notify { source, .. } => source.as_ref(),
            Self::Hook { .. } | Self::Silence { .. } => None,
        }
    }

    /// The item that it is about.
    pub fn item(&self) -> Option<&ItemId> {
        match self {
            Self::Reverify { item, .. } => Some(item),
            Self::Notify { item, .. } => item.as_ref(),
            Self::Rescan { .. } | Self::Hook { .. } | Self::Silence { .. } => None,
        }
    }

    /// What identifies one intent: the occurrence of the alert, and what is to be done. The store keeps a digest.
    pub fn identity(&self, alert: &KeptAlert) -> Vec<String> {
        let mut parts = vec![alert.fingerprint.to_string(), alert.instance(), self.kind().as_str().to_owned()];
        match self {
            Self::Hook { program, arguments, .. } => {
                parts.push(program.to_string());
                parts.extend(arguments.iter().map(ToString::to_string));
            }
            Self::Notify { receivers, .. } => parts.extend(receivers.iter().map(ToString::to_string)),
            Self::Rescan { source } => parts.push(source.to_string()),
            Self::Reverify { source, item, level } => {
                parts.extend([source.to_string(), item.to_string(), level.as_str().to_owned()]);
            }
            Self::Silence { matchers, .. } => {
                parts.extend(matchers.iter().flat_map(|(name, value)| [name.to_string(), value.to_string()]));
            }
        }
        parts
    }

    /// How long it may take at most.
    pub fn timeout(&self) -> Duration {
        match self {
            Self::Hook { timeout, .. } => Duration::from_secs(*timeout),
            Self::Notify { .. } => Duration::from_secs(30),
            Self::Silence { .. } => Duration::from_secs(60),
            Self::Rescan { .. } => Duration::from_secs(60 * 60),
            Self::Reverify { .. } => Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hook { program, arguments, .. } => {
                write!(f, "run {program}")?;
                arguments.iter().try_for_each(|argument| write!(f, " {argument:?}"))
            }
            Self::Notify { receivers, .. } if receivers.is_empty() => f.write_str("notify by the routes"),
            Self::Notify { receivers, .. } => write!(f, "notify {}", receivers.join(", ")),
            Self::Rescan { source } => write!(f, "rescan {source}"),
            Self::Reverify { source, item, level } => {
                write!(f, "verify the newest backup of {item} in {source} to level {}", level.as_str())
            }
            Self::Silence { matchers, duration } => {
                let matchers: Vec<String> = matchers.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
                let length = crate::domain::age::words(Duration::from_secs(*duration));
                write!(f, "silence {} for {length}", matchers.join(" "))
            }
        }
    }
}
