use super::*;

fn verification() -> Verification {
    Verification {
        archive: ArchiveId { source: "nas".parse().unwrap(), root: "/dump".into(), file: "a.vma".into() },
        method: Method::READING,
        item: "qemu/100".parse().unwrap(),
        facts: FileFacts::new(10, Timestamp::UNIX_EPOCH),
        digest: Some(Digest([7; 32])),
        wanted: Level::Complete,
        reached: Some(Level::Complete),
        conclusion: Conclusion::Intact,
        findings: Vec::new(),
        reason: None,
        started: Timestamp::UNIX_EPOCH,
        took: Duration::from_secs(3),
        read: 10,
        evidence: Evidence::default(),
        sidecar: None,
    }
}

fn first(digest: u8, modified: i64) -> FirstSight {
    let modified = Timestamp::from_second(modified).unwrap();
    FirstSight { facts: FileFacts::new(10, modified), digest: Digest([digest; 32]), at: Timestamp::UNIX_EPOCH }
}

#[test]
fn other_bytes_under_the_same_facts_are_bit_rot() {
    let mut it = verification();
    it.compare(Some(&first(8, 0)));
    assert_eq!(it.conclusion, Conclusion::Damaged);
    assert_eq!(it.reached, None);
    assert_eq!(it.findings[0].kind, Kind::BitRot);
    assert!(it.headline().unwrap().contains("changed since it was first read"));
}

#[test]
fn the_same_bytes_and_a_file_written_again_are_not() {
    let mut it = verification();
    it.compare(Some(&first(7, 0)));
    assert!(it.findings.is_empty());
    it.compare(Some(&first(8, 1)));
    assert_eq!(it.conclusion, Conclusion::Intact);
    assert_eq!(it.findings[0].kind, Kind::Rewritten);
    assert_eq!(it.headline(), None);
}

#[test]
fn a_changed_inode_with_the_same_bytes_is_no_rot_and_excuses_none() {
    let touched = FileFacts { changed: Some(Timestamp::from_second(9).unwrap()), ..verification().facts };
    let mut it = Verification { facts: touched, ..verification() };
    it.compare(Some(&first(7, 0)));
    assert_eq!((it.conclusion, &*it.findings), (Conclusion::Intact, &[][..]));
    it.compare(Some(&first(8, 0)));
    assert_eq!((it.conclusion, it.findings[0].kind), (Conclusion::Damaged, Kind::BitRot));
}

#[test]
fn what_was_not_read_to_its_end_is_compared_with_nothing() {
    let mut it = Verification { digest: None, ..verification() };
    it.compare(Some(&first(8, 0)));
    assert!(it.findings.is_empty());
}

#[test]
fn less_than_is_enough_is_no_proof() {
    use super::book::{ItemProof, ProofState, Proofs, SourceProofs};
    use crate::domain::attempt::{Attempt, Outcome};
    use std::sync::Arc;

    let state = |enough: Level, wanted: Level, reached: Level| {
        let mut it = Verification { wanted, reached: Some(reached), ..verification() };
        it.findings.push(Finding::new(Kind::Encrypted, "it is encrypted"));
        let mut book = SourceProofs::from_level(enough);
        book.add(&it);
        let attempt = Attempt {
            size: 10,
            modified: Some(Timestamp::UNIX_EPOCH),
            ..Attempt::new(
                it.item.clone(),
                crate::domain::local_time::When::At(Timestamp::UNIX_EPOCH),
                Outcome::Renamed,
                "a.vma".into(),
            )
        };
        let root: Arc<str> = "/dump".into();
        let proof = Proofs::Known(Arc::new(book)).of_item(&it.item, &[(&root, Timestamp::UNIX_EPOCH, &attempt)]);
        let ItemProof::Known(proven) = proof else { panic!("{proof:?}") };
        assert_eq!(proven.newest_intact.is_some(), proven.state() == ProofState::Passed);
        (proven.state(), proven.shortfall().map(str::to_owned))
    };
    let (insufficient, why) = state(Level::Complete, Level::Complete, Level::Present);
    assert_eq!(insufficient, ProofState::Insufficient);
    assert_eq!(why.unwrap(), "proven as far as level 1 of 3: it is encrypted");
    assert_eq!(state(Level::Complete, Level::Complete, Level::Decodes).0, ProofState::Insufficient);
    assert_eq!(state(Level::Complete, Level::Complete, Level::Complete), (ProofState::Passed, None));
    assert_eq!(state(Level::Present, Level::Complete, Level::Present).0, ProofState::Passed);
    assert_eq!(state(Level::Decodes, Level::Complete, Level::Present).0, ProofState::Insufficient);
    // To be read again, and then more will be known.
    assert_eq!(state(Level::Complete, Level::Present, Level::Present).0, ProofState::Unproven);
}

#[test]
fn digests_read_back_what_they_print() {
    let digest = Digest([0xa5; 32]);
    assert_eq!(digest.to_string().parse(), Ok(digest));
    assert_eq!("xyz".parse::<Digest>(), Err(NoDigest));
    assert_eq!("ä".repeat(32).parse::<Digest>(), Err(NoDigest));
}

/// What another store is told of a file: nothing better than it was, and the first digest, so that rot is noticed still.
#[test]
fn what_is_told_again_is_no_better_than_it_was() {
    use super::book::SourceProofs;
    let known = |it: &Verification| {
        let mut book = SourceProofs::default();
        book.add(it);
        book.known(&it.archive.root, &it.archive.file).cloned().unwrap()
    };
    let it = verification();
    let told = known(&it).told_again(&it.archive, &it.item, None);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].digest, told[0].reached, told[0].conclusion), (it.digest, it.reached, Conclusion::Intact));
    assert_eq!((told[0].facts, told[0].ended()), (it.facts, it.ended()));
    // Rotten: the first sight comes first, as no more than seen; the damage goes over it.
    let mut rotten = verification();
    rotten.compare(Some(&first(8, 0)));
    let told = known(&rotten).told_again(&rotten.archive, &rotten.item, Some(&first(8, 0)));
    assert_eq!(told.len(), 2);
    assert_eq!((told[0].digest, told[0].reached), (Some(Digest([8; 32])), Some(Level::Present)));
    assert_eq!((told[1].conclusion, told[1].reached), (Conclusion::Damaged, None));
    assert!(told[1].headline().unwrap().contains("changed since it was first read"));
    let mut book = SourceProofs::default();
    told.iter().for_each(|it| book.add(it));
    let again = book.known(&rotten.archive.root, &rotten.archive.file).unwrap();
    assert_eq!(again.by(&Method::READING).unwrap().proof.as_ref().unwrap().conclusion, Conclusion::Damaged);
    // Warned of: the words aren't known any more, so it is only seen, and read again.
    let warned =
        Verification { findings: vec![Finding::new(Kind::DiskUnmapped, "scsi1 is not in it")], ..verification() };
    let told = known(&warned).told_again(&warned.archive, &warned.item, None);
    assert_eq!(warned.findings[0].severity(), Severity::Warning);
    assert_eq!((told.len(), told[0].digest, told[0].reached), (1, warned.digest, Some(Level::Present)));
    // Never read to a conclusion: nothing is told.
    let unchecked = Verification { conclusion: Conclusion::Unchecked, reached: None, digest: None, ..verification() };
    assert!(known(&unchecked).told_again(&unchecked.archive, &unchecked.item, None).is_empty());
}

/// What the store tells once a minute changes nothing, unless it is news.
#[test]
fn what_is_known_is_known() {
    use super::book::SourceProofs;
    let it = verification();
    let mut book = SourceProofs::default();
    assert!(!book.knows(&it));
    book.add(&it);
    assert!(book.knows(&it));
    let tried = Verification {
        conclusion: Conclusion::Unchecked,
        reached: None,
        digest: None,
        started: it.started + jiff::SignedDuration::from_secs(60),
        ..it.clone()
    };
    assert!(!book.knows(&tried));
    book.add(&tried);
    assert!(book.knows(&tried) && book.knows(&it), "the later try doesn't make the proof news");
    let again = Verification { started: tried.started + jiff::SignedDuration::from_secs(60), ..it.clone() };
    let damaged = Verification { conclusion: Conclusion::Damaged, reached: None, ..again.clone() };
    let other = Verification { method: "boot".parse().unwrap(), ..it };
    assert!(!book.knows(&again) && !book.knows(&damaged) && !book.knows(&other));
}
