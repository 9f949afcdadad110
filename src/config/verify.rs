//! `[verify]`: how much of the backups is proven, and how much that may take.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Deserialize;

use super::errors::Complaints;
use super::text;
use crate::domain::proof::{Level, method};
use crate::domain::window::Window;
use crate::formats::archive::UNPACK_LIMIT;

/// More threads than this would only fight for the disks.
const MOST_WORKERS: usize = 64;

/// The verifier of the daemon.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Verify {
    /// Whether the daemon reads archives at all.
    pub enabled: bool,
    /// How much to prove: 1 present, 2 decodes to its end, 3 complete.
    pub level: u8,
    /// Less than `level` is enough: of formats that allow no more.
    pub accept_level: Option<u8>,
    /// Archives read at the same time.
    pub workers: usize,
    /// Bytes read per second, all workers together.
    #[serde(deserialize_with = "text::some_size")]
    pub rate: Option<u64>,
    /// Niceness of the reading threads.
    pub nice: u8,
    /// Whether they read only when nobody else wants the disk.
    pub idle_io: bool,
    /// Time of day at which archives may be read, such as `22:00-06:00`.
    pub window: Option<String>,
    /// Zone of the window.
    #[serde(deserialize_with = "text::time_zone")]
    pub time_zone: TimeZone,
    /// A proof that is older is renewed.
    #[serde(deserialize_with = "text::duration")]
    pub reverify_after: Duration,
    /// An archive that takes longer could not be checked.
    #[serde(deserialize_with = "text::duration")]
    pub archive_timeout: Duration,
    /// An archive of which more is unpacked without any structure of its format could not be checked.
    #[serde(deserialize_with = "text::size")]
    pub unpack_limit: u64,
    /// A reading that stands still for so long is given up: its share doesn't answer.
    #[serde(deserialize_with = "text::duration")]
    pub stall_timeout: Duration,
}

/// Long enough for a server that is started again.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(5 * 60);

impl Default for Verify {
    fn default() -> Self {
        Self {
            enabled: true,
            level: Level::Complete.number(),
            accept_level: None,
            workers: 1,
            // A gigabit link stays usable for others.
            rate: Some(80 << 20),
            nice: 19,
            idle_io: true,
            window: None,
            time_zone: TimeZone::system(),
            reverify_after: Duration::from_secs(30 * 24 * 60 * 60),
            archive_timeout: Duration::from_secs(24 * 60 * 60),
            unpack_limit: UNPACK_LIMIT,
            stall_timeout: STALL_TIMEOUT,
        }
    }
}

impl Verify {
    /// How much to prove.
    pub fn level(&self) -> Level {
        method::asked(self.level.into()).unwrap_or(Level::Complete)
    }

    /// From which level on a backup of a source is proven, given what the source itself accepts; `None` where nobody said.
    pub fn accepted(&self, own: Option<u8>) -> Option<Level> {
        own.or(self.accept_level).and_then(|level| method::asked(level.into()))
    }

    /// Complains about a level that can't be accepted.
    pub(super) fn check_accepted(&self, level: Option<u8>, key: String, complaints: &mut Complaints) {
        let wrong = level.is_some_and(|level| method::asked(level.into()).is_none() || level > self.level);
        if wrong {
            complaints.add(key, format!("must be from 1 to {}, which verify.level asks for", self.level));
        }
    }

    /// When archives may be read.
    pub fn window(&self) -> Option<Window> {
        self.window.as_deref().and_then(|text| Window::parse(text, self.time_zone.clone()))
    }

    pub(super) fn check(&self, complaints: &mut Complaints) {
        let mut wrong = |key: &str, sentence: &str| complaints.add(format!("verify.{key}"), sentence.to_owned());
        if method::asked(self.level.into()).is_none() {
            wrong("level", &format!("must be {}", method::choices()));
        }
        if !(1..=MOST_WORKERS).contains(&self.workers) {
            wrong("workers", "must be from 1 to 64");
        }
        if self.nice > 19 {
            wrong("nice", "must be from 0 to 19");
        }
        if self.rate.is_some_and(|rate| rate < 1 << 20) {
            wrong("rate", "must be at least 1MiB per second, or no archive of today's sizes is ever read to its end");
        }
        if let Some(sentence) = text::wrong_window(self.window.as_deref(), "22:00-06:00") {
            wrong("window", &sentence);
        }
        if self.unpack_limit < 1 << 20 {
            wrong("unpack_limit", "must be at least 1MiB");
        }
        for (key, value) in [("reverify_after", self.reverify_after), ("archive_timeout", self.archive_timeout)] {
            if value < Duration::from_secs(60) {
                wrong(key, "must be at least 1m");
            }
        }
        if self.stall_timeout < Duration::from_secs(1) {
            wrong("stall_timeout", "must be at least 1s");
        }
        self.check_accepted(self.accept_level, "verify.accept_level".to_owned(), complaints);
    }
}
