//! Notices and their deliveries.
//!
//! Routing and claiming take one lock over all deliveries (SQLite: the writer's; PostgreSQL: of the table), so that two
//! daemons on one store do neither twice. Each takes milliseconds.

mod deliveries;
mod stories;

use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::rows::{chunks, clean, micros, stamp, values};
use super::{Database, Store, Writing};
use crate::domain::notice::dedup::{Open, Told, Why, decide};
use crate::domain::notice::routes::Target;
use crate::domain::notice::{Notice, Phase, Topic, Urgency};
use crate::domain::verdict::elapsed;
use crate::engine::ports::StoreError;
use crate::engine::ports::notices::{
    Claim, Claimed, Delivery, FailedTry, Line, NoticeStore, Queue, Routed, Routing, Story, Taken, Tried,
};

/// Notices per step of routing: a transaction stays short.
const PER_STEP: i64 = 200;

/// Keeps notices, within a transaction of the caller.
pub(super) async fn post(connection: &mut AnyConnection, notices: &[Notice]) -> Result<(), sqlx::Error> {
    const PARAMETERS: usize = 13;
    for some in chunks(notices) {
        let text = format!(
            "INSERT INTO notices (key, phase, severity, topic, source, item, environment, title, body, link, at, proposal, receivers) \
             VALUES {}",
            values(some.len(), PARAMETERS)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for it in some {
            let receivers = serde_json::to_string(&it.receivers).map_err(|error| sqlx::Error::Encode(error.into()))?;
            query = query
                .bind(clean(&it.key))
                .bind(it.phase.as_str())
                .bind(it.severity.as_str())
                .bind(it.topic.as_str())
                .bind(it.source.as_ref().map(|source| source.as_str().to_owned()))
                .bind(it.item.as_ref().map(|item| clean(&item.to_string())))
                .bind(it.environment.as_deref().map(clean))
                .bind(clean(&it.title))
                .bind(clean(&it.body))
                .bind(it.link.as_deref().map(clean))
                .bind(micros(it.at))
                .bind(it.proposal)
                .bind(clean(&receivers));
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// A notice of a row with its columns; `None` when another version of the program wrote something unknown.
fn notice_of(row: &AnyRow) -> Result<Option<Notice>, sqlx::Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let some = |name: &str| row.try_get::<Option<String>, _>(name);
    let (phase, severity, topic, receivers) = (text("phase")?, text("severity")?, text("topic")?, text("receivers")?);
    let (source, item, at) = (some("source")?, some("item")?, row.try_get::<i64, _>("at")?);
    let (key, title, body) = (text("key")?, text("title")?, text("body")?);
    let (environment, link, proposal) =
        (some("environment")?, some("link")?, row.try_get::<Option<i64>, _>("proposal")?);
    let understand = || {
        Some(Notice {
            key: key.into(),
            phase: Phase::parse(&phase)?,
            severity: Urgency::parse(&severity)?,
            topic: Topic::parse(&topic)?,
            source: source.and_then(|source| source.parse().ok()),
            item: item.and_then(|item| item.parse().ok()),
            environment: environment.map(Into::into),
            title: title.into(),
            body: body.into(),
            link: link.map(Into::into),
            at: stamp(at)?,
            proposal,
            receivers: serde_json::from_str(&receivers).ok()?,
        })
    };
    Ok(understand())
}

fn told_of(row: &AnyRow) -> Result<Option<Told>, sqlx::Error> {
    let (phase, severity): (String, String) = (row.try_get("phase")?, row.try_get("severity")?);
    let at: i64 = row.try_get("at")?;
    let understand =
        || Some(Told { phase: Phase::parse(&phase)?, severity: Urgency::parse(&severity)?, at: stamp(at)? });
    Ok(understand())
}

/// A delivery of the same story that isn't sent yet.
struct Pending {
    id: i64,
    queued_at: i64,
    due_at: i64,
    open: Open,
}

impl Database {
    /// A transaction that holds the lock over all deliveries.
    async fn begin_deliveries(&self) -> Result<Writing, sqlx::Error> {
        let mut transaction = self.begin().await?;
        if !self.place.is_sqlite() {
            sqlx::query("LOCK TABLE deliveries IN SHARE ROW EXCLUSIVE MODE").execute(&mut *transaction).await?;
        }
        Ok(transaction)
    }

    async fn post_all(&self, notices: &[Notice]) -> Result<(), sqlx::Error> {
        let mut transaction = self.begin().await?;
        post(&mut transaction, notices).await?;
        transaction.commit().await
    }

    async fn route_some(&self, plan: &Routing, now: Timestamp) -> Result<Routed, sqlx::Error> {
        // Mostly there is nothing, and then no lock is needed.
        let waiting: Option<i64> =
            sqlx::query_scalar("SELECT id FROM notices WHERE routed = 0 LIMIT 1").fetch_optional(&self.pool).await?;
        let mut routed = Routed::default();
        if waiting.is_none() {
            return Ok(routed);
        }
        let mut transaction = self.begin_deliveries().await?;
        let rows = sqlx::query("SELECT * FROM notices WHERE routed = 0 ORDER BY id LIMIT $1")
            .bind(PER_STEP)
            .fetch_all(&mut *transaction)
            .await?;
        routed.notices = rows.len();
        for row in rows {
            let id: i64 = row.try_get("id")?;
            let notice = notice_of(&row)?;
            let old = |it: &Notice| elapsed(it.at, now) > plan.too_old;
            if let Some(late) = notice.as_ref().filter(|it| old(it) && it.phase == Phase::Recovered) {
                // Nobody is told of the end any more; then the next beginning is news.
                deliveries::over(&mut transaction, None, &late.key).await?;
            }
            if let Some(notice) = notice.filter(|it| !old(it)) {
                for target in plan.routes.targets(&notice, now) {
                    let job = Job { id, notice: &notice, target, plan, now };
                    job.route(&mut transaction, &mut routed).await?;
                }
            }
            sqlx::query("UPDATE notices SET routed = 1 WHERE id = $1").bind(id).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(routed)
    }
}

/// One notice for one receiver.
struct Job<'a> {
    id: i64,
    notice: &'a Notice,
    target: Target,
    plan: &'a Routing,
    now: Timestamp,
}

impl Job<'_> {
    async fn route(&self, connection: &mut AnyConnection, routed: &mut Routed) -> Result<(), sqlx::Error> {
        if self.notice.phase == Phase::Event {
            routed.queued += 1;
            return self.queue(connection, Why::Event, None).await;
        }
        let told = self.told(connection).await?;
        let pending = self.pending(connection).await?;
        let open: Vec<Open> = pending.iter().map(|it| it.open).collect();
        let verdict = decide(self.notice, told, &open, self.plan.repeat);
        let replaced: Vec<&Pending> = pending.iter().filter(|it| !it.open.sending).collect();
        for old in &replaced {
            supersede(connection, old.id).await?;
            routed.suppressed.push(self.target.receiver.clone());
        }
        match verdict {
            Ok(why) => {
                // What flaps doesn't get a new start in the queue with every turn.
                let before = replaced.iter().find(|old| old.open.says.phase == self.notice.phase);
                self.queue(connection, why, before.copied()).await?;
                routed.queued += 1;
            }
            Err(_) => routed.suppressed.push(self.target.receiver.clone()),
        }
        Ok(())
    }

    async fn told(&self, connection: &mut AnyConnection) -> Result<Option<Told>, sqlx::Error> {
        let row = sqlx::query("SELECT phase, severity, at FROM told WHERE receiver = $1 AND key = $2")
            .bind(clean(&self.target.receiver))
            .bind(clean(&self.notice.key))
            .fetch_optional(connection)
            .await?;
        row.as_ref().map_or(Ok(None), told_of)
    }

    async fn pending(&self, connection: &mut AnyConnection) -> Result<Vec<Pending>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT d.id, d.state, d.unsure, d.queued_at, d.due_at, n.phase, n.severity, n.at \
             FROM deliveries d JOIN notices n ON n.id = d.notice \
             WHERE n.key = $1 AND d.receiver = $2 AND d.state IN ('queued', 'sending') ORDER BY d.id",
        )
        .bind(clean(&self.notice.key))
        .bind(clean(&self.target.receiver))
        .fetch_all(connection)
        .await?;
        let mut found = Vec::new();
        for row in rows {
            let Some(says) = told_of(&row)? else { continue };
            let state: String = row.try_get("state")?;
            let unsure: i64 = row.try_get("unsure")?;
            found.push(Pending {
                id: row.try_get("id")?,
                queued_at: row.try_get("queued_at")?,
                due_at: row.try_get("due_at")?,
                open: Open { says, sending: state == "sending", unsure: unsure != 0 },
            });
        }
        Ok(found)
    }

    async fn queue(
        &self,
        connection: &mut AnyConnection,
        why: Why,
        before: Option<&Pending>,
    ) -> Result<(), sqlx::Error> {
        let due = self.now.checked_add(self.plan.wait).unwrap_or(self.now);
        sqlx::query(
            "INSERT INTO deliveries (notice, receiver, state, reason, queued_at, hold_until, due_at) \
             VALUES ($1, $2, 'queued', $3, $4, $5, $6)",
        )
        .bind(self.id)
        .bind(clean(&self.target.receiver))
        .bind(why.as_str())
        .bind(before.map_or(micros(self.now), |old| old.queued_at))
        .bind(self.target.hold_until.map_or(0, micros))
        .bind(before.map_or(micros(due), |old| old.due_at))
        .execute(connection)
        .await?;
        Ok(())
    }
}

async fn supersede(connection: &mut AnyConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE deliveries SET state = 'superseded', last_error = $1 WHERE id = $2")
        .bind("something newer happened before it was sent")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// The later of two times in microseconds, as a time.
fn later(a: i64, b: i64) -> Option<Timestamp> {
    stamp(a.max(b))
}

impl NoticeStore for Store {
    fn ready(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.ready())
    }

    fn version(&self) -> BoxFuture<'_, Option<i64>> {
        Box::pin(self.cheap_version())
    }

    fn post<'a>(&'a self, notices: &'a [Notice]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.write(async move |it| it.post_all(notices).await))
    }

    fn route<'a>(&'a self, plan: &'a Routing, now: Timestamp) -> BoxFuture<'a, Result<Routed, StoreError>> {
        Box::pin(self.write(async move |it| it.route_some(plan, now).await))
    }

    fn claim<'a>(&'a self, receiver: &'a str, claim: &'a Claim) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        Box::pin(self.write(async move |it| it.claim_next(receiver, claim).await))
    }

    fn sent<'a>(
        &'a self,
        deliveries: &'a [Delivery],
        owner: &'a str,
        taken: &'a Taken,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.write(async move |it| it.mark_sent(deliveries, owner, taken).await))
    }

    fn failed<'a>(
        &'a self,
        deliveries: &'a [Delivery],
        owner: &'a str,
        failure: &'a FailedTry,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.write(async move |it| it.mark_failed(deliveries, owner, failure).await))
    }

    fn offer_again(&self, repeat: Duration, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.write(async move |it| it.offer_dropped(repeat, now).await))
    }

    fn last_tries(&self) -> BoxFuture<'_, Result<Vec<Tried>, StoreError>> {
        Box::pin(self.read(async move |it| it.last_outcomes().await))
    }

    fn queues(&self, now: Timestamp) -> BoxFuture<'_, Result<Vec<Queue>, StoreError>> {
        Box::pin(self.read(async move |it| it.count_queues(now).await))
    }

    fn stories<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Story>, StoreError>> {
        Box::pin(self.read(async move |it| it.lasting(prefix).await))
    }

    fn last_deliveries(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Line>, StoreError>> {
        Box::pin(self.read(async move |it| it.last_lines(limit).await))
    }

    fn forget_notices(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.write(async move |it| it.forget_told(before).await))
    }
}

/// What is told of a story is kept so long beyond its end, so that its end isn't forgotten before it is told.
const KEPT_BEYOND: Duration = Duration::from_secs(400 * 24 * 60 * 60);
