//! Members that GNU tar can't extract: it goes on with the next one, and fails in the end.
//!
//! What is here was tried with GNU tar 1.34, `tar -x --numeric-owner` as a restore calls it.

use std::hash::{DefaultHasher, Hasher as _};

use super::header::Header;
use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;

/// Bits that remember the names of members: of a million names one in a thousand that isn't there seems to be.
const BITS: u64 = 1 << 25;

/// What makes GNU tar refuse a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Parent,
    Nameless,
    NoTarget,
    MissingTarget,
    DirectoryContent,
    Field,
}

impl Reason {
    const ALL: [Self; 6] =
        [Self::Parent, Self::Nameless, Self::NoTarget, Self::MissingTarget, Self::DirectoryContent, Self::Field];

    const fn words(self) -> &'static str {
        match self {
            Self::Parent => "with “..” in the name, which the restore refuses",
            Self::Nameless => "without a name",
            Self::NoTarget => "that are symbolic links to nothing",
            Self::MissingTarget => "that are hard links to what doesn't come before them",
            Self::DirectoryContent => "that are directories by name, with content",
            Self::Field => "with a mode, owner, time or device that is no such number",
        }
    }
}

/// Collects what would be refused while the members pass by.
#[derive(Debug)]
pub(super) struct Refused {
    found: [(u64, String); Reason::ALL.len()],
    /// Names of members, and of symbolic links once more: a Bloom filter.
    names: Vec<u64>,
}

impl Refused {
    pub(super) fn new() -> Self {
        Self { found: Default::default(), names: vec![0; (BITS / 64) as usize] }
    }

    /// A member passes by: its name, where it links to, and whether it has content.
    pub(super) fn judge(&mut self, header: &Header, name: &[u8], target: &[u8], content: bool) {
        let kind = header.kind();
        if matches!(kind, b'V' | b'M' | b'N') {
            return;
        }
        let file = matches!(kind, 0 | b'0' | b'7');
        let directory = matches!(kind, b'5' | b'D') || (file && name.ends_with(b"/"));
        let path = clean(name);
        let links = kind == b'1' && !target.is_empty() && self.has_target(target);
        for (is_so, reason) in [
            (name.split(|byte| *byte == b'/').any(|part| part == b".."), Reason::Parent),
            (path.is_empty() && !directory, Reason::Nameless),
            (kind == b'2' && target.is_empty(), Reason::NoTarget),
            (kind == b'1' && !links, Reason::MissingTarget),
            (file && directory && content, Reason::DirectoryContent),
            (!header.fields_fit(), Reason::Field),
        ] {
            if is_so {
                let (count, first) = &mut self.found[reason as usize];
                if *count == 0 {
                    *first = printable(name);
                }
                *count += 1;
            }
        }
        if !directory {
            self.note(&path, b'm');
        }
        if kind == b'2' {
            self.note(&path, b's');
        }
    }

    /// Whether what a hard link points at came before, perhaps through a symbolic link.
    fn has_target(&self, target: &[u8]) -> bool {
        let path = clean(below_parents(target));
        self.has(&path, b'm') || memchr::memchr_iter(b'/', &path).any(|slash| self.has(&path[..slash], b's'))
    }

    fn has(&self, path: &[u8], what: u8) -> bool {
        places(path, what).all(|place| self.names[(place / 64) as usize] >> (place % 64) & 1 == 1)
    }

    fn note(&mut self, path: &[u8], what: u8) {
        for place in places(path, what) {
            self.names[(place / 64) as usize] |= 1 << (place % 64);
        }
    }

    pub(super) fn report(self, findings: &mut Findings) {
        for (reason, (count, first)) in Reason::ALL.into_iter().zip(self.found) {
            if count > 0 {
                let text =
                    format_args!("tar can't extract members {}: {count} of them, the first is {first}", reason.words());
                findings.say(Kind::TarHeader, text);
            }
        }
    }
}

fn places(path: &[u8], what: u8) -> impl Iterator<Item = u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(what);
    hasher.write(path);
    let hash = hasher.finish();
    [hash % BITS, (hash >> 20) % BITS, (hash >> 39) % BITS].into_iter()
}

/// The path without empty parts and dots.
fn clean(name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(name.len());
    for part in name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")) {
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
    }
    path
}

/// What GNU tar leaves of the target of a hard link: what is behind the last `..`.
fn below_parents(target: &[u8]) -> &[u8] {
    let mut rest = target;
    let mut start = 0;
    for part in target.split(|byte| *byte == b'/') {
        let end = (start + part.len() + 1).min(target.len());
        if part == b".." {
            rest = &target[end..];
        }
        start = end;
    }
    rest
}
