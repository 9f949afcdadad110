//! What lies over a database, in the order in which SQLite looks: the write-ahead log, then what a journal takes back.

use super::journal::{self, Journal};
use super::overlay::Overlay;
use super::{HEADER, wal};
use crate::domain::finding::Findings;
use crate::formats::beside::Companions;
use crate::formats::dump_content::Fault;
use crate::formats::stream::Stop;

pub(super) struct Layers<'a> {
    wal: Option<Overlay<'a>>,
    journal: Option<Overlay<'a>>,
    /// Of all of them.
    pub(super) page_size: u64,
}

impl<'a> Layers<'a> {
    /// `None` if whether a journal counts can't be told.
    pub(super) fn open(
        companions: &'a mut Companions<'_>,
        page_size: u64,
        findings: &mut Findings,
    ) -> Result<Option<Self>, Fault> {
        let (wal_file, journal_file) = companions.both();
        let mut layers = Self { wal: None, journal: None, page_size };
        if let Some(log) = journal_file {
            match journal::read(log, findings)? {
                Journal::Cold => {}
                Journal::Super => return Ok(None),
                Journal::Hot(overlay, page_size) => {
                    (layers.journal, layers.page_size) = (Some(overlay), page_size);
                }
            }
        }
        if let Some(log) = wal_file {
            layers.wal = wal::read(log, layers.page_size, findings)?;
        }
        Ok(Some(layers))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wal.is_none() && self.journal.is_none()
    }

    /// Pages of the database as they say.
    pub(super) fn pages(&self) -> Option<u32> {
        self.wal.as_ref().or(self.journal.as_ref()).map(|overlay| overlay.pages)
    }

    /// Reads a page over what is in the buffer, if it is in one of them.
    pub(super) fn read(&mut self, page: u32, buffer: &mut [u8]) -> Result<bool, Stop> {
        for overlay in [&mut self.wal, &mut self.journal].into_iter().flatten() {
            if overlay.read(page, buffer)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The header of the database, if its first page is in one of them.
    pub(super) fn first_page(&mut self) -> Result<Option<[u8; HEADER]>, Stop> {
        let mut bytes = [0; HEADER];
        Ok(self.read(1, &mut bytes)?.then_some(bytes))
    }
}
