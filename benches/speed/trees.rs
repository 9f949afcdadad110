//! Trees of archives with logs as vzdump leaves them.

use std::fs::{File, FileTimes};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::engine::ports::Clock as _;
use jiff::{SignedDuration, Timestamp};

/// Writes `directories` directories with `guests` guests each, `nights` archives per guest; returns the directories.
pub fn write(place: &Path, directories: u32, guests: u32, nights: u32) -> Vec<PathBuf> {
    let newest = SystemClock.now() - SignedDuration::from_hours(6);
    let roots: Vec<PathBuf> = (0..directories).map(|index| place.join(format!("node{index:02}"))).collect();
    for (index, root) in roots.iter().enumerate() {
        std::fs::create_dir_all(root).expect("a directory");
        for guest in 0..guests {
            let vmid = 100 + index as u32 * guests + guest;
            for night in 0..nights {
                let start = newest
                    - SignedDuration::from_hours(24) * night as i32
                    - SignedDuration::from_secs(i64::from(guest));
                run(root, vmid, start);
            }
        }
    }
    roots
}

fn run(root: &Path, vmid: u32, start: Timestamp) {
    let utc = |time: Timestamp| time.to_zoned(jiff::tz::TimeZone::UTC);
    let base = format!("vzdump-qemu-{vmid}-{}", utc(start).strftime("%Y_%m_%d-%H_%M_%S"));
    let end = start + SignedDuration::from_secs(62);
    let stamp = utc(start).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let archive = File::create(root.join(format!("{base}.vma.zst"))).expect("an archive");
    archive.set_len(7 << 20).expect("its size");
    finish(&archive, end);
    let mut log = File::create(root.join(format!("{base}.log"))).expect("a log");
    log.write_all(text(vmid, &stamp).as_bytes()).expect("its text");
    finish(&log, end);
}

fn finish(file: &File, end: Timestamp) {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(end.as_second() as u64);
    file.set_times(FileTimes::new().set_modified(end)).expect("its time");
}

/// The log of a small virtual machine: about 3 KiB.
fn text(vmid: u32, stamp: &str) -> String {
    let mut text = String::with_capacity(4096);
    let mut line = |words: &str| {
        text.push_str(stamp);
        text.push_str(words);
        text.push('\n');
    };
    line(&format!(" INFO: Starting Backup of VM {vmid} (qemu)"));
    line(" INFO: status = running");
    line(&format!(" INFO: VM Name: guest-{vmid}"));
    line(" INFO: include disk 'scsi0' 'local-lvm:vm-100-disk-0' 32G");
    line(" INFO: backup mode: snapshot");
    line(" INFO: ionice priority: 7");
    line(" INFO: creating vzdump archive '/mnt/pve/nas/dump/vzdump-qemu-100.vma.zst'");
    for percent in (1..=100).step_by(4) {
        line(&format!(
            " INFO: {percent:3}% (1.0 GiB of 32.0 GiB) in {percent}s, read: 349.5 MiB/s, write: 120.3 MiB/s"
        ));
    }
    line(" INFO: backup is sparse: 12.00 GiB (37%) total zero data");
    line(" INFO: transferred 32.00 GiB in 62 seconds (528.5 MiB/s)");
    line(" INFO: archive file size: 7MB");
    line(&format!(" INFO: Finished Backup of VM {vmid} (00:01:02)"));
    text
}
