//! A second kind of proof beside the reading: what either says never goes over what the other said.

use tokio::sync::oneshot;

use super::*;
use crate::domain::item::Item;
use crate::engine::provers::unchecked;

/// Boots what it is told to; panics over what is called so.
struct Boot {
    fails: &'static str,
}

impl Boot {
    fn method_of() -> Method {
        "boot".parse().unwrap()
    }
}

impl Prover for Boot {
    fn method(&self) -> Method {
        Self::method_of()
    }

    fn levels(&self) -> Levels {
        Levels::of(&[Level::Booted])
    }

    fn suits(&self, item: &Item) -> bool {
        item.id.to_string() != "dump/plain.sql"
    }

    fn prove(&self, job: &Job, control: &Control) -> Examined {
        assert!(!job.archive.file.contains("panics"), "a prover with a defect");
        let fails = *job.archive.file == *self.fails;
        let (conclusion, reached) =
            if fails { (Conclusion::Damaged, None) } else { (Conclusion::Intact, Some(job.level)) };
        Examined::Ended(Box::new(Verification {
            facts: FileFacts::new(100, now()),
            conclusion,
            reached,
            ..unchecked(job, self.method(), control, now())
        }))
    }
}

fn rig(files: &[(&str, Content)], fails: &'static str) -> Rig {
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let boot = lane(Boot { fails }, Level::Booted, PATIENCE);
    Rig::with(inventory(&names), files, |_| {}, PATIENCE, vec![boot])
}

fn said(rig: &Rig, file: &str, method: &Method) -> Option<Conclusion> {
    let Some(Proofs::Known(book)) = &rig.book else { return None };
    let said = book.known("/dumps", file)?.by(method)?;
    let unchecked = said.unchecked.as_ref().map(|_| Conclusion::Unchecked);
    unchecked.or(said.proof.as_ref().map(|proof| proof.conclusion))
}

fn both(rig: &Rig, file: &str) -> Option<(Conclusion, Conclusion)> {
    Some((said(rig, file, &Method::READING)?, said(rig, file, &Boot::method_of())?))
}

#[tokio::test]
async fn each_lane_proves_what_suits_it_and_none_goes_over_the_other() {
    let files = [("a.sql", dump()), ("b.sql", cut_dump()), ("c.sql", dump()), ("plain.sql", dump())];
    let mut rig = rig(&files, "c.sql");
    let all = |rig: &Rig| {
        ["a.sql", "b.sql", "c.sql"].iter().all(|file| both(rig, file).is_some()) && rig.known("plain.sql").is_some()
    };
    rig.until("both have proven all", all).await;
    assert_eq!(both(&rig, "a.sql"), Some((Conclusion::Intact, Conclusion::Intact)));
    assert_eq!(both(&rig, "b.sql"), Some((Conclusion::Damaged, Conclusion::Intact)));
    assert_eq!(both(&rig, "c.sql"), Some((Conclusion::Intact, Conclusion::Damaged)));
    assert_eq!(said(&rig, "plain.sql", &Boot::method_of()), None);
    let Some(Proofs::Known(book)) = rig.book.clone() else { unreachable!() };
    let of = |file: &str| book.of_file("/dumps", file, FileFacts::new(100, now())).unwrap().into_owned();
    let (a, b, c) = (of("a.sql"), of("b.sql"), of("c.sql"));
    assert_eq!(a.levels, Levels::of(&[Level::Present, Level::Decodes, Level::Complete, Level::Booted]));
    assert_eq!((a.reached, a.conclusion), (Some(Level::Booted), Conclusion::Intact));
    assert!(a.digest.is_some(), "the digest of the reading stays");
    // Damage counts, whoever found it, and nothing is proven of what is damaged.
    assert_eq!([b.conclusion, c.conclusion], [Conclusion::Damaged; 2]);
    assert_eq!([b.reached, c.reached], [None; 2]);
    rig.until("nothing waits", |rig| rig.status.as_ref().is_some_and(|it| it.waiting == 0 && it.running == 0)).await;
    assert_eq!(rig.status.as_ref().unwrap().counts[Level::Booted.position()].iter().sum::<u64>(), 3);
    rig.end().await;
}

#[tokio::test]
async fn an_order_goes_to_who_proves_its_level() {
    let mut rig = rig(&[("a.sql", dump()), ("plain.sql", dump())], "");
    rig.until("it is known", |rig| rig.known("a.sql").is_some()).await;
    let mut answers = Vec::new();
    for (item, level) in
        [("dump/a.sql", Level::Booted), ("dump/plain.sql", Level::Booted), ("dump/a.sql", Level::Answers)]
    {
        let (reply, answer) = oneshot::channel();
        rig.order.send(Order { source: source(), item: item.parse().unwrap(), level, reply }).await.unwrap();
        answers.push(answer.await.unwrap());
    }
    let booted = answers[0].as_ref().unwrap();
    assert_eq!((&booted.method, booted.reached), (&Boot::method_of(), Some(Level::Booted)));
    for refused in &answers[1..] {
        assert!(matches!(refused, Err(Unfulfilled::NoProver { .. })), "{refused:?}");
    }
    assert_eq!(answers[2].as_ref().unwrap_err().to_string(), "nothing here proves level 6 of dump/a.sql");
    rig.end().await;
}

#[tokio::test]
async fn a_prover_that_panics_could_not_check_it_and_the_others_go_on() {
    let mut rig = rig(&[("panics.sql", dump()), ("b.sql", dump())], "");
    rig.until("all is tried", |rig| both(rig, "panics.sql").is_some() && both(rig, "b.sql").is_some()).await;
    assert_eq!(both(&rig, "panics.sql"), Some((Conclusion::Intact, Conclusion::Unchecked)));
    assert_eq!(both(&rig, "b.sql"), Some((Conclusion::Intact, Conclusion::Intact)));
    rig.end().await;
}
