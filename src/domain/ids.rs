//! Names of things: sources, guests, items. Parsed once at the edge, typed from then on.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is no valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The configured name of a source is empty, too long or has characters that don't belong in a label.
    #[error("a source name has 1 to 64 characters out of a-z A-Z 0-9 _ . -, not {0:?}")]
    SourceName(String),
    /// Not `qemu/100`, `lxc/100`, `openvz/100` or `dump/NAME`.
    #[error("an item is written qemu/VMID, lxc/VMID, openvz/VMID or dump/NAME, not {0:?}")]
    Item(String),
}

/// The configured name of a source; the identity of an item carries it, so VMID 100 of two clusters are two items.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceName(Arc<str>);

impl SourceName {
    /// The name as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SourceName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if fits { Ok(Self(text.into())) } else { Err(IdError::SourceName(text.to_owned())) }
    }
}

impl TryFrom<String> for SourceName {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<SourceName> for String {
    fn from(name: SourceName) -> Self {
        name.0.to_string()
    }
}

/// What a vzdump archive is a backup of; the second word of its file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GuestKind {
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
    /// A container of the predecessor of LXC; can be restored as LXC only.
    Openvz,
}

impl GuestKind {
    /// As in file names and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Lxc => "lxc",
            Self::Openvz => "openvz",
        }
    }

    /// Reads the word of a file name.
    pub fn parse(word: &[u8]) -> Option<Self> {
        match word {
            b"qemu" => Some(Self::Qemu),
            b"lxc" => Some(Self::Lxc),
            b"openvz" => Some(Self::Openvz),
            _ => None,
        }
    }
}

/// Smallest and largest id that Proxmox VE gives to a guest.
pub const VMID_RANGE: std::ops::RangeInclusive<u32> = 100..=999_999_999;

/// Stable id of an item within its source, as the `item` label shows it: `qemu/100`, `dump/myappdb`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ItemId {
    /// A virtual machine or container with its VMID.
    Guest(GuestKind, u32),
    /// A series of dump files, named by what the pattern of the source takes from the file name.
    Dump(Arc<str>),
}

impl ItemId {
    /// The `kind` label.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Guest(kind, _) => kind.as_str(),
            Self::Dump(_) => "dump",
        }
    }

    /// The name of a dump.
    pub fn dump_name(&self) -> Option<&str> {
        match self {
            Self::Guest(..) => None,
            Self::Dump(name) => Some(name),
        }
    }

    /// The VMID of a guest.
    pub const fn vmid(&self) -> Option<u32> {
        match self {
            Self::Guest(_, vmid) => Some(*vmid),
            Self::Dump(_) => None,
        }
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest(kind, vmid) => write!(f, "{}/{vmid}", kind.as_str()),
            Self::Dump(name) => write!(f, "dump/{name}"),
        }
    }
}

impl FromStr for ItemId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError::Item(text.to_owned());
        let (kind, key) = text.split_once('/').ok_or_else(error)?;
        if kind == "dump" && !key.is_empty() {
            return Ok(Self::Dump(key.into()));
        }
        let kind = GuestKind::parse(kind.as_bytes()).ok_or_else(error)?;
        let digits = key.bytes().all(|b| b.is_ascii_digit()) && !key.starts_with('0');
        let vmid = key.parse().ok().filter(|id| VMID_RANGE.contains(id));
        match vmid {
            Some(vmid) if digits => Ok(Self::Guest(kind, vmid)),
            _ => Err(error()),
        }
    }
}

impl TryFrom<String> for ItemId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ItemId> for String {
    fn from(id: ItemId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_read_back_what_they_print() {
        for text in ["qemu/100", "lxc/999999999", "openvz/101", "dump/shop", "dump/host/shop"] {
            assert_eq!(text.parse::<ItemId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn look_alikes_are_refused() {
        for text in ["", "qemu", "qemu/", "qemu/99", "qemu/0100", "qemu/+100", "qemu/1000000000", "vm/100", "dump/"] {
            assert!(text.parse::<ItemId>().is_err(), "{text:?}");
        }
        for text in ["", "a b", "ü", "x/y", &"a".repeat(65)] {
            assert!(text.parse::<SourceName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn guests_sort_by_number() {
        let mut ids: Vec<ItemId> =
            ["qemu/1000", "qemu/200", "dump/a", "lxc/100"].iter().map(|t| t.parse().unwrap()).collect();
        ids.sort();
        let text: Vec<String> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["qemu/200", "qemu/1000", "lxc/100", "dump/a"]);
    }
}
