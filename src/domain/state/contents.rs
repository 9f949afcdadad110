//! What states manage, and how two of them differ.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a state manages. No value of an attribute but ids: the others may be secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Rises by one with each change.
    pub serial: u64,
    /// Given when the state is made, and the same for all its life; empty in very old ones.
    pub lineage: Box<str>,
    /// What wrote it.
    pub terraform_version: Box<str>,
    /// Instances of resources by their addresses, data sources too.
    pub resources: BTreeMap<Box<str>, Mark>,
}

/// Why a state can't be looked into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// OpenTofu encrypted it: that says nothing of whether it is intact.
    #[error("it is encrypted by OpenTofu")]
    Encrypted,
    /// Another format, which Terraform of today reads or not.
    #[error("a state of version {0}")]
    Version(u64),
    /// Nobody can read it.
    #[error("{0}")]
    Broken(String),
}

/// An instance of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Of all its attributes.
    pub digest: [u8; 16],
    /// The attribute `id`, which an import mostly needs.
    pub id: Option<Box<str>>,
    /// Terraform means to make it anew.
    pub tainted: bool,
}

/// How one state differs from another, by addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Only in the second.
    pub added: Vec<Box<str>>,
    /// Only in the first.
    pub removed: Vec<Box<str>>,
    /// In both, with other attributes.
    pub changed: Vec<Box<str>>,
}

impl Changes {
    /// Whether both manage the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl Contents {
    /// What is different in `other`.
    pub fn changes(&self, other: &Self) -> Changes {
        let only = |these: &Self, those: &Self| {
            these.resources.keys().filter(|it| !those.resources.contains_key(*it)).cloned().collect()
        };
        Changes {
            added: only(other, self),
            removed: only(self, other),
            changed: self
                .resources
                .iter()
                .filter(|(address, mark)| other.resources.get(*address).is_some_and(|theirs| theirs != *mark))
                .map(|(address, _)| address.clone())
                .collect(),
        }
    }

    /// Resources that Terraform made, without data sources and what it means to delete.
    pub fn managed(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let all = self.resources.iter().map(|(address, mark)| (&**address, mark.id.as_deref()));
        all.filter(|(address, _)| !is_data(address) && !address.ends_with(')'))
    }
}

/// Whether an address is that of a data source, in whichever module.
fn is_data(address: &str) -> bool {
    let mut rest = address;
    while let Some(inner) = rest.strip_prefix("module.") {
        // A name in brackets may hold dots.
        let mut quoted = false;
        let end = inner.char_indices().find(|(_, char)| {
            quoted ^= *char == '"';
            *char == '.' && !quoted
        });
        let Some((at, _)) = end else { return false };
        rest = &inner[at + 1..];
    }
    rest.starts_with("data.")
}

#[cfg(test)]
mod tests {
    use super::is_data;

    #[test]
    fn data_sources_are_told_from_resources() {
        assert!(is_data("data.ami.it") && is_data("module.a[\"x.data.y\"].module.b.data.ami.it[0]"));
        assert!(!is_data("vm.data") && !is_data("module.data.vm.it") && !is_data("module.a[\"x.data.y\"].vm.it"));
    }
}
