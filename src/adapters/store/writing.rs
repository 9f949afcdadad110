//! A transaction that may write, and what becomes of its connection.
//!
//! A connection goes back to the pool only after a transaction that is known to have ended. Of one whose commit, rollback or
//! begin failed, or that was given up in the middle, nobody knows in what state it is: it is closed, which ends whatever was
//! open, and the next one begins anew.

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, Executor as _};

use super::bond::Bond;
use super::memory::{Changed, Touched};
use super::pulse::Pulse;

/// A transaction that may write.
pub(super) struct Writing {
    /// `None` once it has ended.
    connection: Option<PoolConnection<Any>>,
    /// Whether something was changed. What only read needs no sync of the disk.
    pub(super) changed: bool,
    /// Which rows were, of those that are remembered.
    pub(super) touched: Touched,
    bond: Option<Arc<Bond>>,
    pulse: Arc<Pulse>,
    /// Given up after the transaction has ended.
    _place_in_line: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Writing {
    pub(super) async fn begin(
        connection: PoolConnection<Any>,
        statement: &'static str,
        bond: Option<Arc<Bond>>,
        pulse: Arc<Pulse>,
        place_in_line: Option<tokio::sync::OwnedMutexGuard<()>>,
    ) -> Result<Self, sqlx::Error> {
        let connection = Some(connection);
        let mut writing =
            Self { connection, changed: true, touched: Touched::default(), bond, pulse, _place_in_line: place_in_line };
        writing.execute(statement).await?;
        Ok(writing)
    }

    /// Makes it durable. An error means that nobody knows whether it is, or that it is durable in something that isn't the
    /// store any more.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        let bond = self.bond.clone();
        let (mut beat, mut rows) = (None, Changed::default());
        if let Some(bond) = &bond {
            let touched = std::mem::take(&mut self.touched);
            rows = touched.read(&mut self).await?;
            match self.changed {
                true => beat = Some(bond.beat(&mut self).await?),
                false => bond.look(&mut self).await?,
            }
        }
        if self.changed
            && let Some(bond) = &bond
        {
            // A connection that was opened after the log was removed has another one: what were written into that could be
            // saved by nobody, and the log of before not any more.
            bond.check_files().await?;
        }
        self.execute("COMMIT").await?;
        if let Some(bond) = &bond {
            bond.durable(beat).await?;
            bond.memory.take(rows);
        }
        if self.changed {
            self.pulse.wrote();
        }
        drop(self.connection.take());
        Ok(())
    }

    /// Undoes it.
    pub(super) async fn roll_back(mut self) -> Result<(), sqlx::Error> {
        self.execute("ROLLBACK").await?;
        drop(self.connection.take());
        Ok(())
    }
}

impl std::ops::Deref for Writing {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        self.connection.as_deref().expect("it is taken only when the transaction ends, with the transaction")
    }
}

impl std::ops::DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        self.connection.as_deref_mut().expect("it is taken only when the transaction ends, with the transaction")
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}
