//! A cluster whose backups lie in directories too: its API knows guests and jobs, the directories hold what can be read. Both are one
//! source, and nothing is there twice.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::archives::ArchivesByRoot;
use super::ports::{Archives, Source};
use crate::domain::attempt::Attempt;
use crate::domain::ids::ItemId;
use crate::domain::look::{ErrorKind, Look, LookError, PlaceListing, PlaceLook, SourceSpec};
use crate::domain::policy::Matcher;

/// Directories and an API that are one source. Its places are those of the directories, then those of the API.
pub struct Joined {
    spec: Arc<SourceSpec>,
    directories: Box<dyn Source>,
    api: Box<dyn Source>,
    /// Listings of the API, without what the directories hold.
    before: Vec<Option<Arc<PlaceListing>>>,
}

impl Joined {
    /// Joins them. `exclude` is what neither judges.
    pub fn new(directories: Box<dyn Source>, api: Box<dyn Source>, exclude: Matcher) -> Self {
        let (files, told) = (directories.spec(), api.spec());
        let mut expected = files.expected.clone();
        expected.extend(told.expected.iter().filter(|item| !files.expected.contains(item)).cloned());
        let spec = SourceSpec {
            name: told.name.clone(),
            kind: told.kind,
            places: files.places.iter().chain(&told.places).cloned().collect(),
            expected,
            exclude,
            scan_interval: files.scan_interval.min(told.scan_interval),
            scan_timeout: files.scan_timeout.max(told.scan_timeout),
        };
        let before = vec![None; told.places.len()];
        Self { spec: Arc::new(spec), directories, api, before }
    }
}

impl Source for Joined {
    fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    fn archives(&self) -> Arc<dyn Archives> {
        let told = self.api.archives();
        let elsewhere = self.api.spec().places.iter().map(|place| (place.path.clone(), told.clone())).collect();
        Arc::new(ArchivesByRoot { elsewhere, others: self.directories.archives() })
    }

    fn look(&mut self, now: Timestamp) -> Look {
        let (directories, api) = (&mut self.directories, &mut self.api);
        // Beside each other: what is slow in one is not waited for twice.
        let (files, told) = std::thread::scope(|scope| {
            let told = scope.spawn(|| api.look(now));
            let files = directories.look(now);
            (files, told.join())
        });
        let (files, told) = (files.of(self.directories.spec()), told.unwrap_or_else(|_| broken(self.api.spec())));
        let told = told.of(self.api.spec());
        let mut estate = told.estate;
        // Configurations of the guests say more of them than lists do.
        if let Some(Ok(guests)) = files.estate.guests {
            estate.guests = Some(Ok(guests));
        } else if estate.guests.is_none() {
            estate.guests = files.estate.guests;
        }
        let held = held(&files.places);
        let told = told.places.into_iter().zip(&mut self.before).map(|(place, before)| {
            let listing = place.listing.map(|listing| without(&listing, &held).or_same(before.clone()));
            if let Ok(listing) = &listing {
                *before = Some(listing.clone());
            }
            PlaceLook { listing, capacity: place.capacity }
        });
        let places = files.places.iter().cloned().chain(told).collect();
        Look { places, estate }
    }
}

fn broken(spec: &SourceSpec) -> Look {
    Look::blind(spec, &LookError::new(ErrorKind::Internal, "defect in the look at the API"))
}

/// The files of the directories.
fn held(places: &[PlaceLook]) -> HashSet<(ItemId, Box<str>)> {
    let attempts = places.iter().filter_map(|place| place.listing.as_ref().ok()).flat_map(|listing| &listing.attempts);
    attempts.map(|attempt| (attempt.item.clone(), attempt.file.clone())).collect()
}

/// What isn't in a directory. Names tell: a node begins no two backups of a guest in one second.
fn without(listing: &PlaceListing, held: &HashSet<(ItemId, Box<str>)>) -> PlaceListing {
    let is_held = |attempt: &Attempt| {
        let name = attempt.file.rsplit('/').next().unwrap_or(&attempt.file);
        held.contains(&(attempt.item.clone(), name.into()))
    };
    let mut listing = listing.clone();
    listing.attempts.retain(|attempt| !is_held(attempt));
    listing
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;
    use crate::domain::attempt::Outcome;
    use crate::domain::guest::GuestBook;
    use crate::domain::local_time::When;
    use crate::domain::look::estate::EstateLook;
    use crate::domain::look::{Medium, PlaceSpec, SourceKind};
    use crate::domain::proof::ArchiveId;
    use crate::engine::ports::OpenArchive;

    struct Fixed(Arc<SourceSpec>, Look);

    struct Named(&'static str);

    impl Archives for Named {
        fn open(&self, _: &ArchiveId) -> io::Result<Box<dyn OpenArchive>> {
            Err(io::Error::other(self.0))
        }
    }

    impl Source for Fixed {
        fn spec(&self) -> &Arc<SourceSpec> {
            &self.0
        }

        fn archives(&self) -> Arc<dyn Archives> {
            Arc::new(Named(self.0.kind.as_str()))
        }

        fn look(&mut self, _: Timestamp) -> Look {
            self.1.clone()
        }
    }

    fn source(kind: &'static str, place: &str, listing: Result<&[&str], LookError>, guests: bool) -> Box<dyn Source> {
        let spec = SourceSpec {
            name: "pve".parse().unwrap(),
            kind: SourceKind::new(kind),
            places: vec![PlaceSpec {
                path: place.into(),
                medium: Medium::Local,
                node: None,
                readable: kind == "vzdump",
            }],
            expected: vec!["qemu/100".parse().unwrap()],
            exclude: Matcher::default(),
            scan_interval: Duration::from_secs(60),
            scan_timeout: Duration::from_secs(60),
        };
        let attempt = |file: &&str| {
            let outcome = Outcome::Complete { warning: None };
            Attempt::new("qemu/100".parse().unwrap(), When::At(Timestamp::UNIX_EPOCH), outcome, (*file).into())
        };
        let listing = listing.map(|files| {
            Arc::new(PlaceListing { attempts: files.iter().map(attempt).collect(), ..PlaceListing::default() })
        });
        let estate = EstateLook { guests: guests.then(|| Ok(Arc::new(GuestBook::default()))), ..EstateLook::default() };
        let look = Look { places: vec![PlaceLook { listing, capacity: None }], estate };
        Box::new(Fixed(Arc::new(spec), look))
    }

    fn files(look: &Look) -> Vec<Vec<String>> {
        let of = |place: &PlaceLook| {
            let listing = place.listing.as_ref().ok();
            listing.iter().flat_map(|it| &it.attempts).map(|it| it.file.to_string()).collect()
        };
        look.places.iter().map(of).collect()
    }

    fn gone() -> LookError {
        LookError::new(ErrorKind::Timeout, "gone")
    }

    #[test]
    fn nothing_is_there_twice_and_nothing_is_lost() {
        let told: &[&str] = &["nas:backup/a", "nas:backup/b", "pbs:backup/vm/100/x"];
        let mut both = Joined::new(
            source("vzdump", "/d", Ok(&["a"]), false),
            source("proxmox", "https://pve", Ok(told), true),
            Matcher::default(),
        );
        assert_eq!((both.spec.places.len(), both.spec.expected.len()), (2, 1));
        let look = both.look(Timestamp::UNIX_EPOCH);
        assert_eq!(files(&look), [vec!["a"], vec!["nas:backup/b", "pbs:backup/vm/100/x"]]);
        assert!(matches!(look.estate.guests, Some(Ok(_))));
        let again = both.look(Timestamp::UNIX_EPOCH);
        let listing = |look: &Look| look.places[1].listing.clone().unwrap();
        assert!(Arc::ptr_eq(&listing(&look), &listing(&again)), "nothing changed");
    }

    #[test]
    fn one_that_can_not_be_seen_leaves_the_other() {
        let told: &[&str] = &["nas:backup/a"];
        let mut blind = Joined::new(
            source("vzdump", "/d", Err(gone()), false),
            source("proxmox", "https://pve", Ok(told), true),
            Matcher::default(),
        );
        let look = blind.look(Timestamp::UNIX_EPOCH);
        assert!(look.places[0].listing.is_err());
        assert_eq!(files(&look)[1], told);
        let mut blind = Joined::new(
            source("vzdump", "/d", Ok(&["a"]), true),
            source("proxmox", "https://pve", Err(gone()), false),
            Matcher::default(),
        );
        let look = blind.look(Timestamp::UNIX_EPOCH);
        assert!(look.places[1].listing.is_err() && matches!(look.estate.guests, Some(Ok(_))));
        assert_eq!(files(&look)[0], ["a"]);
        let archives = blind.archives();
        let open = |root: &str| {
            let archive = ArchiveId { source: "pve".parse().unwrap(), root: root.into(), file: "a".into() };
            archives.open(&archive).err().unwrap().to_string()
        };
        assert_eq!([open("/d"), open("https://pve")], ["vzdump", "proxmox"]);
    }
}
