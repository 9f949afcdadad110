//! What can be done about an alert: a room for each sort of action, and one list of them.

pub mod hook;
pub mod notify;
pub mod rescan;
pub mod reverify;
pub mod silence;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::subject::{Refusal, Subject};
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::inventory::Inventory;
use crate::domain::notice::Notice;

/// What is so of all actions of a sort.
#[derive(Debug, Clone, Copy)]
pub struct Sort {
    /// As in configurations and labels.
    pub label: &'static str,
    /// Whether doing it twice is as good as doing it once, so that it may be done again after a crash.
    pub idempotent: bool,
    /// Whether it counts for caps, and is told of when it is done. What only tells does not.
    pub acts: bool,
    /// Whether one about the end of an alert is another matter than one about its beginning, for cooldowns.
    pub ends_apart: bool,
    /// So many run at the same time, where nobody says otherwise.
    pub at_once: u32,
    /// The pause between two on one target, where nobody says otherwise.
    pub cooldown: Duration,
}

/// What an action of some sort knows of itself. Its words are its [`Display`](fmt::Display).
pub trait Deed: fmt::Display {
    /// The source that it is about.
    fn source(&self) -> Option<&SourceName> {
        None
    }

    /// The item that it is about.
    fn item(&self) -> Option<&ItemId> {
        None
    }

    /// What tells it from another one of its sort, whoever asked. Part of a key in the store: it must never change.
    fn identity(&self) -> Vec<String>;

    /// What a cooldown counts by: what is acted on, however it is asked for.
    fn target(&self, of: &Subject<'_>) -> String;

    /// How long it may take at most.
    fn timeout(&self) -> Duration;

    /// What it tells people, where that is what it does.
    fn notice(&self, _now: jiff::Timestamp) -> Option<Notice> {
        None
    }

    /// What it needs and isn't there any more.
    fn missing(&self, _inventory: &Inventory) -> Option<String> {
        None
    }
}

/// What a rule does, before an alert says to what.
pub trait Resolve {
    /// The action.
    type Deed;

    /// Fills it from an alert, checked against what is there.
    fn resolve(&self, of: &Subject<'_>) -> Result<Self::Deed, Refusal>;
}

/// The list: each sort by its name, with its room.
macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident in $room:ident;)*) => {
        /// The sorts of actions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// All of them, in label order.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];

            /// Their labels, in the same order.
            pub const LABELS: [&'static str; Self::ALL.len()] = [$($room::SORT.label),*];

            /// What is so of all of its actions.
            pub const fn sort(self) -> &'static Sort {
                match self { $(Self::$name => &$room::SORT,)* }
            }
        }

        /// What is to be done, with everything that is needed to do it.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase", tag = "action")]
        pub enum Action { $($(#[$doc])* $name($room::$name),)* }

        $(impl From<$room::$name> for Action {
            fn from(it: $room::$name) -> Self {
                Self::$name(it)
            }
        })*

        impl Action {
            /// Its sort.
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$name(_) => Kind::$name,)* }
            }

            /// What it knows of itself.
            pub fn deed(&self) -> &dyn Deed {
                match self { $(Self::$name(it) => it,)* }
            }
        }

        /// What a rule does, before an alert says to what.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Template { $($(#[$doc])* $name($room::Template),)* }

        impl Template {
            /// The sort of its actions.
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$name(_) => Kind::$name,)* }
            }

            /// Fills it from an alert, checked against what is there.
            pub fn resolve(&self, of: &Subject<'_>) -> Result<Action, Refusal> {
                match self { $(Self::$name(it) => it.resolve(of).map(Action::$name),)* }
            }
        }
    };
}

actions! {
    /// Runs a program.
    Hook in hook;
    /// Tells somebody.
    Notify in notify;
    /// Scans a source.
    Rescan in rescan;
    /// Reads the newest backup of an item.
    Reverify in reverify;
    /// Silences the alert.
    Silence in silence;
}

impl Kind {
    /// As in configurations and labels.
    pub const fn as_str(self) -> &'static str {
        self.sort().label
    }

    /// Reads what [`as_str`](Self::as_str) writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether doing it twice is as good as doing it once, so that it may be done again after a crash.
    pub const fn is_idempotent(self) -> bool {
        self.sort().idempotent
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Action {
    /// The source that it is about.
    pub fn source(&self) -> Option<&SourceName> {
        self.deed().source()
    }

    /// The item that it is about.
    pub fn item(&self) -> Option<&ItemId> {
        self.deed().item()
    }

    /// What tells it from another intent, whoever asked: its sort, and what is to be done. The store keeps a digest.
    pub fn identity(&self) -> Vec<String> {
        let mut parts = vec![self.kind().as_str().to_owned()];
        parts.extend(self.deed().identity());
        parts
    }

    /// How long it may take at most.
    pub fn timeout(&self) -> Duration {
        self.deed().timeout()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.deed().fmt(f)
    }
}
