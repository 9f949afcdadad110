//! The log that vzdump leaves beside an archive.
//!
//! Lines are `YYYY-MM-DD HH:MM:SS LEVEL: text`. A run succeeded if one says `Finished Backup of VM <id> (h:mm:ss)`,
//! failed if one says `Backup of VM <id> failed - <reason>`; other ERROR and WARN lines alone fail nothing (a guest
//! that could not be frozen is backed up all the same). Source: pve-manager `PVE/VZDump.pm`.

use std::sync::Arc;
use std::time::Duration;

use memchr::memchr;

use super::printable::printable;
use crate::domain::run::{LogEnd, LoggedSize, RunLog};

/// No more than this is read of a log; real ones have a few KiB, long runs some hundred.
pub const MAX_BYTES: u64 = 1 << 20;

/// Of a longer log this much of its beginning and as much of its end within [`MAX_BYTES`] are enough: the name of the
/// guest stands at the beginning, the outcome at the end.
pub const HEAD_BYTES: u64 = 128 << 10;

/// Longest reason that is kept, in bytes.
const MAX_REASON: usize = 400;

/// What a log says of a run of this VMID.
pub fn parse(text: &[u8], vmid: u32) -> RunLog {
    let mut log = Scan::new(vmid);
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        log.line(&rest[..end]);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    log.found
}

/// Length of `YYYY-MM-DD HH:MM:SS `.
const STAMP: usize = 20;

struct Scan {
    vmid: u32,
    found: RunLog,
}

impl Scan {
    fn new(vmid: u32) -> Self {
        let found = RunLog { end: LogEnd::Open, guest_name: None, archive_size: None, complaints: 0, complaint: None };
        Self { vmid, found }
    }

    fn line(&mut self, line: &[u8]) {
        let Some((stamp, rest)) = line.split_at_checked(STAMP) else { return };
        if stamp[STAMP - 1] != b' ' || !stamp[0].is_ascii_digit() {
            return;
        }
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        if let Some(text) = rest.strip_prefix(b"INFO: ") {
            self.info(text);
        } else if let Some(text) = rest.strip_prefix(b"ERROR: ") {
            self.error(text);
        } else if let Some(text) = rest.strip_prefix(b"WARN: ") {
            self.complain(text);
        }
    }

    fn info(&mut self, text: &[u8]) {
        // Most lines are progress, which begins with blanks or digits.
        match text.first() {
            Some(b'F') => {
                if let Some(duration) = self.finished(text) {
                    self.found.end = LogEnd::Finished(duration);
                }
            }
            Some(b'V' | b'C') => {
                let name = text.strip_prefix(b"VM Name: ").or_else(|| text.strip_prefix(b"CT Name: "));
                if let Some(name) = name.filter(|name| !name.is_empty()) {
                    self.found.guest_name = Some(Arc::from(printable(name.trim_ascii())));
                }
            }
            Some(b'a') => {
                if let Some(size) = text.strip_prefix(b"archive file size: ") {
                    self.found.archive_size = logged_size(size);
                }
            }
            _ => {}
        }
    }

    fn finished(&self, text: &[u8]) -> Option<Duration> {
        let rest = self.of_this_guest(text.strip_prefix(b"Finished Backup of VM ")?)?;
        let clock = rest.strip_prefix(b" (")?.strip_suffix(b")")?;
        let mut parts = std::str::from_utf8(clock).ok()?.split(':');
        let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
        let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n < 1_000_000);
        if parts.next().is_some() {
            return None;
        }
        Some(Duration::from_secs(number(hours)? * 3600 + number(minutes)? * 60 + number(seconds)?))
    }

    fn error(&mut self, text: &[u8]) {
        let failure = text
            .strip_prefix(b"Backup of VM ")
            .and_then(|rest| self.of_this_guest(rest))
            .and_then(|rest| rest.strip_prefix(b" failed - "));
        if let Some(reason) = failure {
            self.found.end = LogEnd::Failed(shorten(reason));
            return;
        }
        match &mut self.found.end {
            // Further lines of the reason.
            LogEnd::Failed(reason) if reason.len() < MAX_REASON => {
                *reason = shorten(format!("{reason} {}", printable(text)).as_bytes());
            }
            LogEnd::Failed(_) => {}
            LogEnd::Finished(_) | LogEnd::Open => self.complain(text),
        }
    }

    fn complain(&mut self, text: &[u8]) {
        self.found.complaints = self.found.complaints.saturating_add(1);
        self.found.complaint.get_or_insert_with(|| shorten(text));
    }

    fn of_this_guest<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let id: u32 = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
        (id == self.vmid).then_some(&text[digits..])
    }
}

fn shorten(text: &[u8]) -> Box<str> {
    let cut = &text[..text.len().min(MAX_REASON)];
    let text = printable(cut.trim_ascii());
    if text.is_empty() { "no reason given".into() } else { text.into() }
}

/// `17KB`, `5MB` (whole, cut off), `5.43GB`, `1.02TB` (two decimals, rounded): the smallest size that prints so.
fn logged_size(text: &[u8]) -> Option<LoggedSize> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let unit_at = text.len().checked_sub(2).filter(|at| text.is_char_boundary(*at))?;
    let (number, unit) = text.split_at(unit_at);
    let unit: f64 = match unit {
        "KB" => 1024.0,
        "MB" => 1024.0 * 1024.0,
        "GB" => 1024.0 * 1024.0 * 1024.0,
        "TB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let rounding = if number.contains('.') { 0.005 } else { 0.0 };
    let value: f64 = number.parse().ok().filter(|value: &f64| (0.0..1e9).contains(value))?;
    Some(LoggedSize { at_least: ((value - rounding).max(0.0) * unit) as u64 })
}

#[cfg(test)]
mod tests;
