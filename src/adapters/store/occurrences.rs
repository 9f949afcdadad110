//! How alerts stand, one row for each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::rows::{chunks, clean, micros, moment, nanos, stamp, values};
use super::{Place, json};
use crate::domain::automation::occurrence::{Doubt, Heard, Occurrence, Over, Tidings, believe};

/// Columns, in the order of [`of_row`].
pub(super) const COLUMNS: &str = "fingerprint, number, starts_at, reopened, earliest, newest, heard_at, over_at, over_until, doubt_since, doubt_start, doubt_told, before_newest";

/// How many they are.
const PARAMETERS: usize = 13;

/// What is known of these alerts.
pub(super) async fn read(
    connection: &mut AnyConnection,
    fingerprints: &[&str],
) -> Result<HashMap<String, Occurrence>, sqlx::Error> {
    let mut found = HashMap::with_capacity(fingerprints.len());
    for some in chunks(fingerprints) {
        let text = format!("SELECT {COLUMNS} FROM occurrences WHERE fingerprint IN {}", values(1, some.len()));
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for fingerprint in some {
            query = query.bind(clean(fingerprint));
        }
        for row in query.fetch_all(&mut *connection).await? {
            let (fingerprint, occurrence) = of_row(&row)?;
            found.insert(fingerprint, occurrence);
        }
    }
    Ok(found)
}

/// Keeps how these alerts stand now.
pub(super) async fn write(connection: &mut AnyConnection, all: &[(&str, &Occurrence)]) -> Result<(), sqlx::Error> {
    let set: Vec<String> = COLUMNS.split(", ").skip(1).map(|column| format!("{column} = excluded.{column}")).collect();
    for some in chunks(all) {
        let text = format!(
            "INSERT INTO occurrences ({COLUMNS}) VALUES {} ON CONFLICT (fingerprint) DO UPDATE SET {}",
            values(some.len(), PARAMETERS),
            set.join(", ")
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for (fingerprint, it) in some {
            let doubt = it.over.as_ref().and_then(|over| over.doubt.as_ref());
            query = query
                .bind(clean(fingerprint))
                .bind(it.number)
                .bind(nanos(it.starts_at))
                .bind(i64::from(it.reopened))
                .bind(nanos(it.earliest))
                .bind(nanos(it.newest))
                .bind(micros(it.heard))
                .bind(it.over.as_ref().map(|over| micros(over.at)))
                .bind(it.over.as_ref().map(|over| nanos(over.until)))
                .bind(doubt.map(|doubt| micros(doubt.since)))
                .bind(doubt.map(|doubt| nanos(doubt.start)))
                .bind(doubt.map(|doubt| json(&doubt.told)).transpose()?)
                .bind(it.before.map(nanos));
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Nobody else writes how alerts stand until the transaction ends: that is read, thought about and written.
pub(super) async fn alone(connection: &mut AnyConnection, place: &Place) -> Result<(), sqlx::Error> {
    if place.is_sqlite() {
        return Ok(());
    }
    sqlx::query("LOCK TABLE occurrences IN SHARE ROW EXCLUSIVE MODE").execute(connection).await.map(drop)
}

/// Alerts whose late words stand for longer than the bound fire: each begins anew for the receivers that were told. So many
/// at once, at most.
pub(super) async fn believe_late(
    connection: &mut AnyConnection,
    place: &Place,
    (bound, most): (Duration, u32),
    now: Timestamp,
) -> Result<Tidings, sqlx::Error> {
    let mut tidings = Tidings::default();
    // Mostly there is none, and then nobody has to wait.
    if in_doubt(connection, bound, most, now).await?.is_empty() {
        return Ok(tidings);
    }
    alone(connection, place).await?;
    for (fingerprint, before) in in_doubt(connection, bound, most, now).await? {
        let Some(after) = believe(&before, bound, now) else { continue };
        write(connection, &[(&*fingerprint, &after)]).await?;
        let told = before.over.iter().filter_map(|over| over.doubt.as_ref()).flat_map(|doubt| &doubt.told);
        for (receiver, times) in told {
            sqlx::query(AGAIN)
                .bind(&*fingerprint)
                .bind(before.number)
                .bind(clean(receiver))
                .bind(after.number)
                .bind(nanos(after.starts_at))
                .bind(micros(now))
                .bind(i64::from(*times))
                .execute(&mut *connection)
                .await?;
        }
        tidings.count(Heard::Reopened, &fingerprint.into());
    }
    Ok(tidings)
}

/// The same alert for the same receiver, as a new occurrence.
const AGAIN: &str = "INSERT INTO alerts (fingerprint, occurrence, receiver, starts_at, last_start, reopened, labels, \
     annotations, generator_url, first_received, last_received, times, late, resolved_at, changed) \
     SELECT fingerprint, CAST($4 AS BIGINT), receiver, CAST($5 AS BIGINT), CAST($5 AS BIGINT), 1, labels, \
     annotations, generator_url, CAST($6 AS BIGINT), CAST($6 AS BIGINT), CAST($7 AS BIGINT), 0, NULL, 1 \
     FROM alerts WHERE fingerprint = $1 AND occurrence = $2 AND receiver = $3 \
     ON CONFLICT (fingerprint, occurrence, receiver) DO NOTHING";

/// Asked in every turn: it may not go through the whole table.
pub(super) fn question() -> String {
    format!(
        "SELECT {} FROM occurrences WHERE doubt_since IS NOT NULL AND doubt_since <= $1 ORDER BY doubt_since LIMIT $2",
        COLUMNS
    )
}

async fn in_doubt(
    connection: &mut AnyConnection,
    bound: Duration,
    most: u32,
    now: Timestamp,
) -> Result<Vec<(String, Occurrence)>, sqlx::Error> {
    let before = SignedDuration::try_from(bound).ok().and_then(|bound| now.checked_sub(bound).ok());
    let rows = sqlx::query(sqlx::AssertSqlSafe(question()))
        .bind(before.map_or(i64::MIN, micros))
        .bind(i64::from(most))
        .fetch_all(connection)
        .await?;
    rows.iter().map(of_row).collect()
}

fn of_row(row: &AnyRow) -> Result<(String, Occurrence), sqlx::Error> {
    let number = |at: usize| row.try_get::<i64, _>(at);
    let some = |at: usize| row.try_get::<Option<i64>, _>(at);
    // Every number of nanoseconds is a time.
    let time = |nanos: i64| moment(nanos).unwrap_or_default();
    let newest = time(number(5)?);
    let doubt = match (some(9)?, some(10)?) {
        (Some(since), Some(start)) => {
            let told: Option<String> = row.try_get(11)?;
            let told: Option<BTreeMap<Arc<str>, u32>> = told.and_then(|told| serde_json::from_str(&told).ok());
            let since = stamp(since).unwrap_or_default();
            Some(Doubt { since, start: time(start), told: told.unwrap_or_default() })
        }
        _ => None,
    };
    let over = match (some(7)?, some(8)?) {
        (Some(at), until) => Some(Over { at: stamp(at).unwrap_or_default(), until: until.map_or(newest, time), doubt }),
        (None, _) => None,
    };
    let occurrence = Occurrence {
        number: number(1)?,
        starts_at: time(number(2)?),
        reopened: number(3)? != 0,
        earliest: time(number(4)?),
        newest,
        heard: stamp(number(6)?).unwrap_or_default(),
        over,
        before: some(12)?.map(time),
    };
    Ok((row.try_get(0)?, occurrence))
}
