//! `[[automation.rules]]`: what all rules have in common. The keys of one sort of action have a file of their own.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::config::errors::Complaints;
use crate::config::text;
use crate::domain::automation::action::{Kind, Template};
use crate::domain::automation::alert::Status;
use crate::domain::automation::rule::{Mode, OnResolve};
use crate::domain::window::Window;
use crate::formats::matchers;

/// What a sort of action has for itself.
pub(super) struct Keys {
    /// The sort.
    pub(super) kind: Kind,
    /// Its own keys, each with whether a rule gives it.
    pub(super) own: &'static [(&'static str, fn(&Rule) -> bool)],
    /// What is wrong with one of them: which, and why.
    pub(super) check: fn(&Rule) -> Option<Wrong>,
    /// What is missing in the rest of the configuration.
    pub(super) needs: fn(&Rule, &Around<'_>) -> Option<Wrong>,
    /// What the rule does, before an alert says to what.
    pub(super) template: fn(&Rule) -> anyhow::Result<Template>,
}

/// A key, and what is wrong with it.
pub(super) type Wrong = (&'static str, String);

/// What the rest of the configuration offers to rules.
pub(super) struct Around<'a> {
    pub(super) can_verify: bool,
    pub(super) can_silence: bool,
    /// Names of receivers.
    pub(super) receivers: &'a [&'a str],
}

/// A rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// What is done.
    pub action: Kind,
    /// Conditions on labels, as Alertmanager writes them; all must hold.
    #[serde(default)]
    pub matchers: Vec<String>,
    /// Only alerts for this receiver of Alertmanager.
    #[serde(default)]
    pub receiver: Option<Arc<str>>,
    /// Only alerts with one of these severities.
    #[serde(default)]
    pub severity: Vec<Arc<str>>,
    /// Alerts that fire, or those that are over.
    #[serde(default = "firing")]
    pub status: Status,
    /// How far it goes by itself.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// The alert must still fire so long after it was first heard of.
    #[serde(default, rename = "for", deserialize_with = "text::duration")]
    pub patience: Duration,
    /// Pause between two such actions on one target.
    #[serde(default, deserialize_with = "text::some_duration")]
    pub cooldown: Option<Duration>,
    /// Pause between two actions of this rule.
    #[serde(default, deserialize_with = "text::duration")]
    pub rule_cooldown: Duration,
    /// The rule begins at most so many actions …
    #[serde(default)]
    pub max_actions: Option<u32>,
    /// … in this time.
    #[serde(default = "an_hour", deserialize_with = "text::duration")]
    pub per: Duration,
    /// Time of day in which nothing begins by itself.
    #[serde(default)]
    pub quiet: Option<String>,
    /// What becomes of the action when the alert is over.
    #[serde(default)]
    pub on_resolve: OnResolve,
    /// Label that names the source.
    #[serde(default = "source_label")]
    pub source_label: Arc<str>,
    /// Label that names the item.
    #[serde(default = "item_label")]
    pub item_label: Arc<str>,
    /// Reverify: how much is to be proven.
    #[serde(default)]
    pub level: Option<u8>,
    /// Hook: the program and its arguments.
    #[serde(default)]
    pub command: Vec<Arc<str>>,
    /// Hook: it is killed after this.
    #[serde(default, deserialize_with = "text::some_duration")]
    pub timeout: Option<Duration>,
    /// Silence: how long.
    #[serde(default, deserialize_with = "text::some_duration")]
    pub duration: Option<Duration>,
    /// Silence: the labels that it matches.
    #[serde(default)]
    pub silence_labels: Vec<Arc<str>>,
    /// Notify: who is told.
    #[serde(default)]
    pub receivers: Vec<Arc<str>>,
}

const fn firing() -> Status {
    Status::Firing
}

const fn an_hour() -> Duration {
    Duration::from_secs(60 * 60)
}

fn source_label() -> Arc<str> {
    "source".into()
}

fn item_label() -> Arc<str> {
    "item".into()
}

impl Rule {
    /// A rule about every alert, with defaults for the rest.
    pub fn new(name: &str, action: Kind) -> Self {
        Self {
            name: name.into(),
            action,
            matchers: Vec::new(),
            receiver: None,
            severity: Vec::new(),
            status: firing(),
            mode: None,
            patience: Duration::ZERO,
            cooldown: None,
            rule_cooldown: Duration::ZERO,
            max_actions: None,
            per: an_hour(),
            quiet: None,
            on_resolve: OnResolve::default(),
            source_label: source_label(),
            item_label: item_label(),
            level: None,
            command: Vec::new(),
            timeout: None,
            duration: None,
            silence_labels: Vec::new(),
            receivers: Vec::new(),
        }
    }

    pub(super) fn check(&self, key: &str, sorts: &[&Keys], complaints: &mut Complaints) {
        let mut wrong = |name: &str, sentence: String| complaints.add(format!("{key}.{name}"), sentence);
        if self.name.is_empty() || self.name.len() > 64 || self.name.contains(|it: char| it.is_control()) {
            wrong("name", "must have 1 to 64 printable characters".to_owned());
        }
        for (index, text) in self.matchers.iter().enumerate() {
            if let Err(error) = matchers::parse(text) {
                wrong(&format!("matchers.{index}"), error.to_string());
            }
        }
        if self.matchers.is_empty() && self.receiver.is_none() && self.action != Kind::Notify {
            wrong("matchers", "a rule without any acts on every alert; write matchers, or a receiver".to_owned());
        }
        if self.quiet.as_ref().is_some_and(|text| Window::parse(text, TimeZone::UTC).is_none()) {
            wrong("quiet", "must be two times of day such as 08:00-18:00".to_owned());
        }
        if self.max_actions == Some(0) {
            wrong("max_actions", "must be at least 1; mode = \"dry_run\" lets a rule do nothing".to_owned());
        }
        if self.max_actions.is_some() && self.per < Duration::from_secs(60) {
            wrong("per", "must be at least 1m".to_owned());
        }
        self.check_parameters(sorts, &mut wrong);
    }

    fn check_parameters(&self, sorts: &[&Keys], wrong: &mut dyn FnMut(&str, String)) {
        for keys in sorts {
            for (name, given) in keys.own {
                if given(self) && keys.kind != self.action {
                    let sentence =
                        format!("belongs to action = \"{}\", and this one is \"{}\"", keys.kind, self.action);
                    wrong(name, sentence);
                }
            }
        }
        let own = sorts.iter().find(|keys| keys.kind == self.action);
        if let Some((name, sentence)) = own.and_then(|keys| (keys.check)(self)) {
            wrong(name, sentence);
        }
    }
}
