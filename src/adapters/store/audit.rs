//! The audit trail: lines are only ever added.

use jiff::Timestamp;
use sqlx::AnyConnection;

use super::rows::{chunks, clean, micros, values};

/// A line of the audit trail to be.
pub(super) struct Line {
    pub(super) actor: String,
    pub(super) action: Option<i64>,
    pub(super) event: String,
    pub(super) detail: String,
    pub(super) at: Timestamp,
}

impl Line {
    pub(super) fn new(actor: &str, action: Option<i64>, event: &str, detail: &str, at: Timestamp) -> Self {
        Self { actor: actor.to_owned(), action, event: event.to_owned(), detail: detail.to_owned(), at }
    }
}

/// Adds lines to the audit trail, in this order.
pub(super) async fn write_down(connection: &mut AnyConnection, lines: &[Line]) -> Result<(), sqlx::Error> {
    for some in chunks(lines) {
        let rows = values(some.len(), 5);
        let text = format!("INSERT INTO audit (at, actor, action, event, detail) VALUES {rows}");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for line in some {
            query = query
                .bind(micros(line.at))
                .bind(clean(&line.actor))
                .bind(line.action)
                .bind(clean(&line.event))
                .bind(clean(&line.detail));
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
