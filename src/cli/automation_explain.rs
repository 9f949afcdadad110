//! `firedrill automation explain`: the plan for a payload, and nothing else.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};

use super::{looking, say};
use crate::adapters::clock::SystemClock;
use crate::app;
use crate::config::Config;
use crate::domain::automation::alert::{Alert, KeptAlert, Status};
use crate::domain::automation::decide::{Past, Plan, Standing, Step, Wish, proceed, wishes};
use crate::domain::automation::record::{Record, State};
use crate::domain::automation::rule::Rules;
use crate::domain::inventory::Inventory;
use crate::engine::ports::Clock as _;
use crate::engine::ports::ledger::{Ledger as _, Turn};
use crate::formats::alertmanager;
use crate::formats::printable::shown;

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
        let mut history = match history(config).await {
            Ok(turn) => Some(turn),
            Err(error) => {
                let _ = writeln!(text, "Cooldowns and caps are not considered: {error:#}");
                None
            }
        };
        for problem in &malformed {
            let _ = writeln!(text, "left out: {problem}");
        }
        for alert in &notification.alerts {
            explain(alert, &notification.receiver, &rules, &inventory, &mut history, &mut text).await?;
        }
        // The turn ends without a commit: nothing was changed.
        anyhow::Ok(text)
    })?;
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The store's history, if there is one: no store is made for this.
async fn history(config: &Config) -> anyhow::Result<Box<dyn Turn>> {
    let url = config.store.url()?;
    if let Some(path) = url.strip_prefix("sqlite://") {
        ensure!(Path::new(path).exists(), "there is no store yet");
    }
    Ok(app::store(config)?.turn().await?)
}

async fn explain(
    alert: &Alert,
    receiver: &std::sync::Arc<str>,
    rules: &Rules,
    inventory: &Inventory,
    history: &mut Option<Box<dyn Turn>>,
    text: &mut String,
) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let alert = KeptAlert {
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
    };
    let name = shown(alert.label("alertname"));
    let _ = writeln!(text, "{name} ({}, {})", alert.fingerprint, alert.status().as_str());
    let found = wishes(&alert, rules, inventory);
    if found.is_empty() {
        text.push_str("  no rule is about it\n");
    }
    for wish in found {
        let past = match history {
            Some(turn) => turn.past(&[wish.asks(&alert)]).await?.pop().unwrap_or_default(),
            None => Past::default(),
        };
        let rule = wish.rule.name.clone();
        if past.intended {
            let _ = writeln!(text, "  {}: was decided before: nothing more comes of it", shown(&rule));
            continue;
        }
        let sentence = match decide(wish, &alert, past, rules) {
            Ok(plan) if plan.state == State::Scheduled => {
                format!("{}{}", plan.reason, begins(&plan, rules, inventory, history).await?)
            }
            Ok(plan) => plan.reason,
            Err(refusal) => refusal,
        };
        let _ = writeln!(text, "  {}: {}", shown(&rule), shown(&sentence));
    }
    Ok(())
}

fn decide(wish: Wish<'_>, alert: &KeptAlert, past: Past, rules: &Rules) -> Result<Plan, String> {
    wish.decide(alert, past, rules, SystemClock.now()).map_err(|refusal| format!("refused: {refusal}"))
}

/// What stands against a beginning, as things are now.
async fn begins(
    plan: &Plan,
    rules: &Rules,
    inventory: &Inventory,
    history: &mut Option<Box<dyn Turn>>,
) -> anyhow::Result<String> {
    let (now, Some(turn)) = (SystemClock.now(), history) else { return Ok(String::new()) };
    if turn.is_paused().await? {
        return Ok("; but the automation is paused".to_owned());
    }
    let since = |per| now.checked_sub(per).unwrap_or(jiff::Timestamp::MIN);
    let all = turn.began(None, since(rules.cap.per)).await?;
    let own = match rules.named(&plan.rule).and_then(|rule| rule.cap) {
        Some(cap) => turn.began(Some(&plan.rule), since(cap.per)).await?,
        None => 0,
    };
    let standing = Standing { rules, inventory, alert: None, running: 0, began: (all, own) };
    Ok(match proceed(&Record::planned(plan, now), standing, now) {
        Step::Begin | Step::Cancel(_) => String::new(),
        Step::Wait(until) if until > now => format!("; but not before {until} (quiet time)"),
        Step::Wait(_) => String::new(),
        Step::Ask(reason) => format!("; but it {reason}"),
    })
}
