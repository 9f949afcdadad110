//! Alerts: received in batches, listed for people.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::rows::{chunks, clean, micros, moment, nanos, parameters, stamp};
use super::{Store, json};
use crate::domain::automation::alert::{KeptAlert, Labels, Status};
use crate::engine::ports::automation::Page;
use crate::engine::ports::ledger::Received;

/// Columns of an alert, in the order of [`of_row`].
pub(super) const COLUMNS: &str = "id, fingerprint, starts_at, receiver, labels, annotations, generator_url, first_received, last_received, times, resolved_at";

/// Parameters of a row.
const PARAMETERS: usize = 10;

/// One row to be: what a batch says of an alert, together.
struct Told<'a> {
    received: &'a Received,
    times: i64,
    resolved: bool,
}

impl Store {
    pub(super) async fn receive_all(&self, alerts: &[Received], now: Timestamp) -> Result<(), sqlx::Error> {
        // One statement can't change a row twice; and rows in the same order everywhere don't deadlock.
        let mut rows: BTreeMap<(&str, Timestamp, &str), Told<'_>> = BTreeMap::new();
        for received in alerts {
            let (alert, receiver) = (&received.alert, &*received.receiver);
            let key = (&*alert.fingerprint, alert.starts_at, receiver);
            let told = rows.entry(key).or_insert(Told { received, times: 0, resolved: false });
            told.times += 1;
            told.resolved |= alert.status == Status::Resolved;
        }
        let rows: Vec<Told<'_>> = rows.into_values().collect();
        let mut transaction = self.begin().await?;
        for some in chunks(&rows) {
            insert(&mut transaction, some, now).await?;
        }
        one_end_for_all(&mut transaction, &rows, now).await?;
        transaction.commit().await
    }

    pub(super) async fn list_alerts(&self, status: Option<Status>, page: Page) -> Result<Vec<KeptAlert>, sqlx::Error> {
        let which = match status {
            None => "",
            Some(Status::Firing) => "AND resolved_at IS NULL",
            Some(Status::Resolved) => "AND resolved_at IS NOT NULL",
        };
        let text = format!("SELECT {COLUMNS} FROM alerts WHERE id < $1 {which} ORDER BY id DESC LIMIT $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(page.before.unwrap_or(i64::MAX))
            .bind(i64::from(page.limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(of_row).filter_map(Result::transpose).collect()
    }
}

/// An alert that is over is over for every receiver that it was or will be told for.
async fn one_end_for_all(connection: &mut AnyConnection, rows: &[Told<'_>], now: Timestamp) -> Result<(), sqlx::Error> {
    let over: Vec<&Told<'_>> = rows.iter().filter(|told| told.resolved).collect();
    for some in chunks(&over) {
        let pair = |row: usize| format!("fingerprint = ${} AND starts_at = ${}", row * 2 + 2, row * 2 + 3);
        let pairs: Vec<String> = (0..some.len()).map(pair).collect();
        let text = format!(
            "UPDATE alerts SET resolved_at = $1, changed = 2 WHERE resolved_at IS NULL AND ({})",
            pairs.join(" OR ")
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(micros(now));
        for told in some {
            let alert = &told.received.alert;
            query = query.bind(clean(&alert.fingerprint)).bind(nanos(alert.starts_at));
        }
        query.execute(&mut *connection).await?;
    }
    if over.len() < rows.len() {
        sqlx::query(
            "UPDATE alerts SET resolved_at = $1, changed = 2 WHERE resolved_at IS NULL AND last_received = $1 AND EXISTS \
             (SELECT 1 FROM alerts o WHERE o.fingerprint = alerts.fingerprint AND o.starts_at = alerts.starts_at \
             AND o.resolved_at IS NOT NULL)",
        )
        .bind(micros(now))
        .execute(connection)
        .await?;
    }
    Ok(())
}

async fn insert(connection: &mut AnyConnection, chunk: &[Told<'_>], now: Timestamp) -> Result<(), sqlx::Error> {
    let row = |row: usize| {
        let numbers = parameters(row, PARAMETERS);
        let [.., received, times, resolved, changed] = &numbers[..] else { return String::new() };
        format!("({}, {received}, {received}, {times}, {resolved}, {changed})", numbers[..PARAMETERS - 4].join(", "))
    };
    let values: Vec<String> = (0..chunk.len()).map(row).collect();
    // What was told to be over stays over: two Alertmanagers speak at different times, and retries come late.
    let text = format!(
        "INSERT INTO alerts (fingerprint, starts_at, receiver, labels, annotations, generator_url, \
         first_received, last_received, times, resolved_at, changed) VALUES {} \
         ON CONFLICT (fingerprint, starts_at, receiver) DO UPDATE SET \
         last_received = excluded.last_received, times = alerts.times + excluded.times, \
         resolved_at = COALESCE(alerts.resolved_at, excluded.resolved_at), \
         changed = CASE WHEN excluded.changed > alerts.changed THEN excluded.changed ELSE alerts.changed END",
        values.join(", ")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
    for told in chunk {
        let Received { receiver, alert } = told.received;
        query = query
            .bind(clean(&alert.fingerprint))
            .bind(nanos(alert.starts_at))
            .bind(clean(receiver))
            .bind(json(&alert.labels)?)
            .bind(json(&alert.annotations)?)
            .bind(clean(&alert.generator_url))
            .bind(micros(now))
            .bind(told.times)
            .bind(told.resolved.then(|| micros(now)))
            .bind(if told.resolved { 2_i64 } else { 1 });
    }
    query.execute(connection).await.map(drop)
}

/// An alert; `None` when it can't be understood.
pub(super) fn of_row(row: &AnyRow) -> Result<Option<KeptAlert>, sqlx::Error> {
    let text = |at: usize| row.try_get::<String, _>(at);
    let number = |at: usize| row.try_get::<i64, _>(at);
    let labels = |text: String| serde_json::from_str::<Labels>(&text).ok();
    let resolved = row.try_get::<Option<i64>, _>(10)?;
    let (labels, annotations) = (labels(text(4)?), labels(text(5)?));
    let times = (moment(number(2)?), stamp(number(7)?), stamp(number(8)?));
    let (Some(labels), Some(annotations), (Some(starts_at), Some(first), Some(last))) = (labels, annotations, times)
    else {
        return Ok(None);
    };
    Ok(Some(KeptAlert {
        id: number(0)?,
        fingerprint: text(1)?.into(),
        starts_at,
        receiver: text(3)?.into(),
        labels,
        annotations,
        generator_url: text(6)?.into(),
        first_received: first,
        last_received: last,
        times: number(9)?,
        resolved_at: resolved.and_then(stamp),
    }))
}
