//! OVF packages: a machine's description in XML, its disks, and a manifest with the checksums of all; in one archive (`.ova`)
//! or in a directory.
//!
//! Source: DMTF DSP0243 "Open Virtualization Format Specification" 1.1 and 2.1; `ovftool` and ESXi for what they write.

mod envelope;
mod manifest;
mod package;
mod sums;
#[cfg(test)]
mod tests;

pub use self::envelope::{Envelope, begins};
pub use self::package::Package;
use super::stream::{Stop, Stream, read_full};
use super::tar::{self, Content, Watch};
use crate::domain::finding::{Findings, Kind};
use crate::domain::proof::Level;

/// Longest description that is read, and longest manifest: real ones have some KiB.
pub const LONGEST: usize = 8 << 20;

/// Whether a tar archive that begins so is an OVA: its first member is the description.
pub fn begins_ova(head: &[u8]) -> bool {
    let Some(name) = head.get(..100).filter(|_| head.get(257..262) == Some(b"ustar")) else { return false };
    let name = &name[..memchr::memchr(0, name).unwrap_or(name.len())];
    name.len() > 4 && name[name.len() - 4..].eq_ignore_ascii_case(b".ovf")
}

/// Reads an `.ova` to the end of the stream.
pub fn check_ova(stream: &mut (impl Stream + ?Sized), findings: &mut Findings) -> Result<(Package, Level, u64), Stop> {
    let mut members = Members { package: Package::of_archive(), said: Findings::default() };
    let walked = tar::check_watched(stream, false, Some(&mut members), findings);
    findings.extend(members.said.into_vec());
    let summary = walked?;
    let level = members.package.conclude(findings);
    Ok((members.package, level, summary.members))
}

/// Reads a description that stands alone.
pub fn check_alone(stream: &mut (impl Stream + ?Sized), findings: &mut Findings) -> Result<(Envelope, Level), Stop> {
    let envelope = Envelope::parse(&whole(stream, "the description (.ovf)")?)?;
    let files = envelope.files.len();
    envelope.judge(findings);
    if files == 0 {
        return Ok((envelope, Level::Complete));
    }
    let text = format!(
        "only the description was read: its {files} file(s) lie beside it; verify their directory, where nothing but this package is, or each of them"
    );
    findings.say(Kind::CompanionMissing, text);
    Ok((envelope, Level::Decodes))
}

/// The whole text, if it isn't too long.
fn whole(stream: &mut (impl Stream + ?Sized), what: &str) -> Result<Vec<u8>, Stop> {
    let mut text = Vec::new();
    loop {
        let before = text.len();
        text.resize(before + (64 << 10), 0);
        let there = read_full(stream, &mut text[before..])?;
        text.truncate(before + there);
        if text.len() > LONGEST {
            return Err(Stop::Limit(format!("{what} has more than {LONGEST} bytes: it is not read")));
        }
        if there < 64 << 10 {
            return Ok(text);
        }
    }
}

/// The members of an archive, as they come.
struct Members {
    package: Package,
    said: Findings,
}

impl Watch for Members {
    fn member(&mut self, name: &[u8], bytes: u64, content: &mut Content<'_>) -> Result<(), Stop> {
        self.package.read(&String::from_utf8_lossy(name), bytes, content, &mut self.said)
    }
}
