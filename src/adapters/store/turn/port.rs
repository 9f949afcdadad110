//! The port of a turn: each question by its method, and what goes wrong in words.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::Open;
use crate::adapters::store::audit::Line;
use crate::adapters::store::error::Doing;
use crate::adapters::store::{notices, occurrences, switch};
use crate::domain::automation::action::Kind;
use crate::domain::automation::alert::KeptAlert;
use crate::domain::automation::decide::{Asked, Past};
use crate::domain::automation::occurrence::{Occurrence, Tidings};
use crate::domain::automation::record::{ActionState, Record};
use crate::domain::automation::status::OpenActions;
use crate::domain::notice::Notice;
use crate::engine::ports::StoreError;
use crate::engine::ports::ledger::{Change, Due, Held, New, Turn};

impl Turn for Open {
    fn believe_late(
        &mut self,
        bound: Duration,
        most: u32,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Tidings, StoreError>> {
        let failed = self.failed(Doing::Write);
        Box::pin(async move {
            let Self { database, transaction, .. } = self;
            let believed = occurrences::believe_late(transaction, &database.place, (bound, most), now).await;
            transaction.changed |= believed.as_ref().is_ok_and(|it| *it != Tidings::default());
            believed.map_err(failed)
        })
    }

    fn standing<'a>(
        &'a mut self,
        fingerprints: &'a [Arc<str>],
    ) -> BoxFuture<'a, Result<HashMap<String, Occurrence>, StoreError>> {
        let failed = self.failed(Doing::Read);
        Box::pin(async move {
            let fingerprints: Vec<&str> = fingerprints.iter().map(|it| &**it).collect();
            occurrences::read(&mut self.transaction, &fingerprints).await.map_err(failed)
        })
    }

    fn pending(&mut self, most: u32) -> BoxFuture<'_, Result<Vec<KeptAlert>, StoreError>> {
        let failed = self.failed(Doing::Read);
        Box::pin(async move { self.read_pending(most).await.map_err(failed) })
    }

    fn past<'a>(&'a mut self, asked: &'a [Asked]) -> BoxFuture<'a, Result<Vec<Past>, StoreError>> {
        let failed = self.failed(Doing::Read);
        Box::pin(async move { self.read_past(asked).await.map_err(failed) })
    }

    fn add<'a>(&'a mut self, new: &'a [New], now: Timestamp) -> BoxFuture<'a, Result<Vec<Option<i64>>, StoreError>> {
        let failed = self.failed(Doing::Write);
        Box::pin(async move { self.add_actions(new, now).await.map_err(failed) })
    }

    fn handled<'a>(&'a mut self, alerts: &'a [KeptAlert]) -> BoxFuture<'a, Result<(), StoreError>> {
        let failed = self.failed(Doing::Write);
        Box::pin(async move { self.note_handled(alerts).await.map_err(failed) })
    }

    fn of_alert<'a>(
        &'a mut self,
        alert: i64,
        wanted: &'a [ActionState],
    ) -> BoxFuture<'a, Result<Vec<Record>, StoreError>> {
        let failed = self.failed(Doing::Read);
        Box::pin(async move { self.read_of_alert(alert, wanted).await.map_err(failed) })
    }

    fn due(&mut self, kind: Kind, now: Timestamp, most: u32) -> BoxFuture<'_, Result<Vec<Due>, StoreError>> {
        let failed = self.failed(Doing::Read);
        Box::pin(async move { self.read_due(kind, now, most).await.map_err(failed) })
    }

    fn expired(&mut self, now: Timestamp, most: u32) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        let failed = self.failed(Doing::Read);
        Box::pin(async move { self.read_expired(now, most).await.map_err(failed) })
    }

    fn denied(&mut self) -> BoxFuture<'_, Result<Vec<Record>, StoreError>> {
        let failed = self.failed(Doing::Write);
        Box::pin(async move { self.take_denied().await.map_err(failed) })
    }

    fn held(&mut self) -> BoxFuture<'_, Result<Vec<Held>, StoreError>> {
        let failed = self.failed(Doing::Read);
        Box::pin(async move { self.read_held().await.map_err(failed) })
    }

    fn began<'a>(&'a mut self, rule: Option<&'a str>, since: Timestamp) -> BoxFuture<'a, Result<u32, StoreError>> {
        let failed = self.failed(Doing::Read);
        Box::pin(async move { self.count_began(rule, since).await.map_err(failed) })
    }

    fn is_paused(&mut self) -> BoxFuture<'_, Result<bool, StoreError>> {
        let failed = self.failed(Doing::Read);
        let memory = self.database.bond.as_ref().map(|bond| bond.memory.clone());
        Box::pin(async move {
            let paused = switch::is_paused(&mut self.transaction).await;
            if let (Ok(paused), Some(memory)) = (&paused, memory) {
                memory.paused(*paused);
            }
            paused.map_err(failed)
        })
    }

    fn change<'a>(
        &'a mut self,
        change: &'a Change,
        from: &'a [ActionState],
        owner: Option<&'a str>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let failed = self.failed(Doing::Write);
        Box::pin(async move { self.write_change(change, from, owner, now).await.map_err(failed) })
    }

    fn note<'a>(
        &'a mut self,
        actor: &'a str,
        action: Option<i64>,
        event: &'a str,
        detail: &'a str,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.lines.push(Line::new(actor, action, event, detail, now));
        Box::pin(async { Ok(()) })
    }

    fn tell<'a>(&'a mut self, told: &'a [Notice]) -> BoxFuture<'a, Result<(), StoreError>> {
        let failed = self.failed(Doing::Write);
        self.transaction.changed |= !told.is_empty();
        Box::pin(async move { notices::post(&mut self.transaction, told).await.map_err(failed) })
    }

    fn open(&mut self) -> BoxFuture<'_, Result<Vec<OpenActions>, StoreError>> {
        let failed = self.failed(Doing::Read);
        Box::pin(async move { self.count_open().await.map_err(failed) })
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), StoreError>> {
        let failed = self.failed(Doing::Write);
        Box::pin(async move { self.write().await.map_err(failed) })
    }
}
