//! Actions: what the automation did, does, and asks to be allowed.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::{Identity, Operator, Viewer};
use super::super::error::{ApiError, json};
use super::super::state::AppState;
use super::audit::AuditLine;
use super::failures::{Decisions, Failures, NotFound};
use super::list::{LONGEST, List, Part};
use super::query::{Query, word};
use crate::domain::automation::action::Kind;
use crate::domain::automation::record::{ActionState, Record, Ruled, Ruling};
use crate::domain::printable::{shown, shown_lines};
use crate::engine::ports::automation::{ActionFilter, Page};

/// An action.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Action {
    /// Its number.
    id: i64,
    /// The alert that asked for it.
    alert: Option<i64>,
    /// The rule that asked for it.
    rule: String,
    /// hook, notify, rescan, reverify or silence.
    kind: &'static str,
    /// What is to be done, in a sentence.
    action: String,
    /// The source it is about.
    source: Option<String>,
    /// The item it is about.
    item: Option<String>,
    /// Where it stands: proposed, scheduled, running, done, failed, denied, expired, cancelled, cooldown, dry_run …
    state: &'static str,
    /// Why it stands there.
    reason: String,
    /// When it was decided.
    #[schema(format = DateTime)]
    created: String,
    /// It doesn't begin before.
    #[schema(format = DateTime)]
    not_before: String,
    /// Nobody can approve it after.
    #[schema(format = DateTime)]
    expires: Option<String>,
    /// Who approved or denied it.
    decided_by: Option<String>,
    /// When that was.
    #[schema(format = DateTime)]
    decided_at: Option<String>,
    /// When it began.
    #[schema(format = DateTime)]
    started: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    ended: Option<String>,
    /// What came of it.
    result: Option<String>,
    /// What a program wrote, capped.
    output: Option<String>,
}

impl From<Record> for Action {
    fn from(it: Record) -> Self {
        let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string());
        let text = |text: Option<std::sync::Arc<str>>| text.map(|text| shown(&text));
        Self {
            id: it.id,
            alert: it.origin.alert(),
            rule: it.origin.rule().to_owned(),
            kind: it.action.kind().as_str(),
            action: shown(&it.action.to_string()),
            source: it.action.source().map(ToString::to_string),
            item: it.action.item().map(ToString::to_string),
            state: it.state.as_str(),
            reason: shown(&it.reason),
            created: it.created.to_string(),
            not_before: it.not_before.to_string(),
            expires: time(it.expires),
            decided_by: text(it.decided_by),
            decided_at: time(it.decided_at),
            started: time(it.started),
            ended: time(it.ended),
            result: text(it.result),
            output: it.output.map(|output| shown_lines(&output)),
        }
    }
}

/// An action with everything that happened to it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ActionWithAudit {
    #[serde(flatten)]
    action: Action,
    /// Lines of the audit trail, newest first; the newest 500.
    audit: Vec<AuditLine>,
}

/// What a decision came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Decided {
    /// Where the action stands now.
    state: &'static str,
}

/// Actions, newest first.
#[utoipa::path(get, path = "/api/v1/actions", tag = "automation", params(
    ("state" = Option<Vec<String>>, Query, description = "in any of these states; may be repeated"),
    ("kind" = Option<String>, Query, description = "hook, notify, rescan, reverify or silence"),
    ("source" = Option<String>, Query, description = "about this source"),
    ("item" = Option<String>, Query, description = "about this item, such as qemu/100"),
    ("limit" = Option<i32>, Query, minimum = 1, maximum = 500, description = "at most so many; 100 by default"),
    ("before" = Option<i64>, Query, minimum = 1, description = "only with smaller numbers: next of the part before"),
), responses((status = 200, description = "what was asked for", body = List<Action>), Failures))]
pub(super) async fn list(
    _: Viewer,
    State(state): State<AppState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(raw.as_deref(), &["state", "kind", "source", "item", "limit", "before"])?;
    let part = Part::of(&query)?;
    let filter = ActionFilter {
        states: query
            .all("state")
            .map(|text| word("state", text, &ActionState::ALL, ActionState::as_str))
            .collect::<Result<_, _>>()?,
        kind: query.one("kind")?.map(|text| word("kind", text, &Kind::ALL, Kind::as_str)).transpose()?,
        source: query.parsed("source")?,
        item: query.parsed("item")?,
    };
    let rows = super::kept(&state)?.actions(&filter, part.page()).await?;
    Ok(part.answer(rows, |row| row.id, Action::from))
}

/// One action, with its lines of the audit trail.
#[utoipa::path(get, path = "/api/v1/actions/{id}", tag = "automation",
    params(("id" = i64, Path, minimum = 1, description = "its number")),
    responses((status = 200, description = "what was asked for", body = ActionWithAudit), Failures, NotFound))]
pub(super) async fn one(
    _: Viewer,
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(raw.as_deref(), &[])?;
    let id = super::number(id)?;
    let kept = super::kept(&state)?;
    let action = kept.action(id).await?.ok_or_else(|| unknown(id))?;
    let audit = kept.audit(Some(id), Page { before: None, limit: LONGEST }).await?;
    let audit = audit.into_iter().map(AuditLine::from).collect();
    Ok(json(StatusCode::OK, &ActionWithAudit { action: action.into(), audit }))
}

/// Approve a proposed action. The first decision counts.
#[utoipa::path(post, path = "/api/v1/actions/{id}/approve", tag = "automation",
    params(("id" = i64, Path, minimum = 1, description = "its number")),
    responses((status = 200, description = "what was asked for", body = Decided), Failures, NotFound, Decisions))]
pub(super) async fn approve(
    Operator(who): Operator,
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(raw.as_deref(), &[])?;
    decide(&state, &who, super::number(id)?, true).await
}

/// Deny a proposed action. The first decision counts.
#[utoipa::path(post, path = "/api/v1/actions/{id}/deny", tag = "automation",
    params(("id" = i64, Path, minimum = 1, description = "its number")),
    responses((status = 200, description = "what was asked for", body = Decided), Failures, NotFound, Decisions))]
pub(super) async fn deny(
    Operator(who): Operator,
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(raw.as_deref(), &[])?;
    decide(&state, &who, super::number(id)?, false).await
}

async fn decide(state: &AppState, who: &Identity, id: i64, approve: bool) -> Result<Response, ApiError> {
    let ruling = Ruling { action: id, approve, by: who.actor(), at: state.clock.now() };
    match super::kept(state)?.rule(&ruling).await? {
        Ruled::Taken(state) => Ok(json(StatusCode::OK, &Decided { state: state.as_str() })),
        Ruled::TooLate(state) => Err(ApiError::too_late(state.as_str())),
        Ruled::Unknown => Err(unknown(id)),
    }
}

fn unknown(id: i64) -> ApiError {
    ApiError::not_found(format!("there is no action {id}"))
}
