//! What keeps copies of states.

use std::io::{self, Read};

use crate::domain::state::cache::{Kept, StateName};

/// Keeps copies of states, encrypted, where only firedrill reads them. Calls wait for a disk.
pub trait StateCache: Send + Sync + 'static {
    /// What is kept: of each state the newest copy.
    fn kept(&self) -> io::Result<Vec<Kept>>;

    /// Whether a copy is there, and is one that the key of today opens. Only its head is read.
    fn usable(&self, kept: &Kept) -> io::Result<()>;

    /// Keeps a copy in the place of the one before, which is kept as the one before. `about` comes with what is known of the version;
    /// what only its content tells is filled in. All or nothing: a copy that can't be read again isn't kept.
    fn keep(&self, about: Kept, content: &mut dyn Read) -> io::Result<Kept>;

    /// A copy, decrypted and compared with its digest; with `before` the one before it. `None` where none is kept.
    fn open(&self, name: &StateName, before: bool) -> io::Result<Option<(Kept, Vec<u8>)>>;
}
