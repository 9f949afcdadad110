//! Basic auth by the users of the web config file.
//!
//! bcrypt is slow on purpose; a scrape every few seconds would spend its time there. So passwords that were right are
//! remembered, as hashes keyed with a number of this process.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// More right passwords than this are not remembered at a time.
const REMEMBERED: usize = 100;

/// Passwords that are checked at the same time; the rest waits, so that guessing doesn't eat the machine.
const CHECKS_AT_ONCE: usize = 2;

/// Compared with when the user is unknown, so that the answer takes as long. It is the hash of a random text, cost 10.
const NOBODY: &str = "$2b$10$QMXMgvBDDM5.YZhx1nYx6eLQ6R9o9DsJYhXH1CkTSDvQmXhYvfFCu";

/// Who may pass.
pub struct Gate {
    users: Mutex<Arc<HashMap<String, String>>>,
    passed: Mutex<HashSet<[u8; 32]>>,
    key: u64,
    checks: Semaphore,
}

impl Gate {
    /// A gate for users with their bcrypt hashes; open for everybody when there are none.
    pub fn new(users: HashMap<String, String>) -> Self {
        Self {
            users: Mutex::new(Arc::new(users)),
            passed: Mutex::default(),
            key: RandomState::new().hash_one(0),
            checks: Semaphore::new(CHECKS_AT_ONCE),
        }
    }

    /// Replaces the users, after the file changed.
    pub fn set_users(&self, users: HashMap<String, String>) {
        *self.users.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether everybody may pass.
    pub fn is_open(&self) -> bool {
        self.users().is_empty()
    }

    fn users(&self) -> Arc<HashMap<String, String>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this user has this password.
    async fn admits(&self, user: &str, password: &str) -> bool {
        let users = self.users();
        let (hash, known) = match users.get(user) {
            Some(hash) => (hash.clone(), true),
            None => (NOBODY.to_owned(), false),
        };
        let mark = self.mark(user, password, &hash);
        if self.passed.lock().unwrap_or_else(PoisonError::into_inner).contains(&mark) {
            return true;
        }
        let Ok(_turn) = self.checks.acquire().await else { return false };
        let password = password.to_owned();
        let check = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        let right = check.await.unwrap_or(false) && known;
        if right {
            let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
            if passed.len() >= REMEMBERED {
                passed.clear();
            }
            passed.insert(mark);
        }
        right
    }

    fn mark(&self, user: &str, password: &str, hash: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.key.to_le_bytes());
        for part in [user, password, hash] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// Lets a request pass, or asks for a password.
pub(super) async fn check(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if gate.is_open() {
        return next.run(request).await;
    }
    if let Some((user, password)) = credentials(request.headers())
        && gate.admits(&user, &password).await
    {
        return next.run(request).await;
    }
    let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"firedrill\", charset=\"UTF-8\"")];
    (StatusCode::UNAUTHORIZED, ask, "Unauthorized\n").into_response()
}

/// User and password of `Authorization: Basic …` (RFC 7617).
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        let hash = bcrypt::hash("secret", 4).unwrap();
        Gate::new(HashMap::from([("prometheus".to_owned(), hash)]))
    }

    #[tokio::test]
    async fn only_the_right_password_passes() {
        let gate = gate();
        for _ in 0..2 {
            assert!(gate.admits("prometheus", "secret").await);
            assert!(!gate.admits("prometheus", "Secret").await);
            assert!(!gate.admits("nobody", "secret").await);
            assert!(!gate.admits("", "").await);
        }
        assert_eq!(gate.passed.lock().unwrap().len(), 1, "wrong ones are not remembered");
    }

    #[tokio::test]
    async fn a_changed_file_forgets_who_passed() {
        let gate = gate();
        assert!(gate.admits("prometheus", "secret").await);
        gate.set_users(HashMap::from([("prometheus".to_owned(), bcrypt::hash("other", 4).unwrap())]));
        assert!(!gate.admits("prometheus", "secret").await);
    }

    #[test]
    fn unknown_users_take_as_long_as_known_ones() {
        assert!(!bcrypt::verify("x", NOBODY).unwrap(), "a hash that bcrypt can work on");
    }

    #[test]
    fn credentials_of_rfc_7617() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            credentials(&headers)
        };
        let both = Some(("Aladdin".to_owned(), "open sesame".to_owned()));
        assert_eq!(of("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), both);
        assert_eq!(of("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), both);
        for bad in ["Basic", "Basic !!!", "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic QWxhZGRpbg=="] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
