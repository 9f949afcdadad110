//! Who asked for an action, as columns.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::rows::nanos;
use crate::domain::automation::origin::Origin;

/// An origin as columns.
#[derive(Default)]
pub(super) struct OriginColumns {
    pub(super) fingerprint: String,
    pub(super) starts_at: Option<i64>,
    pub(super) asked_by: String,
    pub(super) request: String,
}

impl OriginColumns {
    pub(super) fn of(origin: &Origin) -> Self {
        match origin {
            Origin::Alert { fingerprint, start, .. } => {
                Self { fingerprint: fingerprint.to_string(), starts_at: start.map(nanos), ..Self::default() }
            }
            Origin::Person { by, request } => {
                Self { asked_by: by.to_string(), request: request.to_string(), ..Self::default() }
            }
            Origin::Schedule { name, due } => {
                Self { asked_by: name.to_string(), request: due.to_string(), ..Self::default() }
            }
        }
    }
}

/// Who asked; `None` when another version of the program wrote it.
pub(super) fn of_row(row: &AnyRow) -> Result<Option<Origin>, sqlx::Error> {
    let text = |at: usize| row.try_get::<String, _>(at).map(Arc::<str>::from);
    let start: Option<i64> = row.try_get(17)?;
    Ok(match row.try_get::<String, _>(15)?.as_str() {
        "alert" => Some(Origin::Alert {
            id: row.try_get(1)?,
            fingerprint: text(16)?,
            start: start.and_then(|nanos| Timestamp::from_nanosecond(nanos.into()).ok()),
            rule: text(2)?,
        }),
        "person" => Some(Origin::Person { by: text(18)?, request: text(19)? }),
        "schedule" => match text(19)?.parse() {
            Ok(due) => Some(Origin::Schedule { name: text(18)?, due }),
            Err(_) => None,
        },
        _ => None,
    })
}
