//! Directories that don't answer: the reading is given up, others go on.

use std::sync::mpsc::Sender;

use tokio::sync::oneshot;

use super::*;

/// Reading stands still for so long before it is given up.
const STALL: Duration = Duration::from_millis(50);

/// A file whose reading hangs until the sender is dropped.
fn hanging() -> (Sender<()>, Content) {
    let (release, until) = std::sync::mpsc::channel();
    (release, Content::Hanging(Arc::new(Mutex::new(until))))
}

fn hang(rig: &Rig) -> usize {
    rig.status.as_ref().map_or(0, |status| status.hanging)
}

fn reason(rig: &Rig, root: &str, file: &str) -> Option<String> {
    let Some(Proofs::Known(book)) = &rig.book else { return None };
    Some(book.known(root, file)?.by(&Method::READING)?.unchecked.as_ref()?.reason.to_string())
}

#[tokio::test]
async fn a_reading_that_hangs_is_given_up_and_others_are_read() {
    let (release, content) = hanging();
    let inventory = inventory_of(&[("/share", &["a.sql", "b.sql"]), ("/disk", &["c.sql"])]);
    let files = [("a.sql", content), ("b.sql", dump()), ("c.sql", dump())];
    let mut rig = Rig::over(inventory, &files, |_| {}, STALL);
    rig.until("the other directory is read", |rig| rig.known_in("/disk", "c.sql").is_some()).await;
    assert_eq!(rig.known_in("/disk", "c.sql"), Some(Conclusion::Intact));
    rig.until("it is said that one hangs", |rig| hang(rig) == 1 && reason(rig, "/share", "a.sql").is_some()).await;
    assert_eq!(rig.known_in("/share", "a.sql"), Some(Conclusion::Unchecked));
    assert!(reason(&rig, "/share", "a.sql").unwrap().contains("stall_timeout"));
    // The directory is left alone, and whoever asks for a file of it is told so.
    let (reply, answer) = oneshot::channel();
    let order = Order { source: source(), item: "dump/a.sql".parse().unwrap(), level: Level::Complete, reply };
    rig.order.send(order).await.unwrap();
    assert!(matches!(answer.await.unwrap(), Err(Unfulfilled::NoAnswer(_))));
    assert_eq!(rig.known_in("/share", "b.sql"), None);
    assert_eq!(rig.status.as_ref().unwrap().running, 0);
    // It comes back after all: what it says is old, and the next file of the directory is read.
    drop(release);
    rig.until("the next one is read", |rig| rig.known_in("/share", "b.sql") == Some(Conclusion::Intact)).await;
    rig.until("none hangs", |rig| hang(rig) == 0).await;
    assert_eq!(rig.known_in("/share", "a.sql"), Some(Conclusion::Unchecked), "the late result is dropped");
    assert_eq!(rig.store.files().iter().filter(|(file, _)| file == "a.sql").count(), 1);
    rig.end().await;
}

#[tokio::test]
async fn no_more_than_four_threads_hang() {
    let roots = ["/1", "/2", "/3", "/4", "/5"];
    let names = ["1.sql", "2.sql", "3.sql", "4.sql", "5.sql"];
    let all: Vec<(&str, &[&str])> = roots.iter().zip(names.chunks(1)).map(|(root, files)| (*root, files)).collect();
    let (mut releases, mut files) = (Vec::new(), Vec::new());
    for name in names {
        let (release, content) = hanging();
        releases.push(release);
        files.push((name, content));
    }
    let mut rig = Rig::over(inventory_of(&all), &files, |_| {}, STALL);
    rig.until("four are given up", |rig| hang(rig) == 4).await;
    // The fifth keeps its place: one after the other they are given up, so it is the one that runs.
    let keeps = |rig: &Rig| rig.status.as_ref().is_some_and(|it| it.hanging == 4 && it.running == 1);
    for _ in 0..3 {
        rig.status = None;
        rig.until("the fifth keeps its place", keeps).await;
    }
    let unchecked = |rig: &Rig| {
        let found = roots.iter().zip(names).filter(|(root, name)| rig.known_in(root, name).is_some());
        found.count()
    };
    assert_eq!(unchecked(&rig), 4);
    // One comes back: now the fifth can be given up.
    let first = roots.iter().zip(names).position(|(root, name)| rig.known_in(root, name).is_some()).unwrap();
    releases.remove(first);
    rig.until("the fifth is given up", |rig| unchecked(rig) == 5).await;
    drop(releases);
    rig.until("none hangs", |rig| hang(rig) == 0).await;
    rig.end().await;
}
