//! Checks API tokens without asking the store for each request.
//!
//! All tokens are read together and used for some seconds. One that isn't among them may have been made since: the
//! list is read again, but never more often than five times a second, whoever guesses however fast.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use subtle::ConstantTimeEq as _;
use tokio::time::{Instant, sleep_until, timeout};

use crate::engine::ports::tokens::{Token, TokenStore};
use crate::engine::ports::{Clock, StoreError};
use crate::engine::tokens::TokenHash;

/// The list is used for so long; a revoked token stops within this time.
const FRESH: Duration = Duration::from_secs(5);

/// While the store doesn't answer the list is used for so long.
const USABLE: Duration = Duration::from_secs(9);

/// The pause between two readings of the list.
const PAUSE: Duration = Duration::from_millis(200);

/// The store must answer within this time.
const PATIENCE: Duration = Duration::from_secs(3);

/// Uses within this time of the last one that was noted are not noted.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// The tokens that count.
pub(super) struct TokenCheck {
    store: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    reading: tokio::sync::Mutex<()>,
    noted: Mutex<HashMap<i64, Instant>>,
    /// Readings that began so far.
    begun: AtomicU64,
}

#[derive(Default, Clone)]
struct Known {
    tokens: Arc<Vec<Token>>,
    /// When they began to be read.
    at: Option<Instant>,
    failed: Option<(Instant, StoreError)>,
    /// The number of the reading that this is of.
    reading: u64,
}

impl Known {
    /// The token, if it was read within this time.
    fn find(&self, hash: &TokenHash, within: Duration) -> Option<Token> {
        self.at.filter(|at| at.elapsed() < within)?;
        // Compares with all of them, whichever fits.
        let mut found = None;
        for token in self.tokens.iter() {
            if bool::from(token.hash.0.ct_eq(&hash.0)) {
                found = Some(token);
            }
        }
        found.cloned()
    }
}

impl TokenCheck {
    pub(super) fn new(store: Arc<dyn TokenStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            known: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            noted: Mutex::default(),
            begun: AtomicU64::new(0),
        }
    }

    /// The token that this text is, if it counts. An error when that can't be told.
    pub(super) async fn check(&self, text: &str) -> Result<Option<Token>, StoreError> {
        let Some(hash) = TokenHash::of(text) else { return Ok(None) };
        let found = match self.known().find(&hash, FRESH) {
            Some(token) => Some(token),
            None => self.find_anew(&hash).await?,
        };
        let now = self.clock.now();
        let found = found.filter(|token| token.counts(now));
        if let Some(token) = &found {
            self.note(token.id, now);
        }
        Ok(found)
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn find_anew(&self, hash: &TokenHash) -> Result<Option<Token>, StoreError> {
        let begun = self.begun.load(Ordering::Acquire);
        let _turn = self.reading.lock().await;
        let known = self.known();
        // While this one waited for its turn another may have begun to read, and ended.
        if known.reading > begun {
            return Self::remembered(&known, hash);
        }
        if let Some(last) = known.at.max(known.failed.as_ref().map(|(at, _)| *at)) {
            sleep_until(last + PAUSE).await;
        }
        self.read().await;
        Self::remembered(&self.known(), hash)
    }

    /// What is remembered of a token; the error, where the store just failed and nothing is.
    fn remembered(known: &Known, hash: &TokenHash) -> Result<Option<Token>, StoreError> {
        match (&known.failed, known.find(hash, USABLE)) {
            (Some((_, error)), None) => Err(error.clone()),
            (_, found) => Ok(found),
        }
    }

    async fn read(&self) {
        let (begun, reading) = (Instant::now(), self.begun.fetch_add(1, Ordering::AcqRel) + 1);
        let slow = || StoreError { message: "the store does not answer; tokens can't be checked".to_owned() };
        let read = timeout(PATIENCE, self.store.tokens()).await.unwrap_or_else(|_| Err(slow()));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(tokens) => *known = Known { tokens: Arc::new(tokens), at: Some(begun), failed: None, reading },
            Err(error) => {
                known.failed = Some((Instant::now(), error));
                known.reading = reading;
            }
        }
    }

    /// Notes that a token was used, without anybody waiting for it.
    fn note(&self, id: i64, now: Timestamp) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(&id).is_some_and(|at| at.elapsed() < NOTED_EVERY) {
            return;
        }
        noted.insert(id, Instant::now());
        drop(noted);
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.used(id, now).await {
                tracing::debug!(%error, "the use of a token could not be noted");
            }
        });
    }
}

#[cfg(test)]
mod tests;
