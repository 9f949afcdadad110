//! What the demo estate holds. Every trouble is a line of [`GUESTS`].

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::{archives, files};
use crate::domain::age;

/// Nights of backups that are kept.
const NIGHTS: i64 = 30;

/// The newest nightly run began this long ago.
const LAST_RUN: SignedDuration = SignedDuration::from_hours(8);

const DAY: SignedDuration = SignedDuration::from_hours(24);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What is wrong with a guest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// A backup a week is enough.
    Weekly,
    /// Last night's job passed it over.
    Late,
    /// Last night's backup failed, and says why.
    Failed(&'static str),
    /// A backup is being written.
    Running,
    /// The node was reset during the backup.
    Crashed,
    /// Last night's archive is empty.
    Empty,
    /// A byte of last night's archive is not what was written.
    Corrupt,
    /// Nobody backs it up.
    Unprotected,
    /// A template.
    Template,
    /// It was destroyed; an archive is kept.
    Removed,
}

struct Guest {
    id: &'static str,
    name: &'static str,
    node: &'static str,
    tags: &'static str,
    /// Size of the newest archive in KiB: small enough that all are read within seconds.
    size: u64,
    trouble: Trouble,
}

const fn guest(
    id: &'static str,
    name: &'static str,
    node: &'static str,
    tags: &'static str,
    size: u64,
    trouble: Trouble,
) -> Guest {
    Guest { id, name, node, tags, size, trouble }
}

const GUESTS: [Guest; 16] = [
    guest("qemu/100", "web", "pve1", "prod", 4_200, Trouble::None),
    guest("qemu/101", "db", "pve1", "prod", 18_400, Trouble::None),
    guest("qemu/102", "mail", "pve1", "prod", 9_100, Trouble::None),
    guest("qemu/103", "shop", "pve1", "prod", 6_300, Trouble::Late),
    guest(
        "qemu/104",
        "erp",
        "pve1",
        "prod",
        22_000,
        Trouble::Failed("job failed with err -28 - No space left on device"),
    ),
    guest("qemu/105", "build", "pve2", "lab", 11_700, Trouble::Running),
    guest("qemu/106", "legacy", "pve2", "prod", 3_900, Trouble::Crashed),
    guest("qemu/107", "wiki", "pve2", "prod", 2_500, Trouble::Empty),
    guest("qemu/108", "new-shop", "pve2", "prod", 0, Trouble::Unprotected),
    guest("qemu/109", "files", "pve2", "prod", 7_400, Trouble::Corrupt),
    guest("qemu/150", "old-web", "pve1", "", 4_000, Trouble::Removed),
    guest("qemu/900", "debian-template", "pve1", "", 0, Trouble::Template),
    guest("lxc/200", "dns", "pve1", "prod", 310, Trouble::None),
    guest("lxc/201", "proxy", "pve2", "prod", 420, Trouble::None),
    guest("lxc/202", "git", "pve2", "lab", 5_200, Trouble::Weekly),
    guest("lxc/203", "monitoring", "pve2", "prod", 1_600, Trouble::None),
];

/// Name and size in KiB of the newest dump.
const DATABASES: [(&str, usize); 3] = [("shop", 96), ("crm", 41), ("wiki", 12)];

/// Writes everything.
pub(super) fn write(directory: &Path, zone: &TimeZone, now: Timestamp) -> anyhow::Result<()> {
    for (index, guest) in GUESTS.iter().enumerate() {
        write_config(directory, guest, now)?;
        let offset = SignedDuration::from_mins(9) * index as i32;
        write_archives(directory, guest, zone, now - LAST_RUN + offset)?;
    }
    write_running(directory, zone, now)?;
    write_offsite(directory, zone, now)?;
    write_dumps(directory, zone, now)
}

/// Tells of each guest that there is: kind, number, name, node, tags, and whether it is a template.
pub(super) fn each_guest(mut tell: impl FnMut(&str, &str, &str, &str, &str, bool)) {
    for guest in GUESTS.iter().filter(|guest| guest.trouble != Trouble::Removed) {
        let (kind, vmid) = guest.id.split_once('/').unwrap_or_default();
        tell(kind, vmid, guest.name, guest.node, guest.tags, guest.trouble == Trouble::Template);
    }
}

/// The temporary file of the running backup.
pub(super) fn running_file(directory: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(directory.join("pve2/dump")).ok()?;
    let is_running = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("vzdump-qemu-105-") && name.ends_with(".vma.dat")
    };
    files.flatten().map(|entry| entry.path()).find(is_running)
}

fn write_config(directory: &Path, guest: &Guest, now: Timestamp) -> anyhow::Result<()> {
    if guest.trouble == Trouble::Removed {
        return Ok(());
    }
    let (kind, vmid) = guest.id.split_once('/').unwrap_or_default();
    let (folder, key) = if kind == "lxc" { ("lxc", "hostname") } else { ("qemu-server", "name") };
    let created = (now - DAY * 400).as_second();
    let meta = if kind == "lxc" { String::new() } else { format!("meta: creation-qemu=9.0.2,ctime={created}\n") };
    let template = if guest.trouble == Trouble::Template { "template: 1\n" } else { "" };
    let text = format!("{key}: {}\n{meta}onboot: 1\ntags: {}\n{template}", guest.name, guest.tags);
    let path = super::guests_dir(directory).join(guest.node).join(folder).join(format!("{vmid}.conf"));
    files::with_content(&path, text.as_bytes(), now - DAY * 40)
}

fn write_archives(directory: &Path, guest: &Guest, zone: &TimeZone, newest: Timestamp) -> anyhow::Result<()> {
    let folder = directory.join(guest.node).join("dump");
    for night in 0..NIGHTS {
        let start = newest - DAY * night as i32;
        let skipped = match guest.trouble {
            Trouble::None | Trouble::Failed(_) | Trouble::Crashed | Trouble::Empty | Trouble::Corrupt => false,
            Trouble::Late | Trouble::Running => night == 0,
            Trouble::Weekly => night % 7 != 0,
            Trouble::Removed => night != NIGHTS - 1,
            Trouble::Unprotected | Trouble::Template => true,
        };
        if skipped {
            continue;
        }
        let run = NightlyRun { guest, folder: &folder, zone, start, night: night as u64 };
        match guest.trouble {
            Trouble::Failed(reason) if night == 0 => run.failed(reason)?,
            Trouble::Crashed if night == 0 => run.crashed()?,
            Trouble::Empty if night == 0 => files::sparse(&run.archive(), 0, start)?,
            _ => run.good()?,
        }
    }
    Ok(())
}

struct NightlyRun<'a> {
    guest: &'a Guest,
    folder: &'a Path,
    zone: &'a TimeZone,
    start: Timestamp,
    night: u64,
}

impl NightlyRun<'_> {
    fn base(&self) -> String {
        let stamp = self.start.to_zoned(self.zone.clone()).strftime("%Y_%m_%d-%H_%M_%S").to_string();
        format!("vzdump-{}-{stamp}", self.guest.id.replace('/', "-"))
    }

    fn is_container(&self) -> bool {
        self.guest.id.starts_with("lxc")
    }

    fn archive(&self) -> PathBuf {
        let extension = if self.is_container() { "tar.zst" } else { "vma.zst" };
        self.folder.join(format!("{}.{extension}", self.base()))
    }

    /// A line of the log, so many seconds after the start.
    fn line(&self, after: i64, text: &str) -> String {
        let at = (self.start + SignedDuration::from_secs(after)).to_zoned(self.zone.clone());
        format!("{} {text}\n", at.strftime("%Y-%m-%d %H:%M:%S"))
    }

    fn head(&self) -> String {
        let (kind, vmid) = self.guest.id.split_once('/').unwrap_or_default();
        let word = if self.is_container() { "CT" } else { "VM" };
        self.line(0, &format!("INFO: Starting Backup of VM {vmid} ({kind})"))
            + &self.line(0, "INFO: status = running")
            + &self.line(0, &format!("INFO: {word} Name: {}", self.guest.name))
            + &self.line(0, "INFO: backup mode: snapshot")
            + &self.line(0, &format!("INFO: creating vzdump archive '{}'", self.archive().display()))
    }

    fn good(&self) -> anyhow::Result<()> {
        // A little smaller each night back, and not quite evenly.
        let size = (self.guest.size - self.guest.size * self.night / 200 + self.night * 7 % 5) * KIB + self.night;
        let seconds = (size / (140 * KIB)) as i64 + 3;
        let (vmid, end) =
            (self.guest.id.split_once('/').unwrap_or_default().1, self.start + SignedDuration::from_secs(seconds));
        let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        let text = self.head()
            + &self.line(seconds, &format!("INFO: transferred {} in {seconds} seconds", age::bytes(size * 3)))
            + &self.line(seconds, &format!("INFO: archive file size: {}", printed_size(size)))
            + &self.line(seconds, &format!("INFO: Finished Backup of VM {vmid} ({clock})"));
        let archive = self.archive();
        files::padded(&archive, &self.content(size)?, size, end)?;
        files::with_content(&self.folder.join(format!("{}.log", self.base())), text.as_bytes(), end)?;
        files::with_content(&with_suffix(&archive, ".notes"), self.guest.name.as_bytes(), end)?;
        if self.night == 28 && self.guest.size > 4_000 {
            files::with_content(&with_suffix(&archive, ".protected"), b"", end)?;
        }
        Ok(())
    }

    fn content(&self, size: u64) -> anyhow::Result<Vec<u8>> {
        let vmid = self.guest.id.split_once('/').unwrap_or_default().1;
        let mut content = if self.is_container() {
            archives::container(self.guest.name)?
        } else {
            archives::machine(vmid, self.guest.name, self.start.as_second())?
        };
        if self.guest.trouble == Trouble::Corrupt && self.night == 0 {
            let middle = content.len() / 2;
            content[middle] ^= 1;
        }
        Ok(archives::padded(content, size))
    }

    fn failed(&self, reason: &str) -> anyhow::Result<()> {
        let vmid = self.guest.id.split_once('/').unwrap_or_default().1;
        let text = self.head() + &self.line(41, &format!("ERROR: Backup of VM {vmid} failed - {reason}"));
        let end = self.start + SignedDuration::from_secs(41);
        files::with_content(&self.folder.join(format!("{}.log", self.base())), text.as_bytes(), end)
    }

    fn crashed(&self) -> anyhow::Result<()> {
        let last_write = self.start + SignedDuration::from_mins(4);
        files::sparse(&self.folder.join(format!("{}.vma.dat", self.base())), 700 * MIB, last_write)?;
        let work = self.folder.join(format!("{}.tmp", self.base()));
        files::with_content(&work.join("qemu-server.conf"), b"name: legacy\n", self.start)?;
        files::stamp_directory(&work, last_write)
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    text.into()
}

/// As vzdump prints sizes.
fn printed_size(size: u64) -> String {
    match size {
        0..1_048_576 => format!("{}KB", size / 1024),
        1_048_576..1_073_741_824 => format!("{}MB", size / MIB),
        _ => format!("{:.2}GB", size as f64 / (1u64 << 30) as f64),
    }
}

fn write_running(directory: &Path, zone: &TimeZone, now: Timestamp) -> anyhow::Result<()> {
    let Some(guest) = GUESTS.iter().find(|guest| guest.trouble == Trouble::Running) else { return Ok(()) };
    let folder = directory.join(guest.node).join("dump");
    let start = now - SignedDuration::from_mins(7);
    let run = NightlyRun { guest, folder: &folder, zone, start, night: 0 };
    files::sparse(&folder.join(format!("{}.vma.dat", run.base())), 2_900 * MIB, now)?;
    let work = folder.join(format!("{}.tmp", run.base()));
    files::with_content(&work.join("qemu-server.conf"), b"name: build\n", start)?;
    files::stamp_directory(&work, start)
}

/// A share that isn't mounted, and a disk with an old copy.
fn write_offsite(directory: &Path, zone: &TimeZone, now: Timestamp) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory.join("nas"))?;
    let folder = directory.join("usb").join("dump");
    NightlyRun { guest: &GUESTS[0], folder: &folder, zone, start: now - LAST_RUN - DAY * 3, night: 3 }.good()
}

fn write_dumps(directory: &Path, zone: &TimeZone, now: Timestamp) -> anyhow::Result<()> {
    let folder = directory.join("dumps");
    for (name, size) in DATABASES {
        for night in 0..NIGHTS {
            let start = now - SignedDuration::from_hours(5) - DAY * night as i32;
            let stamp = start.to_zoned(zone.clone()).strftime("%Y%m%d_%H%M%S").to_string();
            let path = folder.join(format!("{name}_{stamp}.sql.gz"));
            let content = archives::dump(name, (size - size * night as usize / 100) * 1024)?;
            files::with_content(&path, &content, start + SignedDuration::from_secs(20))?;
            if name == "shop" {
                let text = format!("{:x}  {name}_{stamp}.sql.gz\n", Sha256::digest(&content));
                files::with_content(
                    &with_suffix(&path, ".sha256"),
                    text.as_bytes(),
                    start + SignedDuration::from_secs(21),
                )?;
            }
        }
    }
    Ok(())
}
