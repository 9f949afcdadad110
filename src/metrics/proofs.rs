//! What is proven of every item, and how the verifier stands.

use jiff::Timestamp;

use super::family::{Description, Family, seconds};
use super::items::each_judged;
use crate::domain::inventory::Inventory;
use crate::domain::item::Item;
use crate::domain::proof::book::{ItemProof, ProofState, Proven};
use crate::domain::proof::{Conclusion, Level, method};
use crate::domain::verification::Verifier;
use crate::engine::statuses::Snapshot;

const ITEM: &[&str] = &["source", "item"];

static LEVEL: Description = Description::gauge(
    "firedrill_proof_level",
    ITEM,
    "Level that is proven of the newest backup: 0 unproven or damaged, 1 present, 2 decodes to its end, 3 complete.",
);
static TIMESTAMP: Description = Description::gauge(
    "firedrill_proof_timestamp_seconds",
    &["source", "item", "level"],
    "When the level was last proven of any backup of the item, as Unix time; absent when it never was.",
);
static STATE: Description = Description::gauge(
    "firedrill_proof_state",
    &["source", "item", "state"],
    "How the newest backup stands: exactly one is 1. Absent while nothing is verified or the store was not read.",
);
static INTACT: Description = Description::gauge(
    "firedrill_proof_newest_intact_timestamp_seconds",
    ITEM,
    "Start of the newest kept backup that was read and is intact, as Unix time: how far back a proven restore goes; absent when there is none.",
);
static DAMAGED: Description = Description::gauge(
    "firedrill_backup_damaged_copies",
    ITEM,
    "Kept backups that were read and would not restore, the newest among them.",
);
static UNCHECKED: Description = Description::gauge(
    "firedrill_proof_unchecked",
    ITEM,
    "1 while the last try to read the newest backup came to no conclusion.",
);

/// Families over items.
pub const OF_ITEMS: [&Description; 6] = [&LEVEL, &TIMESTAMP, &STATE, &INTACT, &DAMAGED, &UNCHECKED];

static VERIFICATIONS: Description = Description::counter(
    "firedrill_verifications_total",
    &["level", "result"],
    "Archives that were read, by the level that was asked for and the result.",
);
static READ: Description =
    Description::counter("firedrill_verified_bytes_total", &[], "Bytes of archives that were read.");
static WAITING: Description =
    Description::gauge("firedrill_verifier_waiting_archives", &[], "Archives that are due to be read.");
static RUNNING: Description =
    Description::gauge("firedrill_verifier_running_archives", &[], "Archives that are being read.");
static HANGING: Description = Description::gauge(
    "firedrill_verifier_hanging_readings",
    &[],
    "Readings that were given up because their directory does not answer, and whose thread hangs still; 4 at most, then nothing is read in such directories.",
);
static UNSAVED: Description = Description::gauge(
    "firedrill_verifier_unsaved_results",
    &[],
    "Results that wait until the store takes them; nothing new is read meanwhile.",
);
static OPEN: Description = Description::gauge(
    "firedrill_verifier_window_open",
    &[],
    "1 while the configuration lets archives be read (verify.window).",
);
static PROGRESS: Description = Description::gauge(
    "firedrill_verifier_last_progress_timestamp_seconds",
    &[],
    "When a byte was last read, or when there was last nothing to read, as Unix time.",
);
static AGAIN: Description = Description::gauge(
    "firedrill_verifier_reverify_after_seconds",
    &[],
    "Age from which a proof is renewed (verify.reverify_after).",
);

/// Families over the verifier.
pub const OF_VERIFIER: [&Description; 9] =
    [&VERIFICATIONS, &READ, &WAITING, &RUNNING, &HANGING, &UNSAVED, &OPEN, &PROGRESS, &AGAIN];

/// Fills the families over items.
pub fn collect(inventory: &Inventory, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    let mut each = |description: &'static Description, add: &dyn Fn(&mut Family, &str, &str, &Item, &Proven)| {
        let mut family = description.family();
        each_judged(inventory, |view, item, id| {
            if let ItemProof::Known(proven) = &item.proof {
                add(&mut family, view.spec.name.as_str(), id, item, proven);
            }
        });
        out(family);
    };
    // Without a backup there is nothing to prove; that it is missing is said elsewhere.
    each(&LEVEL, &|family, source, id, item, proven| {
        if item.newest.is_some() {
            family.add(&[source, id], proven.level().map_or(0.0, |level| f64::from(level.number())));
        }
    });
    each(&TIMESTAMP, &|family, source, id, _, proven| {
        for (level, at) in Level::ALL.iter().zip(proven.levels) {
            if let Some(at) = at {
                family.add(&[source, id, level.as_str()], seconds(at));
            }
        }
    });
    each(&STATE, &|family, source, id, item, proven| {
        if item.newest.is_some() {
            for state in ProofState::ALL {
                family.add(&[source, id, state.as_str()], f64::from(u8::from(state == proven.state())));
            }
        }
    });
    each(&INTACT, &|family, source, id, _, proven| {
        if let Some(intact) = proven.newest_intact {
            family.add(&[source, id], seconds(intact));
        }
    });
    each(&DAMAGED, &|family, source, id, _, proven| family.add(&[source, id], f64::from(proven.damaged_copies)));
    each(&UNCHECKED, &|family, source, id, item, proven| {
        if item.newest.is_some() {
            family.add(&[source, id], f64::from(u8::from(proven.unchecked.is_some())));
        }
    });
}

/// Fills the families over the verifier.
pub fn collect_verifier(statuses: &Snapshot, _now: Timestamp, out: &mut dyn FnMut(Family)) {
    let Some(verifier) = &statuses.verifier else { return };
    out(counts(verifier));
    let mut single = |description: &'static Description, value: Option<f64>| {
        let mut family = description.family();
        if let Some(value) = value {
            family.add(&[], value);
        }
        out(family);
    };
    let flag = |value: bool| Some(f64::from(u8::from(value)));
    single(&READ, Some(verifier.read as f64));
    single(&WAITING, Some(verifier.waiting as f64));
    single(&RUNNING, Some(verifier.running as f64));
    single(&HANGING, Some(verifier.hanging as f64));
    single(&UNSAVED, Some(verifier.unsaved as f64));
    single(&OPEN, flag(verifier.open));
    single(&PROGRESS, verifier.progress.map(seconds));
    single(&AGAIN, Some(verifier.again_after.as_secs_f64()));
}

fn counts(verifier: &Verifier) -> Family {
    let mut family = VERIFICATIONS.family();
    for (level, results) in Level::ALL.iter().zip(verifier.counts) {
        // What nothing proves isn't shown, unless somebody did.
        if !method::provable().contains(*level) && results.iter().all(|count| *count == 0) {
            continue;
        }
        for (conclusion, count) in Conclusion::ALL.iter().zip(results) {
            family.add(&[level.as_str(), conclusion.as_str()], count as f64);
        }
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Help of the families is a constant; what it says of the levels is what their table says.
    #[test]
    fn the_help_says_what_can_be_proven() {
        let all: Vec<String> =
            method::provable().iter().map(|level| format!("{} {}", level.as_str(), level.word())).collect();
        assert!(LEVEL.help.ends_with(&format!(", {}.", all.join(", "))), "{}", LEVEL.help);
    }

    #[test]
    fn levels_that_nothing_proves_are_counted_once_they_were_asked_for() {
        let shown = |verifier: &Verifier| {
            let family = counts(verifier).finish().unwrap();
            let labels = || family.get_metric().iter().flat_map(|it| it.get_label());
            Level::ALL.map(|level| labels().any(|it| it.name() == "level" && it.value() == level.as_str()))
        };
        let mut verifier = Verifier::default();
        assert_eq!(shown(&verifier), [true, true, true, false, false, false, false]);
        verifier.counts[Level::Booted.position()][0] = 1;
        assert_eq!(shown(&verifier), [true, true, true, false, true, false, false]);
    }
}
