//! The names that dashboards of the ESXi Backup Manager ask for, at `/api/metrics`: gauges, percent and GB, as they were.
//!
//! Of its 45 names those are here that something feeds: replication, failover and schedules of snapshots are not. Values are those of
//! what is known now; nothing is counted since the start of the process, so that a restart takes nothing away.

use jiff::{SignedDuration, Timestamp};

use super::family::{Description, Family};
use super::items::each_judged;
use crate::domain::attempt::{Attempt, Outcome};
use crate::domain::esxi::{Datastore, EsxiBook, Power};
use crate::domain::inventory::Inventory;
use crate::domain::item::Item;
use crate::domain::proof::book::{ItemProof, ProofState};

/// A family without labels, and how its value is found; none is shown where nothing is known.
type Single = (Description, fn(&Counted) -> Option<f64>);

const GIB: f64 = 1_073_741_824.0;

const DATASTORE: &[&str] = &["datastore", "server"];

static USED: Description =
    Description::gauge("esxi_datastore_used_percent", DATASTORE, "How full a datastore is, from 0 to 100.");
static CAPACITY: Description =
    Description::gauge("esxi_datastore_capacity_gb", DATASTORE, "Size of a datastore, in GiB.");
static FREE: Description =
    Description::gauge("esxi_datastore_free_gb", DATASTORE, "What is free on a datastore, in GiB.");

/// Runs of backups, or those of them that are OVA files.
#[derive(Debug, Default)]
struct Runs {
    completed: u32,
    failed: u32,
    running: u32,
    pending: u32,
    last_day: u32,
    bytes: u64,
    seconds: f64,
    timed: u32,
}

impl Runs {
    fn add(&mut self, attempt: &Attempt, now: Timestamp) {
        match attempt.outcome {
            Outcome::Complete { .. } => self.completed += 1,
            Outcome::Failed { .. } => self.failed += 1,
            Outcome::Running { .. } => self.running += 1,
            Outcome::Settling { .. } => self.pending += 1,
            Outcome::Removed | Outcome::Renamed => return,
        }
        let begun = attempt.started.known();
        self.last_day += u32::from(begun.is_some_and(|at| now.duration_since(at) <= SignedDuration::from_hours(24)));
        self.bytes = self.bytes.saturating_add(attempt.size);
        if let (Outcome::Complete { .. }, Some(took)) = (&attempt.outcome, attempt.duration) {
            (self.seconds, self.timed) = (self.seconds + took.as_secs_f64(), self.timed + 1);
        }
    }

    fn total(&self) -> u32 {
        self.completed + self.failed + self.running + self.pending
    }

    fn average(&self) -> Option<f64> {
        (self.timed > 0).then(|| self.seconds / f64::from(self.timed))
    }
}

/// What is known of vSphere servers.
#[derive(Debug, Default)]
struct Estate {
    servers: u32,
    active: u32,
    vms: u32,
    on: u32,
    off: u32,
    snapshots: u32,
    paths: u32,
    usable: u32,
}

impl Estate {
    fn add(&mut self, book: &EsxiBook) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.servers += count(book.hosts.len());
        self.active += count(book.hosts.values().filter(|it| it.connected == Some(true)).count());
        let machines = || book.vms.values().filter(|it| it.template != Some(true));
        self.vms += count(machines().count());
        self.on += count(machines().filter(|it| it.power == Some(Power::On)).count());
        self.off += count(machines().filter(|it| it.power == Some(Power::Off)).count());
        self.snapshots += book.vms.values().filter_map(|it| it.snapshots).map(|it| it.count).sum::<u32>();
        self.paths += count(book.datastores.len());
        self.usable += count(book.datastores.values().filter(|it| it.accessible == Some(true)).count());
    }
}

/// The newest backups by what is proven of them.
#[derive(Debug, Default)]
struct Proofs {
    passed: u32,
    failed: u32,
    pending: u32,
    running: u32,
}

impl Proofs {
    fn add(&mut self, item: &Item) {
        let (Some(_), ItemProof::Known(proven)) = (&item.newest, &item.proof) else { return };
        match proven.state() {
            ProofState::Passed | ProofState::Warning => self.passed += 1,
            ProofState::Failed => self.failed += 1,
            ProofState::Running => self.running += 1,
            _ => self.pending += 1,
        }
    }

    fn total(&self) -> u32 {
        self.passed + self.failed + self.pending + self.running
    }
}

/// Everything that the names are about; nothing of what a part is missing of: a sum over what could be seen looks as if the rest
/// weren't there.
#[derive(Debug, Default)]
struct Counted {
    backups: Option<Runs>,
    exports: Option<Runs>,
    estate: Option<Estate>,
    proofs: Option<Proofs>,
}

impl Counted {
    fn of(inventory: &Inventory, now: Timestamp) -> Self {
        let runs = |wanted: fn(&Attempt) -> bool| {
            // As of the last look that could see them; a source that was never seen may hold anything.
            let never_seen = inventory.sources.iter().any(|view| view.listings.iter().all(Option::is_none));
            let mut runs = Runs::default();
            let seen = inventory.sources.iter().flat_map(|view| view.listings.iter().flatten());
            let attempts = seen.flat_map(|listing| &listing.attempts);
            attempts.filter(|attempt| wanted(attempt)).for_each(|attempt| runs.add(attempt, now));
            (!never_seen).then_some(runs)
        };
        Self {
            backups: runs(|_| true),
            exports: runs(|attempt| attempt.file.to_ascii_lowercase().ends_with(".ova")),
            estate: estate(inventory),
            proofs: proofs(inventory),
        }
    }
}

/// `None` without a vSphere server, and while one of them can't be looked at.
fn estate(inventory: &Inventory) -> Option<Estate> {
    let servers = || inventory.sources.iter().filter(|view| view.spec.kind.as_str() == "esxi");
    let all_seen = servers().count() > 0 && servers().all(|view| view.health.saw("esxi"));
    let mut sum = Estate::default();
    super::esxi::books(inventory).for_each(|(_, book)| sum.add(book));
    all_seen.then_some(sum)
}

/// `None` where nothing is verified, and while the store can't tell what is proven.
fn proofs(inventory: &Inventory) -> Option<Proofs> {
    let (mut sum, mut known, mut unknown) = (Proofs::default(), false, false);
    each_judged(inventory, |_, item, _| {
        known |= matches!(item.proof, ItemProof::Known(_));
        unknown |= matches!(item.proof, ItemProof::Unknown(_));
        sum.add(item);
    });
    (known && !unknown).then_some(sum)
}

/// Of what ended, from 0 to 100.
fn rate(good: u32, bad: u32) -> Option<f64> {
    (good + bad > 0).then(|| 100.0 * f64::from(good) / f64::from(good + bad))
}

macro_rules! singles {
    ($($name:literal: $help:literal, $value:expr;)+) => {
        [$((Description::gauge($name, &[], $help), $value)),+]
    };
}

fn of_estate(counted: &Counted, value: fn(&Estate) -> u32) -> Option<f64> {
    counted.estate.as_ref().map(|it| f64::from(value(it)))
}

static SINGLES: [Single; 29] = singles! {
    "esxi_backups_total": "Backups that are known, however they ended.", |it| Some(it.backups.as_ref()?.total().into());
    "esxi_backups_completed_total": "Backups that are there, whole as far as is known.", |it| Some(it.backups.as_ref()?.completed.into());
    "esxi_backups_failed_total": "Backups that came to nothing, as long as something tells of them.", |it| Some(it.backups.as_ref()?.failed.into());
    "esxi_backups_pending_total": "Backups that were written just now and are judged soon.", |it| Some(it.backups.as_ref()?.pending.into());
    "esxi_backups_running_total": "Backups that are being made.", |it| Some(it.backups.as_ref()?.running.into());
    "esxi_backups_running": "Backups that are being made.", |it| Some(it.backups.as_ref()?.running.into());
    "esxi_backups_last_24h": "Backups that were begun within the last 24 hours.", |it| Some(it.backups.as_ref()?.last_day.into());
    "esxi_backups_success_rate": "Complete backups among those that ended, from 0 to 100.", |it| { let it = it.backups.as_ref()?; rate(it.completed, it.failed) };
    "esxi_backup_avg_duration_seconds": "How long a backup took, of those whose logs tell.", |it| it.backups.as_ref()?.average();
    "esxi_ovf_exports_total": "OVA files that are known, however their export ended.", |it| Some(it.exports.as_ref()?.total().into());
    "esxi_ovf_exports_completed_total": "OVA files that are there.", |it| Some(it.exports.as_ref()?.completed.into());
    "esxi_ovf_exports_failed_total": "OVA files that came to nothing.", |it| Some(it.exports.as_ref()?.failed.into());
    "esxi_ovf_exports_running": "OVA files that are being written.", |it| Some(it.exports.as_ref()?.running.into());
    "esxi_ovf_total_exported_gb": "Size of all OVA files, in GiB.", |it| Some(it.exports.as_ref()?.bytes as f64 / GIB);
    "esxi_ovf_export_avg_duration_seconds": "How long an export took, of those whose logs tell.", |it| it.exports.as_ref()?.average();
    "esxi_servers_total": "ESXi hosts.", |it| of_estate(it, |it| it.servers);
    "esxi_servers_active": "ESXi hosts that can be reached.", |it| of_estate(it, |it| it.active);
    "esxi_vms_total": "Virtual machines, without templates.", |it| of_estate(it, |it| it.vms);
    "esxi_vms_powered_on": "Virtual machines that run.", |it| of_estate(it, |it| it.on);
    "esxi_vms_powered_off": "Virtual machines that are off.", |it| of_estate(it, |it| it.off);
    "esxi_snapshots_total": "Snapshots of virtual machines.", |it| of_estate(it, |it| it.snapshots);
    "esxi_storage_paths_total": "Datastores.", |it| of_estate(it, |it| it.paths);
    "esxi_storage_paths_active": "Datastores that a host can use.", |it| of_estate(it, |it| it.usable);
    "esxi_verifications_total": "Newest backups that are verified or to be.", |it| Some(it.proofs.as_ref()?.total().into());
    "esxi_verifications_passed": "Newest backups that were verified and found intact.", |it| Some(it.proofs.as_ref()?.passed.into());
    "esxi_verifications_failed": "Newest backups that were verified and found damaged.", |it| Some(it.proofs.as_ref()?.failed.into());
    "esxi_verifications_pending": "Newest backups that are not proven yet.", |it| Some(it.proofs.as_ref()?.pending.into());
    "esxi_verifications_running": "Newest backups that are being verified.", |it| Some(it.proofs.as_ref()?.running.into());
    "esxi_verifications_success_rate": "Intact ones among the newest backups that were verified, from 0 to 100.", |it| { let it = it.proofs.as_ref()?; rate(it.passed, it.failed) };
};

/// All names that can be shown.
pub fn names() -> Vec<&'static str> {
    SINGLES.iter().map(|(it, _)| it.name).chain([USED.name, CAPACITY.name, FREE.name]).collect()
}

/// Fills the families of this file.
pub fn collect(inventory: &Inventory, now: Timestamp, out: &mut dyn FnMut(Family)) {
    let counted = Counted::of(inventory, now);
    for (description, value) in &SINGLES {
        let mut family = description.family();
        if let Some(value) = value(&counted) {
            family.add(&[], value);
        }
        out(family);
    }
    let mut each = |description: &'static Description, value: fn(&Datastore) -> Option<f64>| {
        let mut family = description.family();
        for (view, book) in super::esxi::books(inventory) {
            for (label, store) in &book.datastores {
                if let Some(value) = value(store) {
                    family.add(&[label, view.spec.name.as_str()], value);
                }
            }
        }
        out(family);
    };
    each(&USED, |it| Some(100.0 * (1.0 - it.free? as f64 / it.capacity.filter(|size| *size > 0)? as f64)));
    each(&CAPACITY, |it| Some(it.capacity? as f64 / GIB));
    each(&FREE, |it| Some(it.free? as f64 / GIB));
}
