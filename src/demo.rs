//! A demo estate with one trouble of each sort, to see what firedrill says without backups of one's own.
//!
//! Two nodes, a dozen guests, a month of archives with their logs, three databases, what the API of the cluster tells, an ESXi host, the
//! containers of a monitoring stack. Archives are whole but small, and sparse: they take no room.

mod archives;
mod cluster;
mod containers;
mod estate;
mod files;
mod house;

use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::environments::{Criteria, Environment};
use crate::config::root::Root;
use crate::config::{Config, automation, docker, dump, esxi, proxmox, store, verify, vzdump, web};
use crate::domain::automation::action::Kind;
use crate::domain::automation::rule::Mode;
use crate::domain::look::Medium;

/// The zone that the demo nodes keep.
pub const ZONE: &str = "Europe/Berlin";

/// Marks a directory as ours, so that nothing else is ever removed.
const MARKER: &str = ".firedrill-demo";

/// Writes the estate as of `now` into `directory`, which must be empty, new, or an older demo estate. Returns the
/// configuration that watches it.
pub fn write(directory: &Path, now: Timestamp) -> anyhow::Result<Config> {
    prepare(directory)?;
    let zone = TimeZone::get(ZONE).context("the built-in time zones")?;
    estate::write(directory, &zone, now)?;
    cluster::write(directory, now)?;
    containers::write(directory, now)?;
    house::write(directory, now)?;
    config(directory, zone)
}

/// The directories of archives, one per node.
pub fn vzdump_roots(directory: &Path) -> [PathBuf; 2] {
    ["pve1", "pve2"].map(|node| directory.join(node).join("dump"))
}

/// The directory of guest configurations.
pub fn guests_dir(directory: &Path) -> PathBuf {
    directory.join("etc-pve-nodes")
}

/// Writes to the running backup of the estate every minute, so that it stays one.
pub async fn keep_running(directory: PathBuf) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let file = estate::running_file(&directory);
        if let Some(file) = file
            && let Err(error) = files::append(&file, &[0; 4096])
        {
            tracing::debug!(%error, "the demo's running backup could not be written on");
        }
        // What nobody writes any more isn't relied on.
        for file in [containers::file(&directory), cluster::file(&directory), house::file(&directory)] {
            if let Err(error) = files::append(&file, b"\n") {
                tracing::debug!(%error, path = %file.display(), "the demo's answers could not be written again");
            }
        }
    }
}

fn prepare(directory: &Path) -> anyhow::Result<()> {
    let marker = directory.join(MARKER);
    check_owner(directory)?;
    if marker.exists() {
        std::fs::remove_dir_all(directory)
            .with_context(|| format!("removing the old demo estate {}", directory.display()))?;
    }
    // Closed to others: what they would put there could lead our writes elsewhere.
    let mut closed = std::fs::DirBuilder::new();
    closed
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("creating {}", directory.display()))?;
    check_owner(directory)?;
    let empty =
        std::fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?.next().is_none();
    anyhow::ensure!(empty, "{} is not empty and no demo estate; name another directory", directory.display());
    std::fs::write(marker, "firedrill removes this directory when it writes a new demo estate\n")
        .context("writing the marker")
}

/// A directory that is there already must be ours, and no link.
fn check_owner(directory: &Path) -> anyhow::Result<()> {
    let Ok(found) = std::fs::symlink_metadata(directory) else { return Ok(()) };
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0;
    anyhow::ensure!(
        ours,
        "{} is not a directory that only this user can write to; name another one",
        directory.display()
    );
    Ok(())
}

fn config(directory: &Path, zone: TimeZone) -> anyhow::Result<Config> {
    let root = |path: PathBuf, medium, node: Option<&str>| Root {
        medium: Some(medium),
        node: node.map(Into::into),
        ..Root::directory(path)
    };
    let [first, second] = vzdump_roots(directory);
    let share = directory.join("nas");
    let quickly = Duration::from_secs(30);
    let cluster = vzdump::Vzdump {
        time_zone: zone.clone(),
        guests_dir: Some(guests_dir(directory)),
        scan_interval: quickly,
        ..vzdump::Vzdump::over(
            "cluster".parse()?,
            vec![root(first, Medium::Local, Some("pve1")), root(second, Medium::Nfs, Some("pve2"))],
        )
    };
    let offsite = vzdump::Vzdump {
        time_zone: zone.clone(),
        expected: vec!["qemu/100".parse()?, "qemu/101".parse()?],
        scan_interval: quickly,
        ..vzdump::Vzdump::over(
            "offsite".parse()?,
            vec![
                Root { require_mount: Some(share.clone()), ..root(share.join("dump"), Medium::Offsite, None) },
                root(directory.join("usb").join("dump"), Medium::Offsite, None),
            ],
        )
    };
    let pattern = dump::Pattern { pattern: "{db}_{time}.sql.gz".to_owned(), item: None, time_format: None };
    let databases = dump::Dump {
        time_zone: zone,
        scan_interval: quickly,
        ..dump::Dump::over("databases".parse()?, vec![root(directory.join("dumps"), Medium::S3, None)], vec![pattern])
    };
    let api = proxmox::Proxmox {
        scan_interval: quickly,
        ..proxmox::Proxmox::recorded("cluster".parse()?, &cluster::file(directory))
    };
    let host =
        esxi::Esxi::recorded_in("esx1".parse()?, &house::file(directory)).context("the path of the demo estate")?;
    let host = esxi::Esxi { scan_interval: quickly, ..host };
    let engine = format!("file://{}", containers::file(directory).display());
    let stack = docker::Docker {
        scan_interval: quickly,
        ..docker::Docker::at("monitoring".parse()?, engine, vec!["node-exporter".into()])
    };
    let environment = |name: &str, tags: &[&str], names: &[&str], interval: Option<Duration>| Environment {
        name: name.into(),
        matches: Criteria {
            tags: tags.iter().map(ToString::to_string).collect(),
            names: names.iter().map(ToString::to_string).collect(),
            ..Criteria::default()
        },
        interval,
        grace: None,
        minimum_size: None,
    };
    let rule = |name: &str, action, mode, matcher: &str| automation::Rule {
        mode,
        matchers: vec![matcher.to_owned()],
        ..automation::Rule::new(name, action)
    };
    let week = Duration::from_secs(7 * 24 * 3600);
    Ok(Config {
        web: web::Web {
            listen_address: SocketAddr::from(([127, 0, 0, 1], web::DEFAULT_PORT)).into(),
            ..web::Web::default()
        },
        environments: vec![
            environment("prod", &["prod"], &["shop", "crm"], None),
            environment("lab", &["lab"], &["wiki"], Some(week)),
        ],
        vzdump: vec![cluster, offsite],
        dump: vec![databases],
        docker: vec![stack],
        proxmox: vec![api],
        esxi: vec![host],
        store: store::Store {
            url: Some(format!("sqlite://{}", directory.join("firedrill.db").display()).into()),
            ..store::Store::default()
        },
        automation: automation::Automation {
            rules: vec![
                rule("reverify-damaged", Kind::Reverify, Some(Mode::Execute), "alertname = FiredrillBackupCorrupt"),
                rule("rescan-unknown", Kind::Rescan, None, "alertname = FiredrillSourceUnknown"),
            ],
            ..automation::Automation::default()
        },
        // Somebody waits to see it.
        verify: verify::Verify { rate: None, nice: 0, idle_io: false, ..verify::Verify::default() },
        ..Config::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_directory_is_ever_removed() {
        let place = tempfile::tempdir().unwrap();
        let now = "2026-11-21T08:00:00Z".parse().unwrap();
        let mine = place.path().join("estate");
        write(&mine, now).unwrap();
        write(&mine, now).unwrap();
        let other = place.path().join("other");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("precious"), "x").unwrap();
        assert!(write(&other, now).is_err());
        assert!(other.join("precious").exists());
    }
}
