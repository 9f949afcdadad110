use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::automation::action::{Template, hook, notify, reverify};
use crate::domain::automation::alert::Labels;
use crate::domain::automation::matcher::Matcher;
use crate::domain::automation::occurrence::Bounds;
use crate::domain::automation::record::example;
use crate::domain::automation::telling;
use crate::domain::inventory::SourceView;
use crate::domain::local_time::When;
use crate::domain::look::estate::EstateLook;
use crate::domain::look::{
    ErrorKind, Look, LookError, Medium, PlaceListing, PlaceLook, PlaceSpec, SourceKind, SourceSpec,
};
use crate::domain::notice::{Phase, Urgency};
use crate::domain::policy::{Matcher as Exclude, Policy};
use crate::domain::proof::Level;
use crate::domain::window::Window;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

pub(crate) fn alert(labels: &[(&str, &str)]) -> KeptAlert {
    KeptAlert {
        id: 1,
        fingerprint: "472e32bf361f96cc".into(),
        occurrence: 1,
        starts_at: now(),
        reopened: false,
        last_start: now(),
        receiver: "firedrill".into(),
        labels: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        annotations: Labels::new(),
        generator_url: "".into(),
        first_received: now(),
        last_received: now(),
        times: 1,
        late: 0,
        resolved_at: None,
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn rule(name: &str, template: Template) -> Rule {
    Rule {
        name: name.into(),
        matchers: vec![Matcher::equal("alertname", "Corrupt")],
        receiver: None,
        severities: Vec::new(),
        status: Status::Firing,
        template,
        source_label: "source".into(),
        item_label: "item".into(),
        mode: Mode::Execute,
        patience: Duration::ZERO,
        cooldown: HOUR,
        rule_cooldown: Duration::ZERO,
        cap: None,
        quiet: None,
        on_resolve: OnResolve::Cancel,
    }
}

fn reverify() -> Rule {
    rule("reverify", Template::Reverify(reverify::Template { level: Level::Complete }))
}

fn rules(rules: Vec<Rule>) -> Rules {
    let cap = Cap { most: 2, per: HOUR };
    Rules {
        rules,
        cap,
        concurrency: [1; Kind::ALL.len()],
        proposals_expire: 24 * HOUR,
        bounds: Bounds { reopen_after: HOUR / 6, lost_after: 24 * HOUR },
    }
}

/// Source `s` with qemu/100, and with qemu/101 that has no backup; blind if asked to.
fn inventory(blind: bool) -> Inventory {
    let spec = Arc::new(SourceSpec {
        name: "s".parse().unwrap(),
        kind: SourceKind::new("vzdump"),
        places: vec![PlaceSpec { path: "/a".into(), medium: Medium::Local, node: None, readable: true }],
        expected: vec!["qemu/101".parse().unwrap()],
        exclude: Exclude::new(&[], &[], &[], &[]).unwrap(),
        scan_interval: Duration::from_secs(60),
        scan_timeout: Duration::from_secs(60),
    });
    let attempt = Attempt {
        size: 1,
        ..Attempt::new("qemu/100".parse().unwrap(), When::At(now()), Outcome::Complete { warning: None }, "f".into())
    };
    let listing = PlaceListing { attempts: vec![attempt], ..PlaceListing::default() };
    let looks = Look {
        places: vec![PlaceLook { listing: Ok(Arc::new(listing)), capacity: None }],
        estate: EstateLook::default(),
    };
    let mut view = SourceView::unseen(spec.clone(), &Policy::default()).after(looks, HOUR, &Policy::default(), now());
    if blind {
        let error = LookError::new(ErrorKind::NotMounted, "not mounted");
        view = view.after(Look::blind(&spec, &error), HOUR, &Policy::default(), now());
    }
    Inventory::unseen(&[spec], &Policy::default()).with(view)
}

fn corrupt(source: &str, item: &str) -> KeptAlert {
    alert(&[("alertname", "Corrupt"), ("source", source), ("item", item), ("severity", "critical")])
}

fn decided(rule: Rule, alert: &KeptAlert, past: Past, at: Timestamp) -> Result<Plan, Refusal> {
    let rules = rules(vec![rule]);
    let mut found = wishes(alert, &rules, &inventory(false));
    assert_eq!(found.len(), 1);
    found.remove(0).decide(alert, past, &rules, at)
}

#[test]
fn a_rule_is_about_the_alerts_that_it_says() {
    let about = |rule: Rule, alert: &KeptAlert| !wishes(alert, &rules(vec![rule]), &inventory(false)).is_empty();
    let alert = corrupt("s", "qemu/100");
    assert!(about(reverify(), &alert));
    assert!(!about(Rule { receiver: Some("other".into()), ..reverify() }, &alert));
    assert!(about(Rule { severities: vec!["warning".into(), "critical".into()], ..reverify() }, &alert));
    assert!(!about(Rule { severities: vec!["warning".into()], ..reverify() }, &alert));
    assert!(!about(Rule { status: Status::Resolved, ..reverify() }, &alert));
    assert!(!about(reverify(), &KeptAlert { resolved_at: Some(now()), ..alert.clone() }));
}

#[test]
fn an_alert_that_names_what_is_not_there_is_refused_with_a_reason() {
    let why = |source: &str, item: &str| {
        decided(reverify(), &corrupt(source, item), Past::default(), now()).unwrap_err().to_string()
    };
    assert_eq!(why("", "qemu/100"), "the alert has no label source");
    assert_eq!(why("nowhere", "qemu/100"), "the alert's label source names \"nowhere\", and no source is called so");
    assert_eq!(why("s", ""), "the alert has no label item");
    assert_eq!(why("s", "qemu/999"), "the alert's label item names \"qemu/999\", and s has no such item");
    assert_eq!(why("s", "qemu/101"), "qemu/101 of s has no complete backup to read");
    assert!(why("s", &"../".repeat(1_000_000)).len() < 300);
    let (rules, alert) = (rules(vec![reverify()]), corrupt("s", "qemu/999"));
    let blind = wishes(&alert, &rules, &inventory(true)).remove(0).action.unwrap_err();
    assert_eq!(blind, Refusal::Blind("s".parse().unwrap()), "could not look is not nothing there");
}

#[test]
fn modes_and_patience() {
    let alert = corrupt("s", "qemu/100");
    let with = |mode, patience| decided(Rule { mode, patience, ..reverify() }, &alert, Past::default(), now()).unwrap();
    let plan = with(Mode::Execute, Duration::ZERO);
    assert_eq!((plan.state, plan.not_before, plan.expires), (ActionState::Scheduled, now(), None));
    assert_eq!(plan.reason, "will verify the newest backup of qemu/100 in s to level 3");
    let later = now() + SignedDuration::from_mins(10);
    assert_eq!(with(Mode::Execute, Duration::from_secs(600)).not_before, later);
    assert_eq!(with(Mode::DryRun, Duration::ZERO).state, ActionState::DryRun);
    let asked = with(Mode::Propose, Duration::ZERO);
    assert_eq!((asked.state, asked.expires), (ActionState::Proposed, Some(now() + SignedDuration::from_hours(24))));
}

#[test]
fn cooldowns_hold_to_the_second() {
    let alert = corrupt("s", "qemu/100");
    let rule = Rule { rule_cooldown: Duration::from_secs(60), ..reverify() };
    let state = |past, ago: i64| {
        let at = now() + SignedDuration::from_secs(ago);
        decided(rule.clone(), &alert, past, at).unwrap().state
    };
    let target = Past { target: Some(now()), ..Past::default() };
    assert_eq!((state(target, 3599), state(target, 3600)), (ActionState::Cooldown, ActionState::Scheduled));
    let own = Past { rule: Some(now()), ..Past::default() };
    assert_eq!((state(own, 59), state(own, 60)), (ActionState::Cooldown, ActionState::Scheduled));
    // The clock was set back: too early rather than twice.
    assert_eq!(state(target, -100), ActionState::Cooldown);
}

fn standing<'a>(rules: &'a Rules, inventory: &'a Inventory) -> Standing<'a> {
    Standing { rules, inventory, alert: Some(Status::Firing), again: false, running: 0, began: (0, 0) }
}

fn planned() -> Record {
    let (source, item) = ("s".parse().unwrap(), "qemu/100".parse().unwrap());
    Record {
        origin: by_rule("reverify"),
        ..example(1, Action::Reverify(reverify::Reverify { source, item, level: Level::Complete }))
    }
}

#[test]
fn what_stands_against_a_beginning() {
    let (inventory, all) = (inventory(false), rules(vec![reverify()]));
    let step = |standing| proceed(&planned(), standing, now());
    let fine = standing(&all, &inventory);
    assert_eq!(step(fine), Step::Begin);
    assert!(matches!(step(Standing { alert: Some(Status::Resolved), ..fine }), Step::Cancel(_)));
    assert_eq!(step(Standing { running: 1, ..fine }), Step::Wait(now()));
    assert_eq!(step(Standing { began: (1, 0), ..fine }), Step::Begin);
    assert!(matches!(step(Standing { began: (2, 0), ..fine }), Step::Ask(_)), "two within the hour is the most");
    let none = rules(Vec::new());
    assert!(matches!(step(standing(&none, &inventory)), Step::Cancel(_)), "the rule is gone");
    let asks = rules(vec![Rule { mode: Mode::Propose, ..reverify() }]);
    assert!(matches!(step(standing(&asks, &inventory)), Step::Ask(_)));
    let dry = rules(vec![Rule { mode: Mode::DryRun, ..reverify() }]);
    assert!(matches!(step(standing(&dry, &inventory)), Step::Cancel(_)));
    let capped = rules(vec![Rule { cap: Some(Cap { most: 1, per: HOUR }), ..reverify() }]);
    assert!(matches!(step(Standing { began: (1, 1), ..standing(&capped, &inventory) }), Step::Ask(_)));
    let night = Window::parse("00:00-23:59", TimeZone::UTC).unwrap();
    let quiet = rules(vec![Rule { quiet: Some(night), ..reverify() }]);
    assert!(matches!(step(standing(&quiet, &inventory)), Step::Wait(until) if until > now()));
}

#[test]
fn what_a_person_approved_is_held_back_by_little() {
    let inventory = inventory(false);
    let approved = Record { decided_by: Some("api:anna".into()), ..planned() };
    let asks = rules(vec![Rule { mode: Mode::Propose, ..reverify() }]);
    let fine = Standing { began: (100, 100), ..standing(&asks, &inventory) };
    assert_eq!(proceed(&approved, fine, now()), Step::Begin);
    assert_eq!(proceed(&approved, Standing { running: 1, ..fine }, now()), Step::Wait(now()));
    assert!(matches!(proceed(&approved, Standing { alert: Some(Status::Resolved), ..fine }, now()), Step::Cancel(_)));
}

#[test]
fn an_interrupted_hook_is_never_run_again() {
    let hook = Action::Hook(hook::Hook {
        program: "/bin/true".into(),
        arguments: Vec::new(),
        timeout: 1,
        labels: Labels::new(),
        annotations: Labels::new(),
    });
    assert_eq!(interrupted(&hook, 1).0, ActionState::Failed);
    assert_eq!(interrupted(&planned().action, 1).0, ActionState::Scheduled);
    assert_eq!(interrupted(&planned().action, MOST_TRIES).0, ActionState::Failed, "it may be what ends the process");
}

#[test]
fn what_is_told_of_an_alert_is_plain_and_short() {
    let mut alert = corrupt("s", "qemu/100");
    alert.annotations.insert("summary".into(), "<b>x</b>".repeat(10_000).into());
    alert.annotations.insert("runbook_url".into(), "javascript:alert(1)".into());
    let rule = rule("tell", Template::Notify(notify::Template { receivers: Vec::new() }));
    let plan = decided(rule, &alert, Past::default(), now()).unwrap();
    let Action::Notify(notify::Notify { title, link, severity, item, .. }) = plan.action else {
        panic!("another action")
    };
    assert!(title.chars().count() <= 2_000 + 1);
    assert_eq!((link, severity, item), (None, Urgency::Critical, Some("qemu/100".parse().unwrap())));
}

#[test]
fn what_tells_of_an_end_begins_no_story() {
    let fires = corrupt("s", "qemu/100");
    let over = KeptAlert { resolved_at: Some(now()), ..fires.clone() };
    let told = |alert: &KeptAlert, status| {
        let rule = Rule { status, ..rule("tell", Template::Notify(notify::Template { receivers: Vec::new() })) };
        let plan = decided(rule, alert, Past::default(), now()).unwrap();
        let record = plan.record(now());
        (plan.action.deed().notice(now()).unwrap(), telling::of_recovery(&record, now()))
    };
    let (problem, recovery) = told(&fires, Status::Firing);
    assert_eq!(
        (problem.phase, recovery.map(|it| (it.phase, it.key))),
        (Phase::Problem, Some((Phase::Recovered, problem.key)))
    );
    let (end, nothing) = told(&over, Status::Resolved);
    assert_eq!((end.phase, nothing), (Phase::Event, None));
}

#[test]
fn the_words_of_an_alert_stand_below_ours_on_one_line() {
    let mut alert = corrupt("s", "qemu/100");
    let forged = format!("full\nRule harmless: proposes nothing\nAction 1.{}", "x".repeat(100_000));
    alert.annotations.insert("summary".into(), forged.into());
    let plan = Plan { state: ActionState::Proposed, ..decided(reverify(), &alert, Past::default(), now()).unwrap() };
    let body = telling::of_plan(17, &plan, &alert, now()).unwrap().body;
    let lines: Vec<&str> = body.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("Action 17, rule") && body.len() < 1_000, "{body}");
}

#[test]
fn one_intent_has_one_identity() {
    let action = planned().action;
    let alert = corrupt("s", "qemu/100");
    // Whatever it was told with since, and for whomever.
    let told = KeptAlert { last_start: alert.starts_at + SignedDuration::from_secs(60), times: 7, ..alert.clone() };
    assert_eq!(identity(&action, &alert), identity(&action, &KeptAlert { receiver: "other".into(), ..told }));
    // As it was written before there were occurrences: what was decided then isn't decided anew.
    assert_eq!(identity(&action, &alert)[..2], [alert.fingerprint.to_string(), alert.starts_at.to_string()]);
    let later = KeptAlert { starts_at: alert.starts_at + SignedDuration::from_nanos(1), ..alert.clone() };
    assert_ne!(identity(&action, &alert), identity(&action, &later));
    let again = |occurrence| KeptAlert { occurrence, reopened: true, ..alert.clone() };
    assert_ne!(identity(&action, &alert), identity(&action, &again(2)));
    assert_ne!(identity(&action, &again(2)), identity(&action, &again(3)));
    let Action::Reverify(reverify::Reverify { source, item, .. }) = &action else { panic!("another action") };
    let shallow =
        Action::Reverify(reverify::Reverify { source: source.clone(), item: item.clone(), level: Level::Present });
    assert_ne!(identity(&action, &alert), identity(&shallow, &alert));
}

fn by_rule(name: &str) -> Origin {
    Origin::Alert { id: Some(1), fingerprint: "".into(), start: None, rule: name.into() }
}

#[test]
fn what_a_person_asks_for_waits_for_nothing_but_its_turn() {
    let (rules, inventory) = (rules(vec![]), inventory(false));
    let action = || planned().action;
    let person = Origin::Person { by: "cli:anna".into(), request: "1".into() };
    let record = asked_for(person, action(), now()).record(now());
    let standing =
        |running, began| Standing { rules: &rules, inventory: &inventory, alert: None, again: false, running, began };
    assert_eq!(proceed(&record, standing(0, (1_000, 0)), now()), Step::Begin, "no cap holds back what a person said");
    assert_eq!(proceed(&record, standing(1, (0, 0)), now()), Step::Wait(now()), "nor is more done at once");
    let schedule = Origin::Schedule { name: "drill".into(), due: now() };
    let record = asked_for(schedule, action(), now()).record(now());
    assert_eq!(proceed(&record, standing(0, (0, 0)), now()), Step::Begin);
    assert!(matches!(proceed(&record, standing(0, (1_000, 0)), now()), Step::Ask(_)), "nobody approved it");
    let gone = Inventory::default();
    let standing = Standing { inventory: &gone, ..standing(0, (0, 0)) };
    assert!(matches!(proceed(&record, standing, now()), Step::Cancel(why) if why.contains("there is no source")));
}
