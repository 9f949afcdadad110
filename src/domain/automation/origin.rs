//! Who or what asked for an action. Whoever it was, it goes the same way: one ledger, the same caps and limits, one audit trail.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// Who or what asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A rule, because of an alert.
    Alert {
        /// Its number, if it is still kept.
        id: Option<i64>,
        /// Its fingerprint; empty where the alert was forgotten before this was noted.
        fingerprint: Arc<str>,
        /// When the occurrence began, as it was told first.
        start: Option<Timestamp>,
        /// The rule.
        rule: Arc<str>,
    },
    /// A person.
    Person {
        /// Who: `api:NAME`, `cli:USER`.
        by: Arc<str>,
        /// What tells this request from others of the same person: asked twice, it is done once.
        request: Arc<str>,
    },
    /// The clock.
    Schedule {
        /// Name of the schedule.
        name: Arc<str>,
        /// For when it was planned: once for each time.
        due: Timestamp,
    },
}

impl Origin {
    /// As in the store.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Alert { .. } => "alert",
            Self::Person { .. } => "person",
            Self::Schedule { .. } => "schedule",
        }
    }

    /// The alert.
    pub const fn alert(&self) -> Option<i64> {
        match self {
            Self::Alert { id, .. } => *id,
            Self::Person { .. } | Self::Schedule { .. } => None,
        }
    }

    /// The rule; empty where none asked.
    pub fn rule(&self) -> &str {
        match self {
            Self::Alert { rule, .. } => rule,
            Self::Person { .. } | Self::Schedule { .. } => "",
        }
    }

    /// Who it is in the audit trail.
    pub fn actor(&self) -> String {
        match self {
            Self::Alert { rule, .. } => format!("rule:{rule}"),
            Self::Person { by, .. } => by.to_string(),
            Self::Schedule { name, .. } => format!("schedule:{name}"),
        }
    }

    /// Whose word it is already, so that nobody else is asked.
    pub const fn approved_by(&self) -> Option<&Arc<str>> {
        match self {
            Self::Person { by, .. } => Some(by),
            Self::Alert { .. } | Self::Schedule { .. } => None,
        }
    }

    /// What identifies the intent of a person or of a schedule: one request, one action, whatever it is. The store keeps a
    /// digest. What alerts ask for is told apart by what is to be done, too.
    pub fn identity(&self) -> Vec<String> {
        let parts = |parts: [&str; 3]| parts.map(str::to_owned).to_vec();
        match self {
            Self::Alert { fingerprint, rule, .. } => parts(["alert", fingerprint, rule]),
            Self::Person { by, request } => parts(["person", by, request]),
            Self::Schedule { name, due } => parts(["schedule", name, &due.to_string()]),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert { rule, .. } => write!(f, "Rule {rule}"),
            Self::Person { by, .. } => write!(f, "Asked for by {by}"),
            Self::Schedule { name, .. } => write!(f, "Schedule {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_is_one_intent() {
        let person = |by: &str, request: &str| Origin::Person { by: by.into(), request: request.into() }.identity();
        assert_eq!(person("cli:anna", "1"), person("cli:anna", "1"));
        assert_ne!(person("cli:anna", "1"), person("cli:anna", "2"));
        assert_ne!(person("cli:anna", "1"), person("cli:bert", "1"));
        let due = |second| Origin::Schedule { name: "drill".into(), due: Timestamp::from_second(second).unwrap() };
        assert_ne!(due(1).identity(), due(2).identity());
        assert_eq!(due(1).actor(), "schedule:drill");
    }
}
