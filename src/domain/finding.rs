//! What the verification of an archive finds. Findings are data: an archive that could not be read has none, it could
//! not be checked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is lost.
    Note,
    /// The data is there, but somebody should look: a restore may need a hand, or a later check can't tell.
    Warning,
    /// A restore would fail, or bring back something else than was saved.
    Damage,
}

impl Severity {
    /// As it is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Damage => "damage",
        }
    }
}

macro_rules! kinds {
    ($($severity:ident { $($(#[$doc:meta])* $kind:ident = $label:literal,)* })*) => {
        /// What sort of finding it is. Bounded: it is a label, and how a finding is stored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $($($(#[$doc])* #[serde(rename = $label)] $kind,)*)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$($(Self::$kind,)*)*];

            /// Its name in JSON, in the store and in messages of others.
            pub const fn as_str(self) -> &'static str {
                match self { $($(Self::$kind => $label,)*)* }
            }

            /// Whether it says why less is proven than a check could prove.
            pub const fn limits_level(self) -> bool {
                matches!(self, Self::Encrypted | Self::NotDecoded | Self::NoEndKnown | Self::UnknownVersion | Self::CompanionMissing)
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $($(Self::$kind => Severity::$severity,)*)* }
            }
        }
    };
}

kinds! {
    Damage {
        /// The file ends in the middle of something.
        Truncated = "truncated",
        /// There is nothing in the file.
        Empty = "empty",
        /// The compressed data breaks the rules of its format.
        ContainerCorrupt = "container_corrupt",
        /// A checksum of the compressor doesn't fit what was decompressed.
        ContainerChecksum = "container_checksum",
        /// Something follows the end of the compressed data that the decompressor refuses.
        TrailingData = "trailing_data",
        /// The header of a VMA archive is wrong.
        VmaHeader = "vma_header",
        /// An extent of a VMA archive is wrong.
        VmaExtent = "vma_extent",
        /// The size of a device in a VMA archive can't be.
        VmaDeviceSize = "vma_device_size",
        /// Two streams of a VMA archive have one name: only one of them can be restored.
        VmaDuplicateDevice = "vma_duplicate_device",
        /// A cluster belongs to no declared device.
        VmaUnknownDevice = "vma_unknown_device",
        /// A cluster or block lies behind the end of its device.
        VmaBeyondEnd = "vma_beyond_end",
        /// A cluster comes twice.
        VmaDuplicateCluster = "vma_duplicate_cluster",
        /// Clusters of a device are missing.
        VmaMissingClusters = "vma_missing_clusters",
        /// Memory contents of a guest don't come in order.
        VmaVmstateOrder = "vma_vmstate_order",
        /// A header of a tar archive is wrong.
        TarHeader = "tar_header",
        /// A tar archive has no end marker.
        TarEnd = "tar_end",
        /// The map of a sparse member is wrong.
        TarSparse = "tar_sparse",
        /// An extended header of a tar archive is wrong.
        TarExtended = "tar_extended",
        /// The archive of a container has no configuration where the restore looks for it.
        ConfigMissing = "config_missing",
        /// The configuration of a guest can't be read.
        ConfigUnreadable = "config_unreadable",
        /// A mount point that the configuration includes is not in the archive.
        MountPointMissing = "mount_point_missing",
        /// A dump lacks the end that its program writes last.
        DumpIncomplete = "dump_incomplete",
        /// A file or member that another part of the backup names is not there.
        MemberMissing = "member_missing",
        /// The structure of a dump is wrong.
        DumpStructure = "dump_structure",
        /// Something that is none of a dump stands in it or in its place: a message of a program, an error, a page.
        DumpText = "dump_text",
        /// The header of a virtual disk (VMDK) is wrong, or isn't one.
        VmdkHeader = "vmdk_header",
        /// The text that describes a virtual disk is wrong.
        VmdkDescriptor = "vmdk_descriptor",
        /// A grain of a virtual disk is wrong: its data, its checksum or its place.
        VmdkGrain = "vmdk_grain",
        /// Tables or marks of a virtual disk don't fit what lies in it.
        VmdkTable = "vmdk_table",
        /// The description of a virtual machine (OVF) is wrong.
        OvfDescriptor = "ovf_descriptor",
        /// A file of a package differs from what its manifest says.
        ManifestMismatch = "manifest_mismatch",
        /// It is no state that Terraform reads.
        StateUnreadable = "state_unreadable",
        /// The checksum file beside it says something else.
        SidecarMismatch = "sidecar_mismatch",
        /// The content differs from an earlier reading though size and time of last write are the same.
        BitRot = "bit_rot",
    }
    Warning {
        /// Bytes that mean nothing follow the end; the restore ignores them.
        TrailingPadding = "trailing_padding",
        /// Bytes follow the end of the archive; the restore ignores them.
        TrailingBytes = "trailing_bytes",
        /// The compressed data carries no checksum: flipped bits in it can't be noticed.
        NoChecksum = "no_checksum",
        /// The archive holds no configuration of its guest.
        NoConfig = "no_config",
        /// The configuration of a guest lacks what a restore then has to be told by hand.
        ConfigIncomplete = "config_incomplete",
        /// A name in the archive that would be written outside of the target, or that no file system takes.
        HostileName = "hostile_name",
        /// Of a mount point that the configuration includes only the empty directory is in the archive.
        MountPointEmpty = "mount_point_empty",
        /// A disk that the configuration names is not in the archive. The archive is as it was written: whether the disk was
        /// left out on purpose, the operator has to say.
        DiskMissing = "disk_missing",
        /// A disk of the archive that the configuration doesn't map: qmrestore refuses it.
        DiskUnmapped = "disk_unmapped",
        /// The size of a disk differs from what the configuration says.
        DiskSize = "disk_size",
        /// Memory contents of a guest that are shorter than declared.
        VmstateShort = "vmstate_short",
        /// A file that belongs to it (`-wal`) may be missing.
        CompanionMissing = "companion_missing",
        /// The last transaction in a write-ahead log is not whole.
        LogCut = "log_cut",
        /// A message of a program stands behind the data of a dump, or the dump says that it lacks something.
        DumpMessage = "dump_message",
        /// Pages of a database that belong to nothing and are not free.
        UnusedPages = "unused_pages",
        /// A file that the list of a backup doesn't have.
        ExtraFile = "extra_file",
        /// A virtual disk that was in use, or whose program died, when it was copied.
        DiskOpen = "disk_open",
        /// Programs may refuse to import the package for it.
        OvfDoubtful = "ovf_doubtful",
        /// A version of its format that isn't known here: nothing was checked.
        UnknownVersion = "unknown_version",
        /// A state that Terraform reads and no Terraform writes.
        StateDoubtful = "state_doubtful",
        /// Checks that stand in a state failed.
        StateChecks = "state_checks",
        /// The checksum file beside it can't be understood.
        SidecarUnreadable = "sidecar_unreadable",
    }
    Note {
        /// The content is of another format than the name says; restore tools manage all the same.
        OtherFormat = "other_format",
        /// An entry where none is expected; readers ignore it.
        StrayEntry = "stray_entry",
        /// Bytes that the restore cuts off.
        ClippedBytes = "clipped_bytes",
        /// Encrypted: not checkable without the key.
        Encrypted = "encrypted",
        /// Compressed in a way that is not decoded here.
        NotDecoded = "not_decoded",
        /// A format without an end marker: that it is whole can't be told.
        NoEndKnown = "no_end_known",
        /// Structure without a checksum of its content: that no bit of it changed before the first reading can't be told.
        NoContentChecksum = "no_content_checksum",
        /// A database that was in use with a write-ahead log, and has none beside it.
        LogAbsent = "log_absent",
        /// The file was written again since an earlier reading.
        Rewritten = "rewritten",
        /// A volume that the configuration leaves out of backups.
        VolumeLeftOut = "volume_left_out",
        /// More was found than is kept.
        More = "more",
    }
}

/// Longest sentence of a finding, in bytes.
const LONGEST: usize = 1000;

/// Something that a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What sort.
    pub kind: Kind,
    /// One sentence for a person: what, where, and what it means.
    pub text: Box<str>,
}

impl Finding {
    /// A finding with its sentence. Names from the archive must have been made printable.
    pub fn new(kind: Kind, text: impl fmt::Display) -> Self {
        let mut text = text.to_string();
        if text.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
            text.truncate(end);
            text.push('…');
        }
        Self { kind, text: text.into() }
    }

    /// How bad it is.
    pub const fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// So many findings are kept of one archive.
pub const MOST: usize = 50;

/// Findings of one archive, with a bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    kept: Vec<Finding>,
    dropped: u64,
}

impl Findings {
    /// Adds a finding; beyond [`MOST`] it is only counted, unless it is the first damage.
    pub fn add(&mut self, finding: Finding) {
        let first_damage = finding.severity() == Severity::Damage && !self.damaged();
        if self.kept.len() < MOST || first_damage {
            self.kept.push(finding);
        } else {
            self.dropped += 1;
        }
    }

    /// Adds a finding of a kind with its sentence.
    pub fn say(&mut self, kind: Kind, text: impl fmt::Display) {
        self.add(Finding::new(kind, text));
    }

    /// Whether one of them is damage.
    pub fn damaged(&self) -> bool {
        self.kept.iter().any(|finding| finding.severity() == Severity::Damage)
    }

    /// What was kept, worst first, with a note of what wasn't.
    pub fn into_vec(self) -> Vec<Finding> {
        let mut all = self.kept;
        all.sort_by_key(|finding| std::cmp::Reverse(finding.severity()));
        if self.dropped > 0 {
            all.push(Finding::new(Kind::More, format_args!("{} more findings are not listed", self.dropped)));
        }
        all
    }
}

impl Extend<Finding> for Findings {
    fn extend<T: IntoIterator<Item = Finding>>(&mut self, findings: T) {
        findings.into_iter().for_each(|finding| self.add(finding));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_damage_is_never_dropped_and_comes_first() {
        let mut findings = Findings::default();
        for index in 0..1000 {
            findings.say(Kind::HostileName, index);
        }
        findings.say(Kind::Truncated, "cut");
        let all = findings.into_vec();
        assert_eq!(all.len(), MOST + 2);
        assert_eq!(all[0].kind, Kind::Truncated);
        assert_eq!(all.last().unwrap().kind, Kind::More);
    }

    #[test]
    fn labels_are_unique_and_sentences_bounded() {
        let labels: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(labels.len(), Kind::ALL.len());
        let long = Finding::new(Kind::Empty, "ä".repeat(5000));
        assert!(long.text.len() <= LONGEST + '…'.len_utf8());
    }
}
