//! How many files this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where the system sets no limit.
const MANY: usize = 1 << 20;

/// Raises the limit as far as an ordinary user may, and returns it. Systems start services with 1024 for the sake of
/// programs that keep descriptors in bit sets; this one doesn't.
pub fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MANY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_far_as_the_hard_limit_allows() {
        let limit = raise();
        let hard = getrlimit(Resource::Nofile).maximum.map_or(MANY, |limit| limit as usize);
        assert_eq!(limit, hard);
        assert_eq!(raise(), limit);
    }
}
