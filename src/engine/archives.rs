//! Opens archives, each as its own source does: not every backup is a file of a directory.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::ports::{Archives, OpenArchive};
use crate::domain::ids::SourceName;
use crate::domain::proof::ArchiveId;

/// What opens the archives of each source.
#[derive(Clone, Default)]
pub struct ArchivesBySource(BTreeMap<SourceName, Arc<dyn Archives>>);

impl ArchivesBySource {
    /// One for each source.
    pub fn new(all: impl IntoIterator<Item = (SourceName, Arc<dyn Archives>)>) -> Self {
        Self(all.into_iter().collect())
    }
}

impl Archives for ArchivesBySource {
    fn open(&self, archive: &ArchiveId) -> io::Result<Box<dyn OpenArchive>> {
        match self.0.get(&archive.source) {
            Some(its) => its.open(archive),
            // Not "not found": that would say that the archive is gone.
            None => Err(io::Error::other(format!("there is no source called {}", archive.source))),
        }
    }
}

/// What opens the archives of a source whose places are of several sorts.
pub struct ArchivesByRoot {
    /// Those of places that are no directories, by their paths.
    pub elsewhere: BTreeMap<Arc<str>, Arc<dyn Archives>>,
    /// All others.
    pub others: Arc<dyn Archives>,
}

impl Archives for ArchivesByRoot {
    fn open(&self, archive: &ArchiveId) -> io::Result<Box<dyn OpenArchive>> {
        self.elsewhere.get(&archive.root).unwrap_or(&self.others).open(archive)
    }
}

/// Of a source that holds none, or gives none out: why.
pub struct NoArchives(pub &'static str);

impl Archives for NoArchives {
    fn open(&self, _: &ArchiveId) -> io::Result<Box<dyn OpenArchive>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(&'static str);

    impl Archives for Named {
        fn open(&self, _: &ArchiveId) -> io::Result<Box<dyn OpenArchive>> {
            Err(io::Error::other(self.0))
        }
    }

    #[test]
    fn each_source_opens_its_own() {
        let name = |text: &str| text.parse::<SourceName>().unwrap();
        let all = ArchivesBySource::new([("a", "of a"), ("b", "of b")].map(|(source, says)| {
            let its: Arc<dyn Archives> = Arc::new(Named(says));
            (name(source), its)
        }));
        let open = |source: &str| {
            let archive = ArchiveId { source: name(source), root: "/r".into(), file: "f".into() };
            all.open(&archive).map(drop).unwrap_err()
        };
        assert_eq!((open("a").to_string(), open("b").to_string()), ("of a".to_owned(), "of b".to_owned()));
        assert_eq!(open("c").kind(), io::ErrorKind::Other, "that a source is gone says nothing of its archives");
    }
}
