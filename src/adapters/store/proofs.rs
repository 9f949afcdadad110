//! Verifications, first sights, and the levels that were reached.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::{AnyConnection, Row as _};

use super::error::Doing;
use super::rows::{SIGHT, clean, key, micros, moment, nanos, of_row, sight_of, stamp};
use super::{Database, Store, json};
use crate::domain::file::FileFacts;
use crate::domain::ids::SourceName;
use crate::domain::proof::{ArchiveId, Conclusion, FirstSight, Level, Verification};
use crate::engine::ports::{Kept, LevelReached, ProofStore, StoreError};

impl Database {
    async fn record_all(&self, it: &Verification) -> Result<i64, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let archive = archive_of(&mut transaction, &it.archive, it.ended()).await?;
        // What was damaged when it was read first may have been the reading: it is nothing to compare with.
        if let Some(digest) = it.digest.filter(|_| it.conclusion == Conclusion::Intact) {
            // Other bytes under the same size and time are rot: the first sight stays.
            sqlx::query(
                "UPDATE archives SET size = $1, modified = $2, digest = $3, read_at = $4, sidecar = $5 \
                 WHERE id = $6 AND (digest IS NULL OR size <> $1 OR modified <> $2)",
            )
            .bind(it.facts.size as i64)
            .bind(nanos(it.facts.modified))
            .bind(digest.to_string())
            .bind(micros(it.ended()))
            .bind(it.sidecar.as_deref().map(clean))
            .bind(archive)
            .execute(&mut *transaction)
            .await?;
        }
        let id = insert(&mut transaction, archive, it).await?;
        let concluded = supersedes(&mut transaction, archive, it).await?.then_some(id);
        sqlx::query(
            "INSERT INTO proofs (archive, method, newest, concluded) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (archive, method) DO UPDATE SET newest = excluded.newest, \
             concluded = COALESCE(excluded.concluded, proofs.concluded)",
        )
        .bind(archive)
        .bind(it.method.as_str())
        .bind(id)
        .bind(concluded)
        .execute(&mut *transaction)
        .await?;
        for level in it.proves().iter() {
            note_level(&mut transaction, it, level).await?;
        }
        transaction.commit().await?;
        Ok(id)
    }

    async fn newest_of(&self, source: &SourceName, after: i64) -> Result<Vec<Kept>, sqlx::Error> {
        let mut found = Vec::new();
        for which in [
            "JOIN verifications v ON v.id = p.concluded WHERE a.source = $1 AND v.id > $2",
            "JOIN verifications v ON v.id = p.newest WHERE a.source = $1 AND v.id > $2 \
             AND (p.concluded IS NULL OR p.newest <> p.concluded)",
        ] {
            let text = format!(
                "SELECT v.*, a.root, a.file, {SIGHT} FROM archives a JOIN proofs p ON p.archive = a.id {which}"
            );
            let query = sqlx::query(sqlx::AssertSqlSafe(text)).bind(source.as_str()).bind(after);
            let rows = query.fetch_all(&self.pool).await?;
            for row in rows {
                // A row of another version of the program that can't be read is as good as none: it is read again.
                found.extend(of_row(&row, source)?);
            }
        }
        Ok(found)
    }

    async fn levels_of(&self, source: &SourceName) -> Result<Vec<LevelReached>, sqlx::Error> {
        let rows = sqlx::query("SELECT item, level, at, root FROM levels WHERE source = $1")
            .bind(source.as_str())
            .fetch_all(&self.pool)
            .await?;
        let mut found = Vec::new();
        for row in rows {
            let (item, level, at): (String, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if let (Ok(item), Some(level), Some(at)) = (item.parse(), Level::of(level), stamp(at)) {
                let root: String = row.try_get(3)?;
                found.push(LevelReached { source: source.clone(), root: root.into(), item, level, at });
            }
        }
        Ok(found)
    }

    async fn forget_all(&self, before: i64) -> Result<u64, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let old = sqlx::query(
            "DELETE FROM verifications WHERE started < $1 AND id NOT IN (SELECT newest FROM proofs) \
             AND id NOT IN (SELECT concluded FROM proofs WHERE concluded IS NOT NULL)",
        )
        .bind(before)
        .execute(&mut *transaction)
        .await?;
        let gone =
            sqlx::query("DELETE FROM verifications WHERE archive IN (SELECT id FROM archives WHERE seen_at < $1)")
                .bind(before)
                .execute(&mut *transaction)
                .await?;
        sqlx::query("DELETE FROM archives WHERE seen_at < $1").bind(before).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(old.rows_affected() + gone.rows_affected())
    }

    async fn note_seen(&self, archives: &[ArchiveId], now: Timestamp) -> Result<(), sqlx::Error> {
        let mut transaction = self.begin().await?;
        for archive in archives {
            archive_of(&mut transaction, archive, now).await?;
        }
        transaction.commit().await
    }

    async fn first_of(&self, archive: &ArchiveId) -> Result<Option<FirstSight>, sqlx::Error> {
        let text = format!("SELECT {SIGHT} FROM archives a WHERE a.key = $1 AND a.digest IS NOT NULL");
        let row = sqlx::query(sqlx::AssertSqlSafe(text)).bind(key(archive)).fetch_optional(&self.pool).await?;
        row.as_ref().map_or(Ok(None), sight_of)
    }
}

/// The row of an archive, made where there is none.
async fn archive_of(connection: &mut AnyConnection, archive: &ArchiveId, now: Timestamp) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO archives (key, source, root, file, seen_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (key) DO UPDATE SET seen_at = excluded.seen_at RETURNING id",
    )
    .bind(key(archive))
    .bind(archive.source.as_str())
    .bind(clean(&archive.root))
    .bind(clean(&archive.file))
    .bind(micros(now))
    .fetch_one(connection)
    .await
}

async fn insert(connection: &mut AnyConnection, archive: i64, it: &Verification) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO verifications (archive, item, size, modified, digest, wanted, reached, conclusion, findings, reason, evidence, started, took, read, sidecar, changed, method) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) RETURNING id",
    )
    .bind(archive)
    .bind(clean(&it.item.to_string()))
    .bind(it.facts.size as i64)
    .bind(nanos(it.facts.modified))
    .bind(it.digest.map(|digest| digest.to_string()))
    .bind(i64::from(it.wanted.number()))
    .bind(it.reached.map(|level| i64::from(level.number())))
    .bind(it.conclusion.as_str())
    .bind(json(&it.findings)?)
    .bind(it.reason.as_deref().map(clean))
    .bind(json(&it.evidence)?)
    .bind(micros(it.started))
    .bind(i64::try_from(it.took.as_micros()).unwrap_or(i64::MAX))
    .bind(it.read as i64)
    .bind(it.sidecar.as_deref().map(clean))
    .bind(it.facts.changed.map(nanos))
    .bind(it.method.as_str())
    .fetch_one(connection)
    .await
}

/// Whether this is the conclusion of its method that counts from now on.
async fn supersedes(connection: &mut AnyConnection, archive: i64, it: &Verification) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(
        "SELECT v.size, v.modified, v.wanted, v.conclusion, v.changed FROM proofs p JOIN verifications v ON v.id = p.concluded WHERE p.archive = $1 AND p.method = $2",
    )
    .bind(archive)
    .bind(it.method.as_str())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(it.conclusion != Conclusion::Unchecked) };
    let (size, modified, wanted): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (conclusion, changed): (String, Option<i64>) = (row.try_get(3)?, row.try_get(4)?);
    let before = || {
        let facts = FileFacts {
            changed: changed.and_then(moment),
            ..FileFacts::new(u64::try_from(size).ok()?, moment(modified)?)
        };
        Some((facts, Level::of(wanted)?, Conclusion::parse(&conclusion)?))
    };
    Ok(before().is_none_or(|(facts, wanted, conclusion)| it.supersedes(facts, wanted, conclusion)))
}

async fn note_level(connection: &mut AnyConnection, it: &Verification, level: Level) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO levels (source, item, level, at, root) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (source, item, level) DO UPDATE SET at = excluded.at, root = excluded.root \
         WHERE excluded.at > levels.at",
    )
    .bind(it.archive.source.as_str())
    .bind(clean(&it.item.to_string()))
    .bind(i64::from(level.number()))
    .bind(micros(it.ended()))
    .bind(clean(&it.archive.root))
    .execute(connection)
    .await?;
    Ok(())
}

impl ProofStore for Store {
    fn first_sight<'a>(&'a self, archive: &'a ArchiveId) -> BoxFuture<'a, Result<Option<FirstSight>, StoreError>> {
        Box::pin(self.read(async move |it| it.first_of(archive).await))
    }

    fn record<'a>(&'a self, verification: &'a Verification) -> BoxFuture<'a, Result<i64, StoreError>> {
        Box::pin(self.write(async move |it| it.record_all(verification).await))
    }

    fn newest<'a>(&'a self, sources: &'a [SourceName], after: i64) -> BoxFuture<'a, Result<Vec<Kept>, StoreError>> {
        Box::pin(async move {
            let (database, mut found) = (self.open().await?, Vec::new());
            for source in sources {
                found.extend(database.bounded(Doing::Read, database.newest_of(source, after)).await?);
            }
            found.sort_by_key(|kept| kept.id);
            Ok(found)
        })
    }

    fn levels<'a>(&'a self, sources: &'a [SourceName]) -> BoxFuture<'a, Result<Vec<LevelReached>, StoreError>> {
        Box::pin(async move {
            let (database, mut found) = (self.open().await?, Vec::new());
            for source in sources {
                found.extend(database.bounded(Doing::Read, database.levels_of(source)).await?);
            }
            Ok(found)
        })
    }

    fn last(&self) -> BoxFuture<'_, Result<i64, StoreError>> {
        let asked = || sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM verifications");
        Box::pin(self.read(async move |it| asked().fetch_one(&it.pool).await))
    }

    fn forget(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.write(async move |it| it.forget_all(micros(before)).await))
    }

    fn seen<'a>(&'a self, archives: &'a [ArchiveId], now: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.write(async move |it| it.note_seen(archives, now).await))
    }
}
