//! What a person is told.
//!
//! A notice belongs to a story, by its key: a problem is told when it begins, again while it lasts, and when it is over, the
//! latter only to those who heard of it. An event is told once.

pub mod dedup;
pub mod digest;
pub mod routes;
pub mod status;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::dedup::Why;
use super::ids::{ItemId, SourceName};
use super::printable::{is_plain, shown, shown_lines};

/// How urgent a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Urgency {
    /// All of them, mildest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// As in configurations and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// Reads what [`as_str`](Self::as_str) writes, and the `severity` label of an alert.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == text)
    }
}

/// Where in its story a notice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It began, or it still lasts.
    Problem,
    /// It is over.
    Recovered,
    /// It has no duration.
    Event,
}

impl Phase {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Recovered => "recovered",
            Self::Event => "event",
        }
    }

    /// Reads what [`as_str`](Self::as_str) writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Problem, Self::Recovered, Self::Event].into_iter().find(|phase| phase.as_str() == text)
    }
}

/// What sort of thing a notice is about, to route by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// The state of an item: late, missing, failed, corrupt.
    Backup,
    /// An alert of Alertmanager.
    Alert,
    /// What the automation did, or asks to be allowed.
    Action,
    /// firedrill itself, and its sources.
    Daemon,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Backup, Self::Alert, Self::Action, Self::Daemon];

    /// As in configurations and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Alert => "alert",
            Self::Action => "action",
            Self::Daemon => "daemon",
        }
    }

    /// Reads what [`as_str`](Self::as_str) writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == text)
    }
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The story it belongs to, such as `backup/cluster/qemu/100` or `alert/FINGERPRINT`. Texts from outside may be in it.
    pub key: Arc<str>,
    /// Where in the story.
    pub phase: Phase,
    /// How urgent.
    pub severity: Urgency,
    /// What it is about.
    pub topic: Topic,
    /// Source, where it is about one.
    pub source: Option<SourceName>,
    /// Item, where it is about one.
    pub item: Option<ItemId>,
    /// Environment of the item.
    pub environment: Option<Arc<str>>,
    /// One line, plain text, hostile.
    pub title: Arc<str>,
    /// Further lines, plain text, hostile; may be empty.
    pub body: Arc<str>,
    /// Where to read more: a runbook or a page.
    pub link: Option<Arc<str>>,
    /// When it happened.
    pub at: Timestamp,
    /// The proposed action that it asks to approve or deny.
    pub proposal: Option<i64>,
    /// Only these receivers, by name; by the routes when empty.
    pub receivers: Vec<Arc<str>>,
}

/// What a headline begins with: `CRITICAL`, `WARNING, still`, `RECOVERED`.
fn mark(notice: &Notice, why: Why) -> String {
    let mark = match (notice.phase, notice.severity) {
        (Phase::Recovered, _) => "RECOVERED",
        (_, Urgency::Critical) => "CRITICAL",
        (_, Urgency::Warning) => "WARNING",
        (_, Urgency::Info) => "INFO",
    };
    let still = if why == Why::RepeatDue { ", still" } else { "" };
    format!("{mark}{still}")
}

/// The one line that says it all: `CRITICAL: qemu/100 is missing`, `RECOVERED: qemu/100 is ok`. Printable.
pub fn headline(notice: &Notice, why: Why) -> String {
    format!("{}: {}", mark(notice, why), shown(&notice.title))
}

/// What a messenger is given. The texts of the notice are hostile; a messenger takes them from the methods, which make
/// them printable, and sees to it that none is markup where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What to say; of a digest, the sum of all.
    pub notice: Notice,
    /// Why it is said.
    pub why: Why,
    /// What the other side called the message that told of the problem, to answer to.
    pub reply_to: Option<Arc<str>>,
    /// What came of former tries, where one receiver is several addresses.
    pub parts: Vec<Part>,
}

/// What became of a message for one of several addresses of a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The address.
    pub to: Arc<str>,
    /// It has the message; else it was refused for good.
    pub taken: bool,
    /// What was said about it, without secrets.
    pub said: Arc<str>,
}

impl Message {
    /// See [`headline`].
    pub fn headline(&self) -> String {
        headline(&self.notice, self.why)
    }

    /// The beginning of the headline, which no outsider wrote.
    pub fn mark(&self) -> String {
        mark(&self.notice, self.why)
    }

    /// The rest of it, printable.
    pub fn title(&self) -> String {
        shown(&self.notice.title)
    }

    /// The further lines, printable.
    pub fn body(&self) -> String {
        shown_lines(&self.notice.body)
    }

    /// Where to read more: an address of the web without anything that doesn't belong into one.
    pub fn link(&self) -> Option<&str> {
        let plain = |it: char| is_plain(it) && !it.is_whitespace() && !matches!(it, '<' | '>' | '"' | '`' | '|' | '\\');
        self.notice
            .link
            .as_deref()
            .filter(|link| (link.starts_with("https://") || link.starts_with("http://")) && link.chars().all(plain))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A warning about an item.
    pub(crate) fn notice(key: &str) -> Notice {
        Notice {
            key: key.into(),
            phase: Phase::Problem,
            severity: Urgency::Warning,
            topic: Topic::Backup,
            source: Some("cluster".parse().unwrap()),
            item: Some("qemu/100".parse().unwrap()),
            environment: None,
            title: format!("{key} is late").into(),
            body: "".into(),
            link: None,
            at: "2026-11-21T08:00:00Z".parse().unwrap(),
            proposal: None,
            receivers: Vec::new(),
        }
    }

    #[test]
    fn headlines_say_how_urgent_it_is() {
        assert_eq!(headline(&notice("a"), Why::First), "WARNING: a is late");
        assert_eq!(headline(&notice("a"), Why::RepeatDue), "WARNING, still: a is late");
        let over = Notice { phase: Phase::Recovered, severity: Urgency::Critical, ..notice("a") };
        assert_eq!(headline(&over, Why::Recovered), "RECOVERED: a is late");
    }

    #[test]
    fn texts_of_a_message_are_printable() {
        let hostile = Notice {
            title: "a\u{202e}b\nCRITICAL: c".into(),
            body: "d\u{1b}[2J\ne\u{2066}".into(),
            link: Some("https://example.org/a\u{202e}b".into()),
            ..notice("a")
        };
        let mut message = Message { notice: hostile, why: Why::First, reply_to: None, parts: Vec::new() };
        assert_eq!(message.headline(), "WARNING: a\\u{202e}b\\nCRITICAL: c");
        assert_eq!(message.headline(), format!("{}: {}", message.mark(), message.title()));
        assert_eq!(message.body(), "d\\u{1b}[2J\ne\\u{2066}");
        assert_eq!(message.link(), None);
        for (link, kept) in
            [("https://example.org/a?b=c#d", true), ("javascript:alert(1)", false), ("https://a b", false)]
        {
            message.notice.link = Some(link.into());
            assert_eq!(message.link().is_some(), kept, "{link}");
        }
    }
}
