//! The grammar of names in a vzdump directory.
//!
//! ```text
//! vzdump-<qemu|lxc|openvz>-<vmid>-<YYYY>_<MM>_<DD>-<HH>_<MM>_<SS>      the base, local time of the node
//!   .tgz | .tar[.gz|.lzo|.zst|.bz2] | .vma[.gz|.lzo|.zst|.bz2]         archive
//!   <archive>.notes  <archive>.protected                               side files of an archive
//!   <archive>.sha256  .sha256sum  .md5  .md5sum                        checksum file that somebody made beside it
//!   .log                                                               log of the run
//!   .dat  .vma.dat  .tar.dat  .tmp                                     temporary file and directory of a run
//!   .part  .partial  .filepart   and   .<name>.<6 random>              an archive that is being copied here
//! ```
//! Sources: pve-storage `PVE/Storage.pm` (`BACKUP_EXT_RE_2`, `archive_info`), pve-manager `PVE/VZDump.pm`.

use jiff::civil::DateTime;

use crate::domain::attempt::Sidecar;
use crate::domain::ids::{GuestKind, ItemId, VMID_RANGE};
use crate::domain::run::RunName;

/// What a file in a vzdump directory is, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VzdumpName {
    /// An archive under its final name.
    Archive(RunName),
    /// The log of a run.
    Log(RunName),
    /// Notes of the archive with this name.
    Notes(RunName, Extension),
    /// Marks the archive with this extension as protected.
    Protected(RunName, Extension),
    /// A checksum file of the archive with this extension.
    Checksum(RunName, Extension, Sidecar),
    /// A temporary file or directory of a run.
    Temporary(RunName),
    /// A file on its way here under the temporary name of a copying tool.
    Copying(RunName),
    /// An archive that somebody renamed: of this guest, at an unknown time. Proxmox VE lists it and never prunes it.
    Renamed(ItemId),
    /// Begins like a vzdump file and is none.
    LookAlike,
    /// Something else.
    Other,
}

/// Extension of an archive, without the leading dot; ties side files to their archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extension(&'static str);

impl Extension {
    /// All that Proxmox VE takes for a backup.
    pub const ALL: [Self; 11] = [
        Self("tgz"),
        Self("tar"),
        Self("tar.gz"),
        Self("tar.lzo"),
        Self("tar.zst"),
        Self("tar.bz2"),
        Self("vma"),
        Self("vma.gz"),
        Self("vma.lzo"),
        Self("vma.zst"),
        Self("vma.bz2"),
    ];

    /// The extension that this text is.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.0.as_bytes() == text)
    }

    /// As in the file name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// Reads a file name.
pub fn parse(name: &[u8]) -> VzdumpName {
    let Some(rest) = name.strip_prefix(b"vzdump-") else {
        return rsync_temporary(name).map_or(VzdumpName::Other, VzdumpName::Copying);
    };
    match base(rest) {
        Some((run, suffix)) => with_suffix(run, suffix),
        None => irregular(rest),
    }
}

/// The extension of an archive name that [`parse`] accepted.
pub fn extension(name: &[u8]) -> Option<Extension> {
    let start = name.iter().position(|byte| *byte == b'.')?;
    Extension::parse(&name[start + 1..])
}

fn with_suffix(run: RunName, suffix: &[u8]) -> VzdumpName {
    match suffix {
        b".log" => return VzdumpName::Log(run),
        b".dat" | b".vma.dat" | b".tar.dat" | b".tmp" => return VzdumpName::Temporary(run),
        _ => {}
    }
    let Some(suffix) = suffix.strip_prefix(b".") else {
        return irregular_run(run, suffix);
    };
    if Extension::parse(suffix).is_some() {
        return VzdumpName::Archive(run);
    }
    if let Some(extension) = suffix.strip_suffix(b".notes").and_then(Extension::parse) {
        return VzdumpName::Notes(run, extension);
    }
    if let Some(extension) = suffix.strip_suffix(b".protected").and_then(Extension::parse) {
        return VzdumpName::Protected(run, extension);
    }
    if let Some((stem, kind)) = without_checksum_ending(suffix)
        && let Some(extension) = Extension::parse(stem)
    {
        return VzdumpName::Checksum(run, extension, kind);
    }
    if [&b".part"[..], b".partial", b".filepart"].iter().any(|ending| suffix.ends_with(ending)) {
        return VzdumpName::Copying(run);
    }
    irregular_run(run, suffix)
}

/// rsync writes `.NAME.AbC123` and renames it.
fn rsync_temporary(name: &[u8]) -> Option<RunName> {
    let rest = name.strip_prefix(b".vzdump-")?;
    let (head, random) = rest.split_at_checked(rest.len().checked_sub(7)?)?;
    let is_random = random[0] == b'.' && random[1..].iter().all(u8::is_ascii_alphanumeric);
    base(head).filter(|_| is_random).map(|(run, _)| run)
}

/// A right base with a wrong tail, such as `….vma.xz` or `…-old.vma.zst`.
fn irregular_run(run: RunName, suffix: &[u8]) -> VzdumpName {
    if ends_like_archive(suffix) {
        VzdumpName::Renamed(run.item())
    } else if without_checksum_ending(suffix).is_some_and(|(stem, _)| ends_like_archive(stem)) {
        VzdumpName::Other
    } else {
        VzdumpName::LookAlike
    }
}

/// `vzdump-<type>-<anything>.<ext>`: Proxmox VE lists it and guesses the VMID from the digits.
fn irregular(rest: &[u8]) -> VzdumpName {
    let renamed = || {
        let (kind, tail) = kind(rest)?;
        let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let vmid = number(&tail[..digits]).filter(|id| VMID_RANGE.contains(id))?;
        (tail.get(digits) == Some(&b'-') && ends_like_archive(tail)).then_some(ItemId::guest(kind, vmid))
    };
    match renamed() {
        Some(item) => VzdumpName::Renamed(item),
        // That of a renamed archive says nothing more of it.
        None if without_checksum_ending(rest).is_some_and(|(stem, _)| ends_like_archive(stem)) => VzdumpName::Other,
        None => VzdumpName::LookAlike,
    }
}

fn without_checksum_ending(name: &[u8]) -> Option<(&[u8], Sidecar)> {
    Sidecar::ENDINGS.into_iter().find_map(|(ending, kind)| {
        let stem = name.strip_suffix(ending.as_bytes())?.strip_suffix(b".")?;
        Some((stem, kind))
    })
}

fn ends_like_archive(text: &[u8]) -> bool {
    let ends =
        |extension: Extension| text.strip_suffix(extension.0.as_bytes()).is_some_and(|head| head.ends_with(b"."));
    Extension::ALL.into_iter().any(ends) && std::str::from_utf8(text).is_ok()
}

fn kind(rest: &[u8]) -> Option<(GuestKind, &[u8])> {
    let dash = rest.iter().position(|byte| *byte == b'-')?;
    Some((GuestKind::parse(&rest[..dash])?, &rest[dash + 1..]))
}

fn base(rest: &[u8]) -> Option<(RunName, &[u8])> {
    let (kind, rest) = kind(rest)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let vmid = number(&rest[..digits]).filter(|id| VMID_RANGE.contains(id) && !rest.starts_with(b"0"))?;
    let rest = rest[digits..].strip_prefix(b"-")?;
    let (stamp, suffix) = rest.split_at_checked("2026_01_31-02_00_05".len())?;
    Some((RunName { kind, vmid, local: local_time(stamp)? }, suffix))
}

/// `YYYY_MM_DD-HH_MM_SS`; `None` when a field isn't digits or no such day or time exists.
fn local_time(stamp: &[u8]) -> Option<DateTime> {
    let fits = stamp.iter().zip(b"0000_00_00-00_00_00").all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    });
    if !fits {
        return None;
    }
    let field = |from: usize, to: usize| number(&stamp[from..to]).and_then(|n| i8::try_from(n).ok());
    let year = number(&stamp[..4]).and_then(|n| i16::try_from(n).ok())?;
    DateTime::new(year, field(5, 7)?, field(8, 10)?, field(11, 13)?, field(14, 16)?, field(17, 19)?, 0).ok()
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests;
