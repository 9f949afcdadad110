//! Names that a NAS, a desktop or an editor gives to what it keeps beside the files of people.
//!
//! Bins, thumbnails, snapshots, halves of files: what lies there is deleted, an older state or no backup at all, and
//! protects nobody.
//!
//! Sources: Synology DSM (`#recycle`, `#snapshot`, `@eaDir`, `@tmp`), QNAP QTS (`@Recycle`, `@Recently-Snapshot`,
//! `.@__thumb`), the trash of freedesktop.org (`.Trash`, `.Trash-UID`), macOS (`._NAME`, `.Trashes` …), Windows
//! (`$RECYCLE.BIN`), NetApp and ZFS (`.snapshot`, `.zfs`), snapper (`.snapshots`), Syncthing (`.stversions`), Samba's
//! `vfs_recycle` (`.recycle`), ext4 (`lost+found`), NFS and FUSE (`.nfs…`, `.fuse_hidden…`), vim (`*.swp`).

/// Whole names, in lower case.
const NAMES: [&str; 25] = [
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    ".@__thumb",
    ".appledouble",
    ".fseventsd",
    ".recycle",
    ".recycler",
    ".snapshot",
    ".snapshots",
    ".spotlight-v100",
    ".stfolder",
    ".stversions",
    ".temporaryitems",
    ".trash",
    ".trashes",
    ".zfs",
    ".~tmp~",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "@tmp",
    "lost+found",
    "recycler",
    "system volume information",
];

/// Beginnings.
const PREFIXES: [&str; 4] = [".trash-", "._", ".nfs", ".fuse_hidden"];

/// Ends.
const SUFFIXES: [&str; 1] = [".swp"];

/// Which of these names it is; `None` for all others. A pattern that spells one of them has the same answer.
pub fn sort(name: &[u8]) -> Option<&'static str> {
    let begins =
        |known: &&&str| name.get(..known.len()).is_some_and(|head| head.eq_ignore_ascii_case(known.as_bytes()));
    let ends = |known: &&&str| {
        let from = name.len().checked_sub(known.len());
        from.is_some_and(|from| name[from..].eq_ignore_ascii_case(known.as_bytes()))
    };
    let whole = NAMES.iter().find(|known| known.len() == name.len() && begins(known));
    whole.or_else(|| PREFIXES.iter().find(begins)).or_else(|| SUFFIXES.iter().find(ends)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_nas_and_a_desktop_keep() {
        for name in [
            "#recycle",
            "@eaDir",
            "@Recycle",
            "#Recycle",
            ".Trash-1000",
            ".snapshot",
            ".stversions",
            "lost+found",
            ".zfs",
            "._shop_2026-11-24.sql.gz",
            ".nfs000000000123",
            ".shop.sql.swp",
            "$RECYCLE.BIN",
            "System Volume Information",
        ] {
            assert!(sort(name.as_bytes()).is_some(), "{name}");
        }
        for name in
            ["", ".", "recycle", "snapshot", "shop.sql", ".hidden", "zfs", "_x", "lost+found2", "swp", "\u{fc}.sql"]
        {
            assert_eq!(sort(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn a_pattern_that_spells_a_name_is_of_the_same_sort() {
        assert_eq!(sort(b".Trash-*"), sort(b".Trash-0"));
        assert_eq!(sort(b"._{db}_{time}.sql"), sort(b"._shop_2026.sql"));
        assert_ne!(sort(b"{db}_{time}.sql"), sort(b"._shop_2026.sql"));
    }
}
