//! What is read of notices: queues, stories, the last deliveries; and what is forgotten.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::super::Database;
use super::super::rows::{micros, stamp};
use super::{KEPT_BEYOND, notice_of, post};
use crate::domain::notice::{Notice, Urgency};
use crate::engine::ports::notices::{Line, Queue, Story, Tried};

impl Database {
    pub(super) async fn count_queues(&self, now: Timestamp) -> Result<Vec<Queue>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT receiver, COUNT(*) AS length, \
             MIN(CASE WHEN hold_until > $1 THEN NULL WHEN hold_until > queued_at THEN hold_until ELSE queued_at END) AS oldest \
             FROM deliveries WHERE state IN ('queued', 'sending') GROUP BY receiver",
        )
        .bind(micros(now))
        .fetch_all(&self.pool)
        .await?;
        let mut found = Vec::new();
        for row in rows {
            let (receiver, length): (String, i64) = (row.try_get("receiver")?, row.try_get("length")?);
            let oldest: Option<i64> = row.try_get("oldest")?;
            let length = u64::try_from(length).unwrap_or(0);
            found.push(Queue { receiver: receiver.into(), length, oldest: oldest.and_then(stamp) });
        }
        Ok(found)
    }

    /// Whether the last that was tried for each receiver arrived. What was given up for itself says nothing of the receiver.
    pub(super) async fn last_outcomes(&self) -> Result<Vec<Tried>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT receiver, state FROM deliveries WHERE id IN (SELECT MAX(id) FROM deliveries \
             WHERE tries > 0 AND unfit = 0 AND state IN ('queued', 'sent', 'dropped') GROUP BY receiver)",
        )
        .fetch_all(&self.pool)
        .await?;
        let of = |row: &AnyRow| {
            let (receiver, state): (String, String) = (row.try_get("receiver")?, row.try_get("state")?);
            Ok(Tried { receiver: receiver.into(), worked: state == "sent" })
        };
        rows.iter().map(of).collect()
    }

    /// Backups and sources are posted again by who watches them while they are bad; an alert is told once.
    pub(super) async fn offer_dropped(&self, repeat: Duration, now: Timestamp) -> Result<u64, sqlx::Error> {
        const LASTING: &str = "SELECT n.*, d.receiver AS missed FROM deliveries d JOIN notices n ON n.id = d.notice \
             WHERE d.state = 'dropped' AND d.due_at <= $1 AND n.phase = 'problem' AND n.topic = 'alert' \
             AND n.id IN (SELECT MAX(id) FROM notices WHERE topic = 'alert' AND phase <> 'event' GROUP BY key) \
             ORDER BY n.id, d.id LIMIT 200";
        let before = micros(now.checked_sub(repeat).unwrap_or(Timestamp::MIN));
        // Mostly there is nothing, and then no lock is needed.
        if sqlx::query(LASTING).bind(before).fetch_optional(&self.pool).await?.is_none() {
            return Ok(0);
        }
        let mut transaction = self.begin_deliveries().await?;
        let mut again: Vec<Notice> = Vec::new();
        for row in sqlx::query(LASTING).bind(before).fetch_all(&mut *transaction).await? {
            let missed: String = row.try_get("missed")?;
            let Some(notice) = notice_of(&row)? else { continue };
            match again.last_mut().filter(|it| it.key == notice.key) {
                Some(same) => same.receivers.push(missed.into()),
                None => again.push(Notice { at: now, receivers: vec![missed.into()], ..notice }),
            }
        }
        post(&mut transaction, &again).await?;
        transaction.commit().await?;
        Ok(again.len() as u64)
    }

    pub(super) async fn lasting(&self, prefix: &str) -> Result<Vec<Story>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT key, severity, at FROM notices WHERE phase = 'problem' AND id IN \
             (SELECT MAX(id) FROM notices WHERE key LIKE $1 AND phase <> 'event' GROUP BY key)",
        )
        .bind(format!("{prefix}%"))
        .fetch_all(&self.pool)
        .await?;
        let mut found = Vec::new();
        for row in rows {
            let (key, severity): (String, String) = (row.try_get("key")?, row.try_get("severity")?);
            let at: i64 = row.try_get("at")?;
            if let (Some(severity), Some(at)) = (Urgency::parse(&severity), stamp(at)) {
                found.push(Story { key: key.into(), severity, at });
            }
        }
        Ok(found)
    }

    pub(super) async fn last_lines(&self, limit: u32) -> Result<Vec<Line>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT d.queued_at, d.receiver, d.state, d.reason, d.tries, d.last_error, n.title \
             FROM deliveries d JOIN notices n ON n.id = d.notice ORDER BY d.id DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let mut found = Vec::new();
        for row in rows {
            let text = |name: &str| row.try_get::<String, _>(name);
            let last_error: Option<String> = row.try_get("last_error")?;
            found.push(Line {
                queued_at: stamp(row.try_get("queued_at")?).unwrap_or_default(),
                receiver: text("receiver")?.into(),
                state: text("state")?.into(),
                why: text("reason")?.into(),
                tries: u32::try_from(row.try_get::<i64, _>("tries")?).unwrap_or(0),
                title: text("title")?.into(),
                last_error: last_error.map(Into::into),
            });
        }
        Ok(found)
    }

    pub(super) async fn forget_told(&self, before: Timestamp) -> Result<u64, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let gone = sqlx::query(
            "DELETE FROM notices WHERE at < $1 AND routed = 1 \
             AND id NOT IN (SELECT notice FROM deliveries WHERE state IN ('queued', 'sending')) \
             AND id NOT IN (SELECT MAX(id) FROM notices WHERE phase <> 'event' GROUP BY key)",
        )
        .bind(micros(before))
        .execute(&mut *transaction)
        .await?;
        let ended = sqlx::query(
            "DELETE FROM notices WHERE at < $1 AND routed = 1 AND phase = 'recovered' \
             AND id NOT IN (SELECT notice FROM deliveries WHERE state IN ('queued', 'sending'))",
        )
        .bind(micros(before))
        .execute(&mut *transaction)
        .await?;
        sqlx::query("DELETE FROM deliveries WHERE notice NOT IN (SELECT id FROM notices)")
            .execute(&mut *transaction)
            .await?;
        let long_ago = before.checked_sub(KEPT_BEYOND).unwrap_or(Timestamp::MIN);
        sqlx::query("DELETE FROM told WHERE sent_at < $1 AND phase = 'recovered' OR sent_at < $2")
            .bind(micros(before))
            .bind(micros(long_ago))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(gone.rows_affected() + ended.rows_affected())
    }
}
