//! Deliveries: claimed, sent, failed.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::{AnyConnection, Row as _};

use super::super::Store;
use super::super::rows::{clean, micros, stamp};
use super::{later, notice_of};
use crate::domain::notice::Phase;
use crate::domain::notice::dedup::Why;
use crate::domain::notice::digest::{Waiting, batch};
use crate::engine::ports::notices::{Claim, Claimed, Delivery, Failure};

/// Most deliveries in one message.
const MOST_AT_ONCE: i64 = 500;

impl Store {
    pub(super) async fn claim_next(&self, receiver: &str, claim: &Claim) -> Result<Claimed, sqlx::Error> {
        let some: Option<i64> = sqlx::query_scalar(
            "SELECT id FROM deliveries WHERE receiver = $1 AND state IN ('queued', 'sending') LIMIT 1",
        )
        .bind(clean(receiver))
        .fetch_optional(&self.pool)
        .await?;
        if some.is_none() {
            return Ok(Claimed::Nothing(None));
        }
        let mut transaction = self.begin_deliveries().await?;
        let claimed = claim_within(&mut transaction, receiver, claim).await?;
        transaction.commit().await?;
        Ok(claimed)
    }

    pub(super) async fn mark_sent(
        &self,
        deliveries: &[Delivery],
        owner: &str,
        remote_id: Option<Arc<str>>,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.begin().await?;
        for it in deliveries {
            // Another process may have sent it again after the lease; it was sent all the same.
            let receiver: Option<String> = sqlx::query_scalar(
                "UPDATE deliveries SET state = 'sent', sent_at = $1, remote_id = $2, owner = NULL, lease = NULL, last_error = NULL \
                 WHERE id = $3 AND owner = $4 AND state = 'sending' RETURNING receiver",
            )
            .bind(micros(now))
            .bind(remote_id.as_deref().map(clean))
            .bind(it.id)
            .bind(owner)
            .fetch_optional(&mut *transaction)
            .await?;
            if let Some(receiver) = receiver.filter(|_| it.notice.phase != Phase::Event) {
                tell(&mut transaction, &receiver, it, remote_id.as_deref(), now).await?;
            }
        }
        transaction.commit().await
    }

    pub(super) async fn mark_failed(
        &self,
        deliveries: &[Delivery],
        owner: &str,
        failure: &Failure,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.begin().await?;
        for it in deliveries {
            sqlx::query(
                "UPDATE deliveries SET state = $1, due_at = $2, last_error = $3, \
                 unsure = CASE WHEN unsure > $4 THEN unsure ELSE $4 END, owner = NULL, lease = NULL \
                 WHERE id = $5 AND owner = $6 AND state = 'sending'",
            )
            .bind(if failure.again.is_some() { "queued" } else { "dropped" })
            .bind(failure.again.map_or(0, micros))
            .bind(clean(&failure.why))
            .bind(i64::from(failure.unsure))
            .bind(it.id)
            .bind(owner)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }
}

async fn claim_within(connection: &mut AnyConnection, receiver: &str, claim: &Claim) -> Result<Claimed, sqlx::Error> {
    let busy: Option<i64> = sqlx::query_scalar(
        "SELECT MAX(lease) FROM deliveries WHERE receiver = $1 AND state IN ('queued', 'sending') AND state = 'sending' \
         AND owner <> $2 AND lease > $3",
    )
    .bind(clean(receiver))
    .bind(&*claim.owner)
    .bind(micros(claim.now))
    .fetch_one(&mut *connection)
    .await?;
    if let Some(lease) = busy {
        return Ok(Claimed::Nothing(stamp(lease)));
    }
    let rows = sqlx::query(
        "SELECT n.*, d.id AS delivery, d.reason, d.tries, d.queued_at, d.hold_until, d.due_at, t.remote_id AS reply_to \
         FROM deliveries d JOIN notices n ON n.id = d.notice \
         LEFT JOIN told t ON t.receiver = d.receiver AND t.key = n.key AND t.phase = 'problem' \
         WHERE d.receiver = $1 AND d.state IN ('queued', 'sending') AND d.hold_until <= $2 ORDER BY d.id LIMIT $3",
    )
    .bind(clean(receiver))
    .bind(micros(claim.now))
    .bind(MOST_AT_ONCE)
    .fetch_all(&mut *connection)
    .await?;
    let Some(head) = rows.first() else { return Ok(Claimed::Nothing(held(connection, receiver).await?)) };
    let due: i64 = head.try_get("due_at")?;
    if due > micros(claim.now) {
        return Ok(Claimed::Nothing(stamp(due)));
    }
    let (mut found, mut waiting) = (Vec::new(), Vec::new());
    for row in rows {
        let (id, why): (i64, String) = (row.try_get("delivery")?, row.try_get("reason")?);
        let (tries, hold): (i64, i64) = (row.try_get("tries")?, row.try_get("hold_until")?);
        let queued: i64 = row.try_get("queued_at")?;
        let reply: Option<String> = row.try_get("reply_to")?;
        let (Some(notice), Some(why), Some(since)) = (notice_of(&row)?, Why::parse(&why), later(queued, hold)) else {
            abandon(connection, id).await?;
            continue;
        };
        waiting.push(Waiting { held: hold > 0, asks: notice.proposal.is_some() });
        let tries = u32::try_from(tries.saturating_add(1)).unwrap_or(u32::MAX);
        found.push(Delivery { id, notice, why, tries, since, reply_to: reply.map(Into::into) });
    }
    found.truncate(batch(&waiting, claim.above));
    for it in &found {
        sqlx::query("UPDATE deliveries SET state = 'sending', owner = $1, lease = $2, tries = tries + 1 WHERE id = $3")
            .bind(&*claim.owner)
            .bind(micros(claim.lease))
            .bind(it.id)
            .execute(&mut *connection)
            .await?;
    }
    Ok(if found.is_empty() { Claimed::Nothing(Some(claim.now)) } else { Claimed::Some(found) })
}

/// When the first notice that waits for the end of quiet hours may be sent.
async fn held(connection: &mut AnyConnection, receiver: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    let first: Option<i64> = sqlx::query_scalar(
        "SELECT MIN(hold_until) FROM deliveries WHERE receiver = $1 AND state IN ('queued', 'sending')",
    )
    .bind(clean(receiver))
    .fetch_one(connection)
    .await?;
    Ok(first.and_then(stamp))
}

/// Drops what another version of the program wrote and this one can't read.
async fn abandon(connection: &mut AnyConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE deliveries SET state = 'dropped', last_error = $1 WHERE id = $2")
        .bind("it can't be read by this version of firedrill")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes what a receiver knows now. Replies go to the message that told of the problem first.
async fn tell(
    connection: &mut AnyConnection,
    receiver: &str,
    it: &Delivery,
    remote_id: Option<&str>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let answered = it.reply_to.as_deref().or(remote_id);
    sqlx::query(
        "INSERT INTO told (receiver, key, phase, severity, at, sent_at, remote_id) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (receiver, key) DO UPDATE SET phase = excluded.phase, severity = excluded.severity, \
         at = excluded.at, sent_at = excluded.sent_at, remote_id = excluded.remote_id",
    )
    .bind(clean(receiver))
    .bind(clean(&it.notice.key))
    .bind(it.notice.phase.as_str())
    .bind(it.notice.severity.as_str())
    .bind(micros(it.notice.at))
    .bind(micros(now))
    .bind(answered.map(clean))
    .execute(connection)
    .await?;
    Ok(())
}
