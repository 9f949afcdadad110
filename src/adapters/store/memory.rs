//! What this process knows of alerts and actions beside the store, for the day on which that is lost: then it is written into
//! the next one, so that nothing is done a second time. The newest of them; older ones are those that nobody tells any more.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use sqlx::any::{AnyArguments, AnyRow, AnyTypeInfoKind};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Column as _, Row as _, ValueRef as _};

use super::audit::{Line, write_down};
use super::error::Doing;
use super::rows::{chunks, clean, nanos};
use super::{Database, occurrences, switch};
use crate::domain::automation::occurrence::{Bounds, Occurrence};
use crate::engine::ports::StoreError;
use crate::engine::ports::ledger::Received;

/// Alerts that are remembered.
const ALERTS: usize = 5_000;

/// Actions that are remembered.
const ACTIONS: usize = 20_000;

/// What a program wrote is long, and no reason to do anything again or not.
const LEFT_OUT: &str = "output";

/// A value that isn't null.
#[derive(Debug, Clone)]
enum Value {
    Number(i64),
    Text(String),
}

/// A row: its columns that aren't null.
type Columns = Vec<(String, Value)>;

/// A table whose rows are remembered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Table {
    Alerts,
    Actions,
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Actions => "actions",
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    alerts: BTreeMap<i64, Columns>,
    actions: BTreeMap<i64, Columns>,
    /// Received, and not seen in the store since.
    fresh: VecDeque<(Received, Bounds, Timestamp)>,
    /// How alerts stand, by fingerprint.
    occurrences: HashMap<String, Occurrence>,
    paused: bool,
    loaded: bool,
}

/// What this process knows.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Known>);

/// Rows that a transaction changed, as they are at its end.
#[derive(Debug, Default)]
pub(super) struct Changed {
    alerts: Vec<(i64, Columns)>,
    actions: Vec<(i64, Columns)>,
    occurrences: HashMap<String, Occurrence>,
}

/// Ids of rows that a transaction changed.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) alerts: Vec<i64>,
    pub(super) actions: Vec<i64>,
}

impl Touched {
    /// The rows, within the transaction.
    pub(super) async fn read(&self, connection: &mut AnyConnection) -> Result<Changed, sqlx::Error> {
        let alerts = rows_of(connection, Table::Alerts, &self.alerts).await?;
        let occurrences = standing_of(connection, &alerts).await?;
        Ok(Changed { alerts, actions: rows_of(connection, Table::Actions, &self.actions).await?, occurrences })
    }
}

/// How the alerts of these rows stand.
async fn standing_of(
    connection: &mut AnyConnection,
    alerts: &[(i64, Columns)],
) -> Result<HashMap<String, Occurrence>, sqlx::Error> {
    let fingerprints: BTreeSet<&str> = alerts.iter().filter_map(|(_, columns)| fingerprint(columns)).collect();
    let fingerprints: Vec<&str> = fingerprints.into_iter().collect();
    occurrences::read(connection, &fingerprints).await
}

fn fingerprint(columns: &Columns) -> Option<&str> {
    columns.iter().find_map(|(name, value)| match value {
        Value::Text(text) if name == "fingerprint" => Some(text.as_str()),
        _ => None,
    })
}

async fn rows_of(
    connection: &mut AnyConnection,
    table: Table,
    ids: &[i64],
) -> Result<Vec<(i64, Columns)>, sqlx::Error> {
    let mut found = Vec::with_capacity(ids.len());
    for some in chunks(ids) {
        let places: Vec<String> = (1..=some.len()).map(|number| format!("${number}")).collect();
        let text = format!("SELECT * FROM {} WHERE id IN ({})", table.name(), places.join(", "));
        let query = some.iter().fold(sqlx::query(sqlx::AssertSqlSafe(text)), |query, id| query.bind(*id));
        for row in query.fetch_all(&mut *connection).await? {
            found.push(columns(&row)?);
        }
    }
    Ok(found)
}

/// As much of a store as is remembered.
async fn newest(connection: &mut AnyConnection) -> Result<Changed, sqlx::Error> {
    let mut found = Changed::default();
    for (table, most, into) in
        [(Table::Alerts, ALERTS, &mut found.alerts), (Table::Actions, ACTIONS, &mut found.actions)]
    {
        let text = format!("SELECT * FROM {} ORDER BY id DESC LIMIT {most}", table.name());
        for row in sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(&mut *connection).await? {
            into.push(columns(&row)?);
        }
    }
    found.occurrences = standing_of(connection, &found.alerts).await?;
    Ok(found)
}

fn columns(row: &AnyRow) -> Result<(i64, Columns), sqlx::Error> {
    let mut found = Vec::with_capacity(row.len());
    for (at, column) in row.columns().iter().enumerate() {
        let value = row.try_get_raw(at)?;
        let value = match value.type_info().kind() {
            _ if value.is_null() || column.name() == LEFT_OUT => continue,
            AnyTypeInfoKind::SmallInt | AnyTypeInfoKind::Integer | AnyTypeInfoKind::BigInt => {
                Value::Number(row.try_get(at)?)
            }
            _ => Value::Text(row.try_get(at)?),
        };
        found.push((column.name().to_owned(), value));
    }
    Ok((row.try_get("id")?, found))
}

impl Memory {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns what a store holds that was just opened, once.
    pub(super) async fn load(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        if self.known().loaded {
            return Ok(());
        }
        let newest = newest(connection).await?;
        self.take(newest);
        self.known().loaded = true;
        Ok(())
    }

    /// The store has all that is known, under ids of its own.
    fn is_written(&self, newest: Changed) {
        let mut known = self.known();
        known.alerts.clear();
        known.actions.clear();
        known.fresh.clear();
        drop(known);
        self.take(newest);
    }

    /// What was changed is durable.
    pub(super) fn take(&self, changed: Changed) {
        let mut known = self.known();
        for (id, columns) in changed.alerts {
            known.fresh.retain(|(received, ..)| !is_row_of(&columns, received));
            known.alerts.insert(id, columns);
        }
        known.actions.extend(changed.actions);
        known.occurrences.extend(changed.occurrences);
        while known.alerts.len() > ALERTS {
            known.alerts.pop_first();
        }
        while known.actions.len() > ACTIONS {
            known.actions.pop_first();
        }
    }

    /// Alerts came in.
    pub(super) fn received(
        &self,
        alerts: &[Received],
        bounds: Bounds,
        now: Timestamp,
        standing: HashMap<String, Occurrence>,
    ) {
        let mut known = self.known();
        known.fresh.extend(alerts.iter().map(|received| (received.clone(), bounds, now)));
        known.occurrences.extend(standing);
        if known.occurrences.len() > 3 * ALERTS {
            let Known { alerts, fresh, occurrences, .. } = &mut *known;
            let mut told: BTreeSet<&str> = alerts.values().filter_map(fingerprint).collect();
            told.extend(fresh.iter().map(|(received, ..)| &*received.alert.fingerprint));
            occurrences.retain(|name, _| told.contains(name.as_str()));
        }
        while known.fresh.len() > ALERTS {
            known.fresh.pop_front();
        }
    }

    /// Whether the automation is paused.
    pub(super) fn paused(&self, paused: bool) {
        self.known().paused = paused;
    }
}

fn is_row_of(columns: &Columns, received: &Received) -> bool {
    let starts = nanos(received.alert.starts_at);
    let of_alert = columns.iter().all(|(name, value)| match (name.as_str(), value) {
        ("fingerprint", Value::Text(text)) => *text == clean(&received.alert.fingerprint),
        ("receiver", Value::Text(text)) => *text == clean(&received.receiver),
        _ => true,
    });
    of_alert
        && columns.iter().any(|(name, value)| match value {
            Value::Number(number) => matches!(name.as_str(), "starts_at" | "last_start") && *number == starts,
            Value::Text(_) => false,
        })
}

impl Database {
    /// Writes into a store that was accepted what is known.
    pub(super) async fn remember(&self, memory: &Memory, now: Timestamp) -> Result<(), StoreError> {
        let (alerts, actions, fresh, standing, paused) = {
            let known = memory.known();
            let standing = known.occurrences.clone();
            (known.alerts.clone(), known.actions.clone(), known.fresh.clone(), standing, known.paused)
        };
        let count = (alerts.len(), actions.len());
        let work = async {
            let mut writing = self.begin_hearing().await?;
            let standing: Vec<(&str, &Occurrence)> = standing.iter().map(|(name, it)| (name.as_str(), it)).collect();
            occurrences::write(&mut writing, &standing).await?;
            let sqlite = self.place.is_sqlite();
            let mut ids: HashMap<i64, i64> = HashMap::new();
            for (id, columns) in alerts {
                let put = Put { table: Table::Alerts, identity: &["fingerprint", "occurrence", "receiver"], sqlite };
                ids.insert(id, put.row(&mut writing, columns).await?);
            }
            for (_, mut columns) in actions {
                // What isn't known any more must not lead to another alert.
                columns.retain_mut(|(name, value)| match (name.as_str(), value) {
                    ("alert", Value::Number(alert)) => ids.get(alert).map(|id| *alert = *id).is_some(),
                    _ => true,
                });
                Put { table: Table::Actions, identity: &["key"], sqlite }.row(&mut writing, columns).await?;
            }
            if !sqlite {
                go_on_counting(&mut writing).await?;
            }
            // It was paused when it was found to be another one.
            switch::turn(&mut writing, paused, "firedrill", now).await?;
            if let Some(bond) = &self.bond {
                bond.accept(&mut writing).await?;
            }
            let detail = format!(
                "a person accepted another store; of the one before {} alerts and {} actions are known, and it is {}",
                count.0,
                count.1,
                if paused { "paused as before" } else { "not paused" }
            );
            write_down(&mut writing, &[Line::new("firedrill", None, "accepted", &detail, now)]).await?;
            writing.commit().await?;
            for (received, bounds, at) in fresh {
                self.receive_all(&[received], bounds, at).await?;
            }
            let mut reading = self.pool.acquire().await?;
            memory.is_written(newest(&mut reading).await?);
            Ok(())
        };
        self.bounded(Doing::Write, work).await
    }
}

/// Ids that were given by hand are not given again.
async fn go_on_counting(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    for table in ["alerts", "actions"] {
        let text = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', 'id'), GREATEST((SELECT COALESCE(MAX(id), 1) FROM {table}), 1))"
        );
        sqlx::query(sqlx::AssertSqlSafe(text)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// How a row is put into another store.
struct Put {
    table: Table,
    /// What makes a row the same one.
    identity: &'static [&'static str],
    sqlite: bool,
}

impl Put {
    /// Puts a row there, under the same id if that is free; over a row of the same identity. Its id.
    async fn row(&self, connection: &mut AnyConnection, columns: Columns) -> Result<i64, sqlx::Error> {
        let table = self.table.name();
        let of_identity: Vec<(String, Value)> =
            columns.iter().filter(|(name, _)| self.identity.contains(&name.as_str())).cloned().collect();
        let conditions: Vec<String> =
            of_identity.iter().enumerate().map(|(at, (name, _))| format!("{name} = ${}", at + 1)).collect();
        let text = format!("SELECT id FROM {table} WHERE {}", conditions.join(" AND "));
        let found =
            bound(sqlx::query(sqlx::AssertSqlSafe(text)), &of_identity).fetch_optional(&mut *connection).await?;
        let (id, rest): (Columns, Columns) = columns.into_iter().partition(|(name, _)| name == "id");
        if let Some(row) = found {
            let there: i64 = row.try_get(0)?;
            let sets: Vec<String> =
                rest.iter().enumerate().map(|(at, (name, _))| format!("{name} = ${}", at + 1)).collect();
            let text = format!("UPDATE {table} SET {} WHERE id = {there}", sets.join(", "));
            bound(sqlx::query(sqlx::AssertSqlSafe(text)), &rest).execute(&mut *connection).await?;
            return Ok(there);
        }
        let text = format!("SELECT id FROM {table} WHERE id = $1");
        let taken =
            bound(sqlx::query(sqlx::AssertSqlSafe(text)), &id).fetch_optional(&mut *connection).await?.is_some();
        let (columns, overriding) = match (taken, self.sqlite) {
            (true, _) => (rest, ""),
            (false, true) => ([id, rest].concat(), ""),
            (false, false) => ([id, rest].concat(), "OVERRIDING SYSTEM VALUE"),
        };
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let places: Vec<String> = (1..=columns.len()).map(|number| format!("${number}")).collect();
        let text = format!(
            "INSERT INTO {table} ({}) {overriding} VALUES ({}) RETURNING id",
            names.join(", "),
            places.join(", ")
        );
        let row = bound(sqlx::query(sqlx::AssertSqlSafe(text)), &columns).fetch_one(connection).await?;
        row.try_get(0)
    }
}

fn bound<'q>(query: Query<'q, Any, AnyArguments>, columns: &Columns) -> Query<'q, Any, AnyArguments> {
    columns.iter().fold(query.persistent(false), |query, (_, value)| match value {
        Value::Number(number) => query.bind(*number),
        Value::Text(text) => query.bind(text.clone()),
    })
}
