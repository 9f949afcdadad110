//! `firedrill automation explain`: the plan for a payload, and nothing else.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, ensure};

use crate::adapters::machine::clock::SystemClock;
use crate::adapters::store::Store;
use crate::app;
use crate::cli::{looking, say};
use crate::config::Config;
use crate::domain::automation::alert::{Alert, KeptAlert};
use crate::domain::automation::decide::{Asked, Past, Recent, Standing, Step, Wish, proceed, wishes};
use crate::domain::automation::occurrence::{Heard, Occurrence, TELLINGS, order, step};
use crate::domain::automation::plan::Plan;
use crate::domain::automation::record::ActionState;
use crate::domain::automation::rule::Rules;
use crate::domain::inventory::Inventory;
use crate::domain::printable::shown;
use crate::engine::ports::Clock as _;
use crate::engine::ports::ledger::Ledger as _;
use crate::formats::alertmanager;

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
        let mut told = notification.alerts;
        told.sort_by_key(|alert| order(alert.event()));
        let alerts = hear(config, &rules, &told, &notification.receiver).await;
        let wished: Vec<Vec<Wish<'_>>> = alerts.iter().map(|it| it.wishes(&rules, &inventory)).collect();
        let asked: Vec<Asked> =
            alerts.iter().zip(&wished).flat_map(|(it, of)| of.iter().map(|wish| wish.asks(&it.alert))).collect();
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

/// Asks the store. Whoever else needs it doesn't wait for the rest.
async fn history(config: &Config, rules: &Rules, asked: &[Asked]) -> anyhow::Result<History> {
    let now = SystemClock.now();
    let since = |per| now.checked_sub(per).unwrap_or(jiff::Timestamp::MIN);
    let store = store(config)?;
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

/// An alert as it would be kept, and what it would mean.
struct Meant {
    alert: KeptAlert,
    heard: Heard,
    late: u32,
}

impl Meant {
    fn wishes<'a>(&self, rules: &'a Rules, inventory: &Inventory) -> Vec<Wish<'a>> {
        // What is passed over is decided on by nobody.
        if matches!(self.heard, Heard::Late | Heard::Outdated) {
            Vec::new()
        } else {
            wishes(&self.alert, rules, inventory)
        }
    }

    /// What is told of the alert, in words.
    fn words(&self) -> String {
        let since = self.alert.starts_at;
        match self.heard {
            Heard::Began => "begins".to_owned(),
            Heard::Ended => format!("ends what began at {since}"),
            Heard::Late => format!("is over; told to fire after that for time {} of {TELLINGS}", self.late),
            Heard::Missed => "is over, and nothing was heard of its beginning".to_owned(),
            Heard::Moved => format!("is what began at {since}, with another start"),
            Heard::Outdated => "is an end that was told before".to_owned(),
            Heard::Reopened => "was told to be over and fires on: begins again".to_owned(),
            Heard::Repeated => format!("fires since {since}, as is known"),
            Heard::StillOver => "is over, as is known".to_owned(),
        }
    }
}

/// What each alert means, after what the store knows and after those before it.
async fn hear(config: &Config, rules: &Rules, told: &[Alert], receiver: &Arc<str>) -> Vec<Meant> {
    let fingerprints: Vec<Arc<str>> = told.iter().map(|alert| alert.fingerprint.clone()).collect();
    let standing = async { Ok::<_, anyhow::Error>(store(config)?.turn().await?.standing(&fingerprints).await?) };
    // That nothing is known is said with the history.
    let mut standing = standing.await.unwrap_or_default();
    let now = SystemClock.now();
    let mut meant = Vec::with_capacity(told.len());
    for alert in told {
        let before = standing.get(&*alert.fingerprint);
        let (after, heard) = step(before, alert.event(), receiver, rules.bounds, now);
        meant.push(Meant { alert: kept(alert, receiver, &after, now), heard, late: after.late() });
        standing.insert(alert.fingerprint.to_string(), after);
    }
    meant
}

/// The store, if there is one: none is made for this.
fn store(config: &Config) -> anyhow::Result<Store> {
    let url = config.store.url()?;
    if let Some(path) = url.strip_prefix("sqlite://") {
        ensure!(Path::new(path).exists(), "there is no store yet");
    }
    app::store(config)
}

fn kept(alert: &Alert, receiver: &Arc<str>, after: &Occurrence, now: jiff::Timestamp) -> KeptAlert {
    KeptAlert {
        id: 0,
        fingerprint: alert.fingerprint.clone(),
        occurrence: after.number,
        starts_at: after.starts_at,
        reopened: after.reopened,
        last_start: alert.starts_at,
        receiver: receiver.clone(),
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        generator_url: alert.generator_url.clone(),
        first_received: now,
        last_received: now,
        times: 1,
        late: 0,
        resolved_at: (!after.is_open()).then_some(now),
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
    fn alert(&mut self, meant: &Meant, wished: Vec<Wish<'_>>, asked: &mut impl Iterator<Item = (usize, Asked)>) {
        let alert = &meant.alert;
        let name = shown(alert.label("alertname"));
        let _ = writeln!(self.text, "{name} ({}): {}", alert.fingerprint, meant.words());
        if matches!(meant.heard, Heard::Late | Heard::Outdated) {
            self.text.push_str("  nothing follows\n");
        } else if wished.is_empty() {
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
                let more = if plan.state == ActionState::Scheduled { self.begins(&plan, now) } else { String::new() };
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
        let own = history.began_by.entry(plan.origin.rule().into()).or_default();
        let (rules, inventory) = (self.rules, self.inventory);
        let standing =
            Standing { rules, inventory, alert: None, again: false, running: 0, began: (history.began, *own) };
        match proceed(&plan.record(now), standing, now) {
            Step::Begin => {
                let counts = u32::from(plan.action.kind().sort().acts);
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
