//! What a daemon takes while nothing happens: the share of one core, measured between two scans.

use std::path::Path;
use std::time::Duration;

use super::table::{Goal, Table};
use super::{Running, daemon, http, trees};

/// So long it is left alone before it is measured: the first of what is done once an hour (what is there is noted in the store)
/// comes after a minute, and proofs are read from the store for two minutes after the last one was written.
const SETTLE: Duration = Duration::from_secs(190);

/// So long it is measured: some probes of the store are among it.
const MEASURED: Duration = Duration::from_secs(60);

/// Percent of a core.
const GOAL: f64 = 0.1;

/// 10,000 items with everything switched on that watches: the verifier, a rule, a receiver, a store on SQLite.
pub fn measure(table: &mut Table, place: &Path) {
    println!("writing 10,000 items, then leaving a daemon alone for {} s …", (SETTLE + MEASURED).as_secs());
    std::fs::create_dir_all(place).expect("a directory");
    let roots = trees::write(&place.join("tree"), 20, 500, 1);
    let roots: Vec<String> = roots.iter().map(|root| format!("{{ path = {root:?} }}")).collect();
    let store = place.join("idle.db");
    let text = format!(
        "[store]\nurl = \"sqlite://{}\"\n[verify]\nlevel = 1\n\
         [[automation.rules]]\nname = \"look\"\naction = \"rescan\"\nmatchers = [\"alertname = Unknown\"]\n\
         [[notify.receivers]]\nname = \"log\"\ntype = \"syslog\"\nprotocol = \"udp\"\naddress = \"127.0.0.1:9\"\n\
         [[vzdump]]\nname = \"bench\"\ntime_zone = \"UTC\"\nscan_interval = \"1h\"\nroots = [{}]\n",
        store.display(),
        roots.join(", ")
    );
    let file = place.join("idle.toml");
    std::fs::write(&file, text).expect("the configuration");
    let (running, address, _) = daemon(&["--config.file", file.to_str().expect("UTF-8")]);
    http::wait_for_text(&address, "firedrill_item_info{", 10_000);
    // That none waits is also said before the first is planned.
    http::wait_for_text(&address, "firedrill_verifications_total{level=\"1\",result=\"intact\"} 10000\n", 1);
    std::thread::sleep(SETTLE);
    let before = processor_time(&running);
    std::thread::sleep(MEASURED);
    let share = (processor_time(&running) - before).as_secs_f64() / MEASURED.as_secs_f64() * 100.0;
    table.percent("processor of an idle daemon, 10,000 items, percent of a core", share, Goal::AtMost(GOAL));
}

/// Of all its threads.
fn processor_time(running: &Running) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", running.0.id())).expect("its threads");
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}
