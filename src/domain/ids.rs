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
    /// No kind of the table, or a key that its rule refuses.
    #[error("an item is written {ways}, not {0:?}", ways = ways())]
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
    /// The kind of item that it is.
    pub const fn item_kind(self) -> ItemKind {
        match self {
            Self::Qemu => ItemKind::Qemu,
            Self::Lxc => ItemKind::Lxc,
            Self::Openvz => ItemKind::Openvz,
        }
    }

    /// As in file names and labels.
    pub const fn as_str(self) -> &'static str {
        self.item_kind().as_str()
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

/// How the key of a kind of item is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyRule {
    /// A number in [`VMID_RANGE`] without leading zeros.
    Vmid,
    /// Any text but the empty one.
    Name,
}

impl KeyRule {
    /// The placeholder in messages.
    const fn placeholder(self) -> &'static str {
        match self {
            Self::Vmid => "VMID",
            Self::Name => "NAME",
        }
    }

    fn read(self, key: &str) -> Option<Key> {
        match self {
            Self::Vmid => {
                let digits = key.bytes().all(|b| b.is_ascii_digit()) && !key.starts_with('0');
                key.parse().ok().filter(|id| digits && VMID_RANGE.contains(id)).map(Key::Number)
            }
            Self::Name => (!key.is_empty()).then(|| Key::Name(key.into())),
        }
    }
}

/// The table of kinds becomes the type, its list and its properties: a further kind is one row.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $label:literal, guest: $guest:literal, periodic: $periodic:literal, key: $rule:ident;)+) => {
        /// What an item is; items sort by kind in the order of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ItemKind {
            $($(#[$doc])* $kind,)+
        }

        impl ItemKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The `kind` label, and the first word of an id.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $label,)+
                }
            }

            /// Whether it is a virtual machine or a container.
            pub const fn is_guest(self) -> bool {
                match self {
                    $(Self::$kind => $guest,)+
                }
            }

            /// Whether backups of it come by themselves, again and again, or when somebody changes something.
            pub const fn is_periodic(self) -> bool {
                match self {
                    $(Self::$kind => $periodic,)+
                }
            }

            const fn rule(self) -> KeyRule {
                match self {
                    $(Self::$kind => KeyRule::$rule,)+
                }
            }
        }
    };
}

kinds! {
    /// A virtual machine of Proxmox VE.
    Qemu = "qemu", guest: true, periodic: true, key: Vmid;
    /// A container of Proxmox VE.
    Lxc = "lxc", guest: true, periodic: true, key: Vmid;
    /// A container of the predecessor of LXC.
    Openvz = "openvz", guest: true, periodic: true, key: Vmid;
    /// A series of dump files, named by what the pattern of the source takes from the file name.
    Dump = "dump", guest: false, periodic: true, key: Name;
    /// A state of Terraform, named by its workspace.
    Tfstate = "tfstate", guest: false, periodic: false, key: Name;
}

/// How ids are written, for messages: `qemu/VMID, lxc/VMID, openvz/VMID, dump/NAME or tfstate/NAME`.
fn ways() -> String {
    let ways: Vec<String> =
        ItemKind::ALL.iter().map(|kind| format!("{}/{}", kind.as_str(), kind.rule().placeholder())).collect();
    match ways.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => ways.concat(),
    }
}

/// What tells an item from others of its kind. Numbers sort as numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Number(u32),
    Name(Arc<str>),
}

/// Stable id of an item within its source, as the `item` label shows it: `qemu/100`, `dump/myappdb`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ItemId {
    kind: ItemKind,
    key: Key,
}

impl ItemId {
    /// A virtual machine or container of Proxmox VE with its VMID.
    pub const fn guest(kind: GuestKind, vmid: u32) -> Self {
        Self { kind: kind.item_kind(), key: Key::Number(vmid) }
    }

    /// A series of dump files.
    pub const fn dump(name: Arc<str>) -> Self {
        Self { kind: ItemKind::Dump, key: Key::Name(name) }
    }

    /// A state of Terraform.
    pub const fn tfstate(name: Arc<str>) -> Self {
        Self { kind: ItemKind::Tfstate, key: Key::Name(name) }
    }

    /// What it is.
    pub const fn item_kind(&self) -> ItemKind {
        self.kind
    }

    /// The `kind` label.
    pub const fn kind(&self) -> &'static str {
        self.kind.as_str()
    }

    /// Whether it is a virtual machine or a container.
    pub const fn is_guest(&self) -> bool {
        self.kind.is_guest()
    }

    /// Its name, where its key is one.
    pub fn name(&self) -> Option<&str> {
        match &self.key {
            Key::Number(_) => None,
            Key::Name(name) => Some(name),
        }
    }

    /// The VMID, where its key is one.
    pub const fn vmid(&self) -> Option<u32> {
        match self.key {
            Key::Number(vmid) => Some(vmid),
            Key::Name(_) => None,
        }
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Key::Number(vmid) => write!(f, "{}/{vmid}", self.kind()),
            Key::Name(name) => write!(f, "{}/{name}", self.kind()),
        }
    }
}

impl FromStr for ItemId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let read = || {
            let (label, key) = text.split_once('/')?;
            let kind = *ItemKind::ALL.iter().find(|kind| kind.as_str() == label)?;
            Some(Self { kind, key: kind.rule().read(key)? })
        };
        read().ok_or_else(|| IdError::Item(text.to_owned()))
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
    fn the_message_names_every_kind() {
        let error = "vm/100".parse::<ItemId>().unwrap_err().to_string();
        let want = "an item is written qemu/VMID, lxc/VMID, openvz/VMID, dump/NAME or tfstate/NAME, not \"vm/100\"";
        assert_eq!(error, want);
        let guests = ["qemu/100", "lxc/100", "openvz/100", "dump/100"].map(|t| t.parse::<ItemId>().unwrap().is_guest());
        assert_eq!(guests, [true, true, true, false], "a number alone makes no guest");
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
