//! Alerts: received in batches, listed for people.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::rows::{chunks, clean, micros, moment, nanos, parameters, stamp};
use super::{Database, Writing, json, occurrences};
use crate::domain::automation::alert::{Alert, KeptAlert, Labels, Status};
use crate::domain::automation::occurrence::{Bounds, Event, Heard, Occurrence, Tidings, step};
use crate::engine::ports::automation::Page;
use crate::engine::ports::ledger::Received;

/// Columns of an alert, in the order of [`of_row`].
pub(super) const COLUMNS: &str = "id, fingerprint, starts_at, receiver, labels, annotations, generator_url, first_received, last_received, times, resolved_at, occurrence, reopened, last_start, late";

/// Parameters of a row.
const PARAMETERS: usize = 14;

/// One row to be: what a batch says of an occurrence for a receiver, together.
struct Told<'a> {
    received: &'a Received,
    /// The start that was told first, to whomever.
    starts_at: Timestamp,
    reopened: bool,
    last_start: Timestamp,
    times: i64,
    late: i64,
    over: bool,
}

/// Rows by fingerprint, occurrence and receiver. One statement can't change a row twice; and rows in the same order
/// everywhere don't deadlock.
type Rows<'a> = BTreeMap<(&'a str, i64, &'a str), Told<'a>>;

impl Database {
    /// A transaction for what writes how alerts stand.
    pub(super) async fn begin_hearing(&self) -> Result<Writing, sqlx::Error> {
        let mut transaction = self.begin().await?;
        occurrences::alone(&mut transaction, &self.place).await?;
        Ok(transaction)
    }

    pub(super) async fn receive_all(
        &self,
        alerts: &[Received],
        bounds: Bounds,
        now: Timestamp,
    ) -> Result<Tidings, sqlx::Error> {
        let mut transaction = self.begin_hearing().await?;
        let fingerprints: BTreeSet<&str> = alerts.iter().map(|it| &*it.alert.fingerprint).collect();
        let fingerprints: Vec<&str> = fingerprints.into_iter().collect();
        let mut standing = occurrences::read(&mut transaction, &fingerprints).await?;
        let mut tidings = Tidings::default();
        let (mut rows, mut changed, mut ended) = (Rows::new(), BTreeSet::new(), BTreeSet::new());
        for received in alerts {
            let (alert, before) = (&received.alert, standing.get(&*received.alert.fingerprint));
            let (after, heard) = step(before, event(alert), &received.receiver, bounds, now);
            tidings.count(heard, &alert.fingerprint);
            if heard != Heard::Outdated {
                add(&mut rows, received, &after, heard);
            }
            // The end may be told, or be lost.
            if heard == Heard::Ended || before.is_some_and(|before| before.is_open() && before.number < after.number) {
                ended.insert(&*alert.fingerprint);
            }
            if before != Some(&after) {
                changed.insert(&*alert.fingerprint);
                standing.insert(alert.fingerprint.to_string(), after);
            }
        }
        for ((fingerprint, occurrence, _), told) in &mut rows {
            let now = standing.get(*fingerprint);
            told.over = now.is_some_and(|now| !now.is_open() || now.number > *occurrence);
        }
        let rows: Vec<_> = rows.into_iter().collect();
        let of = |fingerprint: &&'_ str| standing.get(*fingerprint);
        let changed: Vec<_> = changed.iter().filter_map(|it| Some((*it, of(it)?))).collect();
        let ended: Vec<_> = ended.iter().filter_map(|it| Some((*it, of(it)?))).collect();
        occurrences::write(&mut transaction, &changed).await?;
        let changed_standing = changed.iter().map(|(name, it)| ((*name).to_owned(), (*it).clone())).collect();
        for some in chunks(&rows) {
            insert(&mut transaction, some, now).await?;
        }
        end(&mut transaction, &ended, now).await?;
        transaction.commit().await?;
        if let Some(bond) = &self.bond {
            bond.memory.received(alerts, bounds, now, changed_standing);
        }
        Ok(tidings)
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

/// What is told, with times as the store keeps them: they are compared.
fn event(alert: &Alert) -> Event {
    let kept = |time: Timestamp| moment(nanos(time)).unwrap_or(time);
    match alert.event() {
        Event::Firing { start } => Event::Firing { start: kept(start) },
        Event::Resolved { start, end } => Event::Resolved { start: kept(start), end: end.map(kept) },
    }
}

fn add<'a>(rows: &mut Rows<'a>, received: &'a Received, after: &Occurrence, heard: Heard) {
    let key = (&*received.alert.fingerprint, after.number, &*received.receiver);
    let last_start = received.alert.starts_at;
    let (starts_at, reopened) = (after.starts_at, after.reopened);
    let told = Told { received, starts_at, reopened, last_start, times: 0, late: 0, over: false };
    let told = rows.entry(key).or_insert(told);
    told.times += 1;
    told.late += i64::from(heard == Heard::Late);
    told.last_start = last_start;
}

/// An alert that is over is over for every receiver that it was told for, and with every start.
async fn end(connection: &mut AnyConnection, ended: &[(&str, &Occurrence)], now: Timestamp) -> Result<(), sqlx::Error> {
    for some in chunks(ended) {
        let pair = |row: usize| format!("fingerprint = ${} AND occurrence <= ${}", row * 2 + 2, row * 2 + 3);
        let pairs: Vec<String> = (0..some.len()).map(pair).collect();
        let text = format!(
            "UPDATE alerts SET resolved_at = $1, changed = 2 WHERE resolved_at IS NULL AND ({})",
            pairs.join(" OR ")
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(micros(now));
        for (fingerprint, it) in some {
            // It may have begun again in the same batch.
            let last = if it.is_open() { it.number - 1 } else { it.number };
            query = query.bind(clean(fingerprint)).bind(last);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn insert(
    connection: &mut AnyConnection,
    chunk: &[((&str, i64, &str), Told<'_>)],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let row = |row: usize| {
        let numbers = parameters(row, PARAMETERS);
        let [before @ .., received, times, late, resolved, changed] = &numbers[..] else { return String::new() };
        format!("({}, {received}, {received}, {times}, {late}, {resolved}, {changed})", before.join(", "))
    };
    let values: Vec<String> = (0..chunk.len()).map(row).collect();
    let text = format!(
        "INSERT INTO alerts (fingerprint, occurrence, receiver, starts_at, reopened, last_start, labels, annotations, \
         generator_url, first_received, last_received, times, late, resolved_at, changed) VALUES {} \
         ON CONFLICT (fingerprint, occurrence, receiver) DO UPDATE SET last_start = excluded.last_start, \
         last_received = excluded.last_received, times = alerts.times + excluded.times, late = alerts.late + excluded.late, \
         resolved_at = COALESCE(alerts.resolved_at, excluded.resolved_at), \
         changed = CASE WHEN excluded.changed > alerts.changed THEN excluded.changed ELSE alerts.changed END",
        values.join(", ")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
    for ((fingerprint, occurrence, receiver), told) in chunk {
        let alert = &told.received.alert;
        query = query
            .bind(clean(fingerprint))
            .bind(*occurrence)
            .bind(clean(receiver))
            .bind(nanos(told.starts_at))
            .bind(i64::from(told.reopened))
            .bind(nanos(told.last_start))
            .bind(json(&alert.labels)?)
            .bind(json(&alert.annotations)?)
            .bind(clean(&alert.generator_url))
            .bind(micros(now))
            .bind(told.times)
            .bind(told.late)
            .bind(told.over.then(|| micros(now)))
            .bind(if told.over { 2_i64 } else { 1 });
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
    let times = (moment(number(2)?), stamp(number(7)?), stamp(number(8)?), moment(number(13)?));
    let (Some(labels), Some(annotations)) = (labels, annotations) else { return Ok(None) };
    let (Some(starts_at), Some(first), Some(last), Some(last_start)) = times else { return Ok(None) };
    Ok(Some(KeptAlert {
        id: number(0)?,
        fingerprint: text(1)?.into(),
        occurrence: number(11)?,
        starts_at,
        reopened: number(12)? != 0,
        last_start,
        receiver: text(3)?.into(),
        labels,
        annotations,
        generator_url: text(6)?.into(),
        first_received: first,
        last_received: last,
        times: number(9)?,
        late: number(14)?,
        resolved_at: resolved.and_then(stamp),
    }))
}
