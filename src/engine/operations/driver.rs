//! Carries one operation from state to state.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::Outside;
use crate::domain::operation::plan::Effect;
use crate::domain::operation::{Event, Frame, Order, State, step};
use crate::engine::ports::operations::{Advance, Conduct, Doing, Operation, Performer, Progress, Spoken, Word};

/// A store that doesn't answer is asked again after this.
const RETRY: Duration = Duration::from_millis(500);

/// One operation in the hands of this process.
pub(super) struct Driver {
    outside: Outside,
    performer: Arc<dyn Performer>,
    id: i64,
    title: Arc<str>,
    frame: Frame,
    state: State,
    version: i64,
    me: Arc<str>,
    /// Since when the lease runs, by the clock that doesn't jump.
    leased: Instant,
    kept: Instant,
    /// What runs, and how it is told to end.
    effect: Option<(JoinHandle<Event>, watch::Sender<bool>)>,
}

/// It is not ours any more.
struct Lost;

impl Driver {
    /// Drives what was claimed at `asked`.
    pub(super) fn new(
        outside: Outside,
        performer: Arc<dyn Performer>,
        it: Operation,
        me: Arc<str>,
        asked: Instant,
    ) -> Self {
        let Operation { id, title, frame, state, version, .. } = it;
        // The claim was a change.
        let version = version + 1;
        Self { outside, performer, id, title, frame, state, version, me, leased: asked, kept: asked, effect: None }
    }

    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Until it is over, lost, or time to stop. Its number.
    pub(super) async fn drive(mut self, mut stop: watch::Receiver<bool>) -> i64 {
        let first = if self.state == State::Planned { Event::Begin } else { Event::Restarted };
        let all = async {
            let mut next = (first, None);
            loop {
                let (event, heard) = next;
                self.take(event, heard).await?;
                if matches!(self.state, State::Finished { .. }) {
                    return Ok(());
                }
                next = self.wait().await?;
            }
        };
        let ended: Option<Result<(), Lost>> = tokio::select! {
            ended = all => Some(ended),
            _ = stop.wait_for(|stop| *stop) => None,
        };
        // First what runs, then the lease: nobody may look or begin while it does.
        self.cut_off().await;
        self.outside.board.remove(self.id);
        match ended {
            Some(Ok(())) => {}
            Some(Err(Lost)) => {
                tracing::error!(
                    operation = self.id,
                    "another process took the operation over, or may: it is left to it"
                );
            }
            None => {
                // Whoever can't be told finds the lease over after a while.
                let _ = timeout(self.outside.pace.grace(), self.outside.store.release(self.id, &self.me)).await;
            }
        }
        self.id
    }

    /// What happens next, and the word of a person if it is one.
    async fn wait(&mut self) -> Result<(Event, Option<i64>), Lost> {
        loop {
            match &mut self.effect {
                Some((work, _)) => tokio::select! {
                    ended = work => {
                        self.effect = None;
                        return Ok((ended.unwrap_or_else(|_| self.defect()), None));
                    }
                    () = sleep(self.outside.pace.tick) => {}
                },
                None => sleep(self.outside.pace.tick).await,
            }
            self.keep().await?;
            if let Some(Spoken { id, word, by }) = self.spoken().await {
                return Ok((word.event(&by), Some(id)));
            }
            let now = self.outside.clock.now();
            // Time alone changes little: only then is it an event.
            if let Ok((state, orders)) = step(&self.frame, &self.state, Event::Tick, now)
                && (state != self.state || !orders.is_empty())
            {
                return Ok((Event::Tick, None));
            }
        }
    }

    /// Takes an event: the new state becomes durable, then its orders are carried out.
    async fn take(&mut self, event: Event, heard: Option<i64>) -> Result<(), Lost> {
        let now = self.outside.clock.now();
        let result = result_of(&event);
        let (state, orders) = match step(&self.frame, &self.state, event, now) {
            Ok(next) => next,
            // Somebody's word came too late. It is heard all the same.
            Err(refusal) if heard.is_some() => {
                tracing::info!(operation = self.id, "what was said came too late: {refusal}");
                (self.state.clone(), Vec::new())
            }
            Err(refusal) => {
                tracing::warn!(operation = self.id, "an event was of no use: {refusal}");
                return Ok(());
            }
        };
        let advance = Advance {
            id: self.id,
            owner: self.me.clone(),
            version: self.version,
            sentence: self.frame.sentence(&state),
            state: state.clone(),
            begun: orders.iter().filter_map(begun).collect(),
            result,
            heard,
            lease: now,
        };
        self.make_durable(advance).await?;
        (self.state, self.version) = (state, self.version + 1);
        let sentence = self.frame.sentence(&self.state);
        tracing::info!(operation = self.id, "{sentence}");
        self.outside.board.put(self.id, self.title.clone(), sentence);
        orders.into_iter().for_each(|order| self.carry_out(order));
        Ok(())
    }

    async fn make_durable(&mut self, mut advance: Advance) -> Result<(), Lost> {
        loop {
            let (asked, now) = (Instant::now(), self.outside.clock.now());
            advance.lease = self.lease_from(now);
            match timeout(self.rest(), self.outside.store.advance(&advance, now)).await {
                Ok(Ok(true)) => {
                    (self.leased, self.kept) = (asked, asked);
                    return Ok(());
                }
                // After an answer that got lost it may be durable already; then this process is what drives it still.
                Ok(Ok(false)) if self.is_durable(&advance).await => {
                    (self.leased, self.kept) = (asked, asked);
                    return Ok(());
                }
                Ok(Ok(false)) | Err(_) => return Err(Lost),
                Ok(Err(error)) => {
                    tracing::warn!(operation = self.id, "where it stands could not be stored: {error}");
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Whether the store has it so already.
    async fn is_durable(&self, advance: &Advance) -> bool {
        match timeout(self.rest(), self.outside.store.operation(self.id)).await {
            Ok(Ok(Some((it, _)))) => {
                let mine = it.owner.is_none_or(|(owner, _)| owner == self.me);
                mine && it.version == advance.version + 1 && it.state == advance.state
            }
            _ => false,
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Do { at, tries, effect } => self.begin(effect, move |result| match result {
                Ended::Well(_) => Event::Done { at, tries },
                Ended::Badly(reason) => Event::Failed { at, tries, reason },
                Ended::Late => Event::TimedOut { at, tries },
            }),
            Order::Undo { at, tries, effect } => self.begin(effect, move |result| match result {
                Ended::Well(_) => Event::Undone { at, tries },
                Ended::Badly(_) | Ended::Late => Event::NotUndone { at, tries },
            }),
            Order::Probe { at, tries, effect } => {
                let (performer, within, grace) = (self.performer.clone(), effect.timeout, self.outside.pace.grace());
                self.spawn(async move |conduct| {
                    let stop = conduct.stop.clone();
                    let looked = within_time(performer.happened(&effect, conduct), within, grace, stop).await;
                    let happened = if let Ended::Well(happened) = looked { happened } else { None };
                    Event::Probed { at, tries, happened }
                });
            }
            Order::Stop { .. } => {
                if let Some((_, stop)) = &self.effect {
                    stop.send_replace(true);
                }
            }
            // The time is looked at anyway, and what is asked or told stands in the store, where people see it.
            Order::WaitUntil(_) | Order::Ask { .. } | Order::Tell { .. } | Order::Would { .. } | Order::Finish(_) => {}
        }
    }

    fn begin(&mut self, effect: Effect, event: impl FnOnce(Ended<String>) -> Event + Send + 'static) {
        let (performer, grace) = (self.performer.clone(), self.outside.pace.grace());
        self.spawn(async move |conduct| {
            let stop = conduct.stop.clone();
            event(within_time(performer.perform(&effect, conduct), effect.timeout, grace, stop).await)
        });
    }

    fn spawn<F: Future<Output = Event> + Send + 'static>(&mut self, work: impl FnOnce(Conduct) -> F) {
        let (stop, stopped) = watch::channel(false);
        let (progress, board) = watch::channel(Progress::default());
        self.outside.board.follow(self.id, board);
        let work = tokio::spawn(work(Conduct { stop: stopped, progress }));
        self.effect = Some((work, stop));
    }

    /// What became of an effect whose code panicked.
    fn defect(&self) -> Event {
        let reason = "a defect in firedrill: please report it".to_owned();
        match self.state {
            State::Running { at, tries } | State::Stopping { at, tries, .. } => Event::Failed { at, tries, reason },
            State::Probing { at, tries } => Event::Probed { at, tries, happened: None },
            State::Undoing { at, tries, .. } => Event::NotUndone { at, tries },
            _ => Event::Tick,
        }
    }

    /// Renews the lease when it is time.
    async fn keep(&mut self) -> Result<(), Lost> {
        if self.kept.elapsed() < self.outside.pace.keep() {
            return Ok(());
        }
        let (asked, now) = (Instant::now(), self.outside.clock.now());
        match timeout(self.rest(), self.outside.store.keep(self.id, &self.me, self.lease_from(now))).await {
            Ok(Ok(true)) => (self.leased, self.kept) = (asked, asked),
            Ok(Ok(false)) | Err(_) => return Err(Lost),
            Ok(Err(error)) if self.rest().is_zero() => {
                tracing::error!(operation = self.id, "its lease could not be renewed in time: {error}");
                return Err(Lost);
            }
            Ok(Err(_)) => {}
        }
        Ok(())
    }

    fn lease_from(&self, now: Timestamp) -> Timestamp {
        now.checked_add(self.outside.pace.lease).unwrap_or(now)
    }

    /// For so long it is surely ours.
    fn rest(&self) -> Duration {
        self.outside.pace.sure().saturating_sub(self.leased.elapsed())
    }

    async fn spoken(&self) -> Option<Spoken> {
        let words = timeout(self.rest(), self.outside.store.words(self.id)).await.ok()?.ok()?;
        // Who wants it to end wants that more than any answer.
        let cancel = words.iter().position(|it| it.word == Word::Cancel).unwrap_or(0);
        words.into_iter().nth(cancel)
    }

    /// Ends what runs, and returns when it has ended.
    async fn cut_off(&mut self) {
        let Some((mut work, stop)) = self.effect.take() else { return };
        stop.send_replace(true);
        if timeout(self.outside.pace.grace(), &mut work).await.is_err() {
            work.abort();
            let _ = work.await;
        }
    }
}

impl Drop for Driver {
    /// Nobody may go on with what nobody drives.
    fn drop(&mut self) {
        if let Some((work, _)) = self.effect.take() {
            work.abort();
        }
    }
}

/// How an effect ended.
enum Ended<T> {
    Well(T),
    Badly(String),
    Late,
}

/// Waits for an effect as long as it may take, and a moment longer once it is told to end. Cut off, it has ended.
async fn within_time<T>(
    work: impl Future<Output = Result<T, String>>,
    within: Duration,
    grace: Duration,
    mut stop: watch::Receiver<bool>,
) -> Ended<T> {
    let told = async {
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
        sleep(grace).await;
    };
    tokio::select! {
        biased;
        ended = work => ended.map_or_else(Ended::Badly, Ended::Well),
        () = sleep(within) => Ended::Late,
        () = told => Ended::Late,
    }
}

/// What an order begins, for the log of the steps.
fn begun(order: &Order) -> Option<(usize, Doing, u32)> {
    match order {
        Order::Do { at, tries, .. } => Some((*at, Doing::Do, *tries)),
        Order::Probe { at, tries, .. } => Some((*at, Doing::Probe, *tries)),
        Order::Undo { at, tries, .. } => Some((*at, Doing::Undo, *tries)),
        Order::Ask { at, .. } => Some((*at, Doing::Ask, 1)),
        Order::Tell { at, .. } => Some((*at, Doing::Tell, 1)),
        Order::Would { at } => Some((*at, Doing::Would, 1)),
        Order::Stop { .. } | Order::WaitUntil(_) | Order::Finish(_) => None,
    }
}

/// What an event says of what was begun before; `None` where that goes on.
fn result_of(event: &Event) -> Option<String> {
    let text = match event {
        Event::Done { .. } => "done",
        Event::Failed { reason, .. } => return Some(format!("failed: {reason}")),
        Event::TimedOut { .. } => "took too long, and was ended",
        Event::Probed { happened: Some(true), .. } => "it happened",
        Event::Probed { happened: Some(false), .. } => "it did not happen",
        Event::Probed { happened: None, .. } => "nobody can tell",
        Event::Undone { .. } => "taken back",
        Event::NotUndone { .. } => "could not be taken back",
        Event::Confirmed { by } => return Some(format!("yes, says {by}")),
        Event::Denied { by } => return Some(format!("no, says {by}")),
        Event::Restarted => "not heard of again: whoever drove it is gone",
        Event::Begin | Event::Cancel { .. } | Event::Tick => return None,
    };
    Some(text.to_owned())
}
