//! Deliveries: claimed, sent, failed.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::super::Database;
use super::super::rows::{clean, micros, stamp};
use super::{later, notice_of};
use crate::domain::notice::dedup::Why;
use crate::domain::notice::digest::{Waiting, batch};
use crate::domain::notice::{Part, Phase};
use crate::engine::ports::notices::{Claim, Claimed, Delivery, FailedTry, Taken};

/// Most deliveries in one message.
const MOST_AT_ONCE: i64 = 500;

impl Database {
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
        taken: &Taken,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.begin().await?;
        for it in deliveries {
            // Another process may have sent it again after the lease; it was sent all the same.
            let receiver: Option<String> = sqlx::query_scalar(
                "UPDATE deliveries SET state = 'sent', sent_at = $1, remote_id = $2, owner = NULL, lease = NULL, last_error = $3 \
                 WHERE id = $4 AND owner = $5 AND state = 'sending' RETURNING receiver",
            )
            .bind(micros(taken.at))
            .bind(taken.remote_id.as_deref().map(clean))
            .bind(taken.note.as_deref().map(clean))
            .bind(it.id)
            .bind(owner)
            .fetch_optional(&mut *transaction)
            .await?;
            if let Some(receiver) = receiver.filter(|_| it.notice.phase != Phase::Event) {
                tell(&mut transaction, &receiver, it, taken).await?;
            }
        }
        transaction.commit().await
    }

    pub(super) async fn mark_failed(
        &self,
        deliveries: &[Delivery],
        owner: &str,
        failure: &FailedTry,
    ) -> Result<(), sqlx::Error> {
        let parts = if failure.parts.is_empty() { String::new() } else { written(&failure.parts)? };
        let mut transaction = self.begin().await?;
        for it in deliveries {
            let receiver: Option<String> = sqlx::query_scalar(
                "UPDATE deliveries SET state = $1, due_at = $2, last_error = $3, \
                 unsure = CASE WHEN unsure > $4 THEN unsure ELSE $4 END, owner = NULL, lease = NULL, \
                 parts = CASE WHEN $5 = '' THEN parts ELSE $5 END, \
                 unfit = CASE WHEN unfit > $6 THEN unfit ELSE $6 END, \
                 unfit_at = CASE WHEN $6 > 0 THEN $7 ELSE unfit_at END \
                 WHERE id = $8 AND owner = $9 AND state = 'sending' RETURNING receiver",
            )
            .bind(if failure.again.is_some() { "queued" } else { "dropped" })
            .bind(micros(failure.again.unwrap_or(failure.at)))
            .bind(clean(&failure.why))
            .bind(i64::from(failure.unsure))
            .bind(&parts)
            .bind(i64::from(failure.unfit))
            .bind(micros(failure.at))
            .bind(it.id)
            .bind(owner)
            .fetch_optional(&mut *transaction)
            .await?;
            if let Some(receiver) = receiver
                && failure.again.is_none()
                && it.notice.phase == Phase::Recovered
            {
                over(&mut transaction, Some(&receiver), &it.notice.key).await?;
            }
        }
        transaction.commit().await
    }
}

/// Whoever was told of a story and can't be told of its end is to be told when it begins anew. `None` for everybody.
pub(super) async fn over(connection: &mut AnyConnection, receiver: Option<&str>, key: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE told SET phase = 'recovered' WHERE key = $1 AND ($2 = '' OR receiver = $2)")
        .bind(clean(key))
        .bind(receiver.map(clean).unwrap_or_default())
        .execute(connection)
        .await?;
    Ok(())
}

/// Always in the same order, so that deliveries that go together are found by comparing.
fn written(parts: &[Part]) -> Result<String, sqlx::Error> {
    let mut parts = parts.to_vec();
    parts.sort_unstable_by(|a, b| a.to.cmp(&b.to));
    serde_json::to_string(&parts).map(|text| clean(&text)).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// A delivery that may be claimed.
struct Candidate {
    delivery: Delivery,
    waiting: Waiting,
    due: i64,
    unfit_at: i64,
    parts: String,
}

impl Candidate {
    /// `None` when another version of the program wrote it.
    fn of(row: &AnyRow) -> Result<Option<Self>, sqlx::Error> {
        let number = |name: &str| row.try_get::<i64, _>(name);
        let (why, parts): (String, String) = (row.try_get("reason")?, row.try_get("parts")?);
        let hold = number("hold_until")?;
        let (Some(notice), Some(why), Some(since)) =
            (notice_of(row)?, Why::parse(&why), later(number("queued_at")?, hold))
        else {
            return Ok(None);
        };
        let decided = if parts.is_empty() { Some(Vec::new()) } else { serde_json::from_str(&parts).ok() };
        let Some(decided) = decided else { return Ok(None) };
        let count = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        let delivery = Delivery {
            id: number("delivery")?,
            why,
            tries: count(number("tries")?.saturating_add(1)),
            since,
            reply_to: row.try_get::<Option<String>, _>("reply_to")?.map(Into::into),
            parts: decided,
            unfit: count(number("unfit")?),
            others_taken: false,
            notice,
        };
        let waiting = Waiting { held: hold > 0, asks: delivery.notice.proposal.is_some() };
        Ok(Some(Self { delivery, waiting, due: number("due_at")?, unfit_at: number("unfit_at")?, parts }))
    }

    /// It was refused for itself again and again: what goes with it would be refused too.
    fn is_suspect(&self) -> bool {
        self.delivery.unfit > 1
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
    let all = candidates(connection, receiver, claim).await?;
    match all.first() {
        Some(head) if head.due > micros(claim.now) => return Ok(Claimed::Nothing(stamp(head.due))),
        Some(_) => {}
        None => return Ok(Claimed::Nothing(next(connection, receiver).await?)),
    }
    let last_sent = if all.iter().any(|it| it.unfit_at > 0) { last_sent(connection, receiver).await? } else { 0 };
    let found = together(all, claim, last_sent);
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

/// What isn't held back by quiet hours, oldest first. What was refused for itself, or is only missing at some addresses, is
/// left out until it is due again: it holds up nothing.
async fn candidates(
    connection: &mut AnyConnection,
    receiver: &str,
    claim: &Claim,
) -> Result<Vec<Candidate>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT n.*, d.id AS delivery, d.reason, d.tries, d.queued_at, d.hold_until, d.due_at, d.parts, d.unfit, d.unfit_at, \
         t.remote_id AS reply_to \
         FROM deliveries d JOIN notices n ON n.id = d.notice \
         LEFT JOIN told t ON t.receiver = d.receiver AND t.key = n.key AND t.phase = 'problem' \
         WHERE d.receiver = $1 AND d.state IN ('queued', 'sending') AND d.hold_until <= $2 \
         AND (d.due_at <= $2 OR (d.unfit = 0 AND d.parts = '')) ORDER BY d.id LIMIT $3",
    )
    .bind(clean(receiver))
    .bind(micros(claim.now))
    .bind(MOST_AT_ONCE)
    .fetch_all(&mut *connection)
    .await?;
    let mut found = Vec::new();
    for row in rows {
        match Candidate::of(&row)? {
            Some(it) => found.push(it),
            None => abandon(connection, row.try_get("delivery")?).await?,
        }
    }
    Ok(found)
}

/// Those that go into the next message.
fn together(all: Vec<Candidate>, claim: &Claim, last_sent: i64) -> Vec<Delivery> {
    let Some(head) = all.first() else { return Vec::new() };
    let (parts, alone) = (head.parts.clone(), claim.alone || head.is_suspect());
    let fits = |(index, it): &(usize, Candidate)| *index == 0 || (!alone && !it.is_suspect() && it.parts == parts);
    let some: Vec<Candidate> = all.into_iter().enumerate().filter(fits).map(|(_, it)| it).collect();
    let waiting: Vec<Waiting> = some.iter().map(|it| it.waiting).collect();
    let count = batch(&waiting, claim.above);
    let of = |it: Candidate| Delivery { others_taken: last_sent > it.unfit_at, ..it.delivery };
    some.into_iter().take(count).map(of).collect()
}

/// When the receiver took something last; 0 for never.
async fn last_sent(connection: &mut AnyConnection, receiver: &str) -> Result<i64, sqlx::Error> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT MAX(sent_at) FROM deliveries WHERE receiver = $1 AND state = 'sent'")
            .bind(clean(receiver))
            .fetch_one(connection)
            .await?;
    Ok(last.unwrap_or(0))
}

/// When the first of all that waits may be sent: after quiet hours, or tried again.
async fn next(connection: &mut AnyConnection, receiver: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    let first: Option<i64> = sqlx::query_scalar(
        "SELECT MIN(CASE WHEN hold_until > due_at THEN hold_until ELSE due_at END) \
         FROM deliveries WHERE receiver = $1 AND state IN ('queued', 'sending')",
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
async fn tell(connection: &mut AnyConnection, receiver: &str, it: &Delivery, taken: &Taken) -> Result<(), sqlx::Error> {
    let answered = it.reply_to.as_deref().or(taken.remote_id.as_deref());
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
    .bind(micros(taken.at))
    .bind(answered.map(clean))
    .execute(connection)
    .await?;
    Ok(())
}
