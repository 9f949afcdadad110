//! A source that knows an estate, and no backups of it yet: what backs up its machines is seen where the backups are.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::account::Account;
use super::client::{Client, Server, opened};
use super::failure::Failure;
use super::inventory::{Found, WANTED};
use super::properties;
use super::session::Session;
use super::xml;
use crate::adapters::machine::answer_file;
use crate::domain::esxi::EsxiBook;
use crate::domain::look::estate::EstateLook;
use crate::domain::look::{Look, LookError, PlaceListing, PlaceLook, SourceSpec};
use crate::domain::secret::Secret;
use crate::engine::archives::NoArchives;
use crate::engine::ports::{Archives, Source};

/// Who answers.
enum Answering {
    Server(Box<Session>),
    /// A reply that somebody recorded.
    Recorded(PathBuf),
}

/// The estate of one server.
pub struct EstateSource {
    spec: Arc<SourceSpec>,
    answering: Answering,
    /// What the log said last of what isn't shown.
    told: u32,
    nothing: Arc<PlaceListing>,
}

impl EstateSource {
    /// Over the one place of the spec. Connects nowhere yet.
    pub fn new(spec: Arc<SourceSpec>, server: &Server, account: Account) -> anyhow::Result<Self> {
        Ok(Self::with(spec, Answering::Server(Box::new(Session::new(Client::new(server)?, account)))))
    }

    /// Of a file with the reply to `RetrievePropertiesEx`, all of it in one page.
    pub fn recorded(spec: Arc<SourceSpec>, file: PathBuf) -> Self {
        Self::with(spec, Answering::Recorded(file))
    }

    fn with(spec: Arc<SourceSpec>, answering: Answering) -> Self {
        Self { spec, answering, told: 0, nothing: Arc::default() }
    }

    fn book(&mut self, now: Timestamp) -> Result<EsxiBook, LookError> {
        let session = match &mut self.answering {
            Answering::Server(session) => session,
            Answering::Recorded(file) => return recorded(file, self.spec.stale_after(), now),
        };
        // The scanner gives up a scan after this time; a little before it the reason is still told.
        let limit = self.spec.scan_timeout.mul_f64(0.95);
        let found = session.run(limit, |client, content| {
            let mut found = Found::default();
            properties::each(client, content, WANTED, |object| found.take(object))?;
            Ok(found.book())
        });
        found.and_then(with_a_host).map_err(|failure| {
            let place = self.spec.places.first().map_or("the server", |place| &place.path);
            failure.look_error(&format!("looking at {place}"), session.account())
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

fn with_a_host(book: EsxiBook) -> Result<EsxiBook, Failure> {
    match book.hosts.is_empty() {
        // A server without a host there is none, but users who may see nothing there are.
        true => Err(Failure::ShowsNothing),
        false => Ok(book),
    }
}

/// What a recorded reply says, if it isn't older than `stale_after`.
fn recorded(file: &Path, stale_after: Duration, now: Timestamp) -> Result<EsxiBook, LookError> {
    let text = answer_file::read(file, stale_after, now)?;
    let mut found = Found::default();
    let read = xml::read(text.as_bytes())
        .map_err(Failure::from)
        .and_then(|envelope| opened(envelope, "RetrievePropertiesEx", 200))
        .and_then(|reply| match reply.child("returnval") {
            Some(page) => properties::of_page(page, |object| found.take(object)).map(drop),
            None => Ok(()),
        });
    let nobody = Account { user: String::new(), password: Secret::from(String::new()) };
    let failed = |failure: Failure| failure.look_error(&format!("reading {}", file.display()), &nobody);
    read.and_then(|()| with_a_host(found.book())).map_err(failed)
}

impl Source for EstateSource {
    fn spec(&self) -> &Arc<SourceSpec> {
        &self.spec
    }

    fn archives(&self) -> Arc<dyn Archives> {
        Arc::new(NoArchives("a vSphere server tells of no backups"))
    }

    fn look(&mut self, now: Timestamp) -> Look {
        let found = self.book(now);
        if let Answering::Server(session) = &mut self.answering {
            session.rest_for(self.spec.scan_interval);
        }
        let listing = found.as_ref().map(|_| self.nothing.clone()).map_err(Clone::clone);
        let places = vec![PlaceLook { listing, capacity: None }];
        let Ok(book) = found else { return Look { places, estate: EstateLook::default() } };
        self.tell(&book);
        Look { places, estate: EstateLook { esxi: Some(Ok(Arc::new(book))), ..EstateLook::default() } }
    }
}
