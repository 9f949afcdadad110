//! The switch that pauses the automation, on all daemons of a store.

use jiff::Timestamp;
use sqlx::{AnyConnection, Row as _};

use super::rows::{clean, micros};

/// Name of the switch that pauses the automation.
pub(super) const PAUSED: &str = "automation_paused";

/// Turns the switch. Whether that changed anything.
pub(super) async fn turn(
    connection: &mut AnyConnection,
    paused: bool,
    by: &str,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query(
        "INSERT INTO switches (name, value, at, by) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at, by = excluded.by \
         WHERE switches.value <> excluded.value",
    )
    .bind(PAUSED)
    .bind(if paused { "1" } else { "0" })
    .bind(micros(now))
    .bind(clean(by))
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Whether the automation is paused, within a turn. That the switch isn't there doesn't mean that it is off.
pub(super) async fn is_paused(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("SELECT value FROM switches WHERE name = $1").bind(PAUSED).fetch_optional(connection).await?;
    let missing = "the switch of the automation is missing, nobody knows whether it is paused: \
                   `firedrill automation pause` or `resume` sets it";
    row.ok_or_else(|| sqlx::Error::Protocol(missing.to_owned()))?.try_get::<String, _>(0).map(|value| value == "1")
}
