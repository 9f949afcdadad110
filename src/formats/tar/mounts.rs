//! What the archive holds of each mount point, while its members pass by.
//!
//! vzdump gives the paths of all volumes with `backup=1` to one tar with `--one-file-system`. The directory that a volume is
//! mounted on is in the archive either way: as the root of the volume, or as what lies below it in the root of the
//! container. Source: pve-container `PVE/VZDump/LXC.pm` (`archive`).

use crate::domain::finding::{Findings, Kind};
use crate::formats::container_config::MountPoint;
use crate::formats::printable::printable;

/// What was seen of a mount point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Nothing,
    /// Its directory, or what every empty ext4 file system holds.
    Directory,
    /// Something in it; or nobody needs to know.
    Content,
}

#[derive(Debug)]
struct Point {
    key: String,
    path: Vec<u8>,
    seen: Seen,
}

/// The mount points of a container.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    points: Vec<Point>,
    /// How many of them are still looked for.
    open: usize,
}

impl Mounts {
    /// Adds a mount point; `wanted` if its content should be in the archive, and would not have passed by already.
    pub(super) fn add(&mut self, point: &MountPoint, wanted: bool) {
        let path = point.below_root();
        if !path.is_empty() {
            self.open += usize::from(wanted);
            let seen = if wanted { Seen::Nothing } else { Seen::Content };
            self.points.push(Point { key: point.key.clone(), path, seen });
        }
    }

    /// A member passes by; `path` is that below the root.
    pub(super) fn see(&mut self, path: &[u8], directory: bool) {
        if self.open == 0 {
            return;
        }
        // What lies in a mount point below another one is no content of the outer one.
        let innermost = self.points.iter().filter_map(|point| Some((point.path.len(), below(path, &point.path)?)));
        let Some((deepest, rest)) = innermost.max_by_key(|(length, _)| *length) else { return };
        let only_a_place = directory && matches!(rest, b"" | b"/lost+found") || rest.is_empty();
        for point in self.points.iter_mut().filter(|point| below(path, &point.path).is_some()) {
            let seen = match (point.path.len() == deepest, rest.is_empty() && !directory) {
                // A file where the directory should be.
                (true, true) => continue,
                (true, false) if !only_a_place => Seen::Content,
                _ => Seen::Directory,
            };
            self.open -= usize::from(seen == Seen::Content && point.seen < Seen::Content);
            point.seen = point.seen.max(seen);
        }
    }

    /// All members have passed by.
    pub(super) fn report(&self, findings: &mut Findings) {
        for Point { key, path, seen } in &self.points {
            let path = printable(path);
            match seen {
                Seen::Nothing => {
                    let text = format_args!(
                        "{key} is to be backed up by the configuration, but nothing in the archive is at /{path}: the restore brings it back empty"
                    );
                    findings.say(Kind::MountPointMissing, text);
                }
                Seen::Directory => {
                    let text = format_args!(
                        "{key} is to be backed up by the configuration, and of /{path} only the empty directory is in the archive: the volume was empty, or its content is in no backup. The restore brings it back empty"
                    );
                    findings.say(Kind::MountPointEmpty, text);
                }
                Seen::Content => {}
            }
        }
    }
}

/// What follows `outer` in a path at or below it.
fn below<'a>(path: &'a [u8], outer: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(outer).filter(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
}
