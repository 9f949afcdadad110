//! `firedrill automation explain`: the plan for a payload, and nothing else.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, ensure};

use super::{looking, say};
use crate::adapters::clock::SystemClock;
use crate::app;
use crate::config::Config;
use crate::domain::automation::action::Kind;
use crate::domain::automation::alert::{Alert, KeptAlert, Status};
use crate::domain::automation::decide::{Asked, Past, Plan, Recent, Standing, Step, Wish, proceed, wishes};
use crate::domain::automation::record::{Record, State};
use crate::domain::automation::rule::Rules;
use crate::domain::inventory::Inventory;
use crate::engine::ports::Clock as _;
use crate::engine::ports::ledger::Ledger as _;
use crate::formats::alertmanager;
use crate::formats::printable::shown;

/// Wishes that one question to the store is about.
const AT_ONCE: usize = 256;

pub(super) fn run(config: &Config, payload: &Path) -> anyhow::Result<ExitCode> {
    let body = std::fs::read(payload).with_context(|| format!("reading {}", payload.display()))?;
    let (notification, malformed) = alertmanager::parse(&body)?;
    let rules = config.automation.rules()?;
    ensure!(
        !rules.rules.is_empty(),
        "no rule is configured: see [[automation.rules]] in config/firedrill.example.toml"
    );
    let inventory = looking::at_all(app::sources(config)?, &config.policy());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(async {
        let mut text = String::new();
        for problem in &malformed {
            let _ = writeln!(text, "left out: {problem}");
        }
        let alerts: Vec<KeptAlert> = notification.alerts.iter().map(|it| kept(it, &notification.receiver)).collect();
        let wished: Vec<Vec<Wish<'_>>> = alerts.iter().map(|alert| wishes(alert, &rules, &inventory)).collect();
        let asked: Vec<Asked> =
            alerts.iter().zip(&wished).flat_map(|(alert, of)| of.iter().map(|wish| wish.asks(alert))).collect();
        let history = match history(config, &rules, &asked).await {
            Ok(history) => Some(history),
            Err(error) => {
                let _ = writeln!(text, "What happened before is not considered: {error:#}");
                None
            }
        };
        let mut explained =
            Explained { rules: &rules, inventory: &inventory, history, recent: Recent::default(), text };
        let mut asked = asked.into_iter().enumerate();
        for (alert, wished) in alerts.iter().zip(wished) {
            explained.alert(alert, wished, &mut asked);
        }
        explained.text
    });
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What the store knows of the past.
struct History {
    past: Vec<Past>,
    paused: bool,
    /// Actions that began within the time of the common cap, and of each rule's own.
    began: u32,
    began_by: HashMap<Arc<str>, u32>,
}

/// Asks the store, if there is one: none is made for this. Whoever else needs it doesn't wait for the rest.
async fn history(config: &Config, rules: &Rules, asked: &[Asked]) -> anyhow::Result<History> {
    let url = config.store.url()?;
    if let Some(path) = url.strip_prefix("sqlite://") {
        ensure!(Path::new(path).exists(), "there is no store yet");
    }
    let now = SystemClock.now();
    let since = |per| now.checked_sub(per).unwrap_or(jiff::Timestamp::MIN);
    let store = app::store(config)?;
    let mut past = Vec::with_capacity(asked.len());
    for some in asked.chunks(AT_ONCE) {
        past.extend(store.turn().await?.past(some).await?);
    }
    // The turn ends without a commit: nothing was changed.
    let mut turn = store.turn().await?;
    let mut began_by = HashMap::new();
    for (rule, cap) in rules.rules.iter().filter_map(|rule| Some((rule, rule.cap?))) {
        began_by.insert(rule.name.clone(), turn.began(Some(&rule.name), since(cap.per)).await?);
    }
    let began = turn.began(None, since(rules.cap.per)).await?;
    Ok(History { past, paused: turn.is_paused().await?, began, began_by })
}

fn kept(alert: &Alert, receiver: &Arc<str>) -> KeptAlert {
    let now = SystemClock.now();
    KeptAlert {
        id: 0,
        fingerprint: alert.fingerprint.clone(),
        starts_at: alert.starts_at,
        receiver: receiver.clone(),
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        generator_url: alert.generator_url.clone(),
        first_received: now,
        last_received: now,
        times: 1,
        resolved_at: (alert.status == Status::Resolved).then_some(now),
    }
}

/// The explanation so far, and what it would have led to.
struct Explained<'a> {
    rules: &'a Rules,
    inventory: &'a Inventory,
    history: Option<History>,
    recent: Recent,
    text: String,
}

impl Explained<'_> {
    fn alert(&mut self, alert: &KeptAlert, wished: Vec<Wish<'_>>, asked: &mut impl Iterator<Item = (usize, Asked)>) {
        let name = shown(alert.label("alertname"));
        let _ = writeln!(self.text, "{name} ({}, {})", alert.fingerprint, alert.status().as_str());
        if wished.is_empty() {
            self.text.push_str("  no rule is about it\n");
        }
        for (wish, (at, asked)) in wished.into_iter().zip(asked) {
            let past = self.history.as_ref().and_then(|it| it.past.get(at)).copied().unwrap_or_default();
            let past = self.recent.added_to(past, &asked);
            let sentence = if past.intended {
                "was decided before: nothing more comes of it".to_owned()
            } else {
                self.wish(wish, alert, &asked, past)
            };
            let _ = writeln!(self.text, "  {}: {}", shown(&asked.rule), shown(&sentence));
        }
    }

    fn wish(&mut self, wish: Wish<'_>, alert: &KeptAlert, asked: &Asked, past: Past) -> String {
        let now = SystemClock.now();
        match wish.decide(alert, past, self.rules, now) {
            Ok(plan) => {
                self.recent.add(asked, plan.state, now);
                let more = if plan.state == State::Scheduled { self.begins(&plan, now) } else { String::new() };
                plan.reason + &more
            }
            Err(refusal) => format!("refused: {refusal}"),
        }
    }

    /// What stands against a beginning, as things are now, and after what was planned already.
    fn begins(&mut self, plan: &Plan, now: jiff::Timestamp) -> String {
        let Some(history) = &mut self.history else { return String::new() };
        if history.paused {
            return "; but the automation is paused".to_owned();
        }
        let own = history.began_by.entry(plan.rule.clone()).or_default();
        let (rules, inventory) = (self.rules, self.inventory);
        let standing = Standing { rules, inventory, alert: None, running: 0, began: (history.began, *own) };
        match proceed(&Record::planned(plan, now), standing, now) {
            Step::Begin => {
                let counts = u32::from(plan.action.kind() != Kind::Notify);
                history.began += counts;
                *own += counts;
                String::new()
            }
            Step::Wait(until) if until > now => format!("; but not before {until} (quiet time)"),
            Step::Wait(_) | Step::Cancel(_) => String::new(),
            Step::Ask(reason) => format!("; but it {reason}"),
        }
    }
}
