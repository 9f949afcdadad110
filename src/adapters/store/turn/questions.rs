//! What a turn asks the store.

use super::super::actions::{self, states};
use super::super::alerts;
use crate::domain::automation::record::ActionState;

/// The condition of the index over open actions, word for word.
pub(super) const OPEN: &str = "state IN ('proposed', 'running', 'scheduled')";

// Every turn asks these, however much is kept: none of them may go through a whole table.

pub(super) fn pending() -> String {
    format!("SELECT {} FROM alerts WHERE handled < changed ORDER BY id LIMIT $1", alerts::COLUMNS)
}

/// For so many wishes at once: the last action that counts for the target and for the rule, and whether it is there.
pub(super) fn past(wishes: usize) -> String {
    let counted: Vec<ActionState> = ActionState::ALL.into_iter().filter(|state| state.cools()).collect();
    let counted = format!("(state IN ({}) OR started IS NOT NULL)", states(&counted));
    let last =
        |which: &str| format!("SELECT created FROM actions WHERE {which} AND {counted} ORDER BY created DESC LIMIT 1");
    let row = |row: usize| {
        let [kind, target, rule, key] = std::array::from_fn(|it| row * 4 + it + 1);
        format!("({row}, CAST(${kind} AS TEXT), CAST(${target} AS TEXT), CAST(${rule} AS TEXT), CAST(${key} AS TEXT))")
    };
    let rows: Vec<String> = (0..wishes).map(row).collect();
    format!(
        "WITH w (number, of_kind, of_target, of_rule, of_key) AS (VALUES {}) \
         SELECT ({}), ({}), (SELECT id FROM actions WHERE key = w.of_key) FROM w ORDER BY w.number",
        rows.join(", "),
        last("kind = w.of_kind AND target = w.of_target"),
        last("rule = w.of_rule")
    )
}

pub(super) fn due() -> String {
    format!(
        "SELECT {}, t.id AS told, t.resolved_at, o.number, o.over_at FROM actions a LEFT JOIN alerts t ON t.id = a.alert \
         LEFT JOIN occurrences o ON o.fingerprint = t.fingerprint WHERE {OPEN} AND a.state = 'scheduled' AND a.kind = $1 AND a.not_before <= $2 ORDER BY a.id LIMIT $3",
        actions::COLUMNS
    )
}

pub(super) fn expired() -> String {
    format!(
        "SELECT {} FROM actions a WHERE {OPEN} AND a.state = 'proposed' AND a.expires <= $1 ORDER BY a.id LIMIT $2",
        actions::COLUMNS
    )
}

pub(super) fn held() -> String {
    format!(
        "SELECT {}, a.owner, a.lease, a.tries, t.id AS told, t.resolved_at, o.over_at FROM actions a \
         LEFT JOIN alerts t ON t.id = a.alert LEFT JOIN occurrences o ON o.fingerprint = t.fingerprint WHERE {OPEN} AND a.state = 'running' ORDER BY a.id",
        actions::COLUMNS
    )
}

/// Marked, so that one daemon tells of each.
pub(super) fn denied() -> String {
    format!(
        "UPDATE actions SET owner = 'told' WHERE state = 'denied' AND owner IS NULL RETURNING {}",
        actions::COLUMNS.replace("a.", "")
    )
}

pub(super) fn began(by_rule: bool) -> String {
    let which = if by_rule { "AND rule = $2" } else { "" };
    format!("SELECT COUNT(*) FROM actions WHERE started >= $1 AND kind <> 'notify' {which}")
}

pub(super) fn count_open() -> String {
    format!("SELECT a.kind, a.state, COUNT(*), MIN(a.created) FROM actions a WHERE {OPEN} GROUP BY a.state, a.kind")
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::*;
    use crate::adapters::store::occurrences;
    use crate::adapters::store::{Database, Place};

    #[tokio::test]
    async fn no_question_of_a_turn_goes_through_a_whole_table() {
        let place = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/firedrill.db", place.path().display());
        let database = Database::open(Place::new(&url)).await.unwrap();
        let asked = [
            occurrences::question(),
            pending(),
            past(1),
            past(8),
            due(),
            expired(),
            held(),
            denied(),
            began(false),
            began(true),
            count_open(),
        ];
        for text in asked {
            let rows =
                sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"))).fetch_all(&database.pool).await;
            for row in rows.unwrap() {
                let step: String = row.try_get("detail").unwrap();
                let looks = step.starts_with("SCAN ") || step.starts_with("SEARCH ");
                if !looks || step == "SCAN w" || step.contains("CONSTANT ROW") {
                    continue;
                }
                let quick = [
                    "occurrences_in_doubt",
                    "alerts_to_handle",
                    "INDEX actions_",
                    "autoindex_actions",
                    "autoindex_occurrences",
                    "INTEGER PRIMARY KEY",
                    "TEMP B-TREE",
                ];
                assert!(quick.iter().any(|it| step.contains(it)), "{step}: {text}");
            }
        }
    }
}
