//! A file as `stat` sees it, and files that are one backup together.

use jiff::Timestamp;

/// A regular file, as `stat` sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Bytes.
    pub size: u64,
    /// Last write.
    pub modified: Timestamp,
    /// Last change of the inode (ctime), where it is known. Nobody can set it: a file that takes the place of another one
    /// with its size and time (`cp -p`, `rsync -t`, `mv`) has its own. An inode's number would tell nothing more, and isn't
    /// steady on FUSE, SMB and FAT.
    pub changed: Option<Timestamp>,
}

impl FileFacts {
    /// A file of which the inode's last change isn't known.
    pub const fn new(size: u64, modified: Timestamp) -> Self {
        Self { size, modified, changed: None }
    }

    /// Whether size and last write are the same.
    pub fn same_write(self, other: Self) -> bool {
        (self.size, self.modified) == (other.size, other.modified)
    }

    /// Whether size and last write are the same and the inode isn't: the file was replaced or rewritten with its time put
    /// back, or only its mode, owner or number of links changed. Not known is not touched.
    pub fn is_touched(self, since: Self) -> bool {
        let known = self.changed.zip(since.changed);
        self.same_write(since) && known.is_some_and(|(now, then)| now != then)
    }
}

/// Facts of files that are one backup.
///
/// Size is the sum and the last write the newest one, to the second. What is below the second is a fingerprint of all
/// names, sizes and times: another one of the files written again is another backup, and no bit rot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Together {
    size: u64,
    newest: Option<Timestamp>,
    changed: Option<Timestamp>,
    /// Whether the last change of an inode isn't known.
    unknown: bool,
    print: u64,
}

impl Together {
    /// One more of them; the order makes no difference.
    pub fn add(&mut self, name: &[u8], facts: FileFacts) {
        self.size = self.size.saturating_add(facts.size);
        self.newest = self.newest.max(Some(facts.modified));
        self.changed = self.changed.max(facts.changed);
        self.unknown |= facts.changed.is_none();
        let time = facts.modified.as_nanosecond().to_le_bytes();
        let parts = name.iter().chain(&[0]).chain(&facts.size.to_le_bytes()).chain(&time).copied().collect::<Vec<u8>>();
        // FNV-1a.
        let hash = parts.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        self.print = self.print.wrapping_add(hash);
    }

    /// What they are together; `None` of nothing.
    pub fn facts(self) -> Option<FileFacts> {
        let newest = self.newest?;
        let print = i32::try_from(self.print % 1_000_000_000).unwrap_or_default();
        let modified = Timestamp::new(newest.as_second(), print).unwrap_or(newest);
        Some(FileFacts { size: self.size, modified, changed: self.changed.filter(|_| !self.unknown) })
    }
}
