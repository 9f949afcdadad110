//! Rules: which alerts lead to which action, and within which limits.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::action::{Kind, Template};
use super::alert::{KeptAlert, Status};
use super::matcher::Matcher;
use super::occurrence::Bounds;
use super::subject::Subject;
use crate::domain::inventory::Inventory;
use crate::domain::window::Window;

/// How far a rule goes by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Says what it would do.
    DryRun,
    /// Asks a person.
    #[default]
    Propose,
    /// Does it.
    Execute,
}

/// What becomes of an action when its alert is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnResolve {
    /// It isn't begun any more; what runs goes on.
    #[default]
    Cancel,
    /// What runs is ended too.
    Kill,
    /// Nothing.
    Ignore,
}

/// At most so many actions begin in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// Actions.
    pub most: u32,
    /// In this time.
    pub per: Duration,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// All of them must hold.
    pub matchers: Vec<Matcher>,
    /// Only alerts that were told for this receiver of Alertmanager.
    pub receiver: Option<Arc<str>>,
    /// Only alerts with one of these values of the label `severity`; any when empty.
    pub severities: Vec<Arc<str>>,
    /// Whether it is about alerts that fire, or about those that are over.
    pub status: Status,
    /// What it does.
    pub template: Template,
    /// The label that names the source.
    pub source_label: Arc<str>,
    /// The label that names the item.
    pub item_label: Arc<str>,
    /// How far it goes by itself.
    pub mode: Mode,
    /// The alert must still fire so long after it was first heard of.
    pub patience: Duration,
    /// The same sort of action on the same target begins again only after this.
    pub cooldown: Duration,
    /// The rule acts again, on any target, only after this.
    pub rule_cooldown: Duration,
    /// The rule begins at most so many actions in a time.
    pub cap: Option<Cap>,
    /// Nothing begins by itself in this time of day.
    pub quiet: Option<Window>,
    /// What becomes of the action when the alert is over.
    pub on_resolve: OnResolve,
}

impl Rule {
    /// The sort of its actions.
    pub const fn kind(&self) -> Kind {
        self.template.kind()
    }

    /// What its actions are asked for by an alert.
    pub fn subject<'a>(&'a self, alert: &'a KeptAlert, inventory: &'a Inventory) -> Subject<'a> {
        Subject { alert, source_label: &self.source_label, item_label: &self.item_label, inventory }
    }

    /// Whether it is about this alert.
    pub fn concerns(&self, alert: &KeptAlert) -> bool {
        alert.status() == self.status
            && self.receiver.as_ref().is_none_or(|receiver| *receiver == alert.receiver)
            && (self.severities.is_empty() || self.severities.iter().any(|it| **it == *alert.label("severity")))
            && self.matchers.iter().all(|matcher| matcher.matches(alert))
    }
}

/// All rules, and the limits that they share.
#[derive(Debug, Clone)]
pub struct Rules {
    /// In the order of the configuration. Every rule that is about an alert acts on it; two that want the same do it once.
    pub rules: Vec<Rule>,
    /// All rules together begin at most so many actions in a time, notifications not counted.
    pub cap: Cap,
    /// Actions of one sort at the same time, by [`Kind::ALL`].
    pub concurrency: [u32; Kind::ALL.len()],
    /// A proposal that nobody answers ends after this.
    pub proposals_expire: Duration,
    /// When an alert is a new [occurrence](super::occurrence) by the time that passed.
    pub bounds: Bounds,
}

impl Rules {
    /// A rule by its name.
    pub fn named(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| *rule.name == *name)
    }
}
