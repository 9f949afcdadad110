//! The guests of a cluster, from the directory that holds their configurations (`/etc/pve/nodes`).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adapters::directories::directory::look_error;
use crate::adapters::directories::files::{facts, read_capped};
use crate::domain::file::FileFacts;
use crate::domain::guest::{Guest, GuestBook};
use crate::domain::ids::{GuestKind, VMID_RANGE};
use crate::domain::look::{ErrorKind, LookError};
use crate::domain::printable::printable;
use crate::formats::guest_config;

/// More guests than this are refused; the largest clusters have some ten thousand.
const MAX_GUESTS: usize = 100_000;

/// Reads the guest configurations, each again only when it changed.
pub(super) struct GuestFiles {
    directory: PathBuf,
    known: HashMap<PathBuf, (FileFacts, Guest)>,
    book: Arc<GuestBook>,
}

impl GuestFiles {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, known: HashMap::new(), book: Arc::default() }
    }

    /// The guests of now; the same `Arc` as before where nothing changed. An empty or unreadable directory is an error
    /// and never "no guests": that is how `/etc/pve` looks when its daemon is down.
    pub(super) fn read(&mut self) -> Result<Arc<GuestBook>, LookError> {
        let book = self.read_all().map_err(|(path, error)| {
            let error = look_error("reading the guest configurations in", &path, &error);
            LookError::new(ErrorKind::Guests, error)
        })?;
        if book.guests.is_empty() {
            let message = format!(
                "{} holds no guest configurations; it should be the `nodes` directory of /etc/pve. Is pve-cluster running, and the share mounted?",
                self.directory.display()
            );
            return Err(LookError::new(ErrorKind::Guests, message));
        }
        if book != *self.book {
            self.book = Arc::new(book);
        }
        Ok(self.book.clone())
    }

    fn read_all(&mut self) -> Result<GuestBook, (PathBuf, io::Error)> {
        let mut book = GuestBook::default();
        let mut known = HashMap::with_capacity(self.known.len());
        for node in names_in(&self.directory)? {
            let path = self.directory.join(&node);
            if !fs::metadata(&path).map_err(|error| (path.clone(), error))?.is_dir() {
                continue;
            }
            let name: Arc<str> = printable(node.as_encoded_bytes()).into();
            book.nodes.insert(name.clone());
            for (kind, directory) in [(GuestKind::Qemu, "qemu-server"), (GuestKind::Lxc, "lxc")] {
                let directory = path.join(directory);
                // A node always has both; without one, what should lie there would look deleted.
                for file in names_in(&directory)? {
                    let Some(vmid) = vmid_of(&file) else { continue };
                    let path = directory.join(&file);
                    if let Some((facts, guest)) = self.read_one(&path, kind, vmid, &name)? {
                        book.guests.insert(guest.id.clone(), guest.clone());
                        known.insert(path, (facts, guest));
                    }
                }
            }
            if book.guests.len() > MAX_GUESTS {
                return Err((path, io::Error::other(format!("more than {MAX_GUESTS} guests"))));
            }
        }
        self.known = known;
        Ok(book)
    }

    fn read_one(
        &mut self,
        path: &Path,
        kind: GuestKind,
        vmid: u32,
        node: &Arc<str>,
    ) -> Result<Option<(FileFacts, Guest)>, (PathBuf, io::Error)> {
        let fail = |error| (path.to_owned(), error);
        let Some(now) = facts(path).map_err(fail)? else {
            let is_there = fs::symlink_metadata(path).is_ok();
            return if is_there { Err(fail(io::Error::other("it is not a regular file"))) } else { Ok(None) };
        };
        if let Some(known) = self.known.remove(path).filter(|(then, _)| *then == now) {
            return Ok(Some(known));
        }
        let limit = guest_config::MAX_BYTES;
        match read_capped(path, now.size, limit - 1, limit) {
            Ok(text) => Ok(Some((now, guest_config::parse(&text, kind, vmid, node)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fail(error)),
        }
    }
}

fn names_in(directory: &Path) -> Result<Vec<std::ffi::OsString>, (PathBuf, io::Error)> {
    let fail = |error| (directory.to_owned(), error);
    let entries = fs::read_dir(directory).map_err(fail)?;
    entries.map(|entry| entry.map(|entry| entry.file_name()).map_err(fail)).collect()
}

fn vmid_of(file: &OsStr) -> Option<u32> {
    let digits = file.to_str()?.strip_suffix(".conf")?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|id| plain && VMID_RANGE.contains(id))
}
