//! What happens in a turn.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::batch::Batch;
use super::done::{Done, Said};
use super::running::Ended;
use super::{Reactor, after, is_due};
use crate::domain::automation::action::Kind;
use crate::domain::automation::alert::{KeptAlert, Status};
use crate::domain::automation::decide::{Asked, Standing, Step, Wish, allowed, interrupted, proceed, wishes};
use crate::domain::automation::occurrence::Tidings;
use crate::domain::automation::record::{ActionState, Record};
use crate::domain::automation::rule::OnResolve;
use crate::domain::automation::status::{Ending, OpenActions};
use crate::domain::automation::telling;
use crate::domain::inventory::Inventory;
use crate::domain::labels;
use crate::engine::intake::heard;
use crate::engine::ports::StoreError;
use crate::engine::ports::ledger::{Change, Due, EffectFailure, Held, LEASE, Outcome, Turn};

/// Alerts that are decided on in one turn. While it lasts nobody else writes: the webhook's answers wait for it.
const BATCH: u32 = 64;

/// Proposals that expire in one turn.
const EXPIRE: u32 = 256;

/// Due actions of a sort that are looked at beyond the free places: some of them will be cancelled.
const AHEAD: u32 = 16;

impl Change {
    fn to(action: i64, state: ActionState, reason: impl Into<Arc<str>>, event: &'static str) -> Self {
        Self { action, state, reason: reason.into(), not_before: None, expires: None, owner: None, result: None, event }
    }
}

impl Reactor {
    /// Reclaims, decides, expires and begins. Whether a batch was full.
    pub(super) async fn take_turn(&mut self) -> Result<bool, StoreError> {
        let inventory = self.inventories.borrow().clone();
        let now = self.outside.clock.now();
        let mut turn = self.outside.ledger.turn().await?;
        let mut done = Done::default();
        let bound = self.settings.rules.bounds.reopen_after;
        // An end that was told while nobody listened is told once more; an action that it would have held back must wait.
        let reopened = match is_due(self.hears_since, bound, now) {
            true => turn.believe_late(bound, BATCH, now).await?,
            false => Tidings::default(),
        };
        let mut open = turn.open().await?;
        let mut running = [0; Kind::ALL.len()];
        if open.iter().any(|it| it.state == ActionState::Running) {
            running = self.reclaim(&mut *turn, &mut done, now).await?;
        }
        let denied = turn.denied().await?;
        for record in denied {
            self.tell_change(&mut *turn, &record, ActionState::Denied, &record.reason.clone(), now).await?;
            done.counted.push((record.action.kind(), Ending::Denied));
        }
        if open.iter().any(|it| it.state == ActionState::Proposed) {
            self.expire(&mut *turn, &mut done, now).await?;
        }
        let paused = turn.is_paused().await?;
        let mut full = false;
        // Before everything was looked at once, nobody knows what is there.
        if !paused && inventory.is_complete() {
            full = self.decide(&mut *turn, &inventory, &mut done, now).await?;
            if std::mem::take(&mut done.recount) {
                open = turn.open().await?;
            }
            self.begin(&mut *turn, &inventory, &open, running, &mut done, now).await?;
        }
        // What waits behind what was looked at may be due as well.
        let moved = done.recount;
        if moved {
            open = turn.open().await?;
        }
        turn.commit().await?;
        self.outside.intake.count(|counts| heard(&reopened, counts));
        self.open = open;
        self.paused = if paused { self.paused.or(Some(now)) } else { None };
        let again = full || moved || !done.begun.is_empty();
        self.carry_out(done);
        Ok(again)
    }

    /// What was decided is durable: begin it.
    fn carry_out(&mut self, done: Done) {
        done.said.iter().for_each(Said::log);
        for (kind, result) in done.counted {
            self.tally.count(kind, result);
        }
        for (action, why) in done.killed {
            self.running.kill(action, &why);
        }
        for record in done.begun {
            tracing::info!(action = record.id, rule = record.origin.rule(), "{}", record.action);
            let effect = self.outside.effects.get(&record.action.kind()).cloned();
            self.running.begin(record, effect);
        }
    }

    /// Takes back what owners that are gone left behind. How many of each sort run.
    async fn reclaim(
        &mut self,
        turn: &mut dyn Turn,
        done: &mut Done,
        now: Timestamp,
    ) -> Result<[u32; Kind::ALL.len()], StoreError> {
        let mut running = [0; Kind::ALL.len()];
        for held in turn.held().await? {
            let mine = held.owner == self.me;
            let alive = if mine {
                self.running.hold(held.record.id) || self.unsaved.iter().any(|ended| ended.record.id == held.record.id)
            } else {
                (held.lease >= now || Instant::now() < self.trusts_leases)
                    && !self.outside.processes.is_gone(&held.owner)
            };
            if alive {
                if mine && self.ends_with_its_alert(&held) {
                    done.killed.push((held.record.id, "ended while it ran: the alert is over".to_owned()));
                }
                if let Some(at) = labels::place(&Kind::ALL, &held.record.action.kind()) {
                    running[at] += 1;
                }
                continue;
            }
            let (state, reason) = interrupted(&held.record.action, held.tries);
            let change = Change::to(held.record.id, state, reason.as_str(), "interrupted");
            if turn.change(&change, &[ActionState::Running], Some(&held.owner), now).await? {
                done.recount = true;
                done.said.push(Said::Interrupted(held.record.id, format!("{}: {reason}", held.record.action)));
                self.tell_change(turn, &held.record, state, &reason, now).await?;
                done.counted.extend(Ending::of(state).map(|it| (held.record.action.kind(), it)));
            }
        }
        Ok(running)
    }

    fn ends_with_its_alert(&self, held: &Held) -> bool {
        let rule = self.settings.rules.named(held.record.origin.rule());
        held.alert == Some(Status::Resolved)
            && rule.is_some_and(|rule| rule.status == Status::Firing && rule.on_resolve == OnResolve::Kill)
    }

    async fn expire(&mut self, turn: &mut dyn Turn, done: &mut Done, now: Timestamp) -> Result<(), StoreError> {
        for record in turn.expired(now, EXPIRE).await? {
            let reason = "expired: nobody approved or denied it in time";
            let change = Change::to(record.id, ActionState::Expired, reason, "expired");
            if turn.change(&change, &[ActionState::Proposed], None, now).await? {
                done.recount = true;
                self.tell_change(turn, &record, ActionState::Expired, reason, now).await?;
                done.counted.push((record.action.kind(), Ending::Expired));
            }
        }
        Ok(())
    }

    async fn decide(
        &mut self,
        turn: &mut dyn Turn,
        inventory: &Inventory,
        done: &mut Done,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let alerts = turn.pending(BATCH).await?;
        for alert in alerts.iter().filter(|alert| alert.status() == Status::Resolved) {
            self.resolved(turn, alert, done, now).await?;
        }
        let rules = &self.settings.rules;
        let wished: Vec<(&KeptAlert, Wish<'_>)> = alerts
            .iter()
            .flat_map(|alert| wishes(alert, rules, inventory).into_iter().map(move |it| (alert, it)))
            .collect();
        let asked: Vec<Asked> = wished.iter().map(|(alert, wish)| wish.asks(alert)).collect();
        let past = turn.past(&asked).await?;
        let mut batch = Batch::default();
        for (((alert, wish), asked), past) in wished.into_iter().zip(asked).zip(past) {
            let past = batch.recent.added_to(past, &asked);
            if past.intended {
                done.counted.push((asked.kind, Ending::Duplicate));
                continue;
            }
            match wish.decide(alert, past, rules, now) {
                Ok(plan) => batch.keep(alert, plan, asked, now),
                Err(refusal) => {
                    let refused = (asked.rule.clone(), alert.fingerprint.clone(), refusal.to_string());
                    done.said.push(Said::Refused(refused.0, refused.1, refused.2));
                    let actor = format!("rule:{}", asked.rule);
                    turn.note(&actor, None, "refused", &refusal.to_string(), now).await?;
                    batch.notices.push(telling::of_refusal(&asked.rule, alert, &refusal, now));
                    done.counted.push((asked.kind, Ending::Refused));
                }
            }
        }
        batch.add(turn, done, now).await?;
        turn.handled(&alerts).await?;
        Ok(alerts.len() == BATCH as usize)
    }

    /// An alert is over: what it asked for isn't begun any more, and who heard of it hears that.
    async fn resolved(
        &mut self,
        turn: &mut dyn Turn,
        alert: &KeptAlert,
        done: &mut Done,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let states = [ActionState::Proposed, ActionState::Scheduled, ActionState::Running, ActionState::Done];
        for record in turn.of_alert(alert.id, &states).await? {
            let rule = self.settings.rules.named(record.origin.rule());
            let asked_by_end = rule.is_some_and(|rule| rule.status == Status::Resolved);
            let on_resolve = rule.map_or(OnResolve::Cancel, |rule| rule.on_resolve);
            match record.state {
                ActionState::Done => {
                    if let Some(notice) = telling::of_recovery(&record, now) {
                        turn.tell(&[notice]).await?;
                    }
                }
                _ if asked_by_end || on_resolve == OnResolve::Ignore => {}
                // Whoever runs it sees to that.
                ActionState::Running => {}
                _ => {
                    let reason = "cancelled: the alert is over";
                    let change = Change::to(record.id, ActionState::Cancelled, reason, "cancelled");
                    if turn.change(&change, &[ActionState::Proposed, ActionState::Scheduled], None, now).await? {
                        done.recount = true;
                        done.counted.push((record.action.kind(), Ending::Cancelled));
                        if record.state == ActionState::Proposed {
                            self.tell_change(turn, &record, ActionState::Cancelled, reason, now).await?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn begin(
        &mut self,
        turn: &mut dyn Turn,
        inventory: &Inventory,
        open: &[OpenActions],
        mut running: [u32; Kind::ALL.len()],
        done: &mut Done,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let cap = self.settings.rules.cap;
        let mut began_by_all: Option<u32> = None;
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            let free = allowed(&self.settings.rules, kind).saturating_sub(running[at]);
            if free == 0 || !open.iter().any(|it| it.kind == kind && it.state == ActionState::Scheduled) {
                continue;
            }
            for Due { record, alert, again } in turn.due(kind, now, free.saturating_add(AHEAD)).await? {
                let began_all = match began_by_all {
                    Some(count) => count,
                    None => turn.began(None, before(now, cap.per)).await?,
                };
                let rule_cap = self.settings.rules.named(record.origin.rule()).and_then(|rule| rule.cap);
                let began_rule = match rule_cap {
                    Some(cap) => turn.began(Some(record.origin.rule()), before(now, cap.per)).await?,
                    None => 0,
                };
                let standing = Standing {
                    rules: &self.settings.rules,
                    inventory,
                    alert,
                    again,
                    running: running[at],
                    began: (began_all, began_rule),
                };
                let step = proceed(&record, standing, now);
                let begun = self.step(turn, &record, step, done, now).await?;
                running[at] += u32::from(begun);
                began_by_all = Some(began_all + u32::from(begun && kind.sort().acts));
            }
        }
        Ok(())
    }

    /// Does a step. Whether the action begins.
    async fn step(
        &mut self,
        turn: &mut dyn Turn,
        record: &Record,
        step: Step,
        done: &mut Done,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let id = record.id;
        let change = match step {
            Step::Wait(until) if until <= now => return Ok(false),
            Step::Wait(until) => {
                let reason = format!("waits until {until}: the rule's quiet time");
                Change { not_before: Some(until), ..Change::to(id, ActionState::Scheduled, reason, "waits") }
            }
            Step::Begin => {
                let lease = after(now, LEASE);
                Change {
                    owner: Some((self.me.clone(), lease)),
                    ..Change::to(id, ActionState::Running, "being done", "started")
                }
            }
            Step::Ask(reason) => {
                let expires = after(now, self.settings.rules.proposals_expire);
                Change { expires: Some(expires), ..Change::to(id, ActionState::Proposed, reason, "proposed") }
            }
            Step::Cancel(reason) => Change::to(id, ActionState::Cancelled, reason, "cancelled"),
        };
        if !turn.change(&change, &[ActionState::Scheduled], None, now).await? {
            return Ok(false);
        }
        done.recount = true;
        self.tell_change(turn, record, change.state, &change.reason, now).await?;
        done.counted.extend(Ending::of(change.state).map(|it| (record.action.kind(), it)));
        let begins = change.state == ActionState::Running;
        if begins {
            done.begun.push(Record { state: ActionState::Running, started: Some(now), ..record.clone() });
        }
        Ok(begins)
    }

    async fn tell_change(
        &self,
        turn: &mut dyn Turn,
        record: &Record,
        state: ActionState,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match telling::of_change(record, state, reason, now) {
            Some(notice) => turn.tell(&[notice]).await,
            None => Ok(()),
        }
    }

    /// Records what ended, each in a transaction of its own, in order.
    pub(super) async fn record_ends(&mut self) -> Result<(), StoreError> {
        while let Some(ended) = self.unsaved.first() {
            let now = self.outside.clock.now();
            let mut turn = self.outside.ledger.turn().await?;
            let (state, change, mut notices) = end_of(ended);
            if !ended.record.action.kind().sort().acts {
                // The alert ended before it was known that people were told of it. If it fires again by now, that is what
                // they know.
                let held = turn.held().await?;
                let of_this = held.iter().find(|it| it.record.id == ended.record.id);
                let over = |it: &Held| [it.alert, it.by_now] == [Some(Status::Resolved); 2];
                if state == ActionState::Done && of_this.is_some_and(over) {
                    notices.extend(telling::of_recovery(&ended.record, now));
                }
            }
            let kept = turn.change(&change, &[ActionState::Running], Some(&self.me), now).await?;
            if kept {
                turn.tell(&notices).await?;
                self.tell_change(&mut *turn, &ended.record, state, &change.reason, now).await?;
            }
            turn.commit().await?;
            let ended = self.unsaved.remove(0);
            let record = &ended.record;
            if kept {
                ended.log(state, &change.reason);
                if let Some(counted) = Ending::of(state) {
                    self.tally.count(record.action.kind(), counted);
                }
            } else {
                tracing::warn!(action = record.id, "{} ended after it was taken for lost", record.action);
            }
        }
        Ok(())
    }

    /// The end of the process: what runs is ended, and left to be decided again.
    pub(super) async fn stop(&mut self) {
        for record in self.running.drop_all().await {
            let failed = EffectFailure::new("ended: firedrill was stopped while it ran");
            if !record.action.kind().is_idempotent() {
                self.unsaved.push(Ended { record, result: Err(failed), cancelled: false });
            }
        }
        // What else ran has no owner any more after this: the next start decides.
        if let Err(error) = self.record_ends().await {
            tracing::warn!("what ran at the end could not be recorded: {error}");
        }
    }
}

fn end_of(ended: &Ended) -> (ActionState, Change, Vec<crate::domain::notice::Notice>) {
    let id = ended.record.id;
    match &ended.result {
        Ok(Outcome { result, output, notices }) => {
            let (text, output): (Arc<str>, Option<Arc<str>>) =
                (result.as_str().into(), output.as_deref().map(Arc::from));
            let change =
                Change { result: Some((text.clone(), output)), ..Change::to(id, ActionState::Done, text, "done") };
            (ActionState::Done, change, notices.clone())
        }
        Err(EffectFailure { reason, output }) => {
            let (text, output): (Arc<str>, Option<Arc<str>>) =
                (reason.as_str().into(), output.as_deref().map(Arc::from));
            let state = if ended.cancelled { ActionState::Cancelled } else { ActionState::Failed };
            let change = Change { result: Some((text.clone(), output)), ..Change::to(id, state, text, state.as_str()) };
            (state, change, Vec::new())
        }
    }
}

fn before(now: Timestamp, by: std::time::Duration) -> Timestamp {
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}
