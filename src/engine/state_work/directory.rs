//! What is done in a directory of Terraform: a local state in the place of the server, and back.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Given, copy, digest};
use crate::domain::state::work::Deed;
use crate::engine::ports::state_cache::StateCache;
use crate::engine::ports::workspace::Workspace;

/// Tells Terraform to use the local state: files that end so go over the others.
pub const OVERRIDE: &str = "firedrill_override.tf";

/// The local state of the workspace `default`.
pub const STATE: &str = "firedrill-fallback.tfstate";

/// Where the local states of other workspaces lie.
const STATES: &str = "firedrill-fallback.d";

/// How Terraform was initialised, as it notes that itself.
const BACKEND: &str = ".terraform/terraform.tfstate";

/// The same, put by.
const BACKEND_BEFORE: &str = ".terraform/firedrill-backend.json";

/// What the override says; a comment says from which state it fell back.
fn override_text(base: &Base) -> Result<String, String> {
    let base = serde_json::to_string(base).map_err(|error| error.to_string())?;
    Ok(format!(
        "# Written by `firedrill state fallback`, removed by `firedrill state return`: the server of the state is down.\n\
         {BASE}{base}\n\
         terraform {{\n  backend \"local\" {{\n    path          = \"{STATE}\"\n    workspace_dir = \"{STATES}\"\n  }}\n}}\n"
    ))
}

/// What the line of the override begins with that says from which state it fell back.
const BASE: &str = "# base: ";

/// The state that a directory fell back from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The source.
    pub source: String,
    /// The state.
    pub item: String,
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// BLAKE3 of its content, in hexadecimal.
    pub digest: String,
}

/// From which state an override fell back, as it says.
pub fn base_of(text: &str) -> Option<Base> {
    text.lines().find_map(|line| serde_json::from_str(line.strip_prefix(BASE)?).ok())
}

/// Where the local state of a workspace lies.
pub fn state_file(directory: &Path, workspace: &str) -> PathBuf {
    match workspace {
        "default" => directory.join(STATE),
        other => directory.join(STATES).join(other).join("terraform.tfstate"),
    }
}

/// A directory of Terraform.
pub(super) struct Directory<'a> {
    pub(super) given: &'a Given<'a>,
    pub(super) workspace: &'a dyn Workspace,
    pub(super) cache: Option<&'a dyn StateCache>,
}

impl Directory<'_> {
    fn path(&self, name: &str) -> Result<PathBuf, String> {
        Ok(Path::new(self.given.needed("path")?).join(name))
    }

    fn state(&self) -> Result<PathBuf, String> {
        Ok(state_file(Path::new(self.given.needed("path")?), self.given.needed("workspace")?))
    }

    /// Where a local state lies that went back to the server.
    fn retired(&self) -> Result<PathBuf, String> {
        let mut name = self.state()?.into_os_string();
        name.push(format!(".returned-{}", self.given.needed("id")?));
        Ok(name.into())
    }

    pub(super) async fn perform(&self, deed: Deed) -> Result<String, String> {
        match deed {
            Deed::KeepBackend => self.keep_backend(),
            Deed::PutBackendBack => self.put_backend_back(),
            Deed::Place => self.place(),
            Deed::Unplace => self.unplace(),
            Deed::Override => self.override_backend(),
            Deed::DropOverride => self.remove(&self.path(OVERRIDE)?),
            Deed::Init => self.init().await,
            Deed::Reinstate => {
                self.override_backend()?;
                self.init().await
            }
            Deed::Retire => {
                self.remove(&self.path(BACKEND_BEFORE)?)?;
                self.rename(&self.state()?, &self.retired()?)
            }
            Deed::Unretire => self.rename(&self.retired()?, &self.state()?),
            other => Err(format!("{} is nothing that is done in a directory", other.as_str())),
        }
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        self.workspace.read(path).map_err(|error| format!("reading {}: {error}", path.display()))
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<String, String> {
        self.workspace.write(path, content).map_err(|error| format!("writing {}: {error}", path.display()))?;
        Ok(format!("{} was written", path.display()))
    }

    fn remove(&self, path: &Path) -> Result<String, String> {
        self.workspace.remove(path).map_err(|error| format!("removing {}: {error}", path.display()))?;
        Ok(format!("{} was removed", path.display()))
    }

    /// Done twice is done once: a file that isn't there any more, and is where it should be, was moved.
    fn rename(&self, from: &Path, to: &Path) -> Result<String, String> {
        match (self.read(from)?.is_some(), self.read(to)?.is_some()) {
            (true, false) => {
                let moved = self.workspace.rename(from, to);
                moved.map_err(|error| format!("moving {} to {}: {error}", from.display(), to.display()))?;
                Ok(format!("{} is {} now", from.display(), to.display()))
            }
            (true, true) => Err(format!("{} is there already", to.display())),
            (false, _) => Ok(format!("{} is not there", from.display())),
        }
    }

    fn override_backend(&self) -> Result<String, String> {
        let needed = |name| self.given.needed(name).map(ToOwned::to_owned);
        let base = Base {
            source: needed("source")?,
            item: needed("copy")?,
            bucket: needed("bucket")?,
            key: needed("key")?,
            digest: needed("digest")?,
        };
        self.write(&self.path(OVERRIDE)?, override_text(&base)?.as_bytes())
    }

    fn keep_backend(&self) -> Result<String, String> {
        if self.read(&self.path(BACKEND_BEFORE)?)?.is_some() {
            return Ok("it was noted before".to_owned());
        }
        match self.read(&self.path(BACKEND)?)? {
            Some(text) => self.write(&self.path(BACKEND_BEFORE)?, &text),
            None => Ok("the directory was never initialised".to_owned()),
        }
    }

    fn put_backend_back(&self) -> Result<String, String> {
        match self.read(&self.path(BACKEND_BEFORE)?)? {
            Some(text) => {
                self.write(&self.path(BACKEND)?, &text)?;
                self.remove(&self.path(BACKEND_BEFORE)?)
            }
            None => self.remove(&self.path(BACKEND)?),
        }
    }

    fn place(&self) -> Result<String, String> {
        let path = self.state()?;
        let content = copy(self.given, self.cache)?;
        if Some(&*digest(&content)) != self.given.get("digest") {
            return Err("the copy isn't the one that was looked at when this was planned".to_owned());
        }
        match self.read(&path)? {
            Some(there) if there == content => Ok(format!("{} is there already", path.display())),
            Some(_) => Err(format!("{} is there already, and is another state", path.display())),
            None => self.write(&path, &content),
        }
    }

    fn unplace(&self) -> Result<String, String> {
        let path = self.state()?;
        match self.read(&path)? {
            Some(there) if Some(&*digest(&there)) == self.given.get("digest") => self.remove(&path),
            Some(_) => Ok(format!("{} is another state: it was left alone", path.display())),
            None => Ok("there is no local state".to_owned()),
        }
    }

    async fn init(&self) -> Result<String, String> {
        let directory = Path::new(self.given.needed("path")?);
        let done = self.workspace.init(self.given.needed("program")?, directory).await;
        let done = done.map_err(|printed| format!("Terraform could not initialise the directory: {printed}"));
        done.map(|()| "the directory is initialised".to_owned())
    }
}
