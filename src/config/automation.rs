//! `[automation]`: what may be done about alerts, and within which limits.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::errors::Complaints;
use super::text;
use crate::domain::automation::action::Kind;
use crate::domain::automation::alert::Status;
use crate::domain::automation::occurrence::Bounds;
use crate::domain::automation::rule::{self, Cap, Mode, OnResolve, Template};
use crate::domain::proof::Level;
use crate::domain::window::Window;
use crate::formats::matchers;

/// Longest time that a hook may take.
const LONGEST_HOOK: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest silence: whoever needs more should change the rules.
const LONGEST_SILENCE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

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
    /// Actions of one sort at the same time.
    pub concurrency: Concurrency,
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

/// Actions of one sort at the same time, on all daemons of a store together.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Concurrency {
    /// Programs.
    pub hook: u32,
    /// Notifications.
    pub notify: u32,
    /// Scans.
    pub rescan: u32,
    /// Readings of archives.
    pub reverify: u32,
    /// Silences.
    pub silence: u32,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { hook: 1, notify: 16, rescan: 4, reverify: 1, silence: 4 }
    }
}

impl Concurrency {
    fn all(self) -> [u32; Kind::ALL.len()] {
        Kind::ALL.map(|kind| match kind {
            Kind::Hook => self.hook,
            Kind::Notify => self.notify,
            Kind::Rescan => self.rescan,
            Kind::Reverify => self.reverify,
            Kind::Silence => self.silence,
        })
    }
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
            concurrency: Concurrency::default(),
            time_zone: TimeZone::system(),
            alertmanagers: Vec::new(),
            alertmanager_token_file: None,
            rules: Vec::new(),
        }
    }
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

impl Automation {
    /// The rules, ready to be gone by. `check` has said before what is wrong with them.
    pub fn rules(&self) -> anyhow::Result<rule::Rules> {
        let rules: anyhow::Result<Vec<_>> = self.rules.iter().map(|rule| self.rule(rule)).collect();
        Ok(rule::Rules {
            rules: rules?,
            cap: Cap { most: self.max_actions, per: self.per },
            concurrency: self.concurrency.all(),
            proposals_expire: self.proposals_expire,
            bounds: Bounds { reopen_after: self.reopen_after, lost_after: self.lost_after },
        })
    }

    fn rule(&self, it: &Rule) -> anyhow::Result<rule::Rule> {
        let lists: Result<Vec<_>, _> = it.matchers.iter().map(|text| matchers::parse(text)).collect();
        let context = || format!("rule {}", it.name);
        Ok(rule::Rule {
            name: it.name.clone(),
            matchers: lists.with_context(context)?.concat(),
            receiver: it.receiver.clone(),
            severities: it.severity.clone(),
            status: it.status,
            template: it.template().with_context(context)?,
            source_label: it.source_label.clone(),
            item_label: it.item_label.clone(),
            mode: it.mode.unwrap_or(self.mode),
            patience: it.patience,
            // Who was told of what is the notifier's to know.
            cooldown: it.cooldown.unwrap_or(if it.action == Kind::Notify { Duration::ZERO } else { an_hour() }),
            rule_cooldown: it.rule_cooldown,
            cap: it.max_actions.map(|most| Cap { most, per: it.per }),
            quiet: it.quiet.as_deref().and_then(|text| Window::parse(text, self.time_zone.clone())),
            on_resolve: it.on_resolve,
        })
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
        for (kind, most) in Kind::ALL.into_iter().zip(self.concurrency.all()) {
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
        let mut names = BTreeSet::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let key = format!("automation.rules.{index}");
            if !names.insert(&rule.name) {
                complaints.add(format!("{key}.name"), format!("another rule is called {} already", rule.name));
            }
            rule.check(&key, complaints);
            if rule.action == Kind::Silence && self.alertmanagers.is_empty() {
                complaints.add(format!("{key}.action"), "a silence needs automation.alertmanagers".to_owned());
            }
            for name in rule.receivers.iter().filter(|name| !known.contains(&&***name)) {
                complaints.add(format!("{key}.receivers"), format!("there is no receiver called {name}"));
            }
            if rule.action == Kind::Notify && known.is_empty() {
                complaints.add(format!("{key}.action"), "nobody is told without [[notify.receivers]]".to_owned());
            }
            if rule.action == Kind::Reverify && !can_verify {
                complaints.add(format!("{key}.action"), "nothing is verified while verify.enabled is false".to_owned());
            }
        }
    }
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

    fn template(&self) -> anyhow::Result<Template> {
        Ok(match self.action {
            Kind::Hook => {
                let (program, arguments) = self.command.split_first().context("a hook needs a command")?;
                let timeout = self.timeout.unwrap_or(Duration::from_secs(5 * 60));
                Template::Hook { program: program.clone(), arguments: arguments.to_vec(), timeout }
            }
            Kind::Notify => Template::Notify { receivers: self.receivers.clone() },
            Kind::Rescan => Template::Rescan,
            Kind::Reverify => Template::Reverify {
                level: self.level.and_then(|level| Level::of(level.into())).unwrap_or(Level::Complete),
            },
            Kind::Silence => Template::Silence {
                duration: self.duration.context("a silence needs a duration")?,
                labels: self.silence_labels.clone(),
            },
        })
    }

    fn check(&self, key: &str, complaints: &mut Complaints) {
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
        self.check_parameters(&mut wrong);
    }

    fn check_parameters(&self, wrong: &mut dyn FnMut(&str, String)) {
        let given = [
            ("level", Kind::Reverify, self.level.is_some()),
            ("command", Kind::Hook, !self.command.is_empty()),
            ("timeout", Kind::Hook, self.timeout.is_some()),
            ("duration", Kind::Silence, self.duration.is_some()),
            ("silence_labels", Kind::Silence, !self.silence_labels.is_empty()),
            ("receivers", Kind::Notify, !self.receivers.is_empty()),
        ];
        for (name, kind, given) in given {
            if given && kind != self.action {
                wrong(name, format!("belongs to action = \"{kind}\", and this one is \"{}\"", self.action));
            }
        }
        match self.action {
            Kind::Reverify if self.level.is_some_and(|level| Level::of(level.into()).is_none()) => {
                wrong("level", "must be 1 (present), 2 (decodes to its end) or 3 (complete)".to_owned());
            }
            Kind::Hook if self.command.is_empty() => {
                wrong("command", "is missing: [\"/path/to/program\", \"argument\"]".to_owned())
            }
            Kind::Hook if !self.command[0].starts_with('/') => {
                wrong("command", "must begin with the absolute path of a program; no shell is used".to_owned());
            }
            Kind::Hook if self.timeout.is_some_and(|it| !(Duration::from_secs(1)..=LONGEST_HOOK).contains(&it)) => {
                wrong("timeout", "must be from 1s to 24h".to_owned());
            }
            Kind::Silence => match self.duration {
                None => wrong("duration", "is missing: how long the silence lasts".to_owned()),
                Some(it) if !(Duration::from_secs(60)..=LONGEST_SILENCE).contains(&it) => {
                    wrong("duration", "must be from 1m to 30d".to_owned());
                }
                Some(_) => {}
            },
            _ => {}
        }
    }
}
