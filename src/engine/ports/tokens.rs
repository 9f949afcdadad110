//! Keeps the tokens of the API.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::StoreError;
use crate::domain::access::Role;
use crate::engine::tokens::TokenHash;

/// A token that is about to be kept.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is called, in the audit trail too. Never given twice, not even after it was revoked.
    pub name: Arc<str>,
    /// What is kept of it.
    pub hash: TokenHash,
    /// What its bearer may do.
    pub role: Role,
    /// When it was made.
    pub created: Timestamp,
    /// It counts until then.
    pub expires: Option<Timestamp>,
}

/// A token as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// See [`NewToken`].
    pub name: Arc<str>,
    /// See [`NewToken`].
    pub hash: TokenHash,
    /// See [`NewToken`].
    pub role: Role,
    /// See [`NewToken`].
    pub created: Timestamp,
    /// See [`NewToken`].
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// When it was used last, to a minute.
    pub last_used: Option<Timestamp>,
}

impl Token {
    /// Whether it counts at `now`.
    pub fn counts(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|end| now < end)
    }
}

/// Keeps the tokens of the API. Several processes may use one store.
pub trait TokenStore: Send + Sync + 'static {
    /// Keeps a token. `false` when the name was given before.
    fn create<'a>(&'a self, token: &'a NewToken) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// All tokens, by name.
    fn tokens(&self) -> BoxFuture<'_, Result<Vec<Token>, StoreError>>;

    /// Revokes a token. `false` when there is none of that name that isn't revoked already.
    fn revoke<'a>(&'a self, name: &'a str, now: Timestamp) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Notes that a token was used; more than once a minute does nothing.
    fn used(&self, id: i64, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;
}
