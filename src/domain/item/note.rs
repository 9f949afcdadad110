//! What a person should know of an item beside its state.

use std::fmt;
use std::sync::Arc;

use crate::domain::run_log::LeftOut;

/// So many volumes are named in a note; the rest is counted.
const SHOWN_LEFT_OUT: usize = 5;

/// What a person should know of an item beside its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The newest backup is complete, but its log complains.
    Warning(Box<str>),
    /// Archives of another guest that had this VMID before.
    OtherGuest {
        /// How many.
        archives: u32,
        /// What it was called, by the newest of them.
        name: Option<Arc<str>>,
    },
    /// Renamed copies.
    Renamed(u32),
    /// Copies that are smaller than the file of the same name in another directory.
    CutCopies(u32),
    /// Attempts that all evidence puts into the future.
    Future(u32),
    /// Volumes of the guest that its newest backup doesn't hold, because the configuration leaves them out.
    LeftOut(Vec<LeftOut>),
    /// The guest's node, or its directory of guests, is gone as a whole.
    NodeLost(Arc<str>),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Warning(text) => write!(f, "the newest backup is complete, but: {text}"),
            Self::OtherGuest { archives, name: Some(name) } => {
                write!(
                    f,
                    "{archives} archive(s) are of another guest ({name}) that had this VMID before and protect nothing now"
                )
            }
            Self::OtherGuest { archives, name: None } => {
                write!(f, "{archives} archive(s) are older than this guest: another one had its VMID before")
            }
            Self::Renamed(count) => write!(f, "{count} renamed copy(ies) are kept; their time isn't known"),
            Self::CutCopies(count) => {
                write!(
                    f,
                    "{count} copy(ies) are smaller than the same file in another directory: cut short, not counted"
                )
            }
            Self::Future(count) => {
                write!(f, "{count} backup(s) are dated in the future: check the clocks and time_zone")
            }
            Self::LeftOut(volumes) => {
                f.write_str("not in its backups: ")?;
                for (index, volume) in volumes.iter().take(SHOWN_LEFT_OUT).enumerate() {
                    write!(f, "{}{volume}", if index > 0 { ", " } else { "" })?;
                }
                if let Some(more) = volumes.len().checked_sub(SHOWN_LEFT_OUT).filter(|more| *more > 0) {
                    write!(f, " and {more} more")?;
                }
                f.write_str("; left out by backup=0, or, in a container, by the default (set backup=1)")
            }
            Self::NodeLost(node) => {
                write!(
                    f,
                    "its configuration went away from guests_dir together with all others of node {node}; it is still expected to have backups"
                )
            }
        }
    }
}
