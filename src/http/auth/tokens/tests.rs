//! Tests of the check of tokens, with a store in memory and a clock that stands.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use futures_util::future::BoxFuture;

use super::*;
use crate::domain::access::Role;
use crate::engine::ports::tokens::NewToken;
use crate::engine::tokens::of_random;

#[derive(Default)]
struct Memory {
    tokens: Mutex<Vec<Token>>,
    asked: AtomicUsize,
    used: AtomicUsize,
    down: AtomicBool,
}

impl TokenStore for Memory {
    fn create<'a>(&'a self, new: &'a NewToken) -> BoxFuture<'a, Result<bool, StoreError>> {
        let mut tokens = self.tokens.lock().unwrap();
        let id = tokens.len() as i64 + 1;
        let NewToken { name, hash, role, created, expires } = new.clone();
        tokens.push(Token { id, name, hash, role, created, expires, revoked: None, last_used: None });
        Box::pin(async { Ok(true) })
    }

    fn tokens(&self) -> BoxFuture<'_, Result<Vec<Token>, StoreError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let down = self.down.load(Ordering::Relaxed);
        let all = self.tokens.lock().unwrap().clone();
        Box::pin(async move { if down { Err(StoreError { message: "down".to_owned() }) } else { Ok(all) } })
    }

    fn revoke<'a>(&'a self, name: &'a str, now: Timestamp) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.tokens.lock().unwrap().iter_mut().filter(|it| &*it.name == name).for_each(|it| it.revoked = Some(now));
        Box::pin(async { Ok(true) })
    }

    fn used(&self, _: i64, _: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        self.used.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(()) })
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2026-11-21T08:00:00Z".parse().unwrap()
    }
}

async fn made(store: &Memory, name: &str, byte: u8, expires: Option<&str>) -> String {
    let token = of_random([byte; 32]);
    let hash = TokenHash::of(&token).unwrap();
    let expires = expires.map(|time| time.parse().unwrap());
    let new = NewToken { name: name.into(), hash, role: Role::Operator, created: Still.now(), expires };
    store.create(&new).await.unwrap();
    token
}

fn check_of(store: &Arc<Memory>) -> TokenCheck {
    TokenCheck::new(store.clone(), Arc::new(Still))
}

async fn passes(check: &TokenCheck, token: &str) -> bool {
    check.check(token).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn the_store_is_not_asked_for_each_request() {
    let store = Arc::new(Memory::default());
    let token = made(&store, "a", 1, None).await;
    let check = check_of(&store);
    for _ in 0..1000 {
        assert!(passes(&check, &token).await);
    }
    tokio::task::yield_now().await;
    assert_eq!((store.asked.load(Ordering::Relaxed), store.used.load(Ordering::Relaxed)), (1, 1));
    tokio::time::advance(Duration::from_secs(61)).await;
    assert!(passes(&check, &token).await);
    tokio::task::yield_now().await;
    assert_eq!((store.asked.load(Ordering::Relaxed), store.used.load(Ordering::Relaxed)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_stops_within_ten_seconds_and_a_new_one_counts_at_once() {
    let store = Arc::new(Memory::default());
    let token = made(&store, "a", 1, None).await;
    let check = check_of(&store);
    assert!(passes(&check, &token).await);
    let second = made(&store, "b", 2, None).await;
    assert!(passes(&check, &second).await);
    store.revoke("a", Still.now()).await.unwrap();
    let begun = Instant::now();
    while passes(&check, &token).await {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::advance(Duration::from_millis(500)).await;
    }
    assert!(passes(&check, &second).await);
}

#[tokio::test(start_paused = true)]
async fn guessing_asks_the_store_five_times_a_second_at_most() {
    let store = Arc::new(Memory::default());
    let check = Arc::new(check_of(&store));
    let begun = Instant::now();
    for round in 0..20u8 {
        let all = (0..50u8).map(|it| {
            let (check, token) = (check.clone(), of_random([round ^ it.wrapping_mul(5); 32]));
            tokio::spawn(async move { assert!(!passes(&check, &token).await) })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.unwrap();
        }
    }
    let most = begun.elapsed().as_millis() / PAUSE.as_millis() + 1;
    assert!(store.asked.load(Ordering::Relaxed) as u128 <= most);
    let before = store.asked.load(Ordering::Relaxed);
    for text in ["", "fdt_short", "Bearer"] {
        assert!(!passes(&check, text).await);
    }
    assert_eq!(store.asked.load(Ordering::Relaxed), before, "what can't be a token is not asked for");
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_down_what_is_known_counts_for_some_seconds_only() {
    let store = Arc::new(Memory::default());
    let token = made(&store, "a", 1, None).await;
    let check = check_of(&store);
    assert!(passes(&check, &token).await);
    store.down.store(true, Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(7)).await;
    assert!(passes(&check, &token).await);
    assert!(check.check(&of_random([9; 32])).await.is_err());
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(check.check(&token).await.is_err());
    store.down.store(false, Ordering::Relaxed);
    assert!(passes(&check, &token).await);
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_does_not_count() {
    let store = Arc::new(Memory::default());
    let over = made(&store, "a", 1, Some("2026-11-21T08:00:00Z")).await;
    let not_yet = made(&store, "b", 2, Some("2026-11-21T08:00:01Z")).await;
    let check = check_of(&store);
    assert!(!passes(&check, &over).await);
    assert!(passes(&check, &not_yet).await);
}
