//! The store as something that is looked after: probed, gone through, put in order, and given up when it isn't the same.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;

use super::StoreError;
use crate::domain::store::Standing;

/// Looks after the store of the process.
pub trait Custody: Send + Sync + 'static {
    /// How it stands; whoever uses it is heard of here.
    fn standing(&self) -> watch::Receiver<Standing>;

    /// Writes something small, if nothing else was written lately: how the store stands is known by itself.
    fn probe(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Goes through all of it, where that can be done. Bounded in time; holds up nobody.
    fn check(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Brings what was written lately to where a copy of the file takes it along.
    fn fold(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Whether a person asked to accept whatever is there in place of what was lost; does it, and answers.
    fn hear(&self, now: Timestamp) -> BoxFuture<'_, ()>;

    /// The end: nothing is written after it, and all that was is in the file.
    fn close(&self) -> BoxFuture<'_, ()>;
}
