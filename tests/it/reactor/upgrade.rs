//! A store of before there were occurrences, and stores that are shared.

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;

use super::*;
use crate::store::Where;
use crate::support::repository;

/// Tables as they were, with alerts of then: (number, start, receiver, first and last received, end).
async fn old_store(place: &Where, alerts: &[(u32, i64, &str, i64, Option<i64>)]) {
    let url = place.url();
    let kind = if url.starts_with("sqlite") { "sqlite" } else { "postgres" };
    let old = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(repository(&format!("migrations/{kind}"))).unwrap() {
        let file = file.unwrap();
        if *file.file_name().to_str().unwrap() < *"0005" {
            std::fs::copy(file.path(), old.path().join(file.file_name())).unwrap();
        }
    }
    sqlx::any::install_default_drivers();
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = if kind == "sqlite" { format!("{url}{separator}mode=rwc") } else { url };
    let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    Migrator::new(old.path()).await.unwrap().run(&pool).await.unwrap();
    for (number, start, receiver, last, end) in alerts {
        let micros = |seconds: i64| (1_789_999_600 + seconds) * 1_000_000;
        sqlx::query(
            "INSERT INTO alerts (fingerprint, starts_at, receiver, labels, annotations, generator_url, \
             first_received, last_received, times, resolved_at, changed, handled) \
             VALUES ($1, $2, $3, '{\"alertname\":\"A\",\"source\":\"s\"}', '{}', '', $4, $4, 1, $5, $6, $6)",
        )
        .bind(format!("{number:016x}"))
        .bind(micros(*start) * 1_000)
        .bind(*receiver)
        .bind(micros(*last))
        .bind(end.map(micros))
        .bind(if end.is_some() { 2_i64 } else { 1 })
        .execute(&pool)
        .await
        .unwrap();
    }
    // What was decided on them then, with its key: fingerprint, start, what is to be done.
    let rows = sqlx::query_as::<_, (i64, String, i64)>("SELECT id, fingerprint, starts_at FROM alerts ORDER BY id");
    for (id, fingerprint, start) in rows.fetch_all(&pool).await.unwrap() {
        let start = Timestamp::from_nanosecond(start.into()).unwrap().to_string();
        let mut hasher = blake3::Hasher::new();
        for part in [&*fingerprint, &*start, "hook", "/bin/x"] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let plan = r#"{"action":"hook","program":"/bin/x","arguments":[],"timeout":9,"labels":{},"annotations":{}}"#;
        sqlx::query(
            "INSERT INTO actions (key, alert, rule, kind, target, plan, state, reason, created, not_before) \
             VALUES ($1, $2, 'hook', 'hook', 't', $3, 'proposed', '', $4, $4)",
        )
        .bind(hasher.finalize().to_hex().to_string())
        .bind(id)
        .bind(plan)
        .bind(1_789_999_600_000_000_i64)
        .execute(&pool)
        .await
        .unwrap();
    }
    pool.close().await;
}

fn fires(number: u32, start: i64) -> Received {
    let mut received = alert(number, Status::Firing);
    received.alert.starts_at = Timestamp::from_second(1_789_999_600 + start).unwrap();
    received
}

fn over(number: u32, start: i64) -> Received {
    let received = fires(number, start);
    Received { alert: Alert { status: Status::Resolved, ..received.alert }, ..received }
}

async fn what_was_decided_stays_decided(place: Where) {
    old_store(
        &place,
        &[
            // Fires, for two receivers.
            (1, 10, "firedrill", 100, None),
            // The end had another start: what was told before it was left open.
            (2, 10, "firedrill", 100, None),
            (2, 50, "firedrill", 200, Some(200)),
            // Two starts are open: a pair.
            (3, 50, "firedrill", 100, None),
            (3, 10, "firedrill", 101, None),
            // Over, and fires again since.
            (4, 10, "firedrill", 200, Some(200)),
            (4, 300, "firedrill", 310, None),
            // Over.
            (5, 10, "firedrill", 200, Some(200)),
        ],
    )
    .await;
    let world = World { url: place.url(), ..World::new() };
    let effect = Counted::default();
    let life = world.live(rules(vec![rule(Kind::Hook, Mode::Propose)]), effect.clone(), Cut::never(), true);
    // What was left open ends with the upgrade; nothing is decided a second time.
    let open = [ActionState::Proposed, ActionState::Cancelled];
    until("what was left open is cancelled", || async {
        let found = world.records().await;
        (found.iter().filter(|it| it.state == ActionState::Cancelled).count() == 1).then_some(())
    })
    .await;
    // Told again, with any start and for further receivers.
    let others = [fires(1, 20), fires(3, 50), fires(3, 10), fires(4, 300)];
    let others = others.map(|it| Received { receiver: "other".into(), ..it });
    world.receive(&[fires(1, 10), fires(1, 20), fires(3, 10), fires(3, 50), fires(4, 300), fires(5, 10)]).await;
    world.receive(&others).await;
    life.wake.notify_one();
    until("all of it is dealt with", || async {
        let waits = world.store().turn().await.unwrap().pending(1).await.unwrap();
        waits.is_empty().then_some(())
    })
    .await;
    let found = world.settled(8, &open).await;
    assert_eq!(found.iter().filter(|it| it.state == ActionState::Cancelled).count(), 1);
    // Ends reach all of it.
    world.receive(&[over(1, 20), over(3, 50), over(4, 300)]).await;
    life.wake.notify_one();
    until("what was over before is all that is left", || async {
        let found = world.records().await;
        (found.iter().filter(|it| it.state == ActionState::Proposed).count() == 3).then_some(())
    })
    .await;
    assert!(world.store().alerts(Some(Status::Firing), ALL).await.unwrap().is_empty());
    // And what begins is new.
    world.receive(&[fires(1, 9_000)]).await;
    life.wake.notify_one();
    world.settled(9, &open).await;
    life.stop.send_replace(true);
    life.task.await.unwrap();
}

#[tokio::test]
async fn what_was_decided_before_there_were_occurrences_stays_decided_in_sqlite() {
    what_was_decided_stays_decided(Where::sqlite()).await;
}

#[tokio::test]
async fn what_was_decided_before_there_were_occurrences_stays_decided_in_postgresql() {
    what_was_decided_stays_decided(Where::postgres()).await;
}

/// Late words are believed on this database too, and two daemons hear the same at once.
#[tokio::test]
async fn two_daemons_on_one_postgresql_hear_one_occurrence() {
    let place = Where::postgres();
    let world = World { url: place.url(), ..World::new() };
    let effect = Counted::default();
    let one = world.live(rules(vec![rule(Kind::Hook, Mode::Execute)]), effect.clone(), Cut::never(), false);
    let two = world.live(rules(vec![rule(Kind::Hook, Mode::Execute)]), effect.clone(), Cut::never(), false);
    let stores = [world.store(), world.store()];
    let both = |start: [i64; 2], status| {
        let told = start.map(|start| {
            let all = (1..=20)
                .map(|number| if status == Status::Firing { fires(number, start) } else { over(number, start) });
            all.collect::<Vec<_>>()
        });
        let (now, stores) = (world.clock.now(), stores.clone());
        async move {
            let hear = |at: usize| stores[at].receive(&told[at], BOUNDS, now);
            let (one, two) = futures_util::future::join(hear(0), hear(1)).await;
            one.unwrap();
            two.unwrap();
        }
    };
    for round in [20, 60] {
        both([10, 20], Status::Firing).await;
        both([20, 10], Status::Firing).await;
        one.wake.notify_one();
        two.wake.notify_one();
        world.settled(round, &[ActionState::Done]).await;
        both([20, 10], Status::Resolved).await;
        let open = world.store().alerts(Some(Status::Firing), ALL).await.unwrap();
        assert!(open.is_empty(), "{open:?}");
        // A late word each, that stands: both daemons look, one of them believes.
        both([10, 20], Status::Firing).await;
        world.clock.forward(BOUND);
        one.wake.notify_one();
        two.wake.notify_one();
        world.settled(round + 20, &[ActionState::Done]).await;
        let open = world.store().alerts(Some(Status::Firing), ALL).await.unwrap();
        assert_eq!(open.len(), 20);
        both([20, 10], Status::Resolved).await;
        world.clock.forward(BOUND);
    }
    assert_eq!(effect.done.load(Ordering::SeqCst), 80);
    for life in [one, two] {
        life.stop.send_replace(true);
        life.task.await.unwrap();
    }
}
