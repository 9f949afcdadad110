//! What people ask for: the automation does it, within its limits and with a line in the audit trail.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::{Identity, Operator};
use super::super::error::{ApiError, json};
use super::super::state::AppState;
use super::failures::{Asks, Failures};
use super::query::Query;
use crate::domain::automation::action::Action;
use crate::domain::automation::action::rescan::Rescan;
use crate::domain::automation::action::reverify::Reverify;
use crate::domain::automation::decide::asked_for;
use crate::domain::automation::origin::Origin;
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::printable::shown;
use crate::domain::proof::{Level, method};

/// Names of requests are no longer than this.
const LONGEST: usize = 200;

/// What became of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Requested {
    /// The number of the action: /api/v1/actions/{id} tells what becomes of it.
    id: i64,
    /// Whether it was not there before: the same request is kept once.
    new: bool,
    /// What is to be done, in a sentence.
    action: String,
}

/// Ask for a source to be scanned now.
#[utoipa::path(post, path = "/api/v1/requests/rescan", tag = "automation", params(
    ("source" = String, Query, description = "the source"),
    ("request" = Option<String>, Query, max_length = 200, description = "a name of the request: sent again, it is done once"),
), responses((status = 200, description = "what was asked for", body = Requested), Failures, Asks))]
pub(super) async fn rescan(
    Operator(who): Operator,
    State(state): State<AppState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(raw.as_deref(), &["source", "request"])?;
    let source = named(&state, &query)?;
    ask(&state, &who, &query, Rescan { source }.into()).await
}

/// Ask for the newest backup of an item to be verified now.
#[utoipa::path(post, path = "/api/v1/requests/reverify", tag = "automation", params(
    ("source" = String, Query, description = "the source"),
    ("item" = String, Query, description = "the item, such as qemu/100"),
    ("level" = Option<i32>, Query, description = "how much to prove: 1 present, 2 decodes to its end, 3 complete (the default)"),
    ("request" = Option<String>, Query, max_length = 200, description = "a name of the request: sent again, it is done once"),
), responses((status = 200, description = "what was asked for", body = Requested), Failures, Asks))]
pub(super) async fn reverify(
    Operator(who): Operator,
    State(state): State<AppState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(raw.as_deref(), &["source", "item", "level", "request"])?;
    let source = named(&state, &query)?;
    let item: ItemId = query.parsed("item")?.ok_or_else(|| ApiError::bad("item", "is missing"))?;
    let level = match query.number("level", 0..=i64::from(u8::MAX))? {
        Some(level) => {
            method::asked(level).ok_or_else(|| ApiError::bad("level", &format!("must be {}", method::choices())))?
        }
        None => Level::Complete,
    };
    let there = state.inventory.borrow().source(&source).is_some_and(|view| view.items.iter().any(|it| it.id == item));
    if !there {
        return Err(ApiError::not_found(format!("{source} has no item {item}")));
    }
    ask(&state, &who, &query, Reverify { source, item, level }.into()).await
}

/// The source that is named, if there is one of that name.
fn named(state: &AppState, query: &Query) -> Result<SourceName, ApiError> {
    let source: SourceName = query.parsed("source")?.ok_or_else(|| ApiError::bad("source", "is missing"))?;
    let there = state.inventory.borrow().source(&source).is_some();
    if there { Ok(source) } else { Err(ApiError::not_found(format!("there is no source {source}"))) }
}

async fn ask(state: &AppState, who: &Identity, query: &Query, action: Action) -> Result<Response, ApiError> {
    let (now, by) = (state.clock.now(), who.actor());
    let request: Arc<str> = match query.one("request")? {
        Some(request) if request.is_empty() || request.len() > LONGEST => {
            return Err(ApiError::bad("request", "must have 1 to 200 characters"));
        }
        Some(request) => request.into(),
        // Sent again it is another one.
        None => {
            let mut nonce = [0; 8];
            getrandom::fill(&mut nonce).map_err(|_| ApiError::unavailable("no random number"))?;
            format!("{now} {:016x}", u64::from_le_bytes(nonce)).into()
        }
    };
    let plan = asked_for(Origin::Person { by, request }, action, now);
    let asked = super::kept(state)?.ask(&plan, now).await?;
    let action = shown(&plan.action.to_string());
    Ok(json(StatusCode::OK, &Requested { id: asked.id, new: asked.new, action }))
}
