//! Intents become rows: one intent, one row, for ever.

use jiff::Timestamp;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::json;
use super::origins::OriginColumns;
use super::rows::{clean, digest, micros, values};
use crate::engine::ports::ledger::New;

/// Inserts actions in one statement; id and key of those that were not there.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    new: &[New],
    now: Timestamp,
) -> Result<Vec<AnyRow>, sqlx::Error> {
    const PARAMETERS: usize = 21;
    let text = format!(
        "INSERT INTO actions (key, alert, rule, origin, fingerprint, starts_at, asked_by, request, kind, source, item, target, plan, \
         state, reason, created, not_before, expires, ended, decided_by, decided_at) \
         VALUES {} ON CONFLICT (key) DO NOTHING RETURNING id, key",
        values(new.len(), PARAMETERS)
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
    for New { plan, identity } in new {
        let origin = OriginColumns::of(&plan.origin);
        query = query
            .bind(key(identity))
            .bind(plan.origin.alert())
            .bind(clean(plan.origin.rule()))
            .bind(plan.origin.word())
            .bind(clean(&origin.fingerprint))
            .bind(origin.starts_at)
            .bind(clean(&origin.asked_by))
            .bind(clean(&origin.request))
            .bind(plan.action.kind().as_str())
            .bind(plan.action.source().map(ToString::to_string))
            .bind(plan.action.item().map(|item| clean(&item.to_string())))
            .bind(clean(&plan.target))
            .bind(json(&plan.action)?)
            .bind(plan.state.as_str())
            .bind(clean(&plan.reason))
            .bind(micros(now))
            .bind(micros(plan.not_before))
            .bind(plan.expires.map(micros))
            .bind((!plan.state.is_open()).then(|| micros(now)))
            .bind(plan.origin.approved_by().map(|by| clean(by)))
            .bind(plan.origin.approved_by().map(|_| micros(now)));
    }
    query.fetch_all(connection).await
}

/// The digest of an intent.
pub(super) fn key(identity: &[String]) -> String {
    digest(identity.iter().map(String::as_str))
}
