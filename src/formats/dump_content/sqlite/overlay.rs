//! Pages that a log beside a database has in place of those in the database: where they are, not what is in them.

use super::pages::MOST;
use crate::formats::beside::{ReadAt, read_at};
use crate::formats::stream::Stop;

/// Offsets are kept in this unit, in 32 bits: every page of a log begins at a multiple of it.
const UNIT: u64 = 4;

/// Why a log can't be followed.
pub(super) fn too_large(what: &str) -> Stop {
    Stop::Limit(format!("the {what} beside the database is too large to be applied"))
}

/// Where the pages of a log are.
pub(super) struct Overlay<'a> {
    log: &'a mut dyn ReadAt,
    /// By page number; 0 for a page that is not in the log, which nothing begins with.
    at: Vec<u32>,
    /// Pages of the database, once the log is applied.
    pub(super) pages: u32,
}

impl<'a> Overlay<'a> {
    /// An overlay without pages.
    pub(super) fn new(log: &'a mut dyn ReadAt, pages: u32) -> Self {
        Self { log, at: Vec::new(), pages }
    }

    /// Notes where a page is; a page that comes again replaces the one before if `again`.
    pub(super) fn put(&mut self, page: u32, offset: u64, again: bool, what: &str) -> Result<(), Stop> {
        let offset = u32::try_from(offset / UNIT).map_err(|_| too_large(what))?;
        if page > MOST {
            return Err(too_large(what));
        }
        let index = page as usize;
        if self.at.len() <= index {
            self.at.resize(index + 1, 0);
        }
        if again || self.at[index] == 0 {
            self.at[index] = offset;
        }
        Ok(())
    }

    /// Reads of the log itself.
    pub(super) fn look(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize, Stop> {
        read_at(self.log, buffer, offset)
    }

    /// Reads a page, if the log has it.
    pub(super) fn read(&mut self, page: u32, buffer: &mut [u8]) -> Result<bool, Stop> {
        let at = self.at.get(page as usize).copied().unwrap_or_default();
        if at == 0 {
            return Ok(false);
        }
        let count = read_at(self.log, buffer, u64::from(at) * UNIT)?;
        // It was all there a moment ago.
        let gone = || Stop::Read(std::io::Error::other("a log beside the database became shorter while it was read"));
        if count < buffer.len() { Err(gone()) } else { Ok(true) }
    }
}
