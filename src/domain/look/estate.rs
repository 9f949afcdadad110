//! What a source knows beside backups, in parts: each is as its last look told, and stays so while that can't be seen.

use std::sync::Arc;

use jiff::Timestamp;

use super::LookError;
use crate::domain::cluster::ClusterBook;
use crate::domain::container::ContainerBook;
use crate::domain::esxi::EsxiBook;
use crate::domain::guest::GuestBook;
use crate::domain::state::{BucketBook, ServerHealth, StateBook};

/// A part as one look saw it: nothing where the source has no way to know, else what is there, or why it couldn't be seen.
pub type Seen<T> = Option<Result<Arc<T>, LookError>>;

/// A part of an estate that goes on from look to look.
pub trait Part: Clone + PartialEq {
    /// What the look at `now` saw, with what only the one before knows.
    fn following(self, before: &Self, now: Timestamp) -> Self;
}

impl Part for GuestBook {
    fn following(self, before: &Self, now: Timestamp) -> Self {
        self.following(before, now)
    }
}

impl Part for StateBook {
    fn following(self, _: &Self, _: Timestamp) -> Self {
        self
    }
}

impl Part for BucketBook {
    fn following(self, _: &Self, _: Timestamp) -> Self {
        self
    }
}

impl Part for ContainerBook {
    fn following(self, _: &Self, _: Timestamp) -> Self {
        self
    }
}

impl Part for ClusterBook {
    fn following(self, _: &Self, _: Timestamp) -> Self {
        self
    }
}

impl Part for ServerHealth {
    fn following(self, _: &Self, _: Timestamp) -> Self {
        self
    }
}

impl Part for EsxiBook {
    fn following(self, _: &Self, _: Timestamp) -> Self {
        self
    }
}

/// Each part in one line; everything else follows.
macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident: $part:ty,)*) => {
        /// What was last seen of each part.
        #[derive(Debug, Clone, Default)]
        pub struct Estate {
            $($(#[$doc])* pub $name: Option<Arc<$part>>,)*
        }

        /// What one look saw of each part.
        #[derive(Debug, Clone, Default)]
        pub struct EstateLook {
            $($(#[$doc])* pub $name: Seen<$part>,)*
        }

        impl Estate {
            /// The estate after another look.
            pub fn after(&self, look: EstateLook, now: Timestamp) -> Self {
                Self { $($name: next(self.$name.as_ref(), look.$name, now),)* }
            }

            /// Whether it is the very same as another one.
            pub fn is_same(&self, other: &Self) -> bool {
                true $(&& same(self.$name.as_ref(), other.$name.as_ref()))*
            }
        }

        impl EstateLook {
            /// Names of the parts that were seen.
            pub fn seen(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if matches!(self.$name, Some(Ok(_))) {
                    names.push(stringify!($name));
                })*
                names
            }

            /// Why parts couldn't be seen.
            pub fn errors(&self) -> impl Iterator<Item = &LookError> {
                std::iter::empty()$(.chain(self.$name.iter().filter_map(|part| part.as_ref().err())))*
            }
        }
    };
}

parts! {
    /// The guests that exist.
    guests: GuestBook,
    /// The states of Terraform.
    states: StateBook,
    /// The buckets.
    buckets: BucketBook,
    /// What the server says of itself.
    server: ServerHealth,
    /// The containers.
    containers: ContainerBook,
    /// What the cluster says of itself.
    cluster: ClusterBook,
    /// Hosts, virtual machines and datastores of vSphere.
    esxi: EsxiBook,
}

/// What couldn't be seen stays as it was; what is as it was stays the same `Arc`.
fn next<T: Part>(before: Option<&Arc<T>>, seen: Seen<T>, now: Timestamp) -> Option<Arc<T>> {
    let Some(Ok(part)) = seen else { return before.cloned() };
    Some(match before {
        Some(before) if !Arc::ptr_eq(before, &part) => {
            let next = part.as_ref().clone().following(before, now);
            if next == **before { before.clone() } else { Arc::new(next) }
        }
        _ => part,
    })
}

/// Whether two are the very same, or neither is there.
pub fn same<T>(old: Option<&Arc<T>>, new: Option<&Arc<T>>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => Arc::ptr_eq(old, new),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::look::ErrorKind;

    #[test]
    fn what_can_not_be_seen_stays_and_is_told() {
        let now = Timestamp::UNIX_EPOCH;
        let book = Arc::new(GuestBook::default());
        let seen = |guests| EstateLook { guests, ..EstateLook::default() };
        let first = Estate::default().after(seen(Some(Ok(book.clone()))), now);
        assert!(Arc::ptr_eq(first.guests.as_ref().unwrap(), &book));
        let blind = seen(Some(Err(LookError::new(ErrorKind::Timeout, "gone"))));
        assert_eq!(blind.errors().count(), 1);
        let then = first.after(blind, now);
        assert!(then.is_same(&first), "it stays");
        assert!(then.after(seen(Some(Ok(Arc::new(GuestBook::default())))), now).is_same(&first), "nothing is new");
        assert!(!Estate::default().is_same(&first) && seen(None).errors().next().is_none());
    }
}
