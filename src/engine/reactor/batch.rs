//! What one turn decides on alerts, until it is added to the store together.

use jiff::Timestamp;

use super::done::{Done, Said};
use crate::domain::automation::alert::KeptAlert;
use crate::domain::automation::decide::{Asked, Recent};
use crate::domain::automation::plan::Plan;
use crate::domain::automation::status::Ending;
use crate::domain::automation::telling;
use crate::domain::notice::Notice;
use crate::engine::ports::StoreError;
use crate::engine::ports::ledger::{New, Turn};

/// Decided, and not in the store yet.
#[derive(Default)]
pub(super) struct Batch<'a> {
    alerts: Vec<&'a KeptAlert>,
    new: Vec<New>,
    /// What comes later in the same turn must know.
    pub(super) recent: Recent,
    /// What is told of all this.
    pub(super) notices: Vec<Notice>,
}

impl<'a> Batch<'a> {
    /// Takes what was decided.
    pub(super) fn keep(&mut self, alert: &'a KeptAlert, plan: Plan, asked: Asked, now: Timestamp) {
        self.recent.add(&asked, plan.state, now);
        self.alerts.push(alert);
        self.new.push(New { plan, identity: asked.identity });
    }

    /// Adds it all.
    pub(super) async fn add(mut self, turn: &mut dyn Turn, done: &mut Done, now: Timestamp) -> Result<(), StoreError> {
        let ids = turn.add(&self.new, now).await?;
        for ((alert, New { plan, .. }), id) in self.alerts.iter().zip(&self.new).zip(ids) {
            let kind = plan.action.kind();
            let Some(id) = id else {
                done.counted.push((kind, Ending::Duplicate));
                continue;
            };
            done.recount |= plan.state.is_open();
            done.said.push(Said::Decided(id, plan.origin.rule().into(), plan.state, plan.reason.as_str().into()));
            done.counted.extend(Ending::of(plan.state).map(|it| (kind, it)));
            self.notices.extend(telling::of_plan(id, plan, alert, now));
        }
        turn.tell(&self.notices).await
    }
}
