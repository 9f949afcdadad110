//! The reactor's side: one turn at a time, as a transaction.

mod port;
pub(super) mod questions;

use std::collections::HashMap;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::actions::{self, states};
use super::audit::{Line, write_down};
use super::error::Doing;
use super::rows::{chunks, clean, micros, stamp};
use super::{Database, Store, Writing, alerts, intents};
use crate::domain::automation::action::Kind;
use crate::domain::automation::alert::{KeptAlert, Status};
use crate::domain::automation::decide::{Asked, Past};
use crate::domain::automation::occurrence::{Bounds, Tidings};
use crate::domain::automation::record::{ActionState, Record};
use crate::domain::automation::status::OpenActions;
use crate::engine::ports::StoreError;
use crate::engine::ports::ledger::{Change, Due, Held, Ledger, New, Received, Turn};

/// Names the lock that a turn holds on PostgreSQL: "firedril" as a number, to be nobody else's.
const TURN_LOCK: i64 = 0x6669_7265_6472_696C;

struct Open {
    database: Database,
    transaction: Writing,
    /// What goes into the audit trail at the end: few statements for many lines.
    lines: Vec<Line>,
}

impl Database {
    async fn open_turn(&self) -> Result<Open, sqlx::Error> {
        let mut transaction = self.begin().await?;
        if !self.place.is_sqlite() {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TURN_LOCK).execute(&mut *transaction).await?;
        }
        transaction.changed = false;
        Ok(Open { database: self.clone(), transaction, lines: Vec::new() })
    }

    async fn renew_all(&self, owner: &str, until: Timestamp) -> Result<u64, sqlx::Error> {
        let text =
            format!("UPDATE actions SET lease = $1 WHERE {} AND state = 'running' AND owner = $2", questions::OPEN);
        self.write(sqlx::query(sqlx::AssertSqlSafe(text)).bind(micros(until)).bind(owner)).await
    }

    async fn forget_ended(&self, before: i64) -> Result<u64, sqlx::Error> {
        let mut transaction = self.begin_hearing().await?;
        let open = states(&ActionState::ALL.into_iter().filter(|state| state.is_open()).collect::<Vec<_>>());
        // While its alert is told the intent is kept: the same alert would be acted on again.
        let text = format!(
            "DELETE FROM actions WHERE created < $1 AND state NOT IN ({open}) \
             AND (alert IS NULL OR alert NOT IN (SELECT id FROM alerts WHERE last_received >= $1))"
        );
        let gone = sqlx::query(sqlx::AssertSqlSafe(text)).bind(before).execute(&mut *transaction).await?;
        // Where nobody is notified nobody routes them.
        sqlx::query("DELETE FROM notices WHERE at < $1 AND routed = 0").bind(before).execute(&mut *transaction).await?;
        // An alert that is told again would be acted on again: only those that nobody tells any more are forgotten.
        sqlx::query("DELETE FROM alerts WHERE last_received < $1 AND id NOT IN (SELECT alert FROM actions WHERE alert IS NOT NULL)")
            .bind(before)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM occurrences WHERE fingerprint NOT IN (SELECT fingerprint FROM alerts)")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(gone.rows_affected())
    }
}

impl Ledger for Store {
    fn version(&self) -> BoxFuture<'_, Option<i64>> {
        Box::pin(self.cheap_version())
    }

    fn receive<'a>(
        &'a self,
        alerts: &'a [Received],
        bounds: Bounds,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Tidings, StoreError>> {
        Box::pin(self.write(async move |it| it.receive_all(alerts, bounds, now).await))
    }

    fn turn(&self) -> BoxFuture<'_, Result<Box<dyn Turn>, StoreError>> {
        Box::pin(async { Ok(Box::new(self.write(async |it| it.open_turn().await).await?) as Box<dyn Turn>) })
    }

    fn renew<'a>(&'a self, owner: &'a str, until: Timestamp) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(self.write(async move |it| it.renew_all(owner, until).await))
    }

    fn forget_automation(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.write(async move |it| it.forget_ended(micros(before)).await))
    }
}

impl Open {
    async fn write(mut self) -> Result<(), sqlx::Error> {
        self.transaction.changed |= !self.lines.is_empty();
        write_down(&mut self.transaction, &self.lines).await?;
        self.transaction.commit().await
    }

    async fn read_pending(&mut self, most: u32) -> Result<Vec<KeptAlert>, sqlx::Error> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(questions::pending()))
            .bind(i64::from(most))
            .fetch_all(&mut *self.transaction)
            .await?;
        let (mut found, mut strange) = (Vec::new(), Vec::new());
        for row in &rows {
            match alerts::of_row(row)? {
                Some(alert) => found.push(alert),
                None => strange.push(row.try_get::<i64, _>("id")?.to_string()),
            }
        }
        if !strange.is_empty() {
            // Another version of the program wrote them: they must not stand before all others for ever.
            tracing::error!("{} alerts in the store can't be understood and are passed over", strange.len());
            self.transaction.changed = true;
            let text = format!("UPDATE alerts SET handled = changed WHERE id IN ({})", strange.join(", "));
            sqlx::query(sqlx::AssertSqlSafe(text)).persistent(false).execute(&mut *self.transaction).await?;
        }
        Ok(found)
    }

    async fn read_past(&mut self, asked: &[Asked]) -> Result<Vec<Past>, sqlx::Error> {
        let mut found = Vec::with_capacity(asked.len());
        for some in chunks(asked) {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(questions::past(some.len())));
            for it in some {
                query = query
                    .bind(it.kind.as_str())
                    .bind(clean(&it.target))
                    .bind(clean(&it.rule))
                    .bind(intents::key(&it.identity));
            }
            for row in query.fetch_all(&mut *self.transaction).await? {
                let (target, rule): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
                let intended = row.try_get::<Option<i64>, _>(2)?.is_some();
                found.push(Past { intended, target: target.and_then(stamp), rule: rule.and_then(stamp) });
            }
        }
        Ok(found)
    }

    async fn add_actions(&mut self, new: &[New], now: Timestamp) -> Result<Vec<Option<i64>>, sqlx::Error> {
        let mut added = Vec::with_capacity(new.len());
        self.transaction.changed |= !new.is_empty();
        for some in chunks(new) {
            let rows = intents::insert(&mut self.transaction, some, now).await?;
            let mut ids: HashMap<String, i64> = HashMap::new();
            for row in rows {
                ids.insert(row.try_get(1)?, row.try_get(0)?);
            }
            for New { plan, identity, .. } in some {
                // Taken out: of two with the same key only one is there.
                let id = ids.remove(&intents::key(identity));
                self.transaction.touched.actions.extend(id);
                if id.is_some() {
                    let actor = plan.origin.actor();
                    self.lines.push(Line::new(&actor, id, plan.state.as_str(), &plan.reason, now));
                }
                added.push(id);
            }
        }
        Ok(added)
    }

    async fn note_handled(&mut self, alerts: &[KeptAlert]) -> Result<(), sqlx::Error> {
        self.transaction.changed |= !alerts.is_empty();
        self.transaction.touched.alerts.extend(alerts.iter().map(|alert| alert.id));
        // As they were read: what changed meanwhile stays to be dealt with.
        for (status, changed) in [(Status::Firing, 1), (Status::Resolved, 2)] {
            let ids: Vec<String> =
                alerts.iter().filter(|alert| alert.status() == status).map(|alert| alert.id.to_string()).collect();
            if !ids.is_empty() {
                let text = format!("UPDATE alerts SET handled = {changed} WHERE id IN ({})", ids.join(", "));
                sqlx::query(sqlx::AssertSqlSafe(text)).persistent(false).execute(&mut *self.transaction).await?;
            }
        }
        Ok(())
    }

    async fn read_of_alert(&mut self, alert: i64, wanted: &[ActionState]) -> Result<Vec<Record>, sqlx::Error> {
        let text = format!(
            "SELECT {} FROM actions a WHERE a.alert = $1 AND a.state IN ({}) ORDER BY a.id",
            actions::COLUMNS,
            states(wanted)
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(text)).bind(alert).fetch_all(&mut *self.transaction).await?;
        rows.iter().map(actions::of_row).filter_map(Result::transpose).collect()
    }

    async fn read_due(&mut self, kind: Kind, now: Timestamp, most: u32) -> Result<Vec<Due>, sqlx::Error> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(questions::due()))
            .bind(kind.as_str())
            .bind(micros(now))
            .bind(i64::from(most))
            .fetch_all(&mut *self.transaction)
            .await?;
        let mut found = Vec::new();
        for row in rows {
            let alert = status_of(&row)?;
            let (occurrence, over_at): (Option<i64>, Option<i64>) = (row.try_get("number")?, row.try_get("over_at")?);
            let again = alert == Some(Status::Resolved) && occurrence.is_some() && over_at.is_none();
            found.extend(actions::of_row(&row)?.map(|record| Due { record, alert, again }));
        }
        Ok(found)
    }

    async fn read_expired(&mut self, now: Timestamp, most: u32) -> Result<Vec<Record>, sqlx::Error> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(questions::expired()))
            .bind(micros(now))
            .bind(i64::from(most))
            .fetch_all(&mut *self.transaction)
            .await?;
        rows.iter().map(actions::of_row).filter_map(Result::transpose).collect()
    }

    async fn read_held(&mut self) -> Result<Vec<Held>, sqlx::Error> {
        let mut found = Vec::new();
        for row in sqlx::query(sqlx::AssertSqlSafe(questions::held())).fetch_all(&mut *self.transaction).await? {
            let owner: Option<String> = row.try_get("owner")?;
            let (lease, tries): (Option<i64>, i64) = (row.try_get("lease")?, row.try_get("tries")?);
            let alert = status_of(&row)?;
            let over_at: Option<i64> = row.try_get("over_at")?;
            let by_now = alert.map(|_| if over_at.is_some() { Status::Resolved } else { Status::Firing });
            found.extend(actions::of_row(&row)?.map(|record| Held {
                record,
                alert,
                by_now,
                owner: owner.unwrap_or_default().into(),
                lease: lease.and_then(stamp).unwrap_or_default(),
                tries: u32::try_from(tries).unwrap_or(u32::MAX),
            }));
        }
        Ok(found)
    }

    async fn count_began(&mut self, rule: Option<&str>, since: Timestamp) -> Result<u32, sqlx::Error> {
        let mut query =
            sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(questions::began(rule.is_some()))).bind(micros(since));
        if let Some(rule) = rule {
            query = query.bind(clean(rule));
        }
        let count = query.fetch_one(&mut *self.transaction).await?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn write_change(
        &mut self,
        change: &Change,
        from: &[ActionState],
        owner: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        let held = if owner.is_some() { "AND owner = $12" } else { "" };
        let text = format!(
            "UPDATE actions SET state = $1, reason = $2, not_before = COALESCE($3, not_before), expires = COALESCE($4, expires), \
             owner = $5, lease = $6, tries = tries + $7, started = COALESCE($8, started), ended = $9, \
             result = COALESCE($10, result), output = COALESCE($11, output) \
             WHERE id = ${} AND state IN ({}) {held}",
            if owner.is_some() { 13 } else { 12 },
            states(from)
        );
        let begins = change.state == ActionState::Running;
        let (result, output) = change.result.clone().map_or((None, None), |(result, output)| (Some(result), output));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(change.state.as_str())
            .bind(clean(&change.reason))
            .bind(change.not_before.map(micros))
            .bind(change.expires.map(micros))
            .bind(change.owner.as_ref().map(|(owner, _)| owner.to_string()))
            .bind(change.owner.as_ref().map(|(_, lease)| micros(*lease)))
            .bind(i64::from(begins))
            .bind(begins.then(|| micros(now)))
            .bind((!change.state.is_open()).then(|| micros(now)))
            .bind(result.as_deref().map(clean))
            .bind(output.as_deref().map(clean));
        if let Some(owner) = owner {
            query = query.bind(owner.to_owned());
        }
        let changed = query.bind(change.action).execute(&mut *self.transaction).await?.rows_affected() == 1;
        if changed {
            self.transaction.changed = true;
            self.transaction.touched.actions.push(change.action);
            self.lines.push(Line::new("firedrill", Some(change.action), change.event, &change.reason, now));
        }
        Ok(changed)
    }

    async fn count_open(&mut self) -> Result<Vec<OpenActions>, sqlx::Error> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(questions::count_open())).fetch_all(&mut *self.transaction).await?;
        let mut found = Vec::new();
        for row in rows {
            let (kind, state): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let (count, oldest): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
            if let (Some(kind), Some(state)) = (Kind::parse(&kind), ActionState::parse(&state)) {
                found.push(OpenActions { kind, state, count, oldest: stamp(oldest).unwrap_or_default() });
            }
        }
        Ok(found)
    }

    async fn take_denied(&mut self) -> Result<Vec<Record>, sqlx::Error> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(questions::denied())).fetch_all(&mut *self.transaction).await?;
        self.transaction.changed |= !rows.is_empty();
        rows.iter().map(actions::of_row).filter_map(Result::transpose).collect()
    }

    fn failed(&self, doing: Doing) -> impl Fn(sqlx::Error) -> StoreError + use<> {
        let database = self.database.clone();
        move |error| database.fault(doing, &error)
    }
}

/// How the alert of an action stands, if that is still kept.
fn status_of(row: &AnyRow) -> Result<Option<Status>, sqlx::Error> {
    let told: Option<i64> = row.try_get("told")?;
    let resolved: Option<i64> = row.try_get("resolved_at")?;
    Ok(told.map(|_| if resolved.is_some() { Status::Resolved } else { Status::Firing }))
}
