//! The decision: what follows from an alert, and whether an open action may begin. Pure, with a sentence for each answer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::action::{Action, Kind};
use super::alert::{KeptAlert, Status};
use super::record::{ActionState, Record};
use super::rule::{Cap, Mode, OnResolve, Rule, Rules};
use super::subject::{Refusal, Subject};
use crate::domain::age;
use crate::domain::inventory::Inventory;
use crate::domain::notice::digest::cut;
use crate::domain::verdict::elapsed;

/// What a rule wants to be done about an alert, before history is asked.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The action, or why there can be none.
    pub action: Result<Action, Refusal>,
    /// What a cooldown counts by: what is acted on, however it is asked for.
    pub target: String,
}

fn target(rule: &Rule, action: &Result<Action, Refusal>, of: &Subject<'_>) -> String {
    let target = action.as_ref().map_or_else(|_| of.named(), |action| action.deed().target(of));
    // What follows the end of an alert is another matter than what its beginning asked for.
    let ends = of.alert.status() == Status::Resolved && rule.kind().sort().ends_apart;
    cut(&format!("{}{target}", if ends { "end of " } else { "" }), 300)
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
    let wish = |rule: &'a Rule| {
        let subject = rule.subject(alert, inventory);
        let action = rule.template.resolve(&subject);
        Wish { rule, target: target(rule, &action, &subject), action }
    };
    concerned.map(wish).collect()
}

/// What identifies one intent: the occurrence of the alert, and what is to be done. The store keeps a digest.
fn identity(action: &Action, alert: &KeptAlert) -> Vec<String> {
    let mut parts = vec![alert.fingerprint.to_string(), alert.instance()];
    parts.extend(action.identity());
    if alert.status() == Status::Resolved {
        parts.push("resolved".to_owned());
    }
    parts
}

impl Wish<'_> {
    /// What must be known of the past to decide on it.
    pub fn asks(&self, alert: &KeptAlert) -> Asked {
        Asked {
            kind: self.action.as_ref().map_or(self.rule.kind(), Action::kind),
            target: self.target.clone(),
            rule: self.rule.name.clone(),
            identity: self.action.as_ref().map(|action| identity(action, alert)).unwrap_or_default(),
        }
    }

    /// Decides what becomes of the wish now.
    pub fn decide(self, alert: &KeptAlert, past: Past, rules: &Rules, now: Timestamp) -> Result<Plan, Refusal> {
        let (rule, target) = (self.rule, self.target);
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
    if let Some(gone) = record.action.deed().missing(standing.inventory) {
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
    if !record.action.kind().sort().acts {
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
