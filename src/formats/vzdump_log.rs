//! The log that vzdump leaves beside an archive.
//!
//! ```text
//! YYYY-MM-DD HH:MM:SS LEVEL: text        since Proxmox VE 5.1
//! Nov 25 HH:MM:SS LEVEL: text            before (`%b %d`, so the month is a word of the node's language)
//! ```
//! A run succeeded if a line says `Finished Backup of VM <id> (h:mm:ss)`, failed if one says
//! `Backup of VM <id> failed - <reason>`; other ERROR and WARN lines alone fail nothing (a guest that could not be frozen
//! is backed up all the same). The times of lines aren't used: when the run began stands in the name of the file.
//!
//! Volumes that the run left out: `exclude disk 'scsi1' '…' (backup=no)`, `excluding volume mount point mp0 ('/data') from
//! backup (disabled)`. Sources: pve-manager `PVE/VZDump.pm`, pve-guest-common `PVE/VZDump/Plugin.pm` (`debugmsg`),
//! qemu-server `PVE/VZDump/QemuServer.pm`, pve-container `PVE/VZDump/LXC.pm`.

use std::sync::Arc;
use std::time::Duration;

use memchr::memchr;

use crate::domain::printable::printable;
use crate::domain::run_log::{Complaint, LeftOut, LogEnd, LoggedSize, RunLog};

/// No more than this is read of a log; real ones have a few KiB, long runs some hundred.
pub const MAX_BYTES: u64 = 1 << 20;

/// Of a longer log this much of its beginning and as much of its end within [`MAX_BYTES`] are enough: the name of the
/// guest stands at the beginning, the outcome at the end.
pub const HEAD_BYTES: u64 = 128 << 10;

/// Longest reason that is kept, in bytes.
const MAX_REASON: usize = 400;

/// So many complaints are kept, among them the first and an error if there is one; the rest is counted.
pub const MAX_COMPLAINTS: usize = 20;

/// So many volumes that were left out are kept: more than a guest has.
const MAX_LEFT_OUT: usize = 64;

/// Longest name of a volume that is kept, in bytes.
const MAX_VOLUME: usize = 120;

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

/// What follows the time of a line, in one of its two forms.
fn after_stamp(line: &[u8]) -> Option<&[u8]> {
    let rest = shaped(line, b"0000-00-00 ").or_else(|| after_month_and_day(line))?;
    shaped(rest, b"00:00:00 ")
}

fn after_month_and_day(line: &[u8]) -> Option<&[u8]> {
    let month = memchr(b' ', line).filter(|length| (1..=MAX_MONTH).contains(length))?;
    let is_word = !line[..month].iter().all(u8::is_ascii_digit);
    let rest = &line[month + 1..];
    // Days are `05`; ` 5` and `5` as other programs write them do no harm.
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    shaped(rest, b"00 ").or_else(|| shaped(rest, b"0 ")).filter(|_| is_word)
}

/// Longest name of a month in any language, in bytes.
const MAX_MONTH: usize = 24;

/// What follows a text of this shape, in which `0` stands for any digit.
fn shaped<'a>(text: &'a [u8], shape: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(shape.len())?;
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    head.iter().zip(shape).all(fits).then_some(rest)
}

struct Scan {
    vmid: u32,
    found: RunLog,
}

impl Scan {
    fn new(vmid: u32) -> Self {
        // Until a line is understood.
        let found = RunLog { end: LogEnd::Foreign, ..RunLog::default() };
        Self { vmid, found }
    }

    fn line(&mut self, line: &[u8]) {
        let Some(rest) = after_stamp(line) else { return };
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        let Some((level, text)) = [&b"INFO: "[..], b"ERROR: ", b"WARN: "]
            .into_iter()
            .find_map(|level| rest.strip_prefix(level).map(|text| (level[0], text)))
        else {
            return;
        };
        if self.found.end == LogEnd::Foreign {
            self.found.end = LogEnd::Open;
        }
        match level {
            b'I' => self.info(text),
            b'E' => self.error(text),
            _ => self.complain(false, text),
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
            Some(b'e') => {
                self.found.left_out.extend(left_out(text).filter(|_| self.found.left_out.len() < MAX_LEFT_OUT))
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
            LogEnd::Finished(_) | LogEnd::Open | LogEnd::Foreign => self.complain(true, text),
        }
    }

    fn complain(&mut self, error: bool, text: &[u8]) {
        let found = &mut self.found;
        found.complaint_count = found.complaint_count.saturating_add(1);
        if found.complaints.len() < MAX_COMPLAINTS {
            found.complaints.push(Complaint { error, text: shorten(text) });
        } else if error && !found.complaints.iter().any(|known| known.error) {
            // The worst must not be lost behind many that are harmless.
            found.complaints.pop();
            found.complaints.push(Complaint { error, text: shorten(text) });
        }
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

/// A volume that the line says is not in the backup. Directories and devices of the host never are, and don't count.
fn left_out(text: &[u8]) -> Option<LeftOut> {
    if let Some(rest) = text.strip_prefix(b"exclude disk ") {
        // An EFI disk of a machine without EFI is left out for another reason, and isn't missed.
        let rest = rest.trim_ascii_end().strip_suffix(b" (backup=no)")?;
        let (key, rest) = quoted(rest)?;
        let volume = rest.strip_prefix(b" ").and_then(quoted).map(|(volume, _)| volume);
        return Some(LeftOut { key: short(key), volume: volume.map(short) });
    }
    let rest = text.strip_prefix(b"excluding volume mount point ")?;
    let (key, rest) = rest.split_at(memchr(b' ', rest)?);
    let (path, _) = quoted(rest.strip_prefix(b" (")?)?;
    Some(LeftOut { key: short(key), volume: Some(short(path)) })
}

/// The text between the first two quotes, and what follows them.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"'")?;
    let end = memchr(b'\'', text)?;
    Some((&text[..end], &text[end + 1..]))
}

fn short(text: &[u8]) -> Box<str> {
    printable(&text[..text.len().min(MAX_VOLUME)]).into()
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
