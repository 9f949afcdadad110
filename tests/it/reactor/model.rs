//! All sequences of what can be told of an alert, through the real store and the real reactor.
//!
//! One alert for each sequence of words, side by side in one store: all of them hear their next word at the same time. When
//! time passes and when the process is killed is the same for all, and every combination of that has a store of its own.
//! The pure step goes through all sequences of six words (`domain/automation/occurrence/tests.rs`); what is asked here is whether
//! what is done and told follows it.

use std::collections::BTreeSet;
use std::sync::Mutex;

use firedrill::domain::automation::action::Action;
use firedrill::domain::automation::occurrence::{Heard, Occurrence, believe, step};
use firedrill::engine::ports::notices::NoticeStore as _;
use futures_util::StreamExt as _;

use super::*;

/// What can be told: two starts and their ends. The second begins after the first has ended; the other end is now.
const WORDS: usize = 4;

fn word(which: usize, number: usize, now: Timestamp) -> Received {
    let [first, second] = [1_789_999_000, 1_789_999_100].map(|it| Timestamp::from_second(it).unwrap());
    let (status, starts_at, ends_at) = match which {
        0 => (Status::Firing, first, None),
        1 => (Status::Firing, second, None),
        2 => (Status::Resolved, first, Some(first + SignedDuration::from_secs(50))),
        _ => (Status::Resolved, second, Some(now)),
    };
    let mut received = alert(u32::try_from(number).unwrap(), status);
    received.alert.labels.insert("number".into(), number.to_string().into());
    received.alert.starts_at = starts_at;
    received.alert.ends_at = ends_at;
    received
}

/// Writes down for which alert it was begun.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<usize>>>);

impl Effect for Log {
    fn perform<'a>(&'a self, record: &'a Record) -> BoxFuture<'a, Result<Outcome, EffectFailure>> {
        let Action::Hook(hook::Hook { labels, .. }) = &record.action else { panic!("another action") };
        self.0.lock().unwrap().push(labels["number"].parse().unwrap());
        Box::pin(async { Ok(Outcome { result: "done".into(), ..Outcome::default() }) })
    }
}

fn all_rules() -> Rules {
    let asks = Template::Hook(hook::Template {
        program: "/bin/asks".into(),
        arguments: Vec::new(),
        timeout: Duration::from_secs(9),
    });
    let all = vec![
        rule(Kind::Hook, Mode::Execute),
        Rule { name: "asks".into(), template: asks, ..rule(Kind::Hook, Mode::Propose) },
        rule(Kind::Notify, Mode::Execute),
    ];
    let cap = Cap { most: u32::MAX, per: Duration::from_secs(3600) };
    Rules { cap, concurrency: [500; Kind::ALL.len()], proposals_expire: Duration::from_secs(86_400), ..rules(all) }
}

/// What is expected of an alert.
#[derive(Clone, Default)]
struct Expected {
    state: Option<Occurrence>,
    /// Occurrences that were heard of while they were open.
    acted: usize,
}

impl Expected {
    fn is_open(&self) -> bool {
        self.state.as_ref().is_some_and(Occurrence::is_open)
    }

    fn take(&mut self, state: Occurrence) {
        self.acted += usize::from(!self.is_open() && state.is_open());
        self.state = Some(state);
    }
}

/// Resolves when nothing is left to do for the reactor.
async fn settled(world: &World, life: &Life) {
    // The reactor's own: whoever comes from outside fights with it for the file.
    let store = &life.store;
    let open = ActionFilter { states: vec![ActionState::Scheduled, ActionState::Running], ..ActionFilter::default() };
    until("everything is dealt with", || async {
        life.wake.notify_one();
        let mut turn = store.turn().await.unwrap();
        let waits = turn.pending(1).await.unwrap().len();
        let late = turn.believe_late(BOUND, 1, world.clock.now()).await.unwrap();
        drop(turn);
        let late: u64 = late.all().map(|(_, count, _)| count).sum();
        let page = Page { before: None, limit: 1 };
        (waits == 0 && late == 0 && store.actions(&open, page).await.unwrap().is_empty()).then_some(())
    })
    .await;
}

async fn check(store: &Store, log: &Log, expected: &[Expected], length: usize, what: &str) {
    let mut runs = vec![0; expected.len()];
    log.0.lock().unwrap().iter().for_each(|number| runs[*number] += 1);
    let waits = ActionFilter { states: vec![ActionState::Proposed], ..ActionFilter::default() };
    let waits = store.actions(&waits, Page { before: None, limit: 100_000 }).await.unwrap();
    let mut asked = vec![0; expected.len()];
    for record in &waits {
        let Action::Hook(hook::Hook { labels, .. }) = &record.action else { panic!("another action") };
        asked[labels["number"].parse::<usize>().unwrap()] += 1;
    }
    let lasting: BTreeSet<Arc<str>> = store.stories("alert/").await.unwrap().into_iter().map(|it| it.key).collect();
    for (number, it) in expected.iter().enumerate() {
        let words: Vec<usize> = sequence(number, length).collect();
        assert_eq!(runs[number], it.acted, "{what}, {words:?}: one action for each occurrence, none after its end");
        assert_eq!(asked[number], usize::from(it.is_open()), "{what}, {words:?}: asked while it fires, and once");
        let told = lasting.contains(&*format!("alert/{number:016x}"));
        assert_eq!(told, it.is_open(), "{what}, {words:?}: the last word is the truth");
    }
}

/// The words of a sequence, by its number.
fn sequence(number: usize, length: usize) -> impl Iterator<Item = usize> {
    (0..length).map(move |at| number / WORDS.pow(u32::try_from(at).unwrap()) % WORDS)
}

/// Everything in one store. In `pauses` and `kills` a bit for each word says whether much time passes before it, and whether
/// the process is killed.
async fn all_sequences(length: usize, pauses: usize, kills: usize) {
    // In memory, where there is such a place: every commit waits for the disk.
    let place = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let world = World::at(place);
    let log = Log::default();
    let live = || world.live_with(all_rules(), &[(Kind::Hook, Arc::new(log.clone()))], Cut::never(), true);
    let mut life = live();
    let mut expected = vec![Expected::default(); WORDS.pow(u32::try_from(length).unwrap())];
    let receiver: Arc<str> = "firedrill".into();
    for at in 0..length {
        let set = |bits: usize| bits >> at & 1 == 1;
        if set(kills) {
            life.task.abort();
            life = live();
        }
        world.clock.forward(if set(pauses) { BOUND + Duration::from_secs(60) } else { Duration::from_secs(60) });
        let now = world.clock.now();
        for it in &mut expected {
            if let Some(state) = it.state.as_ref().and_then(|state| believe(state, BOUND, now)) {
                it.take(state);
            }
        }
        settled(&world, &life).await;
        let what = format!("pauses {pauses:b}, kills {kills:b}, before word {at}");
        check(&life.store, &log, &expected, length, &what).await;
        let told: Vec<Received> =
            (0..expected.len()).map(|number| word(sequence(number, length).nth(at).unwrap(), number, now)).collect();
        for (it, told) in expected.iter_mut().zip(&told) {
            let (state, heard) = step(it.state.as_ref(), told.alert.event(), &receiver, BOUNDS, now);
            assert!(heard != Heard::Reopened || it.state.is_some());
            it.take(state);
        }
        life.store.receive(&told, BOUNDS, now).await.unwrap();
        settled(&world, &life).await;
        check(&life.store, &log, &expected, length, &format!("pauses {pauses:b}, kills {kills:b}, after word {at}"))
            .await;
    }
    life.stop.send_replace(true);
    life.task.await.unwrap();
}

async fn everything(length: usize) {
    let all = (0..1 << length).flat_map(|pauses| (0..1 << length).map(move |kills| (pauses, kills)));
    let worlds = all.map(|(pauses, kills)| tokio::spawn(all_sequences(length, pauses, kills)));
    let mut running = futures_util::stream::iter(worlds).buffer_unordered(4);
    while let Some(ended) = running.next().await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sequences_of_words_with_all_pauses_and_restarts() {
    everything(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a quarter of an hour: 65,536 sequences"]
async fn all_sequences_of_four_words_with_all_pauses_and_restarts() {
    everything(4).await;
}
