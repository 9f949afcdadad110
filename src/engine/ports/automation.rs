//! What the automation keeps, and who may change it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::automation::action::Kind;
use crate::domain::automation::alert::{KeptAlert, Status};
use crate::domain::automation::plan::Plan;
use crate::domain::automation::record::{ActionState, AuditLine, Pause, Record, Ruled, Ruling};
use crate::domain::ids::{ItemId, SourceName};

/// A part of a list that is ordered by falling id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Only ids below this one.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// Which actions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActionFilter {
    /// In any of these states; in all when empty.
    pub states: Vec<ActionState>,
    /// Of this sort.
    pub kind: Option<Kind>,
    /// About this source.
    pub source: Option<SourceName>,
    /// About this item.
    pub item: Option<ItemId>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The action.
    pub id: i64,
    /// It was not there before.
    pub new: bool,
}

/// What people see and say of the automation. Lists come newest first.
pub trait ActionStore: Send + Sync + 'static {
    /// Actions.
    fn actions<'a>(&'a self, filter: &'a ActionFilter, page: Page) -> BoxFuture<'a, Result<Vec<Record>, StoreError>>;

    /// One action.
    fn action(&self, id: i64) -> BoxFuture<'_, Result<Option<Record>, StoreError>>;

    /// Alerts that were received; with `status`, only those.
    fn alerts(&self, status: Option<Status>, page: Page) -> BoxFuture<'_, Result<Vec<KeptAlert>, StoreError>>;

    /// The audit trail; with `action`, only what is about that one.
    fn audit(&self, action: Option<i64>, page: Page) -> BoxFuture<'_, Result<Vec<AuditLine>, StoreError>>;

    /// Takes a person's word on a proposed action. The first one counts.
    fn rule<'a>(&'a self, ruling: &'a Ruling) -> BoxFuture<'a, Result<Ruled, StoreError>>;

    /// Keeps what a person or a schedule asks for, to be done when its turn comes. The same request is kept once.
    fn ask<'a>(&'a self, plan: &'a Plan, now: Timestamp) -> BoxFuture<'a, Result<Asked, StoreError>>;

    /// Whether the automation is paused.
    fn paused(&self) -> BoxFuture<'_, Result<Option<Pause>, StoreError>>;

    /// Pauses or resumes it. Whether that changed anything.
    fn set_paused<'a>(
        &'a self,
        paused: bool,
        by: &'a Arc<str>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;
}
