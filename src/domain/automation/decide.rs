//! The decision: what follows from an alert, and whether an open action may begin. Pure, with a sentence for each answer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::action::{Action, Kind};
use super::alert::{KeptAlert, Labels, Status};
use super::record::{ActionState, Record};
use super::rule::{Cap, Mode, OnResolve, Rule, Rules, Template};
use crate::domain::age;
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::inventory::Inventory;
use crate::domain::notice::Urgency;
use crate::domain::notice::digest::cut;
use crate::domain::verdict::elapsed;

/// Texts of alerts are cut to so many characters before they are told.
const LONGEST_TEXT: usize = 2_000;

/// What a rule wants to be done about an alert, before history is asked.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The action, or why there can be none.
    pub action: Result<Action, Refusal>,
}

/// Why an alert can't be acted on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The label isn't there.
    #[error("the alert has no label {0}")]
    NoLabel(Arc<str>),
    /// It names a source that isn't configured.
    #[error("the alert's label {label} names {value:?}, and no source is called so")]
    NoSource {
        /// The label.
        label: Arc<str>,
        /// Its value.
        value: String,
    },
    /// It names an item that the source doesn't have.
    #[error("the alert's label {label} names {value:?}, and {source_name} has no such item")]
    NoItem {
        /// The label.
        label: Arc<str>,
        /// Its value.
        value: String,
        /// The source.
        source_name: SourceName,
    },
    /// The source can't be looked at, so nobody knows what it has.
    #[error("{0} can't be looked at now, so whether it has the item isn't known")]
    Blind(SourceName),
    /// The item has no backup that could be read.
    #[error("{item} of {source_name} has no complete backup to read")]
    NoBackup {
        /// The source.
        source_name: SourceName,
        /// The item.
        item: ItemId,
    },
}

/// What history is asked about a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its sort.
    pub kind: Kind,
    /// What a cooldown counts by.
    pub target: String,
    /// Name of its rule.
    pub rule: Arc<str>,
    /// What makes it the same intent as another; nothing for a wish that can't be.
    pub identity: Vec<String>,
}

/// What history says about a wish.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// The same intent is there already.
    pub intended: bool,
    /// When an action of this sort was last decided for this target.
    pub target: Option<Timestamp>,
    /// When this rule last decided on one, for any target.
    pub rule: Option<Timestamp>,
}

/// What was decided a moment ago and isn't in the store yet: what comes later sees it as if it were.
#[derive(Debug, Default)]
pub struct Recent {
    identities: HashSet<Vec<String>>,
    targets: HashMap<(Kind, String), Timestamp>,
    rules: HashMap<Arc<str>, Timestamp>,
}

impl Recent {
    /// The past with what was decided since.
    pub fn added_to(&self, past: Past, asked: &Asked) -> Past {
        Past {
            intended: past.intended || self.identities.contains(&asked.identity),
            target: self.targets.get(&(asked.kind, asked.target.clone())).copied().or(past.target),
            rule: self.rules.get(&asked.rule).copied().or(past.rule),
        }
    }

    /// Takes what was decided.
    pub fn add(&mut self, asked: &Asked, state: ActionState, now: Timestamp) {
        self.identities.insert(asked.identity.clone());
        if state.cools() {
            self.targets.insert((asked.kind, asked.target.clone()), now);
            self.rules.insert(asked.rule.clone(), now);
        }
    }
}

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Name of the rule.
    pub rule: Arc<str>,
    /// What is to be done.
    pub action: Action,
    /// What a cooldown counts by.
    pub target: String,
    /// Where it begins.
    pub state: ActionState,
    /// Why, in one sentence.
    pub reason: String,
    /// It doesn't begin before.
    pub not_before: Timestamp,
    /// Nobody can approve it after.
    pub expires: Option<Timestamp>,
}

/// What every rule wants of an alert.
pub fn wishes<'a>(alert: &KeptAlert, rules: &'a Rules, inventory: &Inventory) -> Vec<Wish<'a>> {
    let concerned = rules.rules.iter().filter(|rule| rule.concerns(alert));
    concerned.map(|rule| Wish { rule, action: resolve(rule, alert, inventory) }).collect()
}

/// Fills a rule's template from an alert, checked against what is there.
fn resolve(rule: &Rule, alert: &KeptAlert, inventory: &Inventory) -> Result<Action, Refusal> {
    match &rule.template {
        Template::Hook { program, arguments, timeout } => Ok(Action::Hook {
            program: program.clone(),
            arguments: arguments.clone(),
            timeout: timeout.as_secs(),
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
        }),
        Template::Notify { receivers } => Ok(notify(rule, alert, inventory, receivers)),
        Template::Rescan => Ok(Action::Rescan { source: source(rule, alert, inventory)? }),
        Template::Reverify { level } => {
            let source = source(rule, alert, inventory)?;
            let item = item(rule, alert, inventory, &source)?;
            Ok(Action::Reverify { source, item, level: *level })
        }
        Template::Silence { duration, labels } => {
            let matchers = silenced(alert, labels)?;
            Ok(Action::Silence { matchers, duration: duration.as_secs() })
        }
    }
}

fn source(rule: &Rule, alert: &KeptAlert, inventory: &Inventory) -> Result<SourceName, Refusal> {
    let (label, value) = (&rule.source_label, alert.label(&rule.source_label));
    if value.is_empty() {
        return Err(Refusal::NoLabel(label.clone()));
    }
    let known = value.parse().ok().filter(|name| inventory.source(name).is_some());
    known.ok_or_else(|| Refusal::NoSource { label: label.clone(), value: cut(value, 100) })
}

fn item(rule: &Rule, alert: &KeptAlert, inventory: &Inventory, source: &SourceName) -> Result<ItemId, Refusal> {
    let (label, value) = (&rule.item_label, alert.label(&rule.item_label));
    if value.is_empty() {
        return Err(Refusal::NoLabel(label.clone()));
    }
    let view = inventory.source(source);
    let id: Option<ItemId> = value.parse().ok();
    let found = id.zip(view).and_then(|(id, view)| view.items.iter().find(|item| item.id == id));
    match (found, view) {
        (Some(item), _) if item.newest.is_some() => Ok(item.id.clone()),
        (Some(item), _) => Err(Refusal::NoBackup { source_name: source.clone(), item: item.id.clone() }),
        (None, Some(view)) if !view.health.up() => Err(Refusal::Blind(source.clone())),
        (None, _) => Err(Refusal::NoItem { label: label.clone(), value: cut(value, 100), source_name: source.clone() }),
    }
}

fn silenced(alert: &KeptAlert, labels: &[Arc<str>]) -> Result<Labels, Refusal> {
    if labels.is_empty() {
        return Ok(alert.labels.clone());
    }
    let mut matchers = Labels::new();
    for label in labels {
        let value = alert.labels.get(label).ok_or_else(|| Refusal::NoLabel(label.clone()))?;
        matchers.insert(label.clone(), value.clone());
    }
    Ok(matchers)
}

fn notify(rule: &Rule, alert: &KeptAlert, inventory: &Inventory, receivers: &[Arc<str>]) -> Action {
    let text = |name: &str| alert.annotations.get(name).map(|text| cut(text, LONGEST_TEXT)).unwrap_or_default();
    let title = Some(text("summary")).filter(|title| !title.is_empty()).unwrap_or_else(|| {
        let name = Some(alert.label("alertname")).filter(|name| !name.is_empty()).unwrap_or("an alert");
        format!("{} {}", cut(name, 200), if alert.status() == Status::Firing { "fires" } else { "is over" })
    });
    let found = source(rule, alert, inventory).ok();
    let environment = Some(alert.label("environment")).filter(|name| !name.is_empty());
    Action::Notify {
        over: alert.status() == Status::Resolved,
        receivers: receivers.to_vec(),
        severity: Urgency::parse(alert.label("severity")).unwrap_or(Urgency::Warning),
        title: title.into(),
        body: text("description").into(),
        link: alert.annotations.get("runbook_url").cloned().filter(|url| is_link(url)),
        story: format!("alert/{}", alert.fingerprint).into(),
        environment: environment.map(|name| cut(name, 100).into()),
        item: found.as_ref().and_then(|source| item(rule, alert, inventory, source).ok()),
        source: found,
    }
}

fn is_link(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://")) && url.len() <= 1_000 && !url.contains(char::is_control)
}

impl Wish<'_> {
    /// What must be known of the past to decide on it.
    pub fn asks(&self, alert: &KeptAlert) -> Asked {
        let identity = |action: &Action| {
            let mut parts = action.identity(alert);
            if alert.status() == Status::Resolved {
                parts.push("resolved".to_owned());
            }
            parts
        };
        Asked {
            kind: self.action.as_ref().map_or(self.rule.kind(), Action::kind),
            target: self.target(alert),
            rule: self.rule.name.clone(),
            identity: self.action.as_ref().map(identity).unwrap_or_default(),
        }
    }

    /// What a cooldown counts by: what is acted on, however it is asked for.
    pub fn target(&self, alert: &KeptAlert) -> String {
        let of_alert = || {
            let (source, item) = (alert.label(&self.rule.source_label), alert.label(&self.rule.item_label));
            if source.is_empty() && item.is_empty() {
                alert.fingerprint.to_string()
            } else {
                format!("{source}/{item}")
            }
        };
        let target = match &self.action {
            Ok(Action::Rescan { source }) => source.to_string(),
            Ok(Action::Reverify { source, item, .. }) => format!("{source}/{item}"),
            Ok(Action::Hook { program, arguments, .. }) => format!("{} {program} {}", of_alert(), arguments.join(" ")),
            Ok(Action::Notify { receivers, .. }) => format!("{} {}", alert.fingerprint, receivers.join(" ")),
            Ok(Action::Silence { .. }) => alert.fingerprint.to_string(),
            Err(_) => of_alert(),
        };
        // What follows the end of an alert is another matter than what its beginning asked for.
        let ends = alert.status() == Status::Resolved && matches!(self.rule.kind(), Kind::Hook | Kind::Notify);
        cut(&format!("{}{target}", if ends { "end of " } else { "" }), 300)
    }

    /// Decides what becomes of the wish now.
    pub fn decide(self, alert: &KeptAlert, past: Past, rules: &Rules, now: Timestamp) -> Result<Plan, Refusal> {
        let target = self.target(alert);
        let rule = self.rule;
        let plan = |action, state, reason: String| Plan {
            rule: rule.name.clone(),
            action,
            target: target.clone(),
            state,
            reason,
            not_before: now,
            expires: None,
        };
        let action = self.action?;
        let what = action.to_string();
        if rule.mode == Mode::DryRun {
            return Ok(plan(action, ActionState::DryRun, format!("would {what}; the rule is a dry run")));
        }
        let cooling = [(past.target, rule.cooldown, "to this target"), (past.rule, rule.rule_cooldown, "by this rule")];
        for (last, pause, which) in cooling {
            if let Some(last) = last.filter(|last| elapsed(*last, now) < pause) {
                let (ago, pause) = (age::words(elapsed(last, now)), age::words(pause));
                let reason = format!("did not {what}: the last one {which} was {ago} ago, and the cooldown is {pause}");
                return Ok(plan(action, ActionState::Cooldown, reason));
            }
        }
        // How long it must last: that it fires, or that it is over.
        let since = alert.resolved_at.filter(|_| rule.status == Status::Resolved).unwrap_or(alert.first_received);
        let not_before = later(since, rule.patience).max(now);
        if not_before > now {
            let (asks, pause) = (rule.mode == Mode::Propose, age::words(elapsed(now, not_before)));
            let does = if asks { "propose to " } else { "" };
            let still = if rule.status == Status::Firing { "still fires" } else { "is still over" };
            return Ok(Plan {
                not_before,
                ..plan(action, ActionState::Scheduled, format!("will {does}{what} if the alert {still} in {pause}"))
            });
        }
        if rule.mode == Mode::Propose {
            let expires = later(not_before, rules.proposals_expire);
            let limit = age::words(rules.proposals_expire);
            let reason = format!("proposes to {what}; waits for approval, at most {limit}");
            return Ok(Plan { not_before, expires: Some(expires), ..plan(action, ActionState::Proposed, reason) });
        }
        Ok(plan(action, ActionState::Scheduled, format!("will {what}")))
    }
}

fn later(from: Timestamp, by: std::time::Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// How things stand when an action is about to begin.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// Rules as they are configured now.
    pub rules: &'a Rules,
    /// What is there now.
    pub inventory: &'a Inventory,
    /// Whether the alert still fires; `None` without an alert.
    pub alert: Option<Status>,
    /// The alert has ended, and fires again.
    pub again: bool,
    /// Actions of this sort that run.
    pub running: u32,
    /// Actions that began within the time of the common cap, and of the rule's own.
    pub began: (u32, u32),
}

/// What becomes of a scheduled action now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It begins.
    Begin,
    /// It waits until then at least.
    Wait(Timestamp),
    /// A person is asked.
    Ask(String),
    /// It isn't needed or wanted any more.
    Cancel(String),
}

/// Whether a scheduled action may begin now. What a person approved is not held back by caps, quiet windows and modes.
pub fn proceed(record: &Record, standing: Standing<'_>, now: Timestamp) -> Step {
    let Some(rule) = standing.rules.named(&record.rule) else {
        return Step::Cancel(format!("cancelled: there is no rule {} any more", record.rule));
    };
    if standing.alert == Some(Status::Resolved) && rule.status == Status::Firing && rule.on_resolve != OnResolve::Ignore
    {
        return Step::Cancel("cancelled: the alert is over".to_owned());
    }
    if standing.again && rule.status == Status::Resolved && !rule.patience.is_zero() {
        return Step::Cancel("cancelled: the alert fires again".to_owned());
    }
    if let Some(gone) = gone(&record.action, standing.inventory) {
        return Step::Cancel(format!("cancelled: {gone}"));
    }
    if standing.running >= allowed(standing.rules, record.action.kind()) {
        return Step::Wait(now);
    }
    if record.decided_by.is_some() {
        return Step::Begin;
    }
    match rule.mode {
        Mode::DryRun => return Step::Cancel("cancelled: the rule is a dry run now".to_owned()),
        Mode::Propose => return Step::Ask("waits for approval: the rule proposes".to_owned()),
        Mode::Execute => {}
    }
    if let Some(end) = rule.quiet.as_ref().filter(|window| window.contains(now)).map(|window| window.end_after(now)) {
        return Step::Wait(end);
    }
    if record.action.kind() == Kind::Notify {
        return Step::Begin;
    }
    let caps = [(Some(standing.rules.cap), standing.began.0, "all rules"), (rule.cap, standing.began.1, "this rule")];
    for (cap, began, whose) in caps {
        if let Some(Cap { most, per }) = cap.filter(|cap| began >= cap.most) {
            let per = age::words(per);
            return Step::Ask(format!(
                "waits for approval: {began} actions of {whose} began within {per}, and {most} is the most"
            ));
        }
    }
    Step::Begin
}

/// So many of a sort may run at the same time.
pub fn allowed(rules: &Rules, kind: Kind) -> u32 {
    let at = Kind::ALL.iter().position(|it| *it == kind);
    at.map_or(1, |at| rules.concurrency[at])
}

/// What the action needs and isn't there any more.
fn gone(action: &Action, inventory: &Inventory) -> Option<String> {
    let source = match action {
        Action::Rescan { source } | Action::Reverify { source, .. } => source,
        Action::Hook { .. } | Action::Notify { .. } | Action::Silence { .. } => return None,
    };
    let Some(view) = inventory.source(source) else { return Some(format!("there is no source {source} any more")) };
    let item = action.item()?;
    let there = view.items.iter().any(|it| it.id == *item) || !view.health.up();
    (!there).then(|| format!("{source} has no item {item} any more"))
}

/// What becomes of an action that was running when its process ended.
pub fn interrupted(action: &Action, tries: u32) -> (ActionState, String) {
    if !action.kind().is_idempotent() {
        let reason = "interrupted: firedrill ended while it ran; what it did isn't known, and it is not run again";
        return (ActionState::Failed, reason.to_owned());
    }
    if tries >= MOST_TRIES {
        return (ActionState::Failed, format!("interrupted {tries} times: not tried again"));
    }
    (ActionState::Scheduled, "interrupted: firedrill ended while it ran; it is decided again".to_owned())
}

/// An action during which the process ended so often is not begun again: it may be what ends it.
const MOST_TRIES: u32 = 3;

#[cfg(test)]
pub(super) mod tests;
