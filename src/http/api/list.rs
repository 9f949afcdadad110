//! Lists come in parts: newest first, `limit` at a time, the next part with `before`.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::{ApiError, json};
use super::query::Query;
use crate::engine::ports::automation::Page;

/// A part is so long where nobody says otherwise.
const USUAL: u32 = 100;

/// No part is longer.
pub(super) const LONGEST: u32 = 500;

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T: ToSchema> {
    /// What is in this part.
    items: Vec<T>,
    /// The next part begins here: give it as `before`. Null when this was the last one.
    next: Option<i64>,
}

/// The part that is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) before: Option<i64>,
    pub(super) limit: usize,
}

impl Part {
    pub(super) fn of(query: &Query) -> Result<Self, ApiError> {
        let limit = query.number("limit", 1..=LONGEST.into())?.map_or(USUAL as usize, |limit| limit as usize);
        Ok(Self { before: query.number("before", 1..=i64::MAX)?, limit })
    }

    /// One more than is asked for, to know whether there are more.
    pub(super) fn page(self) -> Page {
        Page { before: self.before, limit: self.limit as u32 + 1 }
    }

    /// The answer, from one more row than was asked for.
    pub(super) fn answer<R, T: ToSchema + Serialize>(
        self,
        mut rows: Vec<R>,
        id: impl Fn(&R) -> i64,
        show: impl Fn(R) -> T,
    ) -> Response {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().map(id).filter(|_| more);
        json(StatusCode::OK, &List { items: rows.into_iter().map(show).collect(), next })
    }
}

/// The answer with everything there is.
pub(super) fn all<T: ToSchema + Serialize>(items: Vec<T>) -> Response {
    json(StatusCode::OK, &List { items, next: None })
}
