//! Operations: where each stands, what was begun in it, and what people said to it.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::audit::{Line, write_down};
use super::rows::{clean, micros, stamp};
use super::{Database, Store, json};
use crate::domain::operation::{Frame, Refusal, State, step};
use crate::engine::ports::StoreError;
use crate::engine::ports::automation::Page;
use crate::engine::ports::operations::{
    Advance, Doing, NewOperation, Operation, OperationStore, Planned, Said, Spoken, StepLine, WithLog, Word,
};

const COLUMNS: &str =
    "id, kind, subject, title, asked_by, frame, state, sentence, version, owner, lease, created, changed, ended";

/// An operation; `None` where it can't be understood: a newer version of the program wrote it.
fn operation(row: &AnyRow) -> Result<Option<Operation>, sqlx::Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let number = |name: &str| row.try_get::<i64, _>(name);
    let some = |name: &str| row.try_get::<Option<i64>, _>(name);
    let (kind, subject, title, by) = (text("kind")?, text("subject")?, text("title")?, text("asked_by")?);
    let (frame, state, sentence) = (text("frame")?, text("state")?, text("sentence")?);
    let (id, version, created, changed) = (number("id")?, number("version")?, number("created")?, number("changed")?);
    let (owner, lease, ended) = (row.try_get::<Option<String>, _>("owner")?, some("lease")?, some("ended")?);
    let understand = || {
        Some(Operation {
            id,
            kind: kind.into(),
            subject: subject.into(),
            title: title.into(),
            by: by.into(),
            frame: serde_json::from_str::<Frame>(&frame).ok()?,
            state: serde_json::from_str::<State>(&state).ok()?,
            sentence: sentence.into(),
            version,
            // A lease that can't be understood ends never: somebody may be at work.
            owner: owner.map(|owner| (owner.into(), lease.and_then(stamp).unwrap_or(Timestamp::MAX))),
            created: stamp(created)?,
            changed: stamp(changed)?,
            ended: ended.map(|at| stamp(at).unwrap_or(Timestamp::MIN)),
        })
    };
    Ok(understand())
}

impl Database {
    async fn plan_operation(&self, it: &NewOperation, now: Timestamp) -> Result<Planned, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let Some(id) = insert(&mut transaction, it, now).await? else {
            let there = same_or_busy(&mut transaction, it).await?;
            transaction.changed = false;
            return transaction.commit().await.map(|()| there);
        };
        let detail = format!("operation {id}, {}: {}", it.subject, it.title);
        write_down(&mut transaction, &[Line::new(&it.by, None, "operation_planned", &detail, now)]).await?;
        transaction.commit().await?;
        Ok(Planned::New(id))
    }

    async fn some_operations(&self, text: String, page: Page) -> Result<Vec<Operation>, sqlx::Error> {
        let query =
            sqlx::query(sqlx::AssertSqlSafe(text)).bind(page.before.unwrap_or(i64::MAX)).bind(i64::from(page.limit));
        let rows = query.fetch_all(&self.pool).await?;
        rows.iter().map(operation).filter_map(Result::transpose).collect()
    }

    async fn open_operations(&self) -> Result<Vec<Operation>, sqlx::Error> {
        let text = format!("SELECT {COLUMNS} FROM operations WHERE ended IS NULL ORDER BY id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(&self.pool).await?;
        rows.iter().map(operation).filter_map(Result::transpose).collect()
    }

    async fn claim_operation(&self, from: &Operation, owner: &str, lease: Timestamp) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(
            "UPDATE operations SET owner = $1, lease = $2, version = version + 1 \
             WHERE id = $3 AND version = $4 AND ended IS NULL AND COALESCE(owner, '') = $5 AND COALESCE(lease, 0) = $6",
        )
        .bind(clean(owner))
        .bind(micros(lease))
        .bind(from.id)
        .bind(from.version)
        .bind(from.owner.as_ref().map_or("", |(owner, _)| owner).to_owned())
        .bind(from.owner.as_ref().map_or(0, |(_, lease)| micros(*lease)));
        Ok(self.write(query).await? == 1)
    }

    async fn advance_operation(&self, it: &Advance, now: Timestamp) -> Result<bool, sqlx::Error> {
        let over = matches!(it.state, State::Finished { .. });
        let mut transaction = self.begin().await?;
        let row = sqlx::query_scalar::<_, String>(
            "UPDATE operations SET state = $1, sentence = $2, version = version + 1, lease = $3, changed = $4, ended = $5, \
             owner = CASE WHEN $6 = 1 THEN NULL ELSE owner END WHERE id = $7 AND owner = $8 AND version = $9 RETURNING subject",
        )
        .bind(json(&it.state)?)
        .bind(clean(&it.sentence))
        .bind(micros(it.lease))
        .bind(micros(now))
        .bind(over.then(|| micros(now)))
        .bind(i64::from(over))
        .bind(it.id)
        .bind(clean(&it.owner))
        .bind(it.version)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(subject) = row else {
            transaction.changed = false;
            return transaction.commit().await.map(|()| false);
        };
        note_steps(&mut transaction, it, now).await?;
        if let Some(word) = it.heard {
            let heard = sqlx::query("UPDATE operation_words SET heard = $1 WHERE id = $2");
            heard.bind(micros(now)).bind(word).execute(&mut *transaction).await?;
        }
        let event = if over { "operation_ended" } else { "operation_step" };
        let detail = format!("operation {}, {subject}: {}", it.id, it.sentence);
        write_down(&mut transaction, &[Line::new("firedrill", None, event, &detail, now)]).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn say_to_operation(&self, id: i64, word: Word, by: &str, now: Timestamp) -> Result<Said, sqlx::Error> {
        let mut transaction = self.begin().await?;
        // Of two who speak at once the second waits here for the first.
        let line = sqlx::query("UPDATE operations SET changed = changed WHERE id = $1").bind(id);
        line.execute(&mut *transaction).await?;
        let text = format!("SELECT {COLUMNS} FROM operations WHERE id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(text)).bind(id).fetch_optional(&mut *transaction).await?;
        let Some(it) = row.as_ref().map_or(Ok(None), operation)? else {
            transaction.changed = false;
            return transaction.commit().await.map(|()| Said::Unknown);
        };
        // The first word of a person counts; a cancel goes over an answer that nobody has heard yet.
        let waits = "SELECT COUNT(*) FROM operation_words WHERE operation = $1 AND heard IS NULL \
                     AND (word = $2 OR $2 <> 'cancel')";
        let waiting: i64 = sqlx::query_scalar(waits).bind(id).bind(word.as_str()).fetch_one(&mut *transaction).await?;
        let said_before = if word == Word::Cancel { Refusal::Ending } else { Refusal::NotAsked };
        let refused = step(&it.frame, &it.state, word.event(by), now).err();
        if let Some(refusal) = refused.or((waiting > 0).then_some(said_before)) {
            transaction.changed = false;
            return transaction.commit().await.map(|()| Said::Refused(refusal));
        }
        sqlx::query("INSERT INTO operation_words (operation, word, said_by, at) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(word.as_str())
            .bind(clean(by))
            .bind(micros(now))
            .execute(&mut *transaction)
            .await?;
        let detail = format!("operation {id}, {}: {}", it.subject, word.as_str());
        write_down(&mut transaction, &[Line::new(by, None, "operation_told", &detail, now)]).await?;
        transaction.commit().await?;
        Ok(Said::Taken)
    }

    async fn words_of(&self, id: i64) -> Result<Vec<Spoken>, sqlx::Error> {
        let text = "SELECT id, word, said_by FROM operation_words WHERE operation = $1 AND heard IS NULL ORDER BY id";
        let rows = sqlx::query(text).bind(id).fetch_all(&self.pool).await?;
        let mut found = Vec::new();
        for row in rows {
            let (id, word, by): (i64, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            found.extend(Word::parse(&word).map(|word| Spoken { id, word, by: by.into() }));
        }
        Ok(found)
    }

    async fn one_operation(&self, id: i64) -> Result<Option<WithLog>, sqlx::Error> {
        let text = format!("SELECT {COLUMNS} FROM operations WHERE id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(text)).bind(id).fetch_optional(&self.pool).await?;
        let Some(it) = row.as_ref().map_or(Ok(None), operation)? else { return Ok(None) };
        let rows = sqlx::query(
            "SELECT step, doing, tries, begun, ended, result FROM operation_steps WHERE operation = $1 ORDER BY number",
        )
        .bind(id)
        .fetch_all(&self.pool)
        .await?;
        let lines = rows.iter().map(step_line).filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok(Some((it, lines)))
    }
}

/// The id of a new operation; `None` where the request was made before, or another one works on the subject.
async fn insert(connection: &mut AnyConnection, it: &NewOperation, now: Timestamp) -> Result<Option<i64>, sqlx::Error> {
    let state = State::Planned;
    sqlx::query_scalar(
        "INSERT INTO operations (request, kind, subject, title, asked_by, frame, state, sentence, version, created, changed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $9) ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(clean(&it.request))
    .bind(clean(&it.kind))
    .bind(clean(&it.subject))
    .bind(clean(&it.title))
    .bind(clean(&it.by))
    .bind(json(&it.frame)?)
    .bind(json(&state)?)
    .bind(clean(&it.frame.sentence(&state)))
    .bind(micros(now))
    .fetch_optional(connection)
    .await
}

/// Which operation was in the way of a new one.
async fn same_or_busy(connection: &mut AnyConnection, it: &NewOperation) -> Result<Planned, sqlx::Error> {
    let same: Option<i64> = sqlx::query_scalar("SELECT id FROM operations WHERE request = $1")
        .bind(clean(&it.request))
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(id) = same {
        return Ok(Planned::Same(id));
    }
    // One that ended this moment was in the way all the same: the newest of the subject.
    let other = sqlx::query_scalar("SELECT id FROM operations WHERE subject = $1 ORDER BY id DESC LIMIT 1");
    other.bind(clean(&it.subject)).fetch_one(connection).await.map(Planned::Busy)
}

fn step_line(row: &AnyRow) -> Result<Option<StepLine>, sqlx::Error> {
    let (step, doing, tries): (i64, String, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (begun, ended): (i64, Option<i64>) = (row.try_get(3)?, row.try_get(4)?);
    let result: Option<String> = row.try_get(5)?;
    let understand = || {
        Some(StepLine {
            step: step.try_into().ok()?,
            doing: Doing::parse(&doing)?,
            tries: tries.try_into().ok()?,
            begun: stamp(begun)?,
            ended: ended.and_then(stamp),
            result: result.map(Into::into),
        })
    };
    Ok(understand())
}

/// Ends what was begun before, and notes what is begun now.
async fn note_steps(connection: &mut AnyConnection, it: &Advance, now: Timestamp) -> Result<(), sqlx::Error> {
    if let Some(result) = &it.result {
        sqlx::query("UPDATE operation_steps SET ended = $1, result = $2 WHERE operation = $3 AND ended IS NULL")
            .bind(micros(now))
            .bind(clean(result))
            .bind(it.id)
            .execute(&mut *connection)
            .await?;
    }
    for (step, doing, tries) in &it.begun {
        let at_once = matches!(doing, Doing::Tell | Doing::Would);
        sqlx::query(
            "INSERT INTO operation_steps (operation, number, step, doing, tries, begun, ended) \
             SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4, $5, $6 FROM operation_steps WHERE operation = $1",
        )
        .bind(it.id)
        .bind(*step as i64)
        .bind(doing.as_str())
        .bind(i64::from(*tries))
        .bind(micros(now))
        .bind(at_once.then(|| micros(now)))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

impl OperationStore for Store {
    fn plan<'a>(&'a self, new: &'a NewOperation, now: Timestamp) -> BoxFuture<'a, Result<Planned, StoreError>> {
        Box::pin(self.write(async move |it| it.plan_operation(new, now).await))
    }

    fn open(&self) -> BoxFuture<'_, Result<Vec<Operation>, StoreError>> {
        Box::pin(self.read(async move |it| it.open_operations().await))
    }

    fn claim<'a>(
        &'a self,
        from: &'a Operation,
        owner: &'a str,
        lease: Timestamp,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.write(async move |it| it.claim_operation(from, owner, lease).await))
    }

    fn advance<'a>(&'a self, advance: &'a Advance, now: Timestamp) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.write(async move |it| it.advance_operation(advance, now).await))
    }

    fn keep<'a>(&'a self, id: i64, owner: &'a str, lease: Timestamp) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.write(async move |it| {
            let query = sqlx::query("UPDATE operations SET lease = $1 WHERE id = $2 AND owner = $3");
            Ok(it.write(query.bind(micros(lease)).bind(id).bind(clean(owner))).await? == 1)
        }))
    }

    fn release<'a>(&'a self, id: i64, owner: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.write(async move |it| {
            let query = sqlx::query("UPDATE operations SET owner = NULL, lease = NULL WHERE id = $1 AND owner = $2");
            it.write(query.bind(id).bind(clean(owner))).await.map(drop)
        }))
    }

    fn words(&self, id: i64) -> BoxFuture<'_, Result<Vec<Spoken>, StoreError>> {
        Box::pin(self.read(async move |it| it.words_of(id).await))
    }

    fn say<'a>(
        &'a self,
        id: i64,
        word: Word,
        by: &'a std::sync::Arc<str>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Said, StoreError>> {
        Box::pin(self.write(async move |it| it.say_to_operation(id, word, by, now).await))
    }

    fn operations(&self, open: bool, page: Page) -> BoxFuture<'_, Result<Vec<Operation>, StoreError>> {
        let which = if open { "AND ended IS NULL" } else { "" };
        let text = format!("SELECT {COLUMNS} FROM operations WHERE id < $1 {which} ORDER BY id DESC LIMIT $2");
        Box::pin(self.read(async move |it| it.some_operations(text, page).await))
    }

    fn operation(&self, id: i64) -> BoxFuture<'_, Result<Option<WithLog>, StoreError>> {
        Box::pin(self.read(async move |it| it.one_operation(id).await))
    }

    fn forget_operations(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.write(async move |it| {
            it.write(sqlx::query("DELETE FROM operations WHERE ended < $1").bind(micros(before))).await
        }))
    }
}
