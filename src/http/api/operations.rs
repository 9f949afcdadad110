//! Operations: work in several steps, what was begun in it, and what may be said to it.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::{Identity, Operator, Viewer};
use super::super::error::{ApiError, json};
use super::super::state::AppState;
use super::failures::{Failures, NotFound, Words};
use super::list::{List, Part};
use super::query::Query;
use crate::domain::operation::Ending;
use crate::domain::operation::State as Standing;
use crate::domain::printable::shown;
use crate::engine::ports::operations::{Operation as Kept, Progress, Said, StepLine, Word};

/// Work in several steps.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Operation {
    /// Its number.
    id: i64,
    /// What kind of work.
    kind: String,
    /// What it works on: nothing else works on that at the same time.
    subject: String,
    /// What it is for.
    title: String,
    /// Who wanted it.
    by: String,
    /// planned, running, asking, undoing, done, failed or cancelled.
    state: &'static str,
    /// Where it stands, in a sentence.
    sentence: String,
    /// What a person is asked now: see confirm and deny.
    question: Option<String>,
    /// Whether nothing is done, and only said what would be.
    dry_run: bool,
    /// What isn't done by then is taken back.
    #[schema(format = DateTime)]
    deadline: String,
    /// How many steps it has.
    steps: usize,
    /// How far the effect is that runs in this daemon.
    progress: Option<OperationProgress>,
    /// When it was planned.
    #[schema(format = DateTime)]
    created: String,
    /// When it changed.
    #[schema(format = DateTime)]
    changed: String,
    /// When it ended.
    #[schema(format = DateTime)]
    ended: Option<String>,
}

/// How far an effect is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OperationProgress {
    /// How much is done.
    done: u64,
    /// Of how much, where that is known.
    total: Option<u64>,
    /// What it does.
    words: String,
}

/// What was begun in a step, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OperationStep {
    /// The step, counted from 1.
    step: usize,
    /// What it does.
    title: String,
    /// ask, do, probe, tell, undo or would.
    doing: &'static str,
    /// What it asks or says.
    text: Option<String>,
    /// For the how many-th time.
    tries: u32,
    /// When it began.
    #[schema(format = DateTime)]
    begun: String,
    /// When it ended.
    #[schema(format = DateTime)]
    ended: Option<String>,
    /// What came of it.
    result: Option<String>,
}

/// An operation with what was begun in it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OperationWithSteps {
    #[serde(flatten)]
    operation: Operation,
    /// What was begun, in order.
    log: Vec<OperationStep>,
}

/// What became of a word.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Taken {
    /// Whoever drives the operation hears it.
    taken: bool,
}

impl Operation {
    fn of(state: &AppState, it: Kept) -> Self {
        let progress = state.operations.board.of(it.id).map(|Progress { done, total, words }| OperationProgress {
            done,
            total,
            words: shown(&words),
        });
        Self {
            id: it.id,
            kind: shown(&it.kind),
            subject: shown(&it.subject),
            title: shown(&it.title),
            by: shown(&it.by),
            state: word(&it.state),
            sentence: shown(&it.sentence),
            question: it.frame.asked(&it.state).map(shown),
            dry_run: it.frame.dry_run,
            deadline: it.frame.deadline.to_string(),
            steps: it.frame.plan.steps().len(),
            progress,
            created: it.created.to_string(),
            changed: it.changed.to_string(),
            ended: it.ended.map(|at| at.to_string()),
        }
    }
}

fn word(state: &Standing) -> &'static str {
    match state {
        Standing::Planned => "planned",
        Standing::Running { .. } | Standing::Probing { .. } | Standing::Waiting { .. } | Standing::Stopping { .. } => {
            "running"
        }
        Standing::Asking { .. } => "asking",
        Standing::Undoing { .. } => "undoing",
        Standing::Finished { ending: Ending::Done, .. } => "done",
        Standing::Finished { ending: Ending::Failed { .. }, .. } => "failed",
        Standing::Finished { ending: Ending::Cancelled { .. }, .. } => "cancelled",
    }
}

fn line(it: StepLine, of: &Kept) -> OperationStep {
    OperationStep {
        step: it.step + 1,
        title: of.frame.plan.get(it.step).map(|step| shown(&step.title)).unwrap_or_default(),
        doing: it.doing.as_str(),
        text: of.frame.text(it.step).map(shown),
        tries: it.tries,
        begun: it.begun.to_string(),
        ended: it.ended.map(|at| at.to_string()),
        result: it.result.map(|text| shown(&text)),
    }
}

/// Operations, newest first.
#[utoipa::path(get, path = "/api/v1/operations", tag = "operations", params(
    ("open" = Option<bool>, Query, description = "only those that aren't over"),
    ("limit" = Option<i32>, Query, minimum = 1, maximum = 500, description = "at most so many; 100 by default"),
    ("before" = Option<i64>, Query, minimum = 1, description = "only with smaller numbers: next of the part before"),
), responses((status = 200, description = "what was asked for", body = List<Operation>), Failures))]
pub(super) async fn list(
    _: Viewer,
    State(state): State<AppState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    let query = Query::parse(raw.as_deref(), &["open", "limit", "before"])?;
    let part = Part::of(&query)?;
    let open: Option<bool> = query.parsed("open")?;
    let rows = super::operations_of(&state)?.operations(open == Some(true), part.page()).await?;
    Ok(part.answer(rows, |row| row.id, |row| Operation::of(&state, row)))
}

/// One operation, with what was begun in it.
#[utoipa::path(get, path = "/api/v1/operations/{id}", tag = "operations",
    params(("id" = i64, Path, minimum = 1, description = "its number")),
    responses((status = 200, description = "what was asked for", body = OperationWithSteps), Failures, NotFound))]
pub(super) async fn one(
    _: Viewer,
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(raw.as_deref(), &[])?;
    let id = super::number(id)?;
    let (it, lines) = super::operations_of(&state)?.operation(id).await?.ok_or_else(|| unknown(id))?;
    let log = lines.into_iter().map(|row| line(row, &it)).collect();
    Ok(json(StatusCode::OK, &OperationWithSteps { operation: Operation::of(&state, it), log }))
}

/// Cancel an operation: what was done is taken back.
#[utoipa::path(post, path = "/api/v1/operations/{id}/cancel", tag = "operations",
    params(("id" = i64, Path, minimum = 1, description = "its number")),
    responses((status = 200, description = "what was asked for", body = Taken), Failures, NotFound, Words))]
pub(super) async fn cancel(
    Operator(who): Operator,
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(raw.as_deref(), &[])?;
    say(&state, &who, super::number(id)?, Word::Cancel).await
}

/// Say yes to what an operation asks. The first answer counts.
#[utoipa::path(post, path = "/api/v1/operations/{id}/confirm", tag = "operations",
    params(("id" = i64, Path, minimum = 1, description = "its number")),
    responses((status = 200, description = "what was asked for", body = Taken), Failures, NotFound, Words))]
pub(super) async fn confirm(
    Operator(who): Operator,
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(raw.as_deref(), &[])?;
    say(&state, &who, super::number(id)?, Word::Confirm).await
}

/// Say no to what an operation asks: what was done is taken back. The first answer counts.
#[utoipa::path(post, path = "/api/v1/operations/{id}/deny", tag = "operations",
    params(("id" = i64, Path, minimum = 1, description = "its number")),
    responses((status = 200, description = "what was asked for", body = Taken), Failures, NotFound, Words))]
pub(super) async fn deny(
    Operator(who): Operator,
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    Query::parse(raw.as_deref(), &[])?;
    say(&state, &who, super::number(id)?, Word::Deny).await
}

async fn say(state: &AppState, who: &Identity, id: i64, word: Word) -> Result<Response, ApiError> {
    match super::operations_of(state)?.say(id, word, &who.actor(), state.clock.now()).await? {
        Said::Taken => Ok(json(StatusCode::OK, &Taken { taken: true })),
        Said::Refused(refusal) => Err(ApiError::conflict(refusal.to_string())),
        Said::Unknown => Err(unknown(id)),
    }
}

fn unknown(id: i64) -> ApiError {
    ApiError::not_found(format!("there is no operation {id}"))
}
