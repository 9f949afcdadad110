//! That a store isn't the one that was used before, as an error.

/// The store isn't the one of before.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotTheStore(String);

/// As the errors of the store go.
pub(super) fn not_the_store(why: impl Into<String>) -> sqlx::Error {
    sqlx::Error::Configuration(Box::new(NotTheStore(why.into())))
}
