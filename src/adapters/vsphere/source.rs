//! A source that knows an estate, and no backups of it yet: what backs up its machines is seen where the backups are.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;

use super::account::Account;
use super::client::{Client, Server};
use super::failure::Failure;
use super::inventory::{Found, WANTED};
use super::properties;
use super::session::Session;
use crate::domain::esxi::EsxiBook;
use crate::domain::look::estate::EstateLook;
use crate::domain::look::{Look, LookError, PlaceListing, PlaceLook, SourceSpec};
use crate::domain::proof::ArchiveId;
use crate::engine::ports::{Archives, OpenArchive, Source};

/// The estate of one server.
pub struct EstateSource {
    spec: Arc<SourceSpec>,
    session: Session,
    /// What the log said last of what isn't shown.
    told: u32,
    nothing: Arc<PlaceListing>,
}

impl EstateSource {
    /// Over the one place of the spec. Connects nowhere yet.
    pub fn new(spec: Arc<SourceSpec>, server: &Server, account: Account) -> anyhow::Result<Self> {
        let session = Session::new(Client::new(server)?, account);
        Ok(Self { spec, session, told: 0, nothing: Arc::default() })
    }

    fn book(&mut self) -> Result<EsxiBook, LookError> {
        // The scanner gives up a scan after this time; a little before it the reason is still told.
        let limit = self.spec.scan_timeout.mul_f64(0.95);
        let found = self.session.run(limit, |client, content| {
            let mut found = Found::default();
            properties::each(client, content, WANTED, |object| found.take(object))?;
            Ok(found.book())
        });
        let book = found.and_then(|book| match book.hosts.is_empty() {
            // A server without a host there is none, but users who may see nothing there are.
            true => Err(Failure::ShowsNothing),
            false => Ok(book),
        });
        book.map_err(|failure| {
            let place = self.spec.places.first().map_or("the server", |place| &place.path);
            failure.look_error(&format!("looking at {place}"), self.session.account())
        })
    }

    fn tell(&mut self, book: &EsxiBook) {
        if book.unreadable != std::mem::replace(&mut self.told, book.unreadable) && book.unreadable > 0 {
            tracing::warn!(
                source = %self.spec.name,
                count = book.unreadable,
                first = %book.unread.join("; "),
                "properties that the server doesn't show; {}", super::failure::RIGHTS
            );
        }
    }
}

impl Source for EstateSource {
    fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    fn archives(&self) -> Arc<dyn Archives> {
        Arc::new(NoArchives)
    }

    fn look(&mut self, _: Timestamp) -> Look {
        let found = self.book();
        self.session.rest_for(self.spec.scan_interval);
        let listing = found.as_ref().map(|_| self.nothing.clone()).map_err(Clone::clone);
        let places = vec![PlaceLook { listing, capacity: None }];
        let Ok(book) = found else { return Look { places, estate: EstateLook::default() } };
        self.tell(&book);
        Look { places, estate: EstateLook { esxi: Some(Ok(Arc::new(book))), ..EstateLook::default() } }
    }
}

/// There are none.
struct NoArchives;

impl Archives for NoArchives {
    fn open(&self, archive: &ArchiveId) -> io::Result<Box<dyn OpenArchive>> {
        Err(io::Error::new(io::ErrorKind::NotFound, format!("{} holds no archives", archive.source)))
    }
}
