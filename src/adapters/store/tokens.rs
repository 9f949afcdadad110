//! The tokens of the API in the store.

use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::rows::{clean, micros, stamp};
use super::{Database, Store};
use crate::domain::access::Role;
use crate::engine::ports::StoreError;
use crate::engine::ports::tokens::{NewToken, Token, TokenStore};
use crate::engine::tokens::TokenHash;

/// Uses within this time of the last one that was noted are not noted.
const NOTED_EVERY: Duration = Duration::from_secs(60);

fn token(row: &AnyRow) -> Result<Option<Token>, sqlx::Error> {
    let (id, name, hash): (i64, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (role, created): (String, i64) = (row.try_get(3)?, row.try_get(4)?);
    let time = |index: usize| row.try_get::<Option<i64>, _>(index);
    let (expires, revoked, last_used) = (time(5)?, time(6)?, time(7)?);
    let understand = || {
        Some(Token {
            id,
            name: name.into(),
            hash: TokenHash::from_hex(&hash)?,
            role: Role::parse(&role)?,
            created: stamp(created)?,
            // An end that can't be understood must not become none.
            expires: expires.map(|end| stamp(end).unwrap_or(Timestamp::MIN)),
            revoked: revoked.map(|end| stamp(end).unwrap_or(Timestamp::MIN)),
            last_used: last_used.and_then(stamp),
        })
    };
    Ok(understand())
}

impl Database {
    async fn create_token(&self, it: &NewToken) -> Result<bool, sqlx::Error> {
        let made = self.write(sqlx::query(
            "INSERT INTO tokens (name, hash, role, created, expires) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING",
        )
        .bind(clean(&it.name))
        .bind(it.hash.to_hex())
        .bind(it.role.as_str())
        .bind(micros(it.created))
        .bind(it.expires.map(micros)))
        .await?;
        Ok(made == 1)
    }

    async fn all_tokens(&self) -> Result<Vec<Token>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT id, name, hash, role, created, expires, revoked, last_used FROM tokens ORDER BY name, id",
        )
        .fetch_all(&self.pool)
        .await?;
        // A row that can't be understood lets nobody in.
        rows.iter().map(token).filter_map(Result::transpose).collect()
    }

    async fn revoke_token(&self, name: &str, now: Timestamp) -> Result<bool, sqlx::Error> {
        let query = sqlx::query("UPDATE tokens SET revoked = $1 WHERE name = $2 AND revoked IS NULL")
            .bind(micros(now))
            .bind(clean(name));
        Ok(self.write(query).await? > 0)
    }

    async fn note_use(&self, id: i64, now: Timestamp) -> Result<(), sqlx::Error> {
        let before = micros(now).saturating_sub(NOTED_EVERY.as_micros() as i64);
        let query =
            sqlx::query("UPDATE tokens SET last_used = $1 WHERE id = $2 AND (last_used IS NULL OR last_used <= $3)")
                .bind(micros(now))
                .bind(id)
                .bind(before);
        self.write(query).await.map(drop)
    }
}

impl TokenStore for Store {
    fn create<'a>(&'a self, token: &'a NewToken) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.write(async move |it| it.create_token(token).await))
    }

    fn tokens(&self) -> BoxFuture<'_, Result<Vec<Token>, StoreError>> {
        Box::pin(self.read(async move |it| it.all_tokens().await))
    }

    fn revoke<'a>(&'a self, name: &'a str, now: Timestamp) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.write(async move |it| it.revoke_token(name, now).await))
    }

    fn used(&self, id: i64, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.write(async move |it| it.note_use(id, now).await))
    }
}
