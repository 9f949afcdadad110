//! Actions, as people see them and decide on them; and the audit trail.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::audit::{Line, write_down};
use super::rows::{clean, micros, stamp};
use super::{Database, Store, intents, origins, switch};
use crate::domain::automation::alert::{KeptAlert, Status};
use crate::domain::automation::plan::Plan;
use crate::domain::automation::record::{ActionState, AuditLine, Pause, Record, Ruled, Ruling};
use crate::engine::ports::StoreError;
use crate::engine::ports::automation::{ActionFilter, ActionStore, Asked, Page};
use crate::engine::ports::ledger::New;

/// Columns of an action, in the order of [`of_row`].
pub(super) const COLUMNS: &str = "a.id, a.alert, a.rule, a.plan, a.state, a.reason, a.created, a.not_before, a.expires, a.decided_by, a.decided_at, a.started, a.ended, a.result, a.output, a.origin, a.fingerprint, a.starts_at, a.asked_by, a.request";

impl Database {
    async fn list_actions(&self, filter: &ActionFilter, page: Page) -> Result<Vec<Record>, sqlx::Error> {
        let mut text = format!("SELECT {COLUMNS} FROM actions a WHERE a.id < $1");
        if !filter.states.is_empty() {
            text.push_str(&format!(" AND a.state IN ({})", states(&filter.states)));
        }
        if let Some(kind) = filter.kind {
            text.push_str(&format!(" AND a.kind = '{kind}'"));
        }
        let texts = [
            ("source", filter.source.as_ref().map(ToString::to_string)),
            ("item", filter.item.as_ref().map(ToString::to_string)),
        ];
        let mut number = 2;
        for (column, value) in &texts {
            if value.is_some() {
                number += 1;
                text.push_str(&format!(" AND a.{column} = ${number}"));
            }
        }
        text.push_str(" ORDER BY a.id DESC LIMIT $2");
        let mut query =
            sqlx::query(sqlx::AssertSqlSafe(text)).bind(page.before.unwrap_or(i64::MAX)).bind(i64::from(page.limit));
        for value in texts.into_iter().filter_map(|(_, value)| value) {
            query = query.bind(clean(&value));
        }
        let rows = query.fetch_all(&self.pool).await?;
        rows.iter().map(of_row).filter_map(Result::transpose).collect()
    }

    async fn one_action(&self, id: i64) -> Result<Option<Record>, sqlx::Error> {
        let text = format!("SELECT {COLUMNS} FROM actions a WHERE a.id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(text)).bind(id).fetch_optional(&self.pool).await?;
        row.map_or(Ok(None), |row| of_row(&row))
    }

    async fn list_audit(&self, action: Option<i64>, page: Page) -> Result<Vec<AuditLine>, sqlx::Error> {
        let which = if action.is_some() { "AND action = $3" } else { "" };
        let text = format!(
            "SELECT id, at, actor, action, event, detail FROM audit WHERE id < $1 {which} ORDER BY id DESC LIMIT $2"
        );
        let mut query =
            sqlx::query(sqlx::AssertSqlSafe(text)).bind(page.before.unwrap_or(i64::MAX)).bind(i64::from(page.limit));
        if let Some(action) = action {
            query = query.bind(action);
        }
        let mut lines = Vec::new();
        for row in query.fetch_all(&self.pool).await? {
            let text = |at: usize| row.try_get::<String, _>(at).map(Arc::from);
            lines.push(AuditLine {
                id: row.try_get(0)?,
                at: stamp(row.try_get(1)?).unwrap_or_default(),
                actor: text(2)?,
                action: row.try_get(3)?,
                event: text(4)?,
                detail: text(5)?,
            });
        }
        Ok(lines)
    }

    async fn take_ruling(&self, ruling: &Ruling) -> Result<Ruled, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let (state, event) =
            if ruling.approve { (ActionState::Scheduled, "approved") } else { (ActionState::Denied, "denied") };
        let reason = format!("{event} by {}", ruling.by);
        // Whoever comes first finds it proposed; the second one changes nothing.
        let changed = sqlx::query(
            "UPDATE actions SET state = $1, reason = $2, decided_by = $3, decided_at = $4, not_before = $4, \
             ended = CASE WHEN $1 = 'denied' THEN $4 ELSE ended END \
             WHERE id = $5 AND state = 'proposed' AND (expires IS NULL OR expires > $4)",
        )
        .bind(state.as_str())
        .bind(clean(&reason))
        .bind(clean(&ruling.by))
        .bind(micros(ruling.at))
        .bind(ruling.action)
        .execute(&mut *transaction)
        .await?;
        if changed.rows_affected() == 1 {
            transaction.touched.actions.push(ruling.action);
            let line = Line::new(&ruling.by, Some(ruling.action), event, &reason, ruling.at);
            write_down(&mut transaction, &[line]).await?;
            transaction.commit().await?;
            return Ok(Ruled::Taken(state));
        }
        let found = sqlx::query("SELECT state FROM actions WHERE id = $1")
            .bind(ruling.action)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.roll_back().await?;
        let Some(row) = found else { return Ok(Ruled::Unknown) };
        let state = ActionState::parse(&row.try_get::<String, _>(0)?).unwrap_or(ActionState::Failed);
        // Expired a moment ago, and not noticed yet.
        Ok(Ruled::TooLate(if state == ActionState::Proposed { ActionState::Expired } else { state }))
    }

    async fn take_request(&self, plan: &Plan, now: Timestamp) -> Result<Asked, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let new = New { plan: plan.clone(), identity: plan.origin.identity() };
        let added = intents::insert(&mut transaction, std::slice::from_ref(&new), now).await?;
        if let Some(row) = added.first() {
            let id = row.try_get(0)?;
            transaction.touched.actions.push(id);
            let line = Line::new(&plan.origin.actor(), Some(id), plan.state.as_str(), &plan.reason, now);
            write_down(&mut transaction, &[line]).await?;
            transaction.commit().await?;
            return Ok(Asked { id, new: true });
        }
        let known = sqlx::query_scalar("SELECT id FROM actions WHERE key = $1").bind(intents::key(&new.identity));
        let id = known.fetch_one(&mut *transaction).await?;
        transaction.roll_back().await?;
        Ok(Asked { id, new: false })
    }

    async fn read_pause(&self) -> Result<Option<Pause>, sqlx::Error> {
        let row = sqlx::query("SELECT at, by FROM switches WHERE name = $1 AND value = '1'")
            .bind(switch::PAUSED)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let by: String = row.try_get(1)?;
        Ok(Some(Pause { since: stamp(row.try_get(0)?).unwrap_or_default(), by: by.into() }))
    }

    async fn write_pause(&self, paused: bool, by: &str, now: Timestamp) -> Result<bool, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let changed = switch::turn(&mut transaction, paused, by, now).await?;
        if changed {
            let (event, detail) = if paused {
                ("paused", "no action begins until it is resumed")
            } else {
                ("resumed", "actions begin again")
            };
            write_down(&mut transaction, &[Line::new(by, None, event, detail, now)]).await?;
        }
        transaction.commit().await?;
        if let Some(bond) = &self.bond {
            bond.memory.paused(paused);
        }
        Ok(changed)
    }
}

/// States for an `IN` list: words of our own.
pub(super) fn states(states: &[ActionState]) -> String {
    let quoted: Vec<String> = states.iter().map(|state| format!("'{}'", state.as_str())).collect();
    quoted.join(", ")
}

/// An action; `None` when it can't be understood: another version of the program wrote it.
pub(super) fn of_row(row: &AnyRow) -> Result<Option<Record>, sqlx::Error> {
    let text = |at: usize| row.try_get::<String, _>(at);
    let some_text = |at: usize| row.try_get::<Option<String>, _>(at).map(|text| text.map(Arc::from));
    let time = |at: usize| row.try_get::<i64, _>(at).map(|micros| stamp(micros).unwrap_or_default());
    let some_time = |at: usize| row.try_get::<Option<i64>, _>(at).map(|micros| micros.and_then(stamp));
    let (Ok(action), Some(state)) = (serde_json::from_str(&text(3)?), ActionState::parse(&text(4)?)) else {
        return Ok(None);
    };
    let Some(origin) = origins::of_row(row)? else { return Ok(None) };
    Ok(Some(Record {
        id: row.try_get(0)?,
        origin,
        action,
        state,
        reason: text(5)?.into(),
        created: time(6)?,
        not_before: time(7)?,
        expires: some_time(8)?,
        decided_by: some_text(9)?,
        decided_at: some_time(10)?,
        started: some_time(11)?,
        ended: some_time(12)?,
        result: some_text(13)?,
        output: some_text(14)?,
    }))
}

impl ActionStore for Store {
    fn actions<'a>(&'a self, filter: &'a ActionFilter, page: Page) -> BoxFuture<'a, Result<Vec<Record>, StoreError>> {
        Box::pin(self.read(async move |it| it.list_actions(filter, page).await))
    }

    fn action(&self, id: i64) -> BoxFuture<'_, Result<Option<Record>, StoreError>> {
        Box::pin(self.read(async move |it| it.one_action(id).await))
    }

    fn alerts(&self, status: Option<Status>, page: Page) -> BoxFuture<'_, Result<Vec<KeptAlert>, StoreError>> {
        Box::pin(self.read(async move |it| it.list_alerts(status, page).await))
    }

    fn audit(&self, action: Option<i64>, page: Page) -> BoxFuture<'_, Result<Vec<AuditLine>, StoreError>> {
        Box::pin(self.read(async move |it| it.list_audit(action, page).await))
    }

    fn rule<'a>(&'a self, ruling: &'a Ruling) -> BoxFuture<'a, Result<Ruled, StoreError>> {
        Box::pin(self.write(async move |it| it.take_ruling(ruling).await))
    }

    fn ask<'a>(&'a self, plan: &'a Plan, now: Timestamp) -> BoxFuture<'a, Result<Asked, StoreError>> {
        Box::pin(self.write(async move |it| it.take_request(plan, now).await))
    }

    fn paused(&self) -> BoxFuture<'_, Result<Option<Pause>, StoreError>> {
        Box::pin(self.read(async move |it| it.read_pause().await))
    }

    fn set_paused<'a>(
        &'a self,
        paused: bool,
        by: &'a Arc<str>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.write(async move |it| it.write_pause(paused, by, now).await))
    }
}
