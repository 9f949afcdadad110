//! Passwords of the users of the web config file.
//!
//! bcrypt is slow on purpose; a scrape every few seconds would spend its time there. So passwords that were right are
//! remembered, as hashes keyed with a number of this process.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// More right passwords than this are not remembered at a time.
const REMEMBERED: usize = 100;

/// Passwords that are checked at the same time; the rest waits, so that guessing doesn't eat the machine.
const CHECKS_AT_ONCE: usize = 2;

/// Compared with when the user is unknown, so that the answer takes as long. It is the hash of a random text, cost 10.
const NOBODY: &str = "$2b$10$QMXMgvBDDM5.YZhx1nYx6eLQ6R9o9DsJYhXH1CkTSDvQmXhYvfFCu";

/// Users with their bcrypt hashes.
pub(super) struct Passwords {
    users: Mutex<Arc<HashMap<String, String>>>,
    passed: Mutex<HashSet<[u8; 32]>>,
    key: u64,
    checks: Semaphore,
}

impl Passwords {
    pub(super) fn new(users: HashMap<String, String>) -> Self {
        Self {
            users: Mutex::new(Arc::new(users)),
            passed: Mutex::default(),
            key: RandomState::new().hash_one(0),
            checks: Semaphore::new(CHECKS_AT_ONCE),
        }
    }

    /// Replaces the users, after the file changed.
    pub(super) fn set_users(&self, users: HashMap<String, String>) {
        *self.users.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn has_users(&self) -> bool {
        !self.users().is_empty()
    }

    fn users(&self) -> Arc<HashMap<String, String>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this user has this password.
    pub(super) async fn admits(&self, user: &str, password: &str) -> bool {
        let users = self.users();
        if users.is_empty() {
            return false;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn users(password: &str) -> HashMap<String, String> {
        HashMap::from([("prometheus".to_owned(), bcrypt::hash(password, 4).unwrap())])
    }

    #[tokio::test]
    async fn only_the_right_password_passes() {
        let passwords = Passwords::new(users("secret"));
        for _ in 0..2 {
            assert!(passwords.admits("prometheus", "secret").await);
            assert!(!passwords.admits("prometheus", "Secret").await);
            assert!(!passwords.admits("nobody", "secret").await);
            assert!(!passwords.admits("", "").await);
        }
        assert_eq!(passwords.passed.lock().unwrap().len(), 1, "wrong ones are not remembered");
    }

    #[tokio::test]
    async fn a_changed_file_forgets_who_passed() {
        let passwords = Passwords::new(users("secret"));
        assert!(passwords.admits("prometheus", "secret").await);
        passwords.set_users(users("other"));
        assert!(!passwords.admits("prometheus", "secret").await);
    }

    #[test]
    fn unknown_users_take_as_long_as_known_ones() {
        assert!(!bcrypt::verify("x", NOBODY).unwrap(), "a hash that bcrypt can work on");
    }
}
