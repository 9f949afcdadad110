//! Who asks.

use crate::domain::secret::Secret;

/// Whom a server knows.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: Secret,
}
