//! `[automation]`: what may be done about alerts, and within which limits.

mod hook;
mod notify;
mod rescan;
mod reverify;
mod rule;
mod silence;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use jiff::tz::TimeZone;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

pub use self::rule::Rule;
use self::rule::{Around, Keys};
use super::errors::Complaints;
use super::text;
use crate::domain::automation::action::Kind;
use crate::domain::automation::occurrence::Bounds;
use crate::domain::automation::rule::{self as domain, Cap, Mode};
use crate::domain::window::Window;
use crate::formats::matchers;

/// When an alert was heard of is known to within an hour.
const LEAST_SILENCE: Duration = Duration::from_secs(2 * 60 * 60);

/// The automation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Automation {
    /// How far rules go that don't say it.
    pub mode: Mode,
    /// All rules together begin at most so many actions …
    pub max_actions: u32,
    /// … in this time. What is beyond waits for a person.
    #[serde(deserialize_with = "text::duration")]
    pub per: Duration,
    /// A proposal that nobody answers ends after this.
    #[serde(deserialize_with = "text::duration")]
    pub proposals_expire: Duration,
    /// An alert that is told to fire so long after it was told to be over is a new one.
    #[serde(deserialize_with = "text::duration")]
    pub reopen_after: Duration,
    /// An alert that fires and that nobody spoke of for so long is a new one when it is told with a later start.
    #[serde(deserialize_with = "text::duration")]
    pub lost_after: Duration,
    /// Actions of one sort at the same time, on all daemons of a store together.
    #[serde(deserialize_with = "by_kind")]
    pub concurrency: BTreeMap<Kind, u32>,
    /// Zone of the quiet times of rules.
    #[serde(deserialize_with = "text::time_zone")]
    pub time_zone: TimeZone,
    /// Base URLs of the members of an Alertmanager cluster, for silences.
    pub alertmanagers: Vec<String>,
    /// A file that holds a bearer token for them.
    pub alertmanager_token_file: Option<PathBuf>,
    /// The rules.
    pub rules: Vec<Rule>,
}

impl Default for Automation {
    fn default() -> Self {
        Self {
            mode: Mode::Propose,
            max_actions: 10,
            per: Duration::from_secs(60 * 60),
            proposals_expire: Duration::from_secs(24 * 60 * 60),
            reopen_after: Duration::from_secs(10 * 60),
            lost_after: Duration::from_secs(24 * 60 * 60),
            concurrency: BTreeMap::new(),
            time_zone: TimeZone::system(),
            alertmanagers: Vec::new(),
            alertmanager_token_file: None,
            rules: Vec::new(),
        }
    }
}

impl Automation {
    /// The rules, ready to be gone by. `check` has said before what is wrong with them.
    pub fn rules(&self) -> anyhow::Result<domain::Rules> {
        let rules: anyhow::Result<Vec<_>> = self.rules.iter().map(|rule| self.rule(rule)).collect();
        Ok(domain::Rules {
            rules: rules?,
            cap: Cap { most: self.max_actions, per: self.per },
            concurrency: self.at_once(),
            proposals_expire: self.proposals_expire,
            bounds: Bounds { reopen_after: self.reopen_after, lost_after: self.lost_after },
        })
    }

    fn rule(&self, it: &Rule) -> anyhow::Result<domain::Rule> {
        let lists: Result<Vec<_>, _> = it.matchers.iter().map(|text| matchers::parse(text)).collect();
        let context = || format!("rule {}", it.name);
        Ok(domain::Rule {
            name: it.name.clone(),
            matchers: lists.with_context(context)?.concat(),
            receiver: it.receiver.clone(),
            severities: it.severity.clone(),
            status: it.status,
            template: (keys(it).template)(it).with_context(context)?,
            source_label: it.source_label.clone(),
            item_label: it.item_label.clone(),
            mode: it.mode.unwrap_or(self.mode),
            patience: it.patience,
            cooldown: it.cooldown.unwrap_or(it.action.sort().cooldown),
            rule_cooldown: it.rule_cooldown,
            cap: it.max_actions.map(|most| Cap { most, per: it.per }),
            quiet: it.quiet.as_deref().and_then(|text| Window::parse(text, self.time_zone.clone())),
            on_resolve: it.on_resolve,
        })
    }

    /// Actions of one sort at the same time, by [`Kind::ALL`].
    fn at_once(&self) -> [u32; Kind::ALL.len()] {
        Kind::ALL.map(|kind| self.concurrency.get(&kind).copied().unwrap_or(kind.sort().at_once))
    }

    /// The bearer token for the members of Alertmanager's cluster.
    pub fn alertmanager_token(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.alertmanager_token_file else { return Ok(None) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading automation.alertmanager_token_file {}", path.display()))?;
        Ok(Some(text.trim().to_owned()))
    }

    pub(super) fn check(&self, can_verify: bool, known: &[&str], complaints: &mut Complaints) {
        let mut wrong = |key: &str, sentence: &str| complaints.add(format!("automation.{key}"), sentence.to_owned());
        for (key, value) in [("per", self.per), ("proposals_expire", self.proposals_expire)] {
            if value < Duration::from_secs(60) {
                wrong(key, "must be at least 1m");
            }
        }
        if self.reopen_after < Duration::from_secs(1) {
            wrong("reopen_after", "must be at least 1s: a message that comes late isn't a new alert");
        }
        if self.lost_after < LEAST_SILENCE {
            wrong(
                "lost_after",
                "must be at least 2h, and twice as long as the longest repeat_interval in Alertmanager",
            );
        }
        for (kind, most) in Kind::ALL.into_iter().zip(self.at_once()) {
            if !(1..=1_000).contains(&most) {
                wrong(&format!("concurrency.{kind}"), "must be from 1 to 1000");
            }
        }
        for (index, url) in self.alertmanagers.iter().enumerate() {
            if let Some(sentence) = text::wrong_http_url(url) {
                let sentence = format!("{sentence}; it is a base URL such as http://alertmanager:9093");
                wrong(&format!("alertmanagers.{index}"), &sentence);
            }
        }
        let around = Around { can_verify, receivers: known, can_silence: !self.alertmanagers.is_empty() };
        let mut names = BTreeSet::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let key = format!("automation.rules.{index}");
            if !names.insert(&rule.name) {
                complaints.add(format!("{key}.name"), format!("another rule is called {} already", rule.name));
            }
            rule.check(&key, &SORTS, complaints);
            if let Some((name, sentence)) = (keys(rule).needs)(rule, &around) {
                complaints.add(format!("{key}.{name}"), sentence);
            }
        }
    }
}

/// What each sort of action has for itself, as in [`Kind::ALL`].
const SORTS: [&Keys; Kind::ALL.len()] = [&hook::KEYS, &notify::KEYS, &rescan::KEYS, &reverify::KEYS, &silence::KEYS];

fn keys(rule: &Rule) -> &'static Keys {
    let found = SORTS.iter().find(|keys| keys.kind == rule.action);
    found.expect("every sort of action is in the list: a test goes through them")
}

/// Numbers by sort of action. A word that is none is an unknown key, as in any other table.
fn by_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Kind, u32>, D::Error> {
    let named = BTreeMap::<String, u32>::deserialize(deserializer)?;
    let kind = |(name, most): (String, u32)| {
        let kind = Kind::parse(&name).ok_or_else(|| D::Error::unknown_field(&name, &Kind::LABELS))?;
        Ok((kind, most))
    };
    named.into_iter().map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_of_action_has_its_keys() {
        assert_eq!(SORTS.map(|keys| keys.kind), Kind::ALL);
    }
}
