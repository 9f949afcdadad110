//! What one turn decides on alerts, until it is added to the store together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::turn::Done;
use crate::domain::automation::action::Kind;
use crate::domain::automation::alert::KeptAlert;
use crate::domain::automation::decide::{Asked, Past, Plan};
use crate::domain::automation::status::Result as Counted;
use crate::domain::automation::telling;
use crate::domain::notice::Notice;
use crate::engine::ports::StoreError;
use crate::engine::ports::ledger::{New, Turn};

/// Decided, and not in the store yet. What comes later in the same turn must see it as if it were.
#[derive(Default)]
pub(super) struct Batch<'a> {
    alerts: Vec<&'a KeptAlert>,
    new: Vec<New>,
    identities: HashSet<Vec<String>>,
    targets: HashMap<(Kind, String), Timestamp>,
    rules: HashMap<Arc<str>, Timestamp>,
    /// What is told of all this.
    pub(super) notices: Vec<Notice>,
}

impl<'a> Batch<'a> {
    /// Whether the same intent is among what was decided.
    pub(super) fn has(&self, asked: &Asked) -> bool {
        self.identities.contains(&asked.identity)
    }

    /// The past with what was decided a moment ago.
    pub(super) fn added_to(&self, past: Past, asked: &Asked, now: Timestamp) -> Past {
        let seen = |it: Option<&Timestamp>| it.map(|_| now);
        Past {
            target: seen(self.targets.get(&(asked.kind, asked.target.clone()))).or(past.target),
            rule: seen(self.rules.get(&asked.rule)).or(past.rule),
            ..past
        }
    }

    /// Takes what was decided.
    pub(super) fn keep(&mut self, alert: &'a KeptAlert, plan: Plan, asked: Asked, now: Timestamp) {
        if plan.state.cools() {
            self.targets.insert((asked.kind, asked.target), now);
            self.rules.insert(asked.rule, now);
        }
        self.identities.insert(asked.identity.clone());
        self.alerts.push(alert);
        self.new.push(New { alert: alert.id, plan, identity: asked.identity });
    }

    /// Adds it all.
    pub(super) async fn add(mut self, turn: &mut dyn Turn, done: &mut Done, now: Timestamp) -> Result<(), StoreError> {
        let ids = turn.add(&self.new, now).await?;
        for ((alert, New { plan, .. }), id) in self.alerts.iter().zip(&self.new).zip(ids) {
            let kind = plan.action.kind();
            let Some(id) = id else {
                done.counted.push((kind, Counted::Duplicate));
                continue;
            };
            done.recount |= plan.state.is_open();
            tracing::info!(action = id, rule = &*plan.rule, state = plan.state.as_str(), "{}", plan.reason);
            done.counted.extend(Counted::of(plan.state).map(|it| (kind, it)));
            self.notices.extend(telling::of_plan(id, plan, alert, now));
        }
        turn.tell(&self.notices).await
    }
}
