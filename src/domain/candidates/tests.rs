use super::*;
use crate::domain::file::FileFacts;
use crate::domain::finding::{Finding, Kind};
use crate::domain::item::Item;
use crate::domain::local_time::When;
use crate::domain::look::estate::EstateLook;
use crate::domain::look::{
    ErrorKind, Look, LookError, Medium, PlaceListing, PlaceLook, PlaceSpec, SourceKind, SourceSpec,
};
use crate::domain::policy::{Matcher, Policy};
use crate::domain::proof::book::{ItemProof, ProofState, SourceProofs};
use crate::domain::proof::{Conclusion, Digest, Evidence, Level, Verification};
use crate::domain::verdict::{BackupState, Cause, judge};

const DAY: i64 = 86_400;
const MONTH: Duration = Duration::from_secs(30 * 86_400);

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - jiff::SignedDuration::from_secs(seconds)
}

/// A backup of `item`, so many days old.
fn backup(item: &str, days: i64) -> Attempt {
    Attempt {
        item: item.parse().unwrap(),
        started: When::At(ago(days * DAY)),
        outcome: Outcome::Complete { warning: None },
        file: format!("{}-{days}", item.replace('/', "-")).into(),
        size: 100,
        modified: Some(ago(days * DAY)),
        changed: None,
        log: None,
        duration: None,
        guest_name: None,
        note: None,
        protected: false,
        sidecar: None,
    }
}

fn view(roots: &[Result<Vec<Attempt>, ()>]) -> SourceView {
    let paths = ["/a", "/b"];
    let spec = SourceSpec {
        name: "s".parse().unwrap(),
        kind: SourceKind::new("vzdump"),
        places: paths[..roots.len()]
            .iter()
            .map(|path| PlaceSpec { path: (*path).into(), medium: Medium::Local, node: None, readable: true })
            .collect(),
        expected: Vec::new(),
        exclude: Matcher::new(&["300".to_owned()], &[], &[], &[]).unwrap(),
        scan_interval: Duration::from_secs(60),
        scan_timeout: Duration::from_secs(60),
    };
    let root = |attempts: &Result<Vec<Attempt>, ()>| PlaceLook {
        listing: match attempts {
            Ok(attempts) => Ok(Arc::new(PlaceListing { attempts: attempts.clone(), ..PlaceListing::default() })),
            Err(()) => Err(LookError::new(ErrorKind::Io, "gone")),
        },
        capacity: None,
    };
    let seen = |result: &Result<Vec<Attempt>, ()>| root(&Ok(result.clone().unwrap_or_default()));
    let unseen = SourceView::unseen(Arc::new(spec), &Policy::default());
    // Everything was seen once.
    let first = Look { places: roots.iter().map(seen).collect(), estate: EstateLook::default() };
    let then = Look { places: roots.iter().map(root).collect(), estate: EstateLook::default() };
    unseen.after(first, Duration::ZERO, &Policy::default(), now()).after(
        then,
        Duration::ZERO,
        &Policy::default(),
        now(),
    )
}

fn verified(backup: &Attempt, root: &str, conclusion: Conclusion, at: Timestamp) -> Verification {
    Verification {
        archive: ArchiveId { source: "s".parse().unwrap(), root: root.into(), file: backup.file.clone() },
        method: Method::READING,
        item: backup.item.clone(),
        facts: FileFacts::new(backup.size, backup.modified.unwrap()),
        digest: Some(Digest([1; 32])),
        wanted: Level::Complete,
        reached: (conclusion == Conclusion::Intact).then_some(Level::Complete),
        conclusion,
        findings: match conclusion {
            Conclusion::Damaged => vec![Finding::new(Kind::VmaMissingClusters, "7 clusters are missing")],
            _ => Vec::new(),
        },
        reason: (conclusion == Conclusion::Unchecked).then(|| "it changed".into()),
        started: at,
        took: Duration::ZERO,
        read: 100,
        evidence: Evidence::default(),
        sidecar: None,
    }
}

fn book(verifications: &[Verification]) -> SourceProofs {
    let mut book = SourceProofs::default();
    verifications.iter().for_each(|it| book.add(it));
    book
}

fn rules(method: Method, level: Level) -> Rules {
    Rules { method, again_after: MONTH, level }
}

fn planned(view: &SourceView, book: &SourceProofs) -> Vec<(String, Need)> {
    candidates(view, book, &rules(Method::READING, Level::Complete), |_| true, now())
        .into_iter()
        .map(|it| (it.archive.to_string(), it.need))
        .collect()
}

#[test]
fn newest_first_then_the_others_then_the_oldest_proof() {
    let (old, older) = (backup("qemu/102", 3), backup("qemu/102", 4));
    let files = vec![
        backup("qemu/100", 2),
        backup("qemu/100", 1),
        backup("qemu/101", 0),
        old.clone(),
        older.clone(),
        backup("qemu/300", 1),
    ];
    let book = book(&[
        verified(&old, "/a", Conclusion::Intact, ago(40 * DAY)),
        verified(&older, "/a", Conclusion::Damaged, ago(50 * DAY)),
    ]);
    let names: Vec<(String, Need)> = planned(&view(&[Ok(files)]), &book);
    let expected = [
        ("/a/qemu-101-0", Need::NewestUnproven),
        ("/a/qemu-100-1", Need::NewestUnproven),
        ("/a/qemu-100-2", Need::Unproven),
        ("/a/qemu-102-4", Need::Again),
        ("/a/qemu-102-3", Need::Again),
    ];
    assert_eq!(names, expected.map(|(name, need)| (name.to_owned(), need)));
}

#[test]
fn a_file_that_was_written_again_is_unproven() {
    let mut it = backup("qemu/100", 1);
    let book = book(&[verified(&it, "/a", Conclusion::Intact, now())]);
    assert_eq!(planned(&view(&[Ok(vec![it.clone()])]), &book), []);
    it.modified = Some(now());
    assert_eq!(planned(&view(&[Ok(vec![it])]), &book).len(), 1);
}

#[test]
fn a_file_whose_inode_changed_is_read_again_without_a_false_word_meanwhile() {
    let (old, mut it) = (backup("qemu/100", 2), backup("qemu/100", 1));
    it.changed = Some(ago(DAY));
    let read = |backup: &Attempt, conclusion| {
        let facts = FileFacts { changed: backup.changed, ..FileFacts::new(backup.size, backup.modified.unwrap()) };
        Verification { facts, ..verified(backup, "/a", conclusion, ago(9)) }
    };
    let touched = Attempt { changed: Some(ago(1)), ..it.clone() };
    // The same file: its proof holds.
    let known = [read(&it, Conclusion::Intact), read(&old, Conclusion::Intact)];
    let same = view(&[Ok(vec![old.clone(), it.clone()])]);
    assert_eq!(planned(&same, &book(&known)), []);
    // Replaced, or only its mode changed: nobody knows before it is read. It is the first to be read, and no alarm.
    let other = view(&[Ok(vec![old.clone(), touched.clone()])]);
    assert_eq!(planned(&other, &book(&known)), [("/a/qemu-100-1".to_owned(), Need::NewestUnproven)]);
    let seen = with_proofs(&other, &known);
    assert_eq!(state(&seen), (BackupState::Ok, Cause::Fresh));
    assert_eq!((proof(&seen.items[0]).state(), proof(&seen.items[0]).touched), (ProofState::Unproven, true));
    let older = view(&[Ok(vec![Attempt { changed: Some(ago(1)), ..old.clone() }, it.clone()])]);
    assert_eq!(
        planned(
            &older,
            &book(&[known[0].clone(), read(&Attempt { changed: Some(ago(DAY)), ..old }, Conclusion::Intact)])
        ),
        [("/a/qemu-100-2".to_owned(), Need::Touched)]
    );
    // Read again: proven anew.
    let again = read(&touched, Conclusion::Intact);
    let renewed = with_proofs(&other, &[known[0].clone(), known[1].clone(), Verification { started: now(), ..again }]);
    assert_eq!((proof(&renewed.items[0]).state(), proof(&renewed.items[0]).touched), (ProofState::Passed, false));
    // Whoever changed the mode of a damaged file mended nothing.
    let damaged = [read(&it, Conclusion::Damaged)];
    assert_eq!(state(&with_proofs(&other, &damaged)), (BackupState::Corrupt, Cause::Damaged));
    assert_eq!(planned(&other, &book(&damaged))[0], ("/a/qemu-100-1".to_owned(), Need::NewestUnproven));
    // Who looks less deep says neither that it is mended, nor is asked again and again.
    let shallow =
        Verification { wanted: Level::Present, reached: Some(Level::Present), ..read(&touched, Conclusion::Intact) };
    let both = [damaged[0].clone(), shallow.clone()];
    assert_eq!(state(&with_proofs(&other, &both)), (BackupState::Corrupt, Cause::Damaged));
    let rules = rules(Method::READING, Level::Present);
    assert!(
        candidates(&other, &book(&both), &rules, |_| true, now())
            .iter()
            .all(|it| !it.archive.to_string().ends_with("100-1"))
    );
    let book = book(&[known[0].clone(), shallow]);
    assert!(
        candidates(&other, &book, &rules, |_| true, now()).iter().all(|it| !it.archive.to_string().ends_with("100-1"))
    );
}

#[test]
fn a_proof_of_before_holds_unless_the_inode_changed_after_it() {
    let mut it = backup("qemu/100", 1);
    let known = [verified(&it, "/a", Conclusion::Intact, ago(9))];
    for (changed, planned_files) in [(None, 0), (Some(ago(DAY)), 0), (Some(ago(9)), 0), (Some(ago(8)), 1)] {
        it.changed = changed;
        assert_eq!(planned(&view(&[Ok(vec![it.clone()])]), &book(&known)).len(), planned_files, "{changed:?}");
    }
}

#[test]
fn who_looks_less_deep_takes_nothing_back() {
    let it = backup("qemu/100", 0);
    let view = view(&[Ok(vec![it.clone()])]);
    let shallow = |conclusion| Verification {
        wanted: Level::Present,
        reached: (conclusion == Conclusion::Intact).then_some(Level::Present),
        ..verified(&it, "/a", conclusion, now())
    };
    let damaged = [verified(&it, "/a", Conclusion::Damaged, ago(9)), shallow(Conclusion::Intact)];
    assert_eq!(state(&with_proofs(&view, &damaged)), (BackupState::Corrupt, Cause::Damaged));
    let proven = [verified(&it, "/a", Conclusion::Intact, ago(9)), shallow(Conclusion::Intact)];
    assert_eq!(proof(&with_proofs(&view, &proven).items[0]).level(), Some(Level::Complete));
    // Damage counts however it was found, and less than what is wanted is no proof.
    let gone = [verified(&it, "/a", Conclusion::Intact, ago(9)), shallow(Conclusion::Damaged)];
    assert_eq!(state(&with_proofs(&view, &gone)), (BackupState::Corrupt, Cause::Damaged));
    assert_eq!(planned(&view, &book(&[shallow(Conclusion::Intact)])).len(), 1);
}

#[test]
fn that_a_file_is_there_is_no_proof_and_outvotes_no_damage() {
    let it = backup("qemu/100", 0);
    let present = |root| Verification {
        wanted: Level::Present,
        reached: Some(Level::Present),
        ..verified(&it, root, Conclusion::Intact, now())
    };
    let one = with_proofs(&view(&[Ok(vec![it.clone()])]), &[present("/a")]);
    assert_eq!((proof(&one.items[0]).state(), proof(&one.items[0]).newest_intact), (ProofState::Unproven, None));
    let both = view(&[Ok(vec![it.clone()]), Ok(vec![it.clone()])]);
    for (a, b) in [("/a", "/b"), ("/b", "/a")] {
        let view = with_proofs(&both, &[present(a), verified(&it, b, Conclusion::Damaged, now())]);
        assert_eq!(state(&view), (BackupState::Corrupt, Cause::Damaged));
    }
    // Damage that was found less deep doesn't open the way for a look that is less deep.
    let shallow = Verification { wanted: Level::Decodes, ..verified(&it, "/a", Conclusion::Damaged, ago(5)) };
    let fine = Verification { wanted: Level::Decodes, reached: Some(Level::Decodes), ..present("/a") };
    let book = [verified(&it, "/a", Conclusion::Damaged, ago(9)), shallow, fine];
    assert_eq!(state(&with_proofs(&view(&[Ok(vec![it.clone()])]), &book)), (BackupState::Corrupt, Cause::Damaged));
}

#[test]
fn an_earlier_reading_that_is_told_later_changes_nothing() {
    let it = backup("qemu/100", 0);
    let book = [verified(&it, "/a", Conclusion::Damaged, now()), verified(&it, "/a", Conclusion::Intact, ago(99))];
    assert_eq!(state(&with_proofs(&view(&[Ok(vec![it.clone()])]), &book)), (BackupState::Corrupt, Cause::Damaged));
}

#[test]
fn a_damaged_backup_is_never_ok_because_its_place_is_gone() {
    let (new, old) = (backup("qemu/100", 0), backup("qemu/100", 1));
    let damaged = [verified(&new, "/b", Conclusion::Damaged, now())];
    let seen = with_proofs(&view(&[Ok(vec![old.clone()]), Ok(vec![new.clone()])]), &damaged);
    assert_eq!(state(&seen), (BackupState::Corrupt, Cause::Damaged));
    let mut look = Look { places: Vec::new(), estate: EstateLook::default() };
    look.places.push(PlaceLook { listing: Ok(seen.listings[0].clone().unwrap()), capacity: None });
    look.places.push(PlaceLook { listing: Err(LookError::new(ErrorKind::NotMounted, "gone")), capacity: None });
    let blind = seen.after(look, Duration::ZERO, &Policy::default(), now());
    assert_eq!(state(&blind), (BackupState::Unknown, Cause::CannotLook));
}

#[test]
fn what_takes_long_and_comes_to_nothing_holds_up_nobody() {
    let (bad, other) = (backup("qemu/100", 0), backup("qemu/101", 5));
    let view = view(&[Ok(vec![bad.clone(), other])]);
    let book = book(&[verified(&bad, "/a", Conclusion::Unchecked, ago(2 * 3600))]);
    assert_eq!(
        planned(&view, &book).iter().map(|(_, need)| *need).collect::<Vec<_>>(),
        [Need::NewestUnproven, Need::Retry]
    );
}

#[test]
fn a_try_that_failed_is_repeated_though_an_earlier_proof_holds() {
    let it = backup("qemu/100", 0);
    let view = view(&[Ok(vec![it.clone()])]);
    let tried =
        |at| [verified(&it, "/a", Conclusion::Intact, ago(9000)), verified(&it, "/a", Conclusion::Unchecked, at)];
    assert_eq!(planned(&view, &book(&tried(ago(2 * 3600)))).len(), 1);
    assert_eq!(planned(&view, &book(&tried(ago(60)))).len(), 0);
    // A clock that was ahead when it failed.
    assert_eq!(planned(&view, &book(&tried(now() + jiff::SignedDuration::from_hours(9999)))).len(), 1);
}

#[test]
fn what_could_not_be_checked_is_tried_again_after_a_while() {
    let it = backup("qemu/100", 1);
    let view = view(&[Ok(vec![it.clone()])]);
    assert_eq!(planned(&view, &book(&[verified(&it, "/a", Conclusion::Unchecked, ago(60))])), []);
    assert_eq!(planned(&view, &book(&[verified(&it, "/a", Conclusion::Unchecked, ago(2 * 3600))])).len(), 1);
}

#[test]
fn blind_places_and_files_without_content_are_left_alone() {
    let (here, there) = (backup("qemu/100", 1), backup("qemu/101", 1));
    let empty = Attempt { size: 0, ..backup("qemu/102", 1) };
    let running = Attempt { outcome: Outcome::Running { last_write: now() }, ..backup("qemu/103", 0) };
    let view = view(&[Ok(vec![here, empty, running]), Err(())]);
    assert_eq!(planned(&view, &SourceProofs::default()), [("/a/qemu-100-1".to_owned(), Need::NewestUnproven)]);
    drop(there);
}

fn with_proofs(view: &SourceView, verifications: &[Verification]) -> SourceView {
    view.with_proofs(crate::domain::proof::book::Proofs::Known(Arc::new(book(verifications))), &Policy::default())
}

fn state(view: &SourceView) -> (BackupState, Cause) {
    let verdict = judge(&view.items[0], &view.health, &view.spec, now()).unwrap();
    (verdict.state, verdict.cause)
}

fn proof(item: &Item) -> &crate::domain::proof::book::Proven {
    let ItemProof::Known(proven) = &item.proof else { panic!("nothing is known") };
    proven
}

#[test]
fn an_item_is_corrupt_while_its_newest_backup_is_damaged() {
    let (new, old) = (backup("qemu/100", 0), backup("qemu/100", 1));
    let view = view(&[Ok(vec![old.clone(), new.clone()])]);
    let damaged = with_proofs(
        &view,
        &[verified(&new, "/a", Conclusion::Damaged, now()), verified(&old, "/a", Conclusion::Intact, now())],
    );
    assert_eq!(state(&damaged), (BackupState::Corrupt, Cause::Damaged));
    let proven = proof(&damaged.items[0]);
    assert_eq!((proven.state(), proven.level(), proven.damaged_copies), (ProofState::Failed, None, 1));
    assert_eq!(proven.newest_intact, Some(ago(DAY)));
    // An older damaged copy is counted, and says nothing of the newest.
    let older = with_proofs(&view, &[verified(&old, "/a", Conclusion::Damaged, now())]);
    assert_eq!(state(&older), (BackupState::Ok, Cause::Fresh));
    assert_eq!((proof(&older.items[0]).state(), proof(&older.items[0]).damaged_copies), (ProofState::Unproven, 1));
    // A later try that came to nothing takes no damage back.
    let unchecked =
        [verified(&new, "/a", Conclusion::Damaged, ago(9)), verified(&new, "/a", Conclusion::Unchecked, now())];
    assert_eq!(state(&with_proofs(&view, &unchecked)), (BackupState::Corrupt, Cause::Damaged));
}

#[test]
fn a_newer_backup_is_unproven_whatever_was_proven_before() {
    let (new, old) = (backup("qemu/100", 0), backup("qemu/100", 1));
    let view = with_proofs(&view(&[Ok(vec![old.clone(), new])]), &[verified(&old, "/a", Conclusion::Intact, ago(DAY))]);
    let proven = proof(&view.items[0]);
    assert_eq!((proven.state(), proven.level()), (ProofState::Unproven, None));
    // The level was proven of the item, of an earlier backup.
    assert_eq!(proven.levels[..3], [Some(ago(DAY)); 3]);
    assert_eq!(proven.levels[3..], [None; 4]);
}

#[test]
fn one_intact_copy_of_the_newest_backup_is_enough() {
    let it = backup("qemu/100", 0);
    let both = view(&[Ok(vec![it.clone()]), Ok(vec![it.clone()])]);
    for (a, b) in [("/a", "/b"), ("/b", "/a")] {
        let view = with_proofs(
            &both,
            &[verified(&it, a, Conclusion::Damaged, now()), verified(&it, b, Conclusion::Intact, now())],
        );
        assert_eq!(state(&view), (BackupState::Ok, Cause::Fresh));
        assert_eq!(proof(&view.items[0]).damaged_copies, 1);
        // One damaged, the other not read: no proof that it would restore.
        let view = with_proofs(&both, &[verified(&it, a, Conclusion::Damaged, now())]);
        assert_eq!(state(&view), (BackupState::Corrupt, Cause::Damaged));
    }
}

#[test]
fn while_proofs_are_not_known_nothing_is_ok() {
    let proofs = crate::domain::proof::book::Proofs::Unknown("the store is gone".into());
    let fresh = view(&[Ok(vec![backup("qemu/100", 0)])]).with_proofs(proofs.clone(), &Policy::default());
    assert_eq!(state(&fresh), (BackupState::Unknown, Cause::ProofsUnknown));
    // What is bad by its age stays so.
    let late = view(&[Ok(vec![backup("qemu/100", 9)])]).with_proofs(proofs, &Policy::default());
    assert_eq!(state(&late), (BackupState::Missing, Cause::Overdue));
}
