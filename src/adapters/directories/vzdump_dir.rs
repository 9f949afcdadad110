//! Directories that vzdump writes to, one or several per source (nodes, shares), with the guests that they should hold.

mod guests;
mod runs;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::guests::GuestFiles;
use self::runs::Memory;
use super::directory::each_root;
use super::place::{Listed, Place, Places};
use crate::domain::look::estate::EstateLook;
use crate::domain::look::{Look, LookError, PlaceListing, PlaceLook, SourceSpec};
use crate::engine::ports::{Archives, Source};

/// A vzdump source.
pub struct VzdumpDir {
    spec: Arc<SourceSpec>,
    zone: TimeZone,
    archives: Arc<dyn Archives>,
    roots: Vec<(Box<dyn Place>, Seen)>,
    guests: Option<GuestFiles>,
}

/// What is remembered of a root between two scans.
#[derive(Default)]
struct Seen {
    memory: Memory,
    listing: Option<Arc<PlaceListing>>,
}

impl VzdumpDir {
    /// A source over `places` in the order of the spec. Names are read as local times of `zone`. `guests_dir` holds
    /// guest configurations as `<node>/{qemu-server,lxc}/<vmid>.conf`.
    pub fn new(spec: Arc<SourceSpec>, places: Places, zone: TimeZone, guests_dir: Option<PathBuf>) -> Self {
        let Places { all: roots, archives } = places;
        Self {
            spec,
            zone,
            archives,
            roots: roots.into_iter().map(|root| (root, Seen::default())).collect(),
            guests: guests_dir.map(GuestFiles::new),
        }
    }
}

impl Source for VzdumpDir {
    fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    fn archives(&self) -> Arc<dyn Archives> {
        self.archives.clone()
    }

    fn look(&mut self, now: Timestamp) -> Look {
        let guests = self.guests.as_mut().map(GuestFiles::read);
        let zone = &self.zone;
        let places = each_root(&mut self.roots, |(root, seen)| {
            let listing = look_at(&**root, seen, zone, now);
            PlaceLook { capacity: listing.as_ref().ok().and_then(|_| root.capacity()), listing }
        });
        Look { places, estate: EstateLook { guests, ..EstateLook::default() } }
    }
}

fn look_at(root: &dyn Place, seen: &mut Seen, zone: &TimeZone, now: Timestamp) -> Result<Arc<PlaceListing>, LookError> {
    root.check()?;
    let Listed { entries, foreign, unreadable } = root.list(1, &|_| false)?;
    let (mut listing, memory) = runs::examine(root, entries, &seen.memory, zone, now)?;
    Listed::count_left_out(foreign, &unreadable, &mut listing);
    // It may have been unmounted meanwhile: an empty mount point lists well.
    root.check()?;
    seen.memory = memory;
    let listing = listing.or_same(seen.listing.take());
    seen.listing = Some(listing.clone());
    Ok(listing)
}

#[cfg(test)]
mod tests;
