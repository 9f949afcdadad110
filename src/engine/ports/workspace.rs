//! A directory of Terraform on this machine.

use std::io;
use std::path::Path;

use futures_util::future::BoxFuture;

/// What a plan of Terraform says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// The state and the world are as the configuration wants them.
    NoChanges,
    /// Something would be changed: what Terraform prints.
    Changes(String),
    /// It could not be planned: what Terraform prints.
    Failed(String),
}

/// Files of a directory, and Terraform in it.
pub trait Workspace: Send + Sync + 'static {
    /// The content of a file; `None` where it isn't there.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;

    /// Puts a file there that only its owner reads, all or nothing; the directory that it lies in is made.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Removes a file. One that isn't there is no error.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// `init -reconfigure`. An error is what Terraform prints.
    fn init<'a>(&'a self, program: &'a str, directory: &'a Path) -> BoxFuture<'a, Result<(), String>>;

    /// `plan -detailed-exitcode`. Takes no lock and writes no state.
    fn plan<'a>(&'a self, program: &'a str, directory: &'a Path) -> BoxFuture<'a, Planned>;
}
