//! The log of a task of Proxmox VE that backs up several guests: one after the other, in the log of one run.
//!
//! ```text
//! INFO: Starting Backup of VM 104 (qemu)
//! ERROR: Backup of VM 104 failed - job failed with err -28 - No space left on device
//! INFO: Starting Backup of VM 200 (lxc)
//! INFO: Finished Backup of VM 200 (00:01:02)
//! ```
//! Source: pve-manager `PVE/VZDump.pm` (`exec_backup_task`). The lines have no times.

use crate::domain::ids::{GuestKind, ItemId, VMID_RANGE};
use crate::domain::printable::printable;

/// Longest reason that is kept, in bytes.
const MAX_REASON: usize = 400;

/// How the backup of one guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestRun {
    /// The guest.
    pub item: ItemId,
    /// How it ended.
    pub end: GuestEnd,
}

/// How the backup of one guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestEnd {
    /// The log says no more of it: it goes on, or the run was cut off.
    Open,
    /// Well.
    Finished,
    /// Why it failed.
    Failed(Box<str>),
}

/// The guests of a run, in its order.
pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<GuestRun> {
    let mut runs: Vec<GuestRun> = Vec::new();
    for line in lines {
        if let Some(item) = started(line) {
            runs.push(GuestRun { item, end: GuestEnd::Open });
            continue;
        }
        let Some((vmid, end)) = ended(line) else { continue };
        // The last one of this number: a guest may stand in a run twice.
        if let Some(run) = runs.iter_mut().rev().find(|run| run.item.vmid() == Some(vmid) && run.end == GuestEnd::Open)
        {
            run.end = end;
        }
    }
    runs
}

fn started(line: &str) -> Option<ItemId> {
    let (vmid, rest) = number(line.strip_prefix("INFO: Starting Backup of VM ")?)?;
    let kind = rest.strip_prefix(" (")?.strip_suffix(')')?;
    Some(ItemId::guest(GuestKind::parse(kind.as_bytes())?, vmid))
}

fn ended(line: &str) -> Option<(u32, GuestEnd)> {
    if let Some(rest) = line.strip_prefix("INFO: Finished Backup of VM ") {
        return Some((number(rest)?.0, GuestEnd::Finished));
    }
    let (vmid, rest) = number(line.strip_prefix("ERROR: Backup of VM ")?)?;
    let reason = rest.strip_prefix(" failed - ")?;
    let end = reason.floor_char_boundary(MAX_REASON);
    Some((vmid, GuestEnd::Failed(printable(&reason.as_bytes()[..end]).into())))
}

fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let vmid = text[..end].parse().ok().filter(|vmid| VMID_RANGE.contains(vmid))?;
    Some((vmid, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guest_has_its_own_end() {
        let log = "INFO: starting new backup job: vzdump --all 1\n\
                   INFO: Starting Backup of VM 104 (qemu)\nINFO: Backup started at 2026-11-26 02:00:05\n\
                   ERROR: Backup of VM 104 failed - job failed with err -28 - No space left on device\nINFO: Failed at 2026-11-26 02:00:46\n\
                   INFO: Starting Backup of VM 200 (lxc)\nINFO: Finished Backup of VM 200 (00:01:02)\n\
                   INFO: Starting Backup of VM 201 (lxc)\nERROR: Backup of VM 999 failed - another\n";
        let runs = parse(log.lines());
        let shown: Vec<(String, &GuestEnd)> = runs.iter().map(|run| (run.item.to_string(), &run.end)).collect();
        let failed = GuestEnd::Failed("job failed with err -28 - No space left on device".into());
        assert_eq!(
            shown,
            [
                ("qemu/104".to_owned(), &failed),
                ("lxc/200".to_owned(), &GuestEnd::Finished),
                ("lxc/201".to_owned(), &GuestEnd::Open)
            ]
        );
    }

    #[test]
    fn what_only_looks_alike_is_passed_over() {
        for line in [
            "INFO: Starting Backup of VM 104 (pod)",
            "INFO: Starting Backup of VM 99 (qemu)",
            "INFO: Starting Backup of VM (qemu)",
            "INFO: Starting Backup of VM 99999999999999999999 (qemu)",
            " INFO: Starting Backup of VM 104 (qemu)",
            "ERROR: Backup of VM 104",
        ] {
            assert_eq!(parse([line]), [], "{line}");
        }
        let long = format!("ERROR: Backup of VM 104 failed - {}", "ü".repeat(1000));
        let runs = parse(["INFO: Starting Backup of VM 104 (qemu)", &long]);
        assert!(matches!(&runs[0].end, GuestEnd::Failed(reason) if reason.len() <= MAX_REASON));
    }
}
